//! What writes an upload: bytes into staging while they are hashed, then the commit. Blocking, on a thread of the pool.
//!
//! The order of a commit is fixed: length, digest, flush of the file, rename, ledger, flush of the folder, and only then the
//! answer.

use std::fs::File;
use std::hash::Hasher as _;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_channel::Receiver;
use ferry_core::store::{FileInfo, Start, UploadRequest};
use ferry_core::{Algorithm, Chunk, Digest, Error, ErrorKind, Hasher, Result};
use rustix::fs::{Advice, Mode, RenameFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fadvise, fchmod, fstat, futimens};
use twox_hash::XxHash3_64;

use crate::books::lease_lost;
use crate::home::Inner;
use crate::jail::{Place, check_regular, counted, executable, failed, modified, timespec, version};
use crate::source::read_range;
use crate::staging::{Lane, Midstate, Slot};
use crate::{Durability, lock, now, proof};

/// How often an upload's description is brought up to date and flushed, in bytes. After a restart less than that has to be hashed
/// again, a tenth of a second's work of one core; and a power cut costs what the kernel had not written yet, not the whole upload.
const RECORD_EVERY_BYTES: u64 = 64 << 20;

/// How often the kernel is asked to begin writing, in bytes, so that the flush at the end finds little left to do: while the
/// network is slower than the disk, the disk's time costs nothing.
const WRITE_BEHIND_BYTES: u64 = 16 << 20;

/// What an upload's thread is fed with.
#[derive(Debug)]
pub(crate) enum Feed {
    /// The next bytes.
    Bytes(Chunk),
    /// All bytes were sent, and this is their digest.
    Commit(Digest),
}

/// One lease of one unfinished upload, with the digest of its bytes so far.
pub(crate) struct Writer {
    pub(crate) inner: Arc<Inner>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) lease: u64,
    pub(crate) request: UploadRequest,
    /// The digest that proves the transfer, over the bytes so far.
    pub(crate) hasher: Hasher,
    /// A checksum of the same bytes beside MD5, which is the digest that is remembered: ties it to what is on the disk, against faults and against nobody.
    pub(crate) checksum: Option<XxHash3_64>,
    /// Whether a file was there that the client means to replace.
    pub(crate) replaces: bool,
}

/// Tells the books that a thread has ended, however it does.
struct Running<'w>(&'w Inner, &'w Slot, u64);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.end_writer(&self.1.id, self.2);
    }
}

impl Writer {
    /// Reads what is held: gives the point to go on from and restores the digest, in one pass. The bytes on the disk are what the
    /// client is to compare with its own; the slow digest goes on from where it was.
    pub(crate) fn resume(&mut self) -> Result<Start> {
        let held = self.slot.held();
        if held == 0 {
            return Ok(Start::BEGINNING);
        }
        let (file, midstate) = {
            let mut lane = lock(&self.slot.lane);
            self.check_lease(&lane)?;
            let midstate = lane.midstate.clone();
            (self.inner.staging.file(&self.slot, &mut lane), midstate)
        };
        let midstate = midstate.filter(|midstate| midstate.hasher.len_bytes() <= held);
        let read = file.map_err(Into::into).and_then(|file| {
            // A sign of life, also for after a restart.
            let now = timespec(now());
            let times = Timestamps {
                last_access: now,
                last_modification: now,
            };
            futimens(&file, &times)?;
            self.reread(&file, held, midstate)
        });
        let prefix = read.map_err(|error| self.io_failed(error))?;
        Ok(Start {
            code: ferry_core::store::CODE_RESUME,
            offset: held,
            prefix: Some(prefix),
        })
    }

    /// Gives the BLAKE3 digest of what is held, and brings the digests to where they were.
    fn reread(&mut self, file: &File, held: u64, midstate: Option<Midstate>) -> std::io::Result<Digest> {
        let hasher = &mut self.hasher;
        let Some(checksum) = &mut self.checksum else {
            read_range(file, 0..held, |bytes| hasher.update(bytes))?;
            return Ok(hasher.finish());
        };
        let mut prefix = Algorithm::Blake3.hasher();
        let known = midstate.as_ref().map_or(0, |midstate| midstate.hasher.len_bytes());
        read_range(file, 0..known, |bytes| {
            prefix.update(bytes);
            checksum.write(bytes);
        })?;
        match midstate {
            Some(midstate) if midstate.checksum == checksum.finish() => *hasher = midstate.hasher,
            _ => read_range(file, 0..known, |bytes| hasher.update(bytes))?,
        }
        read_range(file, known..held, |bytes| {
            prefix.update(bytes);
            checksum.write(bytes);
            hasher.update(bytes);
        })?;
        Ok(prefix.finish())
    }

