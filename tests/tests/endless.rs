//! A server that never comes to an end, with the real client: it prints what comes, keeps none of it, and stops when it is told to.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use ferry_core::login::{Channel, Credential, EXPORTER_BYTES, EXPORTER_LABEL, Method, Opening, Standing, scram};
use ferry_core::reply::{Column, ColumnKind, Layout, Value};
use ferry_core::wire::message::{Answer, Catalog, Challenge, Hello, Login, Request, Rows};
use ferry_tests::peer::welcome_of;
use ferry_tests::tls::{self, Accepted, Identity};
use ferry_tests::{PASSWORD, PATIENCE, program};
use serde_json::json;

/// What is printed before the client is looked at.
const PRINTED_BYTES: usize = 24 << 20;
/// What a client may have resident then: the program itself, frames under way, and a few rows.
const RESIDENT_MAX_KIB: u64 = 96 << 10;

/// Lets a client in that has [`PASSWORD`], and tells it of one verb, `look`.
fn let_in(peer: &mut Accepted) {
    let session = &peer.stream.conn;
    let exported = session.export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, Some(&[]));
    let channel = Channel::TlsExporter(exported.unwrap());
    peer.say(&Hello {
        mechanisms: Method::mechanisms(&channel),
        ..Hello::new("a server of a test")
    })
    .unwrap();
    peer.hear::<Hello>().unwrap();
    let login: Login = peer.hear().unwrap();
    let opening = Opening::read(&login.mechanism, &login.data, channel).unwrap();
    let credential = Credential::Scram(scram::Verifier::with(PASSWORD, b"saltsalt", scram::ITERATIONS_MIN).unwrap());
    let (server, step) = opening.challenge(Standing::Open(&credential), &[0; 32]).unwrap();
    peer.say(&Challenge {
        mechanism: None,
        data: step.data,
    })
    .unwrap();
    let answer: Answer = peer.hear().unwrap();
    peer.say(&welcome_of(&server.finish(&answer.data).unwrap(), "alice")).unwrap();
    let look = json!({"name": "look", "doc": "Shows things.", "access": "read"});
    peer.say(&Catalog {
        verbs: vec![serde_json::from_value(look).unwrap()],
        last: true,
    })
    .unwrap();
}

/// Listings as bad as they come: many short rows, and few that fill a frame.
fn rows(id: u32, is_first: bool, wide: bool) -> Rows {
    let columns = [Column::new("name", ColumnKind::Path), Column::new("size", ColumnKind::Size)];
    let row = |name: &str| vec![Value::from(name), Value::Uint(u64::MAX)];
    Rows {
        id,
        columns: is_first.then(|| columns.iter().map(Into::into).collect()),
        layout: Layout::Table,
        rows: match wide {
            true => vec![row(&"\u{1}".repeat(60_000))],
            false => (0..1000).map(|_| row("an entry of a folder that has no end")).collect(),
        },
    }
}

#[test]
fn a_listing_without_end_is_printed_and_not_kept_and_ctrl_c_ends_it() {
    for options in [&[][..], &["--json"]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let identity = Identity::new();
        let pin = identity.fingerprint.to_string();
        let server = std::thread::spawn(move || {
            let mut peer = tls::accept(listener.accept().unwrap().0, &identity).unwrap();
            let_in(&mut peer);
            let request: Request = peer.hear().unwrap();
            let mut sent = 0_usize;
            // Until the client hangs up.
            while peer.say(&rows(request.id, sent == 0, sent % 2 == 1)).is_ok() {
                sent += 1;
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program("ferry"));
        command
            .env("FERRY_PASSWORD", PASSWORD)
            .env("FERRY_KNOWN_HOSTS", folder.path().join("known_hosts"))
            .env("HOME", folder.path())
            .args(["--retry-for", "0", "--pin", &pin])
            .args(options)
            .args([&format!("alice@{address}"), "look"]);
        let mut client = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = client.stdout.take().unwrap();
        let (printed, enough) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let (mut bytes, mut total, mut odd) = (vec![0; 64 * 1024], 0, 0);
            while let Ok(len @ 1..) = stdout.read(&mut bytes) {
                odd += bytes[..len].iter().filter(|byte| **byte < b' ' && **byte != b'\n').count();
                total += len;
                if total > PRINTED_BYTES {
                    let _ = printed.send(());
                }
            }
            odd
        });
        enough.recv_timeout(PATIENCE).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", client.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < RESIDENT_MAX_KIB, "{options:?}: {peak} KiB");
        let interrupt = Command::new("kill")
            .args(["-INT", &client.id().to_string()])
            .status()
            .unwrap();
        assert!(interrupt.success());
        assert_eq!(client.wait().unwrap().code(), Some(10), "{options:?}");
        assert_eq!(reader.join().unwrap(), 0, "no control character was printed");
        server.join().unwrap();
    }
}
