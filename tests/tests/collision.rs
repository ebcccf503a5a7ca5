//! Two files with one MD5 (Wang, Feng, Lai, Yu: Collisions for Hash Functions MD4, MD5, HAVAL-128 and RIPEMD, 2004): the bytes
//! that were sent last are the ones that are there.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::time::{Duration, Instant, SystemTime};

use ferry_core::Algorithm;
use ferry_core::wire::message::Offer;
use ferry_tests::wire::{Wire, is_prefix};
use ferry_tests::{PATIENCE, Server, noise, write};
use serde_json::json;

const A: &str = "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a\
                 085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0\
                 e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70";
const B: &str = "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f8955ad340609f4b30283e4888325f1415a\
                 085125e8f7cdc99fd91dbd7280373c5bd8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0\
                 e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70";
/// How much of the first file is sent before it is cut off, in bytes.
const CUT: usize = 600_000;
/// The same time for both, in nanoseconds since 1970-01-01 UTC.
const TIME: i64 = 1_500_000_000_000_000_000;

/// The pair, with the same bytes behind both.
fn pair(tail: usize) -> (Vec<u8>, Vec<u8>) {
    let block = |hex: &str| {
        let digits = hex.as_bytes().chunks(2);
        let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
        bytes.chain(noise(tail, 9)).collect::<Vec<u8>>()
    };
    let (a, b) = (block(A), block(B));
    assert!(a != b && a.len() == b.len() && a.len() == 128 + tail);
    assert_eq!(Algorithm::Md5.digest(&a), Algorithm::Md5.digest(&b));
    (a, b)
}

fn start() -> Server {
    let server = Server::start_plain();
    server.add_user("alice", &[]);
    server
}

/// Writes the file that the client sends, always with the same time. `anew` makes another file of it.
fn source(server: &Server, bytes: &[u8], anew: bool) {
    if anew {
        let _ = std::fs::remove_file(server.local().join("x.bin"));
    }
    let path = write(&server.local(), "x.bin", bytes);
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(TIME.unsigned_abs());
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

fn stored(server: &Server) -> Vec<u8> {
    std::fs::read(server.data().join("homes/alice/x.bin")).unwrap()
}

fn offer(size: usize) -> Offer {
    Offer {
        size: Some(size as u64),
        modified: Some(TIME),
        ..Offer::default()
    }
}

/// Sends the beginning of a file by hand and goes away.
fn leave_unfinished(server: &Server, name: &str, bytes: &[u8], expected: bool) {
    let mut wire = Wire::login(server.address, "alice").unwrap();
    let offer = Offer {
        expected: expected.then(|| Algorithm::Md5.digest(bytes)),
        ..offer(bytes.len())
    };
    let (id, _) = wire.open(name, offer).unwrap().unwrap();
    wire.send(id, &bytes[..CUT]).unwrap().unwrap();
    // What is under way when a connection ends may be lost, so it ends when all is written.
    let mut other = Wire::login(server.address, "alice").unwrap();
    let start = Instant::now();
    while other
        .partials()
        .unwrap()
        .first()
        .is_none_or(|partial| partial["received"] != CUT)
    {
        assert!(start.elapsed() < PATIENCE, "what was sent arrives");
    }
}

#[test]
fn the_second_of_two_files_with_one_md5_replaces_the_first() {
    let server = start();
    let (plain, compared) = (&["upload", "x.bin"][..], &["upload", "--checksum", "x.bin"][..]);
    // In the same file and in a new one, small and large, as it comes and compared by digest.
    for (tail, anew, line) in [
        (0, false, plain),
        (0, true, compared),
        (1_000_000, false, compared),
        (1_000_000, true, plain),
    ] {
        let (a, b) = pair(tail);
        source(&server, &a, true);
        server.ferry("alice", line).expect(0);
        assert!(stored(&server) == a);
        source(&server, &b, anew);
        server.ferry("alice", line).expect(0);
        assert!(
            stored(&server) == b,
            "{line:?}, tail {tail}, new file: {anew}: the first file's bytes"
        );
        let mut wire = Wire::login(server.address, "alice").unwrap();
        wire.call("rm", &json!({"path": ["x.bin"]})).unwrap().unwrap();
    }
}

#[test]
fn an_upload_does_not_go_on_behind_the_other_files_beginning() {
    let (a, b) = pair(1_000_000);
    let server = start();
    for (name, expected) in [("x.bin", false), ("x.bin", true), ("elsewhere.bin", true)] {
        leave_unfinished(&server, name, &a, expected);
        source(&server, &b, true);
        server.ferry("alice", &["upload", "x.bin"]).expect(0);
        assert!(stored(&server) == b, "{name}, digest known: {expected}: a mixture");
        let mut wire = Wire::login(server.address, "alice").unwrap();
        wire.call("rm", &json!({"path": ["x.bin"]})).unwrap().unwrap();
        for partial in wire.partials().unwrap() {
            wire.call("partials", &json!({"action": "rm", "id": [partial["id"]]}))
                .unwrap()
                .unwrap();
        }
    }
}

/// The control: with the check of the prefix left out, the same steps end with the first file's beginning, and MD5 does not tell.
#[test]
fn without_the_check_of_the_prefix_the_result_is_the_wrong_file() {
    let (a, b) = pair(1_000_000);
    let server = start();
    leave_unfinished(&server, "x.bin", &a, false);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    let (id, begin) = wire.open("x.bin", offer(b.len())).unwrap().unwrap();
    assert_eq!((begin.code, begin.offset), (1002, CUT as u64));
    assert!(!is_prefix(&begin, &b) && is_prefix(&begin, &a), "the check would have told");
    wire.send(id, &b[CUT..]).unwrap().unwrap();
    wire.end(id, b.len() as u64, Algorithm::Md5.digest(&b)).unwrap();
    wire.answer(id).unwrap().unwrap();
    assert!(stored(&server) == a);
}
