//! Saved logins: a token of 32 random bytes with a name of its own, shown once to its user and never sent again, not even inside TLS.
//!
//! ```text
//! login      p=tls-exporter,,n=ID,r=NONCE      as in SCRAM; without TLS n,,
//! challenge  r=NONCE NONCE
//! answer     c=BINDING,r=NONCE NONCE,p=PROOF
//! welcome    v=PROOF
//! ```
//! It is SCRAM-SHA-256 without the slow derivation, which 256 random bits do not need. With `K = HMAC-SHA-256(secret, "FERRY-TOKEN")`
//! for SaltedPassword, keys and proofs are SCRAM's, and `FERRY-TOKEN,` stands before the text that is proven: no proof of a token
//! can pass for one of a password, nor the reverse. Each side's nonce has 22 to 256 characters.
//!
//! The server keeps the SHA-256 of the ClientKey: a fast hash is right for what nobody can guess. What it keeps does not log in.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::exchange::{Finish, Started};
use super::message::{attributes, broken, random, text};
use super::method::Method;
use super::proof::{Hash, Keys};
use super::scram::derived;
use crate::error::{Error, Result};

/// The mechanism's name.
pub const MECHANISM: &str = "FERRY-TOKEN";
/// Length of a token's secret, in bytes: as long as the hash over it.
pub const SECRET_BYTES: usize = 32;
/// Length of a token's id, in characters: 64 random bits in lower-case hex, which is not secret and short enough to be typed.
pub const ID_CHARS: usize = 16;
/// How the text of a token starts. A form that differs will have another number.
const PREFIX: &str = "ferry-token-v1:";

/// A token as its user has it.
#[derive(Clone)]
pub struct Token {
    id: String,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

impl Token {
    /// A new token. The server keeps its [`Token::verifier`] under its id and shows [`Token::reveal`] once.
    ///
    /// # Errors
    /// `internal` when there are no random bytes.
    pub fn new() -> Result<Self> {
        Ok(Self::with(random()?, random()?))
    }

    /// A token of given bytes.
    pub fn with(id: [u8; ID_CHARS / 2], secret: [u8; SECRET_BYTES]) -> Self {
        Self {
            id: format!("{:016x}", u64::from_be_bytes(id)),
            secret: Zeroizing::new(secret),
        }
    }

    /// Its id: what a server and its user call it by.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `ferry-token-v1:<id>:<secret>`, the secret in base64 for URLs without padding (RFC 4648, section 5). Whoever has this text
    /// is the user. There is no `Display`, so that no token is printed by mistake.
    pub fn reveal(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(BASE64.encode(self.secret.as_slice()));
        Zeroizing::new([PREFIX, &self.id, ":", &secret].concat())
    }

    /// What the server keeps of it.
    pub fn verifier(&self) -> Verifier {
        let keys = self.keys();
        Verifier {
            stored_key: keys.stored_key,
            server_key: keys.server_key.to_vec(),
        }
    }

    fn keys(&self) -> Keys {
        let key = Hash::Sha256.mac(self.secret.as_slice(), MECHANISM.as_bytes());
        Keys::derive(Hash::Sha256, &key)
    }

    /// Answers a server's challenge; takes microseconds.
    ///
    /// # Errors
    /// `login_refused` for one that no honest server sends, `bad_request` for what is none.
    pub(super) fn prove(&self, started: &Started, challenge: &[u8]) -> Result<(Finish, Vec<u8>)> {
        let challenge = text(challenge)?;
        let [nonce] = attributes(challenge, ["r="]).ok_or_else(broken)?;
        started.check_nonce(Method::Token, nonce)?;
        Ok(started.prove(Method::Token, &self.keys(), challenge, nonce))
    }
}

impl FromStr for Token {
    type Err = Error;

