//! The test vectors `docs/vectors/login_*.json`, made by another implementation, against both sides of every method.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::unhex;
use ferry_core::login::token::Token;
use ferry_core::login::{
    Channel, ClientLogin, Credential, Method, Methods, Opening, Secret, Standing, Step, hmac_md5, scram, token,
};
use ferry_core::{Error, Result};
use serde_json::{Value, json};

/// The client's nonce in every exchange, and the server's.
const NONCES: [&str; 2] = ["rOprNGfwEbeRWgbNEkqO1234", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"];

fn text<'v>(vector: &'v Value, key: &str) -> &'v str {
    vector[key].as_str().unwrap_or_default()
}

fn channel(vector: &Value) -> Channel {
    match unhex(text(vector, "channel")).as_slice() {
        [] => Channel::Plain,
        bytes => Channel::TlsExporter(bytes.try_into().unwrap()),
    }
}

/// What a client logs in with: the vector's token, or its name and password, or those of all steps of one message.
fn secret(vector: &Value) -> Secret {
    if let Some(token) = vector["token"].as_str() {
        return Secret::Token(token.parse().unwrap());
    }
    let or = |key: &str, other: &str| vector[key].as_str().unwrap_or(other).to_owned();
    Secret::Password {
        user: or("user", "user"),
        password: or("password", "pencil").into(),
        allowed: Methods::only(Method::Scram).and(Method::HmacMd5),
    }
}

fn start(vector: &Value) -> (ClientLogin, Step) {
    ClientLogin::start_with(secret(vector), channel(vector), NONCES[0].into()).unwrap()
}

/// What the server keeps, from the vector's hex and the parameters in its challenge.
fn kept(vector: &Value) -> Credential {
    let stored_key = unhex(text(vector, "stored_key"));
    let server_key = unhex(text(vector, "server_key"));
    let attribute = |name: &str| {
        text(vector, "challenge")
            .split(',')
            .find_map(|part| part.strip_prefix(name))
            .unwrap()
    };
    let number = |name: &str| attribute(name).parse::<u32>().unwrap();
    let salt = || {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(attribute("s=")).unwrap()
    };
    match text(vector, "mechanism") {
        hmac_md5::MECHANISM => Credential::HmacMd5(hmac_md5::Verifier {
            salt: salt(),
            cost: hmac_md5::Cost {
                memory_kib: number("k="),
                passes: number("t="),
                lanes: number("l="),
            },
            stored_key,
            server_key,
        }),
        token::MECHANISM => Credential::Token(token::Verifier { stored_key, server_key }),
        _ => Credential::Scram(scram::Verifier {
            salt: salt(),
            iterations: number("i="),
            stored_key,
            server_key,
        }),
    }
}

/// Both sides say every byte of the vector, and keep what it keeps.
fn exchange(vector: &Value) -> Result<Value> {
    let channel = channel(vector);
    let credential = kept(vector);
    let same = match (secret(vector), &credential) {
        (Secret::Token(token), _) => Credential::Token(token.verifier()),
        (Secret::Password { password, .. }, Credential::HmacMd5(kept)) => {
            Credential::HmacMd5(hmac_md5::Verifier::with(&password, &kept.salt, kept.cost)?)
        }
        (Secret::Password { password, .. }, Credential::Scram(kept)) => {
            Credential::Scram(scram::Verifier::with(&password, &kept.salt, kept.iterations)?)
        }
        (Secret::Password { .. }, Credential::Token(_)) => panic!("a token has no password"),
    };
    assert_eq!(same, credential, "{}", vector["name"]);
    let (client, login) = start(vector);
    let said = |data: &[u8]| String::from_utf8(data.to_vec()).unwrap();
    assert_eq!(said(&login.data), text(vector, "login"), "{}", vector["name"]);
    let opening = Opening::read(login.mechanism, &login.data, channel)?;
    let (server, challenge) = opening.challenge_with(Standing::Open(&credential), b"secret", NONCES[1])?;
    assert_eq!(challenge.mechanism, text(vector, "mechanism"));
    assert_eq!(said(&challenge.data), text(vector, "challenge"), "{}", vector["name"]);
    let (finish, answer) = client.answer(Some(challenge.mechanism), &challenge.data)?;
    assert_eq!(said(&answer), text(vector, "answer"), "{}", vector["name"]);
    let welcome = server.finish(&answer)?;
    assert_eq!(said(&welcome), text(vector, "welcome"), "{}", vector["name"]);
    finish.check(&welcome)?;
    assert_eq!(finish.method(), credential.method());
    Ok(json!(true))
}

fn outcome(vector: &Value) -> Result<Value> {
    let message = |nonce: &str| text(vector, "text").replace("{nonce}", nonce);
    let mechanism = || Some(text(vector, "mechanism")).filter(|name| !name.is_empty());
    match text(vector, "step") {
        "exchange" => exchange(vector),
        "login" => {
            let mechanism = mechanism().unwrap_or(scram::MECHANISM_PLUS);
            Opening::read(mechanism, message("").as_bytes(), channel(vector)).map(|_| json!(true))
        }
        "challenge" => start(vector)
            .0
            .answer(mechanism(), message(NONCES[0]).as_bytes())
            .map(|_| json!(true)),
        "answer" => {
            let (_, login) = start(vector);
            let kept = match secret(vector) {
                Secret::Token(token) => Credential::Token(token.verifier()),
                Secret::Password { password, .. } => Credential::Scram(scram::Verifier::with(&password, b"saltsalt", 4096)?),
            };
            let opening = Opening::read(login.mechanism, &login.data, channel(vector))?;
            let (server, _) = opening.challenge_with(Standing::Open(&kept), b"secret", NONCES[1])?;
            server.finish(message(&NONCES.concat()).as_bytes()).map(|_| json!(true))
        }
        step => {
            assert_eq!(step, "token");
            message("").parse::<Token>().map(|token| json!(token.id()))
        }
    }
}

/// The difference between an outcome and what the vector says.
fn difference(vector: &Value, outcome: Result<Value, Error>) -> Option<String> {
    let is_right = match &outcome {
        Ok(value) => vector.get("accept") == Some(value),
        Err(error) => text(vector, "reject") == error.kind.as_str(),
    };
    let got = outcome.map_or_else(|error| format!("{}: {error}", error.kind), |value| value.to_string());
    (!is_right).then(|| format!("{}: got {got}", vector["name"]))
}

fn check(file: &str, least: usize) {
    let file: Value = serde_json::from_str(file).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert!(vectors.len() >= least, "only {} vectors", vectors.len());
    let wrong: Vec<String> = vectors
        .iter()
        .filter_map(|vector| difference(vector, outcome(vector)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn scram_with_channel_binding_goes_as_the_vectors_say() {
    check(include_str!("../../docs/vectors/login_plus.json"), 21);
}

#[test]
fn hmac_md5_goes_as_the_vectors_say() {
    check(include_str!("../../docs/vectors/login_md5.json"), 17);
}

#[test]
fn tokens_go_as_the_vectors_say() {
    check(include_str!("../../docs/vectors/login_token.json"), 22);
}
