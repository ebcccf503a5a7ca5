//! Logins from end to end: what each method lets in, and what it keeps out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attacks;
mod parsers;

use std::sync::LazyLock;

use ferry_core::login::token::Token;
use ferry_core::login::{
    Channel, Claim, ClientLogin, Credential, Finish, Method, Methods, Opening, Secret, ServerLogin, Standing, Step, hmac_md5,
    scram,
};
use ferry_core::{Error, ErrorKind, Result};

const BOUND: Channel = Channel::TlsExporter([7; 32]);
const OTHER: Channel = Channel::TlsExporter([8; 32]);
/// The server's own secret.
const SECRET: &[u8] = &[9; 32];
const NONCES: [&str; 2] = ["rOprNGfwEbeRWgbNEkqO1234", "YDpWUa2RaTCAfuxFIlj12345"];
const REFUSED: &str = "wrong user name or password";

static SCRAM: LazyLock<Credential> =
    LazyLock::new(|| Credential::Scram(scram::Verifier::with("pencil", b"saltsalt", 4096).unwrap()));
static MD5: LazyLock<Credential> =
    LazyLock::new(|| Credential::HmacMd5(hmac_md5::Verifier::with("pencil", b"saltsalt", hmac_md5::Cost::DEFAULT).unwrap()));
static TOKEN: LazyLock<Credential> = LazyLock::new(|| Credential::Token(token(7).verifier()));

fn credential(method: Method) -> &'static Credential {
    match method {
        Method::Scram => &SCRAM,
        Method::HmacMd5 => &MD5,
        Method::Token => &TOKEN,
    }
}

fn token(secret: u8) -> Token {
    Token::with([1; 8], [secret; 32])
}

fn password(password: &str, allowed: Methods) -> Secret {
    Secret::Password {
        user: "user".into(),
        password: password.to_owned().into(),
        allowed,
    }
}

/// What logs in by that method, or would with another secret.
fn secret(method: Method, is_right: bool) -> Secret {
    match method {
        Method::Token => Secret::Token(token(if is_right { 7 } else { 6 })),
        _ => {
            let allowed = Methods::for_password(Some(method).filter(|method| *method == Method::HmacMd5));
            password(if is_right { "pencil" } else { "pen" }, allowed)
        }
    }
}

/// The four messages of a login whose ends have these channels, up to where it fails.
#[derive(Default)]
struct Said {
    login: Vec<u8>,
    challenge: Vec<u8>,
    answer: Vec<u8>,
    welcome: Vec<u8>,
}

fn start(secret: Secret, channel: Channel) -> (ClientLogin, Step) {
    ClientLogin::start_with(secret, channel, NONCES[0].into()).unwrap()
}

fn challenge(login: &Step, standing: Standing<'_>, channel: Channel) -> Result<(ServerLogin, Step)> {
    Opening::read(login.mechanism, &login.data, channel)?.challenge_with(standing, SECRET, NONCES[1])
}

fn run(secret: Secret, standing: Standing<'_>, [ours, theirs]: [Channel; 2]) -> (Said, Result<()>) {
    let mut said = Said::default();
    let (client, login) = start(secret, ours);
    said.login = login.data.clone();
    let rest = || {
        let (server, challenge) = challenge(&login, standing, theirs)?;
        said.challenge = challenge.data.clone();
        let (finish, answer) = client.answer(Some(challenge.mechanism), &challenge.data)?;
        said.answer = answer;
        said.welcome = server.finish(&said.answer)?;
        finish.check(&said.welcome)
    };
    let result = rest();
    (said, result)
}

/// A client that waits for the server's proof, and what the server said and would say.
fn waiting(method: Method, channel: Channel) -> (Finish, Vec<u8>) {
    let (client, login) = start(secret(method, true), channel.clone());
    let (server, challenge) = challenge(&login, Standing::Open(credential(method)), channel).unwrap();
    let (finish, answer) = client.answer(Some(challenge.mechanism), &challenge.data).unwrap();
    let welcome = server.finish(&answer).unwrap();
    (finish, welcome)
}

fn assert_refused(error: &Error, what: &str) {
    assert_eq!(
        (error.kind, error.message.as_ref()),
        (ErrorKind::LoginRefused, REFUSED),
        "{what}"
    );
}

