//! The way over a socket: connections to a server on this machine, each logged in, that ask and take in answers as a client does.

use std::any::Any;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_io::Async;
use ferry_core::context::{Event, Inbound};
use ferry_core::login::{Channel, ClientLogin, Methods, Secret};
use ferry_core::wire::flow::{Receiving, Sending};
use ferry_core::wire::frame::{Kind, Stage};
use ferry_core::wire::io::{FrameReader, Incoming, Outbox, outbox};
use ferry_core::wire::message::{
    Answer, Cancel, Catalog, Challenge, Done, End, Fail, Hello, Login, Message, Problem, Progress, Rows, Welcome,
};
use ferry_core::wire::{Map, message};
use ferry_core::{Chunk, Error, ErrorKind, Result, VerbInfo, rt};
use futures_lite::io::ReadHalf;

use crate::link::TestLink;

/// The password of the harness's user. It protects nothing: the server is the test's own.
pub(crate) const PASSWORD: &str = "harness";
/// How long a server may say nothing before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server, and the connections to it that nobody uses now. A call takes one, or makes one, and puts it back when it has its answer: so
/// a call that is dropped ends its connection, which is how the server hears of it.
pub(crate) struct Socket {
    idle: Mutex<Vec<Connection>>,
    address: SocketAddr,
    user: String,
    /// The catalogue, as the first login brought it.
    verbs: OnceLock<Vec<VerbInfo>>,
    /// What keeps the server running.
    _server: Box<dyn Any + Send + Sync>,
}

