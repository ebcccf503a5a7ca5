//! A file being read: small ones together with the opening, large ones by a thread that reads and hashes ahead.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use async_channel::{Receiver, Sender};
use ferry_core::chunk::CHUNK_BYTES;
use ferry_core::store::{CODE_PRESENT, CODE_RESUME, FileInfo, Held, ReadRequest, Source, Start};
use ferry_core::verb::BoxFuture;
use ferry_core::{Algorithm, Chunk, Digest, Error, ErrorKind, Hasher, HomePath, Result, rt};
use rustix::fs::{Stat, fstat};

use crate::jail::{Jail, counted, executable, modified, version};
use crate::proof;
use crate::threads::Permit;

/// Chunks that the thread is ahead: enough to keep disk and network busy at once.
const AHEAD_CHUNKS: usize = 1;

/// A file being read.
pub(crate) struct LocalSource {
    start: Start,
    file: FileInfo,
    feed: Feed,
    digest: Digest,
}

enum Feed {
    /// No thread is at it, because none was needed yet or there are too many.
    Waiting(Box<Reader>),
    /// The thread is under way.
    Running(Receiver<Result<Piece>>),
    /// All that is left to give, if anything.
    Last(Option<Chunk>),
}

/// What the thread sends.
enum Piece {
    Bytes(Chunk),
    End(Digest),
}

impl LocalSource {
    /// Opens a file, checks what the reader holds, and reads all of it when it is small.
    pub(crate) fn open(jail: &Jail, request: ReadRequest) -> Result<Self> {
        let (file, stat) = jail.file(&request.path)?;
        let info = FileInfo {
            path: (&request.path).into(),
            size: counted(&stat),
            modified: modified(&stat),
            executable: executable(&stat),
            digest: proof::kept(&file, &stat),
            version: version(&stat),
        };
        let nothing = request.algorithm.digest(b"");
        let known = info
            .digest
            .filter(|kept| request.reader_checks && kept.algorithm() == request.algorithm);
        let mut reader = Reader {
            known,
            hasher: request.algorithm.hasher(),
            path: request.path,
            file,
            stat,
            size: info.size,
            at: 0,
        };
        let start = reader.start(request.algorithm, request.held)?;
        let (feed, digest) = if reader.size - reader.at <= CHUNK_BYTES as u64 {
            let chunk = reader.next()?;
            (Feed::Last(chunk), reader.end()?)
        } else {
            // Only a hint: reading works without.
            let _ = rustix::fs::fadvise(&reader.file, reader.at, None, rustix::fs::Advice::Sequential);
            (Feed::Waiting(Box::new(reader)), nothing)
        };
        Ok(Self {
            start,
            file: info,
            feed,
            digest,
        })
    }
}

impl LocalSource {
    /// Takes what was read; `feed` is how it goes on, when that is another way than now.
    fn take(&mut self, piece: Piece, feed: Option<Feed>) -> Result<Option<Chunk>> {
        match piece {
            Piece::Bytes(chunk) => {
                self.feed = feed.unwrap_or_else(|| std::mem::replace(&mut self.feed, Feed::Last(None)));
                Ok(Some(chunk))
            }
            Piece::End(digest) => {
                (self.digest, self.feed) = (digest, Feed::Last(None));
                Ok(None)
            }
        }
    }
}

impl Source for LocalSource {
    fn start(&self) -> Start {
        self.start
    }

