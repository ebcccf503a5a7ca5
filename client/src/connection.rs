//! One connection to a server after the login: a reading task that deals frames out to the requests they belong to, a
//! writing task with a bounded queue, and a watch that notices a server that has gone silent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use ferry_core::wire::flow::Receiving;
use ferry_core::wire::frame::{self, Header, Kind};
use ferry_core::wire::message::{Begin, Cancel, Done, End, Fail, Limits, Message as _, Problem, Progress, Rows};
use ferry_core::wire::{Map, REQUESTS_MAX};
use ferry_core::{Chunk, Error, ErrorKind, VerbInfo, rt};
use futures_lite::{AsyncWriteExt as _, FutureExt as _};

use crate::exit::{Exit, Failure, Result};
use crate::login::{self, Credentials};
use crate::transport::{Frames, Transport, Writer};

/// Frames that wait to be written. With data this is 1 MiB and more than one socket buffer.
const OUT_QUEUE: usize = 4;
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

/// What is to be written.
pub(crate) enum Out {
    /// A whole control frame.
    Frame(Vec<u8>),
    /// Contents of a request's body.
    Data(u32, Chunk),
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
    heard: Instant,
    lost: Option<Lost>,
}

/// What the tasks and the requests of a connection share.
pub(crate) struct Shared {
    state: Mutex<State>,
    out: Sender<Out>,
    /// What the server takes at most.
    pub(crate) limits: Limits,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new request's events, and its number.
    pub(crate) fn enter(&self) -> Result<(u32, Receiver<Event>)> {
        let (events, receiver) = async_channel::bounded(EVENTS_QUEUE);
        let mut state = self.state();
        if let Some(lost) = &state.lost {
            return Err(lost.clone().into());
        }
        let most = usize::try_from(self.limits.requests)
            .unwrap_or(REQUESTS_MAX)
            .min(REQUESTS_MAX);
        if state.slots.len() >= most.max(1) {
            return Err(Error::new(ErrorKind::Busy, format!("{most} requests are running already")).into());
        }
        let id = state
            .last_id
            .checked_add(1)
            .ok_or_else(|| Failure::network("the connection is used up"))?;
        state.last_id = id;
        if state.slots.is_empty() {
            // What was quiet so far was allowed to be.
            state.heard = Instant::now();
        }
        let receiving = Receiving::default();
        state.slots.insert(id, Slot { events, receiving });
        Ok((id, receiver))
    }

    /// Forgets a request. What still comes for it is dropped.
    pub(crate) fn leave(&self, id: u32) {
        self.state().slots.remove(&id);
    }

