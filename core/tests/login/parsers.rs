//! Any bytes at all, wherever either side reads some.

use ferry_core::login::{Channel, ClientLogin, Method, Methods, Opening, Secret, Standing};
use proptest::prelude::*;

use crate::{BOUND, NONCES, challenge, credential, secret, start};

/// Messages that are nearly right, and any bytes at all. None has iterations that take long.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(String::from("p=tls-exporter,,")),
        Just(String::from("n,,")),
        Just(format!("r={}", NONCES.concat())),
        Just(format!("r={}", NONCES[0])),
        "[nrscpvmiktl]=[ -~]{0,30}",
        Just(String::from("s=c2FsdHNhbHQ=")),
        "i=[+-]?409[0-9]",
        "k=19[0-9]{3}",
        "[tl]=[0-3]",
        "\\PC{0,10}",
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(part, 0..7).prop_map(|parts| parts.join(",").into_bytes()),
        "(,[a-z]=[ -~]{0,9}|,s=c2FsdHNhbHQ=,i=409[0-9]|,s=c2FsdHNhbHQ=,k=1945[0-9],t=[12],l=[01])(,[mx]=[a-z]{0,3})?"
            .prop_map(|tail| format!("r={}{tail}", NONCES.concat()).into_bytes()),
        "(c=[A-Za-z0-9+/=]{0,60},)?r=[!-~]{0,60},p=([A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{22}==|[ -~]{0,50})"
            .prop_map(String::into_bytes),
        "v=([A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{22}==|[ -~]{0,50})".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_a_server_panic_or_let_anyone_in(login in message(), answer in message(), plain: bool, by_token: bool) {
        let channel = if plain { Channel::Plain } else { BOUND };
        let mechanism = if by_token { Method::Token } else { Method::Scram }.mechanism(&channel);
        let _ = Opening::read(mechanism, &login, channel.clone());
        for method in Method::ALL {
            let (_, login) = start(secret(method, true), channel.clone());
            let (server, _) = challenge(&login, Standing::Open(credential(method)), channel.clone()).unwrap();
            prop_assert!(server.finish(&answer).is_err());
        }
    }

    #[test]
    fn no_bytes_make_a_client_panic_or_trust(challenge in message(), welcome in message()) {
        for method in Method::ALL {
            let (client, _) = start(secret(method, true), BOUND);
            if let Ok((finish, _)) = client.answer(Some(method.mechanism(&BOUND)), &challenge) {
                prop_assert!(finish.check(&welcome).is_err());
            }
        }
    }

    #[test]
    fn no_name_or_password_makes_a_client_panic(user in "\\PC{0,20}|.{0,20}", entered in ".{0,20}|[\u{0}-\u{10ffff}]{0,10}") {
        let secret = Secret::Password { user, password: entered.into(), allowed: Methods::default() };
        if let Ok((_, login)) = ClientLogin::start(secret, BOUND) {
            prop_assert!(Opening::read(login.mechanism, &login.data, BOUND).is_ok());
        }
    }
}
