//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 9266): both sides prove that they know the password, and nobody on
//! the way, nor the server's database, learns it.

use std::num::NonZeroU32;

use ring::{digest, pbkdf2};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::channel::Channel;
use super::exchange::{Dialogue, Started};
use super::message::{SALT_LEN_BYTES, attributes, broken, distrusted, encode, nonce, number, salt, text};
use super::method::Method;
use super::prep;
use super::proof::{Hash, Keys};
use crate::error::{Error, Result};

pub use super::exchange::{ClientFirst, Finish};
pub use super::message::random;

/// The mechanism's name without channel binding (RFC 7677).
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// The mechanism's name with channel binding.
pub const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// Iterations for new passwords: OWASP's Password Storage Cheat Sheet for PBKDF2-HMAC-SHA256, 2023.
pub const ITERATIONS: u32 = 600_000;
/// The fewest iterations that a client accepts (RFC 7677, section 4). Fewer would hand the password to whoever asks.
pub const ITERATIONS_MIN: u32 = 4_096;
/// The most iterations that a client accepts: some seconds of work.
pub const ITERATIONS_MAX: u32 = 10_000_000;
/// Length of a new salt, in bytes.
pub const SALT_BYTES: usize = 16;

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

fn derive(password: &str, salt: &[u8], iterations: u32) -> Keys {
    let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
    let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        salt,
        password.as_bytes(),
        salted.as_mut_slice(),
    );
    Keys::derive(Hash::Sha256, salted.as_slice())
}

/// A value that only the server's own secret leads to.
pub(super) fn derived(secret: &[u8], what: &str, name: &str) -> Vec<u8> {
    Hash::Sha256.mac(secret, format!("{what}:{name}").as_bytes()).to_vec()
}

impl Verifier {
    /// What to keep of a new password. Slow on purpose.
    ///
    /// # Errors
    /// `bad_request` for what cannot be a password, `internal` when there are no random bytes.
    pub fn new(password: &str) -> Result<Self> {
        Self::with(password, &random::<SALT_BYTES>()?, ITERATIONS)
    }

    /// The same with a salt and iterations of one's own.
    ///
    /// # Errors
    /// `bad_request` for what cannot be a password, and for what clients would not take: a salt of less than 8 or more than 64
    /// bytes, less than [`ITERATIONS_MIN`] or more than [`ITERATIONS_MAX`].
    pub fn with(password: &str, salt: &[u8], iterations: u32) -> Result<Self> {
        if !SALT_LEN_BYTES.contains(&salt.len()) || !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(Error::bad_request("no client would take this salt or these iterations"));
        }
        let keys = derive(&prep::new_password(password)?, salt, iterations);
        Ok(Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: keys.stored_key,
            server_key: keys.server_key.to_vec(),
        })
    }

    /// What to answer with for a user who does not exist: the same salt each time, so that nobody learns it, and keys that no
    /// password fits. `secret` is the server's own.
    pub fn decoy(secret: &[u8], user: &str) -> Self {
        let mut salt = derived(secret, "salt", user);
        salt.truncate(SALT_BYTES);
        Self {
            salt,
            iterations: ITERATIONS,
            stored_key: derived(secret, "stored", user),
            server_key: derived(secret, "server", user),
        }
    }

    /// What to answer with for a user who may not log in for now: what his clients know of him, and a decoy's keys.
    pub(super) fn barred(&self, decoy: Self) -> Self {
        Self {
            salt: self.salt.clone(),
            iterations: self.iterations,
            ..decoy
        }
    }

    pub(super) fn params(&self) -> String {
        format!(",s={},i={}", encode(&self.salt), self.iterations)
    }
}

