//! Somebody on the way: other channels, other methods, old messages, changed messages.

use ferry_core::ErrorKind;
use ferry_core::login::{Channel, ClientLogin, Method, Methods, Opening, Standing};

use crate::{BOUND, NONCES, OTHER, SECRET, assert_refused, challenge, credential, password, run, secret, start, waiting};

#[test]
fn somebody_between_two_channels_fails_at_the_server() {
    for method in Method::ALL {
        let (said, result) = run(secret(method, true), Standing::Open(credential(method)), [OTHER, BOUND]);
        assert_refused(&result.unwrap_err(), "relayed");
        // Putting the server's channel into the answer does not help: it is in what the client proved.
        let (_, login) = start(secret(method, true), BOUND);
        let (server, _) = challenge(&login, Standing::Open(credential(method)), BOUND).unwrap();
        let own = run(secret(method, true), Standing::Open(credential(method)), [BOUND, BOUND])
            .0
            .answer;
        let (own, relayed) = (String::from_utf8(own).unwrap(), String::from_utf8(said.answer).unwrap());
        let binding = own.split(',').next().unwrap();
        let proof = relayed.rsplit(',').next().unwrap();
        let nonce = relayed.split(',').nth(1).unwrap();
        let forged = format!("{binding},{nonce},{proof}");
        assert_refused(&server.finish(forged.as_bytes()).unwrap_err(), "with the other binding");
    }
}

#[test]
fn somebody_between_two_channels_fails_at_the_client() {
    for method in Method::ALL {
        // Even a server that let the login pass on its own channel has another proof.
        let (finish, _) = waiting(method, OTHER);
        let (_, welcome) = waiting(method, BOUND);
        assert_eq!(finish.check(&welcome).unwrap_err().kind, ErrorKind::LoginRefused);
        waiting(method, BOUND).0.check(&welcome).unwrap();
    }
}

#[test]
fn where_there_is_a_channel_nothing_goes_without_it() {
    for method in [Method::Scram, Method::Token] {
        let (_, unbound) = start(secret(method, true), Channel::Plain);
        let bound_name = method.mechanism(&BOUND);
        for (mechanism, data) in [
            (unbound.mechanism, unbound.data.clone()),
            (bound_name, unbound.data.clone()),
            (bound_name, [b"y,,", &unbound.data[3..]].concat()),
            (bound_name, [b"p=tls-unique,,", &unbound.data[3..]].concat()),
        ] {
            let error = Opening::read(mechanism, &data, BOUND).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsupported, "{mechanism}");
        }
        let (_, bound) = start(secret(method, true), BOUND);
        for mechanism in [bound.mechanism, unbound.mechanism] {
            let error = Opening::read(mechanism, &bound.data, Channel::Plain).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsupported, "{mechanism}");
        }
    }
    // The client does not go back either, whatever the server says that the account has.
    let (client, _) = start(secret(Method::Scram, true), BOUND);
    let challenge = format!("r={}{},s=c2FsdHNhbHQ=,i=4096", NONCES[0], NONCES[1]);
    let error = client.answer(Some("SCRAM-SHA-256"), challenge.as_bytes()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::LoginRefused);
}

#[test]
fn a_client_is_not_talked_into_a_method_that_it_does_not_allow() {
    let nonce = NONCES.concat();
    let scram = format!("r={nonce},s=c2FsdHNhbHQ=,i=4096");
    let md5 = format!("r={nonce},s=c2FsdHNhbHQ=,k=19456,t=2,l=1");
    let token = format!("r={nonce}");
    let every = Methods::only(Method::Scram).and(Method::HmacMd5).and(Method::Token);
    let known_by_scram = Methods::for_password(Some(Method::Scram));
    for (secret, mechanism, challenge, is_hinted) in [
        (password("pencil", Methods::default()), "FERRY-HMAC-MD5", &md5, true),
        (password("pencil", known_by_scram), "FERRY-HMAC-MD5", &md5, true),
        (password("pencil", Methods::NONE), "SCRAM-SHA-256-PLUS", &scram, false),
        (password("pencil", every), "FERRY-TOKEN", &token, false),
        (password("pencil", every), "PLAIN", &scram, false),
        (password("pencil", every), "", &scram, false),
        (secret(Method::Token, true), "SCRAM-SHA-256-PLUS", &scram, false),
        (secret(Method::Token, true), "FERRY-HMAC-MD5", &md5, false),
    ] {
        let (client, _) = start(secret, BOUND);
        let error = client.answer(Some(mechanism), challenge.as_bytes()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::LoginRefused, "{mechanism}");
        assert_eq!(error.hint.is_some(), is_hinted, "{mechanism}");
    }
    let (client, _) = start(password("pencil", every), BOUND);
    client.answer(Some("FERRY-HMAC-MD5"), md5.as_bytes()).unwrap();
    let (client, _) = start(password("pencil", every), BOUND);
    client.answer(None, scram.as_bytes()).unwrap();
}

