//! Local files being sent: opened, then read and hashed by one blocking thread each.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use async_channel::{Receiver, Sender};
use ferry_core::chunk::CHUNK_BYTES;
use ferry_core::wire::message::End;
use ferry_core::{Algorithm, Chunk, Digest, Error, ErrorKind, Hasher, rt};
use rustix::fs::{CWD, Mode, OFlags};

use crate::exit::{Failure, Result};
use crate::local::{Meta, QUEUE_CHUNKS};

/// Something to be sent.
#[derive(Debug)]
pub enum Source {
    /// A regular file.
    File(File, Meta),
    /// A small file, read already.
    Small(Small),
    /// A folder.
    Folder(Meta),
    /// Standard input.
    Stream,
}

/// Opens what is to be sent, called `name` in errors. `follow` says whether a link stands for what it points to.
///
/// # Errors
/// As the operating system says; `unsupported` for what is neither file nor folder.
pub fn open(path: &Path, name: &str, follow: bool) -> Result<Source> {
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

/// Files of at most so many bytes are sent without waiting for the server's word, and received in memory.
pub const SMALL_BYTES: u64 = 64 * 1024;

/// A small file with all that is in it.
#[derive(Debug, Clone)]
pub struct Small {
    /// What is known of it.
    pub meta: Meta,
    /// Its contents.
    pub contents: Vec<u8>,
    /// Their size and digest.
    pub end: End,
}

impl Source {
    /// Reads a file, called `name` in errors, when it is small; everything else stays as it is.
    ///
    /// # Errors
    /// As the operating system says; `changed` when somebody writes to it.
    pub fn read_small(self, name: &str, algorithm: Algorithm) -> Result<Self> {
        let (file, meta) = match self {
            Self::File(file, meta) if meta.size <= SMALL_BYTES => (file, meta),
            other => return Ok(other),
        };
        let mut contents = vec![0; usize::try_from(meta.size).unwrap_or_default()];
        let len = fill(&mut Cursor(&file, 0), &mut contents).map_err(|error| Failure::local(name, error))?;
        if len < contents.len() {
            return Err(changed(name));
        }
        unchanged(&file, name, meta)?;
        let end = End {
            id: 0,
            size: meta.size,
            digest: algorithm.digest(&contents),
        };
        Ok(Self::Small(Small { meta, contents, end }))
    }
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
            Source::Small(small) => {
                let mut contents = small.contents.as_slice();
                Reading::new(&mut contents, &name, Some(small.meta.size), plan, &pieces).run()
            }
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
