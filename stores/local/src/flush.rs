//! Flushes of folders, shared: of all who want the same folder flushed at the same time, one asks the kernel.
//!
//! A flush covers what was done before it started, so whoever comes while one is running waits for the next one, together with
//! all others who came. Each of them gets the result of the very flush that covered him, and a failed one is not asked again.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::{fstat, fsync};
use rustix::io::Errno;

use crate::lock;

/// The most folders of which it is remembered that they are flushed; beyond it all are forgotten, and flushed once more.
const CLEAN_MAX: usize = 64 * 1024;

/// The folders of one home that are being flushed, and those that need no flush.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    /// Those that somebody waits for.
    queues: Mutex<HashMap<Key, Arc<Queue>>>,
    /// Those of which something is known.
    seen: Mutex<HashMap<Key, Seen>>,
    /// The number of the last change.
    changes: AtomicU64,
}

/// Device and inode.
type Key = (u64, u64);

/// Changes of a folder, which are numbered over all folders: the last one, and the last one that a flush has covered.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    made: u64,
    flushed: Option<u64>,
}

/// One folder.
#[derive(Debug, Default)]
struct Queue {
    /// Held while the kernel flushes.
    running: Mutex<()>,
    /// The flush that has not started yet, when somebody wants one.
    next: Mutex<Option<Arc<Batch>>>,
}

/// A flush, and how it ended.
type Batch = OnceLock<Flushed>;
type Flushed = Result<(), Errno>;

impl Flushes {
    /// Takes note, before it is made, of a change that somebody might be told of as done before his flush has ended.
    pub(crate) fn change(&self, folder: impl AsFd) -> Result<(), Errno> {
        let key = key(folder)?;
        let mut seen = lock(&self.seen);
        if seen.len() >= CLEAN_MAX {
            seen.clear();
        }
        seen.entry(key).or_default().made = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(())
    }

    /// Flushes a folder unless nothing has changed in it since a flush that ended well. The first time after a start it is
    /// flushed in any case: nobody knows what an earlier server left.
    pub(crate) fn settle(&self, folder: impl AsFd) -> Result<(), Errno> {
        let known = lock(&self.seen).get(&key(&folder)?).copied();
        match known {
            Some(Seen { made, flushed }) if flushed == Some(made) => Ok(()),
            _ => self.folder(folder),
        }
    }

    /// Flushes a folder: all changes made in it before this call are durable when it ends well.
    pub(crate) fn folder(&self, folder: impl AsFd) -> Result<(), Errno> {
        // The number is nobody else's for as long as the folder is open here.
        let key = key(&folder)?;
        let queue = lock(&self.queues).entry(key).or_default().clone();
        let result = queue.flush(|| {
            let made = lock(&self.seen).get(&key).map_or(0, |seen| seen.made);
            fsync(&folder)?;
            let mut seen = lock(&self.seen);
            // When all was forgotten meanwhile, nothing is known of it.
            if seen.len() < CLEAN_MAX || seen.contains_key(&key) {
                seen.entry(key).or_default().flushed = Some(made);
            }
            Ok(())
        });
        let mut queues = lock(&self.queues);
        drop(queue);
        if queues.get(&key).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&key);
        }
        result
    }
}

fn key(folder: impl AsFd) -> Result<Key, Errno> {
    fstat(folder).map(|stat| (stat.st_dev, stat.st_ino))
}

impl Queue {
    fn flush(&self, flush: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        let mut next = lock(&self.next);
        if let Some(batch) = next.clone() {
            drop(next);
            return *batch.wait();
        }
        let batch = Arc::new(Batch::new());
        *next = Some(batch.clone());
        drop(next);
        let _running = lock(&self.running);
        // From here on nobody joins: what he did may come too late for this flush.
        lock(&self.next).take();
        *batch.get_or_init(flush)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Starts a flush that says when it has started, and ends when it is told how.
    fn hold(queue: &Arc<Queue>) -> (mpsc::Sender<Flushed>, thread::JoinHandle<Flushed>) {
        let (started, has_started) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let queue = queue.clone();
        let thread = thread::spawn(move || {
            queue.flush(|| {
                started.send(()).unwrap();
                ended.recv().unwrap()
            })
        });
        has_started.recv().unwrap();
        (end, thread)
    }

    /// Starts some who want a flush, and waits until all of them are in one batch.
    fn join(queue: &Arc<Queue>, count: usize, result: Flushed) -> (Arc<AtomicUsize>, Vec<thread::JoinHandle<Flushed>>) {
        let flushes = Arc::new(AtomicUsize::new(0));
        let threads = (0..count)
            .map(|_| {
                let (queue, flushes) = (queue.clone(), flushes.clone());
                thread::spawn(move || {
                    queue.flush(|| {
                        flushes.fetch_add(1, Ordering::AcqRel);
                        result
                    })
                })
            })
            .collect();
        // The queue has the batch, and each of them has it too.
        while lock(&queue.next).as_ref().map_or(0, Arc::strong_count) != count + 1 {
            thread::yield_now();
        }
        (flushes, threads)
    }

    #[test]
    fn those_who_come_during_a_flush_share_the_next_one() {
        let queue = Arc::new(Queue::default());
        let (end, first) = hold(&queue);
        let (flushes, threads) = join(&queue, 20, Ok(()));
        assert_eq!(
            flushes.load(Ordering::Acquire),
            0,
            "a flush under way covers nobody who came later"
        );
        end.send(Ok(())).unwrap();
        assert_eq!(first.join().unwrap(), Ok(()));
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == Ok(())));
        assert_eq!(flushes.load(Ordering::Acquire), 1);
    }

    #[test]
    fn a_failed_flush_fails_for_all_it_was_for_and_for_nobody_else() {
        let queue = Arc::new(Queue::default());
        let (end, first) = hold(&queue);
        let (flushes, threads) = join(&queue, 5, Err(Errno::IO));
        end.send(Ok(())).unwrap();
        assert_eq!(first.join().unwrap(), Ok(()));
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == Err(Errno::IO)));
        assert_eq!(flushes.load(Ordering::Acquire), 1);
        assert_eq!(queue.flush(|| Ok(())), Ok(()));
    }

    #[test]
    fn a_folder_is_settled_once_a_flush_has_covered_its_last_change() {
        let (flushes, folder) = (Flushes::default(), tempfile::tempdir().unwrap());
        let file = std::fs::File::open(folder.path()).unwrap();
        let is_clean = || {
            let seen = lock(&flushes.seen).get(&key(&file).unwrap()).copied();
            seen.is_some_and(|seen| seen.flushed == Some(seen.made))
        };
        assert!(!is_clean(), "what an earlier server left is not known");
        flushes.settle(&file).unwrap();
        assert!(is_clean());
        flushes.change(&file).unwrap();
        assert!(!is_clean());
        flushes.settle(&file).unwrap();
        assert!(is_clean());
    }

    #[test]
    fn folders_that_nobody_flushes_are_forgotten() {
        let (flushes, folder) = (Flushes::default(), tempfile::tempdir().unwrap());
        flushes.folder(std::fs::File::open(folder.path()).unwrap()).unwrap();
        assert!(lock(&flushes.queues).is_empty());
    }
}