    /// Reads the text of a token; blanks around it do not count.
    ///
    /// # Errors
    /// `unsupported` for a token of another version, `bad_request` for what is none. Neither quotes any of it.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim_ascii();
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return Err(if text.starts_with("ferry-token-v") {
                Error::unsupported("this token is of another version of Ferry")
            } else {
                Error::bad_request("this is no token").hint("a token starts with `ferry-token-v1:`")
            });
        };
        let cut = || Error::bad_request("this token is not whole").hint("copy all of it, on one line");
        let (id, secret) = rest.split_once(':').ok_or_else(cut)?;
        let bytes = BASE64.decode(secret).map(Zeroizing::new).map_err(|_| cut())?;
        let secret = <[u8; SECRET_BYTES]>::try_from(bytes.as_slice()).map(Zeroizing::new);
        let secret = secret.map_err(|_| cut())?;
        if !is_id(id) {
            return Err(cut());
        }
        let id = id.to_owned();
        Ok(Self { id, secret })
    }
}

/// Whether this can be a token's id.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What a server keeps of a token: nothing that would let anyone log in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// SHA-256(ClientKey).
    #[serde(with = "serde_bytes")]
    pub stored_key: Vec<u8>,
    /// HMAC-SHA-256(K, "Server Key").
    #[serde(with = "serde_bytes")]
    pub server_key: Vec<u8>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

impl Verifier {
    /// What to answer with for a token that does not exist or may not be used: keys that no token fits. `secret` is the
    /// server's own.
    pub fn decoy(secret: &[u8], id: &str) -> Self {
        Self {
            stored_key: derived(secret, "token stored", id),
            server_key: derived(secret, "token server", id),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_token_survives_its_text() {
        let token = Token::with([0x0a, 1, 2, 3, 4, 5, 6, 7], [0xff; SECRET_BYTES]);
        let text = token.reveal();
        assert_eq!(
            text.as_str(),
            "ferry-token-v1:0a01020304050607:__________________________________________8"
        );
        let back: Token = format!(" {}\n", *text).parse().unwrap();
        assert_eq!((back.id(), &back.secret), (token.id(), &token.secret));
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let (a, b) = (Token::new().unwrap(), Token::new().unwrap());
        assert!(a.id() != b.id() && a.secret != b.secret && is_id(a.id()));
    }

    #[test]
    fn what_is_no_token_is_refused_and_never_quoted() {
        let whole = Token::with([9; 8], [7; SECRET_BYTES]).reveal().to_string();
        let secret = whole.rsplit_once(':').unwrap().1;
        for (text, kind) in [
            (String::new(), ErrorKind::BadRequest),
            (secret.to_owned(), ErrorKind::BadRequest),
            (whole.replace("v1", "v2"), ErrorKind::Unsupported),
            (whole.replace("v1", "v11"), ErrorKind::Unsupported),
            (whole.replace(":0", ":G"), ErrorKind::BadRequest),
            (whole.replace(":0", ":"), ErrorKind::BadRequest),
            (whole[..whole.len() - 1].to_owned(), ErrorKind::BadRequest),
            (whole[..30].to_owned(), ErrorKind::BadRequest),
            (format!("{whole}A"), ErrorKind::BadRequest),
            (format!("{whole}="), ErrorKind::BadRequest),
            (format!("{}d", &whole[..whole.len() - 1]), ErrorKind::BadRequest),
            (whole.replace("ferry", "FERRY"), ErrorKind::BadRequest),
        ] {
            let error = text.parse::<Token>().unwrap_err();
            assert_eq!(error.kind, kind, "{text}");
            assert!(!format!("{error:?}").contains(&secret[..20]));
        }
    }

    #[test]
    fn a_token_is_shown_by_its_id_alone() {
        let token = Token::with([9; 8], [7; SECRET_BYTES]);
        assert_eq!(format!("{token:?}"), "Token(0909090909090909)");
        assert_eq!(format!("{:?}", token.verifier()), "Verifier(..)");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*|(ferry-token-v1:)?[0-9a-f:]{0,20}:[A-Za-z0-9_-]{0,50}") {
            if let Ok(token) = text.parse::<Token>() {
                let shown = token.reveal();
                prop_assert_eq!(shown.as_str(), text.trim_ascii());
            }
        }
    }
}
