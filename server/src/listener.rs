//! Accepts connections until told to stop, then lets running requests finish. The only file of the server that names
//! async-std's sockets.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_signal::{Signal, Signals};
use async_std::net::{TcpListener, TcpStream};
use ferry_core::login::Channel;
use ferry_core::wire::message::Fail;
use ferry_core::{Error, ErrorKind, Result, rt};
use futures_lite::{FutureExt as _, StreamExt as _};

use crate::lobby::Far;
use crate::login::Greeting;
use crate::meter::Metered;
use crate::server::Server;
use crate::session::serve;

/// How long running requests may take to finish when the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// The first pause when nothing can be accepted, doubled up to [`PAUSE_MAX`] while it goes on: others must leave first.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Connections that the system keeps for us to accept. With std's 128, a flood makes the system drop what an honest client
/// sends first, and he tries again after a second. The system's own limit (`net.core.somaxconn`) is the same.
const BACKLOG: i32 = 4096;

/// Where connections come in.
pub(crate) struct Listener {
    incoming: TcpListener,
    /// The same socket, to be asked whether somebody waits.
    probe: std::net::TcpListener,
}

impl Listener {
    /// Whether there is a connection to accept.
    fn has_somebody(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut probes = [PollFd::new(&self.probe, PollFlags::IN)];
        poll(&mut probes, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

/// Listens on the address; port 0 picks a free one.
///
/// # Errors
/// `internal`, naming address and cause.
pub(crate) async fn bind(address: SocketAddr) -> Result<(Listener, SocketAddr)> {
    let failed = |error: io::Error| Error::internal(format!("cannot listen on {address}: {error}"));
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
    let address = listener.local_addr().map_err(failed)?;
    let probe = listener.try_clone().map_err(failed)?;
    let listener = Listener {
        incoming: TcpListener::from(listener),
        probe,
    };
    Ok((listener, address))
}

/// Completes when the process is told to stop: SIGTERM or SIGINT.
///
/// # Errors
/// `internal` when the signals cannot be caught.
pub(crate) fn told_to_stop() -> Result<impl Future<Output = ()> + Send> {
    let mut signals =
        Signals::new([Signal::Term, Signal::Int]).map_err(|error| Error::internal("cannot catch signals").caused_by(error))?;
    Ok(async move { while !matches!(signals.next().await, Some(Ok(_)) | None) {} })
}

/// Accepts connections until `stop` completes, then takes no more, waits for running requests and closes the store.
///
/// # Errors
/// What the store says when it is closed.
pub(crate) async fn accept(server: Arc<Server>, listener: Listener, stop: impl Future<Output = ()>) -> Result<()> {
    let accepting = async {
        let mut pause = PAUSE;
        loop {
            match listener.incoming.accept().await {
                Ok((stream, peer)) => {
                    pause = PAUSE;
                    begin(&server, stream, peer);
                }
                // Somebody left before he was accepted: nothing to wait for.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Most likely descriptors have run out, which is told even when nobody waits. Whoever waits stays there to
                    // be accepted: never spin.
                    if listener.has_somebody() {
                        tracing::warn!(%error, "cannot accept");
                        server.lobby.shed();
                    }
                    rt::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    };
    stop.or(accepting).or(server.lobby.keep()).await;
    drop(listener);
    tracing::info!("stopping");
    let sessions = server.sessions();
    let drained = async {
        for session in &sessions {
            session.requests.drain().await;
        }
    };
    if rt::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("requests still running are cut off");
    }
    for session in &sessions {
        session.requests.cancel_all();
        // If the client reads no more, the queue is full and it does not miss the reason.
        session
            .outbox
            .try_send(&Fail::new(0, &Error::new(ErrorKind::Unreachable, "the server is stopping")));
        session.outbox.close();
    }
    server.store.close().await
}

/// Starts serving a connection, if there is room for it.
fn begin(server: &Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    let Some(pass) = server.lobby.enter(peer) else {
        tracing::debug!(%peer, "no room for one more connection");
        return;
    };
    // Header and payload go out in one write, so nothing is gained by waiting for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "peer is gone already");
        return;
    }
    let server = server.clone();
    drop(rt::spawn(async move {
        let metered = Metered::new(stream.clone(), pass.allowance());
        let (tls, limits) = (server.tls(), server.limits());
        let mut greeting = match Greeting::new(limits, tls.is_some()) {
            Ok(greeting) => greeting,
            Err(error) => return tracing::error!(%error, "nobody can be greeted"),
        };
        let Some(tls) = tls else {
            serve(server, (metered, stream.clone()), (Channel::Plain, greeting), &pass).await;
            hang_up(&stream);
            return;
        };
        let (frame, begun) = (std::mem::take(&mut greeting.frame), Instant::now());
        let greeted = rt::timeout(pass.left(server.limits().handshake()), tls.greet(metered, &frame));
        let greeted = pass.unless_cut(async {
            let late = |_| Err(Error::new(ErrorKind::Timeout, "the TLS handshake took too long"));
            greeted.await.unwrap_or_else(late)
        });
        // In a box of its own, as the login in `serve` is: a session keeps no room for what it has behind it.
        match Box::pin(greeted).await {
            Ok((encrypted, channel)) => {
                pass.reached(Far::Encrypted);
                greeting.round_trip = begun.elapsed();
                serve(server, futures_lite::io::split(encrypted), (channel, greeting), &pass).await;
            }
            Err(error) => tracing::info!(%peer, kind = %error.kind, "{error}"),
        }
        hang_up(&stream);
    }));
}

/// Ends a connection now. What is still being written to a peer that takes nothing is not waited for.
fn hang_up(stream: &TcpStream) {
    if let Err(error) = stream.shutdown(Shutdown::Both) {
        tracing::trace!(%error, "peer is gone already");
    }
}
