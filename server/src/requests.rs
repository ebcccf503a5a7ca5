//! The requests in flight on one connection: where their frames go, how they are stopped, and how long they have been at it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender, TrySendError};
use ferry_core::context::Inbound;
use ferry_core::wire::WINDOW_BYTES;
use ferry_core::wire::flow::{Receiving, Sending};
use ferry_core::wire::message::{End, Fail};
use ferry_core::{Chunk, Error, ErrorKind, Result};

use crate::audit::Asked;
use crate::watch::now_ms;

/// One request in flight.
#[derive(Debug)]
pub(crate) struct Request {
    /// The client's number for it.
    pub(crate) id: u32,
    /// The verb's name, for those who ask what is going on.
    pub(crate) verb: Cow<'static, str>,
    /// What it asks for, for the audit log; set before it runs.
    pub(crate) asked: OnceLock<Asked>,
    /// How many bytes of contents have moved, in either direction.
    pub(crate) moved: AtomicU64,
    /// When it came, in [`now_ms`].
    pub(crate) since_ms: u64,
    /// When its verb was last given the processor and did not return yet, in [`now_ms`]; 0 while it waits.
    pub(crate) busy_since_ms: AtomicU64,
    /// Whether it is being run by whoever leads its connection, which is then without a leader.
    pub(crate) is_inline: AtomicBool,
    /// Whether the client has its answer: set by the first who answers.
    answered: AtomicBool,
    /// Whether it was told to stop, and who waits for that.
    stop: Mutex<(bool, Option<Waker>)>,
    /// Its contents, if it can have any.
    body: Option<Box<Body>>,
}

/// The contents of a request, in either direction.
#[derive(Debug)]
struct Body {
    /// Whether contents may come: from `Begin` on, or at once when the client is eager.
    is_open: AtomicBool,
    /// Whether contents are passed over.
    drops: bool,
    inbox: Sender<Inbound>,
    receiving: Mutex<Receiving>,
    sending: Mutex<Sending>,
    wake: Sender<()>,
}

/// When a request takes contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Never, and it gives none.
    Never,
    /// Once its verb asks for them, if it does.
    Later,
    /// From now on: they follow at once.
    Now,
    /// They follow at once, and nobody wants them: as many as a window has are passed over.
    ToDrop,
}

/// A request that was taken in, and its task's ends, if it can have contents.
type Begun = (Arc<Request>, Option<Ends>);

