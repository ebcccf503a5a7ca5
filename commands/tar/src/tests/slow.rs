//! A store in memory whose every call waits for many turns, so that files are stored side by side, and a body that pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferry_core::context::{Event, Inbound, Link};
use ferry_core::store::{
    Check, Entry, FileInfo, Home, Listing, Partial, ReadRequest, Source, Start, Store, Upload, UploadRequest, Usage,
};
use ferry_core::verb::BoxFuture;
use ferry_core::wire::message::End;
use ferry_core::{Algorithm, Chunk, Digest, Error, ErrorKind, HomePath, Result, rt};
use ferry_testkit::{MemoryHome, MemoryStore};

/// A store of one home.
pub(super) struct Slow {
    pub(super) home: Arc<MemoryHome>,
    limit: Option<u64>,
    /// Whether an upload takes all the room there is, as long as it is not committed.
    greedy: bool,
    uploads: Arc<AtomicUsize>,
}

impl Slow {
    pub(super) fn new(limit: Option<u64>, greedy: bool) -> Arc<Self> {
        let home = MemoryStore::default().open("alice", limit);
        Arc::new(Self {
            home,
            limit,
            greedy,
            uploads: Arc::default(),
        })
    }
}

/// Lets everybody else go on first.
async fn turns() {
    for _ in 0..3 {
        let mut waited = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut waited, true) {
                return std::task::Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
    }
}

impl Store for Slow {
    fn home<'a>(&'a self, _: &'a str, _: Option<u64>) -> BoxFuture<'a, Result<Arc<dyn Home>>> {
        let home = SlowHome {
            inner: self.home.clone(),
            greedy: self.greedy,
            uploads: self.uploads.clone(),
        };
        self.home.limit(self.limit);
        Box::pin(async { Ok(Arc::new(home) as Arc<dyn Home>) })
    }

    fn check<'a>(&'a self, _: &'a str, _: bool) -> BoxFuture<'a, Result<Check>> {
        Box::pin(async { Err(Error::unsupported("not here")) })
    }

    fn purge<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

struct SlowHome {
    inner: Arc<MemoryHome>,
    greedy: bool,
    uploads: Arc<AtomicUsize>,
}

macro_rules! slowly {
    ($($name:ident($($arg:ident : $ty:ty),*) -> $out:ty;)+) => {$(
        fn $name<'a>(&'a self, $($arg: $ty),*) -> BoxFuture<'a, Result<$out>> {
            Box::pin(async move {
                turns().await;
                self.inner.$name($($arg),*).await
            })
        }
    )+};
}

impl Home for SlowHome {
    slowly! {
        stat(path: &'a HomePath) -> Entry;
        list(path: &'a HomePath) -> Box<dyn Listing>;
        make_dir(path: &'a HomePath) -> ();
        remove_file(path: &'a HomePath) -> ();
        remove_dir(path: &'a HomePath) -> ();
        rename(from: &'a HomePath, to: &'a HomePath, no_clobber: bool) -> ();
        remove_partial(id: &'a str) -> ();
        partials() -> Vec<Partial>;
        usage() -> Usage;
    }

    fn open(&self, request: ReadRequest) -> BoxFuture<'_, Result<Box<dyn Source>>> {
        self.inner.open(request)
    }

    fn upload(&self, request: UploadRequest) -> BoxFuture<'_, Result<Box<dyn Upload>>> {
        Box::pin(async move {
            turns().await;
            let path = request.path.clone();
            let inner = self.inner.upload(request).await?;
            let beside = self.uploads.fetch_add(1, Ordering::SeqCst);
            let has_room = !self.greedy || beside == 0;
            Ok(Box::new(SlowUpload {
                inner: Some(inner),
                path,
                has_room,
                uploads: self.uploads.clone(),
            }) as Box<dyn Upload>)
        })
    }
}

struct SlowUpload {
    inner: Option<Box<dyn Upload>>,
    path: HomePath,
    has_room: bool,
    uploads: Arc<AtomicUsize>,
}

impl Drop for SlowUpload {
    fn drop(&mut self) {
        self.uploads.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Upload for SlowUpload {
    fn id(&self) -> &str {
        self.inner.as_ref().unwrap().id()
    }

    fn start(&self) -> Start {
        self.inner.as_ref().unwrap().start()
    }

    fn write(&mut self, chunk: Chunk) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            turns().await;
            if !self.has_room {
                return Err(Error::new(
                    ErrorKind::OverQuota,
                    format!("{}: another one has all the room", self.path),
                ));
            }
            self.inner.as_mut().unwrap().write(chunk).await
        })
    }

    fn commit(mut self: Box<Self>, digest: Digest) -> BoxFuture<'static, Result<FileInfo>> {
        Box::pin(async move {
            turns().await;
            self.inner.take().unwrap().commit(digest).await
        })
    }
}

/// A client that sends so many bytes of a body, and the rest when so many files are there.
pub(super) struct Pausing {
    pub(super) body: Vec<u8>,
    pub(super) first: usize,
    pub(super) files: usize,
    pub(super) home: Arc<MemoryHome>,
    pub(super) at: usize,
}

impl Link for Pausing {
    fn emit(&mut self, _: Event) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn receive(&mut self) -> BoxFuture<'_, Result<Inbound>> {
        Box::pin(async move {
            let until = if self.at < self.first { self.first } else { self.body.len() };
            if self.at >= self.first {
                let begun = Instant::now();
                while self.home.files().len() < self.files {
                    assert!(begun.elapsed() < Duration::from_secs(60), "what came whole is not stored");
                    rt::sleep(Duration::from_millis(1)).await;
                }
            }
            if self.at == self.body.len() {
                let digest = Algorithm::default().digest(&self.body);
                let size = self.body.len() as u64;
                return Ok(Inbound::End(End { id: 0, size, digest }));
            }
            let chunk = Chunk::from(&self.body[self.at..until]);
            self.at += chunk.len();
            Ok(Inbound::Data(chunk))
        })
    }
}
