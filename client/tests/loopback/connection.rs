//! Login, frames and lost connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferry_client::connection::{Connection, Deadlines};
use ferry_client::login::Attempt;
use ferry_core::login::token::Token;
use ferry_core::login::{Channel, Credential, Opening, Secret, Standing};
use ferry_core::reply::{Column, ColumnKind, Layout};
use ferry_core::wire::frame::Kind;
use ferry_core::wire::message::{Answer, Catalog, Challenge, Done, Hello, Login, Message as _, Rows, Welcome};

use ferry_client::request::Request;
use ferry_client::script::{self, Lines};
use ferry_client::session::Interrupts;
use ferry_client::transport;
use ferry_client::trust::Trust;
use ferry_core::wire::message::{Complete, Fail, Progress};
use ferry_core::{Error, ErrorKind, rt};

use crate::fake::Stage;

#[test]
fn rows_are_printed_and_the_working_folder_follows_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.say(&Rows {
            id,
            columns: Some(vec![(&Column::new("name", ColumnKind::Path)).into()]),
            layout: Layout::List,
            rows: vec![vec!["a".into()]],
        });
        peer.say(&Done {
            id,
            cwd: Some("/sub".into()),
            problems: 2,
            ..Done::default()
        });
    });
    assert_eq!(stage.run("look").unwrap_err().exit.code(), 11);
    assert_eq!(stage.session.cwd, "/sub".into());
    assert_eq!(stage.end(), "{\"name\":\"a\"}\n");
}

#[test]
fn a_wrong_password_is_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::wrong_password(folder.path());
    assert_eq!(stage.run("look").unwrap_err().exit.code(), 3);
    stage.end();
}

#[test]
fn a_server_of_another_version_is_exit_code_12() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::with(folder.path(), "secret", |peer| {
        peer.say(&Hello {
            proto: 99,
            ..Hello::new("fake")
        });
    });
    assert_eq!(stage.run("look").unwrap_err().exit.code(), 12);
    stage.end();
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let quick = Deadlines {
        silence: Duration::from_millis(20),
        pong: Duration::from_millis(20),
        ..Deadlines::default()
    };
    let mut stage = Stage::new(folder.path(), |peer| {
        let _ = peer.request();
        assert_eq!(peer.next().unwrap().kind, Kind::Ping);
        while peer.next().is_some() {}
    })
    .deadlines(quick);
    assert_eq!(stage.run("look").unwrap_err().exit.code(), 8);
    stage.end();
}

#[test]
fn what_is_no_frame_is_exit_code_12() {
    for garbage in [&[0xff; 5][..], &[0, 0, 0, 1, 0x24, 0x90], &[0, 0, 0, 0, 0x7f]] {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(folder.path(), move |peer| {
            let _ = peer.request();
            peer.raw(garbage);
            while peer.next().is_some() {}
        });
        assert_eq!(stage.run("look").unwrap_err().exit.code(), 12, "{garbage:?}");
        stage.end();
    }
}

#[test]
fn a_script_stops_at_its_first_failure_unless_the_line_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        for fails in [false, true, true] {
            let (id, _) = peer.request();
            if fails {
                peer.say(&Fail::new(id, &Error::not_found("gone")));
            } else {
                peer.say(&Done { id, ..Done::default() });
            }
        }
        assert!(peer.next().is_none(), "nothing behind the failure is run");
    });
    let lines = "# a comment\n\n look a # another\n- look b\nlook c\nlook d\n";
    let lines = Lines::new(Box::new(std::io::Cursor::new(lines)));
    let failure = rt::block_on(script::run(&mut stage.session, &Interrupts::none(), &lines)).unwrap_err();
    assert_eq!(failure.exit.code(), 4);
    assert_eq!(stage.end().matches("\"kind\":\"not_found\"").count(), 2);
}

#[test]
fn a_part_of_a_script_may_be_for_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let mut stage = Stage::new(folder.path(), |peer| assert!(peer.next().is_none()));
    let lines = Lines::new(Box::new(std::io::Cursor::new("lcd sub\n!touch made\nlls\nexit\nlook\n")));
    rt::block_on(script::run(&mut stage.session, &Interrupts::none(), &lines)).unwrap();
    assert!(stage.session.local.ends_with("sub"));
    assert!(stage.end().contains("made"));
}

#[test]
fn a_server_that_we_keep_waiting_is_not_asked_whether_it_is_there() {
    // More than a request's queue holds.
    const EVENTS: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let deadlines = Deadlines {
        silence: Duration::from_millis(20),
        ..Deadlines::default()
    };
    let (looked, has_looked) = std::sync::mpsc::channel();
    let pings = Arc::new(AtomicUsize::new(0));
    let counted = pings.clone();
    let mut stage = Stage::new(folder.path(), move |peer| {
        let (id, _) = peer.request();
        // It is silent until it is asked once. What it says then is all there, so nothing that comes later is its silence.
        assert_eq!(peer.next().unwrap().kind, Kind::Ping);
        let mut all = Vec::new();
        for done in 0..EVENTS {
            let progress = Progress {
                id,
                done,
                total: None,
                text: String::new(),
            };
            progress.encode(&mut all).unwrap();
        }
        Done { id, ..Done::default() }.encode(&mut all).unwrap();
        peer.raw(&all);
        looked.send(()).unwrap();
        while let Some(frame) = peer.next() {
            counted.fetch_add(usize::from(frame.kind == Kind::Ping), Ordering::SeqCst);
        }
    })
    .deadlines(deadlines);
    let verb = |session: &mut ferry_client::session::Session| {
        rt::block_on(async {
            let connection = session.connect().await.unwrap();
            let call = ferry_core::line::parse(&connection.verbs[0], &[]).unwrap();
            let request = Request::start(&connection, &connection.verbs[0], &call, &"/".into(), None).await;
            (connection, request.unwrap())
        })
    };
    let (connection, mut request) = verb(&mut stage.session);
    has_looked.recv().unwrap();
    rt::block_on(async {
        // Longer than the server may be silent; nothing is taken meanwhile.
        rt::sleep(deadlines.silence * 10).await;
        assert_eq!(pings.load(Ordering::SeqCst), 0);
        assert!(!connection.is_lost());
        request.done().await.unwrap();
    });
    drop((request, connection));
    stage.end();
}

