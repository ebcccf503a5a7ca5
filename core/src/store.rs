//! What a store must do: homes, files, uploads and usage. It speaks of names, never of a machine's paths or descriptors.
//!
//! Verbs never see a [`Home`]; they get a [`GuardedHome`](crate::GuardedHome), which checks rights and names first.

mod whole;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::chunk::Chunk;
use crate::digest::{Algorithm, Digest};
use crate::error::{Error, ErrorKind, Result};
use crate::path::HomePath;
use crate::size::ByteSize;
use crate::verb::BoxFuture;

pub use whole::{Stored, WholeUpload};

/// The transfer starts from the beginning.
///
/// ```
/// use ferry_core::store::{CODE_START, Start};
///
/// assert_eq!(Start::BEGINNING.code, CODE_START);
/// ```
pub const CODE_START: u16 = 1001;
/// The transfer goes on at an offset.
///
/// ```
/// # use ferry_core::{store::*, *};
/// # let home = ferry_testkit::MemoryStore::default().open("alice", None);
/// # rt::block_on(async {
/// let place = HomePath::parse("/a.txt")?;
/// let request = UploadRequest { size: Some(6), fresh: false, ..UploadRequest::new(place) };
/// let mut upload = home.upload(request.clone()).await?;
/// upload.write(Chunk::from(&b"abc"[..])).await?;
/// drop(upload); // the connection broke
///
/// let start = home.upload(request).await?.start();
/// assert_eq!((start.code, start.offset), (CODE_RESUME, 3));
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
pub const CODE_RESUME: u16 = 1002;
/// The same bytes are there already; nothing is sent.
///
/// ```
/// # use ferry_core::{store::*, *};
/// # let home = ferry_testkit::MemoryStore::default().open("alice", None);
/// # rt::block_on(async {
/// let place = HomePath::parse("/a.txt")?;
/// let md5 = Algorithm::Md5.digest(b"abc");
/// let request = UploadRequest { size: Some(3), modified: Some(0), fresh: false, ..UploadRequest::new(place) };
/// let mut upload = home.upload(request.clone()).await?;
/// upload.write(Chunk::from(&b"abc"[..])).await?;
/// upload.commit(md5).await?;
///
/// let again = home.upload(request).await?;
/// assert_eq!(again.start().code, CODE_PRESENT);
/// assert_eq!(again.start().prefix, Some(Algorithm::Blake3.digest(b"abc")));
/// again.commit(md5).await?; // nothing was sent
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
pub const CODE_PRESENT: u16 = 1003;

/// When an upload is acknowledged: what whoever runs a server chooses, for a store to keep.
///
/// ```
/// use ferry_core::store::Durability;
///
/// assert_eq!(Durability::default(), Durability::Strict);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// When it will outlive a power cut: file and folder are flushed first.
    #[default]
    Strict,
    /// When the operating system has it: it outlives a crash of the server, not one of the machine.
    Relaxed,
}

/// Homes of many users.
///
/// ```
/// use ferry_core::store::Store;
/// use ferry_core::{HomePath, rt};
/// use ferry_testkit::MemoryStore;
///
/// let store = MemoryStore::default();
/// rt::block_on(async {
///     let home = store.home("alice", Some(1 << 20)).await?;
///     home.make_dir(&HomePath::parse("/docs")?).await?;
///     assert!(store.check("alice", false).await?.is_right());
///     store.close().await
/// })?;
/// # Ok::<(), ferry_core::Error>(())
/// ```
pub trait Store: Send + Sync + 'static {
    /// The home of `user`, made when it is not there yet. `limit` is the account's quota in bytes and holds from this
    /// call on, also for those who have the home open already. Opening the same home twice gives the same ledger.
    ///
    /// # Errors
    /// `internal` when the home cannot be opened.
    fn home<'a>(&'a self, user: &'a str, limit: Option<u64>) -> BoxFuture<'a, Result<Arc<dyn Home>>>;

    /// Counts the files of a home and compares with what the store believes; with `repair`, believes the count from then on.
    ///
    /// # Errors
    /// `internal` when the home cannot be read.
    fn check<'a>(&'a self, user: &'a str, repair: bool) -> BoxFuture<'a, Result<Check>>;

    /// Removes a home with all that is in it, unfinished uploads too. Its user must be gone by then.
    ///
    /// # Errors
    /// `internal` when something stays; what was removed before stays removed.
    fn purge<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Writes down what is only in memory. Called when the server stops in good order.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}

