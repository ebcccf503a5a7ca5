//! One connection to a server after the login: what its reading task, its writing task and its requests share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use ferry_core::login::Method;
use ferry_core::wire::REQUESTS_MAX;
use ferry_core::wire::flow::Receiving;
use ferry_core::wire::io::{FrameReader, Outbox, outbox};
use ferry_core::wire::message::{Begin, Cancel, Done, End, Limits, Progress, Revealed, Rows};
use ferry_core::{Chunk, Error, ErrorKind, VerbInfo, rt};
use futures_lite::FutureExt as _;

use crate::exit::{Exit, Failure, Result};
use crate::login::{self, Attempt};
use crate::reading;
use crate::transport::Transport;

/// Headers and small frames are read so many bytes at a time; contents go past this buffer.
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// Events of one request that wait to be taken: more than a window of full chunks.
const EVENTS_QUEUE: usize = 64;
/// How long a closing connection may take to send what is still queued.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until we are logged in.
    pub login: Duration,
    /// Until a further connection stands, and again until we are logged in on it: somebody waits for it who could go without. Never
    /// longer than for a first one.
    pub further: Duration,
    /// How long a server may say nothing while a request runs, before it is asked whether it is there.
    pub silence: Duration,
    /// How long it may take to answer that.
    pub pong: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            login: Duration::from_secs(30),
            further: Duration::from_secs(5),
            silence: Duration::from_secs(60),
            pong: Duration::from_secs(15),
        }
    }
}

/// What a request hears from the server.
#[derive(Debug)]
pub enum Event {
    /// How the body starts.
    Begin(Begin),
    /// Some rows.
    Rows(Rows),
    /// One of several things went wrong.
    Problem(Error),
    /// How far it is.
    Progress(Progress),
    /// Contents.
    Data(Chunk),
    /// The body is complete.
    End(End),
    /// So many bytes more may be sent.
    Grant(u32),
    /// It ended well.
    Done(Done),
    /// It failed.
    Fail(Error),
}

struct Slot {
    events: Sender<Event>,
    receiving: Receiving,
}

/// Why a connection ended, to be told to every request on it.
#[derive(Debug, Clone)]
struct Lost {
    exit: Exit,
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl From<Failure> for Lost {
    fn from(failure: Failure) -> Self {
        Self {
            exit: failure.exit,
            kind: failure.error.kind,
            message: failure.error.message.into_owned(),
            hint: failure.error.hint.map(std::borrow::Cow::into_owned),
        }
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        let mut error = Error::new(lost.kind, lost.message);
        error.hint = lost.hint.map(Into::into);
        Self {
            error,
            exit: lost.exit,
            told: false,
        }
    }
}

struct State {
    slots: HashMap<u32, Slot>,
    last_id: u32,
    lost: Option<Lost>,
}

/// What the tasks and the requests of a connection share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Where frames for the server go.
    pub(crate) outbox: Outbox,
    /// Held from a request's number to its place in the queue, for numbers must rise on the wire. An asynchronous lock, made to
    /// be waited with.
    pub(crate) turn: async_lock::Mutex<()>,
    /// What the server takes at most.
    pub(crate) limits: Limits,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests may run at once.
    fn requests_max(&self) -> usize {
        usize::try_from(self.limits.requests)
            .unwrap_or(REQUESTS_MAX)
            .clamp(1, REQUESTS_MAX)
    }

    /// A place for a new request's events, and its number.
    pub(crate) fn enter(&self) -> Result<(u32, Receiver<Event>)> {
        let (events, receiver) = async_channel::bounded(EVENTS_QUEUE);
        let mut state = self.state();
        if let Some(lost) = &state.lost {
            return Err(lost.clone().into());
        }
        let most = self.requests_max();
        if state.slots.len() >= most {
            return Err(Error::new(ErrorKind::Busy, format!("{most} requests are running already")).into());
        }
        let id = state
            .last_id
            .checked_add(1)
            .ok_or_else(|| Failure::unreachable("the connection is used up"))?;
        state.last_id = id;
        let receiving = Receiving::default();
        state.slots.insert(id, Slot { events, receiving });
        Ok((id, receiver))
    }

    /// Forgets a request. What still comes for it is dropped.
    pub(crate) fn leave(&self, id: u32) {
        self.state().slots.remove(&id);
    }

    /// Waits until something is in the queue; a queue that is gone says why.
    pub(crate) async fn sent(&self, sending: impl Future<Output = ferry_core::Result<()>>) -> Result<()> {
        sending.await.map_err(|error| match error.kind {
            ErrorKind::Unreachable => self.why_lost(),
            _ => error.into(),
        })
    }

