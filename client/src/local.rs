//! Local files: read and hashed by one blocking thread per transfer, written and hashed by another, published in one step.
//! The only room of the client that opens them.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_channel::{Receiver, Sender};
use ferry_core::chunk::CHUNK_BYTES;
use ferry_core::context::check_end;
use ferry_core::text::escape;
use ferry_core::wire::message::End;
use ferry_core::{Algorithm, Chunk, Digest, Error, ErrorKind, Hasher, rt};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags};

use crate::exit::{Failure, Result};

/// Chunks between a file's thread and the connection.
const QUEUE_CHUNKS: usize = 3;
/// What the name of a file ends in that is not complete yet.
pub const PART_SUFFIX: &str = ".ferry-part";
const NANOS: i64 = 1_000_000_000;

/// A path, made safe to show.
pub fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_bytes())
}

/// What is known of a file before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Its size in bytes.
    pub size: u64,
    /// Last change of the contents, in nanoseconds since 1970-01-01 UTC.
    pub modified: i64,
    /// Whether its owner may execute it.
    pub executable: bool,
}

impl From<&Metadata> for Meta {
    fn from(meta: &Metadata) -> Self {
        Self {
            size: meta.size(),
            modified: meta.mtime().saturating_mul(NANOS).saturating_add(meta.mtime_nsec()),
            executable: meta.mode() & 0o100 != 0,
        }
    }
}

/// Something to be sent.
#[derive(Debug)]
pub enum Source {
    /// A regular file.
    File(File, Meta),
    /// A folder.
    Folder(Meta),
    /// Standard input.
    Stream,
}

/// Opens what is to be sent, called `name` in errors. `follow` says whether a link stands for what it points to.
///
/// # Errors
/// As the operating system says; `unsupported` for what is neither file nor folder.
pub fn open_source(path: &Path, name: &str, follow: bool) -> Result<Source> {
    // A pipe must not hold us up before it is seen to be one.
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    flags.set(OFlags::NOFOLLOW, !follow);
    let failed = |error: io::Error| Failure::local(name, error);
    let file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| failed(error.into()))?);
    let meta = file.metadata().map_err(failed)?;
    if meta.is_dir() {
        return Ok(Source::Folder(Meta::from(&meta)));
    }
    if !meta.is_file() {
        let text = format!("{name}: neither a file nor a folder");
        return Err(Error::unsupported(text).hint("`-` sends standard input").into());
    }
    Ok(Source::File(file, Meta::from(&meta)))
}

/// What a reading thread gives.
#[derive(Debug)]
pub enum Piece {
    /// The BLAKE3 digest of the bytes that the server holds already.
    Prefix(Digest),
    /// The next contents.
    Data(Chunk),
    /// All was read: size and digest of the whole.
    End(End),
}

/// How a source is read.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many bytes are hashed and not given.
    pub offset: u64,
    /// How the transfer is proven.
    pub algorithm: Algorithm,
    /// The most bytes that one piece has.
    pub chunk_bytes: usize,
}

/// Reads a source, called `name` in errors, on a thread of its own, hashing on the way. The thread ends when nobody takes its pieces any more.
pub fn read(source: Source, name: &str, plan: Plan) -> Receiver<Result<Piece>> {
    let (pieces, receiver) = async_channel::bounded(QUEUE_CHUNKS);
    let name = name.to_owned();
    let work = move || {
        let result = match source {
            Source::File(file, meta) => Reading::new(&mut Cursor(&file, 0), &name, Some(meta.size), plan, &pieces)
                .run()
                .and_then(|end| unchanged(&file, &name, meta).map(|()| end)),
            Source::Stream => Reading::new(&mut io::stdin().lock(), &name, None, plan, &pieces).run(),
            Source::Folder(_) => Err(Error::new(ErrorKind::IsDirectory, format!("{name}: is a folder")).into()),
        };
        // A closed channel means that the transfer was given up.
        let _ = pieces.send_blocking(result.map(Piece::End));
    };
    drop(rt::spawn(rt::unblock(work)));
    receiver
}

fn changed(name: &str) -> Failure {
    Error::new(ErrorKind::Changed, format!("{name}: changed while it was being sent"))
        .hint("send it again once nobody writes to it")
        .into()
}

