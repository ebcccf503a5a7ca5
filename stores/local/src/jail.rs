//! The jail: a home is a directory handle, and the kernel resolves everything beneath it without following a link.
//!
//! What changes a folder goes through a handle of that folder and one name ([`Place`]), so that nothing is resolved twice.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use ferry_core::store::{Entry, EntryKind, Version};
use ferry_core::{Error, ErrorKind, HomePath, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, statat};
use rustix::io::Errno;

/// How often an open is tried again when a rename elsewhere disturbed it (EAGAIN, openat2(2)) or a signal did.
const OPEN_TRIES: usize = 16;
/// The longest path that the kernel takes at once, in bytes (PATH_MAX of Linux without the NUL).
const PATH_MAX_BYTES: usize = 4095;
/// Nanoseconds in a second.
const SECOND_NS: i64 = 1_000_000_000;

/// Opens `path` beneath `dir` without leaving it and without following a link.
pub(crate) fn open_beneath(dir: impl AsFd, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..OPEN_TRIES {
        match openat2(dir.as_fd(), path, flags | OFlags::CLOEXEC, mode, confined) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::BUSY)
}

/// Opens a folder to read it, to change it or to flush it.
pub(crate) fn open_folder(dir: impl AsFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    open_beneath(dir, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
}

/// What the kernel said of `path`, as an error.
pub(crate) fn failed(path: &HomePath, errno: Errno) -> Error {
    Error::from_io(path, errno.into()).at(path)
}

/// One user's home.
#[derive(Debug)]
pub(crate) struct Jail {
    root: OwnedFd,
}

/// A name in an open folder: where an entry is or will be.
#[derive(Debug)]
pub(crate) struct Place {
    /// The folder; it can be flushed. Places in one folder may share it.
    pub(crate) folder: Arc<OwnedFd>,
    /// One name, without a slash.
    pub(crate) name: Vec<u8>,
}

impl Place {
    /// What is there, if anything.
    pub(crate) fn stat(&self) -> Result<Option<Stat>, Errno> {
        match statat(&self.folder, self.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

impl Jail {
    /// The home called `name` in the folder of all homes.
    pub(crate) fn open(homes: impl AsFd, name: &str) -> Result<Self, Errno> {
        let root = open_beneath(homes, name.as_bytes(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Self { root })
    }

    /// The number of the file system that it lies on.
    pub(crate) fn device(&self) -> Result<u64, Errno> {
        fstat(&self.root).map(|stat| stat.st_dev)
    }

    /// What is at `path`; a link is described.
    pub(crate) fn stat(&self, path: &HomePath) -> Result<Stat> {
        open_beneath(&self.root, relative(path), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
            .and_then(fstat)
            .map_err(|errno| failed(path, errno))
    }

    /// The folder at `path`, to be read.
    pub(crate) fn folder(&self, path: &HomePath) -> Result<OwnedFd> {
        self.folder_raw(relative(path)).map_err(|errno| failed(path, errno))
    }

    /// The folder at a path relative to the home, to be read. The path may be longer than the kernel takes at once: renaming one
    /// deep folder into another makes such places.
    pub(crate) fn folder_raw(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let (mut folder, mut rest): (Option<OwnedFd>, _) = (None, path);
        loop {
            let from = folder.as_ref().unwrap_or(&self.root);
            let Some(first) = rest.get(..=PATH_MAX_BYTES) else {
                return open_folder(from, rest);
            };
            let end = first.iter().rposition(|byte| *byte == b'/').ok_or(Errno::NAMETOOLONG)?;
            folder = Some(open_folder(from, &rest[..end])?);
            rest = &rest[end + 1..];
        }
    }

    /// The folder that holds `path`, and its last name.
    ///
    /// # Errors
    /// `is_directory` for the home itself, `not_found`, `not_directory`, `denied`.
    pub(crate) fn place(&self, path: &HomePath) -> Result<Place> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(Error::new(ErrorKind::IsDirectory, "/: is a folder").at(path));
        };
        let folder = open_folder(&self.root, relative(&parent)).map_err(|errno| failed(path, errno))?;
        Ok(Place {
            folder: Arc::new(folder),
            name: name.to_vec(),
        })
    }

    /// As [`Self::place`], for an entry that is to be made: says that it is the folder which is missing.
    pub(crate) fn new_place(&self, path: &HomePath) -> Result<Place> {
        self.place(path).map_err(|error| match (error.kind, path.parent()) {
            (ErrorKind::NotFound, Some(parent)) => {
                let missing = Error::not_found(format!("{path}: there is no folder {parent}"));
                missing.at(path).hint("make the folder first")
            }
            _ => error,
        })
    }

    /// Opens a file for reading. What is no regular file is not opened at all.
    ///
    /// # Errors
    /// `not_found`, `is_directory`, `denied` for links, pipes, sockets and devices.
    pub(crate) fn file(&self, path: &HomePath) -> Result<(File, Stat)> {
        check_regular(path, &self.stat(path)?)?;
        // It can have been replaced since: never wait for a pipe's writer, and look again.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let fd = open_beneath(&self.root, relative(path), flags, Mode::empty()).map_err(|errno| failed(path, errno))?;
        let stat = fstat(&fd).map_err(|errno| failed(path, errno))?;
        check_regular(path, &stat)?;
        Ok((File::from(fd), stat))
    }

    /// Flushes everything on the file system of the home.
    pub(crate) fn sync_all(&self) -> Result<(), Errno> {
        rustix::fs::syncfs(self.folder_raw(b".")?)
    }
}

/// The path as the kernel resolves it from the home.
fn relative(path: &HomePath) -> &[u8] {
    match path.as_bytes() {
        b"/" => b".",
        bytes => &bytes[1..],
    }
}

/// Refuses everything but a regular file.
///
/// # Errors
/// `is_directory`, `denied`.
pub(crate) fn check_regular(path: &HomePath, stat: &Stat) -> Result<()> {
    let error = match kind(stat) {
        EntryKind::File => return Ok(()),
        EntryKind::Dir => Error::new(ErrorKind::IsDirectory, format!("{path}: is a folder")),
        EntryKind::Link => Error::denied(format!("{path}: is a link; links are not followed")),
        EntryKind::Other => Error::denied(format!("{path}: is no regular file")),
    };
    Err(error.at(path))
}

/// What kind of thing it is.
pub(crate) fn kind(stat: &Stat) -> EntryKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Dir,
        FileType::Symlink => EntryKind::Link,
        _ => EntryKind::Other,
    }
}

/// Its bytes as the quota counts them: the size of a regular file, 0 for everything else.
pub(crate) fn counted(stat: &Stat) -> u64 {
    match kind(stat) {
        EntryKind::File => u64::try_from(stat.st_size).unwrap_or(0),
        _ => 0,
    }
}

/// Last change of the contents, in nanoseconds since 1970-01-01 UTC.
pub(crate) fn modified(stat: &Stat) -> i64 {
    nanoseconds(stat.st_mtime, stat.st_mtime_nsec)
}

/// Last change of anything, in nanoseconds since 1970-01-01 UTC.
pub(crate) fn changed(stat: &Stat) -> i64 {
    nanoseconds(stat.st_ctime, stat.st_ctime_nsec)
}

fn nanoseconds(seconds: i64, nanoseconds: impl TryInto<i64>) -> i64 {
    let nanoseconds = nanoseconds.try_into().unwrap_or(0);
    seconds.saturating_mul(SECOND_NS).saturating_add(nanoseconds)
}

/// A time as the kernel takes it.
pub(crate) fn timespec(ns: i64) -> rustix::fs::Timespec {
    rustix::fs::Timespec {
        tv_sec: ns.div_euclid(SECOND_NS),
        tv_nsec: ns.rem_euclid(SECOND_NS),
    }
}

/// Which version of a file it is. A replaced file has another inode; one changed in place by an admin another time.
pub(crate) fn version(stat: &Stat) -> Version {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&stat.st_ino.to_le_bytes());
    hasher.update(&stat.st_size.to_le_bytes());
    hasher.update(&modified(stat).to_le_bytes());
    hasher.update(&changed(stat).to_le_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    Version(u128::from_le_bytes(bytes))
}

/// Whether its owner may execute it.
pub(crate) fn executable(stat: &Stat) -> bool {
    kind(stat) == EntryKind::File && Mode::from_raw_mode(stat.st_mode).contains(Mode::XUSR)
}

/// The entry called `name`.
pub(crate) fn entry(name: &[u8], stat: &Stat) -> Entry {
    Entry {
        name: name.to_vec(),
        kind: kind(stat),
        size: counted(stat),
        modified: modified(stat),
        executable: executable(stat),
        version: version(stat),
        digest: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_keep_their_nanoseconds() {
        let time = timespec(-1);
        assert_eq!((time.tv_sec, time.tv_nsec), (-1, 999_999_999));
        assert_eq!(nanoseconds(-1, 999_999_999_u64), -1);
    }

    #[test]
    fn folders_deeper_than_a_path_can_say_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("alice")).unwrap();
        let jail = Jail::open(std::fs::File::open(folder.path()).unwrap(), "alice").unwrap();
        let mut at = jail.folder_raw(b".").unwrap();
        // Each length of a name puts the ends of the pieces elsewhere.
        for (level, len) in (1..=255).rev().enumerate() {
            let name = "d".repeat(len);
            rustix::fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
            at = open_folder(&at, name.as_bytes()).unwrap();
            let flags = OFlags::WRONLY | OFlags::CREATE;
            let file = open_beneath(&at, b"f", flags, Mode::RUSR).unwrap();
            rustix::io::write(&file, b"x").unwrap();
            assert_eq!(crate::ledger::recount(&jail, usize::MAX), Ok(level as u64 + 1));
        }
        crate::purge::remove_all(std::fs::File::open(folder.path()).unwrap(), "alice").unwrap();
    }
}
