//! The test vectors of `docs/vectors`, read as a stranger would read them: what they accept is accepted with that value, what
//! they reject is rejected with that kind, and what they call canonical is what our encoder writes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;

use common::{json, understood, unhex};
use ferry_core::login::scram::{Client, ClientFirst, Server, Verifier};
use ferry_core::wire::frame::{HEADER_BYTES, Header, ID_BYTES, Kind, Stage, grant, read_grant};
use ferry_core::wire::guard::Map;
use ferry_core::wire::message::{Hello, Message as _};
use ferry_core::{Digest, Error, HomePath, RemotePath};
use ring::{digest, hmac, pbkdf2};
use serde_json::{Value, json};

const FILES: [(&str, &str); 6] = [
    ("frames", include_str!("../../docs/vectors/frames.json")),
    ("guard", include_str!("../../docs/vectors/guard.json")),
    ("messages", include_str!("../../docs/vectors/messages.json")),
    ("login", include_str!("../../docs/vectors/login.json")),
    ("names", include_str!("../../docs/vectors/names.json")),
    ("digests", include_str!("../../docs/vectors/digests.json")),
];

fn vectors(file: &str) -> Vec<Value> {
    let (_, text) = FILES.into_iter().find(|(name, _)| *name == file).unwrap();
    let file: Value = serde_json::from_str(text).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn text<'v>(vector: &'v Value, key: &str) -> &'v str {
    vector[key].as_str().unwrap_or_default()
}

/// Compares an outcome with what the vector says; gives the difference.
fn difference(vector: &Value, outcome: Result<Value, Error>) -> Option<String> {
    let is_right = match &outcome {
        Ok(_) if vector["accept"] == true => true,
        Ok(value) => vector.get("accept") == Some(value),
        Err(error) => text(vector, "reject") == error.kind.as_str(),
    };
    let got = outcome.map_or_else(|error| format!("{}: {error}", error.kind), |value| value.to_string());
    (!is_right).then(|| format!("{}: got {got:.300}", vector["name"]))
}