/// The home of one user. All methods take places inside the home; links are never followed.
///
/// Every call is all or nothing and safe to make from many tasks at once.
///
/// ```
/// use std::sync::Arc;
///
/// use ferry_core::store::*;
/// use ferry_core::verb::BoxFuture;
/// use ferry_core::{Error, HomePath, Result, rt};
///
/// /// A home in which everything is refused but a look at its usage.
/// struct Sealed(Arc<dyn Home>);
///
/// fn sealed<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T>> {
///     Box::pin(async { Err(Error::denied("this home is sealed")) })
/// }
///
/// impl Home for Sealed {
///     fn stat<'a>(&'a self, _path: &'a HomePath) -> BoxFuture<'a, Result<Entry>> {
///         sealed()
///     }
///     fn usage(&self) -> BoxFuture<'_, Result<Usage>> {
///         self.0.usage()
///     }
///     // And so on.
/// #     fn list<'a>(&'a self, _: &'a HomePath) -> BoxFuture<'a, Result<Box<dyn Listing>>> { sealed() }
/// #     fn make_dir<'a>(&'a self, _: &'a HomePath) -> BoxFuture<'a, Result<()>> { sealed() }
/// #     fn remove_file<'a>(&'a self, _: &'a HomePath) -> BoxFuture<'a, Result<()>> { sealed() }
/// #     fn remove_dir<'a>(&'a self, _: &'a HomePath) -> BoxFuture<'a, Result<()>> { sealed() }
/// #     fn rename<'a>(&'a self, _: &'a HomePath, _: &'a HomePath, _: bool) -> BoxFuture<'a, Result<()>> { sealed() }
/// #     fn open(&self, _: ReadRequest) -> BoxFuture<'_, Result<Box<dyn Source>>> { sealed() }
/// #     fn upload(&self, _: UploadRequest) -> BoxFuture<'_, Result<Box<dyn Upload>>> { sealed() }
/// #     fn partials(&self) -> BoxFuture<'_, Result<Vec<Partial>>> { sealed() }
/// #     fn remove_partial<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<()>> { sealed() }
/// }
///
/// let home = Sealed(ferry_testkit::MemoryStore::default().open("alice", Some(100)));
/// assert_eq!(rt::block_on(home.usage())?.limit, Some(100));
/// assert!(rt::block_on(home.stat(&HomePath::root())).is_err());
/// # Ok::<(), Error>(())
/// ```
pub trait Home: Send + Sync {
    /// What is at `path`; a link is described, not followed.
    fn stat<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<Entry>>;

    /// The entries of a folder, in no order, read as they are asked for. An entry that cannot be read is left out.
    fn list<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<Box<dyn Listing>>>;

    /// Makes a folder whose parent is there. `exists` when something of that name is there.
    fn make_dir<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>>;

    /// Removes a file or a link and gives its bytes back to the quota. `is_directory` for a folder.
    fn remove_file<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>>;

    /// Removes an empty folder. `not_directory` for anything else, `not_empty` when it has entries.
    fn remove_dir<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>>;

