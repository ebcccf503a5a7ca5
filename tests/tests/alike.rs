//! In process and over a real socket, every linked verb answers alike: the same rows, texts, bodies and failures, and the same home
//! afterwards.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::sync::Arc;

use ferry_core::rt::block_on;
use ferry_core::wire::message::Fail;
use ferry_core::{Access, Body, ErrorKind, Example, User, VerbInfo};
use ferry_server::loopback;
use ferry_testkit::{Harness, Output, Sent, both};
use ferry_tests::verbs;

type Answer = Result<Output, Fail>;

fn infos() -> Vec<VerbInfo> {
    let registry = verbs::every().unwrap();
    registry.entries().iter().map(|entry| entry.info.clone()).collect()
}

fn over(harness: Harness) -> Harness {
    harness.over(loopback)
}

fn standard() -> Harness {
    let harness = Harness::standard().admin();
    harness.seed_partial("cut.bin", &[7; 1000], 300);
    harness
}

fn ask(harness: &Harness, verb: &VerbInfo, line: &str) -> Answer {
    match verb.body {
        Body::In => harness.answer_to(line, b"Contents of an example.\n"),
        Body::Out | Body::None => harness.answer(line),
    }
}

#[test]
fn examples_of_every_verb_answer_alike() {
    for entry in verbs::every().unwrap().entries() {
        let verb = &entry.info;
        // One behind the other in one home, for a server each would take long: the first finds what it is written for.
        let answers = both(standard, over, |harness| {
            let answers = entry
                .command
                .spec()
                .examples
                .iter()
                .map(|Example { line, body, .. }| match body {
                    Some(body) => harness.answer_to(line, *body),
                    None => ask(harness, verb, line),
                });
            answers.collect::<Vec<_>>()
        });
        assert!(answers.first().is_none_or(Result::is_ok), "{}: {answers:?}", verb.name);
    }
}

#[test]
fn what_every_verb_refuses_is_refused_alike() {
    let mut refused = 0;
    for verb in infos() {
        let name = &verb.name;
        let answers = both(standard, over, |harness| {
            let lines = [
                "",
                " ../outside",
                " /../bob/x y",
                " no/such/thing",
                " --no-such-option",
                " hello.txt docs",
                " 'no\\0 name'",
                " d*",
                " x*",
            ];
            let mut answers: Vec<Answer> = lines.map(|rest| ask(harness, &verb, &format!("{name}{rest}"))).into();
            // No arguments, one that is not there, no map, and something nested.
            for args in [
                &[0x80][..],
                &[0x81, 0xa1, b'x', 0xc0],
                &[0xc0],
                &[0x81, 0xa1, b'x', 0x91, 0x91, 0x91, 0xc0],
            ] {
                let called = block_on(harness.call_raw(name, args));
                answers.push(called.map_err(|error| Fail::new(0, &error)));
            }
            for arg in &verb.args {
                for word in ["", "d", "docs/", "../", "x"] {
                    let words = block_on(harness.complete(name, &arg.name, word));
                    answers.push(
                        words
                            .map(|words| Output {
                                text: Some(words.join(" ")),
                                ..Output::default()
                            })
                            .map_err(|error| Fail::new(0, &error)),
                    );
                }
            }
            answers
        });
        refused += answers.iter().filter(|answer| answer.is_err()).count();
    }
    assert!(refused > infos().len() * 3, "{refused}");
}

#[test]
fn rights_are_kept_alike() {
    let users = [
        User {
            read_only: true,
            ..User::named("alice")
        },
        User {
            deny: vec!["ls".into(), "mkdir".into()],
            ..User::named("alice")
        },
        User {
            allow: vec!["ls".into(), "mkdir".into()],
            ..User::named("alice")
        },
        User {
            admin: true,
            ..User::named("alice")
        },
    ];
    for user in users {
        let make = || Harness::standard().user(user.clone());
        let answers = both(make, over, |harness| {
            let ask = |verb: &VerbInfo| {
                ask(harness, verb, &format!("{} new", verb.name)).map_err(|fail| (fail.kind, fail.message, fail.hint))
            };
            let mut answers: Vec<_> = infos().iter().map(ask).collect();
            answers.push(
                harness
                    .answer("no-such-verb")
                    .map_err(|fail| (fail.kind, fail.message, fail.hint)),
            );
            answers
        });
        let has = |kind| {
            answers
                .iter()
                .any(|answer| answer.as_ref().is_err_and(|(is, ..)| *is == kind))
        };
        assert!(has(ErrorKind::UnknownVerb));
        let writes = infos().iter().any(|verb| verb.access == Access::Write);
        assert_eq!(has(ErrorKind::Denied), user.read_only && writes, "{user:?}");
    }
}