#[test]
fn the_right_secret_logs_in_by_every_method() {
    for method in Method::ALL {
        for channel in [Channel::Plain, BOUND] {
            let (_, result) = run(
                secret(method, true),
                Standing::Open(credential(method)),
                [channel.clone(), channel],
            );
            result.unwrap();
            assert_eq!(waiting(method, BOUND).0.method(), method);
        }
    }
}

#[test]
fn the_server_learns_who_comes_before_it_must_answer() {
    let (_, login) = start(secret(Method::Scram, true), BOUND);
    let opening = Opening::read(login.mechanism, &login.data, BOUND).unwrap();
    assert_eq!(opening.claim(), Claim::User("user"));
    let (_, login) = start(secret(Method::Token, true), BOUND);
    let opening = Opening::read(login.mechanism, &login.data, BOUND).unwrap();
    assert_eq!(opening.claim(), Claim::Token("0101010101010101"));
}

#[test]
fn unknown_disabled_and_wrong_are_refused_at_the_same_step_with_the_same_text() {
    for method in Method::ALL {
        let kept = credential(method);
        for (standing, is_right) in [
            (Standing::Open(kept), false),
            (Standing::Disabled(kept), true),
            (Standing::Disabled(kept), false),
        ] {
            let (said, result) = run(secret(method, is_right), standing, [BOUND, BOUND]);
            assert_refused(&result.unwrap_err(), "known");
            assert!(!said.answer.is_empty() && said.welcome.is_empty());
        }
        if method != Method::HmacMd5 {
            let (said, result) = run(secret(method, true), Standing::Unknown, [BOUND, BOUND]);
            assert_refused(&result.unwrap_err(), "unknown");
            assert!(!said.answer.is_empty() && said.welcome.is_empty());
        }
    }
}

#[test]
fn the_challenge_of_an_unknown_user_looks_like_that_of_a_new_account() {
    let new = Credential::Scram(scram::Verifier::with("pencil", &[3; scram::SALT_BYTES], scram::ITERATIONS).unwrap());
    let (_, login) = start(secret(Method::Scram, true), BOUND);
    let shape = |standing| {
        let (_, step) = challenge(&login, standing, BOUND).unwrap();
        let text = String::from_utf8(step.data).unwrap();
        let parts: Vec<_> = text.split(',').map(|part| (part.len(), part[..2].to_owned())).collect();
        (step.mechanism, parts, text)
    };
    let (known, unknown) = (shape(Standing::Open(&new)), shape(Standing::Unknown));
    assert_eq!((known.0, known.1), (unknown.0, unknown.1));
    assert_eq!(unknown.2, shape(Standing::Unknown).2, "it is the same each time");
}

#[test]
fn a_disabled_account_keeps_the_challenge_that_its_clients_know() {
    for method in Method::ALL {
        let (_, login) = start(secret(method, true), BOUND);
        let [open, disabled] = [Standing::Open(credential(method)), Standing::Disabled(credential(method))]
            .map(|standing| challenge(&login, standing, BOUND).unwrap().1);
        assert_eq!(open, disabled);
    }
}

#[test]
fn a_token_is_no_password_and_a_password_no_token() {
    let (_, result) = run(secret(Method::Token, true), Standing::Open(&SCRAM), [BOUND, BOUND]);
    assert_refused(&result.unwrap_err(), "a token where a password is kept");
    let (_, result) = run(secret(Method::Scram, true), Standing::Disabled(&TOKEN), [BOUND, BOUND]);
    assert_refused(&result.unwrap_err(), "a password where a token is kept");
    // Not even a password that is the token's text.
    let text = token(7).reveal();
    let (_, result) = run(password(&text, Methods::default()), Standing::Open(&TOKEN), [BOUND, BOUND]);
    assert_refused(&result.unwrap_err(), "the token's text as a password");
}

#[test]
fn an_account_has_one_method_and_no_login_starts_with_md5() {
    for (method, name) in [(Method::Scram, "SCRAM-SHA-256-PLUS"), (Method::HmacMd5, "FERRY-HMAC-MD5")] {
        let (_, login) = start(secret(Method::Scram, true), BOUND);
        let (server, step) = challenge(&login, Standing::Open(credential(method)), BOUND).unwrap();
        assert_eq!((step.mechanism, server.method()), (name, method));
    }
    let (_, login) = start(secret(Method::Scram, true), BOUND);
    for mechanism in ["FERRY-HMAC-MD5", "PLAIN", ""] {
        let error = Opening::read(mechanism, &login.data, BOUND).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{mechanism}");
    }
}

