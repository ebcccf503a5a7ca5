//! One connection after another: frames in, dispatch, frames out. A failed verb never costs the connection; a broken frame
//! always does.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_lock::Semaphore;
use ferry_core::dispatch::{Ask, Env, answer, caught};
use ferry_core::login::Channel;
use ferry_core::logins::Logins;
use ferry_core::wire::io::{Outbox, direct_outbox};
use ferry_core::wire::message::{Done, Fail, Message as _};
use ferry_core::{Body, Error, ErrorKind, Result, rt};
use futures_lite::{AsyncRead, AsyncWrite, FutureExt as _};

use crate::accounts::Live;
use crate::audit::{self, Asked, Who};
use crate::lead::{Lead, Reader, Work};
use crate::limits::{self, Limits};
use crate::link::WireLink;
use crate::lobby::Pass;
use crate::login::{Entered, Greeting, enter};
use crate::requests::{Request, Requests, Takes};
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
    /// The most contents that the client takes in one frame, in bytes.
    frame_bytes: usize,
    /// What the client gets.
    pub(crate) limits: Arc<Limits>,
    /// Requests that gather names, at most [`GATHERING_MAX`] at once.
    gathering: Semaphore,
    /// What his verbs get, as of that state of the account.
    env: Mutex<Option<(u64, Arc<Env>)>>,
    /// What whoever leads the connection works on.
    pub(crate) lead: Lead,
    /// Where frames for the client go.
    pub(crate) outbox: Outbox,
}

/// The answer to a request, ready to be written.
pub(crate) struct Answer {
    pub(crate) request: Arc<Request>,
    pub(crate) frames: Vec<u8>,
}