    fn file(&self) -> &FileInfo {
        &self.file
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<Chunk>>> {
        Box::pin(async move {
            self.feed = match std::mem::replace(&mut self.feed, Feed::Last(None)) {
                Feed::Last(chunk) => return Ok(chunk),
                Feed::Waiting(mut reader) => match Permit::take() {
                    Some(permit) => {
                        let (sender, receiver) = async_channel::bounded(AHEAD_CHUNKS);
                        drop(rt::spawn(rt::unblock(move || {
                            let _permit = permit;
                            reader.run(&sender);
                        })));
                        Feed::Running(receiver)
                    }
                    None => {
                        let (reader, piece) = rt::unblock(move || {
                            let piece = reader.piece();
                            (reader, piece)
                        })
                        .await;
                        return self.take(piece?, Some(Feed::Waiting(reader)));
                    }
                },
                running => running,
            };
            let Feed::Running(receiver) = &self.feed else {
                return Ok(None);
            };
            let piece = receiver.recv().await;
            let broken = || Error::internal(format!("{}: reading it was broken off", self.file.path));
            self.take(piece.unwrap_or_else(|_| Err(broken()))?, None)
        })
    }

    /// Before the end it is the digest of nothing.
    fn digest(&self) -> Digest {
        self.digest
    }
}

/// Reads a file from the first byte to the last, and hashes it where that was not done before.
struct Reader {
    path: HomePath,
    file: File,
    stat: Stat,
    size: u64,
    at: u64,
    /// The digest of the whole file, when it need not be computed.
    known: Option<Digest>,
    hasher: Hasher,
}

impl Reader {
    /// Where the transfer starts: behind the reader's bytes when they are the file's first ones. These are hashed here.
    fn start(&mut self, algorithm: Algorithm, held: Option<Held>) -> Result<Start> {
        let Some(held) = held.filter(|held| 0 < held.offset && held.offset <= self.size) else {
            return Ok(Start::BEGINNING);
        };
        let mut prefix = Algorithm::Blake3.hasher();
        let hashed = match self.known {
            Some(_) => hash_prefix(&self.file, held.offset, &mut [&mut prefix]),
            None => hash_prefix(&self.file, held.offset, &mut [&mut self.hasher, &mut prefix]),
        };
        hashed.map_err(|error| self.failed(error))?;
        if prefix.finish() != held.prefix {
            self.hasher = algorithm.hasher();
            return Ok(Start::BEGINNING);
        }
        self.at = held.offset;
        Ok(Start {
            code: if self.at == self.size { CODE_PRESENT } else { CODE_RESUME },
            offset: self.at,
            prefix: Some(held.prefix),
        })
    }

    /// The next bytes; `None` at the end.
    fn next(&mut self) -> Result<Option<Chunk>> {
        let left = usize::try_from(self.size - self.at).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        let mut chunk = Chunk::with_len(left);
        self.file
            .read_exact_at(&mut chunk, self.at)
            .map_err(|error| self.failed(error))?;
        self.at += chunk.len() as u64;
        if self.known.is_none() {
            self.hasher.update(&chunk);
        }
        Ok(Some(chunk))
    }

    /// The digest of the whole file, which must be the one that was opened. Here nobody changes a file in place, but an admin
    /// can.
    fn end(&self) -> Result<Digest> {
        let stat = fstat(&self.file).map_err(|errno| self.failed(errno.into()))?;
        if (counted(&stat), modified(&stat)) != (self.size, modified(&self.stat)) {
            return Err(self.changed());
        }
        Ok(self.known.unwrap_or_else(|| self.hasher.finish()))
    }

    fn piece(&mut self) -> Result<Piece> {
        match self.next()? {
            Some(chunk) => Ok(Piece::Bytes(chunk)),
            None => self.end().map(Piece::End),
        }
    }

    fn run(mut self, sender: &Sender<Result<Piece>>) {
        loop {
            let piece = self.piece();
            let goes_on = matches!(piece, Ok(Piece::Bytes(_)));
            // Nobody listens any more: the transfer was given up.
            if sender.send_blocking(piece).is_err() || !goes_on {
                return;
            }
        }
    }

    fn failed(&self, error: std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.changed(),
            _ => Error::from_io(&self.path, error).at(&self.path),
        }
    }

    fn changed(&self) -> Error {
        let text = format!("{}: changed while it was read", self.path);
        Error::new(ErrorKind::Changed, text).at(&self.path).hint("try again")
    }
}

/// Feeds the first `len` bytes of a file to some hashers, in one pass.
pub(crate) fn hash_prefix(file: &File, len: u64, hashers: &mut [&mut Hasher]) -> std::io::Result<()> {
    read_range(file, 0..len, |bytes| {
        hashers.iter_mut().for_each(|hasher| hasher.update(bytes))
    })
}

/// Reads some of a file's bytes, and hands them over piece by piece.
pub(crate) fn read_range(file: &File, range: Range<u64>, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut chunk = Chunk::full();
    let mut at = range.start;
    while at < range.end {
        let step = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(chunk.len());
        let bytes = &mut chunk[..step];
        file.read_exact_at(bytes, at)?;
        take(bytes);
        at += step as u64;
    }
    Ok(())
}
