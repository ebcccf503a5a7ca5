//! Who leads a connection: reads its frames, and runs quick verbs where they were read, for a task of its own costs a request more than most
//! verbs do.
//!
//! A verb that keeps its thread must not keep what its client says next. So a leader that runs verbs holds nothing: the reader, the requests that
//! were read and the answers that were not sent lie in [`Lead`], where another leader finds them. The watchdog starts one when a verb kept its
//! thread for too long; the first one, once its verb is back, finds nothing to do and ends. A leader too many does no harm, so that the
//! watchdog may be wrong (the whole process was stopped for a while, say).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use ferry_core::dispatch::Ask;
use ferry_core::wire::Kind;
use ferry_core::wire::frame::Stage;
use ferry_core::wire::guard::Map;
use ferry_core::wire::io::{FrameReader, Incoming};
use ferry_core::wire::message::{Cancel, End, Message as _};
use ferry_core::{Error, ErrorKind, Result, rt};
use futures_lite::AsyncRead;

use crate::requests::{Ends, Request};
use crate::session::{Answer, Session};

/// Answers are gathered to so many bytes before they are written.
const GATHER_BYTES: usize = 16 * 1024;
/// A leader that has run verbs for so long gives those that still wait tasks of their own, and goes on with reading.
const TURN: Duration = Duration::from_millis(20);
/// An idle connection keeps room for so many requests.
const WAITING_KEPT: usize = 4;

/// Reads a connection's frames, whatever it is made of.
pub(crate) type Reader = FrameReader<Box<dyn AsyncRead + Send + Unpin>>;

/// A request that was read.
pub(crate) struct Work {
    pub(crate) ask: Ask,
    /// The message, and where in it the undecoded arguments are.
    pub(crate) payload: Vec<u8>,
    pub(crate) args: Option<Range<usize>>,
    pub(crate) request: Arc<Request>,
    pub(crate) ends: Option<Ends>,
}

/// What leaders of one connection share.
pub(crate) struct Lead {
    state: Mutex<State>,
    /// Whether the session has ended: nothing more is read.
    is_over: AtomicBool,
    /// How the connection ended.
    end: (Sender<Result<()>>, Receiver<Result<()>>),
}

#[derive(Default)]
struct State {
    /// The reader, while nobody reads.
    reader: Option<Reader>,
    /// Requests that were read and are to be run by a leader; bounded by those that may be in flight.
    waiting: VecDeque<Work>,
    /// Answers that are to be sent together, and whose they are.
    answers: (Vec<u8>, Vec<u32>),
}

/// Ends the connection when its leader breaks down.
struct Guard<'s>(&'s Session);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lead.end(Err(Error::internal("the session broke down")));
        }
    }
}

impl Lead {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            is_over: AtomicBool::new(false),
            end: async_channel::bounded(1),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request that waits. When there is none, an idle connection keeps no room for many.
    fn next(&self) -> Option<Work> {
        let waiting = &mut self.state().waiting;
        let next = waiting.pop_front();
        if next.is_none() {
            waiting.shrink_to(WAITING_KEPT);
        }
        next
    }

    fn end(&self, result: Result<()>) {
        let _ = self.end.0.try_send(result);
    }

    /// Has nothing more read. Whoever waits for the client finds out when the connection is hung up, and whoever is at it at his next pause.
    pub(crate) fn stop(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Waits until the client leaves or what it sends cannot be read.
    ///
    /// # Errors
    /// What was wrong with it.
    pub(crate) async fn ended(&self) -> Result<()> {
        self.end.1.recv().await.unwrap_or(Ok(()))
    }
}

impl Session {
    /// Begins to read.
    pub(crate) fn begin(self: &Arc<Self>, reader: Reader) {
        self.lead.state().reader = Some(reader);
        self.stand_in();
    }

    /// Starts another leader.
    pub(crate) fn stand_in(self: &Arc<Self>) {
        // It ends with the connection, or when it is not needed.
        drop(rt::spawn(lead(self.clone())));
    }

    /// Reads one frame, and those that came with it; says whether there will be more.
    async fn read(self: &Arc<Self>, reader: &mut Reader) -> Result<bool> {
        loop {
            match reader.next(Stage::LoggedIn, self.limits.idle()).await {
                Ok(None) => return Ok(false),
                Ok(Some(Incoming::Control(kind, payload))) => self.take(kind, payload).await?,
                Ok(Some(Incoming::Data(id, chunk))) => self.requests.data(id, chunk)?,
                Ok(Some(Incoming::Grant(id, bytes))) => self.requests.grant(id, bytes)?,
                Ok(Some(Incoming::Echo(Kind::Ping, bytes))) => self.outbox.send_echo(Kind::Pong, &bytes).await?,
                Ok(Some(Incoming::Echo(..))) => {}
                // A client that waits for a long request says nothing, and is not idle.
                Err(error) if error.kind == ErrorKind::Timeout && self.requests.are_running() => {}
                Err(error) => return Err(error),
            }
            if !reader.has_frame() {
                return Ok(true);
            }
        }
    }