/// Serves a connection from hello to end. The login is bound to the channel.
pub(crate) async fn serve<R, W>(server: Arc<Server>, (reader, writer): (R, W), begun: (Channel, Greeting), pass: &Pass)
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (outbox, writer) = direct_outbox(writer);
    let writing = rt::spawn(writer.run());
    let mut reader = Reader::new(Box::new(reader));
    let peer = pass.peer.to_string();
    let mut is_stranger = true;
    let entered = Box::pin(enter(&server, begun, &mut reader, &outbox, pass)).await;
    match entered {
        Ok(None) => tracing::debug!(peer, "left before login"),
        Err(error) => tracing::info!(peer, kind = %error.kind, "{error}"),
        Ok(Some(entered)) => {
            is_stranger = false;
            logged_in(server, entered, reader, &outbox, &peer).await;
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

async fn logged_in(server: Arc<Server>, entered: Entered, reader: Reader, outbox: &Outbox, peer: &str) {
    let Entered {
        live,
        name,
        saved,
        hello,
        limits,
        round_trip,
        seat: _seat,
    } = entered;
    let requests = Requests::new(hello.limits.window, limits::count(limits.requests)).over(round_trip);
    let session = Arc::new(Session {
        server: server.clone(),
        logins: server.logins(&name),
        user: name,
        peer: peer.to_owned(),
        live,
        requests,
        frame_bytes: limits::count(hello.limits.data.into()),
        limits,
        gathering: Semaphore::new(GATHERING_MAX),
        env: Mutex::default(),
        lead: Lead::new(),
        outbox: outbox.clone(),
    });
    let number = server.enter(&session);
    audit::login(session.who(), saved.as_deref(), None);
    session.begin(reader);
    let changed = async {
        let _ = session.live.end.recv().await;
        Err(Error::new(ErrorKind::LoginRefused, "the account was changed; log in again"))
    };
    // Not in the task that reads: a client that never pauses, or a verb that never returns, must not keep its session alive.
    let result = changed.or(session.lead.ended()).await;
    if let Err(error) = &result {
        // If the client reads no more, the queue is full and it does not miss the reason.
        outbox.try_send(&Fail::new(0, error));
    }
    session.lead.stop();
    session.requests.end_all();
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
        if audit::is_kept() {
            let ms = crate::watch::now_ms().saturating_sub(request.since_ms);
            let asked = request.asked.get_or_init(Asked::default);
            audit::request(self.who(), asked, request.moved.load(Ordering::Relaxed), result, ms);
        }
    }

    /// When contents may come for a request, and the name of its verb as it may be shown.
    pub(crate) fn takes(&self, ask: &Ask) -> (Takes, Cow<'static, str>) {
        let request = match ask {
            Ask::Request(request) => request,
            Ask::Complete(_) => return (Takes::Never, "complete".into()),
            Ask::Expand(_) => return (Takes::Never, "expand".into()),
        };
        let is_eager = request.body.as_ref().is_some_and(|body| body.eager);
        let spec = self.server.registry.find(&request.verb).map(|entry| entry.command.spec());
        let takes = match spec.map_or(Body::None, |spec| spec.body) {
            // Contents that follow a request at once are for somebody only if he may run it.
            Body::In if is_eager && self.server.registry.resolve(&request.verb, &self.live.now().0).is_ok() => Takes::Now,
            _ if is_eager => Takes::ToDrop,
            Body::None => Takes::Never,
            _ => Takes::Later,
        };
        (
            takes,
            spec.map_or_else(|| audit::name(&request.verb).into(), |spec| spec.name.into()),
        )
    }

    /// What verbs get.
    async fn env(&self) -> Result<Arc<Env>> {
        let state = self.live.changes();
        let known = |env: &Option<(u64, Arc<Env>)>| env.as_ref().filter(|(of, _)| *of == state).map(|(_, env)| env.clone());
        if let Some(env) = known(&self.env.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(env);
        }
        let (user, quota) = self.live.now();
        let home = self.server.store.home(&user.name, quota).await?;
        let env = Arc::new(Env {
            registry: self.server.registry.clone(),
            user,
            home,
            logins: self.logins.clone(),
        });
        *self.env.lock().unwrap_or_else(PoisonError::into_inner) = Some((state, env.clone()));
        Ok(env)
    }

    /// Runs one request to its answer, in frames; `None` when it has been given up and answered meanwhile.
    pub(crate) async fn run(self: Arc<Self>, work: Work) -> Option<Answer> {
        let Work {
            ask,
            payload,
            args,
            request,
            ends,
        } = work;
        let args = args.and_then(|args| payload.get(args));
        if audit::is_kept() {
            let _ = request.asked.set(Asked::of(&self.server.registry, &ask, args));
        }
        let mut link = WireLink::new(
            request.clone(),
            ends,
            (self.outbox.clone(), self.frame_bytes),
            self.limits.stall(),
        );
        let result = {
            let work = pin!(async {
                // What gathers names before it answers takes turns, so that a client cannot have it all at once.
                let _turn = match ask {
                    Ask::Request(_) => None,
                    Ask::Complete(_) | Ask::Expand(_) => Some(self.gathering.acquire().await),
                };
                answer(&*self.env().await?, ask, args, &mut link).await
            });
            // Dispatch answers for the verb; what is around it may break down too, and the client is owed an answer all the same.
            Watched::new(&request, pin!(caught(work))).await
        };
        let mut frames = link.into_last();
        if !request.may_answer() {
            self.server.gives_up(-1);
            return None;
        }
        self.answer(&request, &result, &mut frames);
        Some(Answer { request, frames })
    }

    /// Sends the answer to a request.
    pub(crate) async fn send(&self, Answer { request, frames }: Answer) {
        // Nobody is there to be told when the connection is gone.
        let _ = match request.has_body() {
            // Small files come and are answered many at a time: the writer gathers.
            true => self.outbox.send_frame(frames).await,
            false => self.outbox.send_now(frames).await,
        };
        self.requests.finish([request.id]);
    }

    /// Adds the answer to a request to `frames`, and tells the audit log.
    fn answer(&self, request: &Request, result: &Result<Done>, frames: &mut Vec<u8>) {
        let written = match result {
            Ok(done) => done.encode(frames),
            Err(error) => {
                if let Some(source) = &error.source {
                    tracing::warn!(user = self.user, verb = &*request.verb, kind = %error.kind, %source, "{error}");
                }
                Fail::new(request.id, error).encode(frames)
            }
        };
        if let Err(error) = written {
            // The answer fits no frame: say so rather than nothing.
            let _ = Fail::new(request.id, &error).encode(frames);
        }
        self.audit(request, result);
    }
}
