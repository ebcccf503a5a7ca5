//! Faults on request: a layer between verb and store that fails when a test says so, and that pauses before each call, so that a
//! verb can be cancelled there.

use std::fmt::Display;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferry_core::store::{Entry, FileInfo, Home, Listing, Partial, ReadRequest, Source, Start, Upload, UploadRequest, Usage};
use ferry_core::verb::BoxFuture;
use ferry_core::{Chunk, Digest, Error, HomePath, Result};

/// What goes wrong, and what was asked for so far.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Calls of the store that verbs made.
    pub(crate) calls: u64,
    /// The call that fails, counted from 1, and how.
    pub(crate) fails: Option<(u64, io::ErrorKind)>,
    /// Bytes that the disk still takes.
    pub(crate) room: Option<u64>,
    /// Whether each call, and each event, waits for one turn first.
    pub(crate) pauses: bool,
}

/// A plan that harness and layer share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Plan>>);

impl Faults {
    pub(crate) fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of the store about `what` is made.
    async fn call(&self, what: impl Display) -> Result<()> {
        let pauses = self.plan().pauses;
        if pauses {
            futures_lite::future::yield_now().await;
        }
        let mut plan = self.plan();
        plan.calls += 1;
        match plan.fails {
            Some((call, kind)) if call == plan.calls => Err(Error::from_io(what, kind.into())),
            _ => Ok(()),
        }
    }

    /// So many bytes are to be written.
    fn fill(&self, what: impl Display, bytes: usize) -> Result<()> {
        let mut plan = self.plan();
        if let Some(room) = &mut plan.room {
            let left = room.checked_sub(bytes as u64);
            // A disk that was full once takes no smaller piece either: what is left of it is somebody else's soon.
            *room = left.unwrap_or(0);
            left.ok_or_else(|| Error::from_io(what, io::ErrorKind::StorageFull.into()))?;
        }
        Ok(())
    }
}

/// A home behind the layer.
pub(crate) struct FaultyHome {
    pub(crate) inner: Arc<dyn Home>,
    pub(crate) faults: Faults,
}

macro_rules! pass_on {
    ($($name:ident($($arg:ident : $ty:ty),*) -> $out:ty, $what:expr;)+) => {$(
        fn $name<'a>(&'a self, $($arg: $ty),*) -> BoxFuture<'a, Result<$out>> {
            Box::pin(async move {
                self.faults.call($what).await?;
                self.inner.$name($($arg),*).await
            })
        }
    )+};
}

impl Home for FaultyHome {
    pass_on! {
        stat(path: &'a HomePath) -> Entry, path;
        make_dir(path: &'a HomePath) -> (), path;
        remove_file(path: &'a HomePath) -> (), path;
        remove_dir(path: &'a HomePath) -> (), path;
        make_durable(path: &'a HomePath) -> (), path;
        rename(from: &'a HomePath, to: &'a HomePath, no_clobber: bool) -> (), from;
        remove_partial(id: &'a str) -> (), "unfinished upload";
        partials() -> Vec<Partial>, "unfinished uploads";
        usage() -> Usage, "usage";
    }

    fn list<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<Box<dyn Listing>>> {
        Box::pin(async move {
            self.faults.call(path).await?;
            let (inner, faults) = (self.inner.list(path).await?, self.faults.clone());
            let path = path.clone();
            Ok(Box::new(FaultyListing { inner, faults, path }) as Box<dyn Listing>)
        })
    }

    fn open(&self, request: ReadRequest) -> BoxFuture<'_, Result<Box<dyn Source>>> {
        Box::pin(async move {
            self.faults.call(&request.path).await?;
            let (inner, faults) = (self.inner.open(request).await?, self.faults.clone());
            Ok(Box::new(FaultySource { inner, faults }) as Box<dyn Source>)
        })
    }

    fn upload(&self, request: UploadRequest) -> BoxFuture<'_, Result<Box<dyn Upload>>> {
        Box::pin(async move {
            self.faults.call(&request.path).await?;
            let path = request.path.clone();
            let (inner, faults) = (self.inner.upload(request).await?, self.faults.clone());
            Ok(Box::new(FaultyUpload { inner, faults, path }) as Box<dyn Upload>)
        })
    }
}

struct FaultyListing {
    inner: Box<dyn Listing>,
    faults: Faults,
    path: HomePath,
}

impl Listing for FaultyListing {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>>> {
        Box::pin(async move {
            self.faults.call(&self.path).await?;
            self.inner.next().await
        })
    }
}

struct FaultySource {
    inner: Box<dyn Source>,
    faults: Faults,
}

impl Source for FaultySource {
    fn start(&self) -> Start {
        self.inner.start()
    }

    fn file(&self) -> &FileInfo {
        self.inner.file()
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<Chunk>>> {
        Box::pin(async move {
            self.faults.call(&self.inner.file().path).await?;
            self.inner.next().await
        })
    }

    fn digest(&self) -> Digest {
        self.inner.digest()
    }
}

struct FaultyUpload {
    inner: Box<dyn Upload>,
    faults: Faults,
    path: HomePath,
}

impl Upload for FaultyUpload {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn start(&self) -> Start {
        self.inner.start()
    }

    fn write(&mut self, chunk: Chunk) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.faults.call(&self.path).await?;
            self.faults.fill(&self.path, chunk.len())?;
            self.inner.write(chunk).await
        })
    }

    fn commit(self: Box<Self>, digest: Digest) -> BoxFuture<'static, Result<FileInfo>> {
        Box::pin(async move {
            self.faults.call(&self.path).await?;
            self.inner.commit(digest).await
        })
    }
}
