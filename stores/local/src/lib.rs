//! Homes on a local Linux file system: the jail of the kernel, staging, atomic and durable commits, a ledger for the quota.
//!
//! Under the data folder, three folders of the server alone:
//! - `homes/USER`: the home, nothing else in it;
//! - `staging/USER`: bytes of unfinished uploads, outside every home but on the same file system;
//! - `ledger/USER`: what the home uses, there only while it is right.
//!
//! Two more decisions. A stream of unknown size cannot be gone on with, so it is thrown away when it breaks off. What is left of
//! an earlier try keeps its reservation also when another size is uploaded to the same path; only where the quota has no room
//! for that otherwise, and would have with it, it is thrown away.
//!
//! One process at a time may have a data folder open.

mod books;
mod claim;
mod counting;
mod flush;
mod home;
mod jail;
mod ledger;
mod listing;
mod proof;
mod purge;
mod source;
mod staging;
mod threads;
mod upload;
mod whole;
mod writer;

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_lock::OnceCell;
use ferry_core::rt::Batches;
use ferry_core::store::{Check, Home, Store};
use ferry_core::verb::BoxFuture;
use ferry_core::{Error, Result, User, rt};
use rustix::fs::{Mode, OFlags, fsync, mkdirat, open};
use rustix::io::Errno;

use crate::books::Books;
use crate::counting::AT_ONCE_ENTRIES;
use crate::flush::Flushes;
use crate::home::{Inner, LocalHome};
use crate::jail::{Jail, open_beneath, open_folder};
use crate::ledger::Ledger;
use crate::purge::remove_all;
use crate::staging::Staging;

pub use ferry_core::store::Durability;

/// So many files of one home that wait to be opened and read are worth a thread more, and the most threads: enough to keep a disk busy.
const OPENS: usize = 8;
const OPENING_THREADS: usize = 8;

/// How a [`LocalStore`] works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// When an upload is acknowledged.
    pub durability: Durability,
}

/// Homes on a local file system.
#[derive(Debug)]
pub struct LocalStore {
    folders: Arc<Folders>,
    options: Options,
    /// One for each user who was ever asked for; kept, so that a user has one ledger.
    homes: Mutex<HashMap<String, Arc<OnceCell<LocalHome>>>>,
}

#[derive(Debug)]
struct Folders {
    homes: OwnedFd,
    staging: OwnedFd,
    ledger: Arc<OwnedFd>,
}

impl LocalStore {
    /// Opens the folder `data`, and makes what is missing of it. Blocks for a moment.
    ///
    /// # Errors
    /// `unsupported` when the kernel cannot confine homes (openat2(2), Linux 5.6); what the file system says otherwise.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let shown = path.display();
        let failed = |errno: Errno| Error::from_io(format_args!("data folder {shown}"), errno.into());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| Error::from_io(format_args!("data folder {shown}"), error))?;
        let data = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
        match open_beneath(&data, b".", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            Err(Errno::NOSYS | Errno::PERM) => {
                let text = "this system cannot confine homes: openat2 is missing";
                return Err(
                    Error::unsupported(text).hint("use Linux 5.6 or later, and a container runtime that lets openat2 through")
                );
            }
            probe => drop(probe.map_err(failed)?),
        }
        let folder = |name: &str| make_folder(&data, name).map_err(failed);
        let folders = Folders {
            homes: folder("homes")?,
            staging: folder("staging")?,
            ledger: Arc::new(folder("ledger")?),
        };
        fsync(&data).map_err(failed)?;
        Ok(Self {
            folders: Arc::new(folders),
            options,
            homes: Mutex::default(),
        })
    }

    async fn local_home(&self, user: &str) -> Result<LocalHome> {
        User::check_name(user)?;
        let cell = lock(&self.homes).entry(user.to_owned()).or_default().clone();
        let open = || async {
            let (folders, options, user) = (self.folders.clone(), self.options, user.to_owned());
            let home = rt::unblock(move || open_home(&folders, options, &user)).await?;
            home.begin_count();
            Ok(home)
        };
        cell.get_or_try_init(open).await.cloned()
    }
}

