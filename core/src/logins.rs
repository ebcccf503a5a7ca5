//! Saved logins as a verb sees them: what a user let himself be given to log in without his password.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::verb::BoxFuture;

/// A saved login, without its secret: that was shown once and is nowhere but with the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedLogin {
    /// What it is called by; see [`is_id`](crate::login::token::is_id).
    pub id: String,
    /// Where it was made, as the client called the place.
    pub label: String,
    /// When it was made, in nanoseconds since 1970-01-01 UTC.
    pub created: i64,
    /// The day on which it was used last, as its first nanosecond since 1970-01-01 UTC; `None` when it was not used yet.
    pub used: Option<i64>,
}

/// The saved logins of one user: of whoever asks, and of nobody else. They stand beside his home, so a verb of any access may take
/// some away: who may only read has logins too, and must be able to get rid of one that was stolen.
pub trait Logins: Send + Sync {
    /// All of them, oldest first.
    fn list(&self) -> BoxFuture<'_, Result<Vec<SavedLogin>>>;

    /// Takes one away. It ends no session that began with it, but none begins with it any more once this has returned.
    ///
    /// # Errors
    /// `not_found` for what is not one of this user's, with the same text whether or not somebody else has it.
    fn revoke<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;
}
