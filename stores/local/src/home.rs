//! One user's home: the calls of the store's contract, and changes of the tree with their entries in the books.
//!
//! Locks are taken in this order: a slot's lane, the ledger, the books. None is held across an await.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_lock::{OnceCell, Semaphore};
use ferry_core::rt::Batches;
use ferry_core::store::{
    Check, Entry, Home, Listing, Partial, ReadRequest, Source, Stored, Upload, UploadRequest, Usage, WholeUpload,
};
use ferry_core::verb::BoxFuture;
use ferry_core::{Digest, Error, HomePath, Result, rt};
use rustix::fs::{AtFlags, Mode, RenameFlags, mkdirat, renameat_with, unlinkat};

use crate::books::Books;
use crate::flush::Flushes;
use crate::jail::{Jail, Place, counted, entry, failed};
use crate::ledger::{Ledger, recount};
use crate::listing::LocalListing;
use crate::source::LocalSource;
use crate::staging::{Lane, Slot, Staging, is_id};
use crate::{Durability, claim, lock, now, whole};

/// How long to wait at most for a few chunks on their way to the disk.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// Everything that belongs to one home.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) jail: Jail,
    pub(crate) staging: Staging,
    pub(crate) durability: Durability,
    /// Held during every change of the tree, so that what is replaced or removed is what was counted.
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) books: Mutex<Books>,
    /// Whether the books say what is used. Until then nothing reads that, and nothing changes the tree.
    pub(crate) is_counted: AtomicBool,
    /// One counts for all who wait. An asynchronous cell, for none of them is to keep a thread.
    pub(crate) counting: OnceCell<()>,
    /// Folders that are being flushed.
    pub(crate) flushes: Flushes,
    /// Told when a writer has written something or ended.
    pub(crate) progress: Condvar,
    /// Small files that wait to be stored.
    pub(crate) jobs: Arc<whole::Jobs>,
    /// How many of them may wait.
    pub(crate) room: Arc<Semaphore>,
    /// Files that wait to be opened, and read when they are small.
    pub(crate) opens: Arc<Batches<rt::Call>>,
}

impl Inner {
    /// Flushes a folder, where durability asks for it.
    pub(crate) fn sync_folder(&self, path: &HomePath, place: &Place) -> Result<()> {
        match self.durability {
            Durability::Strict => self.flushes.folder(&place.folder).map_err(|errno| failed(path, errno)),
            Durability::Relaxed => Ok(()),
        }
    }

    /// Takes note of a change of a folder before it is made, where durability will ask for its flush.
    pub(crate) fn note_change(&self, path: &HomePath, place: &Place) -> Result<()> {
        match self.durability {
            Durability::Strict => self.flushes.change(&place.folder).map_err(|errno| failed(path, errno)),
            Durability::Relaxed => Ok(()),
        }
    }

    /// Makes sure that the entry at `path` outlives a power cut, where durability asks for it: somebody is about to be told that it
    /// is there, and whoever put it there may not be done yet.
    pub(crate) fn make_durable(&self, path: &HomePath) -> Result<()> {
        if self.durability == Durability::Relaxed || path.is_root() {
            return Ok(());
        }
        self.settle_folder(path, &self.jail.place(path)?)
    }

    /// As [`Self::make_durable`], for an entry whose folder is open.
    pub(crate) fn settle_folder(&self, path: &HomePath, place: &Place) -> Result<()> {
        match self.durability {
            Durability::Strict => self.flushes.settle(&place.folder).map_err(|errno| failed(path, errno)),
            Durability::Relaxed => Ok(()),
        }
    }

    fn make_dir(&self, path: &HomePath) -> Result<()> {
        if path.is_root() {
            return Err(Error::exists("/: already there").at(path));
        }
        let place = self.jail.new_place(path)?;
        mkdirat(&place.folder, place.name.as_slice(), Mode::RWXU).map_err(|errno| failed(path, errno))?;
        self.sync_folder(path, &place)
    }

    fn remove_file(&self, path: &HomePath) -> Result<()> {
        let place = self.jail.place(path)?;
        let mut ledger = lock(&self.ledger);
        let stat = place.stat().map_err(|errno| failed(path, errno))?;
        let size = stat.as_ref().map_or(0, counted);
        if size > 0 {
            ledger.before_change()?;
        }
        unlinkat(&place.folder, place.name.as_slice(), AtFlags::empty()).map_err(|errno| failed(path, errno))?;
        lock(&self.books).usage.remove(size);
        drop(ledger);
        self.sync_folder(path, &place)
    }

    fn remove_dir(&self, path: &HomePath) -> Result<()> {
        if path.is_root() {
            return Err(root_stays(path));
        }
        let place = self.jail.place(path)?;
        unlinkat(&place.folder, place.name.as_slice(), AtFlags::REMOVEDIR).map_err(|errno| failed(path, errno))?;
        self.sync_folder(path, &place)
    }

