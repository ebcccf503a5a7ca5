//! The client's side of every method.

use std::fmt;

use zeroize::Zeroizing;

use super::channel::Channel;
use super::exchange::{Finish, Started};
use super::message::nonce;
use super::method::{Method, Methods};
use super::token::Token;
use super::{Step, hmac_md5, prep, scram};
use crate::error::{Error, ErrorKind, Result};

/// What somebody logs in with.
pub enum Secret {
    /// A user's name and password.
    Password {
        /// The account's name.
        user: String,
        /// The password; it never leaves this process.
        password: Zeroizing<String>,
        /// The methods by which it may be used: [`Methods::for_password`].
        allowed: Methods,
    },
    /// A saved login, which is for its own method alone.
    Token(Token),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, allowed, .. } => write!(f, "Password({user:?}, {allowed:?})"),
            Self::Token(token) => token.fmt(f),
        }
    }
}

enum Prepared {
    Password(Zeroizing<String>, Methods),
    Token(Token),
}

/// The client's side, after its first message.
pub struct ClientLogin {
    secret: Prepared,
    started: Started,
    channel: Channel,
    asked: Method,
}

impl fmt::Debug for ClientLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientLogin({}, {:?})", self.asked, self.started)
    }
}

impl ClientLogin {
    /// Starts a login; gives the first message, for `Login`. On a channel it is bound to it, and there is no way back from there.
    ///
    /// # Errors
    /// `login_refused` for what cannot be a name or a password, `internal` when there are no random bytes.
    pub fn start(secret: Secret, channel: Channel) -> Result<(Self, Step)> {
        Self::start_with(secret, channel, nonce()?)
    }

    /// The same with a given nonce, for test vectors. A nonce that is used twice can be replayed.
    ///
    /// # Errors
    /// As [`ClientLogin::start`].
    pub fn start_with(secret: Secret, channel: Channel, nonce: String) -> Result<(Self, Step)> {
        let (asked, name, secret) = match secret {
            Secret::Password { user, password, allowed } => {
                let name = prep::entered("user name", &user)?.to_string();
                let password = prep::entered("password", &password)?;
                (Method::Scram, name, Prepared::Password(password, allowed))
            }
            Secret::Token(token) => (Method::Token, token.id().to_owned(), Prepared::Token(token)),
        };
        let (started, data) = Started::new(&name, &channel, nonce);
        let mechanism = asked.mechanism(&channel);
        let login = Self {
            secret,
            started,
            channel,
            asked,
        };
        Ok((login, Step { mechanism, data }))
    }

    /// The challenge that comes from a server whose hello said this `nonce`, where it says no more than that: for a token. So a client can send
    /// its answer right behind the login.
    pub fn foreseen(&self, nonce: &str) -> Option<Vec<u8>> {
        let is_token = matches!(self.secret, Prepared::Token(_));
        is_token.then(|| self.started.foreseen(nonce))
    }

    /// Answers the server's challenge. This is slow on purpose for passwords (a tenth of a second with an honest server, some
    /// seconds with the worst that is accepted): call it where blocking is fine. `mechanism` is what the server says that the
    /// account has; `None` when it says nothing, which means the one that was asked for.
    ///
    /// # Errors
    /// `login_refused` when the mechanism is not allowed, with a hint for HMAC-MD5, and when the challenge is not one that an
    /// honest server sends; `bad_request` when it cannot be understood. Nothing derived from the secret has left by then.
    pub fn answer(self, mechanism: Option<&str>, challenge: &[u8]) -> Result<(Finish, Vec<u8>)> {
        let method = match mechanism {
            None => Some(self.asked),
            Some(name) => Method::of_mechanism(name, &self.channel),
        };
        match (&self.secret, method) {
            (Prepared::Password(password, allowed), Some(Method::Scram)) if allowed.contain(Method::Scram) => {
                scram::prove(&self.started, password, challenge)
            }
            (Prepared::Password(password, allowed), Some(Method::HmacMd5)) if allowed.contain(Method::HmacMd5) => {
                hmac_md5::prove(&self.started, password, challenge)
            }
            (Prepared::Token(token), Some(Method::Token)) => token.prove(&self.started, challenge),
            (Prepared::Password(..), Some(Method::HmacMd5)) => Err(not_allowed().hint(
                "this account used SCRAM before: if it was made anew with --auth md5, remove its @login line from the file of known keys",
            )),
            _ => Err(not_allowed()),
        }
    }
}

fn not_allowed() -> Error {
    Error::new(
        ErrorKind::LoginRefused,
        "the server asks for a login that is not allowed for this account",
    )
}
