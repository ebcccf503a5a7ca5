//! Connections that are lost under a transfer, and what is done again on the next one.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use ferry_core::ErrorKind;
use ferry_core::store::Start;
use ferry_core::wire::frame::Kind;
use ferry_core::wire::message::{Cancel, Done, Fail, Request};
use ferry_core::{Algorithm, Error};

use crate::fake::{Peer, Stage};
use crate::{CONTENTS, folder_with, held};

/// Takes an upload's first contents and is gone.
fn hangs_up(peer: &mut Peer) {
    assert!(peer.log_in_as(|_| {}));
    let (id, _) = peer.request();
    peer.begin(id, Start::BEGINNING);
    assert_eq!(peer.next().unwrap().kind, Kind::Data);
}

/// Holds the first ten bytes, and takes the rest of an upload that asks for them.
fn goes_on(peer: &mut Peer) {
    assert!(peer.log_in_as(|_| {}));
    let (id, offer) = peer.request();
    assert!(!offer.fresh);
    peer.begin(id, held(1002, 10, &CONTENTS[..10]));
    let (contents, end) = peer.body();
    assert_eq!(contents, &CONTENTS[10..]);
    peer.stored(id, &end);
}

#[test]
fn an_upload_goes_on_over_a_new_connection() {
    let folder = folder_with("f", CONTENTS);
    let mut stage = Stage::twice(folder.path(), hangs_up, goes_on);
    stage.run("push f").unwrap();
    let out = stage.end();
    assert_eq!(out.matches("\"event\":\"retry\"").count(), 1, "{out}");
    assert!(out.contains("\"code\":1002") && out.contains("\"verified\":true"), "{out}");
}

#[test]
fn an_upload_that_was_sent_afresh_goes_on_with_what_it_sent() {
    let folder = folder_with("f", CONTENTS);
    let first = |peer: &mut Peer| {
        assert!(peer.log_in_as(|_| {}));
        let (id, offer) = peer.request();
        assert!(!offer.fresh);
        peer.begin(id, held(1002, 10, b"of another file"));
        assert_eq!(peer.hear::<Cancel>().id, id);
        let (id, offer) = peer.request();
        assert!(offer.fresh);
        peer.begin(id, Start::BEGINNING);
        assert_eq!(peer.next().unwrap().kind, Kind::Data);
    };
    // What is there by now may be its own: it is not to be thrown away unseen.
    let mut stage = Stage::twice(folder.path(), first, goes_on);
    stage.run("push f").unwrap();
    assert!(stage.end().contains("\"verified\":true"));
}

#[test]
fn what_is_of_another_file_on_each_connection_is_given_up_on_each() {
    let folder = folder_with("f", CONTENTS);
    let begins = |peer: &mut Peer| {
        assert!(peer.log_in_as(|_| {}));
        let (id, offer) = peer.request();
        assert!(!offer.fresh);
        peer.begin(id, held(1002, 10, b"of another file"));
        assert_eq!(peer.hear::<Cancel>().id, id);
        let (id, offer) = peer.request();
        assert!(offer.fresh);
        id
    };
    let mut stage = Stage::twice(
        folder.path(),
        move |peer| {
            begins(peer);
        },
        move |peer| {
            let id = begins(peer);
            peer.begin(id, Start::BEGINNING);
            let (contents, end) = peer.body();
            assert_eq!(contents, CONTENTS);
            peer.stored(id, &end);
        },
    );
    stage.run("push f").unwrap();
    assert!(stage.end().contains("\"verified\":true"));
}

