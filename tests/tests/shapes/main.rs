//! Verbs of every shape through the real programs: a stream of rows, a body that is made as it goes and one that is unpacked, work that
//! tells how far it is, and what is for administrators alone. GNU tar is the referee for archives.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use ferry_tests::looks::small;
use ferry_tests::pty::Pty;
use ferry_tests::{PATIENCE, Server, noise, write};
use serde_json::Value;

mod archives;

fn server() -> Server {
    let server = Server::start_plain();
    server.add_user("alice", &[]);
    server.ferry("alice", &["ls"]).expect(0);
    server
}

fn home(server: &Server) -> std::path::PathBuf {
    server.data().join("homes/alice")
}

/// A tree with what is hard for archives.
fn grow(folder: &Path) {
    let deep = folder.join("d".repeat(90)).join("e".repeat(90));
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir_all(folder.join("empty")).unwrap();
    write(&deep, &"f".repeat(90), &noise(300_000, 1));
    write(folder, "empty.txt", b"");
    write(folder, "\u{e4} b\u{20ac}.txt", b"names");
    let script = write(folder, "run.sh", b"#!/bin/sh\n");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    let old = write(folder, "old.txt", b"old");
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    fs::File::open(old).unwrap().set_modified(time).unwrap();
}

/// Waits until nothing of a user runs any more.
fn until_idle(server: &Server, verb: &str) {
    let started = Instant::now();
    while server.admin(&["who"], "").expect(0).out.contains(verb) {
        assert!(started.elapsed() < PATIENCE, "{verb} still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_search_finds_by_name_kind_size_and_age() {
    let server = server();
    let docs = home(&server).join("docs");
    grow(&docs);
    let found = |args: &[&str]| server.ferry("alice", args).expect(0).out;
    assert_eq!(found(&["find", "docs", "--name", "*.sh"]), "docs/run.sh\n");
    assert_eq!(found(&["find", "docs", "--older", "1000d"]), "docs/old.txt\n");
    assert!(found(&["find", "--larger", "100k"]).ends_with(&format!("{}\n", "f".repeat(90))));
    assert_eq!(found(&["find", "docs/empty", "--type", "d"]), "docs/empty\n");
    let rows = server.ferry_json("alice", &["find", "--name", "old*"]).expect(0).json();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(
        (row["path"].as_str(), row["kind"].as_str(), row["size"].as_u64()),
        (Some("./docs/old.txt"), Some("file"), Some(3))
    );
    assert_eq!(row["modified"], "2009-02-13T23:31:30.123456789Z");
    // In the shell a pattern needs no quotes, for nothing there takes it for one.
    assert_eq!(
        server.script("alice", "find docs --name *.sh\n").expect(0).out,
        "docs/run.sh\n"
    );
}

#[test]
fn a_search_of_many_files_begins_at_once_and_stays_small() {
    let server = server();
    let many = home(&server).join("many");
    fs::create_dir_all(&many).unwrap();
    for n in 0..60_000 {
        fs::File::create(many.join(format!("{n:0100}"))).unwrap();
    }
    let before = server.peak_resident_bytes();
    let found = server.ferry("alice", &["find"]).expect(0).out;
    assert_eq!(found.lines().count(), 60_002);
    let grown = server.peak_resident_bytes().saturating_sub(before);
    // All names and places together would be more.
    assert!(before > 0 && grown < 12 << 20, "grew by {grown} bytes");
}

#[test]
fn long_work_tells_people_and_programs_how_far_it_is() {
    let server = server();
    fs::File::create(home(&server).join("hole"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let mut client = server.client("alice", &[]);
    client.args(["verify"]);
    let terminal = Pty::spawn_at(&client, small());
    terminal.wait_until("how far it is", |screen| {
        let shown = screen.contents();
        shown.contains("/hole") && shown.contains("/1,099,511,627,776") && shown.contains("0%")
    });
    terminal.send("\x03");
    assert_eq!(terminal.end().0, 10);
    until_idle(&server, "verify");
    // Programs get one object a second at most.
    let mut client = server.client("alice", &["--json"]);
    let mut client = client
        .arg("verify")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let told: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(
        (told["event"].as_str(), told["text"].as_str(), told["total"].as_u64()),
        (Some("progress"), Some("/hole"), Some(1 << 40))
    );
    client.kill().unwrap();
    client.wait().unwrap();
    until_idle(&server, "verify");
    fs::File::options()
        .write(true)
        .open(home(&server).join("hole"))
        .unwrap()
        .set_len(5 << 20)
        .unwrap();
    let told = server.ferry_json("alice", &["verify"]).expect(0).json();
    let last = told.last().unwrap();
    assert_eq!(
        (last["files"].as_u64(), last["bytes"].as_u64(), last["damaged"].as_u64()),
        (Some(1), Some(5 << 20), Some(0))
    );
}

#[test]
fn folders_are_read_through_and_one_that_is_missing_is_an_item_that_fails() {
    let server = server();
    fs::create_dir(home(&server).join("docs")).unwrap();
    for name in ["a", "b"] {
        write(&home(&server).join("docs"), name, name.as_bytes());
    }
    let ran = server.ferry("alice", &["verify", "docs"]).expect(0);
    assert!(ran.out.contains("damaged"), "{}", ran.out);
    fs::create_dir(home(&server).join("gone")).unwrap();
    let told = server.ferry_json("alice", &["verify", "docs", "nothing"]).expect(11).json();
    assert_eq!(told.iter().filter(|event| event["event"] == "error").count(), 1, "{told:?}");
}

#[test]
fn an_administrator_sees_every_verb_and_nobody_else_knows_of_it() {
    let server = server();
    server.add_user("root", &["--admin", "--deny", "rm"]);
    let out = server.ferry("root", &["verbs"]).expect(0).out;
    for line in [["rm ", "who may write"], ["verbs ", "administrators"], ["find ", "everybody"]] {
        assert!(
            out.lines().any(|row| row.starts_with(line[0]) && row.contains(line[1])),
            "{line:?} in {out}"
        );
    }
    assert_eq!(
        server
            .ferry("root", &["verbs", "--crate", "ferry-tar"])
            .expect(0)
            .out
            .lines()
            .count(),
        2
    );
    let ran = server.ferry("alice", &["verbs"]).expect(2);
    assert!(
        ran.err.contains("unknown_verb") && ran.err.contains("unknown verb `verbs`"),
        "{}",
        ran.err
    );
    assert!(server.admin(&["user", "list"], "").expect(0).out.contains("admin"));
    server.admin(&["user", "set", "root", "--admin=false"], "").expect(0);
    server.ferry("root", &["verbs"]).expect(2);
}