/// Answers a server's challenge.
///
/// # Errors
/// `login_refused` for one that no honest server sends, `bad_request` for what is none.
pub(super) fn prove(started: &Started, password: &str, challenge: &[u8]) -> Result<(Finish, Vec<u8>)> {
    let challenge = text(challenge)?;
    let [nonce, salt_text, iterations] = attributes(challenge, ["r=", "s=", "i="]).ok_or_else(broken)?;
    started.check_nonce(Method::Scram, nonce)?;
    let salt = salt(salt_text)?;
    let iterations = number(iterations)?;
    if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
        return Err(distrusted(
            "the server asks for a login that is too weak or too slow to be honest",
        ));
    }
    let keys = derive(password, &salt, iterations);
    Ok(started.prove(Method::Scram, &keys, challenge, nonce))
}

/// The client's side of SCRAM alone, after its first message.
pub struct Client {
    password: Zeroizing<String>,
    started: Started,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({:?})", self.started)
    }
}

impl Client {
    /// Starts a login without channel binding; gives the first message.
    ///
    /// # Errors
    /// As [`Client::start_on`].
    pub fn start(user: &str, password: &str) -> Result<(Self, Vec<u8>)> {
        Self::start_on(user, password, &Channel::Plain)
    }

    /// Starts a login; gives the first message. It binds when there is a channel.
    ///
    /// # Errors
    /// `login_refused` for what cannot be a name or a password, `internal` when there are no random bytes.
    pub fn start_on(user: &str, password: &str, channel: &Channel) -> Result<(Self, Vec<u8>)> {
        Self::start_with(user, password, channel, nonce()?)
    }

    fn start_with(user: &str, password: &str, channel: &Channel, nonce: String) -> Result<(Self, Vec<u8>)> {
        let (started, message) = Started::new(&prep::entered("user name", user)?, channel, nonce);
        let password = prep::entered("password", password)?;
        Ok((Self { password, started }, message))
    }

    /// Answers the server's challenge. This is slow on purpose: call it where blocking is fine.
    ///
    /// # Errors
    /// `login_refused` when the challenge is not one that an honest server sends: another nonce, too few or too many
    /// iterations. Nothing derived from the password has left by then.
    pub fn answer(self, challenge: &[u8]) -> Result<(Finish, Vec<u8>)> {
        prove(&self.started, &self.password, challenge)
    }
}

