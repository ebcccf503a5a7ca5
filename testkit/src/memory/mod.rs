//! A store in memory: the semantics of [`Store`] and nothing else. Its clock is a counter, so that tests see the same times
//! in each run.

mod state;
mod transfer;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferry_core::store::{Check, Entry, Home, Listing, Partial, ReadRequest, Source, Store, Upload, UploadRequest, Usage};
use ferry_core::verb::BoxFuture;
use ferry_core::{Error, HomePath, Result};

use state::State;

/// How many entries a listing gives at a time: few, so that tests see several batches.
const LISTING_BATCH: usize = 100;

/// A [`Store`] that keeps everything in memory.
///
/// ```
/// use ferry_core::{rt::block_on, store::Store};
/// use ferry_testkit::MemoryStore;
///
/// let store = MemoryStore::default();
/// let home = block_on(store.home("alice", Some(100))).unwrap();
/// assert_eq!(block_on(home.usage()).unwrap().free(), Some(100));
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    homes: Mutex<BTreeMap<String, Arc<MemoryHome>>>,
}

impl MemoryStore {
    /// The home of `user`, made when it is not there yet; `limit` is its quota in bytes from now on.
    ///
    /// ```
    /// let store = ferry_testkit::MemoryStore::default();
    /// assert_eq!(store.open("alice", Some(100)).usage_now().limit, Some(100));
    /// assert_eq!(store.open("alice", None).usage_now().limit, None);
    /// ```
    pub fn open(&self, user: &str, limit: Option<u64>) -> Arc<MemoryHome> {
        let mut homes = lock(&self.homes);
        let home = homes.entry(user.to_owned()).or_default().clone();
        home.limit(limit);
        home
    }
}

impl Store for MemoryStore {
    fn home<'a>(&'a self, user: &'a str, limit: Option<u64>) -> BoxFuture<'a, Result<Arc<dyn Home>>> {
        ready(Ok(self.open(user, limit)))
    }

    fn check<'a>(&'a self, user: &'a str, repair: bool) -> BoxFuture<'a, Result<Check>> {
        ready(match lock(&self.homes).get(user) {
            Some(home) => Ok(home.state().check(repair)),
            None => Err(Error::not_found(format!("no home of {user}"))),
        })
    }

    fn purge<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<()>> {
        lock(&self.homes).remove(user);
        ready(Ok(()))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        ready(Ok(()))
    }
}

/// A home in a [`MemoryStore`].
///
/// ```
/// use ferry_core::{HomePath, rt::block_on, store::Home};
/// use ferry_testkit::MemoryHome;
///
/// let home = MemoryHome::default();
/// block_on(home.make_dir(&HomePath::parse("/docs").unwrap())).unwrap();
/// assert_eq!(home.folders(), ["/docs"]);
/// ```
#[derive(Default)]
pub struct MemoryHome(Arc<Mutex<State>>);

impl fmt::Debug for MemoryHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryHome({:?})", self.state().usage)
    }
}

impl MemoryHome {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Sets the most bytes that the home may hold.
    ///
    /// ```
    /// let home = ferry_testkit::MemoryHome::default();
    /// home.limit(Some(100));
    /// assert_eq!(home.usage_now().free(), Some(100));
    /// ```
    pub fn limit(&self, bytes: Option<u64>) {
        self.state().usage.limit = bytes;
    }

    /// Limit, used and reserved bytes.
    ///
    /// ```
    /// let harness = ferry_testkit::Harness::standard();
    /// assert_eq!(harness.home().usage_now().used, 26);
    /// ```
    pub fn usage_now(&self) -> Usage {
        self.state().usage
    }

    /// Every file with its contents, by absolute path.
    ///
    /// ```
    /// let harness = ferry_testkit::Harness::standard();
    /// assert_eq!(harness.home().files()["/hello.txt"], b"Hello, world!\n");
    /// ```
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().files()
    }

    /// Every folder but the home itself, by absolute path.
    ///
    /// ```
    /// assert_eq!(ferry_testkit::Harness::standard().home().folders(), ["/docs"]);
    /// ```
    pub fn folders(&self) -> Vec<String> {
        self.state().folders()
    }

    /// Entries whose durability was asked for ([`Home::make_durable`]), by absolute path. What is told to be there already must be
    /// among them: whoever put it there may not have been told so yet.
    ///
    /// ```
    /// use ferry_core::{HomePath, rt::block_on, store::Home};
    ///
    /// let home = ferry_testkit::MemoryHome::default();
    /// block_on(home.make_durable(&HomePath::parse("/a").unwrap())).unwrap();
    /// assert_eq!(home.settled(), ["/a"]);
    /// ```
    pub fn settled(&self) -> Vec<String> {
        self.state().settled.iter().map(ToString::to_string).collect()
    }

    /// Puts a symbolic link there, as somebody on the server's machine might do.
    ///
    /// # Errors
    /// Those of [`Home::make_dir`].
    ///
    /// ```
    /// use ferry_core::{ErrorKind, HomePath, rt::block_on, store::Home};
    ///
    /// let home = ferry_testkit::MemoryHome::default();
    /// home.plant_link(&HomePath::parse("/link").unwrap()).unwrap();
    /// let behind = block_on(home.stat(&HomePath::parse("/link/a").unwrap()));
    /// assert_eq!(behind.unwrap_err().kind, ErrorKind::Denied);
    /// ```
    pub fn plant_link(&self, path: &HomePath) -> Result<()> {
        self.state().plant_link(path)
    }

    /// Changes a byte of a file, as a disk that fails might do: nobody is told, and what is known of the file stays.
    ///
    /// # Errors
    /// `not_found`; `bad_request` for what has no bytes.
    pub fn rot(&self, path: &HomePath) -> Result<()> {
        self.state().rot(path)
    }
}

impl Home for MemoryHome {
    fn stat<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<Entry>> {
        ready(self.state().stat(path))
    }

    fn list<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<Box<dyn Listing>>> {
        let entries = self.state().list(path);
        ready(entries.map(|entries| Box::new(MemoryListing(entries)) as Box<dyn Listing>))
    }

    fn make_dir<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        ready(self.state().make_dir(path))
    }

    fn remove_file<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        ready(self.state().remove_file(path))
    }

    fn remove_dir<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        ready(self.state().remove_dir(path))
    }

    fn make_durable<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        self.state().settled.push(path.clone());
        ready(Ok(()))
    }

    fn rename<'a>(&'a self, from: &'a HomePath, to: &'a HomePath, no_clobber: bool) -> BoxFuture<'a, Result<()>> {
        ready(self.state().rename(from, to, no_clobber))
    }

    fn open(&self, request: ReadRequest) -> BoxFuture<'_, Result<Box<dyn Source>>> {
        ready(transfer::open(&self.state(), &request))
    }

    fn upload(&self, request: UploadRequest) -> BoxFuture<'_, Result<Box<dyn Upload>>> {
        ready(transfer::upload(&self.0, request))
    }

    fn partials(&self) -> BoxFuture<'_, Result<Vec<Partial>>> {
        ready(Ok(self.state().partials()))
    }

    fn remove_partial<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        ready(self.state().remove_partial(id))
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage>> {
        ready(Ok(self.state().usage))
    }
}

/// The entries of a folder that are still to be given.
struct MemoryListing(Vec<Entry>);

impl Listing for MemoryListing {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>>> {
        let rest = self.0.len().saturating_sub(LISTING_BATCH);
        ready(Ok(self.0.split_off(rest)))
    }
}

/// What panicked while it held the lock is a test that failed already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}
