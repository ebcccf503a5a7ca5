//! Men in the middle, with real TLS and real programs: each is stopped with a clear message, and hears no secret.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::login::{Channel, Credential, EXPORTER_BYTES, EXPORTER_LABEL, Opening, Standing, hmac_md5, scram};
use ferry_core::wire::frame::Kind;
use ferry_core::wire::message::{Answer, Catalog, Challenge, Fail, Hello, Login};
use ferry_core::{Error, ErrorKind};
use ferry_tests::peer::{Frame, Peer, welcome_of};
use ferry_tests::tls::{self, Accepted, Identity};
use ferry_tests::{PASSWORD, Ran, Server, program, run_with_input};

/// What a login may take, refusals included, on a machine that is busy.
const BOUNDED: Duration = Duration::from_secs(15);

/// A client with a file of known keys of its own.
fn client(folder: &Path, address: &str, options: &[&str]) -> Ran {
    let mut command = Command::new(program("ferry"));
    command
        .env("FERRY_PASSWORD", PASSWORD)
        .env("FERRY_KNOWN_HOSTS", folder.join("known_hosts"))
        .env("HOME", folder)
        .current_dir(folder)
        .args(["--retry-for", "0"])
        .args(options)
        .args([&format!("alice@{address}"), "pwd"]);
    let start = Instant::now();
    let ran = run_with_input(&mut command, b"");
    assert!(start.elapsed() < BOUNDED, "{:?}: {}", start.elapsed(), ran.err);
    ran
}

/// The message is one line for people, says `words`, and has no secret in it.
#[track_caller]
fn says(ran: &Ran, words: &str) {
    assert!(ran.err.contains(words), "`{words}` in {}", ran.err);
    assert!(!ran.err.contains(PASSWORD) && !ran.err.contains("panicked"), "{}", ran.err);
    assert!(ran.out.is_empty(), "{}", ran.out);
}

/// Serves one connection with `script`; gives the address and what the script saw.
fn trap<T: Send + 'static>(script: impl FnOnce(TcpStream) -> T + Send + 'static) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (address, std::thread::spawn(move || script(listener.accept().unwrap().0)))
}

/// What went through a relay, in the clear.
#[derive(Debug, Default)]
struct Heard {
    /// From the client.
    up: Vec<Frame>,
    /// From the server, as it came.
    down: Vec<Frame>,
}

impl Heard {
    fn kinds(&self) -> Vec<Kind> {
        self.up.iter().map(|frame| frame.kind).collect()
    }

    #[track_caller]
    fn has_no_password(&self) {
        let password = PASSWORD.as_bytes();
        let is_in = |frame: &Frame| frame.payload.windows(password.len()).any(|part| part == password);
        assert!(!self.up.iter().any(is_in));
    }
}

/// Passes frames on in the order of a login: hello both ways, then question and answer, until either side leaves. `change` has
/// what the server says.
fn relay<S: io::Read + io::Write>(
    client: &mut Accepted,
    server: &mut Peer<S>,
    heard: &mut Heard,
    change: &impl Fn(Frame) -> Frame,
) -> io::Result<()> {
    loop {
        let down = server.frame()?;
        heard.down.push(down.clone());
        client.pass(&change(down))?;
        let up = client.frame()?;
        heard.up.push(up.clone());
        server.pass(&up)?;
        if up.kind == Kind::Hello {
            let up = client.frame()?;
            heard.up.push(up.clone());
            server.pass(&up)?;
        }
    }
}

/// Between client and server, with TLS on both sides.
fn between(
    server: &Server,
    identity: &Identity,
    change: impl Fn(Frame) -> Frame + Send + 'static,
) -> (String, JoinHandle<Heard>) {
    let (behind, identity) = (server.address, identity.clone());
    trap(move |stream| {
        let mut heard = Heard::default();
        if let Ok(mut client) = tls::accept(stream, &identity) {
            let (mut server, _) = tls::connect(behind).unwrap();
            // Ends with whoever leaves first.
            let _ = relay(&mut client, &mut server, &mut heard, &change);
        }
        heard
    })
}

fn server_with_alice() -> Server {
    let server = Server::start();
    server.add_user("alice", &[]);
    server
}

/// Nobody got as far as a request, or to a session at all.
#[track_caller]
fn nobody_came_in(server: &Server) {
    assert!(!server.log().contains("logged in"), "{}", server.log());
    assert_eq!(server.admin(&["who", "--json"], "").expect(0).out, "");
}