    fn rename(&self, from: &HomePath, to: &HomePath, no_clobber: bool) -> Result<()> {
        if from.is_root() || to.is_root() {
            return Err(root_stays(if from.is_root() { from } else { to }));
        }
        if from != to && to.is_within(from) {
            return Err(Error::bad_request(format!("{from}: cannot go into itself")).at(from));
        }
        let (old, new) = (self.jail.place(from)?, self.jail.new_place(to)?);
        let mut ledger = lock(&self.ledger);
        let moved = old.stat().map_err(|errno| failed(from, errno))?;
        let replaced = new.stat().map_err(|errno| failed(to, errno))?;
        let size = match (&moved, &replaced) {
            // Two names of one file: rename(2) leaves both.
            (Some(moved), Some(replaced)) if (moved.st_dev, moved.st_ino) == (replaced.st_dev, replaced.st_ino) => 0,
            (_, replaced) => replaced.as_ref().map_or(0, counted),
        };
        if size > 0 && !no_clobber {
            ledger.before_change()?;
        }
        let flags = match no_clobber {
            true => RenameFlags::NOREPLACE,
            false => RenameFlags::empty(),
        };
        renameat_with(&old.folder, old.name.as_slice(), &new.folder, new.name.as_slice(), flags).map_err(|errno| {
            // Without the old name it is about that one, otherwise about the new one.
            failed(if moved.is_none() { from } else { to }, errno)
        })?;
        lock(&self.books).usage.remove(size);
        drop(ledger);
        self.sync_folder(to, &new)?;
        if from.parent() != to.parent() {
            self.sync_folder(from, &old)?;
        }
        Ok(())
    }

    /// Waits until the bytes that an upload's last owner handed over are written: all of them when he is gone, otherwise those
    /// that he has handed over by now. Not for ever: whoever takes over is safe from an older owner's bytes in any case.
    pub(crate) fn settle(&self, id: &str) {
        let deadline = Instant::now() + SETTLE_MAX;
        let mut books = lock(&self.books);
        let accepted = books.get_mut(id).map_or(0, |tracked| tracked.accepted);
        loop {
            let Some(tracked) = books.get_mut(id).filter(|tracked| tracked.writers > 0) else {
                return;
            };
            if tracked.is_owned && tracked.slot.held() >= accepted {
                return;
            }
            if let Some(chunk) = tracked.first.take_if(|_| !tracked.is_owned) {
                let (slot, lease) = (tracked.slot.clone(), tracked.lease);
                let meta = (tracked.path.clone(), tracked.size, tracked.expected);
                drop(books);
                let mut lane = lock(&slot.lane);
                if lane.lease == lease && !lane.is_gone {
                    // A failure leaves what was there before: as if the bytes had not come.
                    let _ = self.staging.append(&slot, &mut lane, &chunk);
                    self.keep(&slot, &mut lane, (&meta.0, meta.1, meta.2));
                    lane.file = None;
                }
                drop(lane);
                self.end_writer(id, lease);
                books = lock(&self.books);
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            books.waiting += 1;
            let woken = self.progress.wait_timeout(books, left);
            books = woken.unwrap_or_else(PoisonError::into_inner).0;
            books.waiting -= 1;
        }
    }

    /// Leaves an upload so that it can be taken up again; one that holds nothing, or cannot be described, leaves nothing.
    pub(crate) fn keep(&self, slot: &Slot, lane: &mut Lane, meta: (&HomePath, Option<u64>, Option<Digest>)) {
        slot.touched.store(now(), Ordering::Release);
        if slot.held() == 0 {
            self.staging.remove_empty(slot, lane);
        } else {
            // A failure shows in what is safe.
            let _ = self.staging.record(slot, lane, meta, false);
            if slot.safe() == 0 {
                // What would not outlive a crash is not kept: it must not be told to anybody.
                self.staging.empty(slot, lane);
            }
        }
    }

    /// Takes note that a writer of that lease has ended.
    pub(crate) fn end_writer(&self, id: &str, lease: u64) {
        let mut books = lock(&self.books);
        if let Some(tracked) = books.owned(id, lease) {
            tracked.writers = tracked.writers.saturating_sub(1);
        }
        books.tidy(id);
        self.tell(&books);
    }

    /// Wakes whoever waits for a writer. Without one there is nothing to do, least of all a system call.
    pub(crate) fn tell(&self, books: &Books) {
        if books.waiting > 0 {
            self.progress.notify_all();
        }
    }

    /// Throws bytes away that the books have forgotten.
    pub(crate) fn discard(&self, slots: impl IntoIterator<Item = Arc<Slot>>) {
        for slot in slots {
            self.staging.discard(&slot, &mut lock(&slot.lane));
        }
    }

    fn partials(&self) -> Vec<Partial> {
        let expired = lock(&self.books).remove_expired(now());
        self.discard(expired);
        let ids = lock(&self.books).ids();
        for id in ids {
            self.settle(&id);
        }
        lock(&self.books).list()
    }

    fn remove_partial(&self, id: &str) -> Result<()> {
        let slot = if is_id(id) {
            self.settle(id);
            lock(&self.books).remove(id)
        } else {
            None
        };
        let Some(slot) = slot else {
            let shown: String = ferry_core::text::escape(id.as_bytes()).chars().take(64).collect();
            return Err(Error::not_found(format!("{shown}: no such unfinished upload")).hint("`partials` lists them"));
        };
        self.discard([slot]);
        Ok(())
    }

    /// Counts the home against its books. Changes of the home wait meanwhile, so that both are of the same moment.
    pub(crate) fn check(&self, repair: bool) -> Result<Check> {
        let mut ledger = lock(&self.ledger);
        let (Usage { used, reserved, .. }, partials) = {
            let books = lock(&self.books);
            (books.usage, books.ids().len() as u64)
        };
        let counted = recount(&self.jail, usize::MAX).map_err(|errno| Error::from_io("home", errno.into()))?;
        if repair && used != counted {
            ledger.before_change()?;
            lock(&self.books).usage.used = counted;
        }
        Ok(Check {
            used,
            counted,
            reserved,
            partials,
        })
    }

    /// Writes the ledger down. Of a home that is not counted yet there is nothing to say, and the stop does not wait for it.
    pub(crate) fn close(&self) -> Result<()> {
        if !self.is_counted.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut ledger = lock(&self.ledger);
        if ledger.is_written() {
            return Ok(());
        }
        // The ledger must not be newer than the files that it counts.
        self.jail.sync_all().map_err(|errno| Error::from_io("home", errno.into()))?;
        let used = lock(&self.books).usage.used;
        ledger.write(used)
    }
}

fn root_stays(path: &HomePath) -> Error {
    Error::denied("the home itself stays where it is").at(path)
}

/// A home, as it is handed out.
#[derive(Debug, Clone)]
pub(crate) struct LocalHome(pub(crate) Arc<Inner>);

impl LocalHome {
    /// Runs blocking work on the home.
    pub(crate) fn run<'a, T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'a, Result<T>> {
        let inner = self.0.clone();
        Box::pin(rt::unblock(move || work(&inner)))
    }
}

impl Home for LocalHome {
    fn stat<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<Entry>> {
        let path = path.clone();
        self.run(move |inner| {
            let stat = inner.jail.stat(&path)?;
            Ok(entry(path.name().unwrap_or_default(), &stat))
        })
    }

