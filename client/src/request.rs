//! One request: sent, its events taken one by one, cancelled when dropped before its end.

use std::sync::Arc;

use async_channel::Receiver;
use ferry_core::line::Call;
use ferry_core::path::PATH_MAX_BYTES;
use ferry_core::reply::Value;
use ferry_core::wire::flow::Sending;
use ferry_core::wire::frame::Header;
use ferry_core::wire::message::{Complete, Done, End, Expand, Message as _, Offer};
use ferry_core::{Chunk, Error, ErrorKind, RemotePath, VerbInfo};
use futures_lite::{FutureExt as _, future};

use crate::connection::{Connection, Event, Shared};
use crate::exit::{Failure, Result};

/// The most words that one completion or one pattern may bring.
const WORDS_MAX: usize = 10_000;
/// The most bytes of all these words: as many of the longest paths as a server of ours would send in one answer, and a bound to one
/// that fills each frame with a word.
const WORDS_MAX_BYTES: usize = WORDS_MAX * PATH_MAX_BYTES;

/// After so many events others have their turn: where the server always has a next one, nothing is ever waited for, and the user's
/// Ctrl-C would not be heard.
const IN_A_ROW_MAX: u8 = 16;

/// What came first: the work that was waited for, or an event.
#[derive(Debug)]
pub enum Step<T> {
    /// The work.
    Work(T),
    /// An event.
    Event(Event),
}

/// A request that runs. Dropping it cancels it.
pub struct Request {
    id: u32,
    events: Receiver<Event>,
    shared: Arc<Shared>,
    sending: Sending,
    has_ended: bool,
    /// How many events were taken since others had their turn.
    in_a_row: u8,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({})", self.id)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.shared.leave(self.id);
        if !self.has_ended {
            self.shared.cancel(self.id);
        }
    }
}

/// What writes the request for a verb.
fn asking(
    verb: &VerbInfo,
    call: &Call,
    cwd: &RemotePath,
    body: Option<Offer>,
) -> Result<impl FnOnce(u32, &mut Vec<u8>) -> ferry_core::Result<()> + use<>> {
    let args = call.encode(verb)?;
    let message = ferry_core::wire::message::Request {
        id: 0,
        verb: verb.name.clone(),
        cwd: cwd.clone(),
        body,
    };
    Ok(move |id, out: &mut Vec<u8>| ferry_core::wire::message::Request { id, ..message }.encode_with(&args, out))
}

impl Request {
    /// Asks for a verb.
    ///
    /// # Errors
    /// `bad_request` or `too_large` when the arguments cannot be sent; exit code 8 when the connection is gone.
    pub async fn start(
        connection: &Connection,
        verb: &VerbInfo,
        call: &Call,
        cwd: &RemotePath,
        body: Option<Offer>,
    ) -> Result<Self> {
        Self::send(connection, asking(verb, call, cwd, body)?).await
    }

