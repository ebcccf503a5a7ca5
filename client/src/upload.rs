//! Verbs that take contents: one request a source, several of them side by side, folders with all that is in them, resumed where
//! the server proves what it holds. Which argument is what comes from the catalogue.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use async_channel::Receiver;
use ferry_core::line::Call;
use ferry_core::store::{CODE_PRESENT, CODE_RESUME, CODE_START};
use ferry_core::text::escape;
use ferry_core::wire::message::{Begin, End, Offer};
use ferry_core::{Error, ErrorKind, RemotePath, VerbInfo, rt};

use crate::args::{Role, is_given, literal, set, word_of, words_of};
use crate::connection::{Connection, Event};
use crate::exit::{Failure, Result};
use crate::local::{self, shown};
use crate::pool::Pool;
use crate::progress::Meter;
use crate::render::RowPrinter;
use crate::request::{Request, Step};
use crate::session::Session;
use crate::source::{self, Piece, Plan, Source};
use crate::transfer::{Ends, Items, Outcome, Sent};

/// How deep a folder tree may be that is sent.
const DEPTH_MAX: usize = 256;

/// One upload's surroundings.
struct Upload<'u> {
    session: &'u Session,
    connection: &'u Connection,
    verb: &'u VerbInfo,
}

/// Runs a verb with contents from here.
///
/// # Errors
/// Why it did not end well; exit code 11 when some of several sources failed.
pub async fn run(session: &Session, connection: &Connection, verb: &VerbInfo, call: &Call) -> Result<()> {
    let upload = Upload {
        session,
        connection,
        verb,
    };
    let sources = words_of(verb, call, Role::Source);
    let several = sources.len() > 1;
    if several && is_given(verb, call, Role::Rename) {
        return Err(Error::bad_request(format!("{}: one name for {} sources", verb.name, sources.len())).into());
    }
    if sources.is_empty() {
        return upload.send(Source::Stream, "-", call).await?.tell(session);
    }
    let mut ends = Ends::new(session, several);
    let mut pool = Pool::new(session.settings.jobs);
    let mut names = BTreeSet::new();
    for (at, word) in sources.iter().enumerate() {
        let mut call = call.clone();
        if several {
            into_folder(verb, &mut call);
        }
        let path = Path::new(std::ffi::OsStr::from_bytes(&word.text));
        let (source, name) = match upload.open(path, &call).await {
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
    async fn open(&self, path: &Path, call: &Call) -> Result<(Source, Vec<u8>)> {
        if path == Path::new("-") {
            if !is_given(self.verb, call, Role::Rename) {
                let text = format!("{}: standard input has no name", self.verb.name);
                return Err(Error::bad_request(text).hint("give it one with --as NAME").into());
            }
            return Ok((Source::Stream, b"-".to_vec()));
        }
        let (place, shown_as) = (self.session.local.join(path), path.to_owned());
        let (source, name) = rt::unblock(move || open_named(&place, &shown_as)).await?;
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

    /// Sends a folder and what is in it, folders first; each entry goes to where the server says that its folder is.
    async fn tree(&self, top: PathBuf, call: Call, items: &mut Items) -> Result<()> {
        let folder = self.folder(&call).await?;
        let mut pending = vec![(top, folder, 0)];
        let mut call = call;
        set(self.verb, &mut call, Role::Rename, Vec::new());
        let mut pool = Pool::new(self.session.settings.jobs);
        while let Some((place, remote, depth)) = pending.pop() {
            let entries = {
                let place = place.clone();
                rt::unblock(move || local::entries(&place)).await
            };
            let Some(entries) = items.take(self.session, entries)? else {
                continue;
            };
            let target = [remote.0.as_slice(), if remote.names_a_folder() { b"" } else { b"/" }].concat();
            set(self.verb, &mut call, Role::Target, vec![literal(target)]);
            let mut folders = Vec::new();
            for (name, kind) in entries {
                let path = place.join(&name);
                set(self.verb, &mut call, Role::Source, vec![literal(name.as_bytes())]);
                if kind.is_dir() {
                    let made = if depth < DEPTH_MAX {
                        self.folder(&call).await
                    } else {
                        Err(Error::new(ErrorKind::TooLarge, format!("{}: too deep", shown(&path))).into())
                    };
                    folders.extend(items.take(self.session, made)?.map(|remote| (path, remote, depth + 1)));
                    continue;
                }
                if let Some(ended) = pool.room().await {
                    items.take(self.session, ended)?;
                }
                pool.push(self.entry(path, kind.is_symlink(), call.clone()));
            }
            pending.extend(folders.into_iter().rev());
        }
        while let Some(ended) = pool.next().await {
            items.take(self.session, ended)?;
        }
        Ok(())
    }

    /// A local place as the user would write it.
    fn short(&self, place: &Path) -> String {
        shown(place.strip_prefix(&self.session.local).unwrap_or(place))
    }

    /// Sends one entry of a folder. Links are told, not followed.
    async fn entry(&self, path: PathBuf, is_link: bool, call: Call) -> Result<()> {
        if is_link {
            let text = format!("{}: is a link; links are not followed", self.short(&path));
            return Err(Error::unsupported(text).into());
        }
        let name = self.short(&path);
        let called = name.clone();
        let source = rt::unblock(move || source::open(&path, &called, false)).await?;
        self.send(source, &name, &call).await?.tell(self.session)
    }

    /// Has a folder made; gives its place.
    async fn folder(&self, call: &Call) -> Result<RemotePath> {
        let offer = Offer {
            folder: true,
            digest: self.session.settings.digest,
            ..Offer::default()
        };
        let mut request = Request::start(self.connection, self.verb, call, &self.session.cwd, Some(offer)).await?;
        let done = request.done().await?;
        match done.file {
            Some(file) => Ok(file.path),
            None => Err(Failure::unexpected("a folder without a place")),
        }
    }

    /// Sends one file or stream; gives up what the server held before when it is not the same.
    async fn send(&self, source: Source, name: &str, call: &Call) -> Result<Sent> {
        let (again, meta) = match &source {
            Source::File(file, meta) => (
                Some(file.try_clone().map_err(|error| Failure::local(name, error))?),
                Some(*meta),
            ),
            _ => (None, None),
        };
        let mut offer = Offer {
            size: meta.map(|meta| meta.size),
            modified: meta.map(|meta| meta.modified),
            executable: meta.is_some_and(|meta| meta.executable),
            digest: self.session.settings.digest,
            ..Offer::default()
        };
        if let Some(sent) = self.attempt(source, name, call, &offer).await? {
            return Ok(sent);
        }
        // The bytes there are not ours: a name or a size is never proof.
        let (Some(file), Some(meta)) = (again, meta) else {
            return Err(Failure::unexpected("a stream that goes on"));
        };
        offer.fresh = true;
        match self.attempt(Source::File(file, meta), name, call, &offer).await? {
            Some(sent) => Ok(sent),
            None => Err(Failure::unexpected("a fresh upload that goes on")),
        }
    }

    /// One try; `None` when the server holds other bytes than ours.
    async fn attempt(&self, source: Source, name: &str, call: &Call, offer: &Offer) -> Result<Option<Sent>> {
        let session = self.session;
        let mut meter = Meter::transfer(session, name, offer.size);
        let mut request = Request::start(self.connection, self.verb, call, &session.cwd, Some(offer.clone())).await?;
        let mut printer = RowPrinter::new(&session.output);
        let begin = loop {
            match request.next().await? {
                Event::Begin(begin) => break begin,
                Event::Done(done) => return Ok(Some(Sent { outcome: None, done })),
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
            sent: size - plan.offset,
            is_download: false,
            verified: stored.is_some_and(|file| file.digest == Some(digest)),
            name: stored.map_or_else(|| name.to_owned(), |file| file.path.to_string()),
        };
        Ok(Some(Sent {
            outcome: Some(outcome),
            done,
        }))
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