    /// Queues a frame.
    pub(crate) async fn send(&self, out: Out) -> Result<()> {
        match self.out.send(out).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why_lost()),
        }
    }

    /// Tells the server that nobody waits for a request any more. Never waits itself.
    pub(crate) fn cancel(&self, id: u32) {
        let mut frame = Vec::new();
        let message = Cancel { id };
        if message.encode(&mut frame).is_err() {
            return;
        }
        if let Err(async_channel::TrySendError::Full(out)) = self.out.try_send(Out::Frame(frame)) {
            let queue = self.out.clone();
            // The queue moves on or closes, so this task ends either way.
            drop(rt::spawn(async move { queue.send(out).await.is_ok() }));
        }
    }

    /// Takes note of contents that were taken in; gives the grant to send.
    pub(crate) fn taken(&self, id: u32, bytes: usize) -> Option<u32> {
        self.state().slots.get_mut(&id)?.receiving.taken(bytes)
    }

    /// Why nothing more comes.
    pub(crate) fn why_lost(&self) -> Failure {
        match self.state().lost.clone() {
            Some(lost) => lost.into(),
            None => Failure::network("the connection was closed"),
        }
    }

    /// Ends everything that waits on this connection.
    fn lose(&self, failure: Failure) {
        let mut state = self.state();
        state.lost.get_or_insert_with(|| failure.into());
        state.slots.clear();
        drop(state);
        self.out.close();
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
    writer: Mutex<Option<rt::Task<()>>>,
    _stop: Sender<()>,
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
    pub async fn open(transport: Transport, who: &Credentials, deadlines: Deadlines) -> Result<Self> {
        let login = login::run(transport, who);
        let opened = rt::timeout(deadlines.login, login).await;
        let opened = opened.map_err(|_| Failure::network("the server did not answer the login in time"))??;
        let (out, queue) = async_channel::bounded(OUT_QUEUE);
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                slots: HashMap::new(),
                last_id: 0,
                heard: Instant::now(),
                lost: None,
            }),
            out,
            limits: opened.limits,
        });
        let reading = {
            let (shared, stopped) = (shared.clone(), stopped.clone());
            async move {
                let failure = read(opened.frames, &shared).or(until_closed(stopped)).await;
                shared.lose(failure);
            }
        };
        let watching = {
            let (shared, stopped) = (shared.clone(), stopped.clone());
            async move {
                let failure = watch(&shared, deadlines).or(until_closed(stopped)).await;
                shared.lose(failure);
            }
        };
        let writing = {
            let shared = shared.clone();
            async move {
                let written = async { write(opened.writer, queue).await.map_err(|error| gone(&error)) };
                let stopped = async { Err(until_closed(stopped).await) };
                if let Err(failure) = written.or(stopped).await {
                    shared.lose(failure);
                }
            }
        };
        drop(rt::spawn(reading));
        drop(rt::spawn(watching));
        Ok(Self {
            writer: Mutex::new(Some(rt::spawn(writing))),
            shared,
            verbs: Arc::new(opened.verbs),
            user: opened.user,
            notice: opened.notice,
            _stop: stop,
        })
    }

    /// Whether nothing more can be asked over it.
    pub fn is_lost(&self) -> bool {
        self.shared.is_lost()
    }

    /// Sends what is queued and ends the connection.
    pub async fn close(&self) {
        self.shared.out.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A server that does not take it in time gets the end of the stream instead.
            let _ = rt::timeout(CLOSE_WAIT, writer).await;
        }
    }
}

async fn until_closed(stopped: Receiver<()>) -> Failure {
    let _ = stopped.recv().await;
    Failure::network("the connection was closed")
}

/// What an I/O error on the socket means.
pub(crate) fn gone(error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Failure::network("the server closed the connection"),
        _ => Failure::network(format!("the connection broke: {error}")),
    }
}

/// Writes what is queued; one write for a frame with its contents.
async fn write(mut writer: Writer, queue: Receiver<Out>) -> std::io::Result<()> {
    while let Ok(out) = queue.recv().await {
        match out {
            Out::Frame(frame) => writer.write_all(&frame).await?,
            Out::Data(id, mut chunk) => {
                let header = Header::write_data(id, chunk.len());
                writer.write_all(chunk.framed(&header)).await?;
            }
        }
        if queue.is_empty() {
            writer.flush().await?;
        }
    }
    writer.close().await
}

/// Reads frames until the connection ends; says why it did.
async fn read(mut frames: Frames, shared: &Shared) -> Failure {
    loop {
        if let Err(failure) = read_one(&mut frames, shared).await {
            return failure;
        }
    }
}

async fn read_one(frames: &mut Frames, shared: &Shared) -> Result<()> {
    let header = frames.header().await?;
    shared.state().heard = Instant::now();
    match header.kind {
        None => frames.skip(header.len_bytes).await,
        Some(Kind::Data) => read_data(frames, header.len_bytes, shared).await,
        Some(kind) => {
            let payload = frames.payload(header.len_bytes).await?;
            if kind.is_binary() {
                return binary(kind, payload, shared).await;
            }
            let map = Map::check(payload).map_err(Failure::protocol)?;
            let (id, event) = match decode(kind, &map).map_err(Failure::protocol)? {
                Some((0, Event::Fail(error))) => return Err(ended_by_server(error)),
                Some(decoded) => decoded,
                // The catalogue of a session may grow while it runs; what this one knows stays valid.
                None if kind == Kind::Catalog => return Ok(()),
                None => return Err(Failure::unexpected(&format!("{kind:?} frame"))),
            };
            deliver(shared, id, event).await;
            Ok(())
        }
    }
}

