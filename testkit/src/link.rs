//! The client's side of one request: takes in what a verb sends and sends what it asks for. In process it is the verb's link
//! itself, and every message crosses the wire's encoding on its way; over a socket it says what a client does.

use ferry_core::chunk::{CHUNK_BYTES, Chunk};
use ferry_core::context::{Event, Inbound, Link, check_end};
use ferry_core::store::CODE_START;
use ferry_core::verb::BoxFuture;
use ferry_core::wire::frame::HEADER_BYTES;
use ferry_core::wire::message::{Begin, ColumnInfo, End, Message, Problem};
use ferry_core::wire::{DATA_MAX_BYTES, Map};
use ferry_core::{Algorithm, Error, ErrorKind, Layout, Result, Value};

use crate::sent::{Sent, Stop};

/// What came of a request, before its last word.
#[derive(Debug, Default)]
pub(crate) struct TestLink {
    pub(crate) sent: Option<Sent>,
    /// How many bytes of the sent body are on their way.
    at: usize,
    /// Whether each event waits for one turn first.
    pub(crate) pauses: bool,
    /// Why the client gave up, when it did.
    pub(crate) gave_up: Option<Error>,
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

fn cancelled(text: &'static str) -> Error {
    Error::new(ErrorKind::Cancelled, text)
}

impl TestLink {
    pub(crate) fn new(sent: Option<Sent>) -> Self {
        Self { sent, ..Self::default() }
    }

    /// Takes an event in. What it gathers does not say which request it was of, so that two can be compared.
    ///
    /// # Errors
    /// What no client would put up with.
    pub(crate) fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Begin(begin) => self.begin(Begin { id: 0, ..cross(&begin)? })?,
            Event::Rows(rows) => {
                let rows = cross(&rows)?;
                if let Some(columns) = rows.columns {
                    (self.columns, self.layout) = (columns, rows.layout);
                }
                self.rows.extend(rows.rows);
            }
            Event::Problem(problem) => self.problems.push(Problem {
                id: 0,
                ..cross(&problem)?
            }),
            Event::Progress(progress) => drop(cross(&progress)?),
            Event::Data(chunk) if chunk.len() > DATA_MAX_BYTES => {
                return Err(Error::internal("more contents than fit into a frame"));
            }
            Event::Data(chunk) => self.body.extend_from_slice(&chunk),
            Event::End(end) => {
                let end = End { id: 0, ..cross(&end)? };
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
                self.gave_up = Some(cancelled("the server holds other bytes"));
                return Err(cancelled("the server holds other bytes"));
            }
            self.at = held.map_or(0, <[u8]>::len);
        }
        self.begin = Some(begin);
        Ok(())
    }

    /// What the client sends next; `None` when nothing comes any more.
    ///
    /// # Errors
    /// `cancelled` when the connection is to break here.
    pub(crate) fn next(&mut self) -> Result<Option<Inbound>> {
        let Some(sent) = &self.sent else {
            return Err(Error::internal("a body is read and none was sent"));
        };
        let until = sent.stops.map_or(usize::MAX, |(bytes, _)| bytes).min(sent.bytes.len());
        if self.at < until {
            let chunk = Chunk::from(&sent.bytes[self.at..until.min(self.at + CHUNK_BYTES)]);
            self.at += chunk.len();
            return Ok(Some(Inbound::Data(chunk)));
        }
        match sent.stops {
            Some((_, Stop::Cut)) => {
                self.gave_up = Some(cancelled("the connection broke"));
                return Err(cancelled("the connection broke"));
            }
            Some((_, Stop::Stall)) => return Ok(None),
            None => {}
        }
        let algorithm = sent.offer.digest;
        let digest = if sent.wrong_digest {
            algorithm.digest(b"something else")
        } else {
            algorithm.digest(&sent.bytes)
        };
        let size = sent.bytes.len() as u64;
        cross(&End { id: 0, size, digest }).map(Inbound::End).map(Some)
    }

    fn give(&mut self) -> Result<Inbound> {
        let is_eager = self.sent.as_ref().is_some_and(|sent| sent.said().eager);
        if self.begin.is_none() && !is_eager {
            return Err(Error::internal("a body is read before its begin was sent"));
        }
        let stalled = || Error::new(ErrorKind::Timeout, "the transfer did not move for too long");
        self.next()?.ok_or_else(stalled)
    }

    async fn pause(&self) {
        if self.pauses {
            futures_lite::future::yield_now().await;
        }
    }
}

impl Link for TestLink {
    fn emit(&mut self, event: Event) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.pause().await;
            self.take(event)
        })
    }

    fn receive(&mut self) -> BoxFuture<'_, Result<Inbound>> {
        Box::pin(async move {
            self.pause().await;
            self.give()
        })
    }
}
