//! The only module that knows which runtime runs us (async-std). Elsewhere, only the accepting and the connecting
//! side name its sockets. Everything else speaks `futures` traits.

mod batches;
mod together;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_lite::FutureExt as _;

pub use batches::{Batches, Call};
pub use together::together;

/// A task that runs beside its starter. Dropping it lets it run on; [`Task::cancel`] stops it.
///
/// ```
/// use ferry_core::rt;
///
/// let sum = rt::block_on(async {
///     let beside = rt::spawn(async { 1 + 2 });
///     4 + beside.await
/// });
/// assert_eq!(sum, 7);
/// ```
#[derive(Debug)]
pub struct Task<T>(async_std::task::JoinHandle<T>);

impl<T> Task<T> {
    /// Stops the task at its next point of waiting; gives its result if it had ended already.
    ///
    /// ```
    /// use ferry_core::rt;
    ///
    /// let never = rt::spawn(std::future::pending::<()>());
    /// assert_eq!(rt::block_on(never.cancel()), None);
    /// ```
    pub async fn cancel(self) -> Option<T> {
        self.0.cancel().await
    }
}

impl<T> Future for Task<T> {
    type Output = T;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// Starts a task.
///
/// ```
/// use ferry_core::rt;
///
/// let task = rt::spawn(async { "done beside" });
/// assert_eq!(rt::block_on(task), "done beside");
/// ```
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Task<T> {
    Task(async_std::task::spawn(future))
}

/// Runs a future to its end on this thread. Never call it inside a task: all the executor's threads could end up waiting.
///
/// ```
/// assert_eq!(ferry_core::rt::block_on(async { 3 }), 3);
/// ```
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    async_std::task::block_on(future)
}

/// Waits.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let begun = Instant::now();
/// ferry_core::rt::block_on(ferry_core::rt::sleep(Duration::from_millis(2)));
/// assert!(begun.elapsed() >= Duration::from_millis(2));
/// ```
pub async fn sleep(duration: Duration) {
    async_std::task::sleep(duration).await;
}

/// Runs blocking work on a thread of its own pool. The one way from async code to blocking calls.
///
/// ```
/// # use ferry_core::{store::*, *};
/// # use ferry_testkit::Harness;
/// # args! {
/// #     /// Does it.
/// #     pub struct Mine {
/// #         /// How far to look.
/// #         limit: u32,
/// #     }
/// # }
/// # impl Verb for Mine {
/// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Public);
/// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
///     let limit = self.limit;
///     let primes = rt::unblock(move || {
///         // A second of work without an `.await` would keep a thread that others need.
///         (2..limit).filter(|n| (2..*n).all(|d| n % d != 0)).count()
///     })
///     .await;
///     Ok(Reply::text(format!("{primes} primes")))
/// }
/// # }
/// assert_eq!(Harness::of::<Mine>().ok("mine 10").text.as_deref(), Some("4 primes"));
/// ```
pub async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    blocking::unblock(work).await
}

/// The deadline of [`timeout`] passed.
///
/// ```
/// use std::time::Duration;
///
/// use ferry_core::rt::{Elapsed, block_on, timeout};
/// use ferry_core::{Error, ErrorKind};
///
/// let waited = block_on(timeout(Duration::from_millis(2), std::future::pending::<()>()));
/// let answer = waited.map_err(|Elapsed| Error::new(ErrorKind::Timeout, "the oracle is silent"));
/// assert_eq!(answer.unwrap_err().kind, ErrorKind::Timeout);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

/// Runs `future` for at most `duration`, then drops it.
///
/// ```
/// use std::time::Duration;
///
/// use ferry_core::rt;
///
/// let quick = rt::timeout(Duration::from_secs(60), async { 3 });
/// assert_eq!(rt::block_on(quick), Ok(3));
/// ```
///
/// # Errors
/// [`Elapsed`] when the time is over first.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    let work = async { Ok(future.await) };
    let deadline = async {
        sleep(duration).await;
        Err(Elapsed)
    };
    work.or(deadline).await
}

