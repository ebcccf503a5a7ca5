//! Small files in one call, for verbs that keep a note, a list or a setting in the user's home.

use super::GuardedHome;
use crate::chunk::{CHUNK_BYTES, Chunk};
use crate::error::{Error, ErrorKind, Result};
use crate::path::HomePath;
use crate::size::ByteSize;
use crate::store::{FileInfo, ReadRequest, Stored, UploadRequest, WholeUpload};

impl GuardedHome {
    /// Stores a file of which all contents are here, in one step; see [`WholeUpload`].
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ferry_core::{store::*, *};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # rt::block_on(async {
    /// let whole = WholeUpload {
    ///     request: UploadRequest { size: Some(3), ..UploadRequest::new(HomePath::parse("/a.txt")?) },
    ///     contents: Arc::new(Chunk::from(&b"abc"[..])),
    ///     digest: Algorithm::Md5.digest(b"abc"),
    ///     spare_same: false,
    /// };
    /// assert!(matches!(home.store(whole).await?, Stored::File(file) if file.size == 3));
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::upload`] and of [`Upload::commit`](crate::store::Upload::commit).
    pub async fn store(&self, whole: WholeUpload) -> Result<Stored> {
        self.check_upload(&whole.request.path)?;
        self.home.store(whole).await
    }

    /// Writes a whole file of which the verb holds the contents. It replaces what is there, in one step, and is as durable and as
    /// well counted as an upload.
    ///
    /// ```
    /// # use ferry_core::{Access, Error, GuardedHome, HomePath, rt::block_on};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # block_on(async {
    /// let note = HomePath::parse("/note.txt")?;
    /// let file = home.write_file(&note, b"Milk, bread.\n").await?;
    /// assert_eq!(file.size, 13);
    /// assert_eq!(home.read_file(&note, 1024).await?, b"Milk, bread.\n");
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::upload`].
    pub async fn write_file(&self, path: &HomePath, contents: &[u8]) -> Result<FileInfo> {
        // A stream: of a declared size, a cancelled one would stay as an unfinished upload with its reservation.
        let request = UploadRequest::new(path.clone());
        let digest = request.algorithm.digest(contents);
        let mut upload = self.upload(request).await?;
        // Its size is known all the same, so no byte is written of contents for which there is no room.
        self.usage().await?.reserve(path, contents.len() as u64)?;
        for part in contents.chunks(CHUNK_BYTES) {
            upload.write(Chunk::from(part)).await?;
        }
        upload.commit(digest).await
    }

    /// Reads a whole file of at most `most_bytes`, which is all the memory that it takes.
    ///
    /// ```
    /// # use ferry_core::{Access, Error, ErrorKind, GuardedHome, HomePath, rt::block_on};
    /// # let home = GuardedHome::new(ferry_testkit::MemoryStore::default().open("alice", None), Access::Write);
    /// # block_on(async {
    /// let note = HomePath::parse("/note.txt")?;
    /// home.write_file(&note, b"Milk, bread.\n").await?;
    /// assert_eq!(home.read_file(&note, 13).await?, b"Milk, bread.\n");
    /// assert_eq!(home.read_file(&note, 12).await.unwrap_err().kind, ErrorKind::TooLarge);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::open`]; `too_large` for a larger file, before it is read.
    pub async fn read_file(&self, path: &HomePath, most_bytes: u64) -> Result<Vec<u8>> {
        let too_large = || {
            let most = ByteSize(most_bytes);
            Error::new(
                ErrorKind::TooLarge,
                format!("{path}: larger than the {most} that are read here"),
            )
            .at(path)
        };
        let mut source = self.open(ReadRequest::new(path.clone())).await?;
        if source.file().size > most_bytes {
            return Err(too_large());
        }
        let mut contents = Vec::new();
        while let Some(chunk) = source.next().await? {
            // What is read may have grown since it was opened.
            if (contents.len() + chunk.len()) as u64 > most_bytes {
                return Err(too_large());
            }
            contents.extend_from_slice(&chunk);
        }
        Ok(contents)
    }
}
