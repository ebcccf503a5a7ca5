//! An upload as its owner holds it: small ones stay in memory until the commit, larger ones feed a thread.

use std::sync::Arc;

use async_channel::Sender;
use ferry_core::store::{CODE_PRESENT, FileInfo, Start, Upload};
use ferry_core::verb::BoxFuture;
use ferry_core::{Chunk, Digest, Error, ErrorKind, HomePath, Result, rt};

use crate::books::lease_lost;
use crate::home::Inner;
use crate::staging::Slot;
use crate::threads::Permit;
use crate::writer::{Feed, Writer};
use crate::{jail, lock};

/// Chunks on their way to the thread. More wait at the connection, as many as a window has.
const FEED_CHUNKS: usize = 1;

/// An upload being written.
pub(crate) struct LocalUpload {
    inner: Arc<Inner>,
    slot: Arc<Slot>,
    lease: u64,
    path: HomePath,
    size: Option<u64>,
    start: Start,
    /// Bytes that were held and those handed to the thread.
    total: u64,
    state: State,
}

enum State {
    /// Nothing was written yet.
    Fresh(Box<Writer>),
    /// One chunk was written. It waits in the books: a small file needs no thread.
    First(Box<Writer>),
    /// A thread is fed.
    Running(Sender<Feed>, rt::Task<Result<Option<FileInfo>>>),
    /// Committed or failed.
    Ended,
}

impl State {
    /// Starts the thread.
    fn launch(writer: Box<Writer>, permit: Permit) -> Self {
        let (sender, feed) = async_channel::bounded(FEED_CHUNKS);
        let task = rt::spawn(rt::unblock(move || {
            let _permit = permit;
            writer.run(&feed)
        }));
        Self::Running(sender, task)
    }
}

/// What is to be done with a chunk that was accepted.
enum Next {
    /// Nothing: it waits.
    Wait,
    /// The thread writes these.
    Feed([Option<Chunk>; 2]),
    /// There is no thread: the first one is written now, and the second one waits.
    Step(Box<Writer>, Chunk, Chunk),
}

impl LocalUpload {
    /// The upload of whoever has the writer's lease.
    pub(crate) fn new(writer: Writer, start: Start) -> Self {
        Self {
            inner: writer.inner.clone(),
            slot: writer.slot.clone(),
            lease: writer.lease,
            path: writer.request.path.clone(),
            size: writer.request.size,
            start,
            total: start.offset,
            state: State::Fresh(Box::new(writer)),
        }
    }

    /// Reserves room for a chunk and says how it is written.
    fn accept(&mut self, chunk: Chunk) -> Result<Next> {
        let mut books = lock(&self.inner.books);
        let waiting = books
            .owned(&self.slot.id, self.lease)
            .and_then(|tracked| tracked.first.as_ref());
        let waiting = waiting.map_or(0, |first| first.len() as u64);
        let total = self.total.saturating_add(waiting).saturating_add(chunk.len() as u64);
        if let Some(size) = self.size.filter(|size| *size < total) {
            let text = format!("{}: more than the {size} bytes that were announced", self.path);
            return Err(Error::new(ErrorKind::TooLarge, text).at(&self.path));
        }
        let tracked = books.grow(&self.slot.id, self.lease, &self.path, total)?;
        if chunk.is_empty() {
            return Ok(Next::Wait);
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Fresh(writer) => {
                tracked.first = Some(chunk);
                self.state = State::First(writer);
                Ok(Next::Wait)
            }
            State::First(writer) => match (Permit::take(), tracked.first.take()) {
                (None, Some(first)) => Ok(Next::Step(writer, first, chunk)),
                (None, None) => Err(lease_lost(&self.path)),
                (Some(permit), first) => {
                    tracked.writers += 1;
                    self.state = State::launch(writer, permit);
                    Ok(Next::Feed([first, Some(chunk)]))
                }
            },
            other => {
                self.state = other;
                Ok(Next::Feed([None, Some(chunk)]))
            }
        }
    }

    /// Hands something to the thread; when it has ended, gives its failure.
    async fn feed(&mut self, item: Feed) -> Result<()> {
        let State::Running(sender, _) = &self.state else {
            return Err(self.over());
        };
        if sender.send(item).await.is_ok() {
            return Ok(());
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Running(_, task) => Err(task.await.err().unwrap_or_else(|| self.over())),
            _ => Err(self.over()),
        }
    }

    fn over(&self) -> Error {
        Error::internal(format!("{}: this upload has failed before", self.path)).at(&self.path)
    }
}

impl Upload for LocalUpload {
    fn id(&self) -> &str {
        match self.size {
            Some(_) => &self.slot.id,
            None => "",
        }
    }

    fn start(&self) -> Start {
        self.start
    }