/// The server's side of SCRAM alone, waiting for the client's proof.
#[derive(Debug)]
pub struct Server(Dialogue);

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
        let params = verifier.params();
        let keys = (verifier.stored_key, verifier.server_key);
        let (dialogue, message) = Dialogue::new(Method::Scram, first.clone(), &params, keys, nonce);
        (Self(dialogue), message)
    }

    /// Checks the client's proof; gives the server's own.
    ///
    /// # Errors
    /// `login_refused`, with one text whatever was wrong; `bad_request` for what is no answer at all.
    pub fn finish(&self, answer: &[u8]) -> Result<Vec<u8>> {
        self.0.finish(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::login::message::{decode, refused};

    fn client(nonce: &str) -> (Client, Vec<u8>) {
        Client::start_with("user", "pencil", &Channel::Plain, nonce.into()).unwrap()
    }

    /// RFC 7677, section 3.
    #[test]
    fn the_exchange_of_rfc_7677_comes_out_to_the_letter() {
        let (client, first) = client("rOprNGfwEbeRWgbNEkqO");
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let verifier = Verifier::with("pencil", &decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096).unwrap();
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
        let verifier = Verifier::with("pa=ss,wörd", b"salty salt", 4096).unwrap();
        login("al=i,ce", "pa=ss,wörd", verifier.clone()).unwrap();
        login("al=i,ce", "pa=ss,wo\u{308}rd", verifier.clone()).unwrap();
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
        assert_ne!(Verifier::decoy(b"s", "bob").salt, Verifier::decoy(b"t", "bob").salt);
    }

    #[test]
    fn a_server_that_asks_for_too_little_or_too_much_learns_nothing() {
        for (tail, kind) in [
            ("s=c2FsdHNhbHQ=,i=1", ErrorKind::LoginRefused),
            ("s=c2FsdHNhbHQ=,i=4095", ErrorKind::LoginRefused),
            ("s=c2FsdHNhbHQ=,i=10000001", ErrorKind::LoginRefused),
            ("s=c2FsdA==,i=4096", ErrorKind::LoginRefused),
            (&format!("s={},i=4096", encode(&[1; 65])), ErrorKind::LoginRefused),
            ("s=c2FsdHNhbHQ=,i=5000000000", ErrorKind::BadRequest),
            ("s=c2FsdHNhbHQ=,i=x", ErrorKind::BadRequest),
            ("s=c2FsdHNhbHQ=,i=+4096", ErrorKind::BadRequest),
            ("s=,i=4096", ErrorKind::LoginRefused),
        ] {
            let (client, _) = client("abcdefgh");
            let error = client.answer(format!("r=abcdefghXYZ,{tail}").as_bytes()).unwrap_err();
            assert_eq!(error.kind, kind, "{tail}");
        }
        let long = format!("abcdefgh{}", "x".repeat(257));
        for nonce in [
            "replayed",
            "abcdefg",
            "abcdefgh",
            "abcdefgh\u{e4}",
            "abcdefgh y",
            long.as_str(),
        ] {
            let (client, _) = client("abcdefgh");
            let error = client
                .answer(format!("r={nonce},s=c2FsdHNhbHQ=,i=4096").as_bytes())
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::LoginRefused, "{nonce}");
        }
    }

    #[test]
    fn nothing_that_no_client_would_take_is_kept() {
        for (salt, iterations) in [
            (&b"saltsalt"[..], ITERATIONS_MIN - 1),
            (b"saltsalt", ITERATIONS_MAX + 1),
            (b"short", ITERATIONS_MIN),
        ] {
            let error = Verifier::with("p", salt, iterations).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadRequest);
        }
        assert_eq!(Verifier::new("").unwrap_err().kind, ErrorKind::BadRequest);
    }

    #[test]
    fn a_server_without_the_keys_is_found_out() {
        let (client, first) = Client::start("u", "p").unwrap();
        let verifier = Verifier::with("q", b"saltsalt", 4096).unwrap();
        let (_, challenge) = Server::start(&ClientFirst::read(&first).unwrap(), verifier).unwrap();
        let (finish, _) = client.answer(&challenge).unwrap();
        for message in ["v=AAAA", "", "v=", "e=unknown-user", "v=?"] {
            assert_eq!(
                finish.check(message.as_bytes()).unwrap_err().kind,
                ErrorKind::LoginRefused,
                "{message}"
            );
        }
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
            let (client, _) = client("abcdefgh");
            assert!(client.answer(challenge.as_bytes()).is_err(), "{challenge}");
        }
    }

    #[test]
    fn a_first_message_that_does_not_fit_the_channel_is_refused() {
        let bound = Channel::TlsExporter([7; 32]);
        for (first, kind) in [
            ("n,,n=user,r=abcdefgh", ErrorKind::Unsupported),
            ("y,,n=user,r=abcdefgh", ErrorKind::Unsupported),
            ("p=tls-unique,,n=user,r=abcdefgh", ErrorKind::Unsupported),
            ("p=tls-exporter2,,n=user,r=abcdefgh", ErrorKind::Unsupported),
            ("p=tls-exporter,a=root,n=user,r=abcdefgh", ErrorKind::BadRequest),
            ("n=user,r=abcdefgh", ErrorKind::BadRequest),
        ] {
            let error = ClientFirst::read_on(first.as_bytes(), &bound).unwrap_err();
            assert_eq!(error.kind, kind, "{first}");
        }
        assert!(ClientFirst::read_on(b"p=tls-exporter,,n=user,r=abcdefgh", &bound).is_ok());
        let error = ClientFirst::read(b"p=tls-exporter,,n=user,r=abcdefgh").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
    }

    #[test]
    fn a_first_message_changed_on_the_way_is_refused() {
        let verifier = Verifier::with("p", b"saltsalt", 4096).unwrap();
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
