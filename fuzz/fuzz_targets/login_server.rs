//! The server's side of a login: no bytes log anybody in who does not know the secret.
#![no_main]

use ferry_core::login::{Channel, Claim, Credential, Opening, Standing, scram, token};
use libfuzzer_sys::fuzz_target;

const MECHANISMS: [&str; 5] = ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "FERRY-HMAC-MD5", "FERRY-TOKEN", ""];

fuzz_target!(|input: (u8, bool, &[u8], &[u8])| {
    let (choice, is_bound, login, answer) = input;
    let channel = if is_bound { Channel::TlsExporter([7; 32]) } else { Channel::Plain };
    let mechanism = MECHANISMS[usize::from(choice) % MECHANISMS.len()];
    let Ok(opening) = Opening::read(mechanism, login, channel) else { return };
    let kept = match opening.claim() {
        Claim::User(name) => Credential::Scram(scram::Verifier::decoy(b"fuzz", name)),
        Claim::Token(id) => Credential::Token(token::Verifier::decoy(b"fuzz", id)),
    };
    let standing = match choice % 3 {
        0 => Standing::Unknown,
        1 => Standing::Disabled(&kept),
        _ => Standing::Open(&kept),
    };
    let nonce = "0123456789abcdefABCDEF";
    let Ok((login, step)) = opening.challenge_with(standing, &[1; 32], nonce) else { return };
    assert!(step.data.len() <= 1024, "a challenge of {} bytes", step.data.len());
    assert!(login.finish(answer).is_err(), "logged in by chance");
});
