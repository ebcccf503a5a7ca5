//! The four messages that all methods share, with the keys already at hand: RFC 5802, section 5.

use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use super::channel::Channel;
use super::message::{attributes, broken, decode, distrusted, encode, escape_name, is_nonce, refused, text, unescape_name};
use super::method::Method;
use super::proof::{Keys, xor};
use crate::error::{Error, Result};

/// The least characters of a client's nonce in SCRAM.
const CLIENT_NONCE_MIN_CHARS: usize = 8;

/// What goes into `c=`: the header as the client wrote it, and the channel's bytes.
fn binding(header: &str, channel: &Channel) -> String {
    encode(&[header.as_bytes(), channel.data()].concat())
}

/// The text that both sides prove.
fn transcript(method: Method, first_bare: &str, challenge: &str, without_proof: &str) -> String {
    format!("{}{first_bare},{challenge},{without_proof}", method.label())
}

/// The client's side, after its first message.
pub(super) struct Started {
    first_bare: String,
    nonce: String,
    binding: String,
}

impl Started {
    /// Gives the first message.
    pub(super) fn new(name: &str, channel: &Channel, nonce: String) -> (Self, Vec<u8>) {
        let first_bare = format!("n={},r={nonce}", escape_name(name));
        let message = format!("{}{first_bare}", channel.header()).into_bytes();
        let started = Self {
            first_bare,
            nonce,
            binding: binding(channel.header(), channel),
        };
        (started, message)
    }

    /// The challenge that says nothing but what the server adds to the nonce.
    pub(super) fn foreseen(&self, added: &str) -> Vec<u8> {
        format!("r={}{added}", self.nonce).into_bytes()
    }

    /// Refuses a nonce that does not show that the challenge was made for this login.
    pub(super) fn check_nonce(&self, method: Method, nonce: &str) -> Result<()> {
        let added = nonce.strip_prefix(self.nonce.as_str());
        if added.is_some_and(|added| is_nonce(added, method.nonce_min_chars())) {
            return Ok(());
        }
        Err(distrusted("the server's challenge does not belong to this login"))
    }

    /// Gives the answer to a challenge whose nonce was checked.
    pub(super) fn prove(&self, method: Method, keys: &Keys, challenge: &str, nonce: &str) -> (Finish, Vec<u8>) {
        let hash = method.hash();
        let without_proof = format!("c={},r={nonce}", self.binding);
        let text = transcript(method, &self.first_bare, challenge, &without_proof);
        let signature = hash.mac(&keys.stored_key, text.as_bytes());
        let proof = xor(&keys.client_key, &signature);
        let finish = Finish {
            method,
            expected: hash.mac(&keys.server_key, text.as_bytes()),
        };
        (finish, format!("{without_proof},p={}", encode(&proof)).into_bytes())
    }
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Started({})", self.first_bare)
    }
}

/// The client's side, waiting for the server's proof.
pub struct Finish {
    method: Method,
    expected: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Finish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Finish({})", self.method)
    }
}

impl Finish {
    /// The method that the account has. Worth writing down once [`Finish::check`] succeeded, see
    /// [`Methods::for_password`](super::Methods::for_password).
    pub fn method(&self) -> Method {
        self.method
    }

    /// Checks that the server knows the account too.
    ///
    /// # Errors
    /// `login_refused` when it does not: whoever answers is not the server that the password was set on, or stands between it
    /// and us.
    pub fn check(&self, message: &[u8]) -> Result<()> {
        let signature = text(message)
            .ok()
            .and_then(|text| attributes(text, ["v="]))
            .and_then(|[v]| decode(v).ok());
        match signature {
            Some(signature) if bool::from(signature.ct_eq(&self.expected)) => Ok(()),
            _ => Err(distrusted("the server cannot prove that it knows this account")),
        }
    }
}

/// The client's first message, read by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    /// The account's name, as the client wrote it; a token's id when the client comes with a token.
    pub user: String,
    bare: String,
    nonce: String,
    /// What the client must repeat as `c=`: otherwise somebody on the way changed its first message, or has two connections.
    binding: String,
}

impl ClientFirst {
    /// Reads the message on a connection without channel binding.
    ///
    /// # Errors
    /// As [`ClientFirst::read_on`].
    pub fn read(message: &[u8]) -> Result<Self> {
        Self::read_on(message, &Channel::Plain)
    }

    /// Reads the message.
    ///
    /// # Errors
    /// `bad_request`; `unsupported` when the client binds to something else than the channel, and when it does not bind though
    /// there is one.
    pub fn read_on(message: &[u8], channel: &Channel) -> Result<Self> {
        let text = text(message)?;
        // "y" says that the client could bind and believes that we cannot: true without a channel, and with one the mark of
        // somebody on the way who took our mechanisms out of the hello (RFC 5802, section 6).
        let header = if text.starts_with("y,,") && !channel.is_bound() {
            "y,,"
        } else {
            channel.header()
        };
        let Some(bare) = text.strip_prefix(header) else {
            return Err(Self::other_header(text, channel));
        };
        let [user, nonce] = attributes(bare, ["n=", "r="]).ok_or_else(broken)?;
        let user = unescape_name(user).ok_or_else(broken)?;
        if !is_nonce(nonce, CLIENT_NONCE_MIN_CHARS) {
            return Err(broken());
        }
        Ok(Self {
            user,
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
            binding: binding(header, channel),
        })
    }

