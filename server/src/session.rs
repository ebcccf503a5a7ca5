//! One connection after another: frames in, dispatch, frames out. A failed verb never costs the connection; a broken frame
//! always does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_lock::Semaphore;
use ferry_core::dispatch::{Env, caught, dispatch};
use ferry_core::login::Channel;
use ferry_core::logins::Logins;
use ferry_core::wire::Kind;
use ferry_core::wire::frame::{HEADER_BYTES, Header, Stage};
use ferry_core::wire::guard::Map;
use ferry_core::wire::io::{FrameReader, Incoming, Outbox, outbox};
use ferry_core::wire::message::{self, Cancel, Complete, End, Expand, Fail, Message as _};
use ferry_core::{Body, Error, ErrorKind, Result, rt};
use futures_lite::{AsyncRead, AsyncWrite, FutureExt as _};

use crate::accounts::Live;
use crate::audit::{self, Asked, Who};
use crate::limits::{self, Limits};
use crate::link::WireLink;
use crate::lobby::Pass;
use crate::login::{Entered, enter};
use crate::requests::{Ends, Request, Requests, Takes};
use crate::server::Server;
use crate::watch::Watched;

/// How long a peer that did not log in may take to read why.
const LINGER: Duration = Duration::from_secs(2);

/// So many requests of one connection that gather names before they answer run at once.
const GATHERING_MAX: usize = 4;

/// Someone who is logged in.
pub(crate) struct Session {
    /// What all connections share.
    pub(crate) server: Arc<Server>,
    /// The account's name.
    pub(crate) user: String,
    /// The address of his end.
    pub(crate) peer: String,
    /// The account, live.
    live: Arc<Live>,
    /// His saved logins.
    logins: Arc<dyn Logins>,
    /// The requests in flight.
    pub(crate) requests: Requests,
    /// What the client gets.
    limits: Arc<Limits>,
    /// Requests that gather names, at most [`GATHERING_MAX`] at once.
    gathering: Semaphore,
    /// Where frames for the client go.
    pub(crate) outbox: Outbox,
}

/// Serves a connection from hello to end. The login is bound to the `channel`.
pub(crate) async fn serve<R, W>(server: Arc<Server>, (reader, writer): (R, W), channel: Channel, pass: &Pass)
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (outbox, writer) = outbox(writer);
    let writing = rt::spawn(writer.run());
    let mut reader = FrameReader::new(reader);
    let peer = pass.peer.to_string();
    let mut is_stranger = true;
    match enter(&server, channel, &mut reader, &outbox, pass).await {
        Ok(None) => tracing::debug!(peer, "left before login"),
        Err(error) => tracing::info!(peer, kind = %error.kind, "{error}"),
        Ok(Some(entered)) => {
            is_stranger = false;
            logged_in(server, entered, &mut reader, &outbox, &peer).await;
        }
    }
    // What was put into the queue is still written, then the stream is closed.
    outbox.close();
    let written = match is_stranger {
        true => rt::timeout(LINGER, writing).await.unwrap_or(Ok(())),
        false => writing.await,
    };
    if let Err(error) = written {
        tracing::debug!(peer, "{error}");
    }
}

async fn logged_in<R: AsyncRead + Unpin>(
    server: Arc<Server>,
    entered: Entered,
    reader: &mut FrameReader<R>,
    outbox: &Outbox,
    peer: &str,
) {
    let Entered {
        live,
        name,
        saved,
        hello,
        limits,
        seat: _seat,
    } = entered;
    let end = live.end.clone();
    let requests = Requests::new(hello.limits.window, limits::count(limits.requests));
    let session = Arc::new(Session {
        server: server.clone(),
        logins: server.logins(&name),
        user: name,
        peer: peer.to_owned(),
        live,
        requests,
        limits,
        gathering: Semaphore::new(GATHERING_MAX),
        outbox: outbox.clone(),
    });
    let number = server.enter(&session);
    audit::login(session.who(), saved.as_deref(), None);
    let ended = async {
        let _ = end.recv().await;
        Err(Error::new(ErrorKind::LoginRefused, "the account was changed; log in again"))
    };
    // First: a client that never pauses must not keep its session alive.
    let result = ended.or(session.read_all(reader)).await;
    if let Err(error) = &result {
        // If the client reads no more, the queue is full and it does not miss the reason.
        outbox.try_send(&Fail::new(0, error));
    }
    session.requests.cancel_all();
    server.leave(number);
    match result {
        Ok(()) => tracing::info!(peer, user = session.user, "left"),
        Err(error) => tracing::info!(peer, user = session.user, kind = %error.kind, "ended: {error}"),
    }
}