#[test]
fn a_server_that_is_not_there_or_leaves_at_once_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = rt::block_on(transport::dial(
        &format!("127.0.0.1:{}", free.port()).parse().unwrap(),
        &Trust::plain(),
        Deadlines::default(),
    ))
    .unwrap_err();
    let mut stage = Stage::with(folder.path(), "secret", |_| {});
    for failure in [refused, stage.run("look").unwrap_err()] {
        assert_eq!((failure.error.kind, failure.exit.code()), (ErrorKind::Unreachable, 8));
    }
    stage.end();
}

#[test]
fn a_saved_login_waits_for_no_challenge_that_the_hello_foretold() {
    const NONCE: &str = "3rfcNHYJY1ZVvWVs7j4a5678";
    for is_kept in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::with([1; 8], [2; 32]);
        let kept = Credential::Token(token.verifier());
        let stage = Stage::with(folder.path(), "secret", move |peer| {
            peer.say(&Hello {
                mechanisms: vec!["FERRY-TOKEN".into()],
                nonce: Some(NONCE.into()),
                ..Hello::new("fake")
            });
            let _: Hello = peer.hear();
            let login: Login = peer.hear();
            let answer: Answer = peer.hear();
            let nonce = if is_kept { NONCE.to_owned() } else { NONCE.to_lowercase() };
            let opening = Opening::read(&login.mechanism, &login.data, Channel::Plain).unwrap();
            let (server, step) = opening.challenge_with(Standing::Open(&kept), &[0; 32], &nonce).unwrap();
            peer.say(&Challenge {
                mechanism: None,
                data: step.data,
            });
            if is_kept {
                peer.say(&Welcome {
                    data: server.finish(&answer.data).unwrap(),
                    user: "al".into(),
                    notice: None,
                    token: None,
                });
                peer.say(&Catalog {
                    verbs: Vec::new(),
                    last: true,
                });
            }
        });
        let opened = rt::block_on(async {
            let transport = transport::dial(&stage.session.link.target, &Trust::plain(), Deadlines::default()).await?;
            let attempt = Attempt {
                user: "al".into(),
                secret: Secret::Token(token),
                save: None,
            };
            Connection::open(transport, attempt, Deadlines::default()).await
        });
        assert_eq!(
            opened.map(drop).map_err(|failure| failure.exit.code()),
            if is_kept { Ok(()) } else { Err(12) }
        );
        stage.end();
    }
}

#[test]
fn a_hostile_catalogue_is_exit_code_12() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::with(folder.path(), "secret", |peer| {
        peer.log_in_as(|verbs| verbs[0].name = "look\x1b[2J".into());
    });
    let failure = stage.run("look").unwrap_err();
    assert_eq!(failure.exit.code(), 12);
    assert!(!failure.error.message.contains('\x1b'));
    stage.end();
}

#[test]
fn the_server_says_why_a_verb_is_not_there() {
    for (error, exit) in [
        (Error::denied("make: you may not run this verb"), 5),
        (
            Error::new(ErrorKind::UnknownVerb, "unknown verb `make`").hint("did you mean `take`?"),
            2,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (kind, hint) = (error.kind, error.hint.clone());
        let mut stage = Stage::new(folder.path(), move |peer| {
            let ask: Complete = peer.hear();
            assert_eq!((ask.verb.as_str(), ask.arg.as_str()), ("make", ""));
            peer.say(&Fail::new(ask.id, &error));
            assert!(peer.next().is_none(), "nothing is run");
        });
        let failure = stage.run("make x").unwrap_err();
        assert_eq!((failure.error.kind, failure.error.hint.clone()), (kind, hint));
        assert_eq!(failure.exit.code(), exit);
        stage.end();
    }
}

#[test]
fn what_cannot_be_a_verb_is_not_asked_about() {
    for (word, hint) in [("Look", "`look`"), ("lo/ok", "`look`"), ("-x", "`help`")] {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(folder.path(), |peer| assert!(peer.next().is_none()));
        let failure = stage.run(word).unwrap_err();
        assert_eq!(failure.exit.code(), 2);
        assert!(failure.error.hint.as_ref().unwrap().contains(hint), "{word}: {failure:?}");
        stage.end();
    }
}

#[test]
fn a_verb_that_came_after_the_login_is_run_after_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = |peer: &mut crate::fake::Peer| {
        assert!(peer.log_in_as(|_| {}));
        let ask: Complete = peer.hear();
        peer.say(&Fail::new(ask.id, &Error::bad_request("make has no such argument")));
        assert!(peer.next().is_none());
    };
    let second = |peer: &mut crate::fake::Peer| {
        assert!(peer.log_in_as(|verbs| verbs[0].name = "make".into()));
        let (id, _) = peer.request();
        peer.say(&Done { id, ..Done::default() });
    };
    let mut stage = Stage::twice(folder.path(), first, second);
    stage.run("make").unwrap();
    stage.end();
}
