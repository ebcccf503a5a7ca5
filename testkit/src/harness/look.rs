//! What a test puts into a home and sees in it, past the verbs and past the faults.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use ferry_core::chunk::CHUNK_BYTES;
use ferry_core::logins::SavedLogin;
use ferry_core::rt::block_on;
use ferry_core::store::{Entry, EntryKind, FileInfo, ReadRequest, UploadRequest, Usage};
use ferry_core::{Access, Algorithm, Chunk, ErrorKind, GuardedHome, HomePath, Result};

use super::Harness;
use crate::memory::MemoryHome;

impl Harness {
    /// The home in memory.
    ///
    /// # Panics
    /// When it is [on another store](Self::on).
    ///
    /// ```
    /// let harness = ferry_testkit::Harness::new();
    /// assert!(harness.home().settled().is_empty());
    /// ```
    #[track_caller]
    pub fn home(&self) -> &Arc<MemoryHome> {
        match &self.memory {
            Some(home) => home,
            None => panic!("this home is not in memory"),
        }
    }

    pub(crate) fn guarded(&self) -> GuardedHome {
        GuardedHome::new(self.home.clone(), Access::Write)
    }

    /// The working folder.
    ///
    /// ```
    /// assert!(ferry_testkit::Harness::new().cwd().is_root());
    /// ```
    pub fn cwd(&self) -> HomePath {
        self.cwd.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every file with its contents, by absolute path.
    ///
    /// # Panics
    /// When the store cannot read one.
    ///
    /// ```
    /// let harness = ferry_testkit::Harness::standard();
    /// assert_eq!(harness.files()["/hello.txt"], b"Hello, world!\n");
    /// ```
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        if let Some(memory) = &self.memory {
            return memory.files();
        }
        let files = self.tree().into_iter().filter(|(_, entry)| entry.kind == EntryKind::File);
        files.map(|(path, _)| (path.to_string(), self.contents(&path))).collect()
    }

    /// Every folder but the home itself, by absolute path.
    ///
    /// # Panics
    /// When the store cannot read one.
    ///
    /// ```
    /// let harness = ferry_testkit::Harness::new();
    /// harness.seed_dir("a/b");
    /// assert_eq!(harness.folders(), ["/a", "/a/b"]);
    /// ```
    pub fn folders(&self) -> Vec<String> {
        if let Some(memory) = &self.memory {
            return memory.folders();
        }
        let tree = self.tree().into_iter();
        let folders = tree.filter(|(path, entry)| entry.kind == EntryKind::Dir && !path.is_root());
        folders.map(|(path, _)| path.to_string()).collect()
    }

    fn tree(&self) -> Vec<(HomePath, Entry)> {
        let walked: Result<_> = block_on(async {
            let mut walk = self.guarded().walk(&HomePath::root()).await?;
            let mut all = Vec::new();
            while let Some(found) = walk.next().await? {
                all.push(found);
            }
            Ok(all)
        });
        walked.unwrap_or_else(|error| panic!("the home cannot be read: {error}"))
    }

    fn contents(&self, path: &HomePath) -> Vec<u8> {
        let request = ReadRequest {
            algorithm: Algorithm::Blake3,
            ..ReadRequest::new(path.clone())
        };
        let read: Result<_> = block_on(async {
            let mut source = self.home.open(request).await?;
            let mut all = Vec::new();
            while let Some(chunk) = source.next().await? {
                all.extend_from_slice(&chunk);
            }
            Ok(all)
        });
        read.unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
    }

    /// Limit, used and reserved bytes.
    ///
    /// # Panics
    /// When the store cannot tell.
    ///
    /// ```
    /// let harness = ferry_testkit::Harness::standard().quota(100);
    /// assert_eq!(harness.usage().used, 26);
    /// assert_eq!(harness.usage().free(), Some(74));
    /// ```
    pub fn usage(&self) -> Usage {
        block_on(self.home.usage()).unwrap_or_else(|error| panic!("the home cannot be measured: {error}"))
    }

