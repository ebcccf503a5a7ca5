//! Buffers of file contents, reused so that a running transfer allocates nothing.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use concurrent_queue::ConcurrentQueue;
use memmap2::MmapMut;

/// The most bytes of contents a chunk holds: 512 KiB. A chunk costs a few wake-ups of threads on its way, whatever is in it: half as large,
/// a transfer takes a tenth more of the processor's time; twice as large, it holds more memory than it may.
///
/// ```
/// use ferry_core::chunk::{CHUNK_BYTES, Chunk};
///
/// let contents = vec![7; CHUNK_BYTES + 1];
/// let chunks: Vec<Chunk> = contents.chunks(CHUNK_BYTES).map(Chunk::from).collect();
/// assert_eq!((chunks[0].len(), chunks[1].len()), (CHUNK_BYTES, 1));
/// ```
pub const CHUNK_BYTES: usize = 512 * 1024;
/// Room in front of the contents for a frame's header, so that header and contents go out in one write.
///
/// ```
/// use ferry_core::chunk::{Chunk, HEADROOM_BYTES};
///
/// let header = [0; HEADROOM_BYTES];
/// assert_eq!(Chunk::from(&b"abc"[..]).framed(&header).len(), HEADROOM_BYTES + 3);
/// ```
pub const HEADROOM_BYTES: usize = 16;
/// How many idle buffers are kept: 4 MiB in all, what a transfer has under way at most. With half as many, a download took 1.04 times as long.
const IDLE_CHUNKS: usize = 8;

static IDLE: LazyLock<ConcurrentQueue<MmapMut>> = LazyLock::new(|| ConcurrentQueue::bounded(IDLE_CHUNKS));

/// Where the bytes of a chunk are.
enum Buffer {
    Small(Vec<u8>),
    /// Of full size, in pages of its own: what is freed goes back to the system, where an allocator's heap of the thread that asked for it
    /// would keep a third of a transfer's memory.
    Full(MmapMut),
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Full(pages) => pages,
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Full(pages) => pages,
        }
    }
}

/// Some bytes of a body: at most [`CHUNK_BYTES`], owned, and recycled when dropped.
///
/// ```
/// use ferry_core::Chunk;
///
/// let mut chunk = Chunk::from(&b"contents"[..]);
/// assert_eq!(&chunk[..3], b"con");
/// chunk.make_ascii_uppercase();
/// assert_eq!(&*chunk, b"CONTENTS");
/// ```
pub struct Chunk {
    buffer: Buffer,
    len: usize,
}

impl Chunk {
    /// A chunk with room for `len` bytes of unspecified contents; a large one comes from the recycled ones.
    ///
    /// `len` above [`CHUNK_BYTES`] is cut to it.
    ///
    /// ```
    /// let mut chunk = ferry_core::Chunk::with_len(3);
    /// chunk.copy_from_slice(b"abc");
    /// assert_eq!(&*chunk, b"abc");
    /// ```
    pub fn with_len(len: usize) -> Self {
        let len = len.min(CHUNK_BYTES);
        // A small body never holds more than twice what it weighs: flow control counts contents, not buffers.
        let pages = match len >= CHUNK_BYTES / 2 {
            true => IDLE.pop().or_else(|_| MmapMut::map_anon(HEADROOM_BYTES + CHUNK_BYTES)).ok(),
            false => None,
        };
        // A system that has no more mappings to give may still have room.
        let buffer = pages.map_or_else(|| Buffer::Small(vec![0; HEADROOM_BYTES + len]), Buffer::Full);
        Self { buffer, len }
    }

    /// A full-sized chunk of unspecified contents, to be read into and then cut.
    ///
    /// ```
    /// use std::io::Read as _;
    ///
    /// let mut reader = &b"some contents"[..];
    /// let mut chunk = ferry_core::Chunk::full();
    /// let read = reader.read(&mut chunk)?;
    /// chunk.truncate(read);
    /// assert_eq!(&*chunk, b"some contents");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn full() -> Self {
        Self::with_len(CHUNK_BYTES)
    }

    /// Keeps the first `len` bytes.
    ///
    /// ```
    /// let mut chunk = ferry_core::Chunk::from(&b"contents"[..]);
    /// chunk.truncate(3);
    /// assert_eq!(&*chunk, b"con");
    /// ```
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Puts `header` directly in front of the contents and gives both as one slice.
    ///
    /// ```
    /// let mut chunk = ferry_core::Chunk::from(&b"contents"[..]);
    /// assert_eq!(chunk.framed(b"8:"), b"8:contents");
    /// ```
    ///
    /// # Panics
    /// When the header is longer than [`HEADROOM_BYTES`]: a mistake of the caller, not of a peer.
    pub fn framed(&mut self, header: &[u8]) -> &[u8] {
        let start = HEADROOM_BYTES - header.len();
        self.buffer[start..HEADROOM_BYTES].copy_from_slice(header);
        &self.buffer[start..HEADROOM_BYTES + self.len]
    }
}

impl From<&[u8]> for Chunk {
    /// Copies at most the first [`CHUNK_BYTES`].
    fn from(bytes: &[u8]) -> Self {
        let mut chunk = Self::with_len(bytes.len());
        let len = chunk.len;
        chunk.copy_from_slice(&bytes[..len]);
        chunk
    }
}

impl Deref for Chunk {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.buffer[HEADROOM_BYTES..HEADROOM_BYTES + self.len]
    }
}

impl DerefMut for Chunk {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[HEADROOM_BYTES..HEADROOM_BYTES + self.len]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Buffer::Full(pages) = std::mem::replace(&mut self.buffer, Buffer::Small(Vec::new())) {
            // A full queue means enough are idle already: these are freed.
            let _ = IDLE.push(pages);
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_contents_are_one_slice() {
        let mut chunk = Chunk::from(&b"contents"[..]);
        assert_eq!(chunk.framed(b"head "), b"head contents");
        chunk.truncate(3);
        assert_eq!(chunk.framed(b""), b"con");
    }

    #[test]
    fn a_chunk_is_never_larger_than_its_limit() {
        assert_eq!(Chunk::from(&vec![7; CHUNK_BYTES + 5][..]).len(), CHUNK_BYTES);
        assert_eq!(Chunk::with_len(usize::MAX).len(), CHUNK_BYTES);
    }
}