    /// Makes sure that what is at `path` is as durable as an upload that was acknowledged. A verb that answers that something is
    /// there already calls it first: whoever put it there may not have been told so yet. The default is for stores to which
    /// nothing is there before it is durable.
    fn make_durable<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        let _ = path;
        Box::pin(std::future::ready(Ok(())))
    }

    /// Gives an entry another name, in one step. A file already there is replaced, and its bytes given back, unless
    /// `no_clobber` (`exists`). A folder replaces nothing but an empty folder.
    fn rename<'a>(&'a self, from: &'a HomePath, to: &'a HomePath, no_clobber: bool) -> BoxFuture<'a, Result<()>>;

    /// Opens a file for reading. The bytes read are those of the version opened, even when it is replaced meanwhile.
    /// `not_found`, `is_directory`, and `denied` for what is no regular file.
    fn open(&self, request: ReadRequest) -> BoxFuture<'_, Result<Box<dyn Source>>>;

    /// Opens an upload: finds an unfinished one to go on with, or reserves the declared size and starts anew.
    ///
    /// An unfinished upload is found by path and size, or by the expected digest. Whoever opens it again takes it over: the
    /// older holder gets `lease_lost`. With `fresh` an unfinished one is thrown away first. A stream of unknown size is never
    /// gone on with. One of the same path and another size is left alone, but a store may throw it away to make room within
    /// the quota when nobody holds it.
    fn upload(&self, request: UploadRequest) -> BoxFuture<'_, Result<Box<dyn Upload>>>;

    /// Stores a whole small file in one step: what [`Self::upload`], [`Upload::write`] and [`Upload::commit`] do together, for
    /// contents that are all here. What fails leaves nothing behind. A store for which many small steps are dear does better than
    /// the default, which makes them one by one.
    fn store(&self, whole: WholeUpload) -> BoxFuture<'_, Result<Stored>> {
        Box::pin(whole::store(self, whole))
    }

    /// The uploads that are not finished, with what is held of them; those of which nothing is held yet are left out.
    fn partials(&self) -> BoxFuture<'_, Result<Vec<Partial>>>;

    /// Throws an unfinished upload away and gives its reservation back. `not_found` when there is none.
    fn remove_partial<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Limit, used and reserved bytes.
    fn usage(&self) -> BoxFuture<'_, Result<Usage>>;
}

/// Entries of a folder, some at a time.
///
/// ```
/// use ferry_core::store::{Entry, EntryKind, Listing};
/// use ferry_core::verb::BoxFuture;
/// use ferry_core::{Result, rt};
///
/// /// All that is to come, given in batches of two.
/// struct Twos(Vec<Entry>);
/// impl Listing for Twos {
///     fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>>> {
///         let batch = self.0.drain(..self.0.len().min(2)).collect();
///         Box::pin(async { Ok(batch) })
///     }
/// }
/// let mut listing = Twos(["a", "b", "c"].map(|name| Entry::new(name, EntryKind::File)).into());
/// let lens: Vec<usize> = (0..3).map(|_| rt::block_on(listing.next()).unwrap().len()).collect();
/// assert_eq!(lens, [2, 1, 0]);
/// ```
pub trait Listing: Send {
    /// The next entries; none at the end.
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>>>;
}

/// What kind of thing an entry is.
///
/// ```
/// use ferry_core::store::{Entry, EntryKind};
///
/// let entries = [Entry::new("docs", EntryKind::Dir), Entry::new("a.txt", EntryKind::File)];
/// assert_eq!(entries.iter().filter(|entry| entry.kind == EntryKind::File).count(), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link; never followed.
    Link,
    /// A socket, a pipe, a device.
    #[serde(other)]
    Other,
}

impl EntryKind {
    /// Its name on the wire and in JSON.
    ///
    /// ```
    /// assert_eq!(ferry_core::store::EntryKind::Dir.as_str(), "dir");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "dir",
            Self::Link => "link",
            Self::Other => "other",
        }
    }
}

/// One entry of a folder.
///
/// ```
/// use ferry_core::store::{Entry, EntryKind};
///
/// let entry = Entry { size: 3, modified: 1_700_000_000_000_000_000, ..Entry::new("a.txt", EntryKind::File) };
/// assert_eq!((entry.name.as_slice(), entry.size), (&b"a.txt"[..], 3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name; empty for the home itself.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file; 0 for everything else.
    pub size: u64,
    /// Last change of the contents, in nanoseconds since 1970-01-01 UTC.
    pub modified: i64,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// Which version of the file it is.
    pub version: Version,
    /// The digest of its contents, where the store knows it without reading them.
    pub digest: Option<Digest>,
}

impl Entry {
    /// An entry of which only name and kind are known.
    ///
    /// ```
    /// use ferry_core::store::{Entry, EntryKind};
    ///
    /// let entry = Entry::new("docs", EntryKind::Dir);
    /// assert_eq!((entry.size, entry.digest), (0, None));
    /// ```
    pub fn new(name: impl Into<Vec<u8>>, kind: EntryKind) -> Self {
        Self {
            name: name.into(),
            kind,
            size: 0,
            modified: 0,
            executable: false,
            version: Version::default(),
            digest: None,
        }
    }
}