/// Checks all vectors of a file and shows every difference at once.
fn check(file: &str, mut outcome: impl FnMut(&Value) -> Result<Value, Error>) {
    let wrong: Vec<String> = vectors(file).iter().filter_map(|v| difference(v, outcome(v))).collect();
    assert!(wrong.is_empty(), "{file}:\n{}", wrong.join("\n"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn split_frame(bytes: &[u8], stage: Stage) -> Result<(Header, &[u8]), Error> {
    let (header, payload) = bytes.split_first_chunk::<HEADER_BYTES>().unwrap();
    Ok((Header::read(*header, stage)?, payload))
}

fn name_of(kind: Kind) -> String {
    format!("{kind:?}").to_lowercase()
}

#[test]
fn frames_are_read_and_written_as_the_vectors_say() {
    check("frames", |vector| {
        let stage = match text(vector, "stage") {
            "before_login" => Stage::BeforeLogin,
            _ => Stage::LoggedIn,
        };
        let bytes = unhex(text(vector, "hex"));
        let (header, payload) = split_frame(&bytes, stage)?;
        let kind = header.kind.map(name_of);
        if vector["accept"].get("len").is_some() {
            return Ok(json!({"kind": kind, "len": header.len_bytes}));
        }
        assert_eq!(payload.len(), header.len_bytes, "{}", vector["name"]);
        let (value, written) = match header.kind.unwrap() {
            Kind::Data => {
                let (id, contents) = payload.split_at(ID_BYTES);
                let id = u32::from_be_bytes(id.try_into().unwrap());
                let written = [&Header::write_data(id, contents.len()), contents].concat();
                (json!({"kind": kind, "id": id, "contents": hex(contents)}), written)
            }
            Kind::Grant => {
                let (id, bytes) = read_grant(payload)?;
                (json!({"kind": kind, "id": id, "bytes": bytes}), grant(id, bytes).to_vec())
            }
            other => {
                let written = [&Header::write(other, payload.len()), payload].concat();
                (json!({"kind": kind, "payload": hex(payload)}), written)
            }
        };
        assert_eq!(vector["canonical"] == true, written == bytes, "{}", vector["name"]);
        Ok(value)
    });
}

#[test]
fn the_guard_accepts_and_rejects_as_the_vectors_say() {
    check("guard", |vector| {
        let repeated = text(vector, "repeat").repeat(usize::try_from(vector["times"].as_u64().unwrap_or(0)).unwrap());
        let payload = [text(vector, "hex"), text(vector, "prefix"), &repeated, text(vector, "suffix")].concat();
        let payload = unhex(&payload);
        Map::check(&payload).map(|map| json(map.bytes()))
    });
}

#[test]
fn messages_are_read_and_written_as_the_vectors_say() {
    check("messages", |vector| {
        let bytes = unhex(text(vector, "hex"));
        let (header, payload) = split_frame(&bytes, Stage::LoggedIn)?;
        assert_eq!(payload.len(), header.len_bytes, "{}", vector["name"]);
        let kind = header.kind.unwrap();
        assert_eq!(name_of(kind), text(vector, "message"), "{}", vector["name"]);
        let map = Map::check(payload)?;
        let written = understood(kind, &map)?;
        assert_eq!(
            vector["canonical"] == true,
            written == bytes,
            "{}: {}",
            vector["name"],
            hex(&written)
        );
        if kind == Kind::Hello {
            let check = Hello::decode(&map)?.check().err().map(|error| json!(error.kind.as_str()));
            assert_eq!(vector.get("check"), check.as_ref(), "{}", vector["name"]);
        }
        Ok(json(&written[HEADER_BYTES..]))
    });
}

#[test]
fn names_are_resolved_as_the_vectors_say() {
    let path = |value: &Value| match value.get("$bin") {
        Some(bin) => RemotePath(unhex(bin.as_str().unwrap())),
        None => RemotePath::from(value.as_str().unwrap()),
    };
    check("names", |vector| {
        let cwd = path(&vector["cwd"]).resolve(&HomePath::root())?;
        let place = path(&vector["path"]).resolve(&cwd)?;
        Ok(match std::str::from_utf8(place.as_bytes()) {
            Ok(text) => json!(text),
            Err(_) => json!({"$bin": hex(place.as_bytes())}),
        })
    });
}

#[test]
fn digests_are_read_and_written_as_the_vectors_say() {
    check("digests", |vector| {
        let digest: Digest = text(vector, "text")
            .parse()
            .map_err(|text: String| Error::bad_request(text))?;
        assert_eq!(digest.to_string(), text(vector, "text"));
        assert_eq!(digest, digest.algorithm().digest(&unhex(text(vector, "of"))));
        Ok(json!({"algorithm": digest.algorithm().as_str(), "hex": digest.hex()}))
    });
}

#[test]
fn logins_go_as_the_vectors_say() {
    check("login", |vector| {
        let with = |nonce: &str| text(vector, "text").replace("{nonce}", nonce);
        let verifier = || Verifier::new("pencil").unwrap();
        let start = || {
            let (client, first) = Client::start("user", "pencil").unwrap();
            let nonce = String::from_utf8(first.clone())
                .unwrap()
                .rsplit_once("r=")
                .unwrap()
                .1
                .to_owned();
            (client, first, nonce)
        };
        match text(vector, "step") {
            "client_first" => ClientFirst::read(with("").as_bytes()).map(|first| json!(first.user)),
            "challenge" => {
                let (client, _, nonce) = start();
                client.answer(with(&nonce).as_bytes()).map(|_| json!(true))
            }
            "answer" => {
                let (_, first, _) = start();
                let (server, challenge) = Server::start(&ClientFirst::read(&first)?, verifier())?;
                let challenge = String::from_utf8(challenge).unwrap();
                let nonce = challenge[2..].split_once(',').unwrap().0;
                server.finish(with(nonce).as_bytes()).map(|_| json!(true))
            }
            step => {
                assert_eq!(step, "exchange");
                exchange(vector);
                Ok(json!(true))
            }
        }
    });
}

/// RFC 5802, section 3, computed step by step from the four messages of a vector.
fn exchange(vector: &Value) {
    let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    let decode = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(text).unwrap()
    };
    let first = ClientFirst::read(text(vector, "client_first").as_bytes()).unwrap();
    assert_eq!(first.user, text(vector, "user"));
    let challenge = text(vector, "challenge");
    let [_, salt, rounds] = *challenge.split(',').collect::<Vec<_>>() else {
        panic!("three attributes")
    };
    let mut salted = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds[2..].parse().unwrap(),
        &decode(&salt[2..]),
        text(vector, "password").as_bytes(),
        &mut salted,
    );
    let (without_proof, proof) = text(vector, "answer").rsplit_once(",p=").unwrap();
    let bare = text(vector, "client_first").strip_prefix("n,,").unwrap();
    let auth_message = format!("{bare},{challenge},{without_proof}");
    let client_key = mac(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let signature = mac(stored_key.as_ref(), auth_message.as_bytes());
    let expected: Vec<u8> = client_key
        .as_ref()
        .iter()
        .zip(signature.as_ref())
        .map(|(a, b)| a ^ b)
        .collect();
    assert_eq!(decode(proof), expected);
    let server_key = mac(&salted, b"Server Key");
    let signature = mac(server_key.as_ref(), auth_message.as_bytes());
    assert_eq!(
        decode(text(vector, "welcome").strip_prefix("v=").unwrap()),
        signature.as_ref()
    );
}

#[test]
fn every_kind_of_frame_and_message_has_vectors() {
    let total: usize = FILES.iter().map(|(file, _)| vectors(file).len()).sum();
    assert!(total >= 200, "only {total} vectors");
    let mut accepted = BTreeSet::new();
    let mut rejected = BTreeSet::new();
    for (file, _) in FILES {
        for vector in vectors(file) {
            let (accept, reject) = (vector.get("accept"), vector.get("reject"));
            assert!(accept.is_some() != reject.is_some(), "{}: accept or reject", vector["name"]);
            let kind = vector.get("message").or(accept.and_then(|accept| accept.get("kind")));
            if let Some(kind) = kind.and_then(Value::as_str) {
                let list = if reject.is_some() { &mut rejected } else { &mut accepted };
                list.insert(kind.to_owned());
            }
        }
    }
    for kind in Kind::ALL {
        assert!(accepted.contains(&name_of(kind)), "no vector of {kind:?} is accepted");
    }
    for kind in [
        Kind::Hello,
        Kind::Login,
        Kind::Request,
        Kind::Begin,
        Kind::Rows,
        Kind::Done,
        Kind::Fail,
        Kind::End,
    ] {
        assert!(rejected.contains(&name_of(kind)), "no vector of {kind:?} is rejected");
    }
}