#[test]
fn another_key_than_the_known_one_ends_the_connection_before_a_word_is_said() {
    let server = server_with_alice();
    let folder = tempfile::tempdir().unwrap();
    for is_pinned in [true, false] {
        let identity = Identity::new();
        let (address, middle) = between(&server, &identity, |frame| frame);
        let known = folder.path().join("known_hosts");
        std::fs::write(
            &known,
            if is_pinned {
                String::new()
            } else {
                format!("{address} {}\n", server.key)
            },
        )
        .unwrap();
        let options = if is_pinned {
            vec!["--pin", &server.key]
        } else {
            vec!["--accept-new"]
        };
        let ran = client(folder.path(), &address, &options).expect(3);
        says(&ran, &identity.fingerprint.to_string());
        says(&ran, &server.key);
        assert_eq!(middle.join().unwrap().kinds(), []);
    }
    nobody_came_in(&server);
}

#[test]
fn a_key_that_is_accepted_at_first_sight_brings_a_relay_nothing_for_the_login_is_bound_to_the_channel() {
    let server = server_with_alice();
    let folder = tempfile::tempdir().unwrap();
    let (address, middle) = between(&server, &Identity::new(), |frame| frame);
    let ran = client(folder.path(), &address, &["--accept-new"]).expect(3);
    says(&ran, "login_refused");
    let heard = middle.join().unwrap();
    assert_eq!(heard.kinds(), [Kind::Hello, Kind::Login, Kind::Answer]);
    heard.has_no_password();
    let refused: Fail = heard.down.last().unwrap().read().unwrap();
    assert_eq!(refused.into_error().kind, ErrorKind::LoginRefused, "the server refuses, too");
    nobody_came_in(&server);
    // The password is right, and opens the door where nobody is in between.
    client(folder.path(), &server.address.to_string(), &["--pin", &server.key]).expect(0);
}

#[test]
fn a_relay_that_welcomes_in_the_servers_place_is_not_believed() {
    let server = server_with_alice();
    let folder = tempfile::tempdir().unwrap();
    let welcome = |frame: Frame| match frame.kind {
        Kind::Fail => Frame::of(&welcome_of(b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "alice")).unwrap(),
        _ => frame,
    };
    let (address, middle) = between(&server, &Identity::new(), welcome);
    says(&client(folder.path(), &address, &["--accept-new"]).expect(3), "server");
    assert!(!middle.join().unwrap().kinds().contains(&Kind::Request));
    nobody_came_in(&server);
}

#[test]
fn a_stolen_certificate_without_its_key_is_worth_nothing() {
    let server = server_with_alice();
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::stolen(&server.data().join("certificate.pem"));
    for options in [&["--pin", &server.key][..], &["--accept-new"]] {
        let (address, middle) = between(&server, &identity, |frame| frame);
        let ran = client(folder.path(), &address, options).expect(3);
        says(&ran, "does not have the key that it shows");
        assert_eq!(middle.join().unwrap().kinds(), []);
    }
    assert!(!folder.path().join("known_hosts").exists(), "nothing was learnt from it");
}

#[test]
fn a_login_without_binding_is_not_to_be_had_over_tls() {
    let server = server_with_alice();
    let folder = tempfile::tempdir().unwrap();
    for offered in [&["SCRAM-SHA-256"][..], &["PLAIN", "FERRY-HMAC-MD5"], &[]] {
        let mechanisms: Vec<String> = offered.iter().map(|name| (*name).to_owned()).collect();
        let weaken = move |frame: Frame| match frame.read::<Hello>() {
            Ok(hello) => Frame::of(&Hello {
                mechanisms: mechanisms.clone(),
                ..hello
            })
            .unwrap(),
            Err(_) => frame,
        };
        let (address, middle) = between(&server, &Identity::new(), weaken);
        let ran = client(folder.path(), &address, &["--accept-new"]);
        assert!([3, 12].contains(&ran.code), "{} {}", ran.code, ran.err);
        says(&ran, "no way to log in");
        // Its own hello may be on its way or not when it has read the other one.
        let told = middle.join().unwrap().kinds();
        assert!(
            [&[][..], &[Kind::Hello]].contains(&&told[..]),
            "not even the name is told: {told:?}"
        );
    }
}

