//! Files being fetched: a part beside the target, hashed by one blocking thread and written by another, published in one step once
//! it is proven.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use async_channel::Sender;
use ferry_core::context::check_end;
use ferry_core::wire::message::End;
use ferry_core::{Algorithm, Chunk, Digest, Error, ErrorKind, Hasher, rt};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::exit::{Failure, Result};
use crate::local::{QUEUE_CHUNKS, shown, spare_devices};

mod small;

pub use small::{SmallFile, SmallFiles, small_files, store};

/// What the name of a file ends in that is not complete yet.
pub const PART_SUFFIX: &str = ".ferry-part";

/// The longest name that a folder takes (NAME_MAX of Linux).
const NAME_MAX_BYTES: usize = 255;
/// How long a part may be held by somebody else, and how often it is looked at meanwhile.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// What a new file gets besides its contents.
#[derive(Debug, Clone, Copy)]
pub struct New {
    /// Last change of the contents, in nanoseconds since 1970-01-01 UTC; now, when it is not known.
    pub modified: Option<i64>,
    /// Whether whoever may read it may execute it.
    pub executable: bool,
}

/// A file that is not complete yet, beside the place it is for. One process at a time has it.
#[derive(Debug)]
pub struct Part {
    file: File,
    path: PathBuf,
    hasher: Hasher,
    prefix: Option<Digest>,
}

impl Part {
    /// Opens the part of `target`, or makes it, and hashes what it holds.
    ///
    /// # Errors
    /// `busy` when another process is writing it; as the operating system says.
    pub fn open(target: &Path, algorithm: Algorithm) -> Result<Self> {
        spare_devices(target)?;
        let path = part_of(target);
        let failed = |error: io::Error| Failure::local(shown(&path), error);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mode = Mode::from_raw_mode(0o666);
        let since = Instant::now();
        let mut file = loop {
            let file = File::from(rustix::fs::openat(CWD, &path, flags, mode).map_err(|error| failed(error.into()))?);
            if !file.metadata().map_err(failed)?.is_file() {
                let text = format!("{}: is in the way and no file", shown(&path));
                return Err(Error::exists(text).into());
            }
            let is_ours = lock(&file, since);
            // Whoever held it may have given it its name, or removed it: then it is not the part any more.
            if is_ours && is_still(&file, &path).map_err(failed)? {
                break file;
            }
            if since.elapsed() > LOCK_WAIT {
                let text = format!("{}: another download is writing it", shown(&path));
                return Err(Error::new(ErrorKind::Busy, text).into());
            }
        };
        let (hasher, proof) = hash(&mut file, algorithm).map_err(failed)?;
        let prefix = (hasher.len_bytes() > 0).then(|| proof.finish());
        Ok(Self {
            file,
            path,
            hasher,
            prefix,
        })
    }

    /// A new part of `target`; `None` when there is one already, or another process was quicker.
    ///
    /// # Errors
    /// As [`Part::open`].
    fn make(target: &Path, algorithm: Algorithm) -> Result<Option<Self>> {
        spare_devices(target)?;
        let path = part_of(target);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = match rustix::fs::openat(CWD, &path, flags, Mode::from_raw_mode(0o666)) {
            Err(Errno::EXIST) => return Ok(None),
            file => File::from(file.map_err(|errno| Failure::local(shown(&path), errno.into()))?),
        };
        let part = Self {
            file,
            hasher: algorithm.hasher(),
            prefix: None,
            path,
        };
        let is_ours = part.file.try_lock().is_ok() && is_still(&part.file, &part.path).map_err(|error| part.failed(error))?;
        Ok(is_ours.then_some(part))
    }

    /// What the operating system said of the part.
    fn failed(&self, error: io::Error) -> Failure {
        Failure::local(shown(&self.path), error)
    }

    /// How many bytes it holds.
    pub fn len_bytes(&self) -> u64 {
        self.hasher.len_bytes()
    }

