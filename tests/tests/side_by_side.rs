//! Transfers side by side, with the real programs: how many connections there are, and what a stop does to all of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ferry_tests::{PATIENCE, Ran, Server, files_below, noise, run_with_input, write};

const FILES: usize = 8;
/// Of one file: more than is sent without asking.
const LEN: usize = 300 * 1024;

/// How many logins the server has seen, once all of them have left again.
fn logins(server: &Server) -> usize {
    let count = |what: &str| server.log().matches(what).count();
    until("all sessions end", || count("audit=\"login\"") == count(" left "));
    count("audit=\"login\"")
}

/// Waits for something that takes a moment.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn with_j_there_are_that_many_connections_and_all_arrives() {
    let server = Server::start();
    server.add_user("alice", &[]);
    let local = server.local();
    let names: Vec<String> = (0..FILES).map(|number| format!("f{number}")).collect();
    fs::create_dir(local.join("t")).unwrap();
    for (name, seed) in names.iter().zip(0..) {
        write(&local.join("t"), name, &noise(LEN, seed));
    }
    let run = |options: &[&str], verb: &[&str]| {
        let before = logins(&server);
        run_with_input(server.client("alice", options).args(verb), b"").expect(0);
        until("the login is logged", || logins(&server) > before);
        logins(&server) - before
    };
    // Slow enough that each of them is still under way when the next one begins.
    assert_eq!(run(&["-j", "4", "--limit-rate", "4MiB"], &["put", "-r", "t"]), 4);
    assert_eq!(run(&["--limit-rate", "4MiB"], &["put", "-r", "t", "again"]), 1);
    let sources: Vec<String> = names.iter().map(|name| format!("t/{name}")).collect();
    let get: Vec<&str> = ["get"]
        .into_iter()
        .chain(sources.iter().map(String::as_str))
        .chain(["."])
        .collect();
    assert_eq!(run(&["-j", "3", "--limit-rate", "4MiB"], &get), 3);
    for name in &names {
        assert_eq!(
            fs::read(local.join(name)).unwrap(),
            fs::read(local.join("t").join(name)).unwrap()
        );
    }
    assert_eq!(files_below(&local).len(), 2 * FILES, "no part is left");
    until("all sessions end", || {
        server.admin(&["who", "--json"], "").expect(0).out.trim().len() <= 2
    });
}

#[test]
fn an_interrupt_pauses_all_and_the_same_command_goes_on() {
    let server = Server::start();
    server.add_user("alice", &[]);
    let local = server.local();
    let names = ["a", "b", "c"];
    for (name, seed) in names.iter().zip(0..) {
        write(&local, name, &noise(8 << 20, seed));
    }
    let child = server
        .client("alice", &["-j", "3", "--limit-rate", "3MiB"])
        .args(["put", "a", "b", "c", "."])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("all are under way", || {
        let partials = server.ferry_json("alice", &["partials"]).expect(0).json();
        partials
            .iter()
            .filter(|partial| partial["received"].as_u64() > Some(0))
            .count()
            == names.len()
    });
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let ran = Ran::from_output(child.wait_with_output().unwrap()).expect(10);
    let paused = ran.err.lines().find(|line| line.starts_with("paused")).unwrap();
    for name in names {
        assert!(paused.contains(&format!("{name} at ")), "{paused}");
    }
    let again = run_with_input(
        server
            .client("alice", &["-j", "3", "--json"])
            .args(["put", "a", "b", "c", "."]),
        b"",
    );
    let events = again.expect(0).json();
    let resumed = events.iter().filter(|event| event["code"] == 1002).count();
    assert_eq!(resumed, names.len(), "{events:?}");
}
