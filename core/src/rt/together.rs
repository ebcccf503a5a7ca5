//! Many short waits at once: of blocking work that waits for a device, not for the processor.

use std::iter::Enumerate;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{thread, vec};

use async_channel::Sender;

use super::Call;

/// The most threads that help, in the whole process: they are of the pool that all blocking work shares.
const HELPERS_MAX: usize = 16;
/// The most of them that help one.
const HELPERS_EACH: usize = 7;
/// For how many items a further thread is asked for.
const ITEMS_A_HELPER: usize = 4;

static HELPING: AtomicUsize = AtomicUsize::new(0);

/// The right to a thread that helps.
struct Helper(());

impl Helper {
    fn take() -> Option<Self> {
        let more = |helping| (helping < HELPERS_MAX).then(|| helping + 1);
        let taken = HELPING.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        // Made only now: a right that was never had must not be given back.
        taken.is_ok().then(|| Self(()))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        HELPING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Has a call made on another thread, unless too many help already.
fn ask(call: Call) {
    if let Some(helper) = Helper::take() {
        let help = move || {
            call();
            drop(helper);
        };
        blocking::unblock(help).detach();
    }
}

/// Items, and who waits for what comes of them.
struct Round<T, R, W> {
    /// Those that nobody has taken yet.
    items: Mutex<Enumerate<vec::IntoIter<T>>>,
    work: W,
    done: Sender<(usize, thread::Result<R>)>,
}

impl<T, R, W: Fn(T) -> R> Round<T, R, W> {
    fn take(&self) -> Option<(usize, T)> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    fn run(&self) {
        while let Some((at, item)) = self.take() {
            let result = catch_unwind(AssertUnwindSafe(|| (self.work)(item)));
            // Whoever waits is gone when another item has panicked.
            let _ = self.done.try_send((at, result));
        }
    }
}

/// Does `work` once with each item, here and on a few other threads; gives what came of each, in their order. Blocking, and for
/// work that waits, as the flush of a file does. It never waits for a thread to be free, only for what one has taken: where all
/// are busy, everything is done here. A panic in it goes on here.
///
/// ```
/// let doubled = ferry_core::rt::together(vec![1, 2, 3], |number| 2 * number);
/// assert_eq!(doubled, [2, 4, 6]);
/// ```
pub fn together<T: Send + 'static, R: Send + 'static>(items: Vec<T>, work: impl Fn(T) -> R + Send + Sync + 'static) -> Vec<R> {
    together_by(ask, items, work)
}

fn together_by<T: Send + 'static, R: Send + 'static>(
    ask: impl Fn(Call),
    items: Vec<T>,
    work: impl Fn(T) -> R + Send + Sync + 'static,
) -> Vec<R> {
    let count = items.len();
    let (done, each_done) = async_channel::bounded(count.max(1));
    let round = Arc::new(Round {
        items: Mutex::new(items.into_iter().enumerate()),
        work,
        done,
    });
    for _ in 0..(count / ITEMS_A_HELPER).min(HELPERS_EACH) {
        // Who comes too late finds nothing, and has kept nothing.
        let round = Arc::downgrade(&round);
        ask(Box::new(move || {
            if let Some(round) = round.upgrade() {
                round.run();
            }
        }));
    }
    round.run();
    let mut results = Vec::with_capacity(count);
    while results.len() < count
        && let Ok((at, result)) = each_done.recv_blocking()
    {
        results.push((at, result.unwrap_or_else(|panic| resume_unwind(panic))));
    }
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_item_is_done_once_and_at_the_same_time_as_others() {
        static AT_ONCE: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        static DONE: AtomicUsize = AtomicUsize::new(0);
        let results = together((0..64).collect(), |number| {
            MOST.fetch_max(AT_ONCE.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
            thread::sleep(Duration::from_millis(5));
            AT_ONCE.fetch_sub(1, Ordering::AcqRel);
            DONE.fetch_add(1, Ordering::AcqRel);
            number + 1
        });
        assert_eq!(results, (1..=64).collect::<Vec<_>>());
        assert_eq!(DONE.load(Ordering::Acquire), 64);
        assert!((2..=HELPERS_EACH + 1).contains(&MOST.load(Ordering::Acquire)), "{MOST:?}");
        assert!(together(Vec::new(), |()| ()).is_empty());
    }

    #[test]
    fn nobody_waits_for_help_and_help_that_comes_late_keeps_nothing() {
        let late = Mutex::new(Vec::new());
        let kept = Arc::new(());
        let results = together_by(|call| late.lock().unwrap().push(call), vec![kept.clone(); 40], drop);
        assert_eq!((results.len(), Arc::strong_count(&kept)), (40, 1));
        let late = late.into_inner().unwrap();
        assert_eq!(late.len(), HELPERS_EACH);
        late.into_iter().for_each(|call| call());
    }

    #[test]
    fn there_are_as_many_helpers_as_said_and_none_is_lost() {
        for _ in 0..3 {
            together((0..400).collect(), |_: u32| thread::sleep(Duration::from_micros(50)));
        }
        while HELPING.load(Ordering::Acquire) > 0 {
            thread::yield_now();
        }
        let all: Vec<Helper> = std::iter::from_fn(Helper::take).take(2 * HELPERS_MAX).collect();
        assert!(all.len() <= HELPERS_MAX && Helper::take().is_none());
    }

    #[test]
    fn a_panic_goes_on_where_it_was_asked_for() {
        let work = |number: u32| assert!(number != 7, "on purpose");
        assert!(thread::spawn(move || together((0..40).collect(), work)).join().is_err());
        assert_eq!(together((0..40).collect(), |number: u32| number).len(), 40);
    }
}
