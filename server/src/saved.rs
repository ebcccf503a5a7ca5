//! The saved logins of one user, as his verbs get them.

use std::sync::{Arc, Weak};

use ferry_core::logins::{Logins, SavedLogin};
use ferry_core::verb::BoxFuture;
use ferry_core::{Error, ErrorKind, Result, rt};

use crate::server::Server;

/// One user's saved logins.
pub(crate) struct SavedLogins {
    /// Weak, for the server holds the sessions, and these hold this.
    server: Weak<Server>,
    user: String,
}

impl SavedLogins {
    /// Those of that account.
    pub(crate) fn of(server: &Arc<Server>, user: &str) -> Arc<dyn Logins> {
        Arc::new(Self {
            server: Arc::downgrade(server),
            user: user.to_owned(),
        })
    }

    /// Does work on the accounts where it may wait for the disk.
    async fn with<T: Send + 'static>(&self, work: impl FnOnce(&Server, &str) -> Result<T> + Send + 'static) -> Result<T> {
        let stopping = || Error::new(ErrorKind::Cancelled, "the server is stopping");
        let server = self.server.upgrade().ok_or_else(stopping)?;
        let user = self.user.clone();
        rt::unblock(move || work(&server, &user)).await
    }
}

impl Logins for SavedLogins {
    fn list(&self) -> BoxFuture<'_, Result<Vec<SavedLogin>>> {
        Box::pin(self.with(|server, user| server.accounts.logins(user)))
    }

    fn revoke<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        let ids = [id.to_owned()];
        Box::pin(self.with(move |server, user| server.accounts.log_out(user, &ids)))
    }
}
