//! The books of one home, in memory: what is used and reserved, and which uploads are not finished.
//!
//! Nothing here touches the file system, so the lock around it is only ever held for moments.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferry_core::store::{Partial, UploadRequest, Usage};
use ferry_core::{Chunk, Digest, Error, ErrorKind, HomePath, Result};

use crate::staging::Slot;

/// The most unfinished uploads of one home.
pub(crate) const PARTIALS_MAX: usize = 1000;
/// What a stream of unknown size reserves at a time, in bytes: 1 MiB.
const RESERVE_STEP_BYTES: u64 = 1024 * 1024;
/// How long an unfinished upload is kept after its last sign of life: 7 days, in nanoseconds.
pub(crate) const PARTIAL_LIFE_NS: i64 = 7 * 24 * 3600 * 1_000_000_000;

/// Usage and unfinished uploads.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Limit, used and reserved bytes.
    pub(crate) usage: Usage,
    partials: HashMap<String, Tracked>,
    /// How many threads wait for a writer.
    pub(crate) waiting: usize,
}

/// An unfinished upload.
#[derive(Debug)]
pub(crate) struct Tracked {
    /// Its bytes.
    pub(crate) slot: Arc<Slot>,
    /// Where the file is to go.
    pub(crate) path: HomePath,
    /// The declared size.
    pub(crate) size: Option<u64>,
    /// The digest of the whole file, where the client said it.
    pub(crate) expected: Option<Digest>,
    /// What it holds of the quota.
    pub(crate) reserved: u64,
    /// The lease: only who has this number may go on.
    pub(crate) lease: u64,
    /// Whether somebody has the lease in hand.
    pub(crate) is_owned: bool,
    /// Threads that still write for the present lease.
    pub(crate) writers: usize,
    /// The first bytes, not written yet: a small upload is written and published in one go.
    pub(crate) first: Option<Chunk>,
    /// Bytes that were taken from the owner: held, or on their way to be.
    pub(crate) accepted: u64,
}

impl Tracked {
    /// A new or found one, without an owner.
    pub(crate) fn new(slot: Arc<Slot>, path: HomePath, size: Option<u64>, expected: Option<Digest>) -> Self {
        Self {
            slot,
            path,
            size,
            expected,
            reserved: 0,
            lease: 0,
            is_owned: false,
            writers: 0,
            first: None,
            accepted: 0,
        }
    }

    fn held(&self) -> u64 {
        self.slot.held()
    }

    fn expires(&self) -> i64 {
        self.slot.touched.load(Ordering::Acquire).saturating_add(PARTIAL_LIFE_NS)
    }

    fn is_for(&self, request: &UploadRequest) -> bool {
        self.is_as_large(request) && self.path == request.path
    }

    /// Of the same declared size. A stream cannot be read again from the middle, so nobody goes on with one.
    fn is_as_large(&self, request: &UploadRequest) -> bool {
        self.size.is_some() && self.size == request.size
    }

    /// Whether it is left from an earlier try to upload `path`.
    fn is_stale(&self, path: &HomePath) -> bool {
        !self.is_owned && self.writers == 0 && self.path == *path
    }

    /// Whether it holds, or is about to hold, bytes of the file that the client means, whatever that was called. One that is being written right now
    /// is left alone: two copies of one file can be on their way to two places.
    fn is_of(&self, request: &UploadRequest) -> bool {
        let same = request.expected.is_some() && self.expected == request.expected && self.is_as_large(request);
        same && !request.fresh && !self.is_owned && (self.held() > 0 || self.writers > 0)
    }
}

/// The error of whoever does not own an upload any more.
pub(crate) fn lease_lost(path: &HomePath) -> Error {
    Error::new(ErrorKind::LeaseLost, format!("{path}: this upload was taken over or removed")).at(path)
}

impl Books {
    /// Takes in what an earlier run of the server left. Its size counts as reserved, whatever the limit.
    pub(crate) fn adopt(&mut self, mut tracked: Tracked) {
        tracked.reserved = tracked.size.unwrap_or_else(|| tracked.held());
        self.usage.reserved = self.usage.reserved.saturating_add(tracked.reserved);
        self.partials.insert(tracked.slot.id.clone(), tracked);
    }

    /// Reserves the declared size and starts an upload. When there is no room, what is left from earlier tries to upload the
    /// same path makes it, if that is enough; the bytes of those are the caller's to throw away.
    ///
    /// # Errors
    /// `over_quota`; `busy` when there are too many unfinished ones.
    pub(crate) fn start(&mut self, slot: Arc<Slot>, request: &UploadRequest) -> Result<Vec<Arc<Slot>>> {
        if self.partials.len() >= PARTIALS_MAX {
            let text = format!("{}: {PARTIALS_MAX} uploads are unfinished already", request.path);
            return Err(Error::new(ErrorKind::Busy, text)
                .at(&request.path)
                .hint("finish some of them, or remove them with `partials rm`"));
        }
        let size = request.size.unwrap_or(0);
        let replaced = self.make_room(&request.path, size)?;
        let mut tracked = Tracked::new(slot, request.path.clone(), request.size, request.expected);
        (tracked.reserved, tracked.is_owned) = (size, true);
        self.partials.insert(tracked.slot.id.clone(), tracked);
        Ok(replaced)
    }

