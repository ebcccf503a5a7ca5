//! What all connections share: verbs, store, accounts, and who is logged in.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ferry_core::logins::Logins;
use ferry_core::store::Store;
use ferry_core::wire::message::Catalog;
use ferry_core::{Error, ErrorKind, Registry, Result, User, VerbInfo};

use crate::accounts::Accounts;
use crate::guess::Guesses;
use crate::limits::{self, Limits};
use crate::lobby::Lobby;
use crate::log::Log;
use crate::reload::Origin;
use crate::saved::SavedLogins;
use crate::session::Session;
use crate::tls::Tls;

/// What this server says it is, in its hello.
pub(crate) const AGENT: &str = concat!("ferryd/", env!("CARGO_PKG_VERSION"));
/// About so many bytes of the catalogue go into one frame.
const CATALOG_BYTES: usize = 32 * 1024;

/// How this run of the server is to be.
#[derive(Default)]
pub(crate) struct Run {
    /// What peers get at first.
    pub(crate) limits: Limits,
    /// How it began, where it can be reloaded.
    pub(crate) origin: Option<Origin>,
    /// Its log, where there is one.
    pub(crate) log: Option<Log>,
    /// What stands in for everybody's saved logins, where something does.
    pub(crate) logins: Option<Arc<dyn Logins>>,
}

/// What new connections meet; a reload puts another one in its place.
#[derive(Clone)]
struct Manners {
    tls: Option<Arc<Tls>>,
    limits: Arc<Limits>,
}

/// What all connections share.
pub(crate) struct Server {
    /// The verbs that are linked.
    pub(crate) registry: Arc<Registry>,
    /// Where files are kept.
    pub(crate) store: Arc<dyn Store>,
    /// Who may log in.
    pub(crate) accounts: Accounts,
    /// How this run began, where it can be reloaded.
    pub(crate) origin: Option<Origin>,
    log: Option<Log>,
    logins: Option<Arc<dyn Logins>>,
    manners: RwLock<Manners>,
    /// Who is not logged in yet.
    pub(crate) lobby: Arc<Lobby>,
    /// Who failed to log in.
    pub(crate) guesses: Arc<Guesses>,
    seats: Mutex<HashMap<String, u64>>,
    sessions: Mutex<BTreeMap<u64, Arc<Session>>>,
    /// Sessions that have ended, as long as requests of theirs have not.
    ended: Mutex<Vec<Arc<Session>>>,
    next_session: AtomicU64,
    given_up: AtomicI64,
}

impl Server {
    /// A server without connections. It raises the number of file descriptors that this process may have.
    pub(crate) fn new(
        registry: Arc<Registry>,
        store: Arc<dyn Store>,
        tls: Option<Tls>,
        accounts: Accounts,
        Run {
            limits,
            origin,
            log,
            logins,
        }: Run,
    ) -> Arc<Self> {
        Arc::new(Self {
            registry,
            store,
            accounts,
            lobby: Lobby::new(&limits, limits::raise_descriptors()),
            guesses: Guesses::new(&limits),
            seats: Mutex::default(),
            origin,
            log,
            logins,
            manners: RwLock::new(Manners {
                tls: tls.map(Arc::new),
                limits: Arc::new(limits),
            }),
            sessions: Mutex::default(),
            ended: Mutex::default(),
            next_session: AtomicU64::new(1),
            given_up: AtomicI64::new(0),
        })
    }

