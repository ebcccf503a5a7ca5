//! The text of SCRAM's messages (RFC 5802, section 7): attributes, names, nonces, numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::error::{Error, ErrorKind, Result};

/// Length of each side's nonce before its text form, in bytes: 144 bits, without padding in base64.
const NONCE_BYTES: usize = 18;
/// The most characters of one side's nonce; fits several times into a frame before login.
pub(super) const NONCE_MAX_CHARS: usize = 256;
/// The least and most bytes of a salt that a client takes: RFC 8018, section 4.1, asks for 8, and none we know of is longer.
pub(super) const SALT_LEN_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

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

/// A nonce for one login: 144 random bits.
///
/// # Errors
/// `internal` when the operating system has no random bytes.
pub fn nonce() -> Result<String> {
    Ok(encode(&random::<NONCE_BYTES>()?))
}

/// RFC 5802's `printable`, without `,`, and not so long that it means harm.
pub(super) fn is_nonce(text: &str, min_chars: usize) -> bool {
    (min_chars..=NONCE_MAX_CHARS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// The one answer to everything that a login can be wrong about.
pub(super) fn refused() -> Error {
    Error::new(ErrorKind::LoginRefused, "wrong user name or password")
}

pub(super) fn broken() -> Error {
    Error::bad_request("login message cannot be understood")
}

/// What a client says when the server is not to be trusted.
pub(super) fn distrusted(text: &'static str) -> Error {
    Error::new(ErrorKind::LoginRefused, text)
}

pub(super) fn text(message: &[u8]) -> Result<&str> {
    std::str::from_utf8(message).map_err(|_| broken())
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|_| broken())
}

/// RFC 5802's `posit-number`: no sign and no zero in front.
pub(super) fn number(text: &str) -> Result<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain).ok_or_else(broken)
}

/// A salt within the bounds that a client keeps.
pub(super) fn salt(text: &str) -> Result<Vec<u8>> {
    let salt = decode(text)?;
    if !SALT_LEN_BYTES.contains(&salt.len()) {
        return Err(distrusted(
            "the server asks for a login that is too weak or too slow to be honest",
        ));
    }
    Ok(salt)
}

/// The values of a message's attributes, `r=...,s=...`, which stand in the one order that RFC 5802, section 7, gives them. What
/// follows them is an extension and ignored, except for `m=`: it says that whoever does not know it must refuse.
pub(super) fn attributes<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Option<[&'a str; N]> {
    let mut parts = text.split(',');
    let mut values = [""; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = parts.next()?.strip_prefix(name)?;
    }
    parts.all(|part| !part.starts_with("m=")).then_some(values)
}

/// RFC 5802, section 5.1: `,` and `=` in names.
pub(super) fn escape_name(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// `None` for an empty name and for a `=` that is no escape.
pub(super) fn unescape_name(name: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    fn numbers_are_plain() {
        assert_eq!(number("4096").unwrap(), 4096);
        for wrong in ["", "0", "04096", "+4096", "-1", "4096 ", "4294967296", "x", "\u{664}"] {
            assert_eq!(number(wrong).unwrap_err().kind, ErrorKind::BadRequest, "{wrong:?}");
        }
    }

    #[test]
    fn nonces_are_printable_and_of_some_length() {
        let longest = "x".repeat(NONCE_MAX_CHARS);
        assert!(is_nonce("%hvYDpWU", 8) && is_nonce(&longest, 1) && is_nonce(&nonce().unwrap(), 22));
        for wrong in [
            "%hvYDpW",
            "",
            "abcd efgh",
            "abcd,efgh",
            "abcdefg\u{7f}",
            "abcdefg\u{e4}",
            &format!("{longest}x"),
        ] {
            assert!(!is_nonce(wrong, 8), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_its_escape(name in "[^\u{0}]{1,40}|[,=23CD]{1,12}") {
            let escaped = escape_name(&name);
            prop_assert!(!escaped.contains(','));
            prop_assert_eq!(unescape_name(&escaped), Some(name));
        }
    }
}
