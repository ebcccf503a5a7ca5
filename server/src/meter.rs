//! A stream whose bytes are counted until the peer is logged in.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};

/// Reads no more than was allowed; `u64::MAX` is without end. Below TLS, so that the handshake counts too.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    left_bytes: Arc<AtomicU64>,
}

impl<S> Metered<S> {
    /// The stream, with so many bytes left to read. Whoever lets the peer in sets them to `u64::MAX`.
    pub(crate) fn new(stream: S, left_bytes: Arc<AtomicU64>) -> Self {
        Self { stream, left_bytes }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let left = self.left_bytes.load(Ordering::Relaxed);
        if left == u64::MAX {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        // One byte more than is allowed, to tell who stops there from who goes on.
        let most = buffer
            .len()
            .min(usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX));
        let len = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer[..most]))?;
        let left = left.checked_sub(len as u64);
        self.left_bytes.store(left.unwrap_or(0), Ordering::Relaxed);
        Poll::Ready(match left {
            Some(_) => Ok(len),
            None => Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "too many bytes before the login",
            )),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::AsyncReadExt as _;
    use futures_lite::io::Cursor;

    fn read(allowed: u64, len: usize) -> (Arc<AtomicU64>, io::Result<usize>) {
        let left = Arc::new(AtomicU64::new(allowed));
        let mut stream = Metered::new(Cursor::new(vec![7; len]), left.clone());
        let read = ferry_core::rt::block_on(async { stream.read_to_end(&mut Vec::new()).await });
        (left, read)
    }

    #[test]
    fn as_many_bytes_as_allowed_are_read_and_not_one_more() {
        assert_eq!(read(1000, 1000).1.unwrap(), 1000);
        let (left, broken) = read(1000, 1001);
        assert!(broken.is_err() && left.load(Ordering::Relaxed) == 0);
        assert_eq!(read(u64::MAX, 5000).1.unwrap(), 5000);
    }
}
