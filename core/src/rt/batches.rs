//! Small blocking jobs that come in numbers, done in batches: a thread that is at it takes all that wait, so that a job costs
//! neither a thread's waking nor its falling asleep.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Blocking work of one kind. What one job waits for, those behind it wait for too: so it is for work that is short, and for
/// jobs that belong together (of one home, of one session).
///
/// ```
/// use ferry_core::rt::{Batches, block_on};
///
/// let batches = Batches::of_calls(16, 1);
/// assert_eq!(block_on(batches.call(|| 1 + 2)), 3);
/// ```
pub struct Batches<J> {
    waiting: Mutex<Waiting<J>>,
    work: Box<dyn Fn(Vec<J>) + Send + Sync>,
    /// The most jobs of one batch.
    jobs: usize,
    /// The most threads at once.
    threads: usize,
}

struct Waiting<J> {
    jobs: VecDeque<J>,
    /// Threads that are at it.
    threads: usize,
}

impl<J> fmt::Debug for Batches<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batches({} waiting)", self.waiting().jobs.len())
    }
}

impl<J> Batches<J> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<J>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: Send + 'static> Batches<J> {
    /// Jobs that `work` does, at most `jobs` at a time, on at most `threads` threads. A further thread is taken once more than a
    /// batch waits for each of those that are at it.
    ///
    /// ```
    /// use ferry_core::rt::{Batches, block_on};
    ///
    /// let (sender, receiver) = async_channel::unbounded();
    /// let batches = Batches::new(2, 1, move |jobs: Vec<u8>| drop(sender.try_send(jobs)));
    /// batches.push(7);
    /// assert_eq!(block_on(receiver.recv()).unwrap(), [7]);
    /// ```
    pub fn new(jobs: usize, threads: usize, work: impl Fn(Vec<J>) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::new(Waiting {
                jobs: VecDeque::new(),
                threads: 0,
            }),
            work: Box::new(work),
            jobs: jobs.max(1),
            threads: threads.max(1),
        })
    }

    /// Adds a job. How many may wait is for the caller to bound.
    ///
    /// ```
    /// let (sender, receiver) = async_channel::bounded(1);
    /// let batches = ferry_core::rt::Batches::new(8, 1, move |jobs: Vec<u8>| drop(sender.try_send(jobs.len())));
    /// batches.push(7);
    /// assert_eq!(receiver.recv_blocking().unwrap(), 1);
    /// ```
    pub fn push(self: &Arc<Self>, job: J) {
        let mut waiting = self.waiting();
        waiting.jobs.push_back(job);
        if waiting.threads < self.threads && waiting.jobs.len() > waiting.threads * self.jobs {
            waiting.threads += 1;
            drop(waiting);
            let this = self.clone();
            blocking::unblock(move || this.run()).detach();
        }
    }

    /// Does what waits, batch by batch.
    fn run(&self) {
        loop {
            let batch: Vec<J> = {
                let mut waiting = self.waiting();
                let most = waiting.jobs.len().min(self.jobs);
                if most == 0 {
                    waiting.threads -= 1;
                    return;
                }
                waiting.jobs.drain(..most).collect()
            };
            // A batch that panics costs its own jobs: whoever waits for one hears of it by what it dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.work)(batch)));
        }
    }
}

/// Any blocking call, to be made with others.
///
/// ```
/// use ferry_core::rt::{Batches, Call};
///
/// let (sender, receiver) = async_channel::bounded(1);
/// let call: Call = Box::new(move || drop(sender.try_send("made")));
/// Batches::of_calls(1, 1).push(call);
/// assert_eq!(receiver.recv_blocking().unwrap(), "made");
/// ```
pub type Call = Box<dyn FnOnce() + Send>;

impl Batches<Call> {
    /// Calls of any kind, `jobs` and `threads` as for [`Self::new`].
    ///
    /// ```
    /// let batches = ferry_core::rt::Batches::of_calls(16, 1);
    /// assert_eq!(ferry_core::rt::block_on(batches.call(|| "done")), "done");
    /// ```
    pub fn of_calls(jobs: usize, threads: usize) -> Arc<Self> {
        Self::new(jobs, threads, |calls: Vec<Call>| calls.into_iter().for_each(|call| call()))
    }

    /// Makes a call; gives what it gives. A panic in it goes on here. It is made even when nobody waits for it any more.
    ///
    /// ```
    /// let batches = ferry_core::rt::Batches::of_calls(16, 1);
    /// assert_eq!(ferry_core::rt::block_on(batches.call(|| 7)), 7);
    /// ```
    pub async fn call<T: Send + 'static>(self: &Arc<Self>, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = async_channel::bounded(1);
        self.push(Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            // Nobody may wait for it any more.
            let _ = sender.try_send(result);
        }));
        match receiver.recv().await {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => resume_unwind(panic),
            // Every call sends before it ends.
            Err(_) => futures_lite::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::block_on;

    #[test]
    fn jobs_that_come_while_a_thread_is_at_it_are_one_batch() {
        let (go, wait) = async_channel::bounded::<()>(1);
        let (sender, batches_seen) = async_channel::unbounded();
        let batches = Batches::new(3, 1, move |jobs: Vec<u32>| {
            let is_first = jobs == [0];
            let _ = sender.try_send(jobs);
            if is_first {
                let _ = wait.recv_blocking();
            }
        });
        block_on(async {
            batches.push(0);
            assert_eq!(batches_seen.recv().await.unwrap(), [0]);
            (1..=4).for_each(|job| batches.push(job));
            go.send(()).await.unwrap();
            assert_eq!(batches_seen.recv().await.unwrap(), [1, 2, 3]);
            assert_eq!(batches_seen.recv().await.unwrap(), [4]);
        });
    }

    #[test]
    fn a_further_thread_is_taken_when_more_than_a_batch_waits() {
        let (sender, seen) = async_channel::unbounded();
        let (go, wait) = async_channel::bounded::<()>(2);
        let batches = Batches::new(1, 2, move |jobs: Vec<u32>| {
            let _ = sender.try_send(jobs[0]);
            let _ = wait.recv_blocking();
        });
        block_on(async {
            (0..3).for_each(|job| batches.push(job));
            let mut first = [seen.recv().await.unwrap(), seen.recv().await.unwrap()];
            first.sort_unstable();
            assert_eq!((first, seen.is_empty()), ([0, 1], true));
            drop(go);
            assert_eq!(seen.recv().await.unwrap(), 2);
        });
    }

    #[test]
    fn a_panic_costs_its_own_call_and_no_other() {
        let batches = Batches::of_calls(8, 1);
        let panicked = std::thread::spawn({
            let batches = batches.clone();
            move || block_on(batches.call(|| panic!("on purpose")))
        });
        assert!(panicked.join().is_err());
        assert_eq!(block_on(batches.call(|| 7)), 7);
    }
}