    /// Reserves `size` bytes, with the room of what is stale where that is needed and enough.
    fn make_room(&mut self, path: &HomePath, size: u64) -> Result<Vec<Arc<Slot>>> {
        let Err(refused) = self.usage.reserve(path, size) else {
            return Ok(Vec::new());
        };
        let stale = self.partials.values().filter(|tracked| tracked.is_stale(path));
        let mut without = self.usage;
        stale.for_each(|tracked| without.release(tracked.reserved));
        without.reserve(path, size).map_err(|_| refused)?;
        let replaced = self.remove_where(|tracked| tracked.is_stale(path));
        self.usage.reserve(path, size)?;
        Ok(replaced)
    }

    /// The unfinished upload that `request` goes on with.
    pub(crate) fn find(&self, request: &UploadRequest) -> Option<Arc<Slot>> {
        let all = || self.partials.values();
        let found = all().find(|tracked| tracked.is_for(request));
        found
            .or_else(|| all().find(|tracked| tracked.is_of(request)))
            .map(|tracked| tracked.slot.clone())
    }

    /// Hands an unfinished upload to a new owner; gives the number of his lease, the digest that is expected, and
    /// what the older one left unwritten.
    pub(crate) fn take_over(&mut self, id: &str, request: &UploadRequest) -> Option<(u64, Option<Digest>, Option<Chunk>)> {
        let tracked = self.partials.get_mut(id)?;
        tracked.path = request.path.clone();
        tracked.expected = request.expected.or(tracked.expected);
        tracked.lease += 1;
        (tracked.is_owned, tracked.writers, tracked.accepted) = (true, 0, 0);
        Some((tracked.lease, tracked.expected, tracked.first.take()))
    }

    /// An unfinished upload, to whoever has its lease.
    pub(crate) fn owned(&mut self, id: &str, lease: u64) -> Option<&mut Tracked> {
        self.partials.get_mut(id).filter(|tracked| tracked.lease == lease)
    }

    /// Takes the first bytes out, to write them.
    pub(crate) fn take_first(&mut self, id: &str, lease: u64) -> Option<Chunk> {
        self.owned(id, lease)?.first.take()
    }

    /// An unfinished upload, whoever owns it.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Tracked> {
        self.partials.get_mut(id)
    }

    /// Makes sure that an upload holds `total` bytes of the quota.
    ///
    /// # Errors
    /// `lease_lost`, `over_quota`.
    pub(crate) fn grow(&mut self, id: &str, lease: u64, path: &HomePath, total: u64) -> Result<&mut Tracked> {
        let Some(tracked) = self.partials.get_mut(id).filter(|tracked| tracked.lease == lease) else {
            return Err(lease_lost(path));
        };
        let missing = total.saturating_sub(tracked.reserved);
        if missing == 0 {
            return Ok(tracked);
        }
        let step = missing.max(RESERVE_STEP_BYTES);
        let step = if self.usage.free().is_none_or(|free| free >= step) {
            step
        } else {
            missing
        };
        self.usage.reserve(path, step)?;
        tracked.reserved = tracked.reserved.saturating_add(step);
        Ok(tracked)
    }

    /// Takes an upload out without giving back what it reserved: it is being published, or put back.
    pub(crate) fn take(&mut self, id: &str, lease: u64) -> Option<Tracked> {
        self.owned(id, lease)?;
        self.partials.remove(id)
    }

    /// Undoes [`Self::take`].
    pub(crate) fn put_back(&mut self, tracked: Tracked) {
        self.partials.insert(tracked.slot.id.clone(), tracked);
    }

    /// Drops an upload and gives back what it reserved.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Arc<Slot>> {
        let tracked = self.partials.remove(id)?;
        self.usage.release(tracked.reserved);
        Some(tracked.slot)
    }

    /// Drops an upload that nobody owns, nobody writes and that holds nothing.
    pub(crate) fn tidy(&mut self, id: &str) {
        let is_empty = |tracked: &Tracked| !tracked.is_owned && tracked.writers == 0 && tracked.held() == 0;
        if self.partials.get(id).is_some_and(is_empty) {
            self.remove(id);
        }
    }

    /// Drops every upload of `path`.
    pub(crate) fn remove_path(&mut self, path: &HomePath) -> Vec<Arc<Slot>> {
        self.remove_where(|tracked| tracked.path == *path)
    }

    /// Drops every upload without a sign of life for too long.
    pub(crate) fn remove_expired(&mut self, now: i64) -> Vec<Arc<Slot>> {
        self.remove_where(|tracked| !tracked.is_owned && tracked.writers == 0 && tracked.expires() <= now)
    }

    fn remove_where(&mut self, is_meant: impl Fn(&Tracked) -> bool) -> Vec<Arc<Slot>> {
        let meant = self.partials.values().filter(|tracked| is_meant(tracked));
        let ids: Vec<String> = meant.map(|tracked| tracked.slot.id.clone()).collect();
        ids.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// The unfinished uploads that a later one can go on with, also after a crash, by path. One whose first bytes are still
    /// in memory is not among them.
    pub(crate) fn list(&self) -> Vec<Partial> {
        let describe = |tracked: &Tracked, received| Partial {
            id: tracked.slot.id.clone(),
            path: tracked.path.clone(),
            size: tracked.size,
            received,
            expires: tracked.expires(),
        };
        let all = self.partials.values().map(|tracked| (tracked, tracked.slot.safe()));
        let with_bytes = all.filter(|(_, received)| *received > 0);
        let mut list: Vec<Partial> = with_bytes.map(|(tracked, received)| describe(tracked, received)).collect();
        list.sort_by(|a, b| (&a.path, &a.id).cmp(&(&b.path, &b.id)));
        list
    }

    /// The names of all unfinished uploads.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.partials.keys().cloned().collect()
    }
}
