//! SCRAM-SHA-256 (RFC 5802, RFC 7677): both sides prove that they know the password, and nobody on the way, nor the server's
//! database, learns it.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// The mechanism's name in a server's hello (RFC 7677).
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// Iterations for new passwords: OWASP's Password Storage Cheat Sheet for PBKDF2-HMAC-SHA256, 2023.
pub const ITERATIONS: u32 = 600_000;
/// The fewest iterations that a client accepts (RFC 7677, section 4). Fewer would hand the password to whoever asks.
pub const ITERATIONS_MIN: u32 = 4_096;
/// The most iterations that a client accepts: some seconds of work.
pub const ITERATIONS_MAX: u32 = 10_000_000;
/// Length of a salt, in bytes.
pub const SALT_BYTES: usize = 16;
/// Length of each side's nonce before its text form, in bytes.
const NONCE_BYTES: usize = 18;
/// The header of a client that uses no channel binding (RFC 5802, section 7).
const GS2_HEADER: &str = "n,,";

/// What a server keeps of a password: nothing that would let anyone log in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// Salt of the key derivation.
    #[serde(with = "serde_bytes")]
    pub salt: Vec<u8>,
    /// Iterations of the key derivation.
    pub iterations: u32,
    /// H(ClientKey).
    #[serde(with = "serde_bytes")]
    pub stored_key: Vec<u8>,
    /// HMAC(SaltedPassword, "Server Key").
    #[serde(with = "serde_bytes")]
    pub server_key: Vec<u8>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({} iterations)", self.iterations)
    }
}

struct Keys {
    client_key: hmac::Tag,
    stored_key: digest::Digest,
    server_key: hmac::Tag,
}

fn derive(password: &str, salt: &[u8], iterations: u32) -> Keys {
    let mut salted = [0; digest::SHA256_OUTPUT_LEN];
    let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password.as_bytes(), &mut salted);
    let client_key = mac(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    Keys {
        client_key,
        stored_key,
        server_key: mac(&salted, b"Server Key"),
    }
}

fn mac(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

/// Random bytes from the operating system.
///
/// # Errors
/// `internal` when it has none.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::internal("the operating system gives no random bytes"))?;
    Ok(bytes)
}

fn nonce() -> Result<String> {
    Ok(BASE64.encode(random::<NONCE_BYTES>()?))
}

fn refused() -> Error {
    Error::new(ErrorKind::LoginRefused, "wrong user name or password")
}

fn broken() -> Error {
    Error::bad_request("login message cannot be understood")
}

impl Verifier {
    /// What to keep of a new password.
    ///
    /// # Errors
    /// `internal` when there are no random bytes.
    pub fn new(password: &str) -> Result<Self> {
        Ok(Self::with(password, &random::<SALT_BYTES>()?, ITERATIONS))
    }

    fn with(password: &str, salt: &[u8], iterations: u32) -> Self {
        let keys = derive(password, salt, iterations);
        Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: keys.stored_key.as_ref().to_vec(),
            server_key: keys.server_key.as_ref().to_vec(),
        }
    }

    /// What to answer with for a user who does not exist: the same salt each time, so that nobody learns it, and keys that no
    /// password fits. `secret` is the server's own.
    pub fn decoy(secret: &[u8], user: &str) -> Self {
        let derived = |what: &str| mac(secret, format!("{what}:{user}").as_bytes()).as_ref().to_vec();
        let mut salt = derived("salt");
        salt.truncate(SALT_BYTES);
        Self {
            salt,
            iterations: ITERATIONS,
            stored_key: derived("stored"),
            server_key: derived("server"),
        }
    }
}

/// The values of a message's attributes, `r=...,s=...`, which stand in the one order that RFC 5802, section 7, gives them. What
/// follows them is an extension and ignored, except for `m=`: it says that whoever does not know it must refuse.
fn attributes<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Option<[&'a str; N]> {
    let mut parts = text.split(',');
    let mut values = [""; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = parts.next()?.strip_prefix(name)?;
    }
    parts.all(|part| !part.starts_with("m=")).then_some(values)
}