#[test]
fn md5_wants_long_nonces_from_the_client_too() {
    let login = Step {
        mechanism: "SCRAM-SHA-256-PLUS",
        data: b"p=tls-exporter,,n=user,r=abcdefghijklmnopqrstu".to_vec(),
    };
    let error = challenge(&login, Standing::Open(&MD5), BOUND).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadRequest);
    challenge(&login, Standing::Open(&SCRAM), BOUND).unwrap();
}

#[test]
fn what_a_server_keeps_is_read_back_and_names_its_form() {
    for (method, name) in [
        (Method::Scram, "scram-sha-256"),
        (Method::HmacMd5, "hmac-md5-v1"),
        (Method::Token, "token-v1"),
    ] {
        let kept = credential(method);
        let bytes = rmp_serde::to_vec_named(kept).unwrap();
        assert_eq!(&rmp_serde::from_slice::<Credential>(&bytes).unwrap(), kept);
        assert_eq!(kept.method(), method);
        let map = serde_json::to_value(kept).unwrap();
        assert_eq!(map.as_object().unwrap().keys().collect::<Vec<_>>(), [name]);
        let newer = serde_json::json!({format!("{name}0"): map[name]});
        assert!(serde_json::from_value::<Credential>(newer).is_err());
    }
}

#[test]
fn a_new_password_gets_the_recommended_cost() {
    let Credential::Scram(kept) = Credential::of_password(Method::Scram, "pencil").unwrap() else {
        panic!("another method")
    };
    assert_eq!((kept.iterations, kept.salt.len()), (600_000, 16));
    let Credential::HmacMd5(kept) = Credential::of_password(Method::HmacMd5, "pencil").unwrap() else {
        panic!("another method")
    };
    assert_eq!((kept.cost, kept.salt.len()), (hmac_md5::Cost::DEFAULT, 16));
    let error = Credential::of_password(Method::Token, "pencil").unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadRequest);
}

#[test]
fn the_challenge_to_a_token_is_foreseen_and_no_other() {
    for method in Method::ALL {
        let (client, login) = start(secret(method, true), BOUND);
        let foreseen = client.foreseen(NONCES[1]);
        let (_, step) = challenge(&login, Standing::Open(credential(method)), BOUND).unwrap();
        assert_eq!(foreseen, (method == Method::Token).then_some(step.data), "{method}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte}, ")).collect::<String>();
    let mut shown = String::new();
    for method in Method::ALL {
        shown += &format!("{:?} {:?}", secret(method, true), credential(method));
        let (client, login) = start(secret(method, true), BOUND);
        let opening = Opening::read(login.mechanism, &login.data, BOUND).unwrap();
        shown += &format!("{client:?} {opening:?}");
        let (server, step) = opening.challenge(Standing::Open(credential(method)), SECRET).unwrap();
        let (finish, _) = client.answer(Some(step.mechanism), &step.data).unwrap();
        shown += &format!("{server:?} {finish:?}");
    }
    assert!(shown.contains("user"), "the name may be");
    for kept in [
        "pencil",
        "[7, 7",
        token(7).reveal().rsplit(':').next().unwrap(),
        &hex(&[7; 4]),
    ] {
        assert!(!shown.contains(kept), "{kept}: {shown}");
    }
    let Credential::Scram(kept) = &*SCRAM else {
        panic!("another method")
    };
    assert!(!shown.contains(&hex(&kept.stored_key[..4])));
}

#[test]
fn a_login_by_token_costs_next_to_nothing() {
    let one = |_| {
        let started = std::time::Instant::now();
        run(secret(Method::Token, true), Standing::Open(&TOKEN), [BOUND, BOUND])
            .1
            .unwrap();
        started.elapsed()
    };
    // The shortest: others may have the processor.
    let one = (0..100).map(one).min().unwrap();
    assert!(one < std::time::Duration::from_millis(10), "{one:?} for both sides");
}
