//! A verb's link to its client: events become frames, frames become contents, and flow control keeps both in step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::context::{Event, Inbound, Link};
use ferry_core::rt::Patience;
use ferry_core::verb::BoxFuture;
use ferry_core::wire::io::Outbox;
use ferry_core::wire::message::Message as _;
use ferry_core::{Chunk, Error, ErrorKind, Result};

use crate::requests::{Ends, Request};

/// Progress is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// How fast a client must at least read its own file, in bytes a second, to compare it with what is here before the first
/// byte moves: a slow disk that others use too.
const COMPARED_BYTES_PER_SECOND: u64 = 8 << 20;

/// The link of one request.
pub(crate) struct WireLink {
    request: Arc<Request>,
    ends: Option<Ends>,
    outbox: Outbox,
    /// The most contents that the client takes in one frame, in bytes.
    frame_bytes: usize,
    /// A body that does not move for so long ends its request.
    stall: Duration,
    /// What the client may take longer until its first word, for it compares what is here with what it has.
    comparing: Duration,
    patience: Patience,
    progress: Option<Instant>,
    /// A frame that goes out with the answer.
    last: Vec<u8>,
}

impl WireLink {
    /// The link of a request on the connection of that outbox, to a client that takes so many bytes of contents in a frame.
    pub(crate) fn new(
        request: Arc<Request>,
        ends: Option<Ends>,
        (outbox, frame_bytes): (Outbox, usize),
        stall: Duration,
    ) -> Self {
        Self {
            request,
            ends,
            outbox,
            frame_bytes,
            stall,
            comparing: Duration::ZERO,
            patience: Patience::default(),
            progress: None,
            last: Vec::new(),
        }
    }

    /// What is to go out in front of the answer, in the same write. What came for the request and was not taken goes with the link: a client
    /// that does not read may hold its answer up.
    pub(crate) fn into_last(self) -> Vec<u8> {
        self.last
    }

    async fn send_data(&mut self, mut chunk: Chunk) -> Result<()> {
        while !chunk.is_empty() {
            let bytes = self.request.claim(chunk.len().min(self.frame_bytes));
            if bytes == 0 {
                let ends = self.ends.as_ref().ok_or_else(no_body)?;
                let woken = self.patience.limit(self.stall, ends.wake.recv()).await;
                woken.map_err(|_| stalled())?.map_err(|_| gone())?;
            } else if bytes == chunk.len() {
                return self.outbox.send_data(self.request.id, chunk).await;
            } else {
                let rest = Chunk::from(&chunk[bytes..]);
                chunk.truncate(bytes);
                self.outbox
                    .send_data(self.request.id, std::mem::replace(&mut chunk, rest))
                    .await?;
            }
        }
        Ok(())
    }
}

fn stalled() -> Error {
    Error::new(ErrorKind::Timeout, "the transfer did not move for too long")
}

fn no_body() -> Error {
    Error::internal("a verb without a body has no contents")
}

fn gone() -> Error {
    Error::new(ErrorKind::Cancelled, "the client is gone")
}

impl Link for WireLink {
    fn emit(&mut self, event: Event) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let id = self.request.id;
            match event {
                Event::Data(chunk) => self.send_data(chunk).await,
                Event::Begin(mut message) => {
                    self.request.open();
                    self.comparing = Duration::from_secs(message.offset / COMPARED_BYTES_PER_SECOND);
                    message.id = id;
                    self.outbox.send(&message).await
                }
                Event::Rows(mut message) => {
                    message.id = id;
                    self.outbox.send(&message).await
                }
                Event::Problem(mut message) => {
                    message.id = id;
                    self.outbox.send(&message).await
                }
                Event::End(mut message) => {
                    message.id = id;
                    self.outbox.send(&message).await
                }
                Event::Progress(mut message) => {
                    if self.progress.is_some_and(|last| last.elapsed() < PROGRESS_EVERY) {
                        return Ok(());
                    }
                    self.progress = Some(Instant::now());
                    message.id = id;
                    self.outbox.send(&message).await
                }
            }
        })
    }

    fn emit_last(&mut self, event: Event) -> BoxFuture<'_, Result<()>> {
        match event {
            Event::Rows(mut message) => Box::pin(async move {
                message.id = self.request.id;
                message.encode(&mut self.last)
            }),
            event => self.emit(event),
        }
    }

    fn receive(&mut self) -> BoxFuture<'_, Result<Inbound>> {
        Box::pin(async move {
            let patience = self.stall.saturating_add(std::mem::take(&mut self.comparing));
            let ends = self.ends.as_ref().ok_or_else(no_body)?;
            let inbound = self.patience.limit(patience, ends.inbox.recv());
            let inbound = inbound.await.map_err(|_| stalled())?.map_err(|_| gone())?;
            if let Inbound::Data(chunk) = &inbound
                && let Some(grant) = self.request.taken(chunk.len())
            {
                self.outbox.send_grant(self.request.id, grant).await?;
            }
            Ok(inbound)
        })
    }
}
