//! The server's side of every method.

use super::channel::Channel;
use super::credential::{Credential, Standing};
use super::exchange::{ClientFirst, Dialogue};
use super::message::nonce;
use super::method::Method;
use super::{Step, token};
use crate::error::{Error, Result};

/// Who somebody says he is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim<'n> {
    /// The account of that name, by its password.
    User(&'n str),
    /// Whoever has the token of that id.
    Token(&'n str),
}

/// A client's first message, read. Look up whom it [claims](Opening::claim) to come from, then make the challenge.
#[derive(Debug)]
pub struct Opening {
    first: ClientFirst,
    is_token: bool,
    channel: Channel,
}

impl Opening {
    /// Reads the first message. A password is announced by SCRAM's name, whatever the account's method: that is for the server to
    /// say.
    ///
    /// # Errors
    /// `unsupported` for a mechanism that starts no login here, among them SCRAM without binding where there is a channel, and
    /// for a message that is not bound to the channel; `bad_request` for what is no such message. Neither depends on who is
    /// named.
    pub fn read(mechanism: &str, data: &[u8], channel: Channel) -> Result<Self> {
        let is_token = match Method::of_mechanism(mechanism, &channel) {
            Some(Method::Scram) => false,
            Some(Method::Token) => true,
            _ => return Err(Error::unsupported("this server has no such way to log in on this connection")),
        };
        let first = ClientFirst::read_on(data, &channel)?;
        if is_token && !token::is_id(&first.user) {
            return Err(super::message::broken());
        }
        Ok(Self {
            first,
            is_token,
            channel,
        })
    }

    /// Who comes.
    pub fn claim(&self) -> Claim<'_> {
        match self.is_token {
            false => Claim::User(&self.first.user),
            true => Claim::Token(&self.first.user),
        }
    }

    /// Makes the challenge. `secret` is the server's own, of 32 random bytes, the same each time: unknown names are answered
    /// with what is derived from it.
    ///
    /// # Errors
    /// `internal` when there are no random bytes, `bad_request` when the client's nonce is too short for the account's method.
    pub fn challenge(self, standing: Standing<'_>, secret: &[u8]) -> Result<(ServerLogin, Step)> {
        let nonce = nonce()?;
        self.challenge_with(standing, secret, &nonce)
    }

    /// The same with a nonce that was made before, which the server may have said in its hello. One that is used twice can be replayed.
    ///
    /// # Errors
    /// As [`Opening::challenge`].
    pub fn challenge_with(self, standing: Standing<'_>, secret: &[u8], nonce: &str) -> Result<(ServerLogin, Step)> {
        let credential = Credential::checked(standing, self.is_token, secret, &self.first.user);
        let mechanism = credential.method().mechanism(&self.channel);
        let (dialogue, data) = credential.challenge(self.first, nonce)?;
        Ok((ServerLogin(dialogue), Step { mechanism, data }))
    }
}

/// The server's side, waiting for the client's proof. It takes one answer.
#[derive(Debug)]
pub struct ServerLogin(Dialogue);

impl ServerLogin {
    /// The method under way.
    pub fn method(&self) -> Method {
        self.0.method()
    }

    /// Checks the client's proof; gives the server's own, for `Welcome`.
    ///
    /// # Errors
    /// `login_refused`, with one text and after the same work whatever was wrong: no such account, disabled, wrong secret, another
    /// channel, another nonce. `bad_request` for what is no answer at all.
    pub fn finish(self, answer: &[u8]) -> Result<Vec<u8>> {
        self.0.finish(answer)
    }
}