    fn manners(&self) -> Manners {
        self.manners.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What connections begin with; without it they are not encrypted.
    pub(crate) fn tls(&self) -> Option<Arc<Tls>> {
        self.manners().tls
    }

    /// What peers get. Whoever holds it goes by it to the end of a connection.
    pub(crate) fn limits(&self) -> Arc<Limits> {
        self.manners().limits
    }

    /// What connections meet from now on.
    pub(crate) fn put(&self, limits: Limits, tls: Option<Tls>) {
        self.lobby.set(&limits);
        self.guesses.set(&limits);
        *self.manners.write().unwrap_or_else(PoisonError::into_inner) = Manners {
            tls: tls.map(Arc::new),
            limits: Arc::new(limits),
        };
    }

    /// Waits while the log is behind.
    pub(crate) async fn log_room(&self) {
        if let Some(log) = &self.log {
            log.room().await;
        }
    }

    /// The saved logins of an account, as its verbs get them.
    pub(crate) fn logins(self: &Arc<Self>, user: &str) -> Arc<dyn Logins> {
        let own = || SavedLogins::of(self, user);
        self.logins.clone().unwrap_or_else(own)
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one of the sessions that a user may have.
    ///
    /// # Errors
    /// `busy` when there is none left.
    pub(crate) fn seat(self: &Arc<Self>, user: &str) -> Result<Seat> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.entry(user.to_owned()).or_default();
        // However few connections there are, one user leaves some to the others.
        if *taken >= self.limits().sessions_per_user.min(self.lobby.connections_max() / 2) {
            let error = Error::new(ErrorKind::Busy, "this user has too many sessions at once");
            return Err(error.hint("close one of them"));
        }
        *taken += 1;
        Ok(Seat {
            server: self.clone(),
            user: user.to_owned(),
        })
    }

    /// Takes note of a session; gives its number.
    pub(crate) fn enter(&self, session: &Arc<Session>) -> u64 {
        let number = self.next_session.fetch_add(1, Ordering::Relaxed);
        self.table().insert(number, session.clone());
        number
    }

    /// Forgets a session, but for requests of its that still run: they may keep threads.
    pub(crate) fn leave(&self, number: u64) {
        let left = self.table().remove(&number);
        if let Some(session) = left.filter(|session| session.requests.are_running()) {
            self.ended().push(session);
        }
    }

    fn ended(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sessions that have ended and have requests that still run.
    pub(crate) fn still_running(&self) -> Vec<Arc<Session>> {
        let mut ended = self.ended();
        ended.retain(|session| session.requests.are_running());
        ended.clone()
    }

    /// Everyone who is logged in.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        self.table().values().cloned().collect()
    }

    /// Counts verbs that do not come back, and (-1) those that did after all.
    pub(crate) fn gives_up(&self, change: i64) {
        self.given_up.fetch_add(change, Ordering::Relaxed);
    }

    /// How many verbs do not come back.
    pub(crate) fn given_up(&self) -> usize {
        usize::try_from(self.given_up.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// The verbs that a user may run, in as many messages as they need.
    pub(crate) fn catalog(&self, user: &User) -> Result<Vec<Catalog>> {
        let mut parts = vec![Catalog {
            verbs: Vec::new(),
            last: false,
        }];
        let mut bytes = 0;
        for entry in self.registry.visible(user) {
            let size = weight(&entry.info);
            if bytes + size > CATALOG_BYTES && bytes > 0 {
                parts.push(Catalog {
                    verbs: Vec::new(),
                    last: false,
                });
                bytes = 0;
            }
            bytes += size;
            if let Some(part) = parts.last_mut() {
                part.verbs.push(entry.info.clone());
            }
        }
        if let Some(part) = parts.last_mut() {
            part.last = true;
        }
        Ok(parts)
    }
}

/// One of the sessions that a user may have, until it is dropped.
pub(crate) struct Seat {
    server: Arc<Server>,
    user: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.server.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = seats.get_mut(&self.user) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(&self.user);
            }
        }
    }
}

/// About how many bytes a verb takes in the catalogue.
fn weight(info: &VerbInfo) -> usize {
    let args: usize = info
        .args
        .iter()
        .map(|arg| 120 + arg.name.len() + arg.doc.len() + arg.choices.iter().map(String::len).sum::<usize>())
        .sum();
    let examples: usize = info.examples.iter().map(|(line, doc)| line.len() + doc.len() + 8).sum();
    160 + info.doc.len() + args + examples
}
