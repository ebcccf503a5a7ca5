//! Entries of a folder, read some at a time.

use ferry_core::store::{Entry, Listing};
use ferry_core::verb::BoxFuture;
use ferry_core::{Error, HomePath, Result, rt};
use rustix::fs::{AtFlags, Dir, statat};

use crate::jail::{Jail, entry, failed};

/// The most entries that are read at once.
const BATCH_ENTRIES: usize = 1024;

/// A folder being read.
#[derive(Debug)]
pub(crate) struct LocalListing {
    path: HomePath,
    /// Read together with the opening.
    first: Option<Vec<Entry>>,
    /// Gone at the end, and while a batch is being read.
    dir: Option<Dir>,
    is_at_end: bool,
}

impl LocalListing {
    /// Opens the folder and reads the first entries.
    pub(crate) fn open(jail: &Jail, path: HomePath) -> Result<Self> {
        let mut dir = Dir::new(jail.folder(&path)?).map_err(|errno| failed(&path, errno))?;
        let (batch, is_at_end) = read_batch(&mut dir, &path)?;
        Ok(Self {
            path,
            first: Some(batch),
            dir: (!is_at_end).then_some(dir),
            is_at_end,
        })
    }
}

impl Listing for LocalListing {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>>> {
        Box::pin(async move {
            if let Some(batch) = self.first.take() {
                return Ok(batch);
            }
            if self.is_at_end {
                return Ok(Vec::new());
            }
            let path = self.path.clone();
            let Some(mut dir) = self.dir.take() else {
                return Err(Error::internal(format!("{path}: reading it was broken off")).at(&path));
            };
            let (dir, batch) = rt::unblock(move || {
                let batch = read_batch(&mut dir, &path);
                (dir, batch)
            })
            .await;
            let (batch, is_at_end) = batch?;
            self.is_at_end = is_at_end;
            self.dir = (!is_at_end).then_some(dir);
            Ok(batch)
        })
    }
}

/// The next entries, and whether they were the last. Entries that are gone or cannot be read are left out.
fn read_batch(dir: &mut Dir, path: &HomePath) -> Result<(Vec<Entry>, bool)> {
    let mut batch = Vec::new();
    while batch.len() < BATCH_ENTRIES {
        let Some(item) = dir.read() else {
            return Ok((batch, true));
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
    Ok((batch, false))
}