    fn list<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<Box<dyn Listing>>> {
        let path = path.clone();
        self.run(move |inner| Ok(Box::new(LocalListing::open(&inner.jail, path)?) as Box<dyn Listing>))
    }

    fn make_dir<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        let path = path.clone();
        self.counted(move |inner| inner.make_dir(&path))
    }

    fn remove_file<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        let path = path.clone();
        self.counted(move |inner| inner.remove_file(&path))
    }

    fn remove_dir<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        let path = path.clone();
        self.counted(move |inner| inner.remove_dir(&path))
    }

    fn make_durable<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        let path = path.clone();
        self.run(move |inner| inner.make_durable(&path))
    }

    fn rename<'a>(&'a self, from: &'a HomePath, to: &'a HomePath, no_clobber: bool) -> BoxFuture<'a, Result<()>> {
        let (from, to) = (from.clone(), to.clone());
        self.counted(move |inner| inner.rename(&from, &to, no_clobber))
    }

    fn open(&self, request: ReadRequest) -> BoxFuture<'_, Result<Box<dyn Source>>> {
        let inner = self.0.clone();
        let is_short = request.held.is_none();
        let open = move || Ok(Box::new(LocalSource::open(&inner.jail, request)?) as Box<dyn Source>);
        match is_short {
            // Small files are asked for in numbers.
            true => Box::pin(async move { self.0.opens.call(open).await }),
            // What the client holds is hashed.
            false => Box::pin(rt::unblock(open)),
        }
    }

    fn upload(&self, request: UploadRequest) -> BoxFuture<'_, Result<Box<dyn Upload>>> {
        self.counted(move |inner| claim::open_upload(inner, request))
    }

    fn store(&self, file: WholeUpload) -> BoxFuture<'_, Result<Stored>> {
        Box::pin(async move {
            self.wait_for_count().await?;
            whole::store(&self.0, file).await
        })
    }

    fn partials(&self) -> BoxFuture<'_, Result<Vec<Partial>>> {
        self.run(|inner| Ok(inner.partials()))
    }

    fn remove_partial<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        let id = id.to_owned();
        self.run(move |inner| inner.remove_partial(&id))
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage>> {
        Box::pin(async move {
            self.wait_for_count().await?;
            Ok(lock(&self.0.books).usage)
        })
    }
}
