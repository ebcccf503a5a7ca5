//! Entries of a folder, read some at a time.

use ferry_core::store::{Entry, Listing};
use ferry_core::verb::BoxFuture;
use ferry_core::{Error, HomePath, Result, rt};
use rustix::fs::{AtFlags, Dir, statat};

use crate::jail::{Jail, entry, failed};

/// The most entries that are read at once.
const BATCH_ENTRIES: usize = 1024;

/// A folder being read.
pub(crate) struct LocalListing {
    path: HomePath,
    /// The next entries: those read together with the opening, or those that are being read while the last ones are on their way. Gone
    /// at the end, and when waiting for them was broken off.
    next: Option<Next>,
    is_at_end: bool,
}

enum Next {
    Read(Batch),
    Coming(rt::Task<Result<Batch>>),
}

/// Some entries, and the folder to go on with; none behind the last.
type Batch = (Vec<Entry>, Option<Dir>);

impl std::fmt::Debug for LocalListing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalListing({})", self.path)
    }
}

impl LocalListing {
    /// Opens the folder and reads the first entries.
    pub(crate) fn open(jail: &Jail, path: HomePath) -> Result<Self> {
        let dir = Dir::new(jail.folder(&path)?).map_err(|errno| failed(&path, errno))?;
        let first = read_batch(dir, &path)?;
        Ok(Self {
            path,
            next: Some(Next::Read(first)),
            is_at_end: false,
        })
    }
}

impl Listing for LocalListing {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>>> {
        Box::pin(async move {
            if self.is_at_end {
                return Ok(Vec::new());
            }
            let path = self.path.clone();
            let (batch, dir) = match self.next.take() {
                Some(Next::Read(batch)) => batch,
                Some(Next::Coming(task)) => task.await?,
                None => return Err(Error::internal(format!("{path}: reading it was broken off")).at(&path)),
            };
            match dir {
                Some(dir) => self.next = Some(Next::Coming(rt::spawn(rt::unblock(move || read_batch(dir, &path))))),
                None => self.is_at_end = true,
            }
            Ok(batch)
        })
    }
}

/// The next entries. Those that are gone or cannot be read are left out.
fn read_batch(mut dir: Dir, path: &HomePath) -> Result<Batch> {
    let mut batch = Vec::new();
    while batch.len() < BATCH_ENTRIES {
        let Some(item) = dir.read() else {
            return Ok((batch, None));
        };
        let item = item.map_err(|errno| failed(path, errno))?;
        let name = item.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let folder = dir.fd().map_err(|errno| failed(path, errno))?;
        if let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            batch.push(entry(name, &stat));
        }
    }
    Ok((batch, Some(dir)))
}