impl Session {
    fn who(&self) -> Who<'_> {
        Who {
            user: &self.user,
            address: &self.peer,
        }
    }

    /// Writes a request that was answered into the audit log.
    pub(crate) fn audit<T>(&self, request: &Request, result: &Result<T>) {
        let ms = crate::watch::now_ms().saturating_sub(request.since_ms);
        let asked = request.asked.get_or_init(Asked::default);
        audit::request(self.who(), asked, request.moved.load(Ordering::Relaxed), result, ms);
    }

    /// Whether contents that follow a request for this verb at once are for somebody.
    fn takes_body(&self, verb: &str) -> bool {
        let entry = self.server.registry.resolve(verb, &self.live.now().0);
        entry.is_ok_and(|entry| entry.command.spec().body == Body::In)
    }

    /// Reads frames until the client leaves.
    async fn read_all<R: AsyncRead + Unpin>(self: &Arc<Self>, reader: &mut FrameReader<R>) -> Result<()> {
        loop {
            match reader.next(Stage::LoggedIn, self.limits.idle()).await {
                Ok(None) => return Ok(()),
                Ok(Some(incoming)) => self.take(incoming).await?,
                // A client that waits for a long request says nothing, and is not idle.
                Err(error) if error.kind == ErrorKind::Timeout && !self.requests.all().is_empty() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn take(self: &Arc<Self>, incoming: Incoming) -> Result<()> {
        match incoming {
            Incoming::Data(id, chunk) => self.requests.data(id, chunk),
            Incoming::Grant(id, bytes) => self.requests.grant(id, bytes),
            Incoming::Echo(Kind::Ping, bytes) => {
                let mut frame = Vec::with_capacity(HEADER_BYTES + bytes.len());
                frame.extend_from_slice(&Header::write(Kind::Pong, bytes.len()));
                frame.extend_from_slice(&bytes);
                self.outbox.send_frame(frame).await
            }
            Incoming::Echo(..) => Ok(()),
            Incoming::Control(kind, payload) => {
                let map = Map::check(&payload)?;
                let (id, verb, body) = match kind {
                    Kind::Cancel => {
                        self.requests.cancel(Cancel::decode(&map)?.id);
                        return Ok(());
                    }
                    Kind::End => return self.requests.end(End::decode(&map)?),
                    Kind::Request => {
                        let request = message::Request::decode(&map)?;
                        let body = match request.body.is_some_and(|body| body.eager) {
                            true if self.takes_body(&request.verb) => Takes::Now,
                            true => Takes::ToDrop,
                            false => Takes::Later,
                        };
                        (request.id, audit::name(&request.verb), body)
                    }
                    Kind::Complete => (Complete::decode(&map)?.id, "complete".to_owned(), Takes::Later),
                    Kind::Expand => (Expand::decode(&map)?.id, "expand".to_owned(), Takes::Later),
                    other => return Err(Error::bad_request(format!("{other:?} is nothing a client says"))),
                };
                self.server.log_room().await;
                match self.requests.begin(id, verb, body)? {
                    Err(fail) => self.outbox.send(&fail).await,
                    Ok((request, ends)) => {
                        // The task runs on by itself; it is stopped through the request.
                        drop(rt::spawn(self.clone().run(kind, payload, request, ends)));
                        Ok(())
                    }
                }
            }
        }
    }

    /// Runs one request to its answer.
    async fn run(self: Arc<Self>, kind: Kind, payload: Vec<u8>, request: Arc<Request>, ends: Ends) {
        let stop = ends.stop.clone();
        if audit::is_kept() {
            let _ = request.asked.set(Asked::of(&self.server.registry, kind, &payload));
        }
        let mut link = WireLink::new(request.clone(), ends, self.outbox.clone(), self.limits.stall());
        let work = async {
            // What gathers names before it answers takes turns, so that a client cannot have it all at once.
            let _turn = match kind {
                Kind::Complete | Kind::Expand => Some(self.gathering.acquire().await),
                _ => None,
            };
            let (user, quota) = self.live.now();
            let home = self.server.store.home(&user.name, quota).await?;
            let env = Env {
                registry: self.server.registry.clone(),
                user,
                home,
                logins: self.logins.clone(),
            };
            dispatch(&env, kind, &Map::check(&payload)?, &mut link).await
        };
        let stopped = async {
            let _ = stop.recv().await;
            Err(Error::new(ErrorKind::Cancelled, "cancelled"))
        };
        // Dispatch answers for the verb; what is around it may break down too, and the client is owed an answer all the same.
        let result = Watched::new(request.clone(), caught(work)).or(stopped).await;
        // What came for it and was not taken goes now: a client that does not read may hold its answer up.
        drop(link);
        if !request.may_answer() {
            self.server.gives_up(-1);
            return;
        }
        let sent = match &result {
            Ok(done) => {
                self.outbox
                    .send(&message::Done {
                        id: request.id,
                        ..done.clone()
                    })
                    .await
            }
            Err(error) => {
                if let Some(source) = &error.source {
                    tracing::warn!(user = self.user, verb = request.verb, kind = %error.kind, %source, "{error}");
                }
                self.outbox.send(&Fail::new(request.id, error)).await
            }
        };
        if let Err(error) = sent
            && error.kind != ErrorKind::Unreachable
        {
            // The answer fits no frame: say so rather than nothing.
            let _ = self.outbox.send(&Fail::new(request.id, &error)).await;
        }
        self.audit(&request, &result);
        self.requests.finish(request.id);
    }
}
