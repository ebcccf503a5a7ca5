//! The connections of a session: one, or several side by side, opened when there are transfers for them. One that was lost is
//! made again: at once for a new command, and with growing pauses for the transfers that it was lost under.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferry_core::rt;

use crate::connection::{Connection, Deadlines};
use crate::exit::{Exit, Failure, Result};
use crate::login::Credentials;
use crate::options::Target;
use crate::render::Output;
use crate::trust::Trust;

mod entry;
mod lanes;
mod patience;
mod second;

use entry::Entry;
pub(crate) use entry::no_password;
use lanes::Lanes;
pub use patience::Patience;
use patience::Trouble;
use second::Second;

/// The most connections of one session; more transfers than these share them. Beyond that, a server is kept from others more
/// than a transfer gains.
pub const CONNECTIONS_MAX: usize = 16;

/// Where to log in and as whom, and the connections there.
#[derive(Debug)]
pub struct Link {
    /// Where.
    pub target: Target,
    /// Which servers are trusted.
    pub trust: Trust,
    /// As whom.
    pub credentials: Credentials,
    /// How long things may take, from the next connection on.
    pub deadlines: Deadlines,
    /// How long transfers wait for a server that is gone.
    pub patience: Patience,
    entry: Mutex<Entry>,
    lanes: Mutex<Lanes>,
    second: Second,
    /// Held by whoever makes a lost connection again; the others wait for him. So connections that are lost together are one
    /// trouble. An asynchronous lock, made to be waited with.
    trouble: async_lock::Mutex<Trouble>,
    /// Grows whenever a transfer comes further.
    steps: AtomicU64,
    /// Grows whenever the server was there again after a pause.
    returns: AtomicU64,
}

impl Link {
    /// A link that is not connected yet.
    pub fn new(target: Target, trust: Trust, credentials: Credentials) -> Self {
        Self {
            target,
            trust,
            entry: Mutex::new(Entry::of(&credentials)),
            credentials,
            deadlines: Deadlines::default(),
            patience: Patience::default(),
            lanes: Mutex::default(),
            second: Second::default(),
            trouble: async_lock::Mutex::default(),
            steps: AtomicU64::new(0),
            returns: AtomicU64::new(0),
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection, when there is one.
    pub fn connected(&self) -> Option<Arc<Connection>> {
        self.lanes().first_open()
    }

    /// A connection, though it may be lost when there is no better one.
    ///
    /// # Errors
    /// Exit code 8 when there was none.
    pub fn latest(&self) -> Result<Arc<Connection>> {
        let lanes = self.lanes();
        let found = lanes.first_open().or_else(|| lanes.first());
        found.ok_or_else(|| Failure::unreachable("there is no connection"))
    }

    /// Takes all connections away, to be closed.
    pub fn take(&self) -> Vec<Arc<Connection>> {
        let mut all = self.lanes().take();
        all.extend(self.second.take());
        all
    }

    /// Takes note of a transfer that came further: a server that is worth waiting for.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection, made when there is none.
    ///
    /// # Errors
    /// Exit code 3 for a refused login, 8 when the server cannot be reached, 12 when it is not understood.
    pub async fn connect(&self) -> Result<Arc<Connection>> {
        self.connect_asking(true).await
    }

    /// The same; the user is asked for a password only if he `may_be_asked`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_asking(&self, may_be_asked: bool) -> Result<Arc<Connection>> {
        let mut trouble = self.trouble.lock().await;
        // Another command: what went wrong before is not held against it.
        *trouble = Trouble::default();
        self.lanes().forgive();
        match self.connected() {
            Some(connection) => Ok(connection),
            None => self.dial(0, may_be_asked).await,
        }
    }

    /// Makes the connection of a lane; in less time when there are others. The user is asked for a password only if he `may_be_asked`.
    async fn dial(&self, lane: usize, may_be_asked: bool) -> Result<Arc<Connection>> {
        let mut deadlines = self.deadlines;
        if self.connected().is_some() {
            deadlines.connect = deadlines.connect.min(deadlines.further);
            deadlines.login = deadlines.login.min(deadlines.further);
        }
        let connection = Arc::new(self.log_in(deadlines, may_be_asked).await?);
        self.lanes().put(lane, connection.clone());
        Ok(connection)
    }

    /// A connection for one transfer: an idle one, a further one as long as there are less than `most`, or the least busy one.
    /// A server that refuses a further one is content with those that there are, and so are we. With `most` 0 none is opened.
    ///
    /// # Errors
    /// Exit code 8 when there is no connection, not even a lost one.
    pub async fn turn(&self, most: usize) -> Result<Turn<'_>> {
        let (lane, opening) = self.lanes().enter(most.min(CONNECTIONS_MAX));
        let place = Place { link: self, lane };
        let first = opening.lock().await;
        let (current, is_refused) = {
            let lanes = self.lanes();
            (lanes.current(lane), lanes.is_refused())
        };
        if let Some(connection) = current {
            return Ok(Turn { place, connection });
        }
        if !is_refused {
            match self.dial(lane, false).await {
                Ok(connection) => return Ok(Turn { place, connection }),
                // Another key than before, or a login that is refused by now: that must be told.
                Err(failure) if failure.exit == Exit::Login => return Err(failure),
                Err(_) => self.lanes().refuse(),
            }
        }
        drop(first);
        drop(place);
        if let Some((lane, connection)) = self.lanes().join() {
            let place = Place { link: self, lane };
            return Ok(Turn { place, connection });
        }
        // All were lost meanwhile: the transfer's retry begins with any of them.
        let connection = self.latest()?;
        let (lane, _) = self.lanes().enter(0);
        let place = Place { link: self, lane };
        Ok(Turn { place, connection })
    }
}