/// Tells two states of a file apart: equal only as long as its contents cannot have been replaced. On the wire, 32 hex digits.
///
/// ```
/// use ferry_core::store::Version;
///
/// assert_ne!(Version(1), Version(2));
/// assert_eq!(Version(0x2a).to_string(), "0000000000000000000000000000002a");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Version(pub u128);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = u128::from_str_radix(&text, 16).ok().filter(|_| digits);
        value.map(Self).ok_or_else(|| de::Error::custom("a version is 32 hex digits"))
    }
}

/// A file as a transfer leaves it: what was proven.
///
/// ```
/// # use ferry_core::{store::*, *};
/// # let home = ferry_testkit::MemoryStore::default().open("alice", None);
/// # rt::block_on(async {
/// let place = HomePath::parse("/a.txt")?;
/// let home = GuardedHome::new(home, Access::Write);
/// let file = home.write_file(&place, b"abc").await?;
/// assert_eq!((file.path.to_string(), file.size), ("/a.txt".into(), 3));
/// assert_eq!(file.digest, Some(Algorithm::Md5.digest(b"abc")));
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Where it is, absolute.
    pub path: crate::path::RemotePath,
    /// Its size in bytes.
    pub size: u64,
    /// Last change of the contents, in nanoseconds since 1970-01-01 UTC.
    pub modified: i64,
    /// Whether its owner may execute it.
    #[serde(default)]
    pub executable: bool,
    /// The digest of all its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Which version it is.
    #[serde(default)]
    pub version: Version,
}

/// How a transfer starts, in either direction.
///
/// ```
/// # use ferry_core::{store::*, *};
/// # let home = ferry_testkit::MemoryStore::default().open("alice", None);
/// # rt::block_on(async {
/// let place = HomePath::parse("/a.txt")?;
/// let request = UploadRequest { size: Some(6), fresh: false, ..UploadRequest::new(place) };
/// let mut upload = home.upload(request.clone()).await?;
/// upload.write(Chunk::from(&b"abc"[..])).await?;
/// drop(upload); // the connection broke
///
/// let start = home.upload(request).await?.start();
/// assert_eq!(start.offset, 3);
/// assert_eq!(start.prefix, Some(Algorithm::Blake3.digest(b"abc"))); // whatever the transfer is proven by
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// [`CODE_START`], [`CODE_RESUME`] or [`CODE_PRESENT`].
    pub code: u16,
    /// Where the bytes go on.
    pub offset: u64,
    /// The BLAKE3 digest of the bytes before `offset`, when there are any. It proves to both sides that they hold the same
    /// prefix; a name or a size never does, and MD5 does not against someone hostile.
    pub prefix: Option<Digest>,
}

impl Start {
    /// From the beginning.
    ///
    /// ```
    /// assert_eq!(ferry_core::store::Start::BEGINNING.offset, 0);
    /// ```
    pub const BEGINNING: Self = Self {
        code: CODE_START,
        offset: 0,
        prefix: None,
    };
}

/// What is to be read.
///
/// ```
/// use ferry_core::store::ReadRequest;
/// use ferry_core::{Algorithm, HomePath};
///
/// let request = ReadRequest { algorithm: Algorithm::Blake3, ..ReadRequest::new(HomePath::parse("/a.txt")?) };
/// assert!(request.held.is_none());
/// # Ok::<(), ferry_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// The file.
    pub path: HomePath,
    /// How the transfer is proven.
    pub algorithm: Algorithm,
    /// What the reader holds already.
    pub held: Option<Held>,
    /// Whether the reader digests what he gets and compares. Then the store may give the digest that it proved when the file came, in
    /// place of one over the bytes as they are read: where they are others by now, the reader finds out.
    pub reader_checks: bool,
}

impl ReadRequest {
    /// Reads all of a file.
    ///
    /// ```
    /// use ferry_core::store::ReadRequest;
    /// use ferry_core::{Algorithm, HomePath};
    ///
    /// assert_eq!(ReadRequest::new(HomePath::parse("/a.txt")?).algorithm, Algorithm::Md5);
    /// # Ok::<(), ferry_core::Error>(())
    /// ```
    pub fn new(path: HomePath) -> Self {
        Self {
            path,
            algorithm: Algorithm::default(),
            held: None,
            reader_checks: false,
        }
    }
}