fn unchanged(file: &File, name: &str, before: Meta) -> Result<()> {
    let after = file.metadata().map_err(|error| Failure::local(name, error))?;
    let after = Meta::from(&after);
    if (after.size, after.modified) == (before.size, before.modified) {
        Ok(())
    } else {
        Err(changed(name))
    }
}

/// Reads a file from a place of its own: the descriptor's is shared with its clones, and an earlier try may still be reading.
struct Cursor<'f>(&'f File, u64);

impl Read for Cursor<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let len = self.0.read_at(bytes, self.1)?;
        self.1 += len as u64;
        Ok(len)
    }
}

struct Reading<'r> {
    reader: &'r mut dyn Read,
    name: &'r str,
    size: Option<u64>,
    plan: Plan,
    hasher: Hasher,
    pieces: &'r Sender<Result<Piece>>,
}

impl<'r> Reading<'r> {
    fn new(reader: &'r mut dyn Read, name: &'r str, size: Option<u64>, plan: Plan, pieces: &'r Sender<Result<Piece>>) -> Self {
        Self {
            reader,
            name,
            size,
            hasher: plan.algorithm.hasher(),
            plan,
            pieces,
        }
    }

    fn run(mut self) -> Result<End> {
        if self.plan.offset > 0 {
            let prefix = self.prefix()?;
            self.give(Piece::Prefix(prefix))?;
        }
        loop {
            let left = self.size.map(|size| size.saturating_sub(self.hasher.len_bytes()));
            let want = left.map_or(self.plan.chunk_bytes, |left| {
                usize::try_from(left).unwrap_or(usize::MAX).min(self.plan.chunk_bytes)
            });
            if want == 0 {
                break;
            }
            let mut chunk = Chunk::with_len(want);
            let len = fill(self.reader, &mut chunk).map_err(|error| Failure::local(self.name, error))?;
            if len == 0 {
                break;
            }
            chunk.truncate(len);
            self.hasher.update(&chunk);
            self.give(Piece::Data(chunk))?;
        }
        let size = self.hasher.len_bytes();
        if self.size.is_some_and(|declared| declared != size) {
            return Err(changed(self.name));
        }
        Ok(End {
            id: 0,
            size,
            digest: self.hasher.finish(),
        })
    }

    /// Hashes the bytes before the offset, once for both purposes.
    fn prefix(&mut self) -> Result<Digest> {
        let mut proof = (self.plan.algorithm != Algorithm::Blake3).then(|| Algorithm::Blake3.hasher());
        let mut chunk = Chunk::full();
        let mut left = self.plan.offset;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let len = fill(self.reader, &mut chunk[..want]).map_err(|error| Failure::local(self.name, error))?;
            if len == 0 {
                return Err(changed(self.name));
            }
            self.hasher.update(&chunk[..len]);
            if let Some(proof) = &mut proof {
                proof.update(&chunk[..len]);
            }
            left -= len as u64;
            if self.pieces.is_closed() {
                return Err(Failure::interrupted());
            }
        }
        Ok(proof.as_ref().unwrap_or(&self.hasher).finish())
    }

    fn give(&self, piece: Piece) -> Result<()> {
        self.pieces.send_blocking(Ok(piece)).map_err(|_| Failure::interrupted())
    }
}

