//! Verbs that go astray cost their own request, and a verb that no client was built with works all the same.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferry_core::wire::message::Request;
use ferry_core::{ErrorKind, RemotePath};
use ferry_tests::knock::quantile;
use ferry_tests::wire::Wire;
use ferry_tests::{Server, skipped};
use serde_json::{Value, json};

fn astray() -> Server {
    let server = Server::start_program("astray", &[]);
    server.add_user("alice", &[]);
    server
}

#[test]
fn a_verb_added_after_the_client_was_built_is_listed_explained_and_run() {
    let server = astray();
    let help = server.ferry("alice", &["help"]).expect(0).out;
    assert!(
        help.contains("shout") && help.contains("Prints a text back in capitals."),
        "{help}"
    );
    let help = server.ferry("alice", &["help", "shout"]).expect(0).out;
    assert!(
        help.contains("usage: shout TEXT [PATH] [--mood VALUE]") && help.contains("happy, gloomy"),
        "{help}"
    );
    assert_eq!(
        server.ferry("alice", &["shout", "grüße", "--mood", "happy"]).expect(0).out,
        "GRÜSSE!\n"
    );
    assert!(
        server
            .ferry("alice", &["shout", "x", "--mood", "hapy"])
            .expect(2)
            .err
            .contains("did you mean `happy`")
    );
    assert!(
        server
            .ferry("alice", &["shuot", "x"])
            .expect(2)
            .err
            .contains("did you mean `shout`")
    );
}

#[test]
fn a_panic_is_answered_and_the_session_goes_on() {
    let server = astray();
    let ran = server.script("alice", "-panics\nshout alive\n").expect(0);
    assert!(ran.out.contains("ALIVE") && ran.err.contains("internal"), "{ran:?}");
    let log = server.stop().1;
    assert!(log.contains("on purpose"), "{log}");
}

#[test]
fn a_verb_that_goes_past_its_context_is_stopped_by_the_kernel() {
    let server = astray();
    if server.log().contains("no Landlock") {
        skipped("confinement", "this kernel has no Landlock");
        return;
    }
    let out = server.ferry("alice", &["peeks"]).expect(0).out;
    assert_eq!(
        out.trim(),
        "[Err(PermissionDenied), Err(PermissionDenied), Err(PermissionDenied)]"
    );
    // And what it is for goes on.
    let file = server.local().join("f");
    std::fs::write(&file, "contents").unwrap();
    server.ferry("alice", &["put", "f"]).expect(0);
    server.admin(&["who"], "").expect(0);
    assert_eq!(server.stop().0, 0);
}

#[test]
fn a_verb_cannot_leave_the_home_or_write_without_the_right() {
    let server = astray();
    let out = server.ferry("alice", &["outside"]).expect(0).out;
    assert_eq!(out.trim(), "Err(Denied) Err(Denied)");
}

#[test]
fn a_verb_that_keeps_its_thread_does_not_stop_what_its_client_says_next() {
    let server = Server::start_program("astray", &["--no-tls"]);
    server.add_user("alice", &[]);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    let start = Instant::now();
    let mut stuck = Vec::new();
    for verb in ["blocks", "spins"] {
        // In one breath: what was answered before does not wait either.
        let before = wire.start("shout", &json!({"text": "before"}), None).unwrap();
        stuck.push(wire.start(verb, &json!({}), None).unwrap());
        assert_eq!(wire.answer(before).unwrap().unwrap().text.as_deref(), Some("BEFORE"));
        for _ in 0..3 {
            wire.call("shout", &json!({"text": "alive"})).unwrap().unwrap();
        }
    }
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "they are given up after 10 s, and nobody waits for that"
    );
    for id in stuck {
        assert_eq!(wire.answer(id).unwrap().unwrap_err().kind, ErrorKind::Timeout);
    }
}