/// RFC 5802, section 5.1: `,` and `=` in names.
fn escape_name(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// `None` for an empty name and for a `=` that is no escape.
fn unescape_name(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        match part.strip_prefix("2C") {
            Some(rest) => plain.extend([",", rest]),
            None => plain.extend(["=", part.strip_prefix("3D")?]),
        }
    }
    (!plain.is_empty()).then_some(plain)
}

/// The client's side, after its first message.
pub struct Client {
    password: String,
    first_bare: String,
    nonce: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.first_bare)
    }
}

impl Client {
    /// Starts a login; gives the first message.
    ///
    /// # Errors
    /// `internal` when there are no random bytes.
    pub fn start(user: &str, password: &str) -> Result<(Self, Vec<u8>)> {
        Ok(Self::start_with(user, password, nonce()?))
    }

    fn start_with(user: &str, password: &str, nonce: String) -> (Self, Vec<u8>) {
        let first_bare = format!("n={},r={nonce}", escape_name(user));
        let message = format!("{GS2_HEADER}{first_bare}").into_bytes();
        (
            Self {
                password: password.to_owned(),
                first_bare,
                nonce,
            },
            message,
        )
    }

    /// Answers the server's challenge. This is slow on purpose: call it where blocking is fine.
    ///
    /// # Errors
    /// `login_refused` when the challenge is not one that an honest server sends: another nonce, too few or too many
    /// iterations. Nothing derived from the password has left by then.
    pub fn answer(self, challenge: &[u8]) -> Result<(Finish, Vec<u8>)> {
        let weak = |text: &'static str| Error::new(ErrorKind::LoginRefused, text);
        let challenge = std::str::from_utf8(challenge).map_err(|_| broken())?;
        let [nonce, salt, iterations] = attributes(challenge, ["r=", "s=", "i="]).ok_or_else(broken)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() <= self.nonce.len() {
            return Err(weak("the server's challenge does not belong to this login"));
        }
        let salt = BASE64.decode(salt).map_err(|_| broken())?;
        let iterations: u32 = iterations.parse().map_err(|_| broken())?;
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) || salt.len() < 8 {
            return Err(weak("the server asks for a login that is too weak or too slow to be honest"));
        }
        let keys = derive(&self.password, &salt, iterations);
        let without_proof = format!("c={},r={nonce}", BASE64.encode(GS2_HEADER));
        let auth_message = format!("{},{challenge},{without_proof}", self.first_bare);
        let signature = mac(keys.stored_key.as_ref(), auth_message.as_bytes());
        let proof: Vec<u8> = keys
            .client_key
            .as_ref()
            .iter()
            .zip(signature.as_ref())
            .map(|(a, b)| a ^ b)
            .collect();
        let message = format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes();
        let expected = mac(keys.server_key.as_ref(), auth_message.as_bytes());
        Ok((Finish { expected }, message))
    }
}

/// The client's side, waiting for the server's proof.
#[derive(Debug)]
pub struct Finish {
    expected: hmac::Tag,
}

impl Finish {
    /// Checks that the server knows the account too.
    ///
    /// # Errors
    /// `login_refused` when it does not: whoever answers is not the server that the password was set on.
    pub fn check(&self, message: &[u8]) -> Result<()> {
        let signature = std::str::from_utf8(message)
            .ok()
            .and_then(|text| attributes(text, ["v="]))
            .and_then(|[v]| BASE64.decode(v).ok());
        match signature {
            Some(signature) if is_equal(&signature, self.expected.as_ref()) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::LoginRefused,
                "the server cannot prove that it knows this account",
            )),
        }
    }
}

/// Compares without telling by time where two byte strings differ: by their MACs under a random key (double HMAC).
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let Ok(key) = random::<32>() else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    hmac::verify(&key, a, hmac::sign(&key, b).as_ref()).is_ok()
}

/// The client's first message, read by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    /// The account's name, as the client wrote it.
    pub user: String,
    header: &'static str,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// Reads the message.
    ///
    /// # Errors
    /// `bad_request`; `unsupported` when the client insists on channel binding.
    pub fn read(message: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(message).map_err(|_| broken())?;
        if text.starts_with("p=") {
            return Err(Error::unsupported("channel binding is not offered"));
        }
        // "y" says that the client could bind and believes that we cannot, which is true.
        let header = if text.starts_with("y,,") { "y,," } else { GS2_HEADER };
        let bare = text.strip_prefix(header).ok_or_else(broken)?;
        let [user, nonce] = attributes(bare, ["n=", "r="]).ok_or_else(broken)?;
        let user = unescape_name(user).ok_or_else(broken)?;
        if nonce.len() < 8 || !nonce.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(broken());
        }
        Ok(Self {
            user,
            header,
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }
}