    /// Writes what comes until the commit, or until the upload is dropped.
    pub(crate) fn run(mut self, feed: &Receiver<Feed>) -> Result<Option<FileInfo>> {
        let (inner, slot) = (self.inner.clone(), self.slot.clone());
        let _running = Running(&inner, &slot, self.lease);
        self.describe()?;
        loop {
            match feed.recv_blocking() {
                Ok(Feed::Bytes(chunk)) => {
                    if let Err(error) = self.append(&chunk) {
                        self.leave();
                        return Err(error);
                    }
                }
                Ok(Feed::Commit(digest)) => return self.commit(digest).map(Some),
                Err(_) => {
                    self.leave();
                    return Ok(None);
                }
            }
        }
    }

    /// Describes an upload that is not small from the start, so that it outlives a crash.
    pub(crate) fn describe(&self) -> Result<()> {
        let mut lane = lock(&self.slot.lane);
        self.check_lease(&lane)?;
        if self.slot.is_described() {
            return Ok(());
        }
        self.record(&mut lane, false).map_err(|error| self.io_failed(error))
    }

    fn record(&self, lane: &mut Lane, flush: bool) -> std::io::Result<()> {
        let meta = (&self.request.path, self.request.size, self.request.expected);
        self.inner.staging.record(&self.slot, lane, meta, flush)
    }

    /// What is due after the bytes from `before` to `after` were written. None of it is a promise: when it fails there is more to
    /// do at the end, or after a restart.
    fn write_behind(&self, lane: &mut Lane, before: u64, after: u64) {
        if self.inner.durability == Durability::Relaxed {
            return;
        }
        let is_due = |every: u64| before / every < after / every;
        if is_due(WRITE_BEHIND_BYTES)
            && let Some(file) = &lane.file
        {
            // For dirty pages, this advice means to begin writing them. It neither waits nor takes a failure away from the flush.
            let start = after.saturating_sub(WRITE_BEHIND_BYTES);
            let _ = fadvise(file, start, NonZero::new(WRITE_BEHIND_BYTES), Advice::DontNeed);
        }
        if is_due(RECORD_EVERY_BYTES) {
            let _ = self.record(lane, true);
        }
    }

    /// Leaves the digest of the bytes so far to whoever goes on.
    fn remember(&self, lane: &mut Lane) {
        if let Some(checksum) = &self.checksum {
            let (hasher, checksum) = (self.hasher.clone(), checksum.finish());
            lane.midstate = Some(Midstate { hasher, checksum });
        }
    }

    /// Writes bytes behind those that are held.
    pub(crate) fn append(&mut self, chunk: &Chunk) -> Result<()> {
        let mut lane = lock(&self.slot.lane);
        self.check_lease(&lane)?;
        let written = self.inner.staging.append(&self.slot, &mut lane, chunk);
        written.map_err(|error| self.io_failed(error))?;
        self.remember(&mut lane);
        self.write_behind(&mut lane, self.hasher.len_bytes(), self.slot.held());
        drop(lane);
        self.slot.touched.store(now(), Ordering::Release);
        self.inner.tell(&lock(&self.inner.books));
        self.hasher.update(chunk);
        if let Some(checksum) = &mut self.checksum {
            checksum.write(chunk);
        }
        Ok(())
    }

    /// Proves, makes durable and publishes the file.
    pub(crate) fn commit(self, digest: Digest) -> Result<FileInfo> {
        let path = &self.request.path;
        let slot = self.slot.clone();
        let mut lane = lock(&slot.lane);
        self.check_lease(&lane)?;
        let held = self.slot.held();
        if let Some(size) = self.request.size.filter(|size| *size != held) {
            self.keep(&mut lane);
            let text = format!("{path}: {held} of {size} bytes are here");
            return Err(Error::new(ErrorKind::OffsetMismatch, text)
                .at(path)
                .hint("run it again to go on"));
        }
        let ours = self.hasher.finish();
        if ours != digest {
            self.throw_away(&mut lane);
            let text = format!("{path}: the bytes that arrived have {ours}, announced was {digest}");
            return Err(Error::new(ErrorKind::DigestMismatch, text).at(path).hint("try again"));
        }
        if let Err(error) = self.make_durable(&mut lane, held, &ours) {
            // What a failed flush left in memory cannot be trusted, and asking again would find no error.
            self.throw_away(&mut lane);
            return Err(error);
        }
        let (place, stat) = self.publish(&mut lane, held).inspect_err(|_| self.keep(&mut lane))?;
        self.inner.staging.forget(&slot, &mut lane);
        self.inner.sync_folder(path, &place)?;
        Ok(FileInfo {
            path: path.into(),
            size: held,
            modified: modified(&stat),
            executable: executable(&stat),
            digest: Some(ours),
            version: version(&stat),
        })
    }

