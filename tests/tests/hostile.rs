//! Hostile peers on a raw socket: each costs itself its connection, and nobody else anything.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ferry_core::wire::frame::{HEADER_BYTES, Header, Kind};
use ferry_core::wire::guard::Map;
use ferry_core::wire::message::{Fail, Hello, Login, Message, Offer, Request};
use ferry_tests::Server;
use ferry_tests::wire::Wire;
use serde_json::json;

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn frame(message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes).unwrap();
    bytes
}

fn raw(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[..], &[kind], payload].concat()
}

/// Everything the server says until it hangs up.
fn until_closed(mut stream: TcpStream) -> Vec<(Kind, Vec<u8>)> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("the server does not hang up: {error}"),
        _ => {}
    }
    let mut frames = Vec::new();
    let mut rest = &bytes[..];
    while rest.len() >= HEADER_BYTES {
        let len = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        frames.push((
            Kind::from_byte(rest[4]).unwrap(),
            rest[HEADER_BYTES..HEADER_BYTES + len].to_vec(),
        ));
        rest = &rest[HEADER_BYTES + len..];
    }
    frames
}

fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = vec![0x81, 0xa1, b'x'];
    bytes.extend(std::iter::repeat_n(0x91, levels));
    bytes.push(0xc0);
    bytes
}

#[test]
fn a_broken_frame_costs_the_connection_and_nothing_else() {
    let server = Server::start_plain();
    server.add_user("alice", &[]);
    let before = server.resident_bytes();
    let hello = frame(&Hello::new("test"));
    let duplicate = [0x82, 0xa1, b'a', 0x01, 0xa1, b'a', 0x02];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("four gigabytes", vec![0xff, 0xff, 0xff, 0xff, 0x01]),
        ("four gigabytes of data", vec![0xff, 0xff, 0xff, 0xff, 0x40]),
        ("unknown kind", raw(0x7e, b"")),
        ("nested 3,000 deep", raw(0x01, &nested(3_000))),
        ("nested after hello", [hello.clone(), raw(0x02, &nested(3_000))].concat()),
        ("an array", raw(0x01, &[0x91, 0x01])),
        ("trailing bytes", raw(0x01, &[0x80, 0xc0])),
        ("duplicate keys", raw(0x01, &duplicate)),
        ("not msgpack", raw(0x01, b"GET / HTTP/1.1\r\n\r\n")),
        ("plain text", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        (
            "another protocol",
            frame(&Hello {
                proto: 99,
                ..Hello::new("test")
            }),
        ),
        (
            "unknown required feature",
            frame(&Hello {
                required: vec!["telepathy".into()],
                ..Hello::new("test")
            }),
        ),
        (
            "unknown mechanism",
            [
                hello.clone(),
                frame(&Login {
                    mechanism: "PLAIN".into(),
                    data: b"\0a\0b".to_vec(),
                }),
            ]
            .concat(),
        ),
        (
            "login that is none",
            [
                hello.clone(),
                frame(&Login {
                    mechanism: "SCRAM-SHA-256".into(),
                    data: b"\xff".to_vec(),
                }),
            ]
            .concat(),
        ),
        (
            "request before login",
            [
                hello.clone(),
                frame(&Request {
                    id: 1,
                    verb: "ls".into(),
                    cwd: "/".into(),
                    body: None,
                }),
            ]
            .concat(),
        ),
        (
            "data before login",
            [hello.clone(), Header::write_data(1, 4).to_vec(), b"data".to_vec()].concat(),
        ),
        ("large frame before login", raw(0x01, &[0; 5000])),
    ];
    for (name, bytes) in &cases {
        let mut stream = connect(&server);
        // The server may have hung up before all is written.
        let _ = stream.write_all(bytes);
        let frames = until_closed(stream);
        let fail = frames.last().filter(|(kind, _)| *kind == Kind::Fail);
        let fail = fail.map(|(_, payload)| Fail::decode(&Map::check(payload).unwrap()).unwrap());
        assert!(fail.as_ref().is_some_and(|fail| fail.id == 0), "{name}: {frames:?}");
    }
    server.ferry("alice", &["ls"]).expect(0);
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "grew by {grown} bytes");
}