#[test]
fn bodies_that_go_wrong_and_disks_that_are_full_answer_alike() {
    let big: Vec<u8> = (0..1_500_000_u32).flat_map(u32::to_le_bytes).collect();
    let answers = both(
        || Harness::standard().quota(20 << 20),
        over,
        |harness| {
            let put = |line: &str, body: Sent| harness.answer_to(line, body);
            vec![
                put("upload big", Sent::file(big.clone())),
                put(
                    "upload same",
                    Sent::file(&b"some"[..]).offer(|offer| offer.modified = Some(5)),
                ),
                put(
                    "upload same",
                    Sent::file(&b"some"[..]).offer(|offer| offer.modified = Some(5)),
                ),
                put("upload other", Sent::file(&b"some"[..]).wrong_digest()),
                put("upload cut", Sent::file(big.clone()).cut_after(0)),
                put("upload cut", Sent::file(big.clone())),
                put("upload stream", Sent::stream(big.clone()).cut_after(3_000_000)),
                put("upload stream", Sent::stream(&b"whole"[..])),
                put("upload eager", Sent::file(&b"eager"[..]).offer(|offer| offer.eager = true)),
                put("upload huge", Sent::file(&b""[..]).offer(|offer| offer.size = Some(u64::MAX))),
                put("upload lie", Sent::file(&b"longer"[..]).offer(|offer| offer.size = Some(1))),
                harness.answer("download big"),
                harness.answer("partials"),
                harness.answer("cd docs"),
                harness.answer("ls -l"),
            ]
        },
    );
    let (failed, worked): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_err());
    assert_eq!((failed.len(), worked.len()), (5, 10), "{failed:?}");
    assert_eq!(answers[11].as_ref().unwrap().body, big);
    let full = both(
        || Harness::new().disk_full_after(1000),
        over,
        |harness| {
            (
                harness.answer_to("upload small", b"small"),
                harness.answer_to("upload large", Sent::file(vec![1; 2000])),
            )
        },
    );
    assert!(full.0.is_ok() && full.1.is_err_and(|fail| fail.kind == ErrorKind::DiskFull));
}

#[test]
fn calls_side_by_side_and_one_that_is_dropped_share_a_server() {
    let harness = Arc::new(over(Harness::standard()));
    let lines = ["ls", "pwd", "stat hello.txt", "du", "quota", "ls docs"];
    let threads = lines.map(|line| {
        let harness = harness.clone();
        std::thread::spawn(move || (0..5).for_each(|_| drop(harness.ok(line))))
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    block_on(async {
        // A server is now and then quicker than this thread, and there is nothing to drop.
        let mut is_dropped = false;
        for _ in 0..100 {
            let mut call = Box::pin(harness.run("ls"));
            is_dropped |= futures_lite::future::poll_once(&mut call).await.is_none();
        }
        assert!(is_dropped);
    });
    assert_eq!(harness.ok("ls").texts("name"), ["docs", "hello.txt"]);
}

#[test]
fn a_difference_is_told() {
    let differs = |other: fn(Harness) -> Harness| {
        let caught = std::panic::catch_unwind(|| both(Harness::standard, other, |harness| harness.answer("ls").is_ok()));
        *caught.unwrap_err().downcast::<String>().unwrap()
    };
    let denied = |harness: Harness| {
        harness.user(User {
            deny: vec!["ls".into()],
            ..User::named("alice")
        })
    };
    assert!(differs(denied).starts_with("answers differ"));
    let seeded = |harness: Harness| {
        harness.seed("more", b"more");
        harness
    };
    assert!(differs(seeded).starts_with("homes differ"));
}
