//! Verbs that go astray cost their own request, and a verb that no client was built with works all the same.

use std::time::{Duration, Instant};

use ferry_tests::{Server, skipped};

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
    assert!(server.log().contains("on purpose"), "{}", server.log());
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
