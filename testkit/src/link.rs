//! The client's side of one request, without a socket: takes in what a verb sends and sends what it asks for. Every message
//! crosses the wire's encoding on its way.

use ferry_core::chunk::{CHUNK_BYTES, Chunk};
use ferry_core::context::{Event, Inbound, Link, check_end};
use ferry_core::store::CODE_START;
use ferry_core::verb::BoxFuture;
use ferry_core::wire::frame::HEADER_BYTES;
use ferry_core::wire::message::{Begin, ColumnInfo, End, Message, Offer, Problem};
use ferry_core::wire::{DATA_MAX_BYTES, Map};
use ferry_core::{Algorithm, Error, ErrorKind, Layout, Result, Value};

/// A body that a test sends, with what the client says of it.
#[derive(Debug, Clone)]
pub struct Sent {
    bytes: Vec<u8>,
    offer: Offer,
    cut: Option<usize>,
    wrong_digest: bool,
}

impl Sent {
    /// Contents of a declared size.
    pub fn file(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let size = Some(bytes.len() as u64);
        Self {
            offer: Offer {
                size,
                ..Offer::default()
            },
            bytes,
            cut: None,
            wrong_digest: false,
        }
    }

    /// Contents whose size nobody knows before their end.
    pub fn stream(bytes: impl Into<Vec<u8>>) -> Self {
        Self::file(bytes).offer(|offer| offer.size = None)
    }

    /// A folder: no contents.
    pub fn folder() -> Self {
        Self::stream(Vec::new()).offer(|offer| offer.folder = true)
    }

    /// Changes what the client says of it.
    #[must_use]
    pub fn offer(mut self, change: impl FnOnce(&mut Offer)) -> Self {
        change(&mut self.offer);
        self
    }

    /// Has the connection break when so many bytes, counted from the beginning of the contents, have been sent.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// Ends with a digest that is not that of the contents.
    #[must_use]
    pub fn wrong_digest(mut self) -> Self {
        self.wrong_digest = true;
        self
    }

    /// What the client says of it.
    pub(crate) fn said(&self) -> &Offer {
        &self.offer
    }
}

impl From<&[u8]> for Sent {
    fn from(bytes: &[u8]) -> Self {
        Self::file(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Sent {
    fn from(bytes: &[u8; N]) -> Self {
        Self::file(*bytes)
    }
}

/// What came of a request, before its last word.
#[derive(Debug, Default)]
pub(crate) struct TestLink {
    pub(crate) sent: Option<Sent>,
    /// How many bytes of the sent body are on their way.
    at: usize,
    pub(crate) begin: Option<Begin>,
    pub(crate) layout: Layout,
    pub(crate) columns: Vec<ColumnInfo>,
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: Option<End>,
}

/// Sends a message through the wire's encoding.
pub(crate) fn cross<M: Message>(message: &M) -> Result<M> {
    let mut frame = Vec::new();
    message.encode(&mut frame)?;
    M::decode(&Map::check(&frame[HEADER_BYTES..])?)
}

impl TestLink {
    pub(crate) fn new(sent: Option<Sent>) -> Self {
        Self { sent, ..Self::default() }
    }

    fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Begin(begin) => self.begin(cross(&begin)?)?,
            Event::Rows(rows) => {
                let rows = cross(&rows)?;
                if let Some(columns) = rows.columns {
                    (self.columns, self.layout) = (columns, rows.layout);
                }
                self.rows.extend(rows.rows);
            }
            Event::Problem(problem) => self.problems.push(cross(&problem)?),
            Event::Progress(progress) => drop(cross(&progress)?),
            Event::Data(chunk) if chunk.len() > DATA_MAX_BYTES => {
                return Err(Error::internal("more contents than fit into a frame"));
            }
            Event::Data(chunk) => self.body.extend_from_slice(&chunk),
            Event::End(end) => {
                let end = cross(&end)?;
                if self.begin.as_ref().is_some_and(|begin| begin.code == CODE_START) {
                    check_end(&end, self.body.len() as u64, end.digest.algorithm().digest(&self.body))?;
                }
                self.end = Some(end);
            }
        }
        Ok(())
    }

    /// Takes note of where the body starts. A client goes on only when the other side proves that it holds the same bytes.
    fn begin(&mut self, begin: Begin) -> Result<()> {
        if let Some(sent) = &self.sent {
            let offset = usize::try_from(begin.offset).ok();
            let held = offset.and_then(|offset| sent.bytes.get(..offset));
            let same = held.is_some_and(|held| held.is_empty() || begin.prefix == Some(Algorithm::Blake3.digest(held)));
            if !same {
                return Err(Error::new(ErrorKind::Cancelled, "the server holds other bytes"));
            }
            self.at = held.map_or(0, <[u8]>::len);
        }
        self.begin = Some(begin);
        Ok(())
    }

    fn give(&mut self) -> Result<Inbound> {
        let Some(sent) = &self.sent else {
            return Err(Error::internal("a body is read and none was sent"));
        };
        if self.begin.is_none() {
            return Err(Error::internal("a body is read before its begin was sent"));
        }
        let until = sent.cut.unwrap_or(usize::MAX).min(sent.bytes.len());
        if self.at < until {
            let chunk = Chunk::from(&sent.bytes[self.at..until.min(self.at + CHUNK_BYTES)]);
            self.at += chunk.len();
            return Ok(Inbound::Data(chunk));
        }
        if sent.cut.is_some() {
            return Err(Error::new(ErrorKind::Cancelled, "the connection broke"));
        }
        let algorithm = sent.offer.digest;
        let digest = if sent.wrong_digest {
            algorithm.digest(b"something else")
        } else {
            algorithm.digest(&sent.bytes)
        };
        let size = sent.bytes.len() as u64;
        cross(&End { id: 0, size, digest }).map(Inbound::End)
    }
}

impl Link for TestLink {
    fn emit(&mut self, event: Event) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(self.take(event)))
    }

    fn receive(&mut self) -> BoxFuture<'_, Result<Inbound>> {
        Box::pin(std::future::ready(self.give()))
    }
}
