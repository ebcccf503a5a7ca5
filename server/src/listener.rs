//! Accepts connections until told to stop, then lets running requests finish. The only file of the server that names
//! async-std's sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_signal::{Signal, Signals};
use async_std::net::{TcpListener, TcpStream};
use ferry_core::login::Channel;
use ferry_core::{Error, ErrorKind, Result, rt};
use futures_lite::{FutureExt as _, StreamExt as _};

use crate::server::Server;
use crate::session::serve;

/// How long running requests may take to finish when the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// The most time for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait when the system has no more descriptors: others must leave first.
const BREATH: Duration = Duration::from_millis(100);

/// Listens on the address; port 0 picks a free one.
///
/// # Errors
/// `internal`, naming address and cause.
pub(crate) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let failed = |error: std::io::Error| Error::internal(format!("cannot listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
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
pub(crate) async fn accept(server: Arc<Server>, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<()> {
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => begin(&server, stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    rt::sleep(BREATH).await;
                }
            }
        }
    };
    stop.or(accepting).await;
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
        session.outbox.close();
    }
    server.store.close().await
}

fn begin(server: &Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    // Header and payload go out in one write, so nothing is gained by waiting for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "peer is gone already");
        return;
    }
    let server = server.clone();
    drop(rt::spawn(async move {
        let peer = peer.to_string();
        let Some(tls) = server.tls.clone() else {
            return serve(server, (stream.clone(), stream), Channel::Plain, peer).await;
        };
        let greeted = rt::timeout(HANDSHAKE, tls.greet(stream)).await;
        match greeted.unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "the TLS handshake took too long"))) {
            Ok((stream, channel)) => serve(server, futures_lite::io::split(stream), channel, peer).await,
            Err(error) => tracing::info!(peer, kind = %error.kind, "{error}"),
        }
    }));
}
