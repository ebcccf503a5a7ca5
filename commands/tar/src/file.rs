//! Files of an archive on their way into the store.

use ferry_core::store::{Upload, UploadRequest};
use ferry_core::{Chunk, GuardedHome, Result};

use crate::member::Member;

/// Files of at most so many bytes are kept in memory and stored side by side: where a flush takes longer than the writing.
pub(crate) const SMALL_BYTES: u64 = 64 << 10;

/// A small file, with all that is in it.
pub(crate) struct Small {
    /// What the archive says of it.
    pub(crate) member: Member,
    /// Where it goes.
    pub(crate) request: UploadRequest,
    /// At most [`SMALL_BYTES`].
    pub(crate) contents: Vec<u8>,
    /// How many small files came before it.
    pub(crate) number: u64,
}

impl Small {
    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.contents.len() as u64
    }

    /// Stores it. What fails leaves nothing behind but the folders above it, and can be tried again.
    ///
    /// # Errors
    /// Those of [`open`] and of an upload.
    pub(crate) async fn store(&self, home: &GuardedHome) -> Result<()> {
        let digest = self.request.algorithm.digest(&self.contents);
        let mut upload = open(home, self.request.clone(), self.size()).await?;
        if !self.contents.is_empty() {
            upload.write(Chunk::from(&self.contents[..])).await?;
        }
        upload.commit(digest).await.map(drop)
    }
}

/// Opens an upload of so many bytes, and makes the folders above it.
///
/// # Errors
/// `over_quota` for what does not fit, and those of the store.
pub(crate) async fn open(home: &GuardedHome, request: UploadRequest, size: u64) -> Result<Box<dyn Upload>> {
    // What does not fit is refused before it is written; the store sees to it that it does.
    home.usage().await?.reserve(&request.path, size)?;
    if let Some(parent) = request.path.parent() {
        home.make_dirs(&parent).await?;
    }
    home.upload(request).await
}