    /// Gives the file its length, mode, time and proof, and flushes it.
    fn make_durable(&self, lane: &mut Lane, held: u64, digest: &Digest) -> Result<()> {
        let mut make = || -> std::io::Result<()> {
            let file = self.inner.staging.file(&self.slot, lane)?;
            if counted(&fstat(&file)?) != held {
                // A write that failed half way left more.
                file.set_len(held)?;
            }
            let read_write = Mode::RUSR | Mode::WUSR;
            fchmod(&file, if self.request.executable { Mode::RWXU } else { read_write })?;
            if let Some(modified) = self.request.modified {
                let last_access = Timespec {
                    tv_sec: 0,
                    tv_nsec: UTIME_OMIT,
                };
                let last_modification = timespec(modified);
                futimens(
                    &file,
                    &Timestamps {
                        last_access,
                        last_modification,
                    },
                )?;
            }
            proof::keep(&file, digest);
            match self.inner.durability {
                Durability::Strict => file.sync_all(),
                Durability::Relaxed => Ok(()),
            }
        };
        make().map_err(|error| self.io_failed(error))
    }

    /// Renames the file into its place and enters it into the books.
    fn publish(&self, lane: &mut Lane, held: u64) -> Result<(Place, Stat)> {
        let (inner, path) = (&self.inner, &self.request.path);
        let place = inner.jail.new_place(path)?;
        let file = inner.staging.file(&self.slot, lane).map_err(|errno| failed(path, errno))?;
        let mut ledger = lock(&inner.ledger);
        let there = place.stat().map_err(|errno| failed(path, errno))?;
        let mut flags = RenameFlags::NOREPLACE;
        if let Some(stat) = &there {
            check_regular(path, stat)?;
            if self.request.no_clobber {
                return Err(Error::exists(format!("{path}: already there")).at(path));
            }
            if !self.replaces {
                let text = format!("{path}: came to be there while this was under way");
                return Err(Error::exists(text).at(path).hint("run it again to replace it"));
            }
            flags = RenameFlags::empty();
        }
        ledger.before_change()?;
        inner.note_change(path, &place)?;
        let Some(tracked) = lock(&inner.books).take(&self.slot.id, self.lease) else {
            return Err(lease_lost(path));
        };
        let renamed = inner.staging.publish(&self.slot.id, &place, flags);
        let mut books = lock(&inner.books);
        if let Err(errno) = renamed {
            books.put_back(tracked);
            return Err(failed(path, errno));
        }
        books.usage.commit(tracked.reserved, held, there.as_ref().map_or(0, counted));
        drop(books);
        drop(ledger);
        (lane.is_gone, lane.file) = (true, None);
        // The rename itself is part of the version, so it is asked for afterwards.
        let stat = fstat(&file).map_err(|errno| failed(path, errno))?;
        Ok((place, stat))
    }

    /// Whether this lease is still the one.
    fn check_lease(&self, lane: &Lane) -> Result<()> {
        if lane.is_gone || lane.lease != self.lease {
            return Err(lease_lost(&self.request.path));
        }
        Ok(())
    }

    /// Ends the work so that the upload can be taken up again.
    fn leave(&self) {
        let mut lane = lock(&self.slot.lane);
        if self.check_lease(&lane).is_ok() {
            self.remember(&mut lane);
            self.keep(&mut lane);
            lane.file = None;
        }
    }

    fn keep(&self, lane: &mut Lane) {
        if !lane.is_gone {
            let meta = (&self.request.path, self.request.size, self.request.expected);
            self.inner.keep(&self.slot, lane, meta);
        }
    }

    /// Throws the bytes away and gives back what was reserved.
    fn throw_away(&self, lane: &mut Lane) {
        let mut books = lock(&self.inner.books);
        if books.owned(&self.slot.id, self.lease).is_some() {
            books.remove(&self.slot.id);
        }
        drop(books);
        self.inner.staging.discard(&self.slot, lane);
    }

    fn io_failed(&self, error: std::io::Error) -> Error {
        Error::from_io(&self.request.path, error).at(&self.request.path)
    }
}
