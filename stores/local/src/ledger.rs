//! The ledger on disk: what a home used when it was last left in good order.
//!
//! The file system is the truth and this a cache of it. The file is there only while it is right: it is removed before the
//! first change and written again at the end, so a crash leaves none, and the home is counted anew when it is next opened.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ferry_core::store::EntryKind;
use ferry_core::{Error, Result};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, fsync, renameat, statat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::jail::{Jail, counted, kind, open_beneath};

/// More than a ledger ever has, in bytes.
const LEDGER_MAX_BYTES: u64 = 1024;

/// What is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    used: u64,
}

/// One home's file. Whoever holds it exclusively may change the home's tree: all changes of one home are made one at a time.
#[derive(Debug)]
pub(crate) struct Ledger {
    folder: Arc<OwnedFd>,
    user: String,
    is_written: bool,
}

impl Ledger {
    /// The ledger of `user`, and what it says, when it was left in good order.
    pub(crate) fn open(folder: Arc<OwnedFd>, user: &str) -> (Self, Option<u64>) {
        let record = read(&folder, user);
        let ledger = Self {
            folder,
            user: user.to_owned(),
            is_written: record.is_some(),
        };
        (ledger, record.map(|record| record.used))
    }

    /// Makes sure that after a crash nobody believes the file. To be called before every change; only the first costs
    /// anything.
    ///
    /// # Errors
    /// `internal` when the file cannot be removed; then the change must not be made.
    pub(crate) fn before_change(&mut self) -> Result<()> {
        if !self.is_written {
            return Ok(());
        }
        match unlinkat(&*self.folder, self.user.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(self.failed(errno)),
        }
        fsync(&*self.folder).map_err(|errno| self.failed(errno))?;
        self.is_written = false;
        Ok(())
    }

    /// Whether the file is there and right.
    pub(crate) fn is_written(&self) -> bool {
        self.is_written
    }

    /// Writes down what is used. The tree must have been flushed before.
    ///
    /// # Errors
    /// `internal`.
    pub(crate) fn write(&mut self, used: u64) -> Result<()> {
        // No user's name starts with a dot.
        let draft = format!(".{}", self.user);
        let bytes = rmp_serde::to_vec_named(&Record { used })
            .map_err(|error| Error::internal("ledger cannot be written").caused_by(error))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let write = || -> std::io::Result<()> {
            let mut file = File::from(open_beneath(&*self.folder, draft.as_bytes(), flags, Mode::RUSR | Mode::WUSR)?);
            file.write_all(&bytes)?;
            file.sync_all()?;
            renameat(&*self.folder, draft.as_str(), &*self.folder, self.user.as_str())?;
            fsync(&*self.folder)?;
            Ok(())
        };
        write().map_err(|error| Error::from_io(format_args!("ledger of {}", self.user), error))?;
        self.is_written = true;
        Ok(())
    }

    fn failed(&self, errno: Errno) -> Error {
        Error::internal(format!("ledger of {} cannot be changed", self.user)).caused_by(std::io::Error::from(errno))
    }
}

/// Reads a ledger; whatever is not one counts as none.
fn read(folder: &OwnedFd, user: &str) -> Option<Record> {
    let fd = open_beneath(folder, user.as_bytes(), OFlags::RDONLY, Mode::empty()).ok()?;
    let mut bytes = Vec::new();
    File::from(fd).take(LEDGER_MAX_BYTES).read_to_end(&mut bytes).ok()?;
    rmp_serde::from_slice(&bytes).ok()
}

/// Counts the bytes of all files in a home, each name for itself. Folders that the server may not read count nothing, for
/// nobody gets at them through it.
///
/// # Errors
/// `OVERFLOW` when there are more than `most` entries, and what the file system says.
pub(crate) fn recount(jail: &Jail, most: usize) -> Result<u64, Errno> {
    let (mut used, mut left): (u64, usize) = (0, most);
    let mut folders = vec![b".".to_vec()];
    while let Some(path) = folders.pop() {
        let folder = match jail.folder_raw(&path) {
            // Moved away meanwhile, or closed by an admin.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => continue,
            folder => folder?,
        };
        let mut dir = Dir::new(folder)?;
        while let Some(item) = dir.read() {
            let item = item?;
            let name = item.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            left = left.checked_sub(1).ok_or(Errno::OVERFLOW)?;
            let stat = match statat(dir.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => stat?,
            };
            match kind(&stat) {
                EntryKind::Dir => folders.push([path.as_slice(), b"/", name].concat()),
                _ => used = used.saturating_add(counted(&stat)),
            }
        }
    }
    Ok(used)
}