/// A server of our own, up to its challenge: says hello, reads the login, and sends what `challenge` makes of the client's nonce.
/// Gives the kinds of the frames that came.
fn challenging(
    folder: &Path,
    known: Option<&str>,
    challenge: impl FnOnce(&str) -> Challenge + Send + 'static,
) -> (Ran, Vec<Kind>) {
    let identity = Identity::new();
    let pin = identity.fingerprint.to_string();
    let (address, middle) = trap(move |stream| {
        let (mut peer, login) = up_to_login(stream, &identity);
        let first = String::from_utf8(login.data).unwrap();
        let nonce = first.rsplit_once("r=").unwrap().1.to_owned();
        peer.say(&challenge(&nonce)).unwrap();
        // An answer, or the end.
        let mut kinds = vec![Kind::Hello, Kind::Login];
        kinds.extend(peer.frame().map(|frame| frame.kind));
        kinds
    });
    if let Some(method) = known {
        std::fs::write(
            folder.join("known_hosts"),
            format!("{address} {pin}\n@login alice@{address} {method}\n"),
        )
        .unwrap();
    }
    let ran = client(folder, &address, &["--pin", &pin]);
    (ran, middle.join().unwrap())
}

/// Takes a client in as a server does, up to its first message of the login.
fn up_to_login(stream: TcpStream, identity: &Identity) -> (Accepted, Login) {
    let mut peer = tls::accept(stream, identity).unwrap();
    say_hello(&mut peer);
    peer.hear::<Hello>().unwrap();
    let login = peer.hear().unwrap();
    (peer, login)
}

fn say_hello(peer: &mut Accepted) {
    let bound = Channel::TlsExporter([0; EXPORTER_BYTES]);
    peer.say(&Hello {
        mechanisms: ferry_core::login::Method::mechanisms(&bound),
        ..Hello::new("a server of a test")
    })
    .unwrap();
}

#[test]
fn a_client_that_knows_the_account_by_scram_gives_no_md5_proof() {
    let folder = tempfile::tempdir().unwrap();
    let md5 = |nonce: &str| Challenge {
        mechanism: Some(hmac_md5::MECHANISM.into()),
        data: format!("r={nonce}{nonce},s=c2FsdHNhbHRzYWx0,k=19456,t=2,l=1").into_bytes(),
    };
    let (ran, kinds) = challenging(folder.path(), Some("scram-sha-256"), md5);
    says(&ran.expect(3), "not allowed");
    assert_eq!(kinds, [Kind::Hello, Kind::Login]);
    // Where MD5 is what is known, it is answered: the refusal above is no accident.
    let (_, kinds) = challenging(folder.path(), Some("md5"), md5);
    assert_eq!(kinds, [Kind::Hello, Kind::Login, Kind::Answer]);
}

#[test]
fn a_challenge_that_no_honest_server_sends_gets_no_proof() {
    let folder = tempfile::tempdir().unwrap();
    let salt = "c2FsdHNhbHRzYWx0";
    type Made = Box<dyn Fn(&str) -> String + Send>;
    let scram = |text: &'static str| -> Made { Box::new(move |nonce| text.replace("NONCE", nonce).replace("SALT", salt)) };
    let cases: [(Option<&str>, Made, &str); 12] = [
        (None, scram("r=NONCExyz,s=SALT,i=1"), "too weak or too slow"),
        (None, scram("r=NONCExyz,s=SALT,i=4095"), "too weak or too slow"),
        (None, scram("r=NONCExyz,s=SALT,i=2147483648"), "too weak or too slow"),
        (None, scram("r=NONCExyz,s=,i=600000"), "too weak or too slow"),
        (None, scram("r=NONCExyz,s=c2FsdA==,i=600000"), "too weak or too slow"),
        (None, scram("r=NONCE,s=SALT,i=600000"), "server"),
        (None, scram("r=somebodyelsesnonce,s=SALT,i=600000"), "server"),
        (Some("SCRAM-SHA-256"), scram("r=NONCExyz,s=SALT,i=600000"), "not allowed"),
        (Some("FERRY-TOKEN"), scram("r=NONCENONCE"), "not allowed"),
        (Some("PLAIN"), scram("r=NONCENONCE"), "not allowed"),
        (
            Some(hmac_md5::MECHANISM),
            scram("r=NONCENONCE,s=SALT,k=8,t=1,l=1"),
            "too weak or too slow",
        ),
        (
            Some(hmac_md5::MECHANISM),
            scram("r=NONCENONCE,s=SALT,k=4294967295,t=4294967295,l=1"),
            "too weak or too slow",
        ),
    ];
    for (at, (mechanism, made, words)) in cases.into_iter().enumerate() {
        let mechanism = mechanism.map(str::to_owned);
        let (ran, kinds) = challenging(folder.path(), None, move |nonce| Challenge {
            mechanism,
            data: made(nonce).into_bytes(),
        });
        assert_eq!(ran.code, 3, "case {at}: {}", ran.err);
        says(&ran, words);
        assert_eq!(kinds, [Kind::Hello, Kind::Login], "case {at}: no proof was sent");
    }
}

