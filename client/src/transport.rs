//! The byte stream under a connection. The only room of the client that names the runtime's sockets.

use std::net::SocketAddr;

use async_std::net::{TcpStream, ToSocketAddrs as _};
use ferry_core::rt;
use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::Deadlines;
use crate::exit::{Failure, Result, plain};

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
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transport")
    }
}

/// Connects to a server.
///
/// # Errors
/// Exit code 8 when nobody is there, 3 when the address is not on this machine: without encryption nothing leaves it.
pub async fn dial(host: &str, port: u16, deadlines: Deadlines) -> Result<Transport> {
    let shown = ferry_core::text::escape(host.as_bytes());
    let attempt = async {
        let found = (host, port).to_socket_addrs().await;
        let addresses: Vec<SocketAddr> = found
            .map_err(|error| Failure::unreachable(format!("{shown}: {}", plain(&error))))?
            .collect();
        let local: Vec<SocketAddr> = addresses.iter().copied().filter(|a| a.ip().is_loopback()).collect();
        if local.is_empty() && !addresses.is_empty() {
            return Err(Failure::login(format!(
                "{shown} is not on this machine, and connections without encryption do not leave it"
            )));
        }
        TcpStream::connect(local.as_slice())
            .await
            .map_err(|error| Failure::unreachable(format!("{shown}:{port}: {}", plain(&error))))
    };
    let stream = rt::timeout(deadlines.connect, attempt)
        .await
        .map_err(|_| Failure::timeout(format!("{shown}:{port}: no answer")))??;
    // Without this a small frame behind another one waits for a delayed acknowledgement.
    let prompt = stream.set_nodelay(true);
    prompt.map_err(|error| Failure::unreachable(format!("{shown}:{port}: {}", plain(&error))))?;
    // TLS wraps the stream here, before the first frame.
    Ok(Transport {
        reader: Box::new(stream.clone()),
        writer: Box::new(stream),
    })
}
