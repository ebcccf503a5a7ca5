//! Who asks, and what he may do.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::spec::Access;

/// The longest name of an account, in bytes.
///
/// ```
/// use ferry_core::User;
/// use ferry_core::user::USER_NAME_MAX_BYTES;
///
/// assert!(User::check_name(&"a".repeat(USER_NAME_MAX_BYTES)).is_ok());
/// assert!(User::check_name(&"a".repeat(USER_NAME_MAX_BYTES + 1)).is_err());
/// ```
pub const USER_NAME_MAX_BYTES: usize = 32;

/// A user as verbs and dispatch see him: name and rights, no secret.
///
/// ```
/// use ferry_core::User;
///
/// let guest = User { read_only: true, allow: vec!["list".into()], ..User::named("guest") };
/// assert!(!guest.admin);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// The account's name, which is also the name of the home.
    pub name: String,
    /// May run `Admin` verbs.
    pub admin: bool,
    /// May run no `Write` verb.
    pub read_only: bool,
    /// When not empty, the only verbs that he may run.
    pub allow: Vec<String>,
    /// Verbs that he may not run.
    pub deny: Vec<String>,
}

impl User {
    /// A user with every right but admin's.
    ///
    /// ```
    /// assert_eq!(ferry_core::User::named("alice").name, "alice");
    /// ```
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Whether he may run a verb of that name and access. Lists name verbs by their own name, not by an alias.
    ///
    /// ```
    /// use ferry_core::{Access, User};
    ///
    /// let mut alice = User::named("alice");
    /// assert!(alice.may_run("remove", Access::Write));
    /// alice.deny = vec!["remove".into()];
    /// assert!(!alice.may_run("remove", Access::Write));
    /// ```
    pub fn may_run(&self, verb: &str, access: Access) -> bool {
        self.may_know(verb, access) && !(self.read_only && access == Access::Write)
    }

    /// Whether he may be told that there is such a verb. What his lists keep from him, and what is for administrators, does not
    /// exist for him; that he may only read is no secret, so a verb that
    /// writes is refused to him by name.
    ///
    /// ```
    /// use ferry_core::{Access, User};
    ///
    /// let reader = User { read_only: true, ..User::named("alice") };
    /// assert!(reader.may_know("remove", Access::Write) && !reader.may_run("remove", Access::Write));
    /// assert!(!reader.may_know("shutdown", Access::Admin));
    /// ```
    pub fn may_know(&self, verb: &str, access: Access) -> bool {
        let is_in = |list: &[String]| list.iter().any(|name| name == verb);
        (access != Access::Admin || self.admin) && (self.allow.is_empty() || is_in(&self.allow)) && !is_in(&self.deny)
    }

    /// Refuses names that could be mistaken for something else: an account is called by 1 to 32 of `a-z 0-9 . _ -`,
    /// starting with a letter or digit.
    ///
    /// ```
    /// use ferry_core::User;
    ///
    /// assert!(User::check_name("alice").is_ok());
    /// assert!(User::check_name("../alice").is_err());
    /// ```
    ///
    /// # Errors
    /// `bad_request`, saying the rule.
    pub fn check_name(name: &str) -> Result<()> {
        let ok = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let first = name.bytes().next().is_some_and(ok);
        if first && name.len() <= USER_NAME_MAX_BYTES && name.bytes().all(|byte| ok(byte) || b"._-".contains(&byte)) {
            return Ok(());
        }
        let shown = crate::text::escape(name.as_bytes());
        Err(Error::bad_request(format!("`{shown}` cannot be a user's name"))
            .hint("use 1 to 32 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_come_from_access_and_lists() {
        let mut user = User::named("alice");
        assert!(user.may_run("rm", Access::Write) && !user.may_run("kick", Access::Admin));
        user.read_only = true;
        assert!(user.may_run("ls", Access::Read) && !user.may_run("rm", Access::Write));
        user.deny = vec!["ls".into()];
        assert!(!user.may_run("ls", Access::Read) && user.may_run("stat", Access::Read));
        user.allow = vec!["ls".into(), "stat".into()];
        assert!(!user.may_run("ls", Access::Read) && !user.may_run("cat", Access::Read) && user.may_run("stat", Access::Read));
    }

    #[test]
    fn names_that_could_be_paths_or_tricks_are_refused() {
        for name in ["", ".", "..", "a/b", "../a", "A", "-x", "a b", "ä", "a\0", &"a".repeat(33)] {
            assert!(User::check_name(name).is_err(), "{name:?}");
        }
        for name in ["a", "alice", "u-1.b_2", "0"] {
            assert!(User::check_name(name).is_ok(), "{name:?}");
        }
    }
}
