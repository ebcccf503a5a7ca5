//! The home that a verb gets: checks rights and names before the store is asked, and builds on the store's few calls what
//! many verbs need.

mod scan;
mod small;

use std::fmt;
use std::sync::Arc;

use crate::digest::Algorithm;
use crate::error::{Error, ErrorKind, Result};
use crate::path::HomePath;
use crate::spec::Access;
use crate::store::{Entry, EntryKind, FileInfo, Home, Listing, Partial, ReadRequest, Source, Upload, UploadRequest, Usage};

pub use scan::Scan;

/// How deep a folder tree may be that is walked: more than [`PATH_MAX_BYTES`](crate::path::PATH_MAX_BYTES) allows.
const DEPTH_MAX: usize = 2048;

/// One user's home with one request's rights. A verb declared `Read` gets one that cannot write. Clones share it.
///
/// ```
/// # use ferry_core::{store::*, *};
/// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
/// # rt::block_on(async {
/// let place = HomePath::parse("/docs/list.txt")?;
/// home.make_dirs(&HomePath::parse("/docs")?).await?;
/// home.write_file(&place, b"milk\n").await?;
/// assert_eq!(home.stat(&place).await?.size, 5);
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct GuardedHome {
    home: Arc<dyn Home>,
    may_write: bool,
}

impl fmt::Debug for GuardedHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardedHome(may_write: {})", self.may_write)
    }
}

impl GuardedHome {
    /// The home for a request of that access.
    ///
    /// ```
    /// use ferry_core::{Access, ErrorKind, GuardedHome, HomePath, rt};
    ///
    /// let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Read);
    /// let refused = rt::block_on(home.make_dir(&HomePath::parse("/a")?)).unwrap_err();
    /// assert_eq!(refused.kind, ErrorKind::Denied);
    /// # Ok::<(), ferry_core::Error>(())
    /// ```
    pub fn new(home: Arc<dyn Home>, access: Access) -> Self {
        Self {
            home,
            may_write: matches!(access, Access::Write | Access::Admin),
        }
    }

    /// The same home for somebody who may only read.
    pub(crate) fn reading(self) -> Self {
        Self {
            may_write: false,
            ..self
        }
    }

    fn check_write(&self) -> Result<()> {
        if self.may_write {
            Ok(())
        } else {
            Err(Error::denied("this verb may only read"))
        }
    }

    /// Refuses what no file may be uploaded to.
    fn check_upload(&self, path: &HomePath) -> Result<()> {
        self.check_write()?;
        path.check_new()?;
        match path.is_root() {
            true => Err(Error::new(ErrorKind::IsDirectory, "/: is a folder").at(path)),
            false => Ok(()),
        }
    }

    fn check_entry(&self, path: &HomePath) -> Result<()> {
        self.check_write()?;
        if path.is_root() {
            Err(Error::denied("the home itself stays where it is").at(path))
        } else {
            Ok(())
        }
    }

    /// What is at `path`.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let place = HomePath::parse("/a.txt")?;
    /// home.write_file(&place, b"abc").await?;
    /// let entry = home.stat(&place).await?;
    /// assert_eq!((entry.kind, entry.size), (EntryKind::File, 3));
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `not_found`, or what the store says.
    pub async fn stat(&self, path: &HomePath) -> Result<Entry> {
        self.home.stat(path).await
    }

