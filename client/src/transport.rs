//! The byte stream under a connection. The only room of the client that names the runtime's sockets.

use std::net::SocketAddr;

use async_std::net::{TcpStream, ToSocketAddrs as _};
use ferry_core::fingerprint::Fingerprint;
use ferry_core::login::Channel;
use ferry_core::rt;
use ferry_core::text::escape;
use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::Deadlines;
use crate::exit::{Failure, Result, plain};
use crate::options::Target;
use crate::tls;
use crate::trust::Trust;

/// What a connection reads from.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// What a connection writes to.
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Both directions of a stream to a server, before anything was said.
pub struct Transport {
    /// From the server.
    pub reader: Reader,
    /// To the server.
    pub writer: Writer,
    /// What a login is bound to.
    pub channel: Channel,
    /// The server's key; none without TLS.
    pub key: Option<Fingerprint>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transport({:?})", self.channel)
    }
}

/// Connects to a server that is trusted. Asks the user about a new key when that is wanted, and then connects once more: no
/// server waits for a person.
///
/// # Errors
/// Exit code 8 when nobody is there, 3 when its key is not trusted, and without TLS when the address is not on this machine.
pub async fn dial(target: &Target, trust: &Trust, deadlines: Deadlines) -> Result<Transport> {
    loop {
        let attempt = rt::timeout(deadlines.connect, connect(target, trust)).await;
        let shown = escape(target.host.as_bytes());
        let (transport, key) = attempt.map_err(|_| Failure::timeout(format!("{shown}:{}: no answer", target.port)))??;
        let Some(key) = key else {
            return Ok(transport);
        };
        drop(transport);
        crate::ask::about_key(trust, target, key).await?;
    }
}

/// Connects; gives the server's key when the user has to be asked about it first.
async fn connect(target: &Target, trust: &Trust) -> Result<(Transport, Option<Fingerprint>)> {
    let stream = open(target, trust.tls).await?;
    if !trust.tls {
        let transport = Transport {
            reader: Box::new(stream.clone()),
            writer: Box::new(stream),
            channel: Channel::Plain,
            key: None,
        };
        return Ok((transport, None));
    }
    let greeted = tls::greet(stream, &target.host, trust.authority.as_deref()).await?;
    let is_trusted = {
        let (target, trust) = (target.clone(), trust.clone());
        let (key, is_vouched_for) = (greeted.key, greeted.is_vouched_for);
        rt::unblock(move || trust.check(&target, key, is_vouched_for)).await?
    };
    let (reader, writer) = futures_lite::io::split(greeted.stream);
    let transport = Transport {
        reader: Box::new(reader),
        writer: Box::new(writer),
        channel: greeted.channel,
        key: Some(greeted.key),
    };
    Ok((transport, (!is_trusted).then_some(greeted.key)))
}

async fn open(target: &Target, tls: bool) -> Result<TcpStream> {
    let (host, port) = (target.host.as_str(), target.port);
    let shown = escape(host.as_bytes());
    let failed = |error: std::io::Error| {
        let failure = Failure::unreachable(format!("{shown}:{port}: {}", plain(&error)));
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                failure.hint("no server listens there: is it running, and is the port right?")
            }
            _ => failure,
        }
    };
    let found = (host, port).to_socket_addrs().await;
    let unknown = |error| Failure::unreachable(format!("{shown}: {}", plain(&error)));
    let found = found.map_err(|error| unknown(error).hint("is the host's name spelled right? profiles stand in config.toml"))?;
    let (near, far): (Vec<SocketAddr>, Vec<SocketAddr>) = found.partition(|address| address.ip().is_loopback());
    let addresses = match tls {
        true => [near, far].concat(),
        false if near.is_empty() && !far.is_empty() => {
            let text = format!("{shown} is not on this machine, and connections without encryption do not leave it");
            return Err(Failure::login(text).hint("leave out --no-tls"));
        }
        false => near,
    };
    let stream = TcpStream::connect(addresses.as_slice()).await.map_err(failed)?;
    // Without this a small frame behind another one waits for a delayed acknowledgement.
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}