    fn write(&mut self, chunk: Chunk) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            match self.accept(chunk)? {
                Next::Wait => {}
                Next::Feed(chunks) => {
                    for chunk in chunks.into_iter().flatten() {
                        let total = self.total + chunk.len() as u64;
                        self.feed(Feed::Bytes(chunk)).await?;
                        self.total = total;
                    }
                    if let Some(tracked) = lock(&self.inner.books).owned(&self.slot.id, self.lease) {
                        tracked.accepted = self.total;
                    }
                }
                Next::Step(mut writer, first, chunk) => {
                    let len = first.len() as u64;
                    let work = move || writer.describe().and_then(|()| writer.append(&first)).map(|()| writer);
                    self.state = State::First(rt::unblock(work).await?);
                    self.total += len;
                    let mut books = lock(&self.inner.books);
                    let tracked = books.owned(&self.slot.id, self.lease);
                    tracked.ok_or_else(|| lease_lost(&self.path))?.first = Some(chunk);
                }
            }
            Ok(())
        })
    }

    fn commit(mut self: Box<Self>, digest: Digest) -> BoxFuture<'static, Result<FileInfo>> {
        Box::pin(async move {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Fresh(writer) => {
                    // The upload goes along: it stays owned for as long as somebody works on it.
                    rt::unblock(move || writer.commit(digest).map(|file| (self, file).1)).await
                }
                State::First(mut writer) => {
                    rt::unblock(move || {
                        let tracked = lock(&self.inner.books).take_first(&self.slot.id, self.lease);
                        let chunk = tracked.ok_or_else(|| lease_lost(&self.path))?;
                        writer.append(&chunk)?;
                        writer.commit(digest)
                    })
                    .await
                }
                running @ State::Running(..) => {
                    self.state = running;
                    self.feed(Feed::Commit(digest)).await?;
                    match std::mem::replace(&mut self.state, State::Ended) {
                        State::Running(_, task) => task.await?.ok_or_else(|| self.over()),
                        _ => Err(self.over()),
                    }
                }
                State::Ended => Err(self.over()),
            }
        })
    }
}

impl Drop for LocalUpload {
    fn drop(&mut self) {
        let mut books = lock(&self.inner.books);
        if books.owned(&self.slot.id, self.lease).is_none() {
            return;
        }
        if self.size.is_none() {
            // Nobody can go on with a stream. Whoever still writes finds it gone.
            let slot = books.remove(&self.slot.id);
            drop(books);
            let inner = self.inner.clone();
            drop(rt::spawn(rt::unblock(move || inner.discard(slot))));
            return;
        }
        let Some(tracked) = books.owned(&self.slot.id, self.lease) else {
            return;
        };
        tracked.is_owned = false;
        if tracked.first.is_some() {
            // Somebody has to write it: this thread may not block, so the pool does, or whoever asks for the upload first.
            tracked.writers = 1;
            let (inner, id) = (self.inner.clone(), self.slot.id.clone());
            drop(rt::spawn(rt::unblock(move || inner.settle(&id))));
        }
        books.tidy(&self.slot.id);
        drop(books);
        // Nobody needs the file open; when somebody is at it already, he closes it.
        if let (State::Fresh(_) | State::First(_), Ok(mut lane)) = (&self.state, self.slot.lane.try_lock()) {
            lane.file = None;
        }
    }
}

/// An upload of bytes that are there already: the file of that name seems to be the same.
pub(crate) struct Present {
    pub(crate) inner: Arc<Inner>,
    pub(crate) path: HomePath,
    pub(crate) file: FileInfo,
    /// The BLAKE3 digest of the whole file.
    pub(crate) proof: Digest,
}

impl Upload for Present {
    fn id(&self) -> &str {
        ""
    }

    fn start(&self) -> Start {
        Start {
            code: CODE_PRESENT,
            offset: self.file.size,
            prefix: Some(self.proof),
        }
    }

    fn write(&mut self, chunk: Chunk) -> BoxFuture<'_, Result<()>> {
        let text = format!("{}: more than the {} bytes that were announced", self.path, self.file.size);
        let refused = Error::new(ErrorKind::TooLarge, text).at(&self.path);
        Box::pin(async move { if chunk.is_empty() { Ok(()) } else { Err(refused) } })
    }

    fn commit(self: Box<Self>, digest: Digest) -> BoxFuture<'static, Result<FileInfo>> {
        Box::pin(rt::unblock(move || {
            let path = &self.path;
            if self.file.digest != Some(digest) {
                let text = format!("{path}: the file that is there is another one than the one with {digest}");
                return Err(Error::new(ErrorKind::DigestMismatch, text).at(path).hint("send it afresh"));
            }
            if jail::version(&self.inner.jail.stat(path)?) != self.file.version {
                let text = format!("{path}: was replaced while it was compared");
                return Err(Error::new(ErrorKind::Changed, text).at(path).hint("try again"));
            }
            self.inner.make_durable(path)?;
            Ok(self.file)
        }))
    }
}
