//! What a server keeps of an account's secret, whatever the method.

use serde::{Deserialize, Serialize};

use super::exchange::{ClientFirst, Dialogue};
use super::method::Method;
use super::{hmac_md5, scram, token};
use crate::error::{Error, Result};

/// What a server keeps of a secret. None of it lets anyone log in, and none of it is shown.
///
/// Stored as a map of one key, which names the method and the form of what follows. A form that changes gets a name of its own,
/// and the old one stays readable; a name that is not known is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// A password, by SCRAM-SHA-256.
    #[serde(rename = "scram-sha-256")]
    Scram(scram::Verifier),
    /// A password, by HMAC-MD5 over Argon2id.
    #[serde(rename = "hmac-md5-v1")]
    HmacMd5(hmac_md5::Verifier),
    /// A saved login.
    #[serde(rename = "token-v1")]
    Token(token::Verifier),
}

/// Whether whoever is named may log in. The three look alike from outside, but for [`Credential::HmacMd5`].
#[derive(Debug, Clone, Copy)]
pub enum Standing<'c> {
    /// There is no such account, or no such token.
    Unknown,
    /// It may not log in for now.
    Disabled(&'c Credential),
    /// It may, with the right secret.
    Open(&'c Credential),
}

impl Credential {
    /// What to keep of a new password. Slow on purpose.
    ///
    /// # Errors
    /// `bad_request` for what cannot be a password and for a method that has none, `internal` when there are no random bytes.
    pub fn of_password(method: Method, password: &str) -> Result<Self> {
        match method {
            Method::Scram => scram::Verifier::new(password).map(Self::Scram),
            Method::HmacMd5 => hmac_md5::Verifier::new(password).map(Self::HmacMd5),
            Method::Token => Err(Error::bad_request("a token is not a password")),
        }
    }

    /// The one method that it is for.
    pub fn method(&self) -> Method {
        match self {
            Self::Scram(_) => Method::Scram,
            Self::HmacMd5(_) => Method::HmacMd5,
            Self::Token(_) => Method::Token,
        }
    }

    /// What a login is checked against: a decoy for everything that must not succeed. A token's secret is no password, so each
    /// counts as unknown where the other was named.
    pub(super) fn checked(standing: Standing<'_>, is_token: bool, secret: &[u8], name: &str) -> Self {
        // The decoys are made in any case, so that time does not tell who is there.
        let (scram, token) = (scram::Verifier::decoy(secret, name), token::Verifier::decoy(secret, name));
        match (standing, is_token) {
            (Standing::Open(Self::Token(kept)), true) => Self::Token(kept.clone()),
            (_, true) => Self::Token(token),
            (Standing::Open(kept @ (Self::Scram(_) | Self::HmacMd5(_))), false) => kept.clone(),
            (Standing::Disabled(Self::Scram(kept)), false) => Self::Scram(kept.barred(scram)),
            (Standing::Disabled(Self::HmacMd5(kept)), false) => Self::HmacMd5(kept.barred(scram)),
            _ => Self::Scram(scram),
        }
    }

    pub(super) fn challenge(self, first: ClientFirst, nonce: &str) -> Result<(Dialogue, Vec<u8>)> {
        let method = self.method();
        first.check_nonce(method)?;
        let (params, keys) = match self {
            Self::Scram(kept) => (kept.params(), (kept.stored_key, kept.server_key)),
            Self::HmacMd5(kept) => (kept.params(), (kept.stored_key, kept.server_key)),
            Self::Token(kept) => (String::new(), (kept.stored_key, kept.server_key)),
        };
        Ok(Dialogue::new(method, first, &params, keys, nonce))
    }
}
