//! Transfers that were cut off: taken up where they stopped, and never onto other bytes.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use ferry_tests::{PATIENCE, Server, noise, write};

const SIZE: usize = 8 << 20;
/// A transfer is cut when so much of it is there.
const CUT: u64 = 2 << 20;

fn start(server: &Server, args: &[&str]) -> Child {
    let mut client = server.client("alice", &["-q", "--limit-rate", "3MiB"]);
    client
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until `is_there`, then kills the client without warning.
fn cut(mut client: Child, mut is_there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(
            start.elapsed() < PATIENCE && client.try_wait().unwrap().is_none(),
            "the transfer can be cut half-way"
        );
    }
    client.kill().unwrap();
    client.wait().unwrap();
}

fn cut_upload(server: &Server, args: &[&str]) {
    cut(start(server, args), || {
        let partials = server.ferry_json("alice", &["partials"]).expect(0).json();
        partials
            .first()
            .is_some_and(|partial| partial["received"].as_u64().unwrap() >= CUT)
    });
}

fn with_alice() -> (Server, Vec<u8>) {
    let server = Server::start();
    server.add_user("alice", &["--quota", "20MiB"]);
    let bytes = noise(SIZE, 21);
    write(&server.local(), "big.bin", &bytes);
    (server, bytes)
}

fn touch_like(path: &Path, other: std::time::SystemTime) {
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(other)
        .unwrap();
}

#[test]
fn an_upload_goes_on_where_it_was_cut_also_after_a_restart() {
    let (server, bytes) = with_alice();
    cut_upload(&server, &["upload", "big.bin"]);
    let home = server.data().join("homes/alice");
    assert!(ferry_tests::files_below(&home).is_empty(), "nothing unfinished is visible");
    assert_eq!(server.ferry_json("alice", &["quota"]).expect(0).json()[0]["reserved"], SIZE);
    let server = server.kill_and_restart();
    assert_eq!(server.ferry_json("alice", &["quota"]).expect(0).json()[0]["reserved"], SIZE);
    let events = server.ferry_json("alice", &["upload", "big.bin"]).expect(0).json();
    let (open, done) = (&events[0], events.last().unwrap());
    let offset = open["offset"].as_u64().unwrap();
    assert!(open["code"] == 1002 && offset >= CUT, "{open}");
    assert_eq!(done["sent"].as_u64(), Some(SIZE as u64 - offset));
    assert_eq!(std::fs::read(server.data().join("homes/alice/big.bin")).unwrap(), bytes);
    assert_eq!(server.ferry_json("alice", &["quota"]).expect(0).json()[0]["reserved"], 0);
    assert!(server.ferry_json("alice", &["partials"]).expect(0).json().is_empty());
}

#[test]
fn a_source_that_changed_between_cut_and_resume_is_sent_anew() {
    let (server, mut bytes) = with_alice();
    cut_upload(&server, &["upload", "big.bin"]);
    // Same size, same time, another first byte: a name, a size or a time proves nothing.
    let path = server.local().join("big.bin");
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    bytes[0] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    touch_like(&path, time);
    let events = server.ferry_json("alice", &["upload", "big.bin"]).expect(0).json();
    assert_eq!(events.last().unwrap()["sent"].as_u64(), Some(SIZE as u64));
    assert_eq!(std::fs::read(server.data().join("homes/alice/big.bin")).unwrap(), bytes);
}

#[test]
fn an_unfinished_upload_can_be_thrown_away() {
    let (server, _) = with_alice();
    cut_upload(&server, &["upload", "big.bin"]);
    let id = server.ferry_json("alice", &["partials"]).expect(0).json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    server.ferry("alice", &["partials", "rm", "0000"]).expect(4);
    server.ferry("alice", &["partials", "rm", &id]).expect(0);
    assert_eq!(server.ferry_json("alice", &["quota"]).expect(0).json()[0]["reserved"], 0);
    assert!(ferry_tests::files_below(&server.data().join("staging")).is_empty());
}

#[test]
fn a_download_goes_on_where_it_was_cut_but_not_onto_another_version() {
    let (server, bytes) = with_alice();
    server.ferry("alice", &["upload", "big.bin"]).expect(0);
    let part = server.local().join("back.bin.ferry-part");
    let cut_download = || {
        cut(start(&server, &["download", "big.bin", "back.bin"]), || {
            std::fs::metadata(&part).is_ok_and(|part| part.len() >= CUT)
        })
    };
    cut_download();
    assert!(!server.local().join("back.bin").exists(), "nothing unfinished has the name");
    let events = server
        .ferry_json("alice", &["download", "big.bin", "back.bin"])
        .expect(0)
        .json();
    assert!(
        events[0]["code"] == 1002 && events[0]["offset"].as_u64().unwrap() >= CUT,
        "{}",
        events[0]
    );
    assert_eq!(std::fs::read(server.local().join("back.bin")).unwrap(), bytes);

    std::fs::remove_file(server.local().join("back.bin")).unwrap();
    cut_download();
    let newer = noise(SIZE, 22);
    write(&server.local(), "big.bin", &newer);
    server.ferry("alice", &["upload", "big.bin"]).expect(0);
    let events = server
        .ferry_json("alice", &["download", "big.bin", "back.bin"])
        .expect(0)
        .json();
    assert_eq!(events[0]["code"], 1001);
    assert_eq!(std::fs::read(server.local().join("back.bin")).unwrap(), newer);
}

#[test]
fn a_stream_that_was_cut_off_does_not_block_its_name() {
    use std::io::Write as _;
    let (server, bytes) = with_alice();
    let mut client = server.client("alice", &["-q"]);
    let mut client = client
        .args(["upload", "-", "--as", "stream"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(&bytes[..4 << 20]).unwrap();
    cut(client, || {
        let quota = server.ferry_json("alice", &["quota"]).expect(0).json();
        quota[0]["reserved"].as_u64().unwrap() >= CUT
    });
    let mut again = server.client("alice", &["-q"]);
    ferry_tests::run_with_input(again.args(["upload", "-", "--as", "stream"]), b"hello").expect(0);
    assert_eq!(std::fs::read(server.data().join("homes/alice/stream")).unwrap(), b"hello");
    assert_eq!(server.ferry_json("alice", &["quota"]).expect(0).json()[0]["reserved"], 0);
}
