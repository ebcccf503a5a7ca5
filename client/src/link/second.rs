//! The connection beside the transfers: for what the user waits for while they run. Opened when it is needed, and one at most.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::lanes::REFUSED_FOR;
use super::{CONNECTIONS_MAX, Link};
use crate::connection::Connection;
use crate::exit::Result;

/// It, when there is one.
#[derive(Debug, Default)]
pub(super) struct Second {
    current: Mutex<Option<Arc<Connection>>>,
    /// Held by whoever makes it; when the server had none for us. An asynchronous lock, made to be waited with.
    opening: async_lock::Mutex<Option<Instant>>,
}

impl Second {
    fn current(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Option<Arc<Connection>> {
        self.current().clone().filter(|connection| !connection.is_lost())
    }

    pub(super) fn take(&self) -> Option<Arc<Connection>> {
        self.current().take()
    }
}

impl Link {
    /// Whether a transfer is under way on every connection that there is.
    pub fn is_busy(&self) -> bool {
        let lanes = self.lanes();
        lanes.first_open().is_some() && lanes.idle().is_none()
    }

    /// The connection on which an answer comes soonest, of those that there are.
    pub fn free(&self) -> Option<Arc<Connection>> {
        let (idle, first) = {
            let lanes = self.lanes();
            (lanes.idle(), lanes.first_open())
        };
        idle.or_else(|| self.second.open()).or(first)
    }

    /// A connection beside the transfers that are under way: one that has none, or one made for it. A server that has no further one
    /// is content with `first`, and so are we.
    pub async fn aside(&self, first: Arc<Connection>) -> Arc<Connection> {
        if !self.is_busy() {
            return self.free().unwrap_or(first);
        }
        let mut refused = self.second.opening.lock().await;
        if let Some(connection) = self.second.open() {
            return connection;
        }
        if refused.is_some_and(|since| since.elapsed() < REFUSED_FOR) || self.lanes().count_open() >= CONNECTIONS_MAX {
            return first;
        }
        match self.open_second().await {
            Ok(connection) => connection,
            Err(_) => {
                *refused = Some(Instant::now());
                first
            }
        }
    }

    /// Makes the one beside the transfers again, with the verbs that the server has by now.
    ///
    /// # Errors
    /// Exit code 3 for a refused login, 8 when the server cannot be reached or has none for us.
    pub async fn renew_second(&self) -> Result<Arc<Connection>> {
        let _opening = self.second.opening.lock().await;
        self.open_second().await
    }

    async fn open_second(&self) -> Result<Arc<Connection>> {
        let mut deadlines = self.deadlines;
        deadlines.connect = deadlines.connect.min(deadlines.further);
        deadlines.login = deadlines.login.min(deadlines.further);
        let connection = Arc::new(self.log_in(deadlines, false).await?);
        let before = self.second.current().replace(connection.clone());
        if let Some(before) = before {
            before.close().await;
        }
        Ok(connection)
    }

    /// Ends the one beside the transfers, unless some are under way.
    pub async fn close_second(&self) {
        if self.is_busy() {
            return;
        }
        let second = self.second.take();
        if let Some(second) = second {
            second.close().await;
        }
    }
}