    /// Tells the server that nobody waits for a request any more. Never waits itself.
    pub(crate) fn cancel(&self, id: u32) {
        if !self.outbox.try_send(&Cancel { id }) {
            let outbox = self.outbox.clone();
            // The queue moves on or closes, so this task ends either way.
            drop(rt::spawn(async move { outbox.send(&Cancel { id }).await.is_ok() }));
        }
    }

    /// Whether a request waits for the server.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.state().slots.is_empty()
    }

    /// Takes note of contents that came.
    pub(crate) fn arrived(&self, id: u32, bytes: usize) -> Result<()> {
        match self.state().slots.get_mut(&id) {
            Some(slot) => slot.receiving.arrived(bytes, Instant::now()).map_err(Failure::protocol),
            // Nobody listens any more: the request was cancelled.
            None => Ok(()),
        }
    }

    /// Where a request's events go.
    pub(crate) fn events(&self, id: u32) -> Option<Sender<Event>> {
        self.state().slots.get(&id).map(|slot| slot.events.clone())
    }

    /// Takes note of contents that were taken in; gives the grant to send.
    pub(crate) fn taken(&self, id: u32, bytes: usize) -> Option<u32> {
        self.state().slots.get_mut(&id)?.receiving.taken(bytes, Instant::now())
    }

    /// Why nothing more comes.
    pub(crate) fn why_lost(&self) -> Failure {
        match self.state().lost.clone() {
            Some(lost) => lost.into(),
            None => Failure::unreachable("the connection was closed"),
        }
    }

    /// Ends everything that waits on this connection.
    fn lose(&self, failure: Failure) {
        let mut state = self.state();
        state.lost.get_or_insert_with(|| failure.into());
        state.slots.clear();
        drop(state);
        self.outbox.close();
    }

    fn is_lost(&self) -> bool {
        self.state().lost.is_some()
    }
}

/// A connection that is logged in. Dropping it ends it.
pub struct Connection {
    pub(crate) shared: Arc<Shared>,
    /// The verbs that the user may run.
    pub verbs: Arc<Vec<VerbInfo>>,
    /// The account's name.
    pub user: String,
    /// What the server has to say at login.
    pub notice: Option<String>,
    /// The saved login that was asked for.
    pub(crate) token: Option<Revealed>,
    /// How the account logged in.
    pub method: Method,
    writer: Mutex<Option<rt::Task<()>>>,
    /// Closing it, or dropping it, ends the reading task.
    stop: Sender<()>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({}, {} verbs)", self.user, self.verbs.len())
    }
}

impl Connection {
    /// Logs in over a fresh transport and starts the connection's tasks.
    ///
    /// # Errors
    /// What the login says, or that the server is gone, silent or not understood.
    pub async fn open(transport: Transport, attempt: Attempt, deadlines: Deadlines) -> Result<Self> {
        let (outbox, writer) = outbox(transport.writer);
        let writing = rt::spawn(writer.run());
        let reader = FrameReader::with_buffer(transport.reader, READ_BUFFER_BYTES);
        let login = login::run(reader, &outbox, transport.channel, attempt, deadlines.login);
        let opened = rt::timeout(deadlines.login, login).await;
        let opened = opened.map_err(|_| Failure::timeout("the server did not answer the login in time"))??;
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                slots: HashMap::new(),
                last_id: 0,
                lost: None,
            }),
            outbox,
            turn: async_lock::Mutex::new(()),
            limits: opened.limits,
        });
        let reading = {
            let shared = shared.clone();
            async move {
                let until_closed = async {
                    let _ = stopped.recv().await;
                    Failure::unreachable("the connection was closed")
                };
                let failure = reading::run(opened.reader, &shared, deadlines).or(until_closed).await;
                shared.lose(failure);
            }
        };
        let writing = {
            let shared = shared.clone();
            async move {
                if let Err(error) = writing.await {
                    shared.lose(Failure::wire(error));
                }
            }
        };
        drop(rt::spawn(reading));
        Ok(Self {
            writer: Mutex::new(Some(rt::spawn(writing))),
            shared,
            verbs: Arc::new(opened.verbs),
            user: opened.user,
            notice: opened.notice,
            token: opened.token,
            method: opened.method,
            stop,
        })
    }

    /// How many requests may run at once.
    pub fn requests_max(&self) -> usize {
        self.shared.requests_max()
    }

    /// Whether contents of so many bytes may follow their request at once.
    pub fn takes_eager(&self, bytes: u64) -> bool {
        bytes <= u64::from(self.shared.limits.window)
    }

    /// Whether nothing more can be asked over it.
    pub fn is_lost(&self) -> bool {
        self.shared.is_lost()
    }

    /// Sends what is queued and ends the connection.
    pub async fn close(&self) {
        self.shared.outbox.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A server that does not take it in time gets the end of the stream instead.
            let _ = rt::timeout(CLOSE_WAIT, writer).await;
        }
        // The stream ends when its reading half is gone too.
        self.stop.close();
    }
}
