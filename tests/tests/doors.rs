//! The doors, with real programs: keys that are trusted, unknown and changed, and servers that are not what they say.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

use ferry_tests::{PASSWORD, Server, run_with_input};

#[test]
fn a_key_is_known_from_first_sight_on_and_a_changed_one_is_a_hard_stop() {
    let server = Server::start();
    server.add_user("alice", &[]);
    let address = server.address.to_string();
    let refused = server.stranger(&address, &[]).expect(3);
    assert!(
        refused.err.contains(&server.key) && refused.err.contains("--accept-new"),
        "{}",
        refused.err
    );
    server.stranger(&address, &["--accept-new"]).expect(0);
    server.stranger(&address, &[]).expect(0);
    // The server's key is taken away from it, and it makes another one.
    let known = server.key.clone();
    std::fs::remove_file(server.data().join("key.pem")).unwrap();
    let file = server.local().join("known_hosts");
    let text = std::fs::read_to_string(&file).unwrap();
    let server = server.restart();
    assert_ne!(server.key, known);
    let moved = text.replace(&address, &server.address.to_string());
    std::fs::write(&file, moved).unwrap();
    for options in [&[][..], &["--accept-new"]] {
        let refused = server.stranger(&server.address.to_string(), options).expect(3);
        assert!(
            refused.err.contains(&known) && refused.err.contains(&server.key),
            "{}",
            refused.err
        );
    }
}

#[test]
fn a_pin_is_the_only_key_that_counts() {
    let server = Server::start();
    server.add_user("alice", &[]);
    let address = server.address.to_string();
    server.stranger(&address, &["--pin", &server.key]).expect(0);
    let other = format!("sha256:{}", "00".repeat(32));
    server.stranger(&address, &["--pin", &other]).expect(3);
    server.stranger(&address, &["--accept-new", "--pin", &other]).expect(3);
    server.stranger(&address, &["--pin", "sha256:00"]).expect(2);
}

#[test]
fn an_md5_account_logs_in_and_a_client_that_knew_scram_is_not_talked_into_it() {
    let server = Server::start();
    let made = server.admin(
        &["user", "add", "alice", "--auth", "md5", "--password-stdin"],
        &format!("{PASSWORD}\n"),
    );
    let made = made.expect(0);
    assert!(made.err.contains("HMAC-MD5"), "its weaker point is told: {}", made.err);
    let address = server.address.to_string();
    server.stranger(&address, &["--accept-new"]).expect(0);
    let wrong = run_with_input(server.client("alice", &["--password-stdin"]).arg("pwd"), b"wrong\n");
    wrong.expect(3);
    // The client has seen this user log in by SCRAM; the account that answers now asks for MD5.
    let file = server.local().join("known_hosts");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("md5"), "{text}");
    std::fs::write(&file, text.replace(" md5", " scram-sha-256")).unwrap();
    let refused = server.stranger(&address, &[]).expect(3);
    assert!(refused.err.contains("not allowed"), "{}", refused.err);
}

/// Stands between client and server, with TLS of its own on both sides or none at all.
fn relay(server: &Server, shift: impl Fn(usize, &mut [u8]) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let target = server.address;
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(target).unwrap();
        let (mut back, mut forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut back, &mut forth);
            let _ = forth.shutdown(Shutdown::Both);
        });
        let (mut bytes, mut at) = ([0; 4096], 0);
        while let Ok(len @ 1..) = client.read(&mut bytes) {
            shift(at, &mut bytes[..len]);
            at += len;
            if server.write_all(&bytes[..len]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    });
    address
}

#[test]
fn a_byte_changed_on_the_way_ends_the_connection_and_nothing_else() {
    let server = Server::start();
    server.add_user("alice", &[]);
    // In the first message of the handshake, behind it, and in the middle of the login.
    for changed in [30_usize, 300, 420] {
        let address = relay(&server, move |at, bytes| {
            if let Some(byte) = changed.checked_sub(at).and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1;
            }
        });
        let ran = server.stranger(&address, &["--pin", &server.key]);
        assert!([3, 8, 12].contains(&ran.code), "{changed}: {} {}", ran.code, ran.err);
    }
    let address = relay(&server, |_, _| {});
    server.stranger(&address, &["--pin", &server.key]).expect(0);
}

#[test]
fn a_server_without_tls_gets_no_login_and_the_reverse() {
    let plain = Server::start_plain();
    plain.add_user("alice", &[]);
    let ran = plain.stranger(&plain.address.to_string(), &["--accept-new"]);
    assert!([8, 12].contains(&ran.code), "{} {}", ran.code, ran.err);
    let server = Server::start();
    server.add_user("alice", &[]);
    let ran = server.stranger(&server.address.to_string(), &["--no-tls"]);
    assert!([8, 12].contains(&ran.code), "{} {}", ran.code, ran.err);
}
