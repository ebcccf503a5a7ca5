//! The harness: a line goes in as a user types it, and comes out as what a client would show.

mod look;
mod options;
mod run;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use ferry_core::dispatch::Env;
use ferry_core::store::{Home, Store};
use ferry_core::verb::Registration;
use ferry_core::{HomePath, Registry, User, Verb};

use crate::faults::{Faults, FaultyHome};
use crate::logins::MemoryLogins;
use crate::memory::{MemoryHome, MemoryStore};
use crate::rules::registry_rules;
use crate::socket::Socket;

/// Runs every verb that is linked into the test, in a home of its own in memory.
///
/// A line takes the whole way but the socket: split and parsed by the catalogue, encoded, checked by the guard, dispatched. With
/// [`Self::over`] it takes the way over the socket, too; [`Self::on`] puts the home on another store.
///
/// ```
/// use ferry_core::{Access, Context, Reply, Result, Spec, Verb};
/// ferry_core::args! {
///     /// Prints a text back.
///     pub struct Echo {
///         /// Text to print.
///         text: String,
///     }
/// }
/// impl Verb for Echo {
///     const SPEC: Spec = Spec::of::<Self>("echo", Access::Public);
///     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
///         Ok(Reply::text(self.text))
///     }
/// }
/// ferry_core::register!(Echo);
///
/// let output = ferry_testkit::Harness::new().ok("echo 'two words'");
/// assert_eq!(output.text.as_deref(), Some("two words"));
/// ```
pub struct Harness {
    /// First, for it is to be gone before the server is.
    socket: Option<Socket>,
    registry: Arc<Registry>,
    user: User,
    store: Arc<dyn Store>,
    /// Whose home it is; the user may become another one.
    owner: String,
    home: Arc<dyn Home>,
    /// The home once more, when it is in memory.
    memory: Option<Arc<MemoryHome>>,
    faults: Faults,
    logins: Arc<MemoryLogins>,
    cwd: Mutex<HomePath>,
    ids: AtomicU32,
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Harness {
    /// All linked verbs, the user `alice` with every right but admin's, and an empty home without a limit.
    ///
    /// # Panics
    /// When two linked verbs share a name.
    ///
    /// ```
    /// let harness = ferry_testkit::Harness::new();
    /// assert!(harness.files().is_empty());
    /// assert_eq!(harness.err("no-such-verb").kind, ferry_core::ErrorKind::UnknownVerb);
    /// ```
    pub fn new() -> Self {
        let registry = Registry::linked().unwrap_or_else(|error| panic!("{error}"));
        Self::with(Arc::new(registry))
    }

    /// The same with one verb alone, which need not be registered.
    ///
    /// # Panics
    /// When its name is none.
    ///
    /// ```
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let harness = Harness::of::<Write>();
    /// harness.ok("write a.txt 'some text'");
    /// assert_eq!(harness.files()["/a.txt"], b"some text");
    /// ```
    pub fn of<V: Verb>() -> Self {
        Self::with(registry_of::<V>())
    }

    /// The same with the verbs of a registry.
    ///
    /// ```
    /// use ferry_core::{Registry, verb::Registration};
    /// use ferry_testkit::{Harness, example::{Take, Write}};
    ///
    /// let write = Registration::of::<Write>("my-crate", "1.0.0", "here");
    /// let take = Registration::of::<Take>("my-crate", "1.0.0", "here");
    /// let harness = Harness::with(Registry::of([write, take]).unwrap().into());
    /// harness.ok("write a.txt text");
    /// harness.send("take b.txt", b"more text").unwrap();
    /// assert_eq!(harness.files().len(), 2);
    /// ```
    pub fn with(registry: Arc<Registry>) -> Self {
        let (store, user) = (MemoryStore::default(), User::named("alice"));
        let home = store.open(&user.name, None);
        Self {
            socket: None,
            registry,
            owner: user.name.clone(),
            user,
            store: Arc::new(store),
            home: home.clone(),
            memory: Some(home),
            faults: Faults::default(),
            logins: Arc::default(),
            cwd: Mutex::new(HomePath::root()),
            ids: AtomicU32::new(1),
        }
    }

    /// All linked verbs in the [standard home](Self::furnish).
    ///
    /// # Panics
    /// As [`Self::new`].
    ///
    /// ```
    /// let harness = ferry_testkit::Harness::standard();
    /// assert_eq!(harness.folders(), ["/docs"]);
    /// ```
    pub fn standard() -> Self {
        Self::new().furnish()
    }

    /// Checks one verb, which need not be registered, against the [rules that every verb keeps](crate::registry_rules).
    ///
    /// # Panics
    /// When it breaks one, naming all findings.
    ///
    /// ```
    /// ferry_testkit::Harness::check::<ferry_testkit::example::Write>();
    /// ```
    #[track_caller]
    pub fn check<V: Verb>() {
        let findings = registry_rules(&registry_of::<V>());
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }

    /// What a call needs besides its message: verbs, user, home (behind the [faults that were asked for](Self::disk_full_after)),
    /// saved logins. For a server of the test's own, or a call of [`dispatch`](ferry_core::dispatch()).
    ///
    /// ```
    /// let env = ferry_testkit::Harness::new().env();
    /// assert_eq!(env.user.name, "alice");
    /// ```
    pub fn env(&self) -> Env {
        Env {
            registry: self.registry.clone(),
            user: Arc::new(self.user.clone()),
            home: Arc::new(FaultyHome {
                inner: self.home.clone(),
                faults: self.faults.clone(),
            }),
            logins: self.logins.clone(),
        }
    }

    /// The store that the home is in.
    ///
    /// ```
    /// use ferry_core::rt::block_on;
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let harness = Harness::of::<Write>();
    /// harness.ok("write a.txt text");
    /// let check = block_on(harness.store().check("alice", false)).unwrap();
    /// assert!(check.is_right() && check.counted == 4);
    /// ```
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Files and folders, to tell whether something changed.
    pub(crate) fn state(&self) -> (BTreeMap<String, Vec<u8>>, Vec<String>) {
        (self.files(), self.folders())
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Whose home it is.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }
}

/// A registry of one verb.
fn registry_of<V: Verb>() -> Arc<Registry> {
    let registry = Registry::of([Registration::of::<V>("the crate under test", "0.0.0", "the test")]);
    Arc::new(registry.unwrap_or_else(|error| panic!("{error}")))
}
