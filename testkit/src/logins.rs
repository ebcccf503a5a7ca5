//! Saved logins in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ferry_core::logins::{Logins, SavedLogin};
use ferry_core::verb::BoxFuture;
use ferry_core::{Error, Result};

/// The saved logins of a harness's user.
#[derive(Debug, Default)]
pub(crate) struct MemoryLogins(Mutex<Vec<SavedLogin>>);

impl MemoryLogins {
    fn all(&self) -> MutexGuard<'_, Vec<SavedLogin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one.
    pub(crate) fn add(&self, login: SavedLogin) {
        self.all().push(login);
    }
}

impl Logins for MemoryLogins {
    fn list(&self) -> BoxFuture<'_, Result<Vec<SavedLogin>>> {
        Box::pin(async { Ok(self.all().clone()) })
    }

    fn revoke<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut all = self.all();
            let before = all.len();
            all.retain(|login| login.id != id);
            if all.len() == before {
                return Err(Error::not_found("no saved login of yours has this id"));
            }
            Ok(())
        })
    }
}
