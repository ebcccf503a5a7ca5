//! What a login costs, both sides together and without the network: `cargo bench -p ferry-core --bench logins`.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use divan::Bencher;
use ferry_core::login::token::Token;
use ferry_core::login::{Channel, ClientLogin, Credential, Method, Methods, Opening, Secret, Standing};

const CHANNEL: Channel = Channel::TlsExporter([7; 32]);

fn main() {
    divan::main();
}

fn log_in(secret: Secret, kept: &Credential) {
    let (client, step) = ClientLogin::start(secret, CHANNEL).unwrap();
    let opening = Opening::read(step.mechanism, &step.data, CHANNEL).unwrap();
    let (server, step) = opening.challenge(Standing::Open(kept), &[9; 32]).unwrap();
    let (finish, answer) = client.answer(Some(step.mechanism), &step.data).unwrap();
    finish.check(&server.finish(&answer).unwrap()).unwrap();
}

#[divan::bench]
fn by_token(bencher: Bencher<'_, '_>) {
    let token = Token::new().unwrap();
    let kept = Credential::Token(token.verifier());
    bencher.bench(|| log_in(Secret::Token(token.clone()), &kept));
}

#[divan::bench(args = [Method::Scram, Method::HmacMd5], sample_count = 10)]
fn by_password(bencher: Bencher<'_, '_>, method: Method) {
    let kept = Credential::of_password(method, "correct horse").unwrap();
    let secret = || Secret::Password {
        user: "alice".into(),
        password: "correct horse".to_owned().into(),
        allowed: Methods::for_password((method == Method::HmacMd5).then_some(method)),
    };
    bencher.with_inputs(secret).bench_values(|secret| log_in(secret, &kept));
}
