//! The methods by name, and sets of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::proof::Hash;
use crate::error::{Error, Result};

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// SCRAM-SHA-256 (RFC 7677), bound to the channel where there is one.
    #[serde(rename = "scram-sha-256")]
    Scram,
    /// HMAC-MD5 over an Argon2id key: [`hmac_md5`](super::hmac_md5).
    #[serde(rename = "md5")]
    HmacMd5,
    /// A saved login: [`token`](super::token).
    #[serde(rename = "token")]
    Token,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 3] = [Method::Scram, Method::HmacMd5, Method::Token];

    /// The name on command lines and in files, stable for ever.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scram => "scram-sha-256",
            Self::HmacMd5 => "md5",
            Self::Token => "token",
        }
    }

    /// The name on the wire. SCRAM has one for each kind of channel (RFC 5802, section 4); the others say in their header alone
    /// whether they bind.
    pub fn mechanism(self, channel: &Channel) -> &'static str {
        match self {
            Self::Scram if channel.is_bound() => super::scram::MECHANISM_PLUS,
            Self::Scram => super::scram::MECHANISM,
            Self::HmacMd5 => super::hmac_md5::MECHANISM,
            Self::Token => super::token::MECHANISM,
        }
    }

    /// The names for a server's hello.
    pub fn mechanisms(channel: &Channel) -> Vec<String> {
        Self::ALL.iter().map(|method| method.mechanism(channel).to_owned()).collect()
    }

    /// The method of that name on the wire; `None` for SCRAM without binding on a channel that can bind, and the reverse.
    pub fn of_mechanism(name: &str, channel: &Channel) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.mechanism(channel) == name)
    }

    pub(super) fn hash(self) -> Hash {
        match self {
            Self::Scram | Self::Token => Hash::Sha256,
            Self::HmacMd5 => Hash::Md5,
        }
    }

    /// What stands before SCRAM's three messages in the text that is proven. RFC 5802 has nothing there.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Scram => "",
            Self::HmacMd5 => "FERRY-HMAC-MD5,",
            Self::Token => "FERRY-TOKEN,",
        }
    }

    /// The least characters of each side's nonce. 16 random bytes have 22 of base64; RFC 5802 leaves it open, so SCRAM is asked
    /// for little.
    pub(super) fn nonce_min_chars(self) -> usize {
        match self {
            Self::Scram => 1,
            Self::HmacMd5 | Self::Token => 22,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|method| method.as_str() == text);
        found.ok_or_else(|| Error::bad_request("no such way to log in").hint("there are scram-sha-256, md5 and token"))
    }
}

/// A set of methods: those that a client is willing to use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Methods(u8);

impl Methods {
    /// No method at all.
    pub const NONE: Self = Self(0);

    /// This method and no other.
    pub const fn only(method: Method) -> Self {
        Self(1 << method as u8)
    }

    /// These and one more.
    #[must_use]
    pub const fn and(self, method: Method) -> Self {
        Self(self.0 | Self::only(method).0)
    }

    /// Whether the method is one of them.
    pub const fn contain(self, method: Method) -> bool {
        self.0 & Self::only(method).0 != 0
    }

    /// What a client should allow for a password: the method by which this user logged in to this server before (known by its
    /// key), and any when he comes for the first time. So a server cannot talk a client into HMAC-MD5 that has used SCRAM with it.
    /// At first sight, HMAC-MD5 gives no more away than SCRAM: to whoever would be at the other end, both are a proof to try
    /// passwords on, at the price of a slow hash each.
    ///
    /// To keep `known` right, a client writes down [`Finish::method`](super::Finish::method) after each login that succeeded.
    pub fn for_password(known: Option<Method>) -> Self {
        let scram = Self::only(Method::Scram);
        match known {
            Some(Method::Scram) => scram,
            _ => scram.and(Method::HmacMd5),
        }
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(Method::ALL.into_iter().filter(|method| self.contain(*method)))
            .finish()
    }
}

impl Default for Methods {
    /// SCRAM alone: what nobody asked for and what is not known is not allowed.
    fn default() -> Self {
        Self::only(Method::Scram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_method() {
        for channel in [Channel::Plain, Channel::TlsExporter([1; 32])] {
            for method in Method::ALL {
                assert_eq!(Method::of_mechanism(method.mechanism(&channel), &channel), Some(method));
                assert_eq!(method.as_str().parse::<Method>().unwrap(), method);
                assert_eq!(serde_json::to_value(method).unwrap(), method.as_str());
            }
        }
        assert!("plain".parse::<Method>().is_err());
    }

    #[test]
    fn scram_has_the_name_of_its_channel_and_no_other() {
        let bound = Channel::TlsExporter([1; 32]);
        assert_eq!(Method::of_mechanism("SCRAM-SHA-256", &bound), None);
        assert_eq!(Method::of_mechanism("SCRAM-SHA-256-PLUS", &Channel::Plain), None);
        assert_eq!(
            Method::mechanisms(&bound),
            ["SCRAM-SHA-256-PLUS", "FERRY-HMAC-MD5", "FERRY-TOKEN"]
        );
    }

    #[test]
    fn whoever_used_scram_is_not_talked_into_md5() {
        let md5 = |known| Methods::for_password(known).contain(Method::HmacMd5);
        assert!(!md5(Some(Method::Scram)) && md5(Some(Method::HmacMd5)) && md5(None));
        assert!(Methods::for_password(Some(Method::HmacMd5)).contain(Method::Scram));
        assert!(!Methods::default().contain(Method::HmacMd5) && Methods::default().contain(Method::Scram));
        assert!(Method::ALL.into_iter().all(|method| !Methods::NONE.contain(method)));
    }
}
