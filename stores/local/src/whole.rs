//! Small files of which all contents are here: written, flushed and published together, as many as wait. Blocking, on one
//! thread for each home, or two.
//!
//! For each of them the order is that of every commit: length, digest, flush of the file, rename, ledger, flush of the folder,
//! and only then the answer. For all of them together: the files of a batch are written first, and the kernel is asked to begin
//! writing each of them to the disk; so the first flush finds all of them in one transaction of the file system's journal, and
//! several threads flush the others, which then wait for the device together. A folder is flushed once for all that were renamed
//! into it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_channel::Sender;
use async_lock::{Semaphore, SemaphoreGuardArc};
use ferry_core::rt::{self, Batches};
use ferry_core::store::{FileInfo, Stored, WholeUpload};
use ferry_core::{Error, ErrorKind, HomePath, Result};
use rustix::fs::{Advice, RenameFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fadvise, fstat, fsync, futimens};
use rustix::io::Errno;

use crate::home::Inner;
use crate::jail::{Place, check_regular, counted, entry, executable, failed, modified, timespec, version};
use crate::{Durability, lock, now};

/// The most files of one batch. With the 64 requests that one connection may have in flight, one half is flushed while the other
/// one is being written.
const BATCH_FILES: usize = 32;
/// The most files of one home that wait or are being stored, of at most a chunk each. The bytes of a request that was given up leave with
/// it only as long as they do not wait here.
const JOBS_MAX: usize = 2 * BATCH_FILES;
/// The most threads that store small files in one home.
const BATCH_THREADS: usize = 2;

/// A file to be stored, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    inner: Arc<Inner>,
    whole: WholeUpload,
    answer: Sender<Result<Stored>>,
    _turn: SemaphoreGuardArc,
}

impl Job {
    /// Whether nobody waits for it any more: then it must not become a file.
    fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }
}

/// Where jobs wait.
pub(crate) type Jobs = Batches<Job>;

/// A place for the jobs of one home.
pub(crate) fn jobs() -> Arc<Jobs> {
    Batches::new(BATCH_FILES, BATCH_THREADS, store_all)
}

/// How many may wait in one home.
pub(crate) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(JOBS_MAX))
}

/// Stores a file together with others that come at the same time; see [`Home::store`](ferry_core::store::Home::store).
pub(crate) async fn store(inner: &Arc<Inner>, whole: WholeUpload) -> Result<Stored> {
    let (answer, answered) = async_channel::bounded(1);
    let path = whole.request.path.clone();
    inner.jobs.push(Job {
        inner: inner.clone(),
        whole,
        answer,
        _turn: inner.room.acquire_arc().await,
    });
    let broken = || Error::internal(format!("{path}: storing it was broken off")).at(&path);
    answered.recv().await.unwrap_or_else(|_| Err(broken()))
}

/// How far a file is.
enum Step {
    /// There is nothing to do any more.
    Ended(Result<Stored>),
    /// Its bytes are in staging.
    Staged(Staged),
    /// It has its name.
    Published(FileInfo, Arc<OwnedFd>),
}

/// A file in staging. Dropped, it gives back what it reserved and leaves nothing.
struct Staged {
    inner: Arc<Inner>,
    file: File,
    name: String,
    place: Place,
    reserved: u64,
    /// Whether something was at its place.
    replaces: bool,
    is_published: bool,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_published {
            lock(&self.inner.books).usage.release(self.reserved);
            // What cannot be removed now describes nothing, and is removed when the home is next opened.
            let _ = self.inner.staging.unlink(&self.name);
        }
    }
}

