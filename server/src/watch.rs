//! The watchdog: a verb that keeps a processor to itself, in an endless loop or a blocking call, costs its own request alone.
//!
//! Such a verb cannot be stopped from outside, but it can be walked around: for each one the executor gets a thread more, and its
//! client gets an answer after a while. The thread it sits on is lost until it returns. Where it was run by whoever led its connection, another
//! leader takes over.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ferry_core::wire::message::Fail;
use ferry_core::{Error, ErrorKind, Result, rt};

use crate::requests::Request;
use crate::server::Server;

/// A verb that holds its thread for so long gets a substitute for it.
const BUSY: Duration = Duration::from_millis(200);
/// A verb that holds its thread for so long is given up: its client gets an answer.
const GIVEN_UP: Duration = Duration::from_secs(10);
/// How often the watchdog looks.
const EVERY: Duration = Duration::from_millis(50);
/// The most substitutes. More verbs gone astray at once than this, and the server is slow for all.
pub(crate) const SUBSTITUTES_MAX: usize = 64;

/// Verbs that have a processor right now, in this process.
static WORKING: AtomicUsize = AtomicUsize::new(0);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the first call, and never 0.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(START.elapsed().as_millis())
        .unwrap_or(u64::MAX)
        .saturating_add(1)
}

/// As many threads as there are processors for us. Reads files of the system: call it before the server confines itself.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Sets the executor's threads up. Call it before anything is spawned.
pub(crate) fn set_up_executor(threads: usize) {
    let config = async_global_executor::GlobalExecutorConfig::default()
        .with_min_threads(threads)
        .with_max_threads(threads + SUBSTITUTES_MAX)
        .with_thread_name_fn(|| "ferryd-worker".to_owned());
    async_global_executor::init_with_config(config);
}

/// A verb at work, with a note of when it was last given the processor. It ends early, `cancelled`, when its request is stopped.
pub(crate) struct Watched<'r, F> {
    future: F,
    request: &'r Request,
}

impl<'r, F> Watched<'r, F> {
    /// Watches the future of a request.
    pub(crate) fn new(request: &'r Request, future: F) -> Self {
        Self { future, request }
    }
}

impl<T, F: Future<Output = Result<T>> + Unpin> Future for Watched<'_, F> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        WORKING.fetch_add(1, Ordering::Relaxed);
        self.request.busy_since_ms.store(now_ms(), Ordering::Relaxed);
        let poll = Pin::new(&mut self.future).poll(cx);
        self.request.busy_since_ms.store(0, Ordering::Relaxed);
        WORKING.fetch_sub(1, Ordering::Relaxed);
        if poll.is_pending() && self.request.poll_stop(cx).is_ready() {
            return Poll::Ready(Err(Error::new(ErrorKind::Cancelled, "cancelled")));
        }
        poll
    }
}

/// Watches a server on a thread of its own, until the server is gone.
pub(crate) fn watch(server: Weak<Server>) {
    let mut substitutes = 0;
    while let Some(server) = server.upgrade() {
        let mut stuck = 0;
        let mut sessions = server.still_running();
        // Thousands of sessions in which nothing runs are not looked through.
        if WORKING.load(Ordering::Relaxed) > 0 {
            sessions.extend(server.sessions());
        }
        for session in sessions {
            for request in session.requests.all() {
                let since = request.busy_since_ms.load(Ordering::Relaxed);
                let busy = Duration::from_millis(if since == 0 { 0 } else { now_ms().saturating_sub(since) });
                if busy >= GIVEN_UP {
                    give_up(&session, &request);
                }
                stuck += usize::from(busy >= BUSY);
                if busy >= BUSY && request.is_inline.swap(false, Ordering::AcqRel) {
                    session.stand_in();
                }
            }
        }
        stuck += server.given_up();
        let wanted = stuck.min(SUBSTITUTES_MAX);
        drop(server);
        if wanted > substitutes {
            rt::block_on(async_global_executor::spawn_more_threads(wanted - substitutes)).ok();
        }
        for _ in wanted..substitutes {
            // Goes through the executor's queue, so it ends a thread that is free.
            async_global_executor::stop_thread().detach();
        }
        substitutes = wanted;
        std::thread::sleep(EVERY);
    }
}

/// Answers for a verb that does not return.
fn give_up(session: &crate::session::Session, request: &Request) {
    let error = Error::new(ErrorKind::Timeout, format!("{}: the verb does not come back", request.verb));
    if request.may_answer() {
        // A full queue means that the client takes nothing either; then it does not miss the answer.
        session.outbox.try_send(&Fail::new(request.id, &error));
        session.server.gives_up(1);
        session.requests.finish([request.id]);
        session.audit(request, &Err::<(), _>(error));
        tracing::warn!(verb = &*request.verb, "verb does not come back; its request is given up");
    }
}
