//! The server's memory does not grow with the size of a file. Short here; `FERRY_MEMORY_MIB=1024` is the long form.

use std::io::Write as _;

use ferry_tests::{Server, noise};

/// The most that the server may grow by, in bytes.
const GROWTH_MAX_BYTES: u64 = 32 << 20;

#[test]
fn a_large_file_up_and_down_leaves_the_server_small() {
    let mib: u64 = std::env::var("FERRY_MEMORY_MIB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(192);
    let server = Server::start();
    server.add_user("alice", &[]);
    server.ferry("alice", &["ls"]).expect(0);
    let path = server.local().join("big.bin");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    for block in 0..mib {
        file.write_all(&noise(1 << 20, block)).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    let before = server.peak_resident_bytes();
    let up = server.ferry_json("alice", &["upload", "big.bin"]).expect(0).json();
    assert_eq!(up.last().unwrap()["sent"].as_u64(), Some(mib << 20));
    server.ferry("alice", &["download", "big.bin", "back.bin"]).expect(0);
    let grown = server.peak_resident_bytes().saturating_sub(before);
    println!("{mib} MiB up and down: the server grew by {} KiB", grown >> 10);
    assert!(before > 0 && grown < GROWTH_MAX_BYTES, "grew by {grown} bytes");
    let same = std::process::Command::new("cmp")
        .args(["big.bin", "back.bin"])
        .current_dir(server.local())
        .status()
        .unwrap();
    assert!(same.success(), "what came back is not what was sent");
}