    fn other_header(text: &str, channel: &Channel) -> Error {
        let flag = |text: &str| text.split(',').next().unwrap_or_default().to_owned();
        let (theirs, ours) = (flag(text), flag(channel.header()));
        let is_flag = theirs == "n" || theirs == "y" || theirs.starts_with("p=");
        match channel {
            _ if theirs == ours || !is_flag => broken(),
            Channel::Plain => Error::unsupported("channel binding is not offered"),
            Channel::TlsExporter(_) => Error::unsupported("logins on this connection must be bound to it by tls-exporter"),
        }
    }

    /// Refuses a nonce that is too short for the method.
    pub(super) fn check_nonce(&self, method: Method) -> Result<()> {
        is_nonce(&self.nonce, method.nonce_min_chars())
            .then_some(())
            .ok_or_else(broken)
    }
}

/// The server's side, waiting for the client's proof.
pub(super) struct Dialogue {
    method: Method,
    first: ClientFirst,
    challenge: String,
    nonce: String,
    stored_key: Zeroizing<Vec<u8>>,
    server_key: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Dialogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dialogue({}, {})", self.method, self.first.user)
    }
}

impl Dialogue {
    /// Gives the challenge. `params`: the attributes behind the nonce, if any, each with its comma in front.
    pub(super) fn new(
        method: Method,
        first: ClientFirst,
        params: &str,
        (stored_key, server_key): (Vec<u8>, Vec<u8>),
        nonce: &str,
    ) -> (Self, Vec<u8>) {
        let nonce = format!("{}{nonce}", first.nonce);
        let challenge = format!("r={nonce}{params}");
        let message = challenge.clone().into_bytes();
        let dialogue = Self {
            method,
            first,
            challenge,
            nonce,
            stored_key: Zeroizing::new(stored_key),
            server_key: Zeroizing::new(server_key),
        };
        (dialogue, message)
    }

    pub(super) fn method(&self) -> Method {
        self.method
    }

    /// Checks the client's proof; gives the server's own. Everything is computed before anything is refused, so that time says
    /// nothing of what was wrong.
    ///
    /// # Errors
    /// `login_refused`, with one text whatever was wrong; `bad_request` for what is no answer at all.
    pub(super) fn finish(&self, answer: &[u8]) -> Result<Vec<u8>> {
        let text = text(answer)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or_else(broken)?;
        let [binding, nonce] = attributes(without_proof, ["c=", "r="]).ok_or_else(broken)?;
        let proof = decode(proof)?;
        let hash = self.method.hash();
        let text = transcript(self.method, &self.first.bare, &self.challenge, without_proof);
        let signature = hash.mac(&self.stored_key, text.as_bytes());
        let client_key = xor(&proof, &signature);
        let verdict = Choice::from(u8::from(proof.len() == signature.len()))
            & nonce.as_bytes().ct_eq(self.nonce.as_bytes())
            & binding.as_bytes().ct_eq(self.first.binding.as_bytes())
            & hash.digest(&client_key).ct_eq(&self.stored_key);
        let own = hash.mac(&self.server_key, text.as_bytes());
        if !bool::from(verdict) {
            return Err(refused());
        }
        Ok(format!("v={}", encode(&own)).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO1234";

    /// A login with these keys on the client's side; the server keeps what belongs to `of`.
    fn login(method: Method, of: &Keys, with: &Keys) -> Result<()> {
        let channel = Channel::TlsExporter([7; 32]);
        let (started, first) = Started::new("user", &channel, NONCE.into());
        let first = ClientFirst::read_on(&first, &channel)?;
        let kept = (of.stored_key.clone(), of.server_key.to_vec());
        let (server, challenge) = Dialogue::new(method, first, "", kept, NONCE);
        let (finish, answer) = started.prove(method, with, text(&challenge)?, &NONCE.repeat(2));
        finish.check(&server.finish(&answer)?)
    }

    #[test]
    fn what_a_server_keeps_does_not_log_in() {
        for method in Method::ALL {
            let keys = || Keys::derive(method.hash(), b"salted password");
            login(method, &keys(), &keys()).unwrap();
            for stolen in [keys().stored_key, keys().server_key.to_vec(), Vec::new()] {
                let thief = Keys {
                    client_key: Zeroizing::new(stolen),
                    ..keys()
                };
                let error = login(method, &keys(), &thief).unwrap_err();
                assert_eq!(error.message, refused().message, "{method}");
            }
        }
    }

    #[test]
    fn a_proof_that_is_too_long_is_refused() {
        for method in Method::ALL {
            let keys = Keys::derive(method.hash(), b"salted password");
            let channel = Channel::Plain;
            let (started, first) = Started::new("user", &channel, NONCE.into());
            let first = ClientFirst::read(&first).unwrap();
            let kept = (keys.stored_key.clone(), keys.server_key.to_vec());
            let (server, challenge) = Dialogue::new(method, first, "", kept, NONCE);
            let (_, answer) = started.prove(method, &keys, text(&challenge).unwrap(), &NONCE.repeat(2));
            let (head, proof) = text(&answer).unwrap().rsplit_once(",p=").unwrap();
            server.finish(&answer).unwrap();
            let longer = [decode(proof).unwrap(), vec![0]].concat();
            let error = server.finish(format!("{head},p={}", encode(&longer)).as_bytes()).unwrap_err();
            assert_eq!(error.message, refused().message, "{method}");
        }
    }

    #[test]
    fn the_text_that_is_proven_names_the_method() {
        let texts = Method::ALL.map(|method| transcript(method, "n=user,r=a", "r=ab", "c=biws,r=ab"));
        assert_eq!(
            texts,
            [
                "n=user,r=a,r=ab,c=biws,r=ab",
                "FERRY-HMAC-MD5,n=user,r=a,r=ab,c=biws,r=ab",
                "FERRY-TOKEN,n=user,r=a,r=ab,c=biws,r=ab",
            ]
        );
    }
}
