//! Small files, stored in one call: all of their contents are here before the store is asked.

use std::sync::Arc;

use super::{Entry, EntryKind, FileInfo, Home, UploadRequest};
use crate::chunk::Chunk;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// A file to be stored, with all that is in it. Cheap to clone.
///
/// ```
/// use std::sync::Arc;
///
/// use ferry_core::store::{Home as _, Stored, UploadRequest, WholeUpload};
/// use ferry_core::{Algorithm, Chunk, Error, HomePath, rt};
///
/// let home = ferry_testkit::MemoryStore::default().open("alice", None);
/// let whole = WholeUpload {
///     request: UploadRequest { size: Some(3), ..UploadRequest::new(HomePath::parse("/a.txt")?) },
///     contents: Arc::new(Chunk::from(&b"abc"[..])),
///     digest: Algorithm::Md5.digest(b"abc"),
///     spare_same: false,
/// };
/// let stored = rt::block_on(home.store(whole))?;
/// assert!(matches!(stored, Stored::File(file) if file.size == 3));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct WholeUpload {
    /// Where it goes, and what is said of it. It starts from nothing, whatever `fresh` and `expected` say.
    pub request: UploadRequest,
    /// All of its bytes.
    pub contents: Arc<Chunk>,
    /// Their digest, as the client computed it, by the request's algorithm.
    pub digest: Digest,
    /// Leaves a file alone that has the same size, time and mode, for whoever asked to look at it.
    pub spare_same: bool,
}

/// How a [`WholeUpload`] ended.
///
/// ```
/// use ferry_core::store::Stored;
///
/// fn told(stored: &Stored) -> &'static str {
///     match stored {
///         Stored::File(_) => "stored",
///         Stored::Same(_) => "there already",
///     }
/// }
/// # let _ = told;
/// ```
#[derive(Debug)]
pub enum Stored {
    /// It is there, as durable as an upload that was committed.
    File(FileInfo),
    /// This is there with the same size, time and mode, and durable. Nothing was stored.
    Same(Entry),
}

impl WholeUpload {
    /// Whether `entry` is to be spared: a file of the same size, time and mode.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ferry_core::store::*;
    /// # use ferry_core::*;
    /// let request = UploadRequest { size: Some(3), modified: Some(7), ..UploadRequest::new(HomePath::parse("/a.txt")?) };
    /// let (contents, digest) = (Arc::new(Chunk::from(&b"abc"[..])), Algorithm::Md5.digest(b"abc"));
    /// let whole = WholeUpload { request, contents, digest, spare_same: true };
    /// let there = Entry { size: 3, modified: 7, ..Entry::new("a.txt", EntryKind::File) };
    /// assert!(whole.spares(&there) && !whole.spares(&Entry { modified: 8, ..there }));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn spares(&self, entry: &Entry) -> bool {
        let request = &self.request;
        self.spare_same
            && entry.kind == EntryKind::File
            && (Some(entry.size), Some(entry.modified), entry.executable) == (request.size, request.modified, request.executable)
    }
}

/// [`Home::store`] by the other calls of a home.
pub(super) async fn store<H: Home + ?Sized>(home: &H, whole: WholeUpload) -> Result<Stored> {
    let path = &whole.request.path;
    if whole.spare_same {
        match home.stat(path).await {
            Ok(entry) if whole.spares(&entry) => {
                home.make_durable(path).await?;
                return Ok(Stored::Same(entry));
            }
            Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let request = UploadRequest {
        fresh: true,
        ..whole.request.clone()
    };
    let mut upload = home.upload(request).await?;
    let id = upload.id().to_owned();
    let stored = match upload.write(Chunk::from(&whole.contents[..])).await {
        Ok(_) => upload.commit(whole.digest).await.map(Stored::File),
        Err(error) => {
            drop(upload);
            Err(error)
        }
    };
    // After `lease_lost` it is somebody else's, who goes on with it.
    let is_left = |error: &Error| !id.is_empty() && error.kind != ErrorKind::LeaseLost;
    if stored.as_ref().is_err_and(is_left) {
        // Most failed commits have removed it already.
        let _ = home.remove_partial(&id).await;
    }
    stored
}