#[test]
fn a_server_that_cannot_prove_that_it_knows_the_password_is_not_logged_in_to() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::new();
    let pin = identity.fingerprint.to_string();
    let (address, middle) = trap(move |stream| {
        let (mut peer, login) = up_to_login(stream, &identity);
        let exported = peer
            .stream
            .conn
            .export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, Some(&[]))
            .unwrap();
        let opening = Opening::read(&login.mechanism, &login.data, Channel::TlsExporter(exported)).unwrap();
        let credential = Credential::Scram(scram::Verifier::with("another password", b"saltsalt", 4096).unwrap());
        let (_, step) = opening.challenge(Standing::Open(&credential), &[0; 32]).unwrap();
        peer.say(&Challenge {
            mechanism: None,
            data: step.data,
        })
        .unwrap();
        peer.hear::<Answer>().unwrap();
        peer.say(&welcome_of(b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "alice"))
            .unwrap();
        // The client may have left already.
        let _ = peer.say(&Catalog {
            verbs: Vec::new(),
            last: true,
        });
        peer.rest().unwrap_or_default()
    });
    let ran = client(folder.path(), &address, &["--pin", &pin]).expect(3);
    says(&ran, "server");
    assert_eq!(middle.join().unwrap(), [], "nothing is asked of it");
}

#[test]
fn encryption_cannot_be_taken_away() {
    let plain = Server::start_plain();
    plain.add_user("alice", &[]);
    let folder = tempfile::tempdir().unwrap();
    // No TLS towards the client: nothing is said but the handshake's first message. Not a matter of the login, so 12.
    let (address, middle) = trap(|stream| {
        let mut peer = Peer { stream };
        say_plainly(&mut peer);
        let mut bytes = Vec::new();
        let _ = io::Read::read_to_end(&mut peer.stream, &mut bytes);
        bytes
    });
    says(&client(folder.path(), &address, &["--accept-new"]).expect(12), "not TLS 1.3");
    let bytes = middle.join().unwrap();
    assert!(!bytes.windows(5).any(|part| part == b"alice"));
    // TLS of its own towards the client, and none behind: as the server says hello, or as one with TLS would.
    for lies in [false, true] {
        let identity = Identity::new();
        let behind = plain.address;
        let (address, middle) = trap(move |stream| {
            let mut heard = Heard::default();
            let mut client = tls::accept(stream, &identity).unwrap();
            let mut server = Peer::connect(behind).unwrap();
            let change = |frame: Frame| match frame.read::<Hello>() {
                Ok(hello) if lies => Frame::of(&Hello {
                    mechanisms: vec![scram::MECHANISM_PLUS.into()],
                    ..hello
                })
                .unwrap(),
                _ => frame,
            };
            let _ = relay(&mut client, &mut server, &mut heard, &change);
            heard
        });
        let ran = client(folder.path(), &address, &["--accept-new"]);
        // 12: server and client find no way to log in that both would use.
        assert!([3, 12].contains(&ran.code), "{} {}", ran.code, ran.err);
        says(&ran, "way to log in");
        let heard = middle.join().unwrap();
        assert!(!heard.kinds().contains(&Kind::Answer), "{:?}", heard.kinds());
    }
    nobody_came_in(&plain);
}

fn say_plainly(peer: &mut Peer<TcpStream>) {
    peer.say(&Hello {
        mechanisms: vec![scram::MECHANISM.into()],
        ..Hello::new("a server of a test")
    })
    .unwrap();
}

#[test]
fn a_login_that_was_recorded_opens_nothing_when_it_is_played_again() {
    let server = server_with_alice();
    let (mut first, channel) = tls::connect(server.address).unwrap();
    let recorded = first.log_in("alice", channel).unwrap();
    let (mut again, _) = tls::connect(server.address).unwrap();
    refuses_replay(&mut again, &recorded.login, &recorded.answer);
    // Without TLS there is no channel to be bound to; the server's nonce does it alone.
    let plain = Server::start_plain();
    plain.add_user("alice", &[]);
    let recorded = Peer::connect(plain.address).unwrap().log_in("alice", Channel::Plain).unwrap();
    refuses_replay(&mut Peer::connect(plain.address).unwrap(), &recorded.login, &recorded.answer);
}

