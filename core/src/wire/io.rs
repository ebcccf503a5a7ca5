//! Frames on a byte stream: reads whole frames with deadlines, writes queued frames together. Generic over the stream, so that a
//! socket, TLS or a pipe in memory is the same to it.

mod direct;
mod reader;
mod writer;

use std::time::Duration;

pub use reader::{FrameReader, Incoming};
pub use writer::{FrameWriter, Outbox, direct_outbox, outbox};

use crate::error::{Error, ErrorKind};

/// How long the rest of a frame may take to come, and a write to go out, when nothing moves at all.
pub const STALL: Duration = Duration::from_secs(30);

fn gone(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unreachable, "the connection broke").caused_by(error)
}

fn ended_inside() -> Error {
    Error::new(ErrorKind::Unreachable, "the connection ended in the middle of a frame")
}
