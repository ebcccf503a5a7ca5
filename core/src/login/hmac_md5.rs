//! The MD5 login of the exercise: HMAC-MD5 (RFC 2104) over a key that Argon2id (RFC 9106) makes of the password, a nonce from each
//! side, a proof from each side, bound to the channel.
//!
//! ```text
//! login      p=tls-exporter,,n=NAME,r=NONCE            as in SCRAM; without TLS n,,
//! challenge  r=NONCE NONCE,s=SALT,k=19456,t=2,l=1       memory in KiB, passes, lanes of Argon2id
//! answer     c=BINDING,r=NONCE NONCE,p=PROOF
//! welcome    v=PROOF
//! ```
//! Salt, binding and proofs are base64; binding is the header and the 32 exported bytes. Each side's nonce has 22 to 256
//! characters. With `K = Argon2id(SASLprep(password), salt)`, 32 bytes, version 0x13:
//!
//! ```text
//! ClientKey = HMAC-MD5(K, "Client Key")     StoredKey = MD5(ClientKey)     ServerKey = HMAC-MD5(K, "Server Key")
//! Text      = "FERRY-HMAC-MD5," + login without its header + "," + challenge + "," + answer without ",p=..."
//! client's proof = ClientKey XOR HMAC-MD5(StoredKey, Text)     server's proof = HMAC-MD5(ServerKey, Text)
//! ```
//! A plain HMAC of the stored key would let whoever reads the accounts log in with what is written there. In SCRAM's shape it does
//! not: an answer needs the ClientKey, of which the server keeps only the MD5, and no way back from it is known (RFC 6151; the
//! best attack on paper takes 2^123 steps).
//!
//! # Its weaker point
//! What protects such a login is 128 bits and MD5's resistance to preimages, not its broken resistance to collisions. And a name with
//! such an account is answered with this mechanism, a name without any account with SCRAM: so anyone can find out that the
//! account exists. [`WEAKNESS`] says so to whoever makes one.

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::exchange::{Finish, Started};
use super::message::{SALT_LEN_BYTES, attributes, broken, distrusted, encode, number, random, salt, text};
use super::method::Method;
use super::prep;
use super::proof::{Hash, Keys};
use super::scram::{self, SALT_BYTES};
use crate::error::{Error, Result};

/// The mechanism's name.
pub const MECHANISM: &str = "FERRY-HMAC-MD5";

/// For whoever makes such an account; to be printed once.
pub const WEAKNESS: &str = "this account logs in by HMAC-MD5: its proofs have 128 bits and rest on MD5, and anyone can find out that \
                            the account exists; accounts made without --auth md5 have neither weakness";

/// Length of the key that Argon2id makes, in bytes.
const KEY_BYTES: usize = 32;

/// What one derivation costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes, which are computed one after the other here.
    pub lanes: u32,
}

impl Cost {
    /// For new passwords, and the least that a client accepts: every server that knows this mechanism stores at least this.
    /// OWASP's Password Storage Cheat Sheet for Argon2id, 2023: 19 MiB, 2 passes, 1 lane.
    pub const DEFAULT: Self = Self {
        memory_kib: 19_456,
        passes: 2,
        lanes: 1,
    };
    /// The most that a client accepts: 256 MiB, and some seconds of work.
    pub const MAX: Self = Self {
        memory_kib: 262_144,
        passes: 16,
        lanes: 4,
    };

    fn is_honest(self) -> bool {
        let (least, most) = (Self::DEFAULT, Self::MAX);
        (least.memory_kib..=most.memory_kib).contains(&self.memory_kib)
            && (least.passes..=most.passes).contains(&self.passes)
            && (least.lanes..=most.lanes).contains(&self.lanes)
    }
}

/// What a server keeps of such a password: not enough to log in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// Salt of the key derivation.
    #[serde(with = "serde_bytes")]
    pub salt: Vec<u8>,
    /// Cost of the key derivation.
    pub cost: Cost,
    /// MD5(ClientKey).
    #[serde(with = "serde_bytes")]
    pub stored_key: Vec<u8>,
    /// HMAC-MD5(K, "Server Key").
    #[serde(with = "serde_bytes")]
    pub server_key: Vec<u8>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({:?})", self.cost)
    }
}

fn argon2id(password: &str, salt: &[u8], cost: Cost) -> Result<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_BYTES))
        .and_then(|params| {
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password_into(password.as_bytes(), salt, key.as_mut_slice())
        })
        .map_err(|error| Error::internal(format!("no key can be made of the password: {error}")))?;
    Ok(key)
}

fn derive(password: &str, salt: &[u8], cost: Cost) -> Result<Keys> {
    Ok(Keys::derive(Hash::Md5, argon2id(password, salt, cost)?.as_slice()))
}

impl Verifier {
    /// What to keep of a new password. Slow on purpose, and takes 19 MiB meanwhile.
    ///
    /// # Errors
    /// `bad_request` for what cannot be a password, `internal` when there are no random bytes.
    pub fn new(password: &str) -> Result<Self> {
        Self::with(password, &random::<SALT_BYTES>()?, Cost::DEFAULT)
    }