#[test]
fn what_was_sent_behind_a_verb_that_keeps_its_thread_is_answered_before_it_and_nothing_is_lost() {
    let server = Server::start_program("astray", &["--no-tls"]);
    server.add_user("alice", &[]);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    let awake = |wire: &mut Wire, ids: Vec<u32>| {
        for id in ids {
            assert_eq!(wire.answer(id).unwrap().unwrap().text.as_deref(), Some("awake"));
        }
    };
    // 100 ms are none of the watchdog's business; the others get another leader, several of them at once and one after the other.
    for naps_ms in [&[500][..], &[100], &[300, 500, 700], &[0, 220, 180, 210], &[500]] {
        let begun = Instant::now();
        let (mut naps, mut quick) = (Vec::new(), Vec::new());
        for ms in naps_ms {
            quick.push(wire.start("shout", &json!({"text": "x"}), None).unwrap());
            naps.push(wire.start("naps", &json!({"ms": ms}), None).unwrap());
            for _ in 0..3 {
                quick.push(wire.start("shout", &json!({"text": "x"}), None).unwrap());
            }
        }
        for id in quick {
            assert_eq!(wire.answer(id).unwrap().unwrap().text.as_deref(), Some("X"));
        }
        let is_before = begun.elapsed() < Duration::from_millis(500);
        assert!(is_before || naps_ms != [500], "those behind waited for it");
        awake(&mut wire, naps);
        // And what is said after all of that.
        wire.call("shout", &json!({"text": "x"})).unwrap().unwrap();
    }
    assert_eq!(server.stop().0, 0);
}

/// The frame of a request for a text in capitals, or for a nap.
fn request(id: u32, verb: &str, args: &Value) -> Vec<u8> {
    let request = Request {
        id,
        verb: verb.into(),
        cwd: RemotePath::from("/"),
        body: None,
    };
    let mut frame = Vec::new();
    request
        .encode_with(&rmp_serde::to_vec_named(args).unwrap(), &mut frame)
        .unwrap();
    frame
}

#[test]
fn a_request_with_a_frame_behind_it_that_nobody_knows_is_answered() {
    let server = Server::start_program("astray", &["--no-tls"]);
    server.add_user("alice", &[]);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    wire.call("shout", &json!({"text": "x"})).unwrap().unwrap();
    // In one write, and nothing more until the answer is here.
    let frames = [request(2, "shout", &json!({"text": "x"})), vec![0, 0, 0, 1, 0xf0, 0]].concat();
    wire.stream().write_all(&frames).unwrap();
    wire.stream().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(wire.answer(2).unwrap().unwrap().text.as_deref(), Some("X"));
}

#[test]
fn a_request_with_a_broken_frame_behind_it_has_its_line_in_the_log() {
    let server = Server::start_program("astray", &["--no-tls"]);
    server.add_user("alice", &[]);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    wire.call("shout", &json!({"text": "x"})).unwrap().unwrap();
    let mut frames: Vec<u8> = (2..5).flat_map(|id| request(id, "shout", &json!({"text": "x"}))).collect();
    frames.extend_from_slice(&[0, 0, 0, 0, 0x70]);
    wire.stream().write_all(&frames).unwrap();
    wire.stream().read_to_end(&mut Vec::new()).unwrap();
    let log = server.stop().1;
    assert_eq!(log.matches("audit=\"request\"").count(), 4, "{log}");
}

#[test]
fn many_short_naps_hold_up_neither_answers_nor_what_their_client_says_next() {
    let server = Server::start_program("astray", &["--no-tls"]);
    server.add_user("alice", &[]);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    wire.call("shout", &json!({"text": "x"})).unwrap().unwrap();
    // Each too short for the watchdog, and 4.5 s in all.
    let naps = (3..33).flat_map(|id| request(id, "naps", &json!({"ms": 150})));
    let frames: Vec<u8> = request(2, "shout", &json!({"text": "x"})).into_iter().chain(naps).collect();
    let begun = Instant::now();
    wire.stream().write_all(&frames).unwrap();
    wire.answer(2).unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for id in 3..33 {
        wire.answer(id).unwrap().unwrap();
    }
}

