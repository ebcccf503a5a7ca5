//! The byte stream under a connection, and frames read from it. The only room of the client that names the runtime's sockets.

use std::net::SocketAddr;

use async_std::net::{TcpStream, ToSocketAddrs as _};
use ferry_core::wire::frame::{HEADER_BYTES, Header, ID_BYTES, Stage};
use ferry_core::{Chunk, rt};
use futures_lite::io::BufReader;
use futures_lite::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::connection::{Deadlines, gone};
use crate::exit::{Failure, Result, plain};

/// Headers and small frames are read so many bytes at a time; contents go past this buffer.
const READ_BUFFER_BYTES: usize = 16 * 1024;

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
            .map_err(|error| Failure::network(format!("{shown}: {}", plain(&error))))?
            .collect();
        let local: Vec<SocketAddr> = addresses.iter().copied().filter(|a| a.ip().is_loopback()).collect();
        if local.is_empty() && !addresses.is_empty() {
            return Err(Failure::login(format!(
                "{shown} is not on this machine, and connections without encryption do not leave it"
            )));
        }
        TcpStream::connect(local.as_slice())
            .await
            .map_err(|error| Failure::network(format!("{shown}:{port}: {}", plain(&error))))
    };
    let stream = rt::timeout(deadlines.connect, attempt)
        .await
        .map_err(|_| Failure::network(format!("{shown}:{port}: no answer")))??;
    // Without this a small frame behind another one waits for a delayed acknowledgement.
    stream.set_nodelay(true).map_err(|error| gone(&error))?;
    // TLS wraps the stream here, before the first frame.
    Ok(Transport {
        reader: Box::new(stream.clone()),
        writer: Box::new(stream),
    })
}

/// Frames, read one after the other.
pub(crate) struct Frames {
    reader: BufReader<Reader>,
    /// How far the connection is, which decides how long frames may be.
    pub(crate) stage: Stage,
    payload: Vec<u8>,
}

impl Frames {
    pub(crate) fn new(reader: Reader) -> Self {
        Self {
            reader: BufReader::with_capacity(READ_BUFFER_BYTES, reader),
            stage: Stage::BeforeLogin,
            payload: Vec::new(),
        }
    }

    /// Reads a header and checks it.
    pub(crate) async fn header(&mut self) -> Result<Header> {
        let mut bytes = [0; HEADER_BYTES];
        self.fill(&mut bytes).await?;
        Header::read(bytes, self.stage).map_err(Failure::protocol)
    }

    /// Reads the payload of a control frame, whose header has bounded its length.
    pub(crate) async fn payload(&mut self, len_bytes: usize) -> Result<&[u8]> {
        let mut payload = std::mem::take(&mut self.payload);
        payload.resize(len_bytes, 0);
        self.fill(&mut payload).await?;
        self.payload = payload;
        Ok(&self.payload)
    }

    /// Reads the request's number in front of contents.
    pub(crate) async fn data_id(&mut self) -> Result<u32> {
        let mut bytes = [0; ID_BYTES];
        self.fill(&mut bytes).await?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// Reads exactly as much as fits.
    pub(crate) async fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.reader.read_exact(bytes).await.map_err(|error| gone(&error))
    }

    /// Reads over a frame of an optional kind that is not known.
    pub(crate) async fn skip(&mut self, len_bytes: usize) -> Result<()> {
        let mut left = len_bytes;
        while left > 0 {
            let mut chunk = Chunk::with_len(left);
            self.fill(&mut chunk).await?;
            left -= chunk.len();
        }
        Ok(())
    }
}