/// The first bytes of a file, as somebody claims to hold them.
///
/// ```
/// # use ferry_core::{store::*, *};
/// # let home = ferry_testkit::MemoryStore::default().open("alice", None);
/// # rt::block_on(async {
/// let place = HomePath::parse("/a.txt")?;
/// GuardedHome::new(home.clone(), Access::Write).write_file(&place, b"abcdef").await?;
/// let held = Held { offset: 4, prefix: Algorithm::Blake3.digest(b"abcd") };
/// let mut source = home.open(ReadRequest { held: Some(held), ..ReadRequest::new(place) }).await?;
/// assert_eq!(source.start().code, CODE_RESUME);
/// assert_eq!(source.next().await?.as_deref(), Some(&b"ef"[..]));
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// How many bytes.
    pub offset: u64,
    /// Their BLAKE3 digest.
    pub prefix: Digest,
}

/// A file being read.
///
/// ```
/// # use ferry_core::{store::*, *};
/// # let home = ferry_testkit::MemoryStore::default().open("alice", None);
/// # rt::block_on(async {
/// let place = HomePath::parse("/a.txt")?;
/// GuardedHome::new(home.clone(), Access::Write).write_file(&place, b"abc").await?;
/// let mut source = home.open(ReadRequest::new(place)).await?;
/// assert_eq!((source.start(), source.file().size), (Start::BEGINNING, 3));
/// while let Some(chunk) = source.next().await? {
///     assert_eq!(&*chunk, b"abc");
/// }
/// assert_eq!(source.digest(), Algorithm::Md5.digest(b"abc"));
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
pub trait Source: Send {
    /// Where the bytes start. After the beginning only when the reader's prefix was checked and is the same.
    fn start(&self) -> Start;

    /// The file as it was opened, with the digest that it was stored with where the store keeps that: any algorithm's.
    fn file(&self) -> &FileInfo;

    /// The next bytes; `None` at the end. An error is never an end.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Chunk>>>;

    /// The digest of all bytes of the file from the first one, after the end; with [`ReadRequest::reader_checks`] perhaps that of the
    /// bytes that were stored.
    fn digest(&self) -> Digest;
}

/// What is to be written.
///
/// ```
/// use ferry_core::HomePath;
/// use ferry_core::store::UploadRequest;
///
/// let place = HomePath::parse("/a.txt")?;
/// let request = UploadRequest { size: Some(3), no_clobber: true, ..UploadRequest::new(place) };
/// assert!(request.fresh, "starts anew unless told otherwise");
/// # Ok::<(), ferry_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct UploadRequest {
    /// The file's final place.
    pub path: HomePath,
    /// Its size; `None` for a stream, which reserves as it goes.
    pub size: Option<u64>,
    /// Last change of the contents, to be kept; nanoseconds since 1970-01-01 UTC.
    pub modified: Option<i64>,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// How the transfer is proven.
    pub algorithm: Algorithm,
    /// The digest of the whole file, where the client knows it before.
    pub expected: Option<Digest>,
    /// Refuses to replace a file that is there.
    pub no_clobber: bool,
    /// Throws away what an earlier try left.
    pub fresh: bool,
}

impl UploadRequest {
    /// Writes a file from its beginning, a stream of unknown size. It may replace one that is there; what an earlier try left is
    /// thrown away, for whoever goes on with it must look at [`Upload::start`] first.
    ///
    /// ```
    /// use ferry_core::HomePath;
    /// use ferry_core::store::UploadRequest;
    ///
    /// let request = UploadRequest::new(HomePath::parse("/a.txt")?);
    /// assert_eq!((request.size, request.no_clobber, request.fresh), (None, false, true));
    /// # Ok::<(), ferry_core::Error>(())
    /// ```
    pub fn new(path: HomePath) -> Self {
        Self {
            path,
            size: None,
            modified: None,
            executable: false,
            algorithm: Algorithm::default(),
            expected: None,
            no_clobber: false,
            fresh: true,
        }
    }
}

