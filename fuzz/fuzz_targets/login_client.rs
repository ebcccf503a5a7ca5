//! The client's side of a login, against whatever a server may say.
#![no_main]

use ferry_core::login::{Channel, ClientLogin, Method, Methods, Secret, token::Token};
use libfuzzer_sys::fuzz_target;

const MECHANISMS: [Option<&str>; 6] = [
    None,
    Some("SCRAM-SHA-256"),
    Some("SCRAM-SHA-256-PLUS"),
    Some("FERRY-HMAC-MD5"),
    Some("FERRY-TOKEN"),
    Some("PLAIN"),
];
const NONCE: &str = "0123456789abcdefABCDEF";

/// Whether a challenge may be slow to answer: bounded for a user, but too slow for fuzzing.
fn is_slow(challenge: &[u8]) -> bool {
    let text = String::from_utf8_lossy(challenge);
    text.split(',').any(|part| {
        let number = part.get(2..).and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(0);
        (part.starts_with("i=") && number > 9_999) || part.starts_with("k=")
    })
}

fuzz_target!(|input: (u8, bool, &[u8], &[u8])| {
    let (choice, is_token, challenge, welcome) = input;
    if is_slow(challenge) {
        return;
    }
    let secret = match is_token {
        true => Secret::Token(Token::with([1; 8], [2; 32])),
        false => Secret::Password {
            user: "alice".to_owned(),
            password: "secret".to_owned().into(),
            allowed: Methods::only(Method::Scram).and(Method::HmacMd5),
        },
    };
    let channel = if choice & 1 == 0 { Channel::TlsExporter([7; 32]) } else { Channel::Plain };
    let Ok((client, _)) = ClientLogin::start_with(secret, channel, NONCE.to_owned()) else { return };
    let mechanism = MECHANISMS[usize::from(choice >> 1) % MECHANISMS.len()];
    // Half of all challenges start with our nonce, so that what is behind it is reached.
    let challenge = match choice >= 128 {
        true => [b"r=", NONCE.as_bytes(), challenge].concat(),
        false => challenge.to_vec(),
    };
    let Ok((finish, answer)) = client.answer(mechanism, &challenge) else { return };
    assert!(answer.len() <= 2048, "an answer of {} bytes", answer.len());
    assert!(finish.check(welcome).is_err(), "a server proved itself by chance");
});
