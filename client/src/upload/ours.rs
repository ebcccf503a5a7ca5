//! Uploads that replace nothing, sent again after the acknowledgement was lost: the file that is in the way may be the one that
//! was sent.

use ferry_core::line::Call;
use ferry_core::store::CODE_PRESENT;
use ferry_core::wire::message::{Begin, End, Offer};
use ferry_core::{Digest, Error};

use super::Upload;
use super::file::Tries;
use crate::args::{Role, is_given, set};
use crate::connection::{Connection, Event};
use crate::exit::{Exit, Failure, Result};
use crate::progress::Meter;
use crate::request::Request;
use crate::source::{self, Piece, Plan, Source};
use crate::transfer::{Moved, Outcome};

impl Upload<'_> {
    /// Whether a file that is in the way may be what an earlier try sent.
    pub(super) fn may_be_ours(&self, call: &Call, tries: &Tries) -> bool {
        tries.was_all_sent() && is_given(self.verb, call, Role::NoClobber)
    }

    /// Asks whether the file that is there is the one that was sent, and fails as before when it is not. A request that may
    /// replace it is begun and cancelled: without its end nothing is stored, and the digest that it is answered with is the proof.
    pub(super) async fn ours(
        &self,
        connection: &Connection,
        (source, name, tries): (Source, &str, &Tries),
        (call, offer): (&Call, &Offer),
        failure: Failure,
    ) -> Result<Moved> {
        let size = offer.size.unwrap_or_default();
        let begin = match self.look(connection, call, offer).await {
            Ok(Some(begin)) if begin.code == CODE_PRESENT && begin.offset == size && size > 0 => begin,
            Err(lost) if lost.exit == Exit::Network => return Err(lost),
            // Whatever else is there, it is in the way.
            _ => return Err(failure),
        };
        let plan = Plan {
            offset: size,
            algorithm: offer.digest,
            chunk_bytes: ferry_core::chunk::CHUNK_BYTES,
        };
        let (prefix, end) = whole(source, name, plan).await?;
        if begin.prefix != Some(prefix) {
            return Err(failure);
        }
        let mut meter = Meter::transfer(self.session, name, Some(size), &tries.reach);
        meter.open(begin.path.as_ref(), Some(size), begin.code, size)?;
        meter.finish();
        let outcome = Outcome {
            name: begin.path.as_ref().map_or_else(|| name.to_owned(), ToString::to_string),
            path: begin.path,
            size,
            digest: end.digest,
            sent: 0,
            is_download: false,
            verified: true,
        };
        Ok(outcome.into())
    }

    /// How an upload would begin; `None` when it would not.
    async fn look(&self, connection: &Connection, call: &Call, offer: &Offer) -> Result<Option<Begin>> {
        let mut call = call.clone();
        set(self.verb, &mut call, Role::NoClobber, Vec::new());
        let offer = Offer {
            // Nothing follows, and nothing that is unfinished is to be thrown away or to be taken from another place.
            eager: false,
            fresh: false,
            expected: None,
            ..offer.clone()
        };
        let mut request = Request::start(connection, self.verb, &call, &self.session.cwd, Some(offer)).await?;
        loop {
            match request.next().await? {
                Event::Begin(begin) => return Ok(Some(begin)),
                Event::Done(_) => return Ok(None),
                _ => {}
            }
        }
    }
}

/// Reads all of a source that is not empty; gives its BLAKE3 digest, and its size and digest as it was sent.
async fn whole(source: Source, name: &str, plan: Plan) -> Result<(Digest, End)> {
    let pieces = source::read(source, name, plan);
    let (mut prefix, mut end) = (None, None);
    while let Ok(piece) = pieces.recv().await {
        match piece? {
            Piece::Prefix(digest) => prefix = Some(digest),
            Piece::End(told) => end = Some(told),
            Piece::Data(_) => {}
        }
    }
    prefix
        .zip(end)
        .ok_or_else(|| Error::internal("the reading thread broke down").into())
}
