//! What the store promises, tried on a real file system.
#![allow(
    clippy::unwrap_used,
    reason = "these are tests; outside a test function the lint does not know"
)]

mod conformance;
mod jail;
mod quota;
mod reading;
mod restart;
mod together;
mod tree;
mod uploads;

use std::path::PathBuf;
use std::sync::Arc;

use ferry_core::store::{FileInfo, Home, Store as _, Upload, UploadRequest, Usage};
use ferry_core::{Algorithm, Chunk, Digest, HomePath, Result, rt};
use ferry_store_local::{LocalStore, Options};

/// More than a chunk, so that a thread writes it.
const LARGE: usize = 2_000_000;

/// A store in a folder of its own, and the home of alice.
struct Bed {
    folder: tempfile::TempDir,
    store: LocalStore,
    home: Arc<dyn Home>,
}

impl Bed {
    fn new(limit: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path(), Options::default()).unwrap();
        let home = rt::block_on(store.home("alice", limit)).unwrap();
        Self { folder, store, home }
    }

    /// The server stops, in good order or not, and starts again.
    fn restart(self, in_good_order: bool) -> Self {
        if in_good_order {
            rt::block_on(self.store.close()).unwrap();
        }
        let Self { folder, store, home } = self;
        drop((store, home));
        let store = LocalStore::open(folder.path(), Options::default()).unwrap();
        let home = rt::block_on(store.home("alice", None)).unwrap();
        Self { folder, store, home }
    }

    /// A place in the home, as an admin sees it.
    fn real(&self, path: &str) -> PathBuf {
        self.folder.path().join("homes/alice").join(path)
    }

    /// Names in the staging folder.
    fn staged(&self) -> Vec<String> {
        let items = std::fs::read_dir(self.folder.path().join("staging/alice")).unwrap();
        items.map(|item| item.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn usage(&self) -> Usage {
        rt::block_on(self.home.usage()).unwrap()
    }

    /// Used and reserved bytes; used is what a plain recount finds.
    fn books(&self) -> (u64, u64) {
        let usage = self.usage();
        assert_eq!(usage.used, recount(&self.real("")), "the ledger is not what a recount finds");
        (usage.used, usage.reserved)
    }

    fn open(&self, request: UploadRequest) -> Result<Box<dyn Upload>> {
        rt::block_on(self.home.upload(request))
    }

    /// Uploads a whole file.
    fn put(&self, at: &str, bytes: &[u8]) -> Result<FileInfo> {
        rt::block_on(put(&*self.home, request(at, bytes.len()), bytes))
    }
}

fn path(text: &str) -> HomePath {
    HomePath::parse(text).unwrap()
}

fn md5(bytes: &[u8]) -> Digest {
    Algorithm::Md5.digest(bytes)
}

fn request(at: &str, size: usize) -> UploadRequest {
    UploadRequest {
        size: Some(size as u64),
        fresh: false,
        ..UploadRequest::new(path(at))
    }
}

/// Bytes that differ from each other.
fn bytes(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect()
}

/// Writes bytes, in chunks.
async fn write(upload: &mut dyn Upload, bytes: &[u8]) -> Result<()> {
    for part in bytes.chunks(ferry_core::chunk::CHUNK_BYTES) {
        upload.write(Chunk::from(part)).await?;
    }
    Ok(())
}

/// Uploads a whole file.
async fn put(home: &dyn Home, request: UploadRequest, bytes: &[u8]) -> Result<FileInfo> {
    let digest = request.algorithm.digest(bytes);
    let mut upload = home.upload(request).await?;
    let offset = usize::try_from(upload.start().offset).unwrap();
    write(&mut *upload, &bytes[offset..]).await?;
    upload.commit(digest).await
}

/// The sum of the sizes of all files, as `find -type f` and a calculator get it.
fn recount(folder: &std::path::Path) -> u64 {
    let sizes = std::fs::read_dir(folder).unwrap().map(|item| {
        let item = item.unwrap();
        let meta = item.metadata().unwrap();
        match (meta.is_dir(), meta.is_file()) {
            (true, _) => recount(&item.path()),
            (_, true) => meta.len(),
            _ => 0,
        }
    });
    sizes.sum()
}
