//! The way past a queue: a stream that the queue's writer shares with whoever has something small to write right now. Waking the writer for that
//! costs more than the write does.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_lite::AsyncWrite;

/// How far a write came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// To its end.
    All,
    /// Into the stream or in front of what is written next: whoever writes next goes on with it, and must be woken for that.
    Part,
    /// Somebody else is writing.
    Nothing,
}

/// A stream that can be written to past its writer.
pub(super) trait Direct: Send + Sync + fmt::Debug {
    /// Writes all of `bytes` in front of what others write next, without waiting, unless somebody else is in the middle of a write.
    fn try_write(&self, bytes: &[u8]) -> Written;
}

/// A stream with two writers: one that waits (the [`AsyncWrite`]), and one that does not (`Direct`).
pub struct Shared<W>(Arc<Mutex<State<W>>>);

struct State<W> {
    stream: W,
    /// What the one who does not wait could not write: goes out before anything else.
    rest: Vec<u8>,
    /// Whether the one who waits has written a part of what he has.
    is_amid: bool,
}

impl<W> Shared<W> {
    /// Shares a stream.
    pub(super) fn new(stream: W) -> Self {
        Self(Arc::new(Mutex::new(State {
            stream,
            rest: Vec::new(),
            is_amid: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> Clone for Shared<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W> fmt::Debug for Shared<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl<W: AsyncWrite + Unpin> State<W> {
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let len = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.rest))?;
            if len == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.drain(..len);
        }
        self.rest = Vec::new();
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Shared<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        ready!(state.poll_rest(cx))?;
        let len = ready!(Pin::new(&mut state.stream).poll_write(cx, bytes))?;
        state.is_amid = len < bytes.len();
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        ready!(state.poll_rest(cx))?;
        Pin::new(&mut state.stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        ready!(state.poll_rest(cx))?;
        Pin::new(&mut state.stream).poll_close(cx)
    }
}

impl<W: AsyncWrite + Unpin + Send> Direct for Shared<W> {
    fn try_write(&self, bytes: &[u8]) -> Written {
        let Ok(mut state) = self.0.try_lock() else {
            return Written::Nothing;
        };
        if state.is_amid || !state.rest.is_empty() {
            return Written::Nothing;
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut left = bytes;
        while !left.is_empty() {
            match Pin::new(&mut state.stream).poll_write(&mut cx, left) {
                Poll::Ready(Ok(len)) if len > 0 => left = &left[len..],
                // It is full, or it broke, which the writer will find too.
                _ => {
                    state.rest = left.to_vec();
                    return Written::Part;
                }
            }
        }
        match Pin::new(&mut state.stream).poll_flush(&mut cx) {
            Poll::Ready(Ok(())) => Written::All,
            _ => Written::Part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Takes as many bytes at a time as it is told to; none is a pause.
    struct Narrow {
        takes: VecDeque<usize>,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            match self.takes.pop_front().unwrap_or(usize::MAX).min(bytes.len()) {
                0 => Poll::Pending,
                len => {
                    self.taken.extend_from_slice(&bytes[..len]);
                    Poll::Ready(Ok(len))
                }
            }
        }
        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn narrow(takes: &[usize]) -> Shared<Narrow> {
        Shared::new(Narrow {
            takes: takes.iter().copied().collect(),
            taken: Vec::new(),
        })
    }

    fn write(stream: &mut Shared<Narrow>, bytes: &[u8]) -> Poll<usize> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        Pin::new(stream).poll_write(&mut cx, bytes).map(Result::unwrap)
    }

    #[test]
    fn nobody_writes_into_the_middle_of_what_another_writes() {
        let mut stream = narrow(&[2]);
        assert_eq!(write(&mut stream, b"long"), Poll::Ready(2));
        assert_eq!(stream.try_write(b"!"), Written::Nothing);
        assert_eq!(write(&mut stream, b"ng"), Poll::Ready(2));
        assert_eq!(stream.try_write(b"!"), Written::All);
        assert_eq!(stream.state().taken(), b"long!");
    }

    #[test]
    fn what_does_not_fit_goes_out_before_anything_else() {
        let mut stream = narrow(&[1, 0, 0, 1, usize::MAX]);
        assert_eq!(stream.try_write(b"abc"), Written::Part);
        assert_eq!(stream.try_write(b"later"), Written::Nothing);
        assert_eq!(write(&mut stream, b"de"), Poll::Pending);
        assert_eq!(write(&mut stream, b"de"), Poll::Ready(2));
        assert_eq!(stream.try_write(b"f"), Written::All);
        assert_eq!(stream.state().taken(), b"abcdef");
    }

    impl State<Narrow> {
        fn taken(&self) -> &[u8] {
            &self.stream.taken
        }
    }
}