/// The server's side, waiting for the client's proof.
#[derive(Debug)]
pub struct Server {
    verifier: Verifier,
    /// What the client must repeat as `c=`: otherwise somebody on the way changed its first message.
    header: &'static str,
    first_bare: String,
    challenge: String,
    nonce: String,
}

impl Server {
    /// Starts with the client's first message and what is kept of the account ([`Verifier::decoy`] when there is none);
    /// gives the challenge.
    ///
    /// # Errors
    /// `internal` when there are no random bytes.
    pub fn start(first: &ClientFirst, verifier: Verifier) -> Result<(Self, Vec<u8>)> {
        Ok(Self::start_with(first, verifier, &nonce()?))
    }

    fn start_with(first: &ClientFirst, verifier: Verifier, nonce: &str) -> (Self, Vec<u8>) {
        let nonce = format!("{}{nonce}", first.nonce);
        let challenge = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
        let message = challenge.clone().into_bytes();
        (
            Self {
                verifier,
                header: first.header,
                first_bare: first.bare.clone(),
                challenge,
                nonce,
            },
            message,
        )
    }

    /// Checks the client's proof; gives the server's own.
    ///
    /// # Errors
    /// `login_refused`, with one text whatever was wrong; `bad_request` for what is no answer at all.
    pub fn finish(&self, answer: &[u8]) -> Result<Vec<u8>> {
        let text = std::str::from_utf8(answer).map_err(|_| broken())?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or_else(broken)?;
        let [header, nonce] = attributes(without_proof, ["c=", "r="]).ok_or_else(broken)?;
        let proof = BASE64.decode(proof).map_err(|_| broken())?;
        if nonce != self.nonce || header != BASE64.encode(self.header) {
            return Err(refused());
        }
        let auth_message = format!("{},{},{without_proof}", self.first_bare, self.challenge);
        let signature = mac(&self.verifier.stored_key, auth_message.as_bytes());
        if proof.len() != signature.as_ref().len() {
            return Err(refused());
        }
        let client_key: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let stored = digest::digest(&digest::SHA256, &client_key);
        if !is_equal(stored.as_ref(), &self.verifier.stored_key) {
            return Err(refused());
        }
        let signature = mac(&self.verifier.server_key, auth_message.as_bytes());
        Ok(format!("v={}", BASE64.encode(signature)).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3.
    #[test]
    fn the_exchange_of_rfc_7677_comes_out_to_the_letter() {
        let (client, first) = Client::start_with("user", "pencil", "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let verifier = Verifier::with("pencil", &BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096);
        let read = ClientFirst::read(&first).unwrap();
        let (server, challenge) = Server::start_with(&read, verifier, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        assert_eq!(
            challenge,
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let (finish, answer) = client.answer(&challenge).unwrap();
        assert_eq!(
            answer,
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let last = server.finish(&answer).unwrap();
        assert_eq!(last, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        finish.check(&last).unwrap();
    }

    fn login(user: &str, password: &str, verifier: Verifier) -> Result<()> {
        let (client, first) = Client::start(user, password)?;
        let (server, challenge) = Server::start(&ClientFirst::read(&first)?, verifier)?;
        let (finish, answer) = client.answer(&challenge)?;
        finish.check(&server.finish(&answer)?)
    }

    #[test]
    fn only_the_right_password_logs_in() {
        let verifier = Verifier::with("pa=ss,wörd", b"salty salt", 4096);
        login("al=i,ce", "pa=ss,wörd", verifier.clone()).unwrap();
        assert_eq!(login("alice", "pass", verifier).unwrap_err().kind, ErrorKind::LoginRefused);
        let decoy = Verifier {
            iterations: 4096,
            ..Verifier::decoy(b"secret", "bob")
        };
        let (unknown, wrong) = (login("bob", "pass", decoy).unwrap_err(), refused());
        assert_eq!((unknown.kind, unknown.message), (wrong.kind, wrong.message));
    }

    #[test]
    fn a_decoy_is_stable_and_differs_by_user() {
        assert_eq!(Verifier::decoy(b"s", "bob"), Verifier::decoy(b"s", "bob"));
        assert_ne!(Verifier::decoy(b"s", "bob").salt, Verifier::decoy(b"s", "eve").salt);
    }

    #[test]
    fn a_server_that_asks_for_too_little_or_too_much_learns_nothing() {
        for (tail, what) in [
            ("i=1", "weak"),
            ("i=4095", "weak"),
            ("i=4000000000", "slow"),
            ("i=x", "broken"),
        ] {
            let (client, _) = Client::start_with("u", "p", "abcdefgh".into());
            assert!(
                client
                    .answer(format!("r=abcdefghXYZ,s=c2FsdHNhbHQ=,{tail}").as_bytes())
                    .is_err(),
                "{what}"
            );
        }
        let (client, _) = Client::start_with("u", "p", "abcdefgh".into());
        assert!(client.answer(b"r=replayed,s=c2FsdHNhbHQ=,i=4096").is_err());
    }

    #[test]
    fn a_server_without_the_keys_is_found_out() {
        let (client, first) = Client::start("u", "p").unwrap();
        let (_, challenge) = Server::start(&ClientFirst::read(&first).unwrap(), Verifier::with("q", b"saltsalt", 4096)).unwrap();
        let (finish, _) = client.answer(&challenge).unwrap();
        assert!(finish.check(b"v=AAAA").is_err() && finish.check(b"").is_err() && finish.check(b"e=unknown-user").is_err());
    }

    #[test]
    fn attributes_out_of_order_and_mandatory_extensions_are_refused() {
        for first in [
            "n,,m=x,n=user,r=abcdefgh",
            "n,,n=user,m=x,r=abcdefgh",
            "n,,n=user,r=abcdefgh,m=x",
            "n,,n=user,x=1,r=abcdefgh",
            "n,,r=abcdefgh,n=user",
            "n,a=root,n=user,r=abcdefgh",
            "n,,n=,r=abcdefgh",
            "n,,n=user,r=short",
            "n=user,r=abcdefgh",
        ] {
            assert!(ClientFirst::read(first.as_bytes()).is_err(), "{first}");
        }
        assert!(ClientFirst::read(b"n,,n=user,r=abcdefgh,x=1").is_ok());
        for challenge in [
            "m=x,r=abcdefghXYZ,s=c2FsdHNhbHQ=,i=4096",
            "r=abcdefghXYZ,s=c2FsdHNhbHQ=,i=4096,m=x",
            "s=c2FsdHNhbHQ=,r=abcdefghXYZ,i=4096",
            "r=abcdefghXYZ,i=4096,s=c2FsdHNhbHQ=",
        ] {
            let (client, _) = Client::start_with("u", "p", "abcdefgh".into());
            assert!(client.answer(challenge.as_bytes()).is_err(), "{challenge}");
        }
    }

    #[test]
    fn a_name_is_unescaped_once_and_only_where_it_was_escaped() {
        for (wire, want) in [
            ("al=3Di=2Cce", Some("al=i,ce")),
            ("=3D2C", Some("=2C")),
            ("=2C3D", Some(",3D")),
            ("=3=2CD", None),
            ("==2C3D", None),
            ("a=", None),
            ("a=2c", None),
            ("", None),
        ] {
            assert_eq!(unescape_name(wire).as_deref(), want, "{wire}");
        }
    }

    #[test]
    fn a_first_message_changed_on_the_way_is_refused() {
        let verifier = Verifier::with("p", b"saltsalt", 4096);
        let (client, first) = Client::start("u", "p").unwrap();
        let changed = String::from_utf8(first).unwrap().replacen("n,,", "y,,", 1);
        let (server, challenge) = Server::start(&ClientFirst::read(changed.as_bytes()).unwrap(), verifier).unwrap();
        let (_, answer) = client.answer(&challenge).unwrap();
        assert_eq!(server.finish(&answer).unwrap_err().kind, ErrorKind::LoginRefused);
    }

    #[test]
    fn a_password_is_never_shown() {
        let (client, _) = Client::start("u", "hunter2").unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
    }
}
