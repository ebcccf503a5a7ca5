//! The reading task of a connection: frames in, events dealt out to the requests they belong to.

use ferry_core::wire::Map;
use ferry_core::wire::frame::{self, Header, Kind};
use ferry_core::wire::message::{Begin, Done, End, Fail, Message as _, Problem, Progress, Rows};
use ferry_core::{Chunk, Error, ErrorKind};

use crate::connection::{Event, Out, Shared};
use crate::exit::{Exit, Failure, Result};
use crate::transport::Frames;

/// Reads frames until the connection ends; says why it did.
pub(crate) async fn run(mut frames: Frames, shared: &Shared) -> Failure {
    loop {
        if let Err(failure) = read_one(&mut frames, shared).await {
            return failure;
        }
    }
}

async fn read_one(frames: &mut Frames, shared: &Shared) -> Result<()> {
    let header = frames.header().await?;
    shared.heard();
    match header.kind {
        None => frames.skip(header.len_bytes).await,
        Some(Kind::Data) => read_data(frames, header.len_bytes, shared).await,
        Some(kind) => {
            let payload = frames.payload(header.len_bytes).await?;
            if kind.is_binary() {
                return binary(kind, payload, shared).await;
            }
            let map = Map::check(payload).map_err(Failure::protocol)?;
            let (id, event) = match decode(kind, &map).map_err(Failure::protocol)? {
                Some((0, Event::Fail(error))) => return Err(ended_by_server(error)),
                Some(decoded) => decoded,
                // The catalogue of a session may grow while it runs; what this one knows stays valid.
                None if kind == Kind::Catalog => return Ok(()),
                None => return Err(Failure::unexpected(&format!("{kind:?} frame"))),
            };
            deliver(shared, id, event).await;
            Ok(())
        }
    }
}

fn decode(kind: Kind, map: &Map<'_>) -> ferry_core::Result<Option<(u32, Event)>> {
    Ok(Some(match kind {
        Kind::Begin => Begin::decode(map).map(|m| (m.id, Event::Begin(m)))?,
        Kind::Rows => Rows::decode(map).map(|m| (m.id, Event::Rows(m)))?,
        Kind::Problem => Problem::decode(map).map(|m| (m.id, Event::Problem(m.into_error())))?,
        Kind::Progress => Progress::decode(map).map(|m| (m.id, Event::Progress(m)))?,
        Kind::Done => Done::decode(map).map(|m| (m.id, Event::Done(m)))?,
        Kind::Fail => Fail::decode(map).map(|m| (m.id, Event::Fail(m.into_error())))?,
        Kind::End => End::decode(map).map(|m| (m.id, Event::End(m)))?,
        _ => return Ok(None),
    }))
}

/// The server ended the connection and said why.
fn ended_by_server(error: Error) -> Failure {
    let exit = match error.kind {
        ErrorKind::LoginRefused => Exit::Login,
        ErrorKind::BadRequest | ErrorKind::TooLarge | ErrorKind::Unsupported => Exit::Protocol,
        _ => Exit::Network,
    };
    Failure {
        error,
        exit,
        told: false,
    }
}

async fn binary(kind: Kind, payload: &[u8], shared: &Shared) -> Result<()> {
    match kind {
        Kind::Grant => {
            let (id, bytes) = frame::read_grant(payload).map_err(Failure::protocol)?;
            deliver(shared, id, Event::Grant(bytes)).await;
        }
        Kind::Ping => {
            let mut frame = Header::write(Kind::Pong, payload.len()).to_vec();
            frame.extend_from_slice(payload);
            shared.send(Out::Frame(frame)).await?;
        }
        _ => {}
    }
    Ok(())
}

/// Reads contents in pieces of at most one chunk straight into the buffers that the request gets.
async fn read_data(frames: &mut Frames, len_bytes: usize, shared: &Shared) -> Result<()> {
    let id = frames.data_id().await?;
    let mut left = len_bytes.saturating_sub(frame::ID_BYTES);
    shared.arrived(id, left)?;
    while left > 0 {
        let mut chunk = Chunk::with_len(left);
        frames.fill(&mut chunk).await?;
        left -= chunk.len();
        deliver(shared, id, Event::Data(chunk)).await;
    }
    Ok(())
}

async fn deliver(shared: &Shared, id: u32, event: Event) {
    let Some(events) = shared.events(id) else {
        // Nobody listens any more: the request was cancelled.
        return;
    };
    if let Err(async_channel::TrySendError::Full(event)) = events.try_send(event) {
        // It is we who keep the server waiting, perhaps because a pager holds up what is printed.
        shared.stall(true);
        let _ = events.send(event).await;
        shared.stall(false);
    }
}