#[test]
fn a_user_who_is_disabled_is_out_though_his_verb_keeps_its_thread() {
    let server = Server::start_program("astray", &["--no-tls"]);
    server.add_user("alice", &[]);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    wire.start("blocks", &json!({}), None).unwrap();
    let who = || server.admin(&["who", "--json"], "").expect(0).json();
    let since = Instant::now();
    while !who().iter().any(|row| row.to_string().contains("blocks")) {
        assert!(since.elapsed() < Duration::from_secs(10), "it runs");
    }
    server.admin(&["user", "disable", "alice"], "").expect(0);
    let since = Instant::now();
    let ended = wire.call("shout", &json!({"text": "x"}));
    assert!(ended.is_err() || ended.unwrap().is_err());
    while !who().is_empty() {
        assert!(since.elapsed() < Duration::from_secs(5), "his session stays: {:?}", who());
    }
}

#[test]
fn verbs_that_keep_their_threads_are_walked_around_though_their_clients_have_left() {
    let server = Server::start_program("astray", &["--no-tls"]);
    server.add_user("alice", &[]);
    let mut other = Wire::login(server.address, "alice").unwrap();
    // More than there are threads. Each is seen to keep its thread before its client leaves.
    for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) + 1 {
        let mut wire = Wire::login(server.address, "alice").unwrap();
        wire.start("blocks", &json!({}), None).unwrap();
        wire.call("shout", &json!({"text": "x"})).unwrap().unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    let since = Instant::now();
    other.call("shout", &json!({"text": "x"})).unwrap().unwrap();
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "others wait for {:?}",
        since.elapsed()
    );
}

#[test]
fn a_server_that_is_stopped_for_a_moment_loses_no_connection() {
    let server = Server::start_program("astray", &["--no-tls"]);
    server.add_user("alice", &[]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let mut wire = Wire::login(server.address, "alice").unwrap();
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut rounds = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let ids: Vec<u32> = (0..16)
                            .map(|_| wire.start("shout", &json!({"text": "x"}), None).unwrap())
                            .collect();
                        for id in ids {
                            assert_eq!(wire.answer(id).unwrap().unwrap().text.as_deref(), Some("X"));
                        }
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        // Longer than the watchdog takes for a verb that keeps its thread.
        for _ in 0..6 {
            server.signal("-STOP");
            std::thread::sleep(Duration::from_millis(260));
            server.signal("-CONT");
            std::thread::sleep(Duration::from_millis(70));
        }
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().unwrap() > 6, "it went on");
        }
    });
}

#[test]
fn endless_loops_cost_their_requests_alone() {
    let server = astray();
    let threads = std::thread::available_parallelism().map_or(2, usize::from) + 2;
    std::thread::scope(|scope| {
        let stuck: Vec<_> = (0..threads)
            .map(|n| {
                let server = &server;
                scope.spawn(move || server.ferry("alice", &[if n % 2 == 0 { "spins" } else { "blocks" }]))
            })
            .collect();
        // Others are served while every thread that the executor started with is taken.
        let start = Instant::now();
        while server.admin(&["who", "--json"], "").expect(0).json().len() < threads {
            assert!(start.elapsed() < Duration::from_secs(30), "the stuck ones are in");
        }
        for _ in 0..5 {
            let start = Instant::now();
            assert_eq!(server.ferry("alice", &["shout", "alive"]).expect(0).out, "ALIVE\n");
            assert!(start.elapsed() < Duration::from_secs(10));
        }
        // The stuck ones are given up and told so.
        for stuck in stuck {
            let ran = stuck.join().unwrap();
            assert!(ran.code != 0 && ran.err.contains("timeout"), "{ran:?}");
        }
    });
    server.ferry("alice", &["shout", "still alive"]).expect(0);
}

/// Calls that are measured while others go astray; `FERRY_ASTRAY=20000` is the long form.
fn calls() -> usize {
    let given = std::env::var("FERRY_ASTRAY").ok().and_then(|text| text.parse().ok());
    given.unwrap_or(1000)
}

