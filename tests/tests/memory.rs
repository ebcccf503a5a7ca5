//! The server's memory does not grow with the size of a file, short here (`FERRY_MEMORY_MIB=1024` is the long form), and hardly with sessions
//! in which nothing happens.

use std::io::Write as _;

use ferry_core::login::Secret;
use ferry_core::login::token::Token;
use ferry_tests::{Server, noise, run_with_input, tls};

/// The most that the server may grow by, in bytes.
const GROWTH_MAX_BYTES: u64 = 32 << 20;
/// Sessions that do nothing: enough that what they take is seen beside what logging in leaves behind.
const SESSIONS: u64 = 200;
/// The most that one of them may take with TLS, in bytes. It is 22 KiB among a thousand; a task that keeps room for what is over takes 57.
const SESSION_MAX_BYTES: u64 = 40 << 10;

#[test]
fn an_idle_session_keeps_no_room_for_its_login() {
    let server = Server::start();
    server.add_user("alice", &[]);
    let file = server.local().join("config/logins");
    let mut saving = server.client("alice", &["--save-login"]);
    run_with_input(saving.env("FERRY_LOGINS", &file).arg("pwd"), b"").expect(0);
    let saved = std::fs::read_to_string(file).unwrap();
    let token: Token = saved.trim().rsplit_once(' ').unwrap().1.parse().unwrap();
    let open = |count: u64| -> Vec<_> {
        let one = |_| {
            let (mut peer, channel) = tls::connect(server.address).unwrap();
            peer.log_in_with(Secret::Token(token.clone()), channel).unwrap();
            peer
        };
        (0..count).map(one).collect()
    };
    // The first ones also pay for what the server keeps once.
    let first = open(SESSIONS / 4);
    let before = server.resident_bytes();
    let held = open(SESSIONS);
    let each = server.resident_bytes().saturating_sub(before) / SESSIONS;
    println!("{SESSIONS} idle sessions: {} KiB each", each >> 10);
    assert!(before > 0 && each < SESSION_MAX_BYTES, "{each} bytes each");
    drop((first, held));
}

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