/// An upload being written. Dropping it leaves an unfinished upload, which can be taken up again; a stream leaves nothing.
///
/// ```
/// # use ferry_core::{store::*, *};
/// # let home = ferry_testkit::MemoryStore::default().open("alice", None);
/// # rt::block_on(async {
/// let place = HomePath::parse("/a.txt")?;
/// let mut upload = home.upload(UploadRequest { size: Some(3), ..UploadRequest::new(place.clone()) }).await?;
/// assert_eq!(upload.start(), Start::BEGINNING);
/// upload.write(Chunk::from(&b"abc"[..])).await?;
/// let file = upload.commit(Algorithm::Md5.digest(b"abc")).await?; // durable from here on
/// assert_eq!(file.size, 3);
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
pub trait Upload: Send {
    /// Its name in `partials`; empty when there is nothing to go on with later.
    fn id(&self) -> &str;

    /// Where the bytes go on. [`CODE_PRESENT`] when a file of the declared size and time is there whose bytes may be the same, and
    /// have the expected digest if there is one: then `prefix` is the digest of all of them, and a client that agrees commits without writing.
    fn start(&self) -> Start;

    /// Writes the next bytes. `too_large` beyond the declared size, `over_quota`, `disk_full`, `lease_lost`.
    fn write(&mut self, chunk: Chunk) -> BoxFuture<'_, Result<()>>;

    /// Proves, makes durable and publishes the file, in this order; only then does it have its name. `digest` is the sender's
    /// digest of the whole file. `digest_mismatch` when the bytes are others (they are thrown away), `offset_mismatch` when
    /// bytes are missing (they can still be sent).
    fn commit(self: Box<Self>, digest: Digest) -> BoxFuture<'static, Result<FileInfo>>;
}

/// An upload that is not finished.
///
/// ```
/// # use ferry_core::{store::*, *};
/// # let home = ferry_testkit::MemoryStore::default().open("alice", None);
/// # rt::block_on(async {
/// let place = HomePath::parse("/a.txt")?;
/// let request = UploadRequest { size: Some(6), fresh: false, ..UploadRequest::new(place) };
/// let mut upload = home.upload(request.clone()).await?;
/// upload.write(Chunk::from(&b"abc"[..])).await?;
/// drop(upload); // the connection broke
///
/// let partial = &home.partials().await?[0];
/// assert_eq!((partial.size, partial.received), (Some(6), 3));
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// Its name: some hex digits.
    pub id: String,
    /// Where the file is to go.
    pub path: HomePath,
    /// The declared size; `None` for a stream.
    pub size: Option<u64>,
    /// How many bytes are held so that they outlive a crash of the server.
    pub received: u64,
    /// When it is thrown away, in nanoseconds since 1970-01-01 UTC.
    pub expires: i64,
}

/// A home's bytes: `used` is the sum of the sizes of its files, `reserved` what uploads under way may still add.
///
/// ```
/// use ferry_core::store::Usage;
///
/// let usage = Usage { limit: Some(100), used: 60, reserved: 10 };
/// assert_eq!(usage.free(), Some(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// The most bytes that may be used; `None` without a limit.
    pub limit: Option<u64>,
    /// The bytes of all files.
    pub used: u64,
    /// Bytes promised to uploads.
    pub reserved: u64,
}

/// A home, counted.
///
/// ```
/// use ferry_core::store::Store as _;
///
/// let store = ferry_testkit::MemoryStore::default();
/// store.open("alice", None);
/// let check = ferry_core::rt::block_on(store.check("alice", false))?;
/// assert_eq!((check.used, check.counted), (0, 0));
/// # Ok::<(), ferry_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The bytes that the store believed to be used.
    pub used: u64,
    /// The bytes that a count found.
    pub counted: u64,
    /// Bytes promised to uploads.
    pub reserved: u64,
    /// Uploads that are not finished.
    pub partials: u64,
}

impl Check {
    /// Whether belief and count agree.
    ///
    /// ```
    /// use ferry_core::store::Check;
    ///
    /// let check = Check { used: 3, counted: 4, reserved: 0, partials: 0 };
    /// assert!(!check.is_right(), "somebody put a byte there behind the store's back");
    /// ```
    pub fn is_right(&self) -> bool {
        self.used == self.counted
    }
}