/// What the request's own task holds of its contents.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Contents as they come.
    pub(crate) inbox: Receiver<Inbound>,
    /// Wakes a sender that waits for a grant.
    pub(crate) wake: Receiver<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Request {
    fn new(id: u32, verb: Cow<'static, str>, takes: Takes, link: (u32, Duration)) -> (Self, Option<Ends>) {
        let (body, ends) = match takes {
            Takes::Never => (None, None),
            _ => {
                let (body, ends) = Body::new(takes, link);
                (Some(Box::new(body)), Some(ends))
            }
        };
        let request = Self {
            id,
            verb,
            asked: OnceLock::new(),
            moved: AtomicU64::new(0),
            since_ms: now_ms(),
            busy_since_ms: AtomicU64::new(0),
            is_inline: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            stop: Mutex::default(),
            body,
        };
        (request, ends)
    }

    /// Whether nobody has answered yet; whoever is told so does.
    pub(crate) fn may_answer(&self) -> bool {
        !self.answered.swap(true, Ordering::AcqRel)
    }

    fn is_unanswered(&self) -> bool {
        !self.answered.load(Ordering::Acquire)
    }

    /// Whether contents may move.
    pub(crate) fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Lets contents come.
    pub(crate) fn open(&self) {
        if let Some(body) = &self.body {
            body.is_open.store(true, Ordering::Release);
        }
    }

    /// Contents that came.
    fn data(&self, chunk: Chunk) -> Result<()> {
        match &self.body {
            _ if chunk.is_empty() => Ok(()),
            Some(body) => body.data(chunk),
            None => Err(Error::bad_request("data for a request that takes none")),
        }
    }

    /// The body is complete.
    fn end(&self, end: End) {
        if let Some(body) = &self.body {
            let _ = body.inbox.try_send(Inbound::End(end));
            body.inbox.close();
        }
    }

    /// The verb took bytes in; gives the grant to send, if it is time.
    pub(crate) fn taken(&self, bytes: usize) -> Option<u32> {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        lock(&self.body.as_ref()?.receiving).taken(bytes, Instant::now())
    }

    /// Takes leave to send up to `want` bytes; 0 when there is none now.
    pub(crate) fn claim(&self, want: usize) -> usize {
        let Some(body) = &self.body else { return 0 };
        let mut sending = lock(&body.sending);
        let bytes = want.min(usize::try_from(sending.open()).unwrap_or(usize::MAX));
        sending.sent(bytes);
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        bytes
    }

    fn granted(&self, bytes: u32) -> Result<()> {
        if let Some(body) = &self.body {
            lock(&body.sending).granted(bytes)?;
            let _ = body.wake.try_send(());
        }
        Ok(())
    }

    /// Stops the request at its next point of waiting.
    pub(crate) fn stop(&self) {
        let mut stop = lock(&self.stop);
        stop.0 = true;
        if let Some(waker) = stop.1.take() {
            waker.wake();
        }
    }

    /// Ready once the request was told to stop; one waits at a time.
    pub(crate) fn poll_stop(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut stop = lock(&self.stop);
        if stop.0 {
            return Poll::Ready(());
        }
        match &mut stop.1 {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Body {
    fn new(takes: Takes, (window, round_trip): (u32, Duration)) -> (Self, Ends) {
        // Bounded by flow control: every entry has at least one byte of the window, but for empty chunks, which are dropped, and
        // one `End`, behind which the box is closed.
        let (inbox, inbox_end) = async_channel::unbounded();
        let (wake, wake_end) = async_channel::bounded(1);
        let body = Self {
            is_open: AtomicBool::new(takes == Takes::Now),
            drops: takes == Takes::ToDrop,
            inbox,
            receiving: Mutex::new(Receiving::over(round_trip)),
            sending: Mutex::new(Sending::new(window)),
            wake,
        };
        let ends = Ends {
            inbox: inbox_end,
            wake: wake_end,
        };
        (body, ends)
    }

    fn data(&self, chunk: Chunk) -> Result<()> {
        if self.drops {
            return lock(&self.receiving).arrived(chunk.len(), Instant::now());
        }
        if !self.is_open.load(Ordering::Acquire) {
            return Err(Error::bad_request("data for a request that takes none now"));
        }
        lock(&self.receiving).arrived(chunk.len(), Instant::now())?;
        match self.inbox.try_send(Inbound::Data(chunk)) {
            Err(TrySendError::Closed(_)) if self.inbox.receiver_count() > 0 => {
                Err(Error::bad_request("data behind the end of a body"))
            }
            // The verb has ended and wants no more: what was under way is dropped.
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    in_flight: HashMap<u32, Arc<Request>>,
    /// The highest number seen. Numbers only rise, so a late frame cannot meet another request.
    last: u32,
    /// Whether the session has ended: no more are taken in.
    is_over: bool,
}

/// The requests in flight on one connection.
#[derive(Debug)]
pub(crate) struct Requests {
    table: Mutex<Table>,
    /// What the client takes of one body before it grants more.
    window: u32,
    /// How long the link is.
    round_trip: Duration,
    /// The most at once.
    most: usize,
    /// Closed when the last request has ended and no more may come.
    idle: (Sender<()>, Receiver<()>),
    draining: AtomicBool,
}

impl Requests {
    /// At most so many, for a client that announced that window.
    pub(crate) fn new(window: u32, most: usize) -> Self {
        let window = window.min(WINDOW_BYTES);
        let idle = async_channel::bounded(1);
        Self {
            table: Mutex::default(),
            window,
            round_trip: Duration::ZERO,
            most,
            idle,
            draining: AtomicBool::new(false),
        }
    }

    /// The same on a link of that round trip.
    pub(crate) fn over(self, round_trip: Duration) -> Self {
        Self { round_trip, ..self }
    }

    /// Takes a new request in.
    ///
    /// # Errors
    /// `Ok(Err(fail))` is the answer for a request that cannot run now. `bad_request` for a number that was used before: that
    /// ends the connection. `cancelled` when the session has ended.
    pub(crate) fn begin(&self, id: u32, verb: Cow<'static, str>, takes: Takes) -> Result<std::result::Result<Begun, Fail>> {
        let mut table = lock(&self.table);
        if id <= table.last {
            return Err(Error::bad_request("request numbers must rise"));
        }
        table.last = id;
        if table.is_over {
            return Err(Error::new(ErrorKind::Cancelled, "the session has ended"));
        }
        let busy = |text: &'static str| Ok(Err(Fail::new(id, &Error::new(ErrorKind::Busy, text))));
        if self.draining.load(Ordering::Acquire) {
            return busy("the server is stopping");
        }
        // One that has its answer counts no more, as in `find`; yet no number of them may wait for a client that does not read.
        let open = || table.in_flight.values().filter(|one| one.is_unanswered()).count();
        let all = table.in_flight.len();
        if all >= self.most && (all >= 2 * self.most || open() >= self.most) {
            return busy("too many requests in flight");
        }
        let (request, ends) = Request::new(id, verb, takes, (self.window, self.round_trip));
        let request = Arc::new(request);
        table.in_flight.insert(id, request.clone());
        Ok(Ok((request, ends)))
    }

    /// Forgets requests that were answered.
    pub(crate) fn finish(&self, ids: impl IntoIterator<Item = u32>) {
        let mut table = lock(&self.table);
        ids.into_iter().for_each(|id| drop(table.in_flight.remove(&id)));
        if table.in_flight.is_empty() && self.draining.load(Ordering::Acquire) {
            self.idle.0.close();
        }
    }

    /// The request of this number, unless it has its answer: the client may know that before the request has left.
    fn find(&self, id: u32) -> Option<Arc<Request>> {
        lock(&self.table)
            .in_flight
            .get(&id)
            .filter(|one| one.is_unanswered())
            .cloned()
    }

    /// Hands contents on. Those for a request that has ended are dropped: they were under way.
    ///
    /// # Errors
    /// `bad_request` when more came than was granted, or for a request that never was.
    pub(crate) fn data(&self, id: u32, chunk: Chunk) -> Result<()> {
        match self.find(id) {
            Some(request) => request.data(chunk),
            None => self.must_be_known(id),
        }
    }

    /// Hands the end of a body on.
    ///
    /// # Errors
    /// `bad_request` for a request that never was.
    pub(crate) fn end(&self, end: End) -> Result<()> {
        match self.find(end.id) {
            Some(request) => request.end(end),
            None => self.must_be_known(end.id)?,
        }
        Ok(())
    }

    /// Hands a grant on.
    ///
    /// # Errors
    /// `bad_request` for a request that never was, or a grant beyond reason.
    pub(crate) fn grant(&self, id: u32, bytes: u32) -> Result<()> {
        match self.find(id) {
            Some(request) => request.granted(bytes),
            None => self.must_be_known(id),
        }
    }

    /// Stops one request.
    pub(crate) fn cancel(&self, id: u32) {
        if let Some(request) = self.find(id) {
            request.stop();
        }
    }

    /// Stops all requests.
    pub(crate) fn cancel_all(&self) {
        self.all().iter().for_each(|request| request.stop());
    }

    /// Stops all requests, and takes none in from now on.
    pub(crate) fn end_all(&self) {
        lock(&self.table).is_over = true;
        self.cancel_all();
    }

    /// Takes no more requests in, and waits until those in flight have ended.
    pub(crate) async fn drain(&self) {
        {
            let table = lock(&self.table);
            self.draining.store(true, Ordering::Release);
            if table.in_flight.is_empty() {
                self.idle.0.close();
            }
        }
        let _ = self.idle.1.recv().await;
    }

    /// The requests in flight.
    pub(crate) fn all(&self) -> Vec<Arc<Request>> {
        lock(&self.table).in_flight.values().cloned().collect()
    }

    /// Whether there are any.
    pub(crate) fn are_running(&self) -> bool {
        !lock(&self.table).in_flight.is_empty()
    }

    fn must_be_known(&self, id: u32) -> Result<()> {
        if id == 0 || id > lock(&self.table).last {
            Err(Error::bad_request("frame for a request that never was"))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::chunk::CHUNK_BYTES;

    #[test]
    fn numbers_rise_and_late_frames_are_dropped() {
        let requests = Requests::new(WINDOW_BYTES, 64);
        let (request, _ends) = requests.begin(5, "ls".into(), Takes::Later).unwrap().unwrap();
        assert!(requests.begin(5, "ls".into(), Takes::Now).is_err() && requests.begin(4, "ls".into(), Takes::Now).is_err());
        assert!(requests.data(5, Chunk::from(&b"early"[..])).is_err() && request.may_answer());
        assert!(requests.data(5, Chunk::from(&b"late"[..])).is_ok());
        assert!(requests.data(6, Chunk::from(&b"early"[..])).is_err() && requests.data(0, Chunk::with_len(1)).is_err());
    }

    #[test]
    fn the_sixty_fifth_request_is_told_to_wait() {
        let requests = Requests::new(WINDOW_BYTES, 64);
        let begin = |id| requests.begin(id, "ls".into(), Takes::Now).unwrap();
        let kept: Vec<_> = (1..=64).map(|id| begin(id).unwrap()).collect();
        assert_eq!(begin(65).unwrap_err().kind, ErrorKind::Busy);
        requests.finish([1]);
        assert!(begin(66).is_ok() && begin(67).is_err());
        kept.iter().for_each(|(request, _)| assert!(request.may_answer()));
        let room = (68..).take_while(|id| begin(*id).is_ok_and(|(one, _)| one.may_answer()));
        assert_eq!(room.count(), 64);
    }

    #[test]
    fn data_beyond_the_window_or_behind_the_end_breaks_the_connection() {
        let requests = Requests::new(WINDOW_BYTES, 64);
        let (_request, ends) = requests.begin(1, "put".into(), Takes::Now).unwrap().unwrap();
        for _ in 0..WINDOW_BYTES / 65_536 {
            requests.data(1, Chunk::with_len(65_536)).unwrap();
        }
        assert!(requests.data(1, Chunk::with_len(1)).is_err());
        let (_request, more) = requests.begin(2, "put".into(), Takes::Now).unwrap().unwrap();
        let digest = ferry_core::Algorithm::Md5.digest(b"");
        requests.end(End { id: 2, size: 0, digest }).unwrap();
        assert!(requests.data(2, Chunk::with_len(1)).is_err());
        drop((ends, more));
    }

    #[test]
    fn data_before_its_time_breaks_the_connection() {
        let requests = Requests::new(WINDOW_BYTES, 64);
        let (request, ends) = requests.begin(1, "put".into(), Takes::Later).unwrap().unwrap();
        assert!(requests.data(1, Chunk::with_len(1)).is_err());
        request.open();
        assert!(requests.data(1, Chunk::with_len(1)).is_ok());
        drop(ends);
    }

    #[test]
    fn draining_waits_for_the_last_request() {
        let requests = Requests::new(WINDOW_BYTES, 64);
        let _ends = requests.begin(1, "ls".into(), Takes::Now).unwrap().unwrap();
        ferry_core::rt::block_on(async {
            let order = Mutex::new(Vec::new());
            let drain = async {
                requests.drain().await;
                lock(&order).push("drained");
            };
            let work = async {
                futures_lite::future::yield_now().await;
                assert!(requests.begin(2, "ls".into(), Takes::Now).unwrap().is_err());
                lock(&order).push("done");
                requests.finish([1]);
            };
            futures_lite::future::zip(drain, work).await;
            assert_eq!(*lock(&order), ["done", "drained"]);
        });
    }

    #[test]
    fn contents_that_nobody_wants_are_passed_over_and_counted() {
        let requests = Requests::new(WINDOW_BYTES, 64);
        let (_request, ends) = requests.begin(1, "ls".into(), Takes::ToDrop).unwrap().unwrap();
        let ends = ends.unwrap();
        for _ in 0..WINDOW_BYTES as usize / CHUNK_BYTES {
            requests.data(1, Chunk::with_len(CHUNK_BYTES)).unwrap();
        }
        assert!(ends.inbox.is_empty());
        assert!(requests.data(1, Chunk::with_len(1)).is_err(), "more than the window");
    }
}
