//! Saved logins as a verb sees them: what a user let himself be given to log in without his password.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::verb::BoxFuture;

/// A saved login, without its secret: that was shown once and is nowhere but with the user.
///
/// ```
/// use ferry_core::logins::SavedLogin;
///
/// let login = SavedLogin { id: "0123456789abcdef".into(), label: "laptop".into(), created: 0, used: None };
/// let unused = login.used.is_none();
/// assert!(unused, "{} was never used", login.label);
/// ```
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
///
/// ```
/// # use ferry_core::{store::*, *};
/// # use ferry_testkit::Harness;
/// # args! {
/// #     /// Does it.
/// #     pub struct Mine {
/// #         /// The place that was lost.
/// #         label: String,
/// #     }
/// # }
/// # impl Verb for Mine {
/// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Public);
/// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
///     let logins = ctx.logins();
///     let mut revoked = 0;
///     for login in logins.list().await?.into_iter().filter(|login| login.label == self.label) {
///         logins.revoke(&login.id).await?;
///         revoked += 1;
///     }
///     Ok(Reply::text(format!("{revoked} revoked")))
/// }
/// # }
/// let harness = Harness::of::<Mine>();
/// harness.seed_login(logins::SavedLogin { id: "0a".into(), label: "laptop".into(), created: 0, used: None });
/// assert_eq!(harness.ok("mine laptop").text.as_deref(), Some("1 revoked"));
/// ```
pub trait Logins: Send + Sync {
    /// All of them, oldest first.
    fn list(&self) -> BoxFuture<'_, Result<Vec<SavedLogin>>>;

    /// Takes one away. It ends no session that began with it, but none begins with it any more once this has returned.
    ///
    /// # Errors
    /// `not_found` for what is not one of this user's, with the same text whether or not somebody else has it.
    fn revoke<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;
}
