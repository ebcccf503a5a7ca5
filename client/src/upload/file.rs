//! One file being sent: resumed where the server proves what it holds.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_channel::Receiver;
use ferry_core::line::Call;
use ferry_core::store::{CODE_PRESENT, CODE_RESUME, CODE_START};
use ferry_core::wire::message::{Begin, Done, End, Offer};
use ferry_core::{Algorithm, Digest, Error, ErrorKind, RemotePath, rt};

use super::Upload;
use crate::connection::{Connection, Event};
use crate::digests::Key;
use crate::exit::{Exit, Failure, Result};
use crate::progress::Meter;
use crate::render::RowPrinter;
use crate::request::{Request, Step};
use crate::session::Session;
use crate::source::{self, Piece, Plan, Source};
use crate::transfer::{Moved, Outcome, persist};

/// What earlier tries to send the same file came to.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// How far they came.
    pub(super) reach: AtomicU64,
    /// Whether one of them sent all of it. Then the file may be there, and only the word of it was lost.
    was_all_sent: AtomicBool,
}

impl Tries {
    /// Takes note that all is about to be sent.
    pub(super) fn all_sent(&self) {
        self.was_all_sent.store(true, Ordering::Relaxed);
    }

    /// Whether a try sent all.
    pub(super) fn was_all_sent(&self) -> bool {
        self.was_all_sent.load(Ordering::Relaxed)
    }
}

impl Upload<'_> {
    /// Sends one file or stream; goes on over a new connection when this one is lost, and gives up what the server held before
    /// when it is not the same.
    pub(super) async fn send(&self, source: Source, name: &str, call: &Call) -> Result<Moved> {
        let source = match source {
            Source::Small(small) if self.session.link.latest()?.takes_eager(small.meta.size) => {
                return self.send_small(&small, name, call).await;
            }
            other => other,
        };
        let _turn = self.large.acquire().await;
        let tries = Tries::default();
        let mut offer = Offer {
            digest: self.session.settings.digest,
            ..Offer::default()
        };
        let Source::File(file, meta) = source else {
            // What an earlier stream left cannot be gone on with: nobody can read its beginning again to compare.
            offer.fresh = true;
            let turn = self.session.link.turn(self.session.settings.connections).await?;
            let sent = self.attempt(&turn.connection, source, (name, &tries), call, &offer).await;
            return match sent.map_err(once)? {
                Some(sent) => Ok(sent),
                None => Err(Failure::unexpected("a stream that goes on")),
            };
        };
        offer.size = Some(meta.size);
        offer.modified = Some(meta.modified);
        offer.executable = meta.executable;
        let key = self.key(&file, name).await?;
        offer.expected = self.expected(key, offer.digest).await;
        let result = persist(self.session, async |connection| {
            // Once a connection is lost, what is there may be what this command has sent.
            let mut offer = offer.clone();
            loop {
                let source = || {
                    let again = file.try_clone().map_err(|error| Failure::local(name, error))?;
                    Ok::<_, Failure>(Source::File(again, meta))
                };
                let may_be_ours = self.may_be_ours(call, &tries);
                match self.attempt(connection, source()?, (name, &tries), call, &offer).await {
                    Err(failure) if may_be_ours && failure.error.kind == ErrorKind::Exists => {
                        return self
                            .ours(connection, (source()?, name, &tries), (call, &offer), failure)
                            .await;
                    }
                    Err(failure) => return Err(failure),
                    Ok(Some(sent)) => return Ok(sent),
                    Ok(None) if offer.fresh => return Err(Failure::unexpected("a fresh upload that goes on")),
                    // The bytes there are not ours: a name or a size is never proof.
                    Ok(None) => offer.fresh = true,
                }
            }
        })
        .await;
        match &result {
            Ok(sent) => {
                if let Some(outcome) = &sent.outcome
                    && self.key(&file, name).await? == key
                {
                    let (digests, digest) = (self.session.digests.clone(), outcome.digest);
                    rt::unblock(move || digests.learn(key, digest)).await;
                }
            }
            Err(failure) if failure.error.kind == ErrorKind::DigestMismatch && offer.expected.is_some() => {
                self.session.digests.forget(key);
            }
            Err(_) => {}
        }
        result
    }

    /// What tells a file's state from all its others.
    async fn key(&self, file: &File, name: &str) -> Result<Key> {
        let file = file.try_clone().map_err(|error| Failure::local(name, error))?;
        let found = rt::unblock(move || file.metadata()).await;
        found
            .map(|meta| Key::from(&meta))
            .map_err(|error| Failure::local(name, error))
    }

    /// The digest that a file had when it was sent before.
    async fn expected(&self, key: Key, algorithm: Algorithm) -> Option<Digest> {
        let digests = self.session.digests.clone();
        rt::unblock(move || digests.find(&key, algorithm)).await
    }

    /// One try; `None` when the server holds other bytes than ours.
    async fn attempt(
        &self,
        connection: &Connection,
        source: Source,
        (name, tries): (&str, &Tries),
        call: &Call,
        offer: &Offer,
    ) -> Result<Option<Moved>> {
        let session = self.session;
        let mut meter = Meter::transfer(session, name, offer.size, &tries.reach);
        let mut request = Request::start(connection, self.verb, call, &session.cwd, Some(offer.clone())).await?;
        let mut printer = RowPrinter::new(&session.output);
        let begin = loop {
            match request.next().await? {
                Event::Begin(begin) => break begin,
                Event::Done(done) => {
                    meter.finish();
                    session.tally.skip(offer.size.unwrap_or_default());
                    return Ok(Some(Moved { outcome: None, done }));
                }
                other => aside(session, &mut printer, other)?,
            }
        };
        let plan = Plan {
            offset: checked_offset(&begin, offer)?,
            algorithm: offer.digest,
            chunk_bytes: request.chunk_bytes(),
        };
        let pieces = source::read(source, name, plan);
        if plan.offset > 0 {
            let prefix = match self.piece(&mut request, &pieces, &mut printer).await? {
                Piece::Prefix(prefix) => prefix,
                _ => return Err(Failure::unexpected("contents before their beginning was checked")),
            };
            if begin.prefix != Some(prefix) {
                return if offer.fresh {
                    Err(Failure::unexpected("other bytes than ours"))
                } else {
                    Ok(None)
                };
            }
        }
        meter.open(begin.path.as_ref(), offer.size, begin.code, plan.offset)?;
        let end = self.contents(&mut request, &pieces, &mut meter, &mut printer).await?;
        let (size, digest) = (end.size, end.digest);
        tries.all_sent();
        request.send_end(end).await?;
        let done = loop {
            match request.next().await? {
                Event::Done(done) => break done,
                other => aside(session, &mut printer, other)?,
            }
        };
        meter.finish();
        printer.flush()?;
        sent(name, (size, digest), begin.path, size - plan.offset, done).map(Some)
    }

    /// Sends all contents; gives size and digest of the whole.
    async fn contents(
        &self,
        request: &mut Request,
        pieces: &Receiver<Result<Piece>>,
        meter: &mut Meter<'_>,
        printer: &mut RowPrinter<'_>,
    ) -> Result<End> {
        loop {
            match self.piece(request, pieces, printer).await? {
                Piece::Data(chunk) => {
                    let len = chunk.len();
                    while let Some(event) = request.room(len).await? {
                        aside(self.session, printer, event)?;
                    }
                    request.send_data(chunk).await?;
                    meter.add(len)?;
                    self.session.pace.keep(len).await;
                }
                Piece::End(end) => return Ok(end),
                Piece::Prefix(_) => return Err(Failure::unexpected("a second beginning")),
            }
        }
    }

    /// The next piece of the source, unless the server refuses it first.
    async fn piece(
        &self,
        request: &mut Request,
        pieces: &Receiver<Result<Piece>>,
        printer: &mut RowPrinter<'_>,
    ) -> Result<Piece> {
        if let Ok(piece) = pieces.try_recv() {
            return piece;
        }
        loop {
            match request.race(pieces.recv()).await? {
                Step::Work(Ok(piece)) => return piece,
                Step::Work(Err(_)) => return Err(Error::internal("the reading thread broke down").into()),
                Step::Event(event) => aside(self.session, printer, event)?,
            }
        }
    }
}