/// Reads until `bytes` is full or nothing more comes.
fn fill(reader: &mut dyn Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < bytes.len() {
        match reader.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

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
        let mut name = target.as_os_str().to_owned();
        name.push(PART_SUFFIX);
        let path = PathBuf::from(name);
        let failed = |error: io::Error| Failure::local(shown(&path), error);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mode = Mode::from_raw_mode(0o666);
        let mut file = File::from(rustix::fs::openat(CWD, &path, flags, mode).map_err(|error| failed(error.into()))?);
        if !file.metadata().map_err(failed)?.is_file() {
            let text = format!("{}: is in the way and no file", shown(&path));
            return Err(Error::exists(text).into());
        }
        if file.try_lock().is_err() {
            let text = format!("{}: another download is writing it", shown(&path));
            return Err(Error::new(ErrorKind::Busy, text).into());
        }
        let (hasher, proof) = hash(&mut file, algorithm).map_err(failed)?;
        let prefix = (hasher.len_bytes() > 0).then(|| proof.finish());
        Ok(Self {
            file,
            path,
            hasher,
            prefix,
        })
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

    /// Proves the contents, makes them durable and gives the file its name, in this order.
    ///
    /// # Errors
    /// `digest_mismatch`, after which nothing is left of it; `exists` with `no_clobber`.
    pub fn publish(self, target: &Path, end: &End, new: New, no_clobber: bool) -> Result<()> {
        if let Err(error) = check_end(end, self.len_bytes(), self.hasher.finish()) {
            self.discard();
            return Err(error.into());
        }
        let failed = |error: io::Error| Failure::local(shown(target), error);
        if new.executable {
            let mut rights = self.file.metadata().map_err(failed)?.permissions();
            // Whoever may read it may execute it.
            rights.set_mode(rights.mode() | (rights.mode() & 0o444) >> 2);
            self.file.set_permissions(rights).map_err(failed)?;
        }
        if let Some(modified) = new.modified {
            self.file.set_modified(time(modified)).map_err(failed)?;
        }
        self.file.sync_all().map_err(failed)?;
        let flags = if no_clobber {
            RenameFlags::NOREPLACE
        } else {
            RenameFlags::empty()
        };
        rustix::fs::renameat_with(CWD, &self.path, CWD, target, flags).map_err(|error| failed(error.into()))?;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        folder.sync_all().map_err(failed)
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

/// The BLAKE3 digest of a file that is there, with its size.
///
/// # Errors
/// As the operating system says.
pub fn digest_of(path: &Path) -> Result<(u64, Digest)> {
    let failed = |error: io::Error| Failure::local(shown(path), error);
    let mut file = File::open(path).map_err(failed)?;
    let (hasher, _) = hash(&mut file, Algorithm::Blake3).map_err(failed)?;
    Ok((hasher.len_bytes(), hasher.finish()))
}

fn time(nanos: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 {
        SystemTime::UNIX_EPOCH - distance
    } else {
        SystemTime::UNIX_EPOCH + distance
    }
}

/// A part that is being written by a thread of its own.
#[derive(Debug)]
pub struct PartWriter {
    chunks: Sender<Chunk>,
    written: rt::Task<Result<Part>>,
}

impl PartWriter {
    /// Goes on writing a part where it ends; `restart` throws away first what it holds.
    pub fn new(mut part: Part, algorithm: Algorithm, restart: bool) -> Self {
        let (chunks, queue) = async_channel::bounded::<Chunk>(QUEUE_CHUNKS);
        let work = move || {
            let path = part.path.clone();
            let failed = |error: io::Error| Failure::local(shown(&path), error);
            if restart {
                part.restart(algorithm).map_err(failed)?;
            }
            while let Ok(chunk) = queue.recv_blocking() {
                part.file.write_all(&chunk).map_err(failed)?;
                part.hasher.update(&chunk);
            }
            Ok(part)
        };
        Self {
            chunks,
            written: rt::spawn(rt::unblock(work)),
        }
    }

    /// Writes the next contents.
    ///
    /// # Errors
    /// Why the file cannot be written any more.
    pub async fn write(self, chunk: Chunk) -> Result<Self> {
        if self.chunks.send(chunk).await.is_ok() {
            return Ok(self);
        }
        self.finish().await?;
        Err(Failure::unexpected("a writer that has ended"))
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// Why the file cannot be written.
    pub async fn finish(self) -> Result<Part> {
        drop(self.chunks);
        self.written.await
    }
}

/// What is at a local place: `None` for nothing. Links are followed, as `cp` does with its target.
///
/// # Errors
/// As the operating system says.
pub fn look(path: &Path) -> Result<Option<(Meta, bool)>> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(Some((Meta::from(&meta), meta.is_dir()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::local(shown(path), error)),
    }
}

/// Makes a folder; fine when one is there.
///
/// # Errors
/// As the operating system says.
pub fn make_folder(path: &Path) -> Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result.map_err(|error| Failure::local(shown(path), error)),
    }
}

/// The entries of a folder by name, each with whether it is a folder or a link.
///
/// # Errors
/// As the operating system says.
pub fn entries(path: &Path) -> Result<Vec<(OsString, std::fs::FileType)>> {
    let failed = |error: io::Error| Failure::local(shown(path), error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        found.push((entry.file_name(), entry.file_type().map_err(failed)?));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}
