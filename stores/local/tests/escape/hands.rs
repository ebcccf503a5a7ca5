//! What is done in a home, whichever keeps it: the store, or the control.

use std::sync::Arc;

use ferry_core::store::{CODE_PRESENT, Home, ReadRequest, Store as _, UploadRequest};
use ferry_core::{Algorithm, Chunk, Digest, ErrorKind, HomePath, rt};
use ferry_store_local::{Durability, LocalStore, Options};

use crate::ground::Ground;
use crate::trap::{MARKER, MARKER_TIME_S};

/// The contents of every file inside.
pub(crate) const INSIDE: &[u8] = b"inside";

/// How an operation ended.
pub(crate) type Ended<T> = Result<T, ErrorKind>;

/// A home's operations, each to its end.
pub(crate) trait Hands: Sync {
    /// All bytes of a file.
    fn read(&self, at: &HomePath) -> Ended<Vec<u8>>;
    /// The size of what is there.
    fn stat(&self, at: &HomePath) -> Ended<u64>;
    /// The names in a folder.
    fn list(&self, at: &HomePath) -> Ended<Vec<Vec<u8>>>;
    /// Writes [`INSIDE`] to a file.
    fn write(&self, at: &HomePath, fresh: bool, no_clobber: bool) -> Ended<()>;
    /// The digest of a file that is like the one outside as far as one sees from without.
    fn recognise(&self, at: &HomePath) -> Ended<Option<Digest>>;
    fn make_dir(&self, at: &HomePath) -> Ended<()>;
    fn remove_file(&self, at: &HomePath) -> Ended<()>;
    fn remove_dir(&self, at: &HomePath) -> Ended<()>;
    fn rename(&self, from: &HomePath, to: &HomePath, no_clobber: bool) -> Ended<()>;
}

/// The store's home.
pub(crate) struct Jailed(Arc<dyn Home>);

impl Jailed {
    /// The home of alice. Flushing would only make the race slower.
    pub(crate) fn open(ground: &Ground) -> Self {
        let durability = Durability::Relaxed;
        let store = LocalStore::open(&ground.data, Options { durability }).unwrap();
        Self(rt::block_on(store.home("alice", None)).unwrap())
    }
}

fn upload(at: &HomePath, size: usize) -> UploadRequest {
    UploadRequest {
        size: Some(size as u64),
        algorithm: Algorithm::Blake3,
        fresh: false,
        ..UploadRequest::new(at.clone())
    }
}

/// Runs an operation to its end.
fn ended<T>(work: impl Future<Output = ferry_core::Result<T>>) -> Ended<T> {
    rt::block_on(work).map_err(|error| error.kind)
}

impl Hands for Jailed {
    fn read(&self, at: &HomePath) -> Ended<Vec<u8>> {
        let request = ReadRequest {
            algorithm: Algorithm::Blake3,
            ..ReadRequest::new(at.clone())
        };
        ended(async {
            let mut source = self.0.open(request).await?;
            let mut bytes = Vec::new();
            while let Some(chunk) = source.next().await? {
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes)
        })
    }

    fn stat(&self, at: &HomePath) -> Ended<u64> {
        ended(async { self.0.stat(at).await.map(|entry| entry.size) })
    }

    fn list(&self, at: &HomePath) -> Ended<Vec<Vec<u8>>> {
        ended(async {
            let mut listing = self.0.list(at).await?;
            let mut names = Vec::new();
            loop {
                let batch = listing.next().await?;
                if batch.is_empty() {
                    return Ok(names);
                }
                names.extend(batch.into_iter().map(|entry| entry.name));
            }
        })
    }

    fn write(&self, at: &HomePath, fresh: bool, no_clobber: bool) -> Ended<()> {
        let request = UploadRequest {
            fresh,
            no_clobber,
            ..upload(at, INSIDE.len())
        };
        ended(async {
            let mut upload = self.0.upload(request).await?;
            // An earlier try that was refused at the end left all bytes.
            let missing = &INSIDE[usize::try_from(upload.start().offset).unwrap()..];
            if !missing.is_empty() {
                upload.write(Chunk::from(missing)).await?;
            }
            upload.commit(Algorithm::Blake3.digest(INSIDE)).await.map(drop)
        })
    }

    fn recognise(&self, at: &HomePath) -> Ended<Option<Digest>> {
        let request = UploadRequest {
            modified: Some(MARKER_TIME_S * 1_000_000_000),
            ..upload(at, MARKER.len())
        };
        ended(async {
            let start = self.0.upload(request).await?.start();
            Ok(start.prefix.filter(|_| start.code == CODE_PRESENT))
        })
    }

    fn make_dir(&self, at: &HomePath) -> Ended<()> {
        ended(self.0.make_dir(at))
    }

    fn remove_file(&self, at: &HomePath) -> Ended<()> {
        ended(self.0.remove_file(at))
    }

    fn remove_dir(&self, at: &HomePath) -> Ended<()> {
        ended(self.0.remove_dir(at))
    }

    fn rename(&self, from: &HomePath, to: &HomePath, no_clobber: bool) -> Ended<()> {
        ended(self.0.rename(from, to, no_clobber))
    }
}
