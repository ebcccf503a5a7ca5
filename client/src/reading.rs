//! The reading task of a connection: frames in, events dealt out to the requests they belong to; and the watch on a server that
//! has gone silent.

use ferry_core::wire::Map;
use ferry_core::wire::frame::{Kind, Stage};
use ferry_core::wire::io::{FrameReader, Incoming};
use ferry_core::wire::message::{Begin, Done, End, Fail, Message as _, Problem, Progress, Rows};
use ferry_core::{Error, ErrorKind, rt};

use crate::connection::{Deadlines, Event, Shared};
use crate::exit::{Exit, Failure, Result};
use crate::transport::Reader;

/// Reads frames until the connection ends; says why it did.
pub(crate) async fn run(mut reader: FrameReader<Reader>, shared: &Shared, deadlines: Deadlines) -> Failure {
    loop {
        let taken = match next(&mut reader, shared, deadlines).await {
            Ok(incoming) => take(incoming, shared).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = taken {
            return failure;
        }
    }
}

/// The next frame. A server that says nothing while a request runs is asked whether it is still there.
async fn next(reader: &mut FrameReader<Reader>, shared: &Shared, deadlines: Deadlines) -> Result<Incoming> {
    let mut is_asked = false;
    loop {
        let patience = if is_asked { deadlines.pong } else { deadlines.silence };
        match reader.next(Stage::LoggedIn, patience).await {
            Ok(Some(incoming)) => return Ok(incoming),
            Ok(None) => return Err(Failure::unreachable("the server closed the connection")),
            Err(error) if error.kind != ErrorKind::Timeout => return Err(Failure::wire(error)),
            // Nobody waits, so it may be silent.
            Err(_) if !shared.is_waiting() => is_asked = false,
            Err(_) if is_asked => return Err(Failure::timeout("the server does not answer any more")),
            Err(_) => {
                is_asked = true;
                // A queue that does not move says as much as an answer that does not come.
                let _ = rt::timeout(deadlines.pong, shared.outbox.send_echo(Kind::Ping, &[])).await;
            }
        }
    }
}

async fn take(incoming: Incoming, shared: &Shared) -> Result<()> {
    match incoming {
        Incoming::Data(_, chunk) if chunk.is_empty() => {}
        Incoming::Data(id, chunk) => {
            shared.arrived(id, chunk.len())?;
            deliver(shared, id, Event::Data(chunk)).await;
        }
        Incoming::Grant(id, bytes) => deliver(shared, id, Event::Grant(bytes)).await,
        Incoming::Echo(Kind::Ping, bytes) => shared.sent(shared.outbox.send_echo(Kind::Pong, &bytes)).await?,
        Incoming::Echo(..) => {}
        Incoming::Control(kind, payload) => {
            let map = Map::check(&payload).map_err(Failure::protocol)?;
            let (id, event) = match decode(kind, &map).map_err(Failure::protocol)? {
                Some((0, Event::Fail(error))) => return Err(ended_by_server(error)),
                Some(decoded) => decoded,
                // The catalogue of a session may grow while it runs; what this one knows stays valid.
                None if kind == Kind::Catalog => return Ok(()),
                None => return Err(Failure::unexpected(&format!("{kind:?} frame"))),
            };
            deliver(shared, id, event).await;
        }
    }
    Ok(())
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

/// Gives an event to its request, and waits for it: perhaps a pager holds up what is printed. Nothing is read meanwhile, so
/// the server's silence means nothing then.
async fn deliver(shared: &Shared, id: u32, event: Event) {
    // Nobody listens any more when the request was cancelled.
    if let Some(events) = shared.events(id) {
        let _ = events.send(event).await;
    }
}