#[test]
fn twenty_thousand_levels_from_a_user_end_his_connection_only() {
    let server = Server::start_plain();
    server.add_user("alice", &[]);
    // More than a frame before login may have: refused by its header. The guard itself is tested in core on all of it.
    let mut stream = connect(&server);
    let _ = stream.write_all(&raw(0x01, &nested(20_000)));
    assert!(until_closed(stream).iter().any(|(kind, _)| *kind == Kind::Fail));
    server.ferry("alice", &["ls"]).expect(0);
}

#[test]
fn half_a_frame_and_silence_holds_nobody_up() {
    let server = Server::start_plain();
    server.add_user("alice", &[]);
    let half = [&frame(&Hello::new("test"))[..], &[0, 0, 0, 100, 0x02, 0x82]].concat();
    let silent: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(&half).unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    server.ferry("alice", &["ls"]).expect(0);
    assert!(start.elapsed() < Duration::from_secs(10));
    drop(silent);
    server.ferry("alice", &["ls"]).expect(0);
}

#[test]
fn who_never_pauses_keeps_nobody_waiting_and_can_be_ended() {
    let server = Server::start_plain();
    server.add_user("mallory", &[]);
    server.add_user("bob", &[]);
    // More of them than the server has threads, each with frames that everybody passes over.
    let floods: Vec<_> = (0..6)
        .map(|_| {
            let mut wire = Wire::login(server.address, "mallory").unwrap();
            let frames = raw(0x80, b"").repeat(10_000);
            std::thread::spawn(move || while wire.stream().write_all(&frames).is_ok() {})
        })
        .collect();
    for _ in 0..3 {
        server.ferry("bob", &["pwd"]).expect(0);
    }
    server.admin(&["user", "disable", "mallory"], "").expect(0);
    let since = Instant::now();
    for flood in floods {
        flood.join().unwrap();
    }
    assert!(since.elapsed() < Duration::from_secs(20), "it took {:?}", since.elapsed());
    assert_eq!(server.admin(&["who"], "").expect(0).out, "");
}

#[test]
fn a_pattern_that_matches_too_much_is_refused_before_it_is_gathered() {
    let server = Server::start_plain();
    server.add_user("alice", &[]);
    server.ferry("alice", &["mkdir", "x"]).expect(0);
    // As large as it can be: paths near their longest, and more of them than may be gathered.
    let name = "n".repeat(250);
    let mut folder = server.data().join("homes/alice");
    for _ in 0..14 {
        folder.push(&name);
        std::fs::create_dir(&folder).unwrap();
    }
    for number in 0..1000 {
        std::fs::write(folder.join(format!("{number:0>250}")), "").unwrap();
    }
    let deep = "n*/".repeat(14);
    let few = server.ferry("alice", &["ls", &format!("{deep}*00")]).expect(0);
    assert_eq!(few.out.lines().count(), 10);
    let refused = server.ferry("alice", &["ls", &format!("{deep}*")]).expect(1);
    assert!(
        refused.err.contains("too_large") && refused.err.contains("too many names"),
        "{}",
        refused.err
    );
}

#[test]
fn contents_for_a_verb_that_takes_none_are_nobodys() {
    let server = Server::start_plain();
    server.add_user("alice", &[]);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    for verb in ["pwd", "nonsense"] {
        let offer = Offer {
            eager: true,
            ..Offer::default()
        };
        let id = wire.start(verb, &json!({}), Some(offer)).unwrap();
        let mut data = Header::write_data(id, 70_000).to_vec();
        data.resize(data.len() + 70_000, 7);
        wire.stream().write_all(&data).unwrap();
        wire.end(id, 70_000, ferry_core::Algorithm::Md5.digest(b"")).unwrap();
        assert_eq!(wire.answer(id).unwrap().is_ok(), verb == "pwd");
    }
    wire.call("pwd", &json!({})).unwrap().unwrap();
}
