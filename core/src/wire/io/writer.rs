//! Writes frames: those that wait go out together, in the order in which they were put in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_channel::{Receiver, Sender};
use async_lock::{Semaphore, SemaphoreGuardArc};
use futures_lite::{AsyncWrite, AsyncWriteExt as _};

use super::direct::{Direct, Shared, Written};
use super::{STALL, ended_inside, gone};
use crate::chunk::Chunk;
use crate::error::{Error, ErrorKind, Result};
use crate::rt::{self, Patience};
use crate::wire::frame::{Header, Kind, grant};
use crate::wire::message::Message;

/// The most frames that wait to be written.
const QUEUE_FRAMES: usize = 4;
/// The most large pieces of contents that wait to be written or are being written: one behind the other keeps the connection busy.
const LARGE_MAX: usize = 2;
/// Small frames are written together up to so many bytes.
const GATHER_BYTES: usize = 64 * 1024;
/// Contents of at most so many bytes count as small: copying them costs less than a write and a TLS record of their own.
const GATHER_DATA_BYTES: usize = 16 * 1024;

/// A frame that waits to be written.
#[derive(Debug)]
enum Outgoing {
    Frame(Vec<u8>),
    /// Contents; with a right to wait, when they are large.
    Data(u32, Chunk, Option<SemaphoreGuardArc>),
}

/// Where frames are put to be written. Clones share the queue; the writer ends when all are gone.
#[derive(Debug, Clone)]
pub struct Outbox {
    queue: Sender<Outgoing>,
    /// Frames that wait for the queue, are in it, or were taken out and are not written yet.
    unwritten: Arc<AtomicUsize>,
    /// Rights of large contents to wait.
    large: Arc<Semaphore>,
    /// The way past the queue, where there is one.
    direct: Option<Arc<dyn Direct>>,
}

/// Writes what is put into its [`Outbox`].
#[derive(Debug)]
pub struct FrameWriter<W> {
    stream: W,
    queue: Receiver<Outgoing>,
    patience: Patience,
    unwritten: Arc<AtomicUsize>,
}

/// One frame among the unwritten, unless it never comes into the queue.
struct Counted<'c> {
    unwritten: &'c AtomicUsize,
    is_queued: bool,
}

