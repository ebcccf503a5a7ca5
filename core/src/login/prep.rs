//! SASLprep (RFC 4013): one password, however a keyboard writes it, is one string of bytes.

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// Prepares a name or a password; `None` when it holds what neither can hold, or when nothing of it is left.
fn prepare(text: &str) -> Option<Zeroizing<String>> {
    let prepared = Zeroizing::new(stringprep::saslprep(text).ok()?.into_owned());
    (!prepared.is_empty()).then_some(prepared)
}

/// Prepares a password that is being set.
///
/// # Errors
/// `bad_request`.
pub(super) fn new_password(password: &str) -> Result<Zeroizing<String>> {
    prepare(password).ok_or_else(|| {
        Error::bad_request("this cannot be a password")
            .hint("use letters, digits, signs and blanks, no control characters and no emoji")
    })
}

/// Prepares what a client logs in with: a name or a password.
///
/// # Errors
/// `login_refused`: no account can have it.
pub(super) fn entered(what: &'static str, text: &str) -> Result<Zeroizing<String>> {
    prepare(text).ok_or_else(|| Error::new(ErrorKind::LoginRefused, format!("this cannot be a {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4013, section 3.
    #[test]
    fn the_examples_of_rfc_4013_come_out_to_the_letter() {
        for (input, output) in [
            ("I\u{ad}X", Some("IX")),
            ("user", Some("user")),
            ("USER", Some("USER")),
            ("\u{aa}", Some("a")),
            ("\u{2168}", Some("IX")),
            ("\u{7}", None),
            ("\u{627}1", None),
        ] {
            assert_eq!(prepare(input).as_deref().map(String::as_str), output, "{input:?}");
        }
    }

    #[test]
    fn nothing_and_what_becomes_nothing_are_refused_and_never_quoted() {
        for input in ["", "\u{ad}", "hunter2\u{7}", "hunter2\u{1f600}"] {
            let (set, entered) = (new_password(input).unwrap_err(), entered("password", input).unwrap_err());
            assert_eq!((set.kind, entered.kind), (ErrorKind::BadRequest, ErrorKind::LoginRefused));
            assert!(!format!("{set:?}{entered:?}").contains("hunter2"));
        }
    }

    #[test]
    fn two_ways_to_write_a_letter_are_one_password() {
        assert_eq!(prepare("w\u{f6}rd"), prepare("wo\u{308}rd"));
        assert_eq!(
            prepare("a\u{a0}b").as_deref().map(String::as_str),
            Some("a b"),
            "a blank is a blank"
        );
    }
}