fn store_all(jobs: Vec<Job>) {
    let Some(inner) = jobs.first().map(|job| job.inner.clone()) else {
        return;
    };
    let expired = lock(&inner.books).remove_expired(now());
    inner.discard(expired);
    let mut folders = Folders::default();
    let given_up = || Step::Ended(Err(Error::new(ErrorKind::Cancelled, "cancelled")));
    let stage = |job: &Job| match job.is_given_up() {
        true => given_up(),
        false => stage(&inner, &mut folders, &job.whole).unwrap_or_else(|error| Step::Ended(Err(error))),
    };
    let mut steps: Vec<Step> = jobs.iter().map(stage).collect();
    let strict = inner.durability == Durability::Strict;
    if strict {
        steps = flush(&jobs, steps);
    }
    for (job, step) in jobs.iter().zip(&mut steps) {
        if job.is_given_up() && matches!(step, Step::Staged(_)) {
            *step = given_up();
        }
        if let Step::Staged(staged) = step {
            *step = match publish(&inner, staged, &job.whole) {
                Ok(file) => Step::Published(file, staged.place.folder.clone()),
                Err(error) => Step::Ended(Err(error)),
            };
        }
    }
    let mut flushed: Vec<(Arc<OwnedFd>, Result<(), Errno>)> = Vec::new();
    for (job, step) in jobs.into_iter().zip(steps) {
        let path = &job.whole.request.path;
        let result = match step {
            Step::Published(file, folder) if strict => {
                let known = flushed.iter().find(|(other, _)| Arc::ptr_eq(other, &folder));
                let result = known.map_or_else(|| inner.flushes.folder(&folder), |(_, result)| *result);
                flushed.push((folder, result));
                result.map(|()| Stored::File(file)).map_err(|errno| failed(path, errno))
            }
            Step::Published(file, _) => Ok(Stored::File(file)),
            Step::Ended(result) => result,
            Step::Staged(_) => Err(Error::internal(format!("{path}: was not published"))),
        };
        // Nobody may wait for it any more.
        let _ = job.answer.try_send(result);
    }
}

/// Flushes what is in staging, several files at a time.
fn flush(jobs: &[Job], steps: Vec<Step>) -> Vec<Step> {
    let flushed = rt::together(steps, |step| {
        let result = match &step {
            Step::Staged(staged) => fsync(&staged.file),
            _ => Ok(()),
        };
        (step, result)
    });
    let ended = |(job, (step, result)): (&Job, (Step, Result<(), Errno>))| match result {
        Ok(()) => step,
        // What a failed flush left in memory cannot be trusted, and asking again would find no error.
        Err(errno) => Step::Ended(Err(failed(&job.whole.request.path, errno))),
    };
    jobs.iter().zip(flushed).map(ended).collect()
}

/// The folders of one batch, each opened once. All jobs of the batch came before any of them was opened, so whoever had one moved
/// away before he sent his file is not met by its handle.
#[derive(Default)]
struct Folders(Vec<(Option<HomePath>, Arc<OwnedFd>)>);

impl Folders {
    fn place(&mut self, inner: &Inner, path: &HomePath) -> Result<Place> {
        let parent = path.parent();
        if let (Some(name), Some((_, folder))) = (path.name(), self.0.iter().rev().find(|(known, _)| *known == parent)) {
            return Ok(Place {
                folder: folder.clone(),
                name: name.to_vec(),
            });
        }
        let place = inner.jail.new_place(path)?;
        self.0.push((parent, place.folder.clone()));
        Ok(place)
    }
}

/// Checks a file, reserves room for it and writes it into staging.
fn stage(inner: &Arc<Inner>, folders: &mut Folders, whole: &WholeUpload) -> Result<Step> {
    let (path, contents) = (&whole.request.path, &whole.contents);
    let io_failed = |error: std::io::Error| Error::from_io(path, error).at(path);
    let place = folders.place(inner, path)?;
    let there = place.stat().map_err(|errno| failed(path, errno))?;
    if let Some(stat) = &there {
        check_regular(path, stat)?;
        let entry = entry(path.name().unwrap_or_default(), stat);
        if whole.spares(&entry) {
            inner.settle_folder(path, &place)?;
            return Ok(Step::Ended(Ok(Stored::Same(entry))));
        }
        refuse_to_clobber(whole)?;
    }
    let size = contents.len() as u64;
    if let Some(announced) = whole.request.size.filter(|announced| *announced != size) {
        let text = format!("{path}: {size} of {announced} bytes are here");
        return Err(Error::new(ErrorKind::OffsetMismatch, text).at(path).hint("try again"));
    }
    let ours = whole.request.algorithm.digest(contents);
    if ours != whole.digest {
        let text = format!("{path}: the bytes that arrived have {ours}, announced was {}", whole.digest);
        return Err(Error::new(ErrorKind::DigestMismatch, text).at(path).hint("try again"));
    }
    let mut books = lock(&inner.books);
    let earlier = books.remove_path(path);
    let reserved = books.usage.reserve(path, size);
    drop(books);
    inner.discard(earlier);
    reserved?;
    let (name, file) = inner.staging.create(whole.request.executable).map_err(|errno| {
        lock(&inner.books).usage.release(size);
        failed(path, errno)
    })?;
    let staged = Staged {
        inner: inner.clone(),
        file,
        name,
        place,
        reserved: size,
        replaces: there.is_some(),
        is_published: false,
    };
    staged.file.write_all_at(contents, 0).map_err(io_failed)?;
    if let Some(modified) = whole.request.modified {
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: timespec(modified),
        };
        futimens(&staged.file, &times).map_err(|errno| failed(path, errno))?;
    }
    if inner.durability == Durability::Strict {
        // For dirty pages this means to begin writing them. It neither waits nor takes a failure away from the flush.
        let _ = fadvise(&staged.file, 0, None, Advice::DontNeed);
    }
    Ok(Step::Staged(staged))
}