    /// Puts a file there through the store, as an upload with MD5 would, and the folders above it.
    ///
    /// # Panics
    /// When the store refuses it.
    ///
    /// ```
    /// let harness = ferry_testkit::Harness::new();
    /// harness.seed("docs/a.txt", b"contents");
    /// assert_eq!(harness.files()["/docs/a.txt"], b"contents");
    /// ```
    pub fn seed(&self, path: &str, bytes: &[u8]) {
        let stored = self.store_file(path, bytes, bytes.len());
        stored.unwrap_or_else(|error| panic!("{path} cannot be put there: {error}"));
    }

    /// Begins an upload of `bytes` that stops after the first `held` of them.
    ///
    /// # Panics
    /// When the store refuses it, or `held` is not less than all.
    ///
    /// ```
    /// let harness = ferry_testkit::Harness::new();
    /// harness.seed_partial("a.txt", b"contents", 3);
    /// assert!(harness.files().is_empty());
    /// assert_eq!(harness.usage().reserved, 8);
    /// ```
    pub fn seed_partial(&self, path: &str, bytes: &[u8], held: usize) {
        match self.store_file(path, bytes, held) {
            Err(error) if error.kind == ErrorKind::OffsetMismatch => {}
            other => panic!("{path} cannot be begun: {other:?}"),
        }
    }

    fn store_file(&self, path: &str, bytes: &[u8], held: usize) -> Result<FileInfo> {
        let home = self.guarded();
        let path = HomePath::parse(path)?;
        let request = UploadRequest {
            size: Some(bytes.len() as u64),
            ..UploadRequest::new(path.clone())
        };
        block_on(async {
            if let Some(parent) = path.parent() {
                home.make_dirs(&parent).await?;
            }
            let mut upload = home.upload(request).await?;
            for part in bytes[..held].chunks(CHUNK_BYTES) {
                upload.write(Chunk::from(part)).await?;
            }
            upload.commit(Algorithm::Md5.digest(bytes)).await
        })
    }

    /// Gives the user a saved login of that id.
    ///
    /// ```
    /// use ferry_core::{logins::SavedLogin, rt::block_on};
    ///
    /// let harness = ferry_testkit::Harness::new();
    /// let login = SavedLogin { id: "96fbec3c".into(), label: "laptop".into(), created: 0, used: None };
    /// harness.seed_login(login.clone());
    /// assert_eq!(block_on(harness.env().logins.list()).unwrap(), [login]);
    /// ```
    pub fn seed_login(&self, login: SavedLogin) {
        self.logins.add(login);
    }

    /// Makes a folder and those above it.
    ///
    /// # Panics
    /// When the store refuses it.
    ///
    /// ```
    /// let harness = ferry_testkit::Harness::new();
    /// harness.seed_dir("docs");
    /// assert_eq!(harness.folders(), ["/docs"]);
    /// ```
    pub fn seed_dir(&self, path: &str) {
        let made = HomePath::parse(path).and_then(|path| block_on(self.guarded().make_dirs(&path)));
        made.unwrap_or_else(|error| panic!("{path} cannot be made: {error}"));
    }

    /// Plants a symbolic link, as somebody on the server's machine might do.
    ///
    /// # Panics
    /// When something is there already, and when the home is [on another store](Self::on).
    ///
    /// ```
    /// use ferry_core::ErrorKind;
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let harness = Harness::of::<Write>();
    /// harness.plant_link("link");
    /// assert_eq!(harness.err("write link/a.txt text").kind, ErrorKind::Denied);
    /// ```
    pub fn plant_link(&self, path: &str) {
        let planted = HomePath::parse(path).and_then(|path| self.home().plant_link(&path));
        planted.unwrap_or_else(|error| panic!("{path} cannot be planted: {error}"));
    }
}
