//! Verbs that take contents: one request a source, several of them side by side, folders with all that is in them, resumed where
//! the server proves what it holds. Which argument is what comes from the catalogue.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use async_channel::Receiver;
use async_lock::Semaphore;
use ferry_core::line::Call;
use ferry_core::store::{CODE_PRESENT, CODE_RESUME, CODE_START};
use ferry_core::text::escape;
use ferry_core::wire::message::{Begin, Done, End, Offer};
use ferry_core::{Algorithm, Digest, Error, ErrorKind, VerbInfo, rt};

use crate::args::{Role, is_given, literal, set, word_of, words_of};
use crate::connection::{Connection, Event};
use crate::digests::Key;
use crate::exit::{Exit, Failure, Result};
use crate::local::shown;
use crate::pool::Pool;
use crate::progress::Meter;
use crate::render::RowPrinter;
use crate::request::{Request, Step};
use crate::session::Session;
use crate::source::{self, Piece, Plan, Source};
use crate::transfer::{Ends, Outcome, Sent, persist};

mod small;
mod tree;

/// One upload's surroundings.
struct Upload<'u> {
    session: &'u Session,
    verb: &'u VerbInfo,
    /// Files that are not small, side by side.
    large: Semaphore,
}

/// Runs a verb with contents from here.
///
/// # Errors
/// Why it did not end well; exit code 11 when some of several sources failed.
pub async fn run(session: &Session, verb: &VerbInfo, call: &Call) -> Result<()> {
    let upload = Upload {
        session,
        verb,
        large: Semaphore::new(session.settings.jobs),
    };
    let sources = words_of(verb, call, Role::Source);
    let several = sources.len() > 1;
    if several && is_given(verb, call, Role::Rename) {
        return Err(Error::bad_request(format!("{}: one name for {} sources", verb.name, sources.len())).into());
    }
    if sources.is_empty() {
        return upload.send(Source::Stream, "-", call).await?.tell(session);
    }
    session.tally.start();
    if several {
        session.tally.show(session, None);
    }
    let mut ends = Ends::new(session, several);
    let mut pool = Pool::new(session.in_flight()?);
    let mut names = BTreeSet::new();
    for (at, word) in sources.iter().enumerate() {
        let mut call = call.clone();
        if several {
            into_folder(verb, &mut call);
        }
        let path = Path::new(std::ffi::OsStr::from_bytes(&word.text));
        let (source, name) = match pool.beside(upload.open(path, &call, several)).await {
            Ok(opened) => opened,
            Err(failure) => {
                ends.put(at, Err(failure))?;
                continue;
            }
        };
        set(verb, &mut call, Role::Source, vec![literal(name.clone())]);
        let is_folder = matches!(source, Source::Folder(_));
        // Two of one name have one target, and of those the later one wins.
        if is_folder || !names.insert(name.clone()) {
            while let Some((ended, result)) = pool.next().await {
                ends.put(ended, result)?;
            }
        }
        if is_folder {
            ends.items.are_several();
            session.tally.show(session, None);
            let result = upload.tree(session.local.join(path), call, &mut ends.items).await;
            ends.put(at, result.map(|()| Sent::default()))?;
            continue;
        }
        if let Some((ended, result)) = pool.room().await {
            ends.put(ended, result)?;
        }
        let upload = &upload;
        pool.push(async move { (at, upload.send(source, &escape(&name), &call).await) });
    }
    while let Some((ended, result)) = pool.next().await {
        ends.put(ended, result)?;
    }
    ends.finish()
}

/// Several things go into a folder: the target says so by its last character.
fn into_folder(verb: &VerbInfo, call: &mut Call) {
    if let Some(target) = word_of(verb, call, Role::Target)
        && !target.text.ends_with(b"/")
    {
        let text = [&target.text, &b"/"[..]].concat();
        set(verb, call, Role::Target, vec![literal(text)]);
    }
}