impl Store for LocalStore {
    fn home<'a>(&'a self, user: &'a str, limit: Option<u64>) -> BoxFuture<'a, Result<Arc<dyn Home>>> {
        Box::pin(async move {
            let home = self.local_home(user).await?;
            lock(&home.0.books).usage.limit = limit;
            Ok(Arc::new(home) as Arc<dyn Home>)
        })
    }

    fn check<'a>(&'a self, user: &'a str, repair: bool) -> BoxFuture<'a, Result<Check>> {
        Box::pin(async move {
            let home = self.local_home(user).await?;
            home.counted(move |inner| inner.check(repair)).await
        })
    }

    fn purge<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            User::check_name(user)?;
            drop(lock(&self.homes).remove(user));
            let (folders, user) = (self.folders.clone(), user.to_owned());
            rt::unblock(move || {
                let places = [&folders.homes, &folders.staging, &*folders.ledger];
                places.iter().try_for_each(|folder| remove_all(folder, &user)).map_err(stays)
            })
            .await
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        let cells: Vec<_> = lock(&self.homes).values().cloned().collect();
        Box::pin(rt::unblock(move || {
            let homes = cells.iter().filter_map(|cell| cell.get());
            // Every home is tried; the first failure is told.
            homes.map(|home| home.0.close()).fold(Ok(()), Result::and)
        }))
    }
}

/// Why a home could not be removed.
fn stays(errno: Errno) -> Error {
    let error = Error::from_io("home", errno.into());
    match errno {
        Errno::BUSY | Errno::XDEV => error.hint("something is mounted in it: unmount it, then try again"),
        _ => error,
    }
}

/// Opens one home, and finds its unfinished uploads. What a large one uses is still to be counted when its ledger is not right.
fn open_home(folders: &Folders, options: Options, user: &str) -> Result<LocalHome> {
    let failed = |errno: Errno| Error::from_io(format_args!("home of {user}"), errno.into());
    drop(make_folder(&folders.homes, user).map_err(failed)?);
    drop(make_folder(&folders.staging, user).map_err(failed)?);
    fsync(&folders.homes).map_err(failed)?;
    let jail = Jail::open(&folders.homes, user).map_err(failed)?;
    let staging = Staging::open(&folders.staging, user).map_err(failed)?;
    if jail.device().map_err(failed)? != staging.device().map_err(failed)? {
        return Err(
            Error::unsupported(format!("home of {user}: lies on another file system than its staging folder"))
                .hint("keep `homes` and `staging` on one file system: a file is published by renaming it"),
        );
    }
    let (ledger, used) = Ledger::open(folders.ledger.clone(), user);
    let used = match used {
        Some(used) => Some(used),
        None => match ledger::recount(&jail, AT_ONCE_ENTRIES) {
            Err(Errno::OVERFLOW) => None,
            counted => Some(counted.map_err(failed)?),
        },
    };
    let mut books = Books::default();
    books.usage.used = used.unwrap_or_default();
    for tracked in staging.load(now()).map_err(failed)? {
        books.adopt(tracked);
    }
    Ok(LocalHome(Arc::new(Inner {
        jail,
        staging,
        durability: options.durability,
        ledger: Mutex::new(ledger),
        books: Mutex::new(books),
        is_counted: AtomicBool::new(used.is_some()),
        counting: OnceCell::new(),
        flushes: Flushes::default(),
        progress: Condvar::new(),
        jobs: whole::jobs(),
        room: whole::room(),
        opens: Batches::of_calls(OPENS, OPENING_THREADS),
    })))
}

/// Opens a folder of the server's own, made when it is not there yet.
fn make_folder(parent: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    match mkdirat(parent.as_fd(), name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => open_folder(parent, name.as_bytes()),
        Err(errno) => Err(errno),
    }
}

/// Takes a lock. A thread that panicked while it held one left whole values behind: all changes under a lock are single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The present time, in nanoseconds since 1970-01-01 UTC.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