impl Socket {
    pub(crate) fn new(address: SocketAddr, user: &str, server: Box<dyn Any + Send + Sync>) -> Self {
        Self {
            idle: Mutex::default(),
            address,
            user: user.to_owned(),
            verbs: OnceLock::new(),
            _server: server,
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Connection> {
        let (connection, verbs) = Connection::log_in(self.address, &self.user).await?;
        let _ = self.verbs.set(verbs);
        Ok(connection)
    }

    /// What the server told of the verb that a name means.
    pub(crate) async fn verb(&self, name: &str) -> Result<Option<VerbInfo>> {
        if self.verbs.get().is_none() {
            let connection = self.connect().await?;
            self.idle().push(connection);
        }
        let verbs = self.verbs.get().into_iter().flatten();
        Ok(verbs.into_iter().find(|verb| verb.is_called(name)).cloned())
    }

    /// Sends a request's frame and takes in what comes of it.
    pub(crate) async fn ask(&self, id: u32, frame: Vec<u8>, link: &mut TestLink) -> Result<Done> {
        // Numbers rise on a connection, and two calls at once may come here in another order.
        let found = {
            let mut idle = self.idle();
            let at = idle.iter().position(|connection| connection.last_id < id);
            at.map(|at| idle.swap_remove(at))
        };
        let mut connection = match found {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.last_id = id;
        let answer = connection.ask(id, frame, link).await?;
        self.idle().push(connection);
        answer
    }
}

/// A connection that is logged in and has nothing under way.
struct Connection {
    reader: FrameReader<ReadHalf<Async<TcpStream>>>,
    outbox: Outbox,
    /// What the server takes of one body before it grants more.
    window: u32,
    last_id: u32,
}

impl Connection {
    async fn log_in(address: SocketAddr, user: &str) -> Result<(Self, Vec<VerbInfo>)> {
        let connected = Async::<TcpStream>::connect(address).await;
        let stream = connected.map_err(|error| Error::from_io(format_args!("server at {address}"), error))?;
        let (reader, writer) = futures_lite::io::split(stream);
        let (outbox, writer) = outbox(writer);
        // It ends with its outbox.
        drop(rt::spawn(writer.run()));
        let mut connection = Self {
            reader: FrameReader::new(reader),
            outbox,
            window: 0,
            last_id: 0,
        };
        connection.outbox.send(&Hello::new("ferry-testkit")).await?;
        let hello: Hello = connection.hear().await?;
        hello.check()?;
        connection.window = hello.limits.window;
        let secret = Secret::Password {
            user: user.to_owned(),
            password: PASSWORD.to_owned().into(),
            allowed: Methods::for_password(None),
        };
        let (client, step) = ClientLogin::start(secret, Channel::Plain)?;
        let login = Login {
            mechanism: step.mechanism.to_owned(),
            data: step.data,
        };
        connection.outbox.send(&login).await?;
        let Challenge { mechanism, data } = connection.hear().await?;
        let (finish, data) = rt::unblock(move || client.answer(mechanism.as_deref(), &data)).await?;
        connection.outbox.send(&Answer { data, save: None }).await?;
        finish.check(&connection.hear::<Welcome>().await?.data)?;
        let mut verbs = Vec::new();
        loop {
            let part: Catalog = connection.hear().await?;
            verbs.extend(part.verbs);
            if part.last {
                return Ok((connection, verbs));
            }
        }
    }

    async fn next(&mut self) -> Result<Incoming> {
        let next = self.reader.next(Stage::LoggedIn, PATIENCE).await?;
        next.ok_or_else(|| Error::new(ErrorKind::Unreachable, "the server closed the connection"))
    }

    /// The next message, which must be an `M`.
    async fn hear<M: Message>(&mut self) -> Result<M> {
        match self.next().await? {
            Incoming::Control(kind, payload) if kind == M::KIND => M::decode(&Map::check(&payload)?),
            Incoming::Control(Kind::Fail, payload) => Err(Fail::decode(&Map::check(&payload)?)?.into_error()),
            other => Err(Error::internal(format!("{other:?} came where {:?} was due", M::KIND))),
        }
    }

    /// One request from its frame to its answer. The outer failure is the connection's, which is of no more use then.
    async fn ask(&mut self, id: u32, frame: Vec<u8>, link: &mut TestLink) -> Result<Result<Done>> {
        self.outbox.send_frame(frame).await?;
        let mut flow = Flow {
            id,
            sending: Sending::new(self.window),
            receiving: Receiving::default(),
            waiting: None,
            // Eager contents follow at once.
            is_open: link.sent.as_ref().is_some_and(|sent| sent.said().eager),
            has_ended: false,
        };
        let mut gave_up = None;
        loop {
            if gave_up.is_none() {
                match flow.send(&self.outbox, link).await? {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => gave_up = Some(self.give_up(id, error).await?),
                }
            }
            let event = match self.next().await? {
                Incoming::Grant(of, bytes) if of == id => {
                    flow.sending.granted(bytes)?;
                    continue;
                }
                Incoming::Data(of, chunk) if of == id => {
                    flow.receiving.arrived(chunk.len(), Instant::now())?;
                    if let Some(grant) = flow.receiving.taken(chunk.len(), Instant::now()) {
                        self.outbox.send_grant(id, grant).await?;
                    }
                    Event::Data(chunk)
                }
                Incoming::Control(kind, payload) => match heard(kind, &payload)? {
                    Heard::Done(done) if done.id == id => {
                        let done = Done { id: 0, ..done };
                        return Ok(gave_up.map_or(Ok(done), Err));
                    }
                    Heard::Fail(fail) if fail.id == id => return Ok(Err(gave_up.unwrap_or_else(|| fail.into_error()))),
                    Heard::Fail(fail) if fail.id == 0 => return Err(fail.into_error()),
                    Heard::Event(event) => {
                        flow.is_open |= matches!(event, Event::Begin(_)) && link.sent.is_some() && !flow.has_ended;
                        event
                    }
                    _ => continue,
                },
                _ => continue,
            };
            if gave_up.is_none()
                && let Err(error) = link.take(event)
            {
                gave_up = Some(self.give_up(id, error).await?);
            }
        }
    }

    /// Asks the request to stop. Its answer is waited for, so that nothing of it goes on afterwards.
    async fn give_up(&mut self, id: u32, error: Error) -> Result<Error> {
        self.outbox.send(&Cancel { id }).await?;
        Ok(error)
    }
}

/// The contents of one request.
struct Flow {
    id: u32,
    sending: Sending,
    receiving: Receiving,
    /// A chunk for which there is no leave yet.
    waiting: Option<Chunk>,
    /// Whether contents may go out, and their end did not yet.
    is_open: bool,
    /// Whether their end went out.
    has_ended: bool,
}

impl Flow {
    /// Sends what may be sent now, one piece; says whether there was something. The inner failure is the client's own.
    async fn send(&mut self, outbox: &Outbox, link: &mut TestLink) -> Result<Result<bool>> {
        if !self.is_open {
            return Ok(Ok(false));
        }
        let chunk = match self.waiting.take() {
            Some(chunk) => chunk,
            None => match link.next() {
                Ok(Some(Inbound::Data(chunk))) => chunk,
                Ok(Some(Inbound::End(end))) => {
                    (self.is_open, self.has_ended) = (false, true);
                    outbox.send(&End { id: self.id, ..end }).await?;
                    return Ok(Ok(true));
                }
                Ok(None) => return Ok(Ok(false)),
                Err(error) => return Ok(Err(error)),
            },
        };
        if self.sending.open() < chunk.len() as u64 {
            self.waiting = Some(chunk);
            return Ok(Ok(false));
        }
        self.sending.sent(chunk.len());
        outbox.send_data(self.id, chunk).await?;
        Ok(Ok(true))
    }
}

/// What a control frame says.
enum Heard {
    Done(Done),
    Fail(Fail),
    Event(Event),
    Nothing,
}

fn heard(kind: Kind, payload: &[u8]) -> Result<Heard> {
    let map = Map::check(payload)?;
    Ok(match kind {
        Kind::Done => Heard::Done(Done::decode(&map)?),
        Kind::Fail => Heard::Fail(Fail::decode(&map)?),
        Kind::Begin => Heard::Event(Event::Begin(message::Begin::decode(&map)?)),
        Kind::Rows => Heard::Event(Event::Rows(Rows::decode(&map)?)),
        Kind::Problem => Heard::Event(Event::Problem(Problem::decode(&map)?)),
        Kind::Progress => Heard::Event(Event::Progress(Progress::decode(&map)?)),
        Kind::End => Heard::Event(Event::End(End::decode(&map)?)),
        _ => Heard::Nothing,
    })
}