impl Upload<'_> {
    /// Opens a source that the user named; gives it with the name that it is sent under.
    async fn open(&self, path: &Path, call: &Call, several: bool) -> Result<(Source, Vec<u8>)> {
        if path == Path::new("-") {
            if !is_given(self.verb, call, Role::Rename) {
                let text = format!("{}: standard input has no name", self.verb.name);
                return Err(Error::bad_request(text).hint("give it one with --as NAME").into());
            }
            return Ok((Source::Stream, b"-".to_vec()));
        }
        let (place, shown_as) = (self.session.local.join(path), path.to_owned());
        let eager = self.eager(call).filter(|_| several);
        let (source, name) = rt::unblock(move || {
            let (source, name) = open_named(&place, &shown_as)?;
            let source = match eager {
                Some(algorithm) => source.read_small(&shown(&shown_as), algorithm)?,
                None => source,
            };
            Ok::<_, Failure>((source, name))
        })
        .await?;
        if matches!(source, Source::Folder(_)) && !is_given(self.verb, call, Role::Recurse) {
            let error = Error::new(ErrorKind::IsDirectory, format!("{}: is a folder", shown(path)));
            return Err(match self.verb.by_role(Role::Recurse).and_then(|arg| arg.short) {
                Some(short) => error.hint(format!("-{short} sends it with all that is in it")),
                None => error,
            }
            .into());
        }
        Ok((source, name))
    }

    /// A local place as the user would write it.
    fn short(&self, place: &Path) -> String {
        shown(place.strip_prefix(&self.session.local).unwrap_or(place))
    }

    /// Sends one file or stream; goes on over a new connection when this one is lost, and gives up what the server held before
    /// when it is not the same.
    async fn send(&self, source: Source, name: &str, call: &Call) -> Result<Sent> {
        let source = match source {
            Source::Small(small) if self.session.link.latest()?.takes_eager(small.meta.size) => {
                return self.send_small(&small, name, call).await;
            }
            other => other,
        };
        let _turn = self.large.acquire().await;
        let reach = AtomicU64::new(0);
        let mut offer = Offer {
            digest: self.session.settings.digest,
            ..Offer::default()
        };
        let Source::File(file, meta) = source else {
            // What an earlier stream left cannot be gone on with: nobody can read its beginning again to compare.
            offer.fresh = true;
            let connection = self.session.link.latest()?;
            let sent = self.attempt(&connection, source, (name, &reach), call, &offer).await;
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
            loop {
                let again = file.try_clone().map_err(|error| Failure::local(name, error))?;
                let source = Source::File(again, meta);
                match self.attempt(connection, source, (name, &reach), call, &offer).await? {
                    Some(sent) => return Ok(sent),
                    None if offer.fresh => return Err(Failure::unexpected("a fresh upload that goes on")),
                    // The bytes there are not ours: a name or a size is never proof.
                    None => offer.fresh = true,
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
        (name, reach): (&str, &AtomicU64),
        call: &Call,
        offer: &Offer,
    ) -> Result<Option<Sent>> {
        let session = self.session;
        let mut meter = Meter::transfer(session, name, offer.size, reach);
        let mut request = Request::start(connection, self.verb, call, &session.cwd, Some(offer.clone())).await?;
        let mut printer = RowPrinter::new(&session.output);
        let begin = loop {
            match request.next().await? {
                Event::Begin(begin) => break begin,
                Event::Done(done) => {
                    meter.finish();
                    session.tally.skip(offer.size.unwrap_or_default());
                    return Ok(Some(Sent { outcome: None, done }));
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
        request.send_end(end).await?;
        let done = loop {
            match request.next().await? {
                Event::Done(done) => break done,
                other => aside(session, &mut printer, other)?,
            }
        };
        meter.finish();
        printer.flush()?;
        sent(name, (size, digest), begin, size - plan.offset, done).map(Some)
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

/// Opens a source that the user named, with the name that it gets: that of the folder itself for `.` and `..`.
fn open_named(place: &Path, path: &Path) -> Result<(Source, Vec<u8>)> {
    let source = source::open(place, &shown(path), true)?;
    let name = match path.file_name() {
        Some(name) => name.to_owned(),
        None => {
            let real = std::fs::canonicalize(place).map_err(|error| Failure::local(shown(path), error))?;
            let name = real.file_name().map(std::ffi::OsStr::to_owned);
            name.ok_or_else(|| Error::bad_request(format!("{}: has no name to send it under", shown(path))))?
        }
    };
    Ok((source, name.as_bytes().to_vec()))
}

/// What the server says that it stored must be what was sent.
fn sent(name: &str, (size, digest): (u64, Digest), begin: Begin, moved: u64, done: Done) -> Result<Sent> {
    let stored = done.file.as_ref();
    if stored.is_some_and(|file| {
        file.size != size
            || file
                .digest
                .is_some_and(|theirs| theirs.algorithm() == digest.algorithm() && theirs != digest)
    }) {
        return Err(Error::new(ErrorKind::DigestMismatch, format!("{name}: the server stored other bytes")).into());
    }
    let outcome = Outcome {
        path: stored.map(|file| file.path.clone()).or(begin.path),
        size,
        digest,
        sent: moved,
        is_download: false,
        verified: stored.is_some_and(|file| file.digest == Some(digest)),
        name: stored.map_or_else(|| name.to_owned(), |file| file.path.to_string()),
    };
    Ok(Sent {
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
fn aside(session: &Session, printer: &mut RowPrinter<'_>, event: Event) -> Result<()> {
    match event {
        Event::Rows(rows) => printer.rows(rows),
        Event::Problem(error) => session.output.error(&error),
        Event::Progress(_) => Ok(()),
        other => Err(Failure::unexpected(&format!("{other:?}"))),
    }
}