    /// Takes a control frame.
    async fn take(self: &Arc<Self>, kind: Kind, payload: Vec<u8>) -> Result<()> {
        let map = Map::check(&payload)?;
        let ask = match kind {
            Kind::Cancel => {
                self.requests.cancel(Cancel::decode(&map)?.id);
                return Ok(());
            }
            Kind::End => return self.requests.end(End::decode(&map)?),
            Kind::Request | Kind::Complete | Kind::Expand => Ask::decode(kind, &map)?,
            other => return Err(Error::bad_request(format!("{other:?} is nothing a client says"))),
        };
        let args = map.place("args");
        self.server.log_room().await;
        let (takes, verb) = self.takes(&ask);
        let (request, ends) = match self.requests.begin(ask.id(), verb, takes)? {
            Ok(begun) => begun,
            Err(fail) => return self.outbox.send(&fail).await,
        };
        // One with contents waits for them, and one that looks for names reads folders: they would not be through at once.
        let is_quick = ends.is_none() && matches!(ask, Ask::Request(_));
        let work = Work {
            ask,
            payload,
            args,
            request,
            ends,
        };
        if is_quick {
            self.lead.state().waiting.push_back(work);
        } else {
            self.spawn(Box::pin(self.clone().run(work)));
        }
        Ok(())
    }

    /// Lets a request run on by itself; it is stopped through its table.
    fn spawn(self: &Arc<Self>, running: impl Future<Output = Option<Answer>> + Send + 'static) {
        let session = self.clone();
        drop(rt::spawn(async move {
            if let Some(answer) = running.await {
                session.send(answer).await;
            }
        }));
    }

    /// Runs the requests that wait. One that is not through at once gets a task of its own, and so does what waits behind verbs that took long:
    /// neither answers nor what the client says next are held up by many of them.
    fn run_waiting(self: &Arc<Self>) {
        let begun = Instant::now();
        // One after the other runs in the same place: a new one for each costs as much as a quick verb does.
        let mut free = None;
        while let Some(work) = self.lead.next() {
            if begun.elapsed() >= TURN {
                self.spawn(Box::pin(self.clone().run(work)));
                continue;
            }
            let request = work.request.clone();
            let mut place = free.take().unwrap_or_else(|| Box::pin(None));
            place.set(Some(self.clone().run(work)));
            request.is_inline.store(true, Ordering::Release);
            // Nobody is woken by this: the task polls it again.
            let poll = poll_in(place.as_mut(), &mut Context::from_waker(Waker::noop()));
            request.is_inline.store(false, Ordering::Release);
            match poll {
                Poll::Ready(answer) => {
                    place.set(None);
                    free = Some(place);
                    if let Some(answer) = answer {
                        self.gather(&answer);
                    }
                }
                Poll::Pending => self.spawn(poll_fn(move |cx| poll_in(place.as_mut(), cx))),
            }
        }
        self.send_gathered();
    }

    fn gather(self: &Arc<Self>, answer: &Answer) {
        let is_full = {
            let (frames, ids) = &mut self.lead.state().answers;
            frames.extend_from_slice(&answer.frames);
            ids.push(answer.request.id);
            frames.len() >= GATHER_BYTES
        };
        if is_full {
            self.send_gathered();
        }
    }

    /// Sends the answers that were gathered. Waits for nobody: a client may send more before it reads them.
    fn send_gathered(self: &Arc<Self>) {
        let (frames, ids) = std::mem::take(&mut self.lead.state().answers);
        if ids.is_empty() {
            return;
        }
        let Some(rest) = self.outbox.try_now(frames) else {
            return self.requests.finish(ids);
        };
        let session = self.clone();
        drop(rt::spawn(async move {
            // Nobody is there to be told when the connection is gone.
            let _ = session.outbox.send_frame(rest).await;
            session.requests.finish(ids);
        }));
    }
}

/// Polls what is in a place; an empty one never ends.
fn poll_in<T>(place: Pin<&mut Option<impl Future<Output = T>>>, cx: &mut Context<'_>) -> Poll<T> {
    place.as_pin_mut().map_or(Poll::Pending, |running| running.poll(cx))
}

/// Leads a connection until it ends, or until somebody else does.
async fn lead(session: Arc<Session>) {
    let _guard = Guard(&session);
    loop {
        session.run_waiting();
        let Some(mut reader) = session.lead.state().reader.take() else {
            return;
        };
        let read = {
            let mut read = pin!(session.read(&mut reader));
            // Looked at each time, for a client that never pauses is never seen to be hung up on.
            poll_fn(|cx| match session.lead.is_over.load(Ordering::Acquire) {
                true => Poll::Ready(Ok(false)),
                false => read.as_mut().poll(cx),
            })
            .await
        };
        let ended = match read {
            Ok(true) => {
                session.lead.state().reader = Some(reader);
                continue;
            }
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        // First, for a verb may keep this thread. What was read before that is run all the same, and has its line in the log.
        session.lead.end(ended);
        return session.run_waiting();
    }
}