    /// Asks for a verb, and sends the contents and their end behind it, all in one write. They must fit into the server's window.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_eager(
        connection: &Connection,
        (verb, call, cwd): (&VerbInfo, &Call, &RemotePath),
        offer: Offer,
        contents: &[u8],
        end: End,
    ) -> Result<Self> {
        let ask = asking(verb, call, cwd, Some(offer))?;
        let most = usize::try_from(connection.shared.limits.data).unwrap_or(usize::MAX).max(1);
        Self::send(connection, |id, out| {
            ask(id, out)?;
            for piece in contents.chunks(most) {
                out.extend_from_slice(&Header::write_data(id, piece.len()));
                out.extend_from_slice(piece);
            }
            End { id, ..end }.encode(out)
        })
        .await
    }

    /// Asks for values of an argument.
    ///
    /// # Errors
    /// Exit code 8 when the connection is gone.
    pub async fn complete(connection: &Connection, ask: Complete) -> Result<Self> {
        Self::send(connection, |id, out| Complete { id, ..ask }.encode(out)).await
    }

    /// Asks which paths match a pattern.
    ///
    /// # Errors
    /// Exit code 8 when the connection is gone.
    pub async fn expand(connection: &Connection, pattern: Vec<u8>, cwd: &RemotePath) -> Result<Self> {
        let (pattern, cwd) = (RemotePath(pattern), cwd.clone());
        Self::send(connection, |id, out| Expand { id, pattern, cwd }.encode(out)).await
    }

    async fn send(connection: &Connection, encode: impl FnOnce(u32, &mut Vec<u8>) -> ferry_core::Result<()>) -> Result<Self> {
        let shared = connection.shared.clone();
        let turn = shared.clone();
        let turn = turn.turn.lock().await;
        let (id, events) = shared.enter()?;
        let mut request = Self {
            id,
            events,
            sending: Sending::new(shared.limits.window),
            shared,
            // Nothing was sent yet, so there is nothing to cancel.
            has_ended: true,
            in_a_row: 0,
        };
        let mut frame = Vec::new();
        encode(id, &mut frame)?;
        // From here on the frame may be on its way even when this future is dropped.
        request.has_ended = false;
        request.shared.sent(request.shared.outbox.send_frame(frame)).await?;
        drop(turn);
        Ok(request)
    }

    /// What comes next. Grants are taken note of on the way.
    ///
    /// # Errors
    /// The request's failure, or why the connection ended.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            // Before anything is taken, for this future may be dropped here.
            self.in_a_row += 1;
            if self.in_a_row > IN_A_ROW_MAX {
                self.in_a_row = 0;
                future::yield_now().await;
            }
            let Ok(event) = self.events.recv().await else {
                return Err(self.gone());
            };
            if let Some(event) = self.take(event)? {
                return Ok(event);
            }
        }
    }

    fn gone(&mut self) -> Failure {
        self.has_ended = true;
        self.shared.why_lost()
    }

    /// Takes note of what an event says of the request itself; gives those that are for the caller.
    fn take(&mut self, event: Event) -> Result<Option<Event>> {
        match event {
            Event::Grant(bytes) => {
                self.sending.granted(bytes).map_err(Failure::protocol)?;
                return Ok(None);
            }
            Event::Fail(error) => {
                self.has_ended = true;
                return Err(error.into());
            }
            Event::Done(_) => self.has_ended = true,
            _ => {}
        }
        Ok(Some(event))
    }

    /// Gives back the room that received contents took.
    ///
    /// # Errors
    /// Exit code 8 when the connection is gone.
    pub async fn taken(&mut self, bytes: usize) -> Result<()> {
        match self.shared.taken(self.id, bytes) {
            Some(grant) => self.shared.sent(self.shared.outbox.send_grant(self.id, grant)).await,
            None => Ok(()),
        }
    }

    /// The most contents that one frame may carry here: whatever the server takes, and half its window at most, so that one
    /// half travels while the other is being granted again.
    pub fn chunk_bytes(&self) -> usize {
        let limits = &self.shared.limits;
        let most = limits.data.min(limits.window / 2).max(1);
        usize::try_from(most)
            .unwrap_or(usize::MAX)
            .min(ferry_core::chunk::CHUNK_BYTES)
    }

    /// Waits until the server has room for `len` more bytes of contents. Gives the event that came before that, when there is
    /// one; ask again then.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn room(&mut self, len: usize) -> Result<Option<Event>> {
        loop {
            let event = match self.events.try_recv() {
                Ok(event) => event,
                Err(_) if self.sending.open() >= len as u64 => return Ok(None),
                Err(_) => match self.events.recv().await {
                    Ok(event) => event,
                    Err(_) => return Err(self.gone()),
                },
            };
            if let Some(event) = self.take(event)? {
                return Ok(Some(event));
            }
        }
    }

    /// Sends contents that the server has [room](Self::room) for.
    ///
    /// # Errors
    /// Exit code 8 when the connection is gone.
    pub async fn send_data(&mut self, chunk: Chunk) -> Result<()> {
        self.sending.sent(chunk.len());
        self.shared.sent(self.shared.outbox.send_data(self.id, chunk)).await
    }

    /// Waits for `work` or for the next event, whatever is first. `work` is dropped in the second case.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn race<T>(&mut self, work: impl Future<Output = T>) -> Result<Step<T>> {
        let work = async { Ok(Step::Work(work.await)) };
        let event = async { self.next().await.map(Step::Event) };
        work.or(event).await
    }

    /// Says that the body is complete.
    ///
    /// # Errors
    /// Exit code 8 when the connection is gone.
    pub async fn send_end(&mut self, end: End) -> Result<()> {
        let end = End { id: self.id, ..end };
        self.shared.sent(self.shared.outbox.send(&end)).await
    }

    /// Waits for the end; rows and contents are left aside.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn done(&mut self) -> Result<Done> {
        loop {
            match self.next().await? {
                Event::Done(done) => return Ok(done),
                Event::Data(chunk) => self.taken(chunk.len()).await?,
                _ => {}
            }
        }
    }

    /// The first column of all rows, to the end.
    ///
    /// # Errors
    /// As [`Self::next`]; `too_large` when they are too many.
    pub async fn words(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut words = Vec::new();
        let mut bytes = 0;
        loop {
            match self.next().await? {
                Event::Done(_) => return Ok(words),
                Event::Rows(rows) => {
                    let first = |row: &Vec<Value>| row.first().and_then(Value::as_bytes).map(<[u8]>::to_vec);
                    let before = words.len();
                    words.extend(rows.rows.iter().filter_map(first));
                    bytes += words[before..].iter().map(Vec::len).sum::<usize>();
                    if words.len() > WORDS_MAX || bytes > WORDS_MAX_BYTES {
                        let text = format!("more than {WORDS_MAX} names, or longer ones than there are");
                        return Err(Error::new(ErrorKind::TooLarge, text).into());
                    }
                }
                _ => {}
            }
        }
    }
}