#[track_caller]
fn refuses_replay<S: io::Read + io::Write>(peer: &mut Peer<S>, login: &Login, answer: &Answer) {
    peer.say(&Hello::new("ferry-tests")).unwrap();
    peer.hear::<Hello>().unwrap();
    peer.say(login).unwrap();
    peer.hear::<Challenge>().unwrap();
    peer.say(answer).unwrap();
    let refused: Fail = peer.hear().unwrap();
    assert_eq!(refused.into_error().kind, ErrorKind::LoginRefused);
}

/// Where a server falls silent for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Step {
    Connected,
    InHandshake,
    Encrypted,
    InHello,
    Greeted,
    Named,
    Challenged,
    InWelcome,
    Welcomed,
}

/// An honest server up to a step.
fn up_to(step: Step, mut stream: TcpStream, identity: &Identity, credential: &Credential) -> TcpStream {
    if step == Step::Connected {
        return stream;
    }
    if step == Step::InHandshake {
        // The client's first message, and the header of an answer (RFC 8446, section 5.1) that does not come.
        let _ = io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
        io::Write::write_all(&mut stream, &[22, 3, 3, 0, 90]).unwrap();
        return stream;
    }
    let socket = stream.try_clone().unwrap();
    let mut peer = tls::accept(stream, identity).unwrap();
    if step == Step::Encrypted {
        return socket;
    }
    if step == Step::InHello {
        io::Write::write_all(&mut peer.stream, &[0, 0, 0, 90, 1, 0x81]).unwrap();
        return socket;
    }
    say_hello(&mut peer);
    if step == Step::Greeted {
        return socket;
    }
    peer.hear::<Hello>().unwrap();
    let login: Login = peer.hear().unwrap();
    if step == Step::Named {
        return socket;
    }
    let exported = peer
        .stream
        .conn
        .export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, Some(&[]))
        .unwrap();
    let opening = Opening::read(&login.mechanism, &login.data, Channel::TlsExporter(exported)).unwrap();
    let (server, challenge) = opening.challenge(Standing::Open(credential), &[0; 32]).unwrap();
    peer.say(&Challenge {
        mechanism: None,
        data: challenge.data,
    })
    .unwrap();
    if step == Step::Challenged {
        return socket;
    }
    let answer: Answer = peer.hear().unwrap();
    let welcome = Frame::of(&welcome_of(&server.finish(&answer.data).unwrap(), "alice")).unwrap();
    if step == Step::InWelcome {
        let header = ferry_core::wire::frame::Header::write(welcome.kind, welcome.payload.len());
        io::Write::write_all(&mut peer.stream, &[&header[..], &welcome.payload[..9]].concat()).unwrap();
        return socket;
    }
    peer.pass(&welcome).unwrap();
    socket
}

#[test]
fn a_server_that_leaves_anywhere_before_the_end_of_the_login_is_exit_code_8() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::new();
    let pin = identity.fingerprint.to_string();
    let credential = Credential::Scram(scram::Verifier::with(PASSWORD, b"saltsalt", 4096).unwrap());
    let steps = [
        Step::Connected,
        Step::InHandshake,
        Step::Encrypted,
        Step::InHello,
        Step::Greeted,
        Step::Named,
        Step::Challenged,
        Step::InWelcome,
        Step::Welcomed,
    ];
    for step in steps {
        for resets in [false, true] {
            let (identity, credential) = (identity.clone(), credential.clone());
            let (address, middle) = trap(move |stream| {
                let socket = up_to(step, stream, &identity, &credential);
                if resets {
                    rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).unwrap();
                }
            });
            let ran = client(folder.path(), &address, &["--pin", &pin]);
            middle.join().unwrap();
            assert_eq!(ran.code, 8, "{step:?}, reset: {resets}: {}", ran.err);
            says(&ran, "unreachable");
        }
    }
}

#[test]
fn a_refusal_says_the_same_whoever_sends_it_and_its_text_moves_no_cursor() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::new();
    let pin = identity.fingerprint.to_string();
    let (address, middle) = trap(move |stream| {
        let (mut peer, _) = up_to_login(stream, &identity);
        let error = Error::new(
            ErrorKind::LoginRefused,
            "\x1b]0;owned\x07\u{9b}2J\u{202e}refused\r\nferry: done",
        );
        peer.say(&Fail::new(0, &error)).unwrap();
    });
    let ran = client(folder.path(), &address, &["--pin", &pin]).expect(3);
    middle.join().unwrap();
    let harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    assert!(ran.err.chars().all(harmless), "{:?}", ran.err);
    assert!(!ran.err.lines().any(|line| line.starts_with("ferry: done")), "{}", ran.err);
}