/// What the server says that it stored must be what was sent.
pub(super) fn sent(name: &str, (size, digest): (u64, Digest), path: Option<RemotePath>, moved: u64, done: Done) -> Result<Moved> {
    let stored = done.file.as_ref();
    if stored.is_some_and(|file| {
        file.size != size
            || file
                .digest
                .is_some_and(|theirs| theirs.algorithm() == digest.algorithm() && theirs != digest)
    }) {
        let error = Error::new(ErrorKind::DigestMismatch, format!("{name}: the server stored other bytes"));
        return Err(error.hint("send it again").into());
    }
    let outcome = Outcome {
        path: stored.map(|file| file.path.clone()).or(path),
        size,
        digest,
        sent: moved,
        is_download: false,
        verified: stored.is_some_and(|file| file.digest == Some(digest)),
        name: stored.map_or_else(|| name.to_owned(), |file| file.path.to_string()),
    };
    Ok(Moved {
        outcome: Some(outcome),
        done,
    })
}

/// A stream is gone once it was read.
fn once(mut failure: Failure) -> Failure {
    if failure.exit == Exit::Network {
        failure.error.hint = Some("standard input cannot be sent again; run the whole command again".into());
    }
    failure
}

/// What the server holds, within what was offered.
fn checked_offset(begin: &Begin, offer: &Offer) -> Result<u64> {
    let fits = match begin.code {
        CODE_START => begin.offset == 0,
        CODE_RESUME => begin.offset > 0 && offer.size.is_some_and(|size| begin.offset <= size),
        CODE_PRESENT => offer.size == Some(begin.offset),
        _ => false,
    };
    if fits {
        Ok(begin.offset)
    } else {
        Err(Failure::unexpected(&format!("code {} at {}", begin.code, begin.offset)))
    }
}

/// What a verb says beside its transfer.
pub(super) fn aside(session: &Session, printer: &mut RowPrinter<'_>, event: Event) -> Result<()> {
    match event {
        Event::Rows(rows) => printer.rows(rows),
        Event::Problem(error) => session.output.error(&error),
        Event::Progress(_) => Ok(()),
        other => Err(Failure::unexpected(&format!("{other:?}"))),
    }
}