impl Usage {
    /// What can still be reserved; `None` without a limit.
    ///
    /// ```
    /// use ferry_core::store::Usage;
    ///
    /// assert_eq!(Usage { limit: Some(100), used: 60, reserved: 10 }.free(), Some(30));
    /// assert_eq!(Usage::default().free(), None);
    /// ```
    pub fn free(&self) -> Option<u64> {
        self.limit
            .map(|limit| limit.saturating_sub(self.used.saturating_add(self.reserved)))
    }

    /// Promises `size` more bytes to the upload of `path`. The whole rule of the quota:
    /// `used + reserved + size <= limit`, decided before the first byte.
    ///
    /// ```
    /// use ferry_core::HomePath;
    /// use ferry_core::store::Usage;
    ///
    /// let mut usage = Usage { limit: Some(100), used: 60, reserved: 0 };
    /// let path = HomePath::parse("/a.txt")?;
    /// usage.reserve(&path, 40)?;
    /// assert!(usage.reserve(&path, 1).is_err());
    /// # Ok::<(), ferry_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `over_quota`, with the numbers.
    pub fn reserve(&mut self, path: &HomePath, size: u64) -> Result<()> {
        if let (Some(limit), Some(free)) = (self.limit, self.free())
            && size > free
        {
            let taken = ByteSize(self.used.saturating_add(self.reserved));
            let message = format!(
                "{path} needs {}, {} left (home {taken} of {})",
                ByteSize(size),
                ByteSize(free),
                ByteSize(limit)
            );
            return Err(Error::new(ErrorKind::OverQuota, message)
                .at(path)
                .hint("remove something, or ask for a larger quota"));
        }
        self.reserved = self.reserved.saturating_add(size);
        Ok(())
    }

    /// Gives back what was reserved.
    ///
    /// ```
    /// use ferry_core::store::Usage;
    ///
    /// let mut usage = Usage { limit: Some(100), used: 60, reserved: 40 };
    /// usage.release(40);
    /// assert_eq!(usage.free(), Some(40));
    /// ```
    pub fn release(&mut self, size: u64) {
        self.reserved = self.reserved.saturating_sub(size);
    }

    /// Turns `reserved` promised bytes into a file of `size` bytes, which replaced one of `replaced` bytes.
    ///
    /// ```
    /// use ferry_core::store::Usage;
    ///
    /// // A file of 30 bytes takes the place of one of 10.
    /// let mut usage = Usage { limit: Some(100), used: 60, reserved: 30 };
    /// usage.commit(30, 30, 10);
    /// assert_eq!((usage.used, usage.reserved), (80, 0));
    /// ```
    pub fn commit(&mut self, reserved: u64, size: u64, replaced: u64) {
        self.release(reserved);
        self.used = self.used.saturating_add(size).saturating_sub(replaced);
    }

    /// Takes note of a removed file.
    ///
    /// ```
    /// use ferry_core::store::Usage;
    ///
    /// let mut usage = Usage { limit: None, used: 60, reserved: 0 };
    /// usage.remove(10);
    /// assert_eq!(usage.used, 50);
    /// ```
    pub fn remove(&mut self, size: u64) {
        self.used = self.used.saturating_sub(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_can_be_reserved_and_not_one_more() {
        let mut usage = Usage {
            limit: Some(100),
            used: 60,
            reserved: 0,
        };
        let path = HomePath::parse("/a").unwrap();
        assert_eq!(usage.reserve(&path, 41).unwrap_err().kind, ErrorKind::OverQuota);
        assert_eq!(usage.reserve(&path, u64::MAX).unwrap_err().kind, ErrorKind::OverQuota);
        usage.reserve(&path, 40).unwrap();
        assert_eq!(usage.free(), Some(0));
        usage.commit(40, 40, 10);
        assert_eq!((usage.used, usage.reserved), (90, 0));
        usage.reserve(&path, 10).unwrap();
        usage.release(10);
        usage.remove(90);
        assert_eq!((usage.used, usage.reserved), (0, 0));
    }

    #[test]
    fn a_limit_lowered_below_the_usage_leaves_nothing_free() {
        let usage = Usage {
            limit: Some(10),
            used: 60,
            reserved: 0,
        };
        assert_eq!(usage.free(), Some(0));
    }
}