    /// The kind of what is at `path`; `None` when nothing is there.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// assert_eq!(home.kind(&HomePath::root()).await?, Some(EntryKind::Dir));
    /// assert_eq!(home.kind(&HomePath::parse("/missing")?).await?, None);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// What the store says, other than `not_found`.
    pub async fn kind(&self, path: &HomePath) -> Result<Option<EntryKind>> {
        match self.home.stat(path).await {
            Ok(entry) => Ok(Some(entry.kind)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The entries of a folder, in no order, some at a time.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// home.make_dir(&HomePath::parse("/docs")?).await?;
    /// let mut listing = home.list(&HomePath::root()).await?;
    /// let mut names = Vec::new();
    /// loop {
    ///     let entries = listing.next().await?;
    ///     if entries.is_empty() {
    ///         break;
    ///     }
    ///     names.extend(entries.into_iter().map(|entry| entry.name));
    /// }
    /// assert_eq!(names, [b"docs"]);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `not_found`, `not_directory`.
    pub async fn list(&self, path: &HomePath) -> Result<Box<dyn Listing>> {
        self.home.list(path).await
    }

    /// Makes a folder.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let docs = HomePath::parse("/docs")?;
    /// home.make_dir(&docs).await?;
    /// assert_eq!(home.make_dir(&docs).await.unwrap_err().kind, ErrorKind::Exists);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `exists`, `not_found` when the parent is missing, `bad_path`, `denied`.
    pub async fn make_dir(&self, path: &HomePath) -> Result<()> {
        self.check_write()?;
        path.check_new()?;
        if path.is_root() {
            return Err(Error::exists("/: already there").at(path));
        }
        self.home.make_dir(path).await
    }

    /// Makes a folder and those above it that are missing. One that is there already is fine.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let deep = HomePath::parse("/a/b/c")?;
    /// home.make_dirs(&deep).await?;
    /// home.make_dirs(&deep).await?;
    /// assert_eq!(home.kind(&deep).await?, Some(EntryKind::Dir));
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `not_directory` when something else has one of the names; otherwise as [`Self::make_dir`].
    pub async fn make_dirs(&self, path: &HomePath) -> Result<()> {
        self.check_write()?;
        let mut missing = Vec::new();
        let mut at = Some(path.clone());
        while let Some(path) = at {
            match self.kind(&path).await? {
                Some(EntryKind::Dir) => break,
                Some(_) => return Err(Error::new(ErrorKind::NotDirectory, format!("{path}: not a folder")).at(&path)),
                None => at = path.parent(),
            }
            missing.push(path);
        }
        for path in missing.iter().rev() {
            match self.make_dir(path).await {
                // Somebody else made it meanwhile: as good.
                Err(error) if error.kind == ErrorKind::Exists && self.kind(path).await? == Some(EntryKind::Dir) => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Removes a file or a link.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let place = HomePath::parse("/a.txt")?;
    /// home.write_file(&place, b"abc").await?;
    /// home.remove_file(&place).await?;
    /// assert_eq!(home.usage().await?.used, 0);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `not_found`, `is_directory`, `denied`.
    pub async fn remove_file(&self, path: &HomePath) -> Result<()> {
        self.check_entry(path)?;
        self.home.remove_file(path).await
    }

    /// Removes an empty folder.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let docs = HomePath::parse("/docs")?;
    /// home.make_dirs(&docs.join(b"inner")?).await?;
    /// assert_eq!(home.remove_dir(&docs).await.unwrap_err().kind, ErrorKind::NotEmpty);
    /// home.remove_dir(&docs.join(b"inner")?).await?;
    /// home.remove_dir(&docs).await?;
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `not_found`, `not_directory`, `not_empty`, `denied`.
    pub async fn remove_dir(&self, path: &HomePath) -> Result<()> {
        self.check_entry(path)?;
        self.home.remove_dir(path).await
    }

    /// Removes whatever is at `path`, with all that is in it.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let docs = HomePath::parse("/docs")?;
    /// home.make_dirs(&docs.join(b"inner")?).await?;
    /// home.remove_tree(&docs).await?;
    /// assert_eq!(home.kind(&docs).await?, None);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `not_found`, `denied`; what was removed before an error stays removed.
    pub async fn remove_tree(&self, path: &HomePath) -> Result<()> {
        self.check_entry(path)?;
        match self.home.remove_file(path).await {
            Err(error) if error.kind == ErrorKind::IsDirectory => {}
            other => return other,
        }
        let mut folders = vec![path.clone()];
        while let Some(folder) = folders.last().cloned() {
            let mut inner = Vec::new();
            let mut listing = match self.home.list(&folder).await {
                Err(error) if error.kind == ErrorKind::NotFound => {
                    folders.pop();
                    continue;
                }
                listing => listing?,
            };
            loop {
                let entries = listing.next().await?;
                if entries.is_empty() {
                    break;
                }
                for entry in entries {
                    let path = folder.join(&entry.name)?;
                    match entry.kind {
                        EntryKind::Dir => inner.push(path),
                        _ => gone_is_fine(self.home.remove_file(&path).await)?,
                    }
                }
            }
            if inner.is_empty() {
                // Not empty means that somebody else is filling the folder: that is his conflict to hear of.
                gone_is_fine(self.home.remove_dir(&folder).await)?;
                folders.pop();
            } else {
                folders.append(&mut inner);
            }
        }
        Ok(())
    }

    /// Gives an entry another name. A file that is there is replaced unless `no_clobber`.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let (a, b) = (HomePath::parse("/a.txt")?, HomePath::parse("/b.txt")?);
    /// home.write_file(&a, b"abc").await?;
    /// home.rename(&a, &b, true).await?;
    /// assert_eq!(home.read_file(&b, 100).await?, b"abc");
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `not_found`, `exists`, `not_empty`, `is_directory`, `not_directory`, `bad_path`, `denied`; `bad_request` for a folder
    /// that would go into itself.
    pub async fn rename(&self, from: &HomePath, to: &HomePath, no_clobber: bool) -> Result<()> {
        self.check_entry(from)?;
        self.check_entry(to)?;
        to.check_new()?;
        if to == from {
            return self.stat(from).await.map(drop);
        }
        if to.is_within(from) {
            return Err(Error::bad_request(format!("{from}: cannot go into itself")).at(from));
        }
        self.home.rename(from, to, no_clobber).await
    }

    /// Opens a file for reading.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let place = HomePath::parse("/a.txt")?;
    /// home.write_file(&place, b"abc").await?;
    /// let mut source = home.open(ReadRequest::new(place)).await?;
    /// let mut bytes = 0;
    /// while let Some(chunk) = source.next().await? {
    ///     bytes += chunk.len();
    /// }
    /// assert_eq!((bytes, source.digest()), (3, Algorithm::Md5.digest(b"abc")));
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `not_found`, `is_directory`, `denied` for what is no regular file.
    pub async fn open(&self, request: ReadRequest) -> Result<Box<dyn Source>> {
        self.home.open(request).await
    }

    /// Opens an upload.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let place = HomePath::parse("/a.txt")?;
    /// let mut upload = home.upload(UploadRequest { size: Some(6), ..UploadRequest::new(place.clone()) }).await?;
    /// upload.write(Chunk::from(&b"abc"[..])).await?;
    /// upload.write(Chunk::from(&b"def"[..])).await?;
    /// assert_eq!(home.kind(&place).await?, None); // not there before it is whole
    /// let file = upload.commit(Algorithm::Md5.digest(b"abcdef")).await?;
    /// assert_eq!((file.size, home.kind(&place).await?), (6, Some(EntryKind::File)));
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `over_quota`, `exists`, `is_directory`, `not_found` when the folder is missing, `bad_path`, `denied`.
    pub async fn upload(&self, request: UploadRequest) -> Result<Box<dyn Upload>> {
        self.check_upload(&request.path)?;
        self.home.upload(request).await
    }

    /// Copies a file inside the home. It appears whole or not at all, like an upload. A copy that is cut off leaves nothing behind, for
    /// nobody could go on with it.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let (a, b) = (HomePath::parse("/a.txt")?, HomePath::parse("/b.txt")?);
    /// home.write_file(&a, b"abc").await?;
    /// assert_eq!(home.copy(&a, &b, true).await?.size, 3);
    /// assert_eq!(home.usage().await?.used, 6);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::open`] and [`Self::upload`].
    pub async fn copy(&self, from: &HomePath, to: &HomePath, no_clobber: bool) -> Result<FileInfo> {
        self.check_write()?;
        if from == to {
            return Err(Error::bad_request(format!("{from}: is the same file")).at(from));
        }
        // BLAKE3: nobody sees this digest, so the fastest one proves the copy.
        let algorithm = Algorithm::Blake3;
        let request = ReadRequest::new(from.clone());
        let mut source = self.open(ReadRequest { algorithm, ..request }).await?;
        let file = source.file().clone();
        let mut upload = self
            .upload(UploadRequest {
                modified: Some(file.modified),
                executable: file.executable,
                algorithm,
                no_clobber,
                // A stream: of a declared size, it would stay as an unfinished upload with its reservation.
                ..UploadRequest::new(to.clone())
            })
            .await?;
        // Its size is known all the same, so no byte is copied of a file for which there is no room.
        self.usage().await?.reserve(to, file.size)?;
        while let Some(chunk) = source.next().await? {
            upload.write(chunk).await?;
        }
        upload.commit(source.digest()).await
    }

    /// The file with the digest of its bytes, all of which are read.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let place = HomePath::parse("/a.txt")?;
    /// home.write_file(&place, b"abc").await?;
    /// let file = home.digest(&place, Algorithm::Md5).await?;
    /// assert_eq!(file.digest, Some(Algorithm::Md5.digest(b"abc")));
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub async fn digest(&self, path: &HomePath, algorithm: Algorithm) -> Result<FileInfo> {
        let request = ReadRequest::new(path.clone());
        let mut source = self.open(ReadRequest { algorithm, ..request }).await?;
        while source.next().await?.is_some() {}
        let mut file = source.file().clone();
        file.digest = Some(source.digest());
        Ok(file)
    }

    /// Walks a tree, folders before what is in them, in the order of names. Gives what is at `path` first, then the rest.
    /// Memory grows with the largest folders on the way down, not with the tree.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// home.make_dirs(&HomePath::parse("/a/b")?).await?;
    /// home.make_dir(&HomePath::parse("/c")?).await?;
    /// let mut walk = home.walk(&HomePath::root()).await?;
    /// let mut places = Vec::new();
    /// while let Some((place, _entry)) = walk.next().await? {
    ///     places.push(place.to_string());
    /// }
    /// assert_eq!(places, ["/", "/a", "/a/b", "/c"]);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `not_found`.
    pub async fn walk(&self, path: &HomePath) -> Result<Walk> {
        let entry = self.stat(path).await?;
        Ok(Walk {
            home: self.clone(),
            pending: vec![vec![(path.clone(), entry)]],
        })
    }

    /// Walks a tree of any size in memory that does not grow with it: folders before what is in them, in the order of names in
    /// folders of at most 1000 entries, and as the store has them in larger ones. Gives what is at `path` first.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// home.make_dirs(&HomePath::parse("/a/b")?).await?;
    /// home.make_dir(&HomePath::parse("/c")?).await?;
    /// let mut scan = home.scan(&HomePath::root()).await?;
    /// let mut places = Vec::new();
    /// while let Some((place, _entry, depth)) = scan.next().await? {
    ///     places.push(format!("{depth} {place}"));
    ///     if depth == 1 {
    ///         scan.pass_over();
    ///     }
    /// }
    /// assert_eq!(places, ["0 /", "1 /a", "1 /c"]);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `not_found`.
    pub async fn scan(&self, path: &HomePath) -> Result<Scan> {
        let entry = self.stat(path).await?;
        Ok(Scan::new(self.clone(), path.clone(), entry))
    }

    /// The uploads that are not finished.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let place = HomePath::parse("/a.txt")?;
    /// let mut upload = home.upload(UploadRequest { size: Some(6), ..UploadRequest::new(place.clone()) }).await?;
    /// upload.write(Chunk::from(&b"abc"[..])).await?;
    /// drop(upload); // the connection broke
    /// let partials = home.partials().await?;
    /// assert_eq!((&partials[0].path, partials[0].received), (&place, 3));
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// What the store says.
    pub async fn partials(&self) -> Result<Vec<Partial>> {
        self.home.partials().await
    }

    /// See [`Home::make_durable`].
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let docs = HomePath::parse("/docs")?;
    /// match home.make_dir(&docs).await {
    ///     // There already is good enough, once it is sure to stay there.
    ///     Err(error) if error.kind == ErrorKind::Exists => home.make_durable(&docs).await?,
    ///     other => other?,
    /// }
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As the store says.
    pub async fn make_durable(&self, path: &HomePath) -> Result<()> {
        self.home.make_durable(path).await
    }

    /// Throws an unfinished upload away.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let request = UploadRequest { size: Some(6), ..UploadRequest::new(HomePath::parse("/a.txt")?) };
    /// let mut upload = home.upload(request).await?;
    /// upload.write(Chunk::from(&b"abc"[..])).await?;
    /// drop(upload);
    /// let id = home.partials().await?.remove(0).id;
    /// home.remove_partial(&id).await?;
    /// assert_eq!(home.usage().await?.reserved, 0);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `not_found`, `denied`.
    pub async fn remove_partial(&self, id: &str) -> Result<()> {
        self.check_write()?;
        self.home.remove_partial(id).await
    }

    /// Limit, used and reserved bytes.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// home.write_file(&HomePath::parse("/a.txt")?, b"abc").await?;
    /// let usage = home.usage().await?;
    /// assert_eq!((usage.limit, usage.used), (None, 3));
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// What the store says.
    pub async fn usage(&self) -> Result<Usage> {
        self.home.usage().await
    }

    /// All entries of a folder, sorted by name.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// home.make_dir(&HomePath::parse("/docs")?).await?;
    /// home.write_file(&HomePath::parse("/a.txt")?, b"abc").await?;
    /// let names: Vec<_> = home.entries(&HomePath::root()).await?.into_iter().map(|entry| entry.name).collect();
    /// assert_eq!(names, [&b"a.txt"[..], b"docs"]);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::list`].
    pub async fn entries(&self, path: &HomePath) -> Result<Vec<Entry>> {
        let mut listing = self.list(path).await?;
        let mut all = Vec::new();
        loop {
            let mut entries = listing.next().await?;
            if entries.is_empty() {
                all.sort_by(|a: &Entry, b| a.name.cmp(&b.name));
                return Ok(all);
            }
            all.append(&mut entries);
        }
    }
}

/// What is to be removed and is gone already is removed.
fn gone_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A walk through a tree; see [`GuardedHome::walk`].
///
/// ```
/// # use ferry_core::{store::*, *};
/// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
/// # rt::block_on(async {
/// home.write_file(&HomePath::parse("/a.txt")?, b"abc").await?;
/// let mut walk = home.walk(&HomePath::root()).await?;
/// let mut bytes = 0;
/// while let Some((_place, entry)) = walk.next().await? {
///     bytes += entry.size;
/// }
/// assert_eq!(bytes, 3);
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Walk {
    home: GuardedHome,
    /// What is still to come of each folder on the way down, last name first.
    pending: Vec<Vec<(HomePath, Entry)>>,
}

impl Walk {
    /// The next entry with its place; `None` at the end. A folder that is gone meanwhile is passed over.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let mut walk = home.walk(&HomePath::root()).await?;
    /// let (place, entry) = walk.next().await?.unwrap();
    /// assert_eq!((place.is_root(), entry.kind), (true, EntryKind::Dir));
    /// assert!(walk.next().await?.is_none()); // an empty home
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// What the store says.
    pub async fn next(&mut self) -> Result<Option<(HomePath, Entry)>> {
        let (path, entry) = loop {
            let Some(folder) = self.pending.last_mut() else {
                return Ok(None);
            };
            match folder.pop() {
                Some(item) => break item,
                None => drop(self.pending.pop()),
            }
        };
        if entry.kind == EntryKind::Dir && self.pending.len() < DEPTH_MAX {
            match self.home.entries(&path).await {
                Ok(entries) => {
                    let inner = entries.into_iter().rev().map(|entry| Ok((path.join(&entry.name)?, entry)));
                    self.pending.push(inner.collect::<Result<_>>()?);
                }
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some((path, entry)))
    }
}
