//! What a harness can be told before lines are run: user, rights, quota, store, faults, and the way over a socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ferry_core::dispatch::Env;
use ferry_core::rt::block_on;
use ferry_core::store::Store;
use ferry_core::{Result, User};

use super::Harness;
use crate::faults::Plan;
use crate::socket::Socket;

impl Harness {
    /// Puts into the home what examples are written for: the folder `docs` with `docs/notes.txt`, and `hello.txt`.
    ///
    /// ```
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let harness = Harness::of::<Write>().furnish();
    /// assert_eq!(harness.files()["/docs/notes.txt"], b"Some notes.\n");
    /// ```
    #[must_use]
    pub fn furnish(self) -> Self {
        self.seed("docs/notes.txt", b"Some notes.\n");
        self.seed("hello.txt", b"Hello, world!\n");
        self
    }

    /// Makes the user one who may only read.
    ///
    /// ```
    /// use ferry_core::ErrorKind;
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let harness = Harness::of::<Write>().read_only();
    /// assert_eq!(harness.err("write a.txt text").kind, ErrorKind::Denied);
    /// ```
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.user.read_only = true;
        self
    }

    /// Makes the user an administrator.
    ///
    /// ```
    /// assert!(ferry_testkit::Harness::new().admin().env().user.admin);
    /// ```
    #[must_use]
    pub fn admin(mut self) -> Self {
        self.user.admin = true;
        self
    }

    /// Makes it another user. The home stays.
    ///
    /// ```
    /// use ferry_core::{ErrorKind, User};
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let bob = User { deny: vec!["write".into()], ..User::named("bob") };
    /// let error = Harness::of::<Write>().user(bob).err("write a.txt text");
    /// assert_eq!(error.kind, ErrorKind::UnknownVerb, "what a list keeps from him does not exist for him");
    /// ```
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.user = user;
        self
    }

    /// Limits the home to so many bytes.
    ///
    /// # Panics
    /// When the store refuses it.
    ///
    /// ```
    /// use ferry_core::ErrorKind;
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let harness = Harness::of::<Write>().quota(10);
    /// assert_eq!(harness.err("write a.txt 'more than ten bytes'").kind, ErrorKind::OverQuota);
    /// assert!(harness.files().is_empty());
    /// ```
    #[must_use]
    pub fn quota(mut self, bytes: u64) -> Self {
        self.open(Some(bytes));
        self
    }

    /// Puts the home on another store: that of the [user](Self::user) as he is now, without a limit, and whatever is in it already.
    ///
    /// # Panics
    /// When the store cannot open it.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use ferry_core::User;
    /// use ferry_testkit::{Harness, MemoryStore, example::Write};
    ///
    /// let store = Arc::new(MemoryStore::default());
    /// let bob = Harness::of::<Write>().user(User::named("bob")).on(store.clone());
    /// bob.ok("write a.txt text");
    /// assert_eq!(store.open("bob", None).files()["/a.txt"], b"text");
    /// ```
    #[must_use]
    pub fn on(mut self, store: Arc<dyn Store>) -> Self {
        (self.store, self.memory) = (store, None);
        self.owner = self.user.name.clone();
        self.open(None);
        self
    }

    fn open(&mut self, limit: Option<u64>) {
        let opened = block_on(self.store.home(&self.owner, limit));
        self.home = opened.unwrap_or_else(|error| panic!("the home of {} cannot be opened: {error}", self.owner));
    }

    /// Has the disk full when verbs have written so many bytes more.
    ///
    /// ```
    /// use ferry_core::ErrorKind;
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let harness = Harness::of::<Write>().disk_full_after(10);
    /// harness.ok("write a.txt four");
    /// assert_eq!(harness.err("write b.txt 'more than six'").kind, ErrorKind::DiskFull);
    /// assert_eq!(harness.files().len(), 1);
    /// ```
    #[must_use]
    pub fn disk_full_after(self, bytes: u64) -> Self {
        self.faults.plan().room = Some(bytes);
        self
    }

    /// Has the `nth` call that verbs make of the store, counted from 1 and from now on, fail as the operating system would. Seeding
    /// and looking do not count. [`Self::store_calls`] says how many a line makes.
    ///
    /// ```
    /// use std::io;
    /// use ferry_core::ErrorKind;
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let harness = Harness::of::<Write>().store_fails_at(1, io::ErrorKind::PermissionDenied);
    /// assert_eq!(harness.err("write a.txt text").kind, ErrorKind::Denied);
    /// harness.ok("write a.txt text");
    /// ```
    #[must_use]
    pub fn store_fails_at(self, nth: u64, kind: io::ErrorKind) -> Self {
        {
            let mut plan = self.faults.plan();
            let Plan { calls, fails, .. } = &mut *plan;
            *fails = Some((calls.saturating_add(nth), kind));
        }
        self
    }

    /// How many calls verbs have made of the store: each of [`Home`](ferry_core::store::Home)'s, each part of a listing or a file that
    /// was read, each write and each commit.
    ///
    /// ```
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let harness = Harness::of::<Write>();
    /// harness.ok("write a.txt text");
    /// assert_eq!(harness.store_calls(), 4, "an upload is opened, room is looked for, and it is written and committed");
    /// ```
    pub fn store_calls(&self) -> u64 {
        self.faults.plan().calls
    }

    /// Has every line take the way over a socket: through a server that `serve` starts, to which the harness logs in over plain TCP as
    /// its user. The home is the same one, so seeding and looking work as before. Say it last: what the user may do is settled now.
    ///
    /// `serve` is given what the server serves and the user's password; it gives the server's address and whatever keeps it running,
    /// which is dropped with the harness. `ferry_server::loopback` is made for this.
    ///
    /// # Panics
    /// When the server cannot be started.
    ///
    /// ```no_run
    /// # mod ferry_server {
    /// #     pub fn loopback(_: &ferry_core::dispatch::Env, _: &str) -> ferry_core::Result<(std::net::SocketAddr, ())> {
    /// #         unimplemented!("a crate on a floor above; its own documentation runs this")
    /// #     }
    /// # }
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let harness = Harness::of::<Write>().over(ferry_server::loopback);
    /// harness.ok("write a.txt text");
    /// assert_eq!(harness.files()["/a.txt"], b"text");
    /// ```
    #[must_use]
    pub fn over<S: Send + Sync + 'static>(mut self, serve: impl FnOnce(&Env, &str) -> Result<(SocketAddr, S)>) -> Self {
        let started = serve(&self.env(), crate::socket::PASSWORD);
        let (address, server) = started.unwrap_or_else(|error| panic!("the server does not start: {error}"));
        self.socket = Some(Socket::new(address, &self.user.name, Box::new(server)));
        self
    }
}
