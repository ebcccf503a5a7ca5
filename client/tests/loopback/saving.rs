//! Saved logins, against a server that is odd, old or hostile.

use ferry_client::link::Link;
use ferry_client::login::Credentials;
use ferry_client::saved::SavedLogins;
use ferry_client::trust::Trust;
use ferry_core::login::token::Token;
use ferry_core::rt;
use ferry_core::wire::message::{Answer, Revealed, Welcome};

use crate::fake::{Peer, Stage};

/// What a client tells that asked for a saved login and got this welcome, and what it wrote down.
fn told(say: impl FnOnce(&Answer, &mut Welcome) + Send + 'static) -> (Vec<String>, Option<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("logins");
    let stage = Stage::with(folder.path(), "secret", |peer: &mut Peer| {
        assert!(peer.welcome(say, |_| {}));
        assert!(peer.next().is_none(), "nothing else is said");
    });
    let who = Credentials {
        saved: SavedLogins {
            file: Some(file.clone()),
        },
        save: true,
        ..Credentials::new("alice", "secret")
    };
    let link = Link::new(stage.session.link.target.clone(), Trust::plain(), who);
    let connection = rt::block_on(link.connect()).unwrap();
    let notes = link.take_notes();
    assert!(link.take_notes().is_empty(), "nothing is told twice");
    rt::block_on(connection.close());
    drop((connection, link));
    stage.end();
    (notes, std::fs::read_to_string(file).ok())
}

#[test]
fn a_server_that_saves_no_logins_is_said_to_and_the_session_goes_on() {
    let (notes, file) = told(|answer, _| assert!(answer.save.as_ref().is_some_and(|label| !label.is_empty())));
    assert!(notes.len() == 1 && notes[0].contains("not saved"), "{notes:?}");
    assert_eq!(file, None);
}

#[test]
fn why_a_login_was_not_saved_is_told_and_moves_no_cursor() {
    let (notes, file) = told(|_, welcome| welcome.notice = Some("32 \x1b[2J\nare enough".into()));
    assert_eq!((notes, file), (vec!["32 \\x1b[2J\\nare enough".to_owned()], None));
}

#[test]
fn a_token_without_a_key_that_it_is_for_is_not_written_down() {
    for token in [Token::new().unwrap().reveal().to_string(), "ferry-token-v9:x".to_owned()] {
        let shown = token.clone();
        let (notes, file) = told(|_, welcome| welcome.token = Some(Revealed(token)));
        assert!(
            notes.len() == 1 && notes[0].contains("not saved") && !notes[0].contains(&shown),
            "{notes:?}"
        );
        assert_eq!(file, None);
    }
}