    /// The same with a salt and a cost of one's own.
    ///
    /// # Errors
    /// `bad_request` for what cannot be a password, and for what clients would not take: a salt of less than 8 or more than 64
    /// bytes, less than [`Cost::DEFAULT`] or more than [`Cost::MAX`].
    pub fn with(password: &str, salt: &[u8], cost: Cost) -> Result<Self> {
        if !SALT_LEN_BYTES.contains(&salt.len()) || !cost.is_honest() {
            return Err(Error::bad_request("no client would take this salt or this cost"));
        }
        let keys = derive(&prep::new_password(password)?, salt, cost)?;
        Ok(Self {
            salt: salt.to_vec(),
            cost,
            stored_key: keys.stored_key,
            server_key: keys.server_key.to_vec(),
        })
    }

    /// What to answer with for a user who may not log in for now: what his clients know of him, and a decoy's keys.
    pub(super) fn barred(&self, mut decoy: scram::Verifier) -> Self {
        decoy.stored_key.truncate(self.stored_key.len());
        decoy.server_key.truncate(self.server_key.len());
        Self {
            salt: self.salt.clone(),
            cost: self.cost,
            stored_key: decoy.stored_key,
            server_key: decoy.server_key,
        }
    }

    pub(super) fn params(&self) -> String {
        let Cost {
            memory_kib,
            passes,
            lanes,
        } = self.cost;
        format!(",s={},k={memory_kib},t={passes},l={lanes}", encode(&self.salt))
    }
}

/// Answers a server's challenge.
///
/// # Errors
/// `login_refused` for one that no honest server sends, `bad_request` for what is none.
pub(super) fn prove(started: &Started, password: &str, challenge: &[u8]) -> Result<(Finish, Vec<u8>)> {
    let challenge = text(challenge)?;
    let [nonce, salt_text, memory, passes, lanes] = attributes(challenge, ["r=", "s=", "k=", "t=", "l="]).ok_or_else(broken)?;
    started.check_nonce(Method::HmacMd5, nonce)?;
    let salt = salt(salt_text)?;
    let cost = Cost {
        memory_kib: number(memory)?,
        passes: number(passes)?,
        lanes: number(lanes)?,
    };
    if !cost.is_honest() {
        return Err(distrusted(
            "the server asks for a login that is too weak or too slow to be honest",
        ));
    }
    let keys = derive(password, &salt, cost)?;
    Ok(started.prove(Method::HmacMd5, &keys, challenge, nonce))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::login::Channel;

    /// From the test suite of the reference implementation (P-H-C/phc-winner-argon2, src/test.c).
    #[test]
    fn argon2id_is_that_of_the_reference() {
        let cost = Cost {
            memory_kib: 256,
            passes: 2,
            lanes: 1,
        };
        let key = argon2id("password", b"somesalt", cost).unwrap();
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe");
    }

    #[test]
    fn a_server_that_asks_for_too_little_or_too_much_learns_nothing() {
        let nonce = "rOprNGfwEbeRWgbNEkqO1234";
        let (started, _) = Started::new("u", &Channel::Plain, nonce.into());
        let answer = |tail: &str| prove(&started, "p", format!("r={nonce}{nonce},{tail}").as_bytes()).map(|_| ());
        for tail in [
            "s=c2FsdHNhbHQ=,k=19455,t=2,l=1",
            "s=c2FsdHNhbHQ=,k=19456,t=1,l=1",
            "s=c2FsdHNhbHQ=,k=262145,t=2,l=1",
            "s=c2FsdHNhbHQ=,k=19456,t=17,l=1",
            "s=c2FsdHNhbHQ=,k=19456,t=2,l=5",
            "s=c2FsdA==,k=19456,t=2,l=1",
        ] {
            assert_eq!(answer(tail).unwrap_err().kind, ErrorKind::LoginRefused, "{tail}");
        }
        for tail in [
            "s=c2FsdHNhbHQ=,k=0,t=2,l=1",
            "s=c2FsdHNhbHQ=,k=19456,t=2",
            "s=c2FsdHNhbHQ=,i=4096",
            "s=?,k=19456,t=2,l=1",
            "k=19456,s=c2FsdHNhbHQ=,t=2,l=1",
            "s=c2FsdHNhbHQ=,k=19456,t=2,l=1,m=x",
        ] {
            assert_eq!(answer(tail).unwrap_err().kind, ErrorKind::BadRequest, "{tail}");
        }
        answer("s=c2FsdHNhbHQ=,k=19456,t=2,l=1").unwrap();
    }

    #[test]
    fn nonces_that_are_short_or_of_another_login_are_refused() {
        let nonce = "rOprNGfwEbeRWgbNEkqO1234";
        let (started, _) = Started::new("u", &Channel::Plain, nonce.into());
        for server in [
            format!("{nonce}short"),
            nonce.into(),
            nonce.chars().rev().collect::<String>().repeat(2),
        ] {
            let challenge = format!("r={server},s=c2FsdHNhbHQ=,k=19456,t=2,l=1");
            let error = prove(&started, "p", challenge.as_bytes()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::LoginRefused, "{server}");
        }
    }

    #[test]
    fn nothing_that_no_client_would_take_is_kept() {
        let weak = Cost {
            passes: 1,
            ..Cost::DEFAULT
        };
        for (salt, cost) in [(&b"saltsalt"[..], weak), (b"short", Cost::DEFAULT)] {
            assert_eq!(Verifier::with("p", salt, cost).unwrap_err().kind, ErrorKind::BadRequest);
        }
    }
}
