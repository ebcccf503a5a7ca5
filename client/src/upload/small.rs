//! Small files among many: request, contents and end at once, so that none waits for a round trip.

use ferry_core::line::Call;
use ferry_core::store::{CODE_PRESENT, CODE_START};
use ferry_core::wire::message::Offer;
use ferry_core::{Algorithm, Error, ErrorKind};

use super::Upload;
use super::file::{Tries, aside, sent};
use crate::args::{Role, is_given};
use crate::connection::{Connection, Event};
use crate::exit::{Failure, Result};
use crate::progress::Meter;
use crate::render::RowPrinter;
use crate::request::Request;
use crate::source::{Small, Source};
use crate::transfer::{Moved, persist};

impl Upload<'_> {
    /// With which digest small files are read beforehand, to be sent at once; `None` when the server is to look first whether it
    /// has the same bytes.
    pub(super) fn eager(&self, call: &Call) -> Option<Algorithm> {
        let looks_first = is_given(self.verb, call, Role::Checksum);
        (!looks_first).then_some(self.session.settings.digest)
    }

    /// Sends one small file; again over a new connection when this one is lost.
    pub(super) async fn send_small(&self, small: &Small, name: &str, call: &Call) -> Result<Moved> {
        let tries = Tries::default();
        let mut offer = Offer {
            digest: self.session.settings.digest,
            size: Some(small.meta.size),
            modified: Some(small.meta.modified),
            // In a folder size and time do; here the server needs the digest to tell that the file is there already.
            expected: (!is_given(self.verb, call, Role::Recurse)).then_some(small.end.digest),
            executable: small.meta.executable,
            eager: true,
            ..Offer::default()
        };
        persist(self.session, async |connection| {
            loop {
                let may_be_ours = self.may_be_ours(call, &tries);
                match self.attempt_small(connection, small, (name, &tries), call, &offer).await {
                    Err(failure) if may_be_ours && failure.error.kind == ErrorKind::Exists => {
                        let source = Source::Small(small.clone());
                        return self.ours(connection, (source, name, &tries), (call, &offer), failure).await;
                    }
                    Err(failure) => return Err(failure),
                    Ok(Some(moved)) => return Ok(moved),
                    Ok(None) if offer.fresh => return Err(Failure::unexpected("a fresh upload that is there already")),
                    Ok(None) => offer.fresh = true,
                }
            }
        })
        .await
    }

    /// One try; `None` when the server takes other bytes than ours for ours.
    async fn attempt_small(
        &self,
        connection: &Connection,
        small: &Small,
        (name, tries): (&str, &Tries),
        call: &Call,
        offer: &Offer,
    ) -> Result<Option<Moved>> {
        let session = self.session;
        let size = small.meta.size;
        if !connection.takes_eager(size) {
            let text = format!("{name}: the server takes less than before");
            return Err(Error::new(ErrorKind::TooLarge, text).hint("try again").into());
        }
        let mut meter = Meter::small(session, name);
        let mut printer = RowPrinter::new(&session.output);
        session.pace.keep(small.contents.len()).await;
        let ask = (self.verb, call, &session.cwd);
        tries.all_sent();
        let mut request = Request::start_eager(connection, ask, offer.clone(), &small.contents, small.end.clone()).await?;
        let mut begun = None;
        let done = loop {
            match request.next().await? {
                Event::Begin(begin) if begin.code == CODE_START && begin.offset == 0 => {
                    meter.open(begin.path.as_ref(), Some(size), begin.code, 0)?;
                    begun = Some(begin);
                }
                Event::Done(done) => break done,
                Event::Begin(_) => return Err(Failure::unexpected("a small file that goes on")),
                other => aside(session, &mut printer, other)?,
            }
        };
        printer.flush()?;
        if let Some(begin) = begun {
            session.tally.came(size);
            return sent(name, (size, small.end.digest), begin.path, size, done).map(Some);
        }
        // It is there already. In a folder, size and time have told; of a single file, BLAKE3 has to.
        let stored = done.file.as_ref();
        let proof = stored
            .and_then(|file| file.digest)
            .filter(|digest| digest.algorithm() == Algorithm::Blake3);
        match (offer.expected, proof) {
            (Some(_), Some(proof)) if proof != Algorithm::Blake3.digest(&small.contents) => Ok(None),
            (Some(digest), Some(_)) => {
                meter.open(stored.map(|file| &file.path), Some(size), CODE_PRESENT, size)?;
                sent(name, (size, digest), None, 0, done).map(|mut moved| {
                    if let Some(outcome) = &mut moved.outcome {
                        outcome.verified = true;
                    }
                    Some(moved)
                })
            }
            _ => {
                session.tally.skip(size);
                Ok(Some(Moved { outcome: None, done }))
            }
        }
    }
}
