//! Reads frames: each judged by its header before a byte of it is kept.

use std::time::Duration;

use futures_lite::{AsyncRead, AsyncReadExt as _};

use super::{STALL, ended_inside, gone};
use crate::chunk::{CHUNK_BYTES, Chunk};
use crate::error::{Error, ErrorKind, Result};
use crate::rt::Patience;
use crate::wire::frame::{HEADER_BYTES, Header, ID_BYTES, Kind, Stage, read_grant};

/// Small reads are gathered in a buffer of so many bytes; contents of data frames go past it.
const BUFFER_BYTES: usize = 4 * 1024;
/// After so many frames a reader lets others run, whatever is there to be read: the runtime has few threads, and a peer that never pauses
/// would keep one.
const FRAMES_A_TURN: u32 = 32;

/// What was read.
#[derive(Debug)]
pub enum Incoming {
    /// A control frame's payload, not checked yet.
    Control(Kind, Vec<u8>),
    /// Contents for a request. One data frame may come as several of these.
    Data(u32, Chunk),
    /// Leave to send more.
    Grant(u32, u32),
    /// A ping or a pong with its bytes.
    Echo(Kind, Vec<u8>),
}

/// Reads frames.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// What is left of a data frame: request, bytes.
    data: (u32, usize),
    stall: Duration,
    patience: Patience,
    /// Frames that are left of this turn.
    turn: u32,
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unreachable, "a frame stopped half-way")
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader of a stream that is at the start of a frame.
    pub fn new(stream: R) -> Self {
        Self::with_buffer(stream, BUFFER_BYTES)
    }

    /// The same with a buffer of `len_bytes`, at least one, for a side that has few connections and hears many small frames.
    pub fn with_buffer(stream: R, len_bytes: usize) -> Self {
        Self {
            stream,
            buffer: vec![0; len_bytes.max(1)],
            start: 0,
            end: 0,
            data: (0, 0),
            stall: STALL,
            patience: Patience::default(),
            turn: FRAMES_A_TURN,
        }
    }

    /// The next frame; `None` when the stream ended between two. Frames of unknown optional kinds are passed over. Pauses now and then even when
    /// there is always something to read.
    ///
    /// # Errors
    /// `timeout` when nothing came for `idle`: the stream is still between two frames, and a caller may go on. After anything
    /// else it is of no more use: `unreachable` when it broke or a frame stopped half-way for [`STALL`]; those of [`Header::read`].
    pub async fn next(&mut self, stage: Stage, idle: Duration) -> Result<Option<Incoming>> {
        loop {
            self.turn -= 1;
            if self.turn == 0 {
                self.turn = FRAMES_A_TURN;
                futures_lite::future::yield_now().await;
            }
            if self.data.1 > 0 {
                return self.contents().await.map(Some);
            }
            if self.start == self.end {
                let silent = || Error::new(ErrorKind::Timeout, "nothing came for too long");
                if self.fill(idle, silent).await? == 0 {
                    return Ok(None);
                }
            }
            let header = Header::read(self.take::<HEADER_BYTES>().await?, stage)?;
            match header.kind {
                Some(Kind::Data) => {
                    let id = u32::from_be_bytes(self.take::<ID_BYTES>().await?);
                    self.data = (id, header.len_bytes - ID_BYTES);
                    if self.data.1 == 0 {
                        return Ok(Some(Incoming::Data(id, Chunk::with_len(0))));
                    }
                }
                Some(Kind::Grant) => {
                    let (id, bytes) = read_grant(&self.take::<8>().await?)?;
                    return Ok(Some(Incoming::Grant(id, bytes)));
                }
                kind => {
                    let mut payload = vec![0; header.len_bytes];
                    self.exact(&mut payload).await?;
                    match kind {
                        None => {}
                        Some(kind @ (Kind::Ping | Kind::Pong)) => return Ok(Some(Incoming::Echo(kind, payload))),
                        Some(kind) => return Ok(Some(Incoming::Control(kind, payload))),
                    }
                }
            }
        }
    }

    /// Whether a whole frame lies in the buffer that is not passed over, so that the next one comes without a read.
    pub fn has_frame(&self) -> bool {
        let Some(([a, b, c, d, kind], rest)) = self.buffer[self.start..self.end].split_first_chunk::<HEADER_BYTES>() else {
            return false;
        };
        self.data.1 == 0 && Kind::from_byte(*kind).is_some() && u32::from_be_bytes([*a, *b, *c, *d]) as usize <= rest.len()
    }

    async fn contents(&mut self) -> Result<Incoming> {
        let (id, left) = self.data;
        let mut chunk = Chunk::with_len(left.min(CHUNK_BYTES));
        self.exact(&mut chunk).await?;
        self.data.1 -= chunk.len();
        Ok(Incoming::Data(id, chunk))
    }

    /// Reads into the empty buffer; `late` says what it means when nothing comes in time.
    async fn fill(&mut self, limit: Duration, late: fn() -> Error) -> Result<usize> {
        let read = self.patience.limit(limit, self.stream.read(&mut self.buffer)).await;
        let len = read.map_err(|_| late())?.map_err(gone)?;
        (self.start, self.end) = (0, len);
        Ok(len)
    }

    async fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn exact(&mut self, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            if self.start == self.end {
                // What is larger than the buffer is read to where it belongs.
                if out.len() >= self.buffer.len() {
                    let read = self.patience.limit(self.stall, self.stream.read(out)).await;
                    let len = read.map_err(|_| stopped())?.map_err(gone)?;
                    if len == 0 {
                        return Err(ended_inside());
                    }
                    out = &mut out[len..];
                    continue;
                }
                if self.fill(self.stall, stopped).await? == 0 {
                    return Err(ended_inside());
                }
            }
            let len = out.len().min(self.end - self.start);
            let (now, later) = out.split_at_mut(len);
            now.copy_from_slice(&self.buffer[self.start..self.start + len]);
            self.start += len;
            out = later;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use futures_lite::io::Cursor;

    use super::*;
    use crate::rt;
    use crate::wire::frame::grant;

    /// All frames of a stream that is there already.
    pub(in crate::wire::io) fn read_all(bytes: Vec<u8>) -> Result<Vec<Incoming>> {
        rt::block_on(async {
            let mut reader = FrameReader::new(Cursor::new(bytes));
            let mut all = Vec::new();
            while let Some(incoming) = reader.next(Stage::LoggedIn, STALL).await? {
                all.push(incoming);
            }
            Ok(all)
        })
    }

    #[test]
    fn whole_frames_that_lie_there_are_told_from_parts() {
        let frames = [grant(1, 1), grant(2, 2), grant(3, 3)].concat();
        for left_out in 0..frames.len() / 3 {
            rt::block_on(async {
                let mut reader = FrameReader::new(Cursor::new(&frames[..frames.len() - left_out]));
                let mut said = Vec::new();
                while let Ok(Some(_)) = reader.next(Stage::LoggedIn, STALL).await {
                    said.push(reader.has_frame());
                }
                let expected = if left_out == 0 {
                    &[true, true, false][..]
                } else {
                    &[true, false]
                };
                assert_eq!(said, expected, "{left_out} bytes are missing");
            });
        }
    }

    #[test]
    fn a_large_data_frame_comes_in_chunks_and_an_optional_one_is_passed_over() {
        let mut bytes = vec![0, 0, 0, 2, 0x90, 1, 2];
        bytes.extend(Header::write_data(3, 1024 * 1024));
        bytes.resize(bytes.len() + 1024 * 1024, 1);
        let sizes: Vec<usize> = read_all(bytes)
            .unwrap()
            .iter()
            .map(|i| if let Incoming::Data(3, c) = i { c.len() } else { 0 })
            .collect();
        assert_eq!(sizes, [CHUNK_BYTES; 2]);
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_an_error() {
        for bytes in [
            vec![0, 0],
            vec![0, 0, 0, 4, 0x11, 0x81],
            vec![0, 0, 0, 9, 0x40, 0, 0, 0, 1, 5],
        ] {
            assert_eq!(read_all(bytes).unwrap_err().kind, ErrorKind::Unreachable);
        }
    }

    #[test]
    fn silence_in_the_middle_of_a_frame_is_told_from_silence_between_two() {
        rt::block_on(async {
            let short = Duration::from_millis(5);
            let silent = futures_lite::io::AsyncReadExt::chain(Cursor::new(vec![0, 0, 0]), Silent);
            let mut reader = FrameReader {
                stall: short,
                ..FrameReader::new(silent)
            };
            assert_eq!(
                reader.next(Stage::BeforeLogin, STALL).await.unwrap_err().kind,
                ErrorKind::Unreachable
            );
            let mut reader = FrameReader::new(Silent);
            assert_eq!(
                reader.next(Stage::BeforeLogin, short).await.unwrap_err().kind,
                ErrorKind::Timeout
            );
        });
    }

    struct Silent;
    impl AsyncRead for Silent {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut [u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            std::task::Poll::Pending
        }
    }
}
