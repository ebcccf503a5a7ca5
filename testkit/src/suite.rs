//! What every store must do, as checks to run against one: each documented rule of [`Store`] and [`Home`], and each
//! documented kind of error.
//!
//! ```
//! use std::sync::Arc;
//! use ferry_testkit::{MemoryStore, suite};
//!
//! suite::run(&|| Arc::new(MemoryStore::default()));
//! ```

mod files;
mod resume;
mod transfers;
mod whole;

use std::fmt::Debug;
use std::sync::Arc;

use ferry_core::chunk::{CHUNK_BYTES, Chunk};
use ferry_core::rt::block_on;
use ferry_core::store::{Entry, FileInfo, Home, ReadRequest, Source, Store, Upload, UploadRequest, Usage};
use ferry_core::verb::BoxFuture;
use ferry_core::{Algorithm, Digest, ErrorKind, HomePath, Result};

/// What the large file of the checks weighs, in bytes: several chunks, and no multiple of one.
const LARGE: usize = 1_200_000;

/// A check: a name that says the rule, and the code that fails when a store breaks it.
type Check = (&'static str, for<'a> fn(&'a Subject) -> BoxFuture<'a, ()>);

/// Runs every check, each against a new store that `make` gives.
///
/// # Panics
/// At the first rule that the store breaks; the message names it.
///
/// ```
/// use std::sync::Arc;
/// use ferry_testkit::{MemoryStore, suite};
///
/// suite::run(&|| Arc::new(MemoryStore::default()));
/// ```
#[allow(
    clippy::print_stderr,
    reason = "a test that panics inside a store has to say which rule it was about"
)]
pub fn run(make: &dyn Fn() -> Arc<dyn Store>) {
    for (rule, check) in files::CHECKS
        .iter()
        .chain(transfers::CHECKS)
        .chain(resume::CHECKS)
        .chain(whole::CHECKS)
    {
        eprintln!("store: {rule}");
        block_on(check(&Subject::new(make())));
    }
}

/// Checks that links are not followed. `plant` puts a symbolic link to the folder `/docs` at the given path in the home of the
/// user `alice` of the store; it is called when that home has been opened.
///
/// # Panics
/// At the first rule that the store breaks; the message names it.
///
/// ```
/// use std::sync::Arc;
/// use ferry_testkit::{MemoryStore, suite};
///
/// let store = Arc::new(MemoryStore::default());
/// let planted = store.clone();
/// suite::run_links(store, &move |path| planted.open("alice", None).plant_link(path).unwrap());
/// ```
pub fn run_links(store: Arc<dyn Store>, plant: &dyn Fn(&HomePath)) {
    block_on(async {
        let subject = Subject::new(store);
        let home = subject.home(None).await;
        home.make_dir(&path("/docs")).await.expect_ok("make_dir");
        subject.put(&*home, "/docs/notes", b"some notes").await;
        plant(&path("/link"));
        files::links_are_described_and_never_followed(&*home).await;
    });
}

/// The store under test, with the calls that many checks make.
struct Subject {
    store: Arc<dyn Store>,
}

/// Like `unwrap` and `unwrap_err`, with words that say which call of the store it was.
trait Expect<T> {
    fn expect_ok(self, what: &str) -> T;
    fn expect_kind(self, what: &str, kind: ErrorKind);
}

impl<T> Expect<T> for Result<T> {
    fn expect_ok(self, what: &str) -> T {
        self.unwrap_or_else(|error| panic!("{what} failed: {}: {error} {:?}", error.kind, error.source))
    }

    fn expect_kind(self, what: &str, kind: ErrorKind) {
        match self {
            Ok(_) => panic!("{what} worked and should have failed: {kind}"),
            Err(error) => expect_eq(what, &error.kind, &kind),
        }
    }
}

fn expect_eq<T: PartialEq + Debug>(what: &str, got: &T, want: &T) {
    assert!(got == want, "{what}: got {got:?}, should be {want:?}");
}

fn path(text: &str) -> HomePath {
    HomePath::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Bytes that repeat nowhere in the first 256 MiB.
fn bytes(len: usize) -> Vec<u8> {
    (0u32..).flat_map(u32::to_le_bytes).take(len).collect()
}

/// An upload of a declared size, proven by MD5.
fn request(at: &str, size: usize) -> UploadRequest {
    UploadRequest {
        size: Some(size as u64),
        fresh: false,
        ..UploadRequest::new(path(at))
    }
}

fn md5(bytes: &[u8]) -> Digest {
    Algorithm::Md5.digest(bytes)
}

async fn write(upload: &mut Box<dyn Upload>, bytes: &[u8]) -> Result<()> {
    for part in bytes.chunks(CHUNK_BYTES) {
        upload.write(Chunk::from(part)).await?;
    }
    Ok(())
}

/// Reads to the end.
async fn drain(source: &mut Box<dyn Source>) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(chunk) = source.next().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

fn read(at: &str) -> ReadRequest {
    ReadRequest::new(path(at))
}

impl Subject {
    fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    async fn home(&self, limit: Option<u64>) -> Arc<dyn Home> {
        self.store.home("alice", limit).await.expect_ok("home")
    }

    /// Stores a file by one upload.
    async fn put(&self, home: &dyn Home, at: &str, contents: &[u8]) -> FileInfo {
        let request = UploadRequest {
            fresh: true,
            ..request(at, contents.len())
        };
        let mut upload = home.upload(request).await.expect_ok("upload");
        write(&mut upload, contents).await.expect_ok("write");
        upload.commit(md5(contents)).await.expect_ok("commit")
    }

    async fn contents(&self, home: &dyn Home, at: &str) -> Vec<u8> {
        let mut source = home.open(read(at)).await.expect_ok("open");
        drain(&mut source).await.expect_ok("read")
    }

    /// The entries of a folder, by name.
    async fn entries(&self, home: &dyn Home, at: &str) -> Vec<Entry> {
        let mut listing = home.list(&path(at)).await.expect_ok("list");
        let mut all = Vec::new();
        loop {
            let entries = listing.next().await.expect_ok("next of a listing");
            if entries.is_empty() {
                all.sort_by(|a: &Entry, b| a.name.cmp(&b.name));
                return all;
            }
            all.extend(entries);
        }
    }

    async fn names(&self, home: &dyn Home, at: &str) -> Vec<String> {
        let entries = self.entries(home, at).await;
        entries
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.name).into_owned())
            .collect()
    }

    async fn usage(&self, home: &dyn Home) -> Usage {
        home.usage().await.expect_ok("usage")
    }
}
