//! One file being fetched: into a part beside the target, or not at all when it is here already.

use std::path::Path;
use std::sync::atomic::AtomicU64;

use ferry_core::line::Call;
use ferry_core::store::{CODE_PRESENT, CODE_RESUME, CODE_START};
use ferry_core::wire::message::{Begin, Done, End};
use ferry_core::{Digest, Error, ErrorKind, rt};

use super::{Answer, Download};
use crate::connection::{Connection, Event};
use crate::exit::{Exit, Failure, Result};
use crate::local::{self, shown};
use crate::manifest::Manifest;
use crate::part::{self, New, Part, PartWriter};
use crate::progress::Meter;
use crate::request::Request;
use crate::transfer::{Moved, Outcome};

/// What a name on the server turned out to be.
#[derive(Debug)]
pub(super) enum Fetched {
    /// A file. It is here now.
    File(Box<Moved>),
    /// A folder, and what is in it.
    Folder(Manifest),
}

/// One try to get a file.
#[derive(Clone, Copy)]
pub(super) struct Transfer<'t> {
    pub(super) connection: &'t Connection,
    /// Where the file goes.
    pub(super) target: &'t Path,
    /// How far earlier tries came.
    pub(super) reach: &'t AtomicU64,
}

impl Download<'_> {
    /// One try to get a file; gives the list of it when it is a folder.
    pub(super) async fn fetch(&self, connection: &Connection, call: &Call, target: &Path, reach: &AtomicU64) -> Result<Fetched> {
        self.check_clobber(target).await?;
        let (part, held) = self.part(target).await?;
        match self.ask(connection, call, held).await {
            Ok(Answer::Contents(request, begin)) => {
                let transfer = Transfer {
                    connection,
                    target,
                    reach,
                };
                let moved = self.contents(call, (request, begin), part, transfer).await?;
                Ok(Fetched::File(Box::new(moved)))
            }
            Ok(Answer::Folder(manifest)) => {
                part.discard();
                Ok(Fetched::Folder(manifest))
            }
            Err(failure) => {
                // Nothing came, so an empty part says nothing.
                if part.len_bytes() == 0 {
                    part.discard();
                }
                Err(failure)
            }
        }
    }

    pub(super) async fn check_clobber(&self, target: &Path) -> Result<()> {
        let Some(hint) = self.spares else {
            return Ok(());
        };
        let place = target.to_owned();
        match rt::unblock(move || local::look(&place)).await? {
            Some((_, false)) => Err(Error::exists(format!("{}: already here", shown(target))).hint(hint).into()),
            _ => Ok(()),
        }
    }

    pub(super) async fn part(&self, target: &Path) -> Result<(Part, Option<(u64, Digest)>)> {
        let (place, algorithm) = (target.to_owned(), self.session.settings.digest);
        let part = rt::unblock(move || Part::open(&place, algorithm)).await?;
        let held = part.prefix().map(|prefix| (part.len_bytes(), prefix));
        Ok((part, held))
    }

    /// Takes contents that have begun.
    async fn contents(&self, call: &Call, (request, begin): (Request, Begin), part: Part, at: Transfer<'_>) -> Result<Moved> {
        let target = at.target;
        if part.len_bytes() > 0 || begin.code != CODE_START || !self.may_be_same(target, &begin).await? {
            return self.receive(request, begin, part, at).await;
        }
        // A file of that size is there: whether it is the same is for its digest to say.
        drop(request);
        let (place, algorithm) = (target.to_owned(), self.session.settings.digest);
        let have = rt::unblock(move || part::Whole::of(&place, algorithm)).await?;
        let Answer::Contents(request, begin) = self.ask(at.connection, call, Some((have.size, have.proof))).await? else {
            return Err(Failure::unexpected("a folder where a file was"));
        };
        match begin.code {
            CODE_PRESENT if begin.offset == have.size => {
                part.discard();
                self.present(request, &begin, &have, at).await
            }
            CODE_START => self.receive(request, begin, part, at).await,
            _ => {
                part.discard();
                let text = format!("{}: changed while it was being compared", self.short(target));
                Err(Error::new(ErrorKind::Changed, text).hint("try again").into())
            }
        }
    }

    async fn may_be_same(&self, target: &Path, begin: &Begin) -> Result<bool> {
        let (place, size) = (target.to_owned(), begin.size);
        let found = rt::unblock(move || local::look(&place)).await?;
        Ok(found.is_some_and(|(meta, is_folder)| !is_folder && meta.size > 0 && Some(meta.size) == size))
    }

    /// The same bytes are here already.
    async fn present(&self, mut request: Request, begin: &Begin, have: &part::Whole, at: Transfer<'_>) -> Result<Moved> {
        let mut meter = Meter::transfer(self.session, &self.short(at.target), begin.size, at.reach);
        meter.open(begin.path.as_ref(), begin.size, begin.code, begin.offset)?;
        let (end, done) = rest(&mut request).await?;
        ferry_core::context::check_end(&end, have.size, have.digest)?;
        meter.finish();
        let outcome = Some(self.outcome(begin, &end, 0, at.target));
        Ok(Moved { outcome, done })
    }

    /// Takes contents into the part and publishes it.
    pub(super) async fn receive(&self, mut request: Request, begin: Begin, part: Part, at: Transfer<'_>) -> Result<Moved> {
        let held = part.len_bytes();
        let offset = match begin.code {
            CODE_START if begin.offset == 0 => 0,
            CODE_RESUME | CODE_PRESENT if begin.offset == held && begin.prefix.is_none_or(|p| Some(p) == part.prefix()) => held,
            code => return Err(Failure::unexpected(&format!("code {code} at {}", begin.offset))),
        };
        let session = self.session;
        let target = at.target;
        let mut meter = Meter::transfer(session, &self.short(target), begin.size, at.reach);
        meter.open(begin.path.as_ref(), begin.size, begin.code, offset)?;
        let writer = PartWriter::new(part, session.settings.digest, offset < held);
        let most = begin.size.map(|size| size.saturating_sub(offset));
        let taken = self.take(&mut request, &writer, &mut meter, most).await;
        // Also when it failed: the next try goes on with all that came, and finds nobody who still writes.
        let part = writer.finish().await?;
        let Some((end, received)) = taken? else {
            part.discard();
            return Err(Error::new(ErrorKind::DigestMismatch, "more contents than were announced").into());
        };
        let new = New {
            modified: begin.modified,
            executable: begin.executable,
        };
        let (place, no_clobber, proof) = (target.to_owned(), self.spares.is_some(), end.clone());
        rt::unblock(move || {
            part.publish(&place, &proof, new, no_clobber)?;
            part::sync_folder(place.parent().unwrap_or(Path::new("")))
        })
        .await?;
        let done = self.ended(request).await?;
        meter.finish();
        let outcome = Some(self.outcome(&begin, &end, received, target));
        Ok(Moved { outcome, done })
    }

    /// Takes contents; gives their end and how many there were; `None` when there are more than `most`.
    async fn take(
        &self,
        request: &mut Request,
        writer: &PartWriter,
        meter: &mut Meter<'_>,
        most: Option<u64>,
    ) -> Result<Option<(End, u64)>> {
        let mut received = 0u64;
        loop {
            match request.next().await? {
                Event::Data(chunk) => {
                    let len = chunk.len();
                    received += len as u64;
                    // Announced by the server itself: more than that is no honest file.
                    if most.is_some_and(|most| received > most) {
                        return Ok(None);
                    }
                    writer.write(chunk).await?;
                    request.taken(len).await?;
                    meter.add(len)?;
                    self.session.pace.keep(len).await;
                }
                Event::End(end) => return Ok(Some((end, received))),
                Event::Done(_) => return Err(Failure::unexpected("contents without an end")),
                Event::Problem(error) => self.session.output.error(&error)?,
                _ => {}
            }
        }
    }

    /// Waits for the end of a request whose contents are all here. A connection that is lost now takes nothing away.
    pub(super) async fn ended(&self, mut request: Request) -> Result<Done> {
        match request.done().await {
            Err(failure) if failure.exit == Exit::Network => Ok(Done::default()),
            done => done,
        }
    }

    pub(super) fn outcome(&self, begin: &Begin, end: &End, received: u64, target: &Path) -> Outcome {
        Outcome {
            path: begin.path.clone(),
            size: end.size,
            digest: end.digest,
            sent: received,
            is_download: true,
            verified: true,
            name: self.short(target),
        }
    }
}

/// The end of contents of which nothing more is wanted.
async fn rest(request: &mut Request) -> Result<(End, Done)> {
    let mut end = None;
    loop {
        match request.next().await? {
            Event::End(told) => end = Some(told),
            Event::Done(done) => {
                let end = end.ok_or_else(|| Failure::unexpected("contents without an end"))?;
                return Ok((end, done));
            }
            Event::Data(_) => return Err(Failure::unexpected("contents that are here already")),
            _ => {}
        }
    }
}