impl<'c> Counted<'c> {
    fn new(unwritten: &'c AtomicUsize) -> Self {
        unwritten.fetch_add(1, Ordering::AcqRel);
        Self {
            unwritten,
            is_queued: false,
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.is_queued {
            self.unwritten.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// A queue and its writer, whose [`FrameWriter::run`] must be spawned.
pub fn outbox<W: AsyncWrite + Unpin>(stream: W) -> (Outbox, FrameWriter<W>) {
    let (sender, queue) = async_channel::bounded(QUEUE_FRAMES);
    let unwritten = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox {
        queue: sender,
        unwritten: unwritten.clone(),
        large: Arc::new(Semaphore::new(LARGE_MAX)),
        direct: None,
    };
    (
        outbox,
        FrameWriter {
            stream,
            queue,
            patience: Patience::default(),
            unwritten,
        },
    )
}

/// The same for a stream that [`Outbox::send_now`] may write to past the queue.
pub fn direct_outbox<W: AsyncWrite + Unpin + Send + 'static>(stream: W) -> (Outbox, FrameWriter<Shared<W>>) {
    let stream = Shared::new(stream);
    let (mut outbox, writer) = outbox(stream.clone());
    outbox.direct = Some(Arc::new(stream));
    (outbox, writer)
}

impl Outbox {
    /// Puts a message into the queue; waits while it is full.
    ///
    /// # Errors
    /// `too_large` when the message fits no frame; `unreachable` when the connection is gone.
    pub async fn send(&self, message: &impl Message) -> Result<()> {
        let mut frame = Vec::with_capacity(128);
        message.encode(&mut frame)?;
        self.put(Outgoing::Frame(frame)).await
    }

    /// Puts a whole frame into the queue; waits while it is full.
    ///
    /// # Errors
    /// `unreachable` when the connection is gone.
    pub async fn send_frame(&self, frame: Vec<u8>) -> Result<()> {
        self.put(Outgoing::Frame(frame)).await
    }

    /// Puts a grant into the queue; waits while it is full.
    ///
    /// # Errors
    /// `unreachable` when the connection is gone.
    pub async fn send_grant(&self, id: u32, bytes: u32) -> Result<()> {
        self.put(Outgoing::Frame(grant(id, bytes).to_vec())).await
    }

    /// Puts a ping or a pong of at most 8 bytes into the queue; waits while it is full.
    ///
    /// # Errors
    /// `unreachable` when the connection is gone.
    pub async fn send_echo(&self, kind: Kind, bytes: &[u8]) -> Result<()> {
        let frame = [&Header::write(kind, bytes.len())[..], bytes].concat();
        self.put(Outgoing::Frame(frame)).await
    }

    /// Puts contents into the queue; waits while it is full.
    ///
    /// # Errors
    /// `unreachable` when the connection is gone.
    pub async fn send_data(&self, id: u32, chunk: Chunk) -> Result<()> {
        let right = match chunk.len() > GATHER_DATA_BYTES {
            true => Some(self.large.acquire_arc().await),
            false => None,
        };
        self.put(Outgoing::Data(id, chunk, right)).await
    }

    /// Puts a message into the queue if there is room; says whether there was.
    pub fn try_send(&self, message: &impl Message) -> bool {
        let mut frame = Vec::new();
        let mut counted = Counted::new(&self.unwritten);
        counted.is_queued = message.encode(&mut frame).is_ok() && self.queue.try_send(Outgoing::Frame(frame)).is_ok();
        counted.is_queued
    }

    /// Writes whole frames at once if nothing waits to be written before them; otherwise puts them into the queue, and waits while that is full.
    ///
    /// # Errors
    /// `unreachable` when the connection is gone.
    pub async fn send_now(&self, frames: Vec<u8>) -> Result<()> {
        match self.try_now(frames) {
            None => Ok(()),
            Some(frames) => self.put(Outgoing::Frame(frames)).await,
        }
    }

    /// Writes whole frames at once if nothing waits to be written before them, and never waits; gives back what must go through the queue, which
    /// is nothing but the writer's wake-up when a part was written.
    pub fn try_now(&self, frames: Vec<u8>) -> Option<Vec<u8>> {
        let Some(direct) = &self.direct else { return Some(frames) };
        if self.unwritten.load(Ordering::Acquire) > 0 {
            return Some(frames);
        }
        match direct.try_write(&frames) {
            Written::All => None,
            // The writer goes on with the rest of them, once it is woken.
            Written::Part => Some(Vec::new()),
            Written::Nothing => Some(frames),
        }
    }

    /// Ends the connection once what is in the queue has been written.
    pub fn close(&self) {
        self.queue.close();
    }

    async fn put(&self, outgoing: Outgoing) -> Result<()> {
        let mut counted = Counted::new(&self.unwritten);
        let sent = self.queue.send(outgoing).await;
        counted.is_queued = sent.is_ok();
        sent.map_err(|_| Error::new(ErrorKind::Unreachable, "the connection is gone"))
    }
}

impl<W> FrameWriter<W> {
    /// Takes nothing more, and lets go whoever waits for a right.
    fn refuse(&self) {
        self.queue.close();
        while self.queue.try_recv().is_ok() {}
    }
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes until every outbox is gone or closed, then closes the stream.
    ///
    /// # Errors
    /// `timeout` when the peer takes nothing for [`STALL`], `unreachable` when the stream broke. Outboxes then refuse more.
    pub async fn run(mut self) -> Result<()> {
        let result = self.pump().await;
        self.refuse();
        let closed = rt::timeout(STALL, self.stream.close()).await;
        result.and(
            closed
                .map_err(|_| Error::new(ErrorKind::Timeout, "the connection does not close"))?
                .map_err(gone),
        )
    }

    async fn pump(&mut self) -> Result<()> {
        let mut gathered = Vec::new();
        while let Ok(mut outgoing) = self.queue.recv().await {
            let mut taken = 1;
            // Small frames that wait already go out in one write.
            let data = loop {
                match outgoing {
                    Outgoing::Frame(frame) => gathered.extend_from_slice(&frame),
                    Outgoing::Data(id, mut chunk, None) => {
                        let header = Header::write_data(id, chunk.len());
                        gathered.extend_from_slice(chunk.framed(&header));
                    }
                    Outgoing::Data(id, chunk, right) => break Some((id, chunk, right)),
                }
                match self.queue.try_recv() {
                    Ok(next) if gathered.len() < GATHER_BYTES => {
                        taken += 1;
                        outgoing = next;
                    }
                    Ok(next) => {
                        taken += 1;
                        self.write(&gathered).await?;
                        gathered.clear();
                        outgoing = next;
                    }
                    Err(_) => break None,
                }
            };
            if !gathered.is_empty() {
                self.write(&gathered).await?;
                gathered.clear();
            }
            if let Some((id, mut chunk, _right)) = data {
                let header = Header::write_data(id, chunk.len());
                self.write(chunk.framed(&header)).await?;
            }
            self.unwritten.fetch_sub(taken, Ordering::AcqRel);
            if self.queue.is_empty() {
                // An idle connection keeps no buffer.
                gathered = Vec::new();
                let flushed = self.patience.limit(STALL, self.stream.flush()).await;
                flushed
                    .map_err(|_| Error::new(ErrorKind::Timeout, "the other side takes nothing"))?
                    .map_err(gone)?;
            }
        }
        Ok(())
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let written = self.patience.limit(STALL, self.stream.write(bytes)).await;
            let len = written
                .map_err(|_| Error::new(ErrorKind::Timeout, "the other side takes nothing"))?
                .map_err(gone)?;
            if len == 0 {
                return Err(ended_inside());
            }
            bytes = &bytes[len..];
        }
        Ok(())
    }
}

impl<W> Drop for FrameWriter<W> {
    fn drop(&mut self) {
        self.refuse();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::io::Incoming;
    use crate::wire::io::reader::tests::read_all;
    use crate::wire::message::{Cancel, Done};

    fn write_all(work: impl AsyncFnOnce(Outbox)) -> Vec<u8> {
        rt::block_on(async {
            let mut bytes = Vec::new();
            let (outbox, writer) = outbox(&mut bytes);
            let (result, ()) = futures_lite::future::zip(writer.run(), work(outbox)).await;
            result.unwrap();
            bytes
        })
    }

    #[test]
    fn what_is_put_in_comes_out_in_order() {
        let bytes = write_all(async |outbox: Outbox| {
            outbox.send(&Cancel { id: 1 }).await.unwrap();
            outbox.send_data(7, Chunk::from(&[9; 70_000][..])).await.unwrap();
            outbox.send_grant(7, 5).await.unwrap();
            outbox
                .send(&Done {
                    id: 2,
                    ..Done::default()
                })
                .await
                .unwrap();
        });
        let all = read_all(bytes).unwrap();
        assert!(matches!(
            &all[..],
            [Incoming::Control(Kind::Cancel, _), Incoming::Data(7, chunk), Incoming::Grant(7, 5), Incoming::Control(Kind::Done, _)]
                if chunk.len() == 70_000 && chunk.iter().all(|byte| *byte == 9)
        ));
    }

    #[test]
    fn large_contents_wait_in_small_number_and_are_let_go_with_the_writer() {
        for breaks in [true, false] {
            // There is no room for a byte.
            let (outbox, writer) = outbox(futures_lite::io::Cursor::new(&mut [][..]));
            let send = |id| {
                let outbox = outbox.clone();
                rt::spawn(async move { outbox.send_data(id, Chunk::from(&[9; GATHER_DATA_BYTES + 1][..])).await })
            };
            let sends = [0, 1, 2, 3].map(send);
            rt::block_on(async {
                while outbox.unwritten.load(Ordering::Acquire) < LARGE_MAX {
                    futures_lite::future::yield_now().await;
                }
                rt::sleep(Duration::from_millis(50)).await;
                assert_eq!(outbox.queue.len(), LARGE_MAX);
                match breaks {
                    true => assert!(writer.run().await.is_err()),
                    false => drop(writer),
                }
                for send in sends {
                    // Those that were queued do not know that they were not written.
                    let _ = rt::timeout(STALL, send).await.expect("it is let go");
                }
                assert!(outbox.send_data(4, Chunk::full()).await.is_err());
            });
        }
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<std::sync::Mutex<Vec<u8>>>);

    impl AsyncWrite for Kept {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            _cx: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            std::task::Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: std::pin::Pin<&mut Self>, _cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn poll_close(self: std::pin::Pin<&mut Self>, _cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_is_written_at_once_passes_nothing_that_waits() {
        let kept = Kept::default();
        let now = |at: &Kept| at.0.lock().unwrap().len();
        rt::block_on(async {
            let (outbox, writer) = direct_outbox(kept.clone());
            outbox.send_now(grant(1, 1).to_vec()).await.unwrap();
            let one = now(&kept);
            assert!(one > 0, "nothing waits: it is written without the writer");
            outbox.send_grant(2, 2).await.unwrap();
            outbox.send_now(grant(3, 3).to_vec()).await.unwrap();
            assert_eq!(now(&kept), one, "one waits, and the next one with it");
            let work = async {
                while now(&kept) < 3 * one {
                    futures_lite::future::yield_now().await;
                }
                outbox.send_now(grant(4, 4).to_vec()).await.unwrap();
                outbox.close();
            };
            futures_lite::future::zip(writer.run(), work).await.0.unwrap();
        });
        let all = read_all(kept.0.lock().unwrap().clone()).unwrap();
        let ids: Vec<u32> = all
            .iter()
            .map(|i| if let Incoming::Grant(id, _) = i { *id } else { 0 })
            .collect();
        assert_eq!(ids, [1, 2, 3, 4]);
    }
}