fn refuse_to_clobber(whole: &WholeUpload) -> Result<()> {
    let path = &whole.request.path;
    match whole.request.no_clobber {
        true => Err(Error::exists(format!("{path}: already there")).at(path)),
        false => Ok(()),
    }
}

/// Renames a file into its place and enters it into the books.
fn publish(inner: &Inner, staged: &mut Staged, whole: &WholeUpload) -> Result<FileInfo> {
    let path = &whole.request.path;
    let io_failed = |errno: Errno| failed(path, errno);
    let mut ledger = lock(&inner.ledger);
    ledger.before_change()?;
    inner.note_change(path, &staged.place)?;
    let mut replaced: Option<Stat> = None;
    let mut renamed = Err(Errno::EXIST);
    if !staged.replaces {
        renamed = inner.staging.publish(&staged.name, &staged.place, RenameFlags::NOREPLACE);
    }
    if renamed == Err(Errno::EXIST) {
        // It was there before, or came meanwhile. Changes of the tree are made one at a time, so what is counted is what goes.
        replaced = staged.place.stat().map_err(io_failed)?;
        if let Some(stat) = &replaced {
            check_regular(path, stat)?;
            refuse_to_clobber(whole)?;
        }
        renamed = inner.staging.publish(&staged.name, &staged.place, RenameFlags::empty());
    }
    renamed.map_err(io_failed)?;
    staged.is_published = true;
    let replaced = replaced.as_ref().map_or(0, counted);
    lock(&inner.books).usage.commit(staged.reserved, staged.reserved, replaced);
    drop(ledger);
    // The rename itself is part of the version, so it is asked for afterwards.
    let stat = fstat(&staged.file).map_err(io_failed)?;
    Ok(FileInfo {
        path: path.into(),
        size: staged.reserved,
        modified: modified(&stat),
        executable: executable(&stat),
        digest: Some(whole.digest),
        version: version(&stat),
    })
}

#[cfg(test)]
mod tests {
    use ferry_core::store::{Home as _, UploadRequest};
    use ferry_core::{Algorithm, Chunk};
    use futures_lite::future::poll_once;

    use super::*;
    use crate::{LocalStore, Options, open_home};

    #[test]
    fn what_was_given_up_while_it_waited_becomes_no_file_and_takes_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path(), Options::default()).unwrap();
        std::fs::create_dir(folder.path().join("homes/al")).unwrap();
        let home = open_home(&store.folders, Options::default(), "al").unwrap();
        let small = |name: &str| WholeUpload {
            request: UploadRequest::new(HomePath::parse(name).unwrap()),
            contents: Arc::new(Chunk::from(&b"abc"[..])),
            digest: Algorithm::Md5.digest(b"abc"),
            spare_same: false,
        };
        // Whoever publishes waits for this.
        let held = lock(&home.0.ledger);
        rt::block_on(async {
            let mut kept: Vec<_> = ["/kept1", "/kept2", "/kept3"].map(|name| home.store(small(name))).into();
            for one in &mut kept {
                assert!(poll_once(one).await.is_none());
            }
            // Many more than may wait: each leaves what it had behind, or never had anything.
            for _ in 0..4 * JOBS_MAX {
                assert!(poll_once(home.store(small("/given-up"))).await.is_none());
            }
            drop(held);
            for one in kept {
                assert!(matches!(one.await, Ok(Stored::File(_))));
            }
            assert!(matches!(home.store(small("/after")).await, Ok(Stored::File(_))));
        });
        assert!(!folder.path().join("homes/al/given-up").exists());
        let usage = lock(&home.0.books).usage;
        assert_eq!((usage.used, usage.reserved), (12, 0));
    }
}