/// How long calls of somebody else take, who rests a little after each.
fn measure(wire: &mut Wire, calls: usize) -> Vec<Duration> {
    let one = |_| {
        std::thread::sleep(Duration::from_millis(2));
        let start = Instant::now();
        wire.call("shout", &json!({"text": "x"})).unwrap().unwrap();
        start.elapsed()
    };
    (0..calls).map(one).collect()
}

#[test]
fn whatever_a_verb_does_only_its_request_fails_and_others_wait_no_longer() {
    let server = Server::start_program("astray", &["--no-tls"]);
    server.add_user("alice", &["--quota", "1MiB"]);
    server.add_user("bob", &[]);
    let login = |user| Wire::login(server.address, user).unwrap();
    let mut bob = login("bob");
    measure(&mut bob, 50);
    let mut quiet = measure(&mut bob, calls());
    let before = server.peak_resident_bytes();
    let is_over = AtomicBool::new(false);
    let again_and_again = |verb: &'static str, args: Value, kind: ErrorKind| {
        let (mut wire, is_over) = (login("alice"), &is_over);
        move || {
            let mut times = 0;
            while !is_over.load(Ordering::Relaxed) || times == 0 {
                assert_eq!(wire.call(verb, &args).unwrap().unwrap_err().kind, kind, "{verb}");
                // The connection is as it was.
                wire.call("shout", &json!({"text": "x"})).unwrap().unwrap();
                times += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            times
        }
    };
    let (mut beside, times) = std::thread::scope(|scope| {
        // One that keeps a processor, one that keeps a thread, two that are never through.
        let mut lost = ["spins", "blocks"].map(|verb| {
            let mut wire = login("alice");
            let id = wire.start(verb, &json!({}), None).unwrap();
            (wire, id)
        });
        let mut endless = [&["floods", "10GiB"][..], &["piles", "10GiB"]].map(|args| {
            let mut client = server.client("alice", &[]);
            let client = client
                .args(args)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            let mut client = client.spawn().unwrap();
            // They are under way when something comes; most of it is left where it is.
            client.stdout.as_mut().unwrap().read_exact(&mut [0; 4096]).unwrap();
            client
        });
        let failing = [
            scope.spawn(again_and_again("panics", json!({}), ErrorKind::Internal)),
            scope.spawn(again_and_again(
                "overfills",
                json!({"size": 10_u64 << 30}),
                ErrorKind::OverQuota,
            )),
            scope.spawn(again_and_again("tells", json!({"size": 10 << 20}), ErrorKind::TooLarge)),
        ];
        let beside = measure(&mut bob, calls());
        is_over.store(true, Ordering::Relaxed);
        let times = failing.map(|failing| failing.join().unwrap());
        for client in &mut endless {
            assert!(client.try_wait().unwrap().is_none(), "they go on meanwhile");
            client.kill().unwrap();
            client.wait().unwrap();
        }
        for (wire, id) in &mut lost {
            assert_eq!(wire.answer(*id).unwrap().unwrap_err().kind, ErrorKind::Timeout);
        }
        (beside, times)
    });
    let [[quiet_median, quiet_p99], [median, p99]] =
        [&mut quiet, &mut beside].map(|taken| [quantile(taken, 0.5), quantile(taken, 0.99)]);
    let grown = server.peak_resident_bytes().saturating_sub(before);
    println!(
        "{} calls: quiet {quiet_median:?} in the median, {quiet_p99:?} at p99; beside verbs that go astray {median:?} and {p99:?}; \
         {times:?} failures meanwhile; the server grew by {} KiB",
        calls(),
        grown >> 10
    );
    let home = ferry_tests::files_below(&server.data().join("homes/alice"));
    assert!(home.is_empty(), "{home:?}");
    assert!(grown < 128 << 20, "grew by {grown} bytes");
    assert!(p99 < Duration::from_secs(2), "{p99:?}");
    server.ferry("alice", &["shout", "alive"]).expect(0);
}