/// The time limit of one wait after another, for those who wait thousands of times a second. [`timeout`] sets a timer for each wait that
/// does not end at once, and that wakes the thread that keeps the timers; this one keeps a timer that rings early enough, and sets it
/// again only when it has rung.
///
/// ```
/// use std::time::Duration;
///
/// use ferry_core::rt::{Elapsed, Patience, block_on};
///
/// let mut patience = Patience::default();
/// let long = Duration::from_secs(60);
/// assert_eq!(block_on(patience.limit(long, async { 3 })), Ok(3));
/// let waited = block_on(patience.limit(Duration::from_millis(2), std::future::pending::<()>()));
/// assert_eq!(waited, Err(Elapsed));
/// ```
#[derive(Default)]
pub struct Patience {
    /// When the timer rings, and the timer.
    alarm: Option<(Instant, Pin<Box<Alarm>>)>,
}

type Alarm = dyn Future<Output = ()> + Send + Sync;

impl Patience {
    /// Runs `future` for at most `duration`, then drops it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferry_core::rt::{Patience, block_on};
    ///
    /// let mut patience = Patience::default();
    /// let sums = [1, 2, 3].map(|n| block_on(patience.limit(Duration::from_secs(60), async { n + n })));
    /// assert_eq!(sums, [Ok(2), Ok(4), Ok(6)]);
    /// ```
    ///
    /// # Errors
    /// [`Elapsed`] when the time is over first.
    pub async fn limit<T>(&mut self, duration: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut future = pin!(future);
        let mut deadline = None;
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            // A time that no clock reaches is no limit.
            let Some(deadline) = *deadline.get_or_insert_with(|| Instant::now().checked_add(duration)) else {
                return Poll::Pending;
            };
            loop {
                match &mut self.alarm {
                    Some((rings, alarm)) if *rings <= deadline => {
                        if alarm.as_mut().poll(cx).is_pending() {
                            return Poll::Pending;
                        }
                        self.alarm = None;
                    }
                    _ => {
                        let left = deadline.saturating_duration_since(Instant::now());
                        if left.is_zero() {
                            return Poll::Ready(Err(Elapsed));
                        }
                        self.alarm = Some((deadline, Box::pin(sleep(left))));
                    }
                }
            }
        })
        .await
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patience({:?})", self.alarm.as_ref().map(|(rings, _)| rings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_ends_a_wait_and_leaves_quick_work_alone() {
        block_on(async {
            assert_eq!(
                timeout(Duration::from_millis(5), futures_lite::future::pending::<()>()).await,
                Err(Elapsed)
            );
            assert_eq!(timeout(Duration::from_secs(60), unblock(|| 7)).await, Ok(7));
        });
    }

    #[test]
    fn a_timer_that_was_set_for_another_wait_neither_ends_a_longer_one_nor_delays_a_shorter_one() {
        block_on(async {
            let (short, long) = (Duration::from_millis(5), Duration::from_secs(60));
            let mut patience = Patience::default();
            let never = || futures_lite::future::pending::<()>();
            // Sets the timer to `short` and leaves it: the wait itself ends at once.
            let soon = async { futures_lite::future::yield_now().await };
            assert_eq!(patience.limit(short, soon).await, Ok(()));
            assert!(patience.alarm.is_some());
            let later = async { sleep(short * 4).await };
            assert_eq!(patience.limit(long, later).await, Ok(()));
            // Now it is set to `long`.
            let begun = Instant::now();
            assert_eq!(patience.limit(short, never()).await, Err(Elapsed));
            assert!(begun.elapsed() >= short && begun.elapsed() < long);
            assert_eq!(patience.limit(Duration::ZERO, never()).await, Err(Elapsed));
            assert_eq!(patience.limit(Duration::MAX, async { sleep(short).await }).await, Ok(()));
        });
    }

    #[test]
    fn a_cancelled_task_stops() {
        block_on(async {
            let task = spawn(futures_lite::future::pending::<()>());
            assert_eq!(task.cancel().await, None);
        });
    }
}