#[test]
fn a_download_goes_on_over_a_new_connection() {
    let folder = tempfile::tempdir().unwrap();
    let first = |peer: &mut Peer| {
        assert!(peer.log_in_as(|_| {}));
        let (id, _) = peer.request();
        peer.begin(id, Start::BEGINNING);
        peer.data(id, &CONTENTS[..10]);
    };
    let second = |peer: &mut Peer| {
        assert!(peer.log_in_as(|_| {}));
        let (id, offer) = peer.request();
        assert_eq!(offer.offset, Some(10));
        assert_eq!(offer.prefix, Some(Algorithm::Blake3.digest(&CONTENTS[..10])));
        peer.begin(id, held(1002, 10, &CONTENTS[..10]));
        peer.data(id, &CONTENTS[10..]);
        peer.end(id, CONTENTS);
    };
    let mut stage = Stage::twice(folder.path(), first, second);
    stage.run("pull f").unwrap();
    assert!(stage.end().contains("\"event\":\"retry\""));
    assert_eq!(fs::read(folder.path().join("f")).unwrap(), CONTENTS);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_tree_goes_on_where_it_was_and_dials_once() {
    const FILES: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("t")).unwrap();
    for number in 0..FILES {
        fs::write(folder.path().join(format!("t/{number}")), CONTENTS).unwrap();
    }
    let first = |peer: &mut Peer| {
        assert!(peer.log_in_as(|_| {}));
        let (id, _) = peer.request();
        peer.made(id, "/t");
        let _: Request = peer.hear();
    };
    let second = |peer: &mut Peer| {
        assert!(peer.log_in_as(|_| {}));
        let mut stored = 0;
        while stored < FILES {
            let frame = peer.next().unwrap();
            match frame.kind {
                Kind::Request => {
                    let request: Request = frame.is();
                    assert!(!request.body.unwrap().folder, "the folder is made already");
                    peer.begin(request.id, Start::BEGINNING);
                }
                Kind::End => {
                    let end: ferry_core::wire::message::End = frame.is();
                    peer.stored(end.id, &end);
                    stored += 1;
                }
                _ => {}
            }
        }
    };
    let mut stage = Stage::twice(folder.path(), first, second);
    stage.run("push -d t").unwrap();
    let out = stage.end();
    assert_eq!(out.matches("\"event\":\"retry\"").count(), 1, "{out}");
    assert_eq!(out.matches("\"event\":\"done\"").count(), FILES, "{out}");
}

#[test]
fn a_refusal_is_not_tried_again() {
    let folder = folder_with("f", CONTENTS);
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.say(&Fail::new(id, &Error::new(ErrorKind::OverQuota, "full")));
        assert!(peer.next().is_none(), "nothing is asked for again");
    });
    assert_eq!(stage.run("push f").unwrap_err().error.kind, ErrorKind::OverQuota);
    assert!(!stage.end().contains("retry"));
}

#[test]
fn a_login_that_is_refused_later_ends_the_transfer() {
    let folder = folder_with("f", CONTENTS);
    let mut stage = Stage::twice(folder.path(), hangs_up, |peer| {
        peer.say(&Fail::new(0, &Error::new(ErrorKind::LoginRefused, "disabled")));
        while peer.next().is_some() {}
    });
    assert_eq!(stage.run("push f").unwrap_err().exit.code(), 3);
    assert_eq!(stage.end().matches("\"event\":\"retry\"").count(), 1);
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let folder = folder_with("f", CONTENTS);
    let mut stage = Stage::with(folder.path(), "secret", hangs_up);
    // Long against the pauses, so that there are several also on a busy machine.
    Arc::get_mut(&mut stage.session.link).unwrap().patience.total = Duration::from_secs(2);
    assert_eq!(stage.run("push f").unwrap_err().exit.code(), 8);
    assert!(stage.end().matches("\"event\":\"retry\"").count() > 2);
}

#[test]
fn a_verb_without_a_transfer_is_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let _ = peer.request();
    });
    assert_eq!(stage.run("look").unwrap_err().exit.code(), 8);
    assert!(!stage.end().contains("retry"));
}

#[test]
fn the_next_line_connects_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = |peer: &mut Peer| {
        assert!(peer.log_in_as(|_| {}));
        let _ = peer.request();
    };
    let second = |peer: &mut Peer| {
        assert!(peer.log_in_as(|_| {}));
        let (id, _) = peer.request();
        peer.say(&Done { id, ..Done::default() });
    };
    let mut stage = Stage::twice(folder.path(), first, second);
    assert_eq!(stage.run("look").unwrap_err().exit.code(), 8);
    stage.run("look").unwrap();
    assert!(!stage.end().contains("retry"));
}