/// A transfer counted in on a lane.
#[derive(Debug)]
struct Place<'l> {
    link: &'l Link,
    lane: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.link.lanes().leave(self.lane);
    }
}

/// A connection that a transfer has, maybe with others.
#[derive(Debug)]
pub struct Turn<'l> {
    place: Place<'l>,
    /// The connection.
    pub connection: Arc<Connection>,
}

impl Turn<'_> {
    /// Goes over to the least busy connection that holds; false when there is none.
    fn change(&mut self) -> bool {
        let link = self.place.link;
        let Some((lane, connection)) = link.lanes().join() else {
            return false;
        };
        self.place = Place { link, lane };
        self.connection = connection;
        true
    }

    /// Gets a connection on which the transfer can be taken up again that failed on this one. Whoever comes first waits and
    /// dials; the others on this connection get what he got, and those on others that were lost with it dial at once. When this
    /// one cannot be made again while others hold, one of those is taken.
    ///
    /// # Errors
    /// Why the server cannot be reached, once that has gone on for too long; at once what a retry does not mend.
    pub async fn again(&mut self, mut failure: Failure, output: &Output) -> Result<()> {
        let link = self.place.link;
        let returns = || link.returns.load(Ordering::Relaxed);
        let before = returns();
        let mut trouble = link.trouble.lock().await;
        let lane = self.place.lane;
        let is_lost = self.connection.is_lost();
        let (open, is_refused) = {
            let lanes = link.lanes();
            (lanes.open(lane), lanes.is_refused())
        };
        if let Some(connection) = open.filter(|connection| !Arc::ptr_eq(connection, &self.connection)) {
            self.connection = connection;
            return Ok(());
        }
        // Somebody else on this lane has tried in vain.
        if is_lost && is_refused && self.change() {
            return Ok(());
        }
        let mut is_there = is_lost && returns() != before;
        loop {
            let waits = !std::mem::take(&mut is_there);
            if waits {
                let Some(pause) = trouble.next(&link.patience, link.steps.load(Ordering::Relaxed)) else {
                    return Err(failure);
                };
                output.retry(&failure.error, pause)?;
                rt::sleep(pause).await;
                // A single request may have failed on a connection that holds.
                let open = link.lanes().open(lane);
                if let Some(connection) = open {
                    self.connection = connection;
                    return Ok(());
                }
            }
            match link.dial(lane, false).await {
                Ok(connection) => {
                    if waits {
                        link.returns.fetch_add(1, Ordering::Relaxed);
                    }
                    self.connection = connection;
                    return Ok(());
                }
                Err(_) if self.change() => {
                    link.lanes().refuse();
                    return Ok(());
                }
                Err(next) if next.exit == Exit::Network => failure = next,
                Err(next) => return Err(next),
            }
        }
    }
}