    /// The BLAKE3 digest of what it held when it was opened; `None` when that was nothing.
    pub fn prefix(&self) -> Option<Digest> {
        self.prefix
    }

    /// Throws away what it holds.
    fn restart(&mut self, algorithm: Algorithm) -> io::Result<()> {
        self.file.set_len(0)?;
        io::Seek::rewind(&mut self.file)?;
        self.hasher = algorithm.hasher();
        Ok(())
    }

    /// Removes it.
    pub fn discard(self) {
        // What cannot be removed is checked, and refused, by the next try.
        let _ = std::fs::remove_file(&self.path);
    }

    /// Proves the contents, makes them durable and gives the file its name, in this order. The name itself is durable after
    /// [`sync_folder`].
    ///
    /// # Errors
    /// `digest_mismatch`, after which nothing is left of it; `exists` with `no_clobber`.
    pub fn publish(self, target: &Path, end: &End, new: New, no_clobber: bool) -> Result<()> {
        self.publish_by(File::sync_all, target, end, new, no_clobber)
    }

    /// As [`Part::publish`], with what makes the contents durable.
    fn publish_by(
        self,
        sync: impl FnOnce(&File) -> io::Result<()>,
        target: &Path,
        end: &End,
        new: New,
        no_clobber: bool,
    ) -> Result<()> {
        if let Err(error) = check_end(end, self.len_bytes(), self.hasher.finish()) {
            self.discard();
            return Err(error.into());
        }
        self.dress(new).map_err(|error| Failure::local(shown(target), error))?;
        self.flush_by(sync, target)?.rename(target, no_clobber)
    }

    /// Gives the file its mode and its time.
    fn dress(&self, new: New) -> io::Result<()> {
        if new.executable {
            let mut rights = self.file.metadata()?.permissions();
            // Whoever may read it may execute it.
            rights.set_mode(rights.mode() | (rights.mode() & 0o444) >> 2);
            self.file.set_permissions(rights)?;
        }
        match new.modified {
            Some(modified) => self.file.set_modified(time(modified)),
            None => Ok(()),
        }
    }

    /// Makes the contents durable.
    fn flush_by(self, sync: impl FnOnce(&File) -> io::Result<()>, target: &Path) -> Result<Self> {
        match sync(&self.file) {
            Ok(()) => Ok(self),
            Err(error) => {
                // What a failed flush left in memory cannot be trusted, and asking again would find no error.
                self.discard();
                Err(Failure::local(shown(target), error))
            }
        }
    }

    /// Gives the file its name.
    fn rename(self, target: &Path, no_clobber: bool) -> Result<()> {
        let flags = if no_clobber {
            RenameFlags::NOREPLACE
        } else {
            RenameFlags::empty()
        };
        let renamed = rustix::fs::renameat_with(CWD, &self.path, CWD, target, flags);
        renamed.map_err(|errno| Failure::local(shown(target), errno.into()))
    }
}

/// Makes the names in a folder durable.
///
/// # Errors
/// As the operating system says.
pub fn sync_folder(folder: &Path) -> Result<()> {
    let failed = |error: io::Error| Failure::local(shown(folder), error);
    let place = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(place).map_err(failed)?.sync_all().map_err(failed)
}

/// Where the part of a file lies: beside it, under its name where there is room for the suffix, and otherwise under the name's
/// digest.
pub fn part_of(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default();
    let mut part = name.to_owned();
    if name.len() + PART_SUFFIX.len() > NAME_MAX_BYTES {
        let digest = Algorithm::Blake3.digest(name.as_bytes());
        part = digest.hex().into();
    }
    part.push(PART_SUFFIX);
    target.with_file_name(part)
}

/// Takes a file's lock. The thread of a download that was just given up may need a moment to let it go.
fn lock(file: &File, since: Instant) -> bool {
    while file.try_lock().is_err() {
        if since.elapsed() > LOCK_WAIT {
            return false;
        }
        std::thread::sleep(LOCK_RETRY);
    }
    true
}

