//! Bytes that rot on the server's disk never become a file elsewhere, and `verify` names the file.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::os::unix::fs::FileExt as _;

use ferry_tests::{Server, noise, write};

/// Changes one byte of a file where nobody sees it: size and time stay.
fn rot(path: &std::path::Path) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1_000_000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 1_000_000).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn what_rots_on_the_servers_disk_is_refused_and_found() {
    let server = Server::start_plain();
    server.add_user("alice", &[]);
    for digest in ["md5", "blake3"] {
        let content = noise(3 << 20, 5);
        write(&server.local(), "x.bin", &content);
        let stored = server.data().join("homes/alice/x.bin");
        let ferry = |words: &[&str]| server.ferry("alice", &[&["--digest", digest][..], words].concat());
        ferry(&["upload", "x.bin"]).expect(0);
        ferry(&["download", "x.bin", "--as", "right.bin"]).expect(0);
        assert!(std::fs::read(server.local().join("right.bin")).unwrap() == content);
        rot(&stored);
        let ran = ferry(&["download", "x.bin", "--as", "rotten.bin"]);
        assert!(ran.err.contains("digest_mismatch"), "{}", ran.err);
        let left = std::fs::read_dir(server.local()).unwrap();
        let left: Vec<_> = left.map(|item| item.unwrap().file_name()).collect();
        assert!(
            left.iter().all(|name| !name.to_string_lossy().starts_with("rotten")),
            "{left:?}"
        );
        let ran = ferry(&["verify"]);
        assert!(
            ran.code != 0 && ran.err.contains("/x.bin") && ran.err.contains("was stored"),
            "{}",
            ran.err
        );
        // Sent again, it is right again.
        ferry(&["upload", "x.bin"]).expect(0);
        assert!(std::fs::read(&stored).unwrap() == content);
        ferry(&["verify"]).expect(0);
        ferry(&["rm", "x.bin"]).expect(0);
    }
}
