//! The connection of a session, made again when it was lost: at once for a new command, and with growing pauses for the
//! transfers that it was lost under.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferry_core::rt;

use crate::connection::{Connection, Deadlines};
use crate::exit::{Exit, Failure, Result};
use crate::login::Credentials;
use crate::options::Target;
use crate::render::Output;
use crate::transport;

/// How long, and how often, transfers wait for a server that is gone.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The first pause; each one after it is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// How long to go on when no transfer comes any further. Zero is not at all.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            most: Duration::from_secs(8),
            total: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// The pause before a try, the first one being 0. Up to a quarter more or less, so that the clients of a server that was
    /// restarted do not all come in one moment.
    fn pause(&self, tries: u32) -> Duration {
        let pause = self.first.saturating_mul(2u32.saturating_pow(tries)).min(self.most);
        let random = u32::try_from(RandomState::new().build_hasher().finish() % 512).unwrap_or(256);
        pause.saturating_mul(768 + random) / 1024
    }
}

/// Tries since a transfer last came further.
#[derive(Debug, Default)]
struct Trouble {
    tries: u32,
    since: Option<Instant>,
    steps: u64,
}

impl Trouble {
    /// The pause before the next try; `None` when it is time to give up.
    fn next(&mut self, patience: &Patience, steps: u64) -> Option<Duration> {
        if steps != self.steps {
            *self = Self {
                steps,
                ..Self::default()
            };
        }
        let pause = patience.pause(self.tries);
        let since = *self.since.get_or_insert_with(Instant::now);
        self.tries = self.tries.saturating_add(1);
        (since.elapsed().saturating_add(pause) <= patience.total).then_some(pause)
    }
}

/// Where to log in and as whom, and the connection there.
#[derive(Debug)]
pub struct Link {
    /// Where.
    pub target: Target,
    /// As whom.
    pub credentials: Credentials,
    /// How long things may take, from the next connection on.
    pub deadlines: Deadlines,
    /// How long transfers wait for a server that is gone.
    pub patience: Patience,
    current: Mutex<Option<Arc<Connection>>>,
    /// Held by whoever makes a new connection; the others wait for that one. An asynchronous lock, made to be waited with.
    trouble: async_lock::Mutex<Trouble>,
    /// Grows whenever a transfer comes further.
    steps: AtomicU64,
}

impl Link {
    /// A link that is not connected yet.
    pub fn new(target: Target, credentials: Credentials) -> Self {
        Self {
            target,
            credentials,
            deadlines: Deadlines::default(),
            patience: Patience::default(),
            current: Mutex::new(None),
            trouble: async_lock::Mutex::default(),
            steps: AtomicU64::new(0),
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, when there is one.
    pub fn connected(&self) -> Option<Arc<Connection>> {
        self.current().clone().filter(|connection| !connection.is_lost())
    }

    /// The connection that was made last, though it may be lost.
    ///
    /// # Errors
    /// Exit code 8 when there was none.
    pub fn latest(&self) -> Result<Arc<Connection>> {
        self.current()
            .clone()
            .ok_or_else(|| Failure::unreachable("there is no connection"))
    }

    /// Takes the connection away, to be closed.
    pub fn take(&self) -> Option<Arc<Connection>> {
        self.current().take()
    }

    /// Takes note of a transfer that came further: a server that is worth waiting for.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// The connection, made when there is none.
    ///
    /// # Errors
    /// Exit code 3 for a refused login, 8 when the server cannot be reached, 12 when it is not understood.
    pub async fn connect(&self) -> Result<Arc<Connection>> {
        let mut trouble = self.trouble.lock().await;
        // Another command: what went wrong before is not held against it.
        *trouble = Trouble::default();
        match self.connected() {
            Some(connection) => Ok(connection),
            None => self.dial().await,
        }
    }

    async fn dial(&self) -> Result<Arc<Connection>> {
        let transport = transport::dial(&self.target.host, self.target.port, self.deadlines).await?;
        let connection = Arc::new(Connection::open(transport, &self.credentials, self.deadlines).await?);
        *self.current() = Some(connection.clone());
        Ok(connection)
    }

    /// A connection on which a transfer can be taken up again that `failed` on another one, or on this one. Whoever comes first
    /// waits and dials; the others get what he got.
    ///
    /// # Errors
    /// Why the server cannot be reached, once that has gone on for too long; at once what a retry does not mend.
    pub async fn again(&self, failed: &Arc<Connection>, mut failure: Failure, output: &Output) -> Result<Arc<Connection>> {
        let mut trouble = self.trouble.lock().await;
        if let Some(connection) = self.connected().filter(|connection| !Arc::ptr_eq(connection, failed)) {
            return Ok(connection);
        }
        loop {
            let Some(pause) = trouble.next(&self.patience, self.steps.load(Ordering::Relaxed)) else {
                return Err(failure);
            };
            output.retry(&failure.error, pause)?;
            rt::sleep(pause).await;
            // A single request may have failed on a connection that holds.
            if let Some(connection) = self.connected() {
                return Ok(connection);
            }
            match self.dial().await {
                Err(next) if next.exit == Exit::Network => failure = next,
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_differ() {
        let patience = Patience::default();
        for (tries, millis) in [(0, 500), (1, 1000), (3, 4000), (4, 8000), (40, 8000)] {
            let pause = patience.pause(tries).as_millis();
            assert!(pause >= millis * 3 / 4 && pause <= millis * 5 / 4, "{tries}: {pause}");
        }
        let first: std::collections::BTreeSet<_> = (0..20).map(|_| patience.pause(0)).collect();
        assert!(first.len() > 1);
    }

    #[test]
    fn what_comes_further_is_tried_for_longer() {
        let patience = Patience {
            first: Duration::from_secs(2),
            most: Duration::from_secs(2),
            total: Duration::from_secs(3),
        };
        let mut trouble = Trouble::default();
        assert!(trouble.next(&patience, 0).is_some());
        trouble.since = Some(Instant::now() - Duration::from_secs(2));
        assert!(trouble.next(&patience, 0).is_none());
        assert!(trouble.next(&patience, 1).is_some());
        assert_eq!(trouble.tries, 1);
    }

    #[test]
    fn no_patience_is_no_retry() {
        let patience = Patience {
            total: Duration::ZERO,
            ..Patience::default()
        };
        assert!(Trouble::default().next(&patience, 0).is_none());
    }
}