/// Whether a file is the one of that name.
fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Hashes a file to its end, once for the transfer and once with BLAKE3.
fn hash(file: &mut File, algorithm: Algorithm) -> io::Result<(Hasher, Hasher)> {
    let (mut hasher, mut proof) = (algorithm.hasher(), Algorithm::Blake3.hasher());
    let mut chunk = Chunk::full();
    loop {
        let len = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&chunk[..len]);
        if algorithm != Algorithm::Blake3 {
            proof.update(&chunk[..len]);
        }
    }
    if algorithm == Algorithm::Blake3 {
        proof = hasher.clone();
    }
    Ok((hasher, proof))
}

/// A file that is there, all of it hashed.
#[derive(Debug, Clone, Copy)]
pub struct Whole {
    /// Its size in bytes.
    pub size: u64,
    /// Its digest, as transfers are proven.
    pub digest: Digest,
    /// Its BLAKE3 digest.
    pub proof: Digest,
}

impl Whole {
    /// Hashes a file.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn of(path: &Path, algorithm: Algorithm) -> Result<Self> {
        let failed = |error: io::Error| Failure::local(shown(path), error);
        let mut file = File::open(path).map_err(failed)?;
        let (hasher, proof) = hash(&mut file, algorithm).map_err(failed)?;
        Ok(Self {
            size: hasher.len_bytes(),
            digest: hasher.finish(),
            proof: proof.finish(),
        })
    }
}

fn time(nanos: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 {
        SystemTime::UNIX_EPOCH - distance
    } else {
        SystemTime::UNIX_EPOCH + distance
    }
}

/// A part that is being hashed and written, by a thread each: a slow digest leaves the other core the writing.
#[derive(Debug)]
pub struct PartWriter {
    chunks: Sender<Chunk>,
    hashed: rt::Task<Hasher>,
    written: rt::Task<Result<Part>>,
}

impl PartWriter {
    /// Goes on writing a part where it ends; `restart` throws away first what it holds.
    pub fn new(mut part: Part, algorithm: Algorithm, restart: bool) -> Self {
        let (chunks, queue) = async_channel::bounded::<Chunk>(QUEUE_CHUNKS);
        let (hashed, to_write) = async_channel::bounded::<Chunk>(QUEUE_CHUNKS);
        let mut hasher = if restart { algorithm.hasher() } else { part.hasher.clone() };
        let hashing = move || {
            while let Ok(chunk) = queue.recv_blocking() {
                hasher.update(&chunk);
                if hashed.send_blocking(chunk).is_err() {
                    // Writing has failed, and says why itself.
                    break;
                }
            }
            hasher
        };
        let writing = move || {
            let path = part.path.clone();
            let failed = |error: io::Error| Failure::local(shown(&path), error);
            if restart {
                part.restart(algorithm).map_err(failed)?;
            }
            while let Ok(chunk) = to_write.recv_blocking() {
                part.file.write_all(&chunk).map_err(failed)?;
            }
            Ok(part)
        };
        Self {
            chunks,
            hashed: rt::spawn(rt::unblock(hashing)),
            written: rt::spawn(rt::unblock(writing)),
        }
    }

    /// Writes the next contents.
    ///
    /// # Errors
    /// When the file cannot be written any more; [`PartWriter::finish`] says why.
    pub async fn write(&self, chunk: Chunk) -> Result<()> {
        let sent = self.chunks.send(chunk).await;
        sent.map_err(|_| Failure::unexpected("a writer that has ended"))
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// Why the file cannot be written.
    pub async fn finish(self) -> Result<Part> {
        drop(self.chunks);
        let mut part = self.written.await?;
        part.hasher = self.hashed.await;
        Ok(part)
    }
}

#[cfg(test)]
mod tests;