fn decode(kind: Kind, map: &Map<'_>) -> ferry_core::Result<Option<(u32, Event)>> {
    Ok(Some(match kind {
        Kind::Begin => Begin::decode(map).map(|m| (m.id, Event::Begin(m)))?,
        Kind::Rows => Rows::decode(map).map(|m| (m.id, Event::Rows(m)))?,
        Kind::Problem => Problem::decode(map).map(|m| (m.id, Event::Problem(m.into_error())))?,
        Kind::Progress => Progress::decode(map).map(|m| (m.id, Event::Progress(m)))?,
        Kind::Done => Done::decode(map).map(|m| (m.id, Event::Done(m)))?,
        Kind::Fail => Fail::decode(map).map(|m| (m.id, Event::Fail(m.into_error())))?,
        Kind::End => End::decode(map).map(|m| (m.id, Event::End(m)))?,
        _ => return Ok(None),
    }))
}

/// The server ended the connection and said why.
fn ended_by_server(error: Error) -> Failure {
    let exit = match error.kind {
        ErrorKind::LoginRefused => Exit::Login,
        ErrorKind::BadRequest | ErrorKind::TooLarge | ErrorKind::Unsupported => Exit::Protocol,
        _ => Exit::Network,
    };
    Failure {
        error,
        exit,
        told: false,
    }
}

async fn binary(kind: Kind, payload: &[u8], shared: &Shared) -> Result<()> {
    match kind {
        Kind::Grant => {
            let (id, bytes) = frame::read_grant(payload).map_err(Failure::protocol)?;
            deliver(shared, id, Event::Grant(bytes)).await;
        }
        Kind::Ping => {
            let mut frame = Header::write(Kind::Pong, payload.len()).to_vec();
            frame.extend_from_slice(payload);
            shared.send(Out::Frame(frame)).await?;
        }
        _ => {}
    }
    Ok(())
}

/// Reads contents in pieces of at most one chunk straight into the buffers that the request gets.
async fn read_data(frames: &mut Frames, len_bytes: usize, shared: &Shared) -> Result<()> {
    let id = frames.data_id().await?;
    let mut left = len_bytes.saturating_sub(frame::ID_BYTES);
    {
        let mut state = shared.state();
        if let Some(slot) = state.slots.get_mut(&id) {
            slot.receiving.arrived(left).map_err(Failure::protocol)?;
        }
    }
    while left > 0 {
        let mut chunk = Chunk::with_len(left);
        frames.fill(&mut chunk).await?;
        left -= chunk.len();
        deliver(shared, id, Event::Data(chunk)).await;
    }
    Ok(())
}

async fn deliver(shared: &Shared, id: u32, event: Event) {
    let events = shared.state().slots.get(&id).map(|slot| slot.events.clone());
    if let Some(events) = events {
        // Nobody listens any more: the request was cancelled.
        let _ = events.send(event).await;
    }
}

/// Asks a server that says nothing whether it is still there; says when it is not.
async fn watch(shared: &Shared, deadlines: Deadlines) -> Failure {
    loop {
        let (heard, idle) = {
            let state = shared.state();
            (state.heard, state.slots.is_empty())
        };
        let quiet = heard.elapsed();
        if idle || quiet < deadlines.silence {
            let rest = if idle { deadlines.silence } else { deadlines.silence - quiet };
            rt::sleep(rest).await;
            continue;
        }
        // A queue that does not move says as much as an answer that does not come.
        let ping = Header::write(Kind::Ping, 0).to_vec();
        let _ = rt::timeout(deadlines.pong, shared.send(Out::Frame(ping))).await;
        rt::sleep(deadlines.pong).await;
        if shared.state().heard == heard {
            return Failure::network("the server does not answer any more");
        }
    }
}