#[test]
fn what_was_said_once_is_worth_nothing_again() {
    for method in Method::ALL {
        let (said, result) = run(secret(method, true), Standing::Open(credential(method)), [BOUND, BOUND]);
        result.unwrap();
        // The client's messages to the server, which has a new nonce.
        let opening = Opening::read(method_of_login(method), &said.login, BOUND).unwrap();
        let (server, _) = opening.challenge(Standing::Open(credential(method)), SECRET).unwrap();
        assert_refused(&server.finish(&said.answer).unwrap_err(), "an answer to another challenge");
        // The server's messages to the client, which has a new nonce.
        let (client, _) = ClientLogin::start(secret(method, true), BOUND).unwrap();
        let error = client.answer(Some(method.mechanism(&BOUND)), &said.challenge).unwrap_err();
        assert_eq!(error.kind, ErrorKind::LoginRefused);
        let (client, login) = ClientLogin::start(secret(method, true), BOUND).unwrap();
        let (_, step) = challenge(&login, Standing::Open(credential(method)), BOUND).unwrap();
        let (finish, _) = client.answer(Some(step.mechanism), &step.data).unwrap();
        assert_eq!(finish.check(&said.welcome).unwrap_err().kind, ErrorKind::LoginRefused);
    }
}

/// What the login message of a method says that it is.
fn method_of_login(method: Method) -> &'static str {
    match method {
        Method::HmacMd5 => Method::Scram.mechanism(&BOUND),
        other => other.mechanism(&BOUND),
    }
}

#[test]
fn no_byte_of_any_message_can_be_changed_on_the_way() {
    for method in Method::ALL {
        let standing = Standing::Open(credential(method));
        let (said, result) = run(secret(method, true), standing, [BOUND, BOUND]);
        result.unwrap();
        let changes = |message: &[u8]| -> Vec<Vec<u8>> {
            let change = |at: usize, bit: u8| {
                let mut changed = message.to_vec();
                changed[at] ^= bit;
                changed
            };
            (0..message.len()).flat_map(|at| [change(at, 1), change(at, 0x20)]).collect()
        };
        for changed in changes(&said.login) {
            let Ok(opening) = Opening::read(method_of_login(method), &changed, BOUND) else {
                continue;
            };
            let (server, _) = opening.challenge_with(standing, SECRET, NONCES[1]).unwrap();
            assert!(server.finish(&said.answer).is_err(), "{method}: {}", changed.escape_ascii());
        }
        for changed in changes(&said.answer) {
            let opening = Opening::read(method_of_login(method), &said.login, BOUND).unwrap();
            let (server, _) = opening.challenge_with(standing, SECRET, NONCES[1]).unwrap();
            assert!(server.finish(&changed).is_err(), "{method}: {}", changed.escape_ascii());
        }
        let finish = waiting(method, BOUND).0;
        finish.check(&said.welcome).unwrap();
        for changed in changes(&said.welcome) {
            assert!(finish.check(&changed).is_err(), "{method}: {}", changed.escape_ascii());
        }
        // A changed challenge asks for another derivation, each of which is slow: some are enough.
        let step = if method == Method::Token { 1 } else { 9 };
        for changed in changes(&said.challenge).into_iter().step_by(step) {
            let (client, login) = start(secret(method, true), BOUND);
            let (server, _) = challenge(&login, standing, BOUND).unwrap();
            let Ok((_, answer)) = client.answer(Some(method.mechanism(&BOUND)), &changed) else {
                continue;
            };
            assert!(server.finish(&answer).is_err(), "{method}: {}", changed.escape_ascii());
        }
    }
}
