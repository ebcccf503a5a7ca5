//! Ways to log in, as pure state machines: bytes in, bytes out, no socket and no file. The wire carries what they say in `Login`,
//! `Challenge`, `Answer` and `Welcome`.
//!
//! | method | mechanism's name | what the server keeps | what it is for |
//! |---|---|---|---|
//! | [`Method::Scram`] | `SCRAM-SHA-256-PLUS`, without TLS `SCRAM-SHA-256` | [`scram::Verifier`] | passwords |
//! | [`Method::HmacMd5`] | `FERRY-HMAC-MD5` | [`hmac_md5::Verifier`] | passwords of accounts that were made for it |
//! | [`Method::Token`] | `FERRY-TOKEN` | [`token::Verifier`] | saved logins |
//!
//! All three have SCRAM's shape (RFC 5802): four messages, a nonce from each side, a proof from each side, the connection's
//! [`Channel`] in what is proven, and a verifier from which nobody can make a proof. They differ in how the secret becomes a key
//! and in the hash; the two of our own have their name in what is proven, too.
//!
//! A password's method belongs to the account. The client opens in the same way for each, the server's first answer names the
//! one method that this account has, and the client goes on only when its own [`Methods`] hold it. Nothing is negotiated, so
//! there is nothing to negotiate down.
//!
//! [`ClientLogin`] and [`ServerLogin`] are the two sides of all of them.

mod channel;
mod client;
mod credential;
mod exchange;
pub mod hmac_md5;
mod message;
mod method;
mod prep;
mod proof;
pub mod scram;
mod server;
pub mod token;

pub use channel::{Channel, EXPORTER_BYTES, EXPORTER_LABEL};
pub use client::{ClientLogin, Secret};
pub use credential::{Credential, Standing};
pub use exchange::{ClientFirst, Finish};
pub use message::nonce;
pub use method::{Method, Methods};
pub use server::{Claim, Opening, ServerLogin};

/// One message of a login: whose it is, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The mechanism's name.
    pub mechanism: &'static str,
    /// What the mechanism says.
    pub data: Vec<u8>,
}
