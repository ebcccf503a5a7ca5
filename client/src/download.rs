//! Verbs whose contents are saved here: one request a source, into a part beside the target that gets its name once it is
//! proven, resumed when the server still has the same bytes. Folders come as a list, whose files are then asked for one by one.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use ferry_core::line::{Call, Word};
use ferry_core::store::{CODE_PRESENT, CODE_RESUME, CODE_START};
use ferry_core::wire::message::{Begin, Done, End, Offer};
use ferry_core::{Digest, Error, ErrorKind, VerbInfo, rt};

use crate::args::{Role, is_given, literal, set, word_of, words_of};
use crate::connection::{Connection, Event};
use crate::exit::{Exit, Failure, Result};
use crate::local::{self, shown};
use crate::manifest::Manifest;
use crate::part::{self, New, Part, PartWriter};
use crate::place;
use crate::progress::Meter;
use crate::request::Request;
use crate::session::Session;
use crate::transfer::{Items, Outcome, persist, tell};

mod tree;

/// One download's surroundings.
struct Download<'d> {
    session: &'d Session,
    verb: &'d VerbInfo,
    no_clobber: bool,
    checksum: bool,
}

/// One try to get a file.
#[derive(Clone, Copy)]
struct Transfer<'t> {
    connection: &'t Connection,
    /// Where the file goes.
    target: &'t Path,
    /// How far earlier tries came.
    reach: &'t AtomicU64,
}

/// How a request for contents was answered.
enum Answer {
    /// By contents.
    Contents(Request, Begin),
    /// By the list of a folder.
    Folder(Manifest),
}

/// Runs a verb whose contents are saved here.
///
/// # Errors
/// Why it did not end well; exit code 11 when some of several sources failed.
pub async fn run(session: &Session, verb: &VerbInfo, call: &Call) -> Result<()> {
    let download = Download {
        session,
        verb,
        no_clobber: is_given(verb, call, Role::NoClobber),
        checksum: is_given(verb, call, Role::Checksum),
    };
    let sources = words_of(verb, call, Role::Source);
    let several = sources.len() > 1;
    let rename = word_of(verb, call, Role::Rename).map(|word| word.text.clone());
    if several && rename.is_some() {
        return Err(Error::bad_request(format!("{}: one name for {} sources", verb.name, sources.len())).into());
    }
    let to = word_of(verb, call, Role::Target).map(|word| word.text.clone());
    // What is the client's business alone is not sent.
    let mut call = call.clone();
    set(verb, &mut call, Role::Target, Vec::new());
    set(verb, &mut call, Role::Rename, Vec::new());
    session.tally.start();
    let mut items = Items::new(several);
    for word in sources {
        set(verb, &mut call, Role::Source, vec![literal(word.text.clone())]);
        let result = match rename.as_deref() {
            Some(b"-") => download.print(&call, word).await,
            rename => match download.target(word, to.as_deref(), rename, several) {
                Ok(target) => download.save(&call, word, &target, &mut items).await,
                Err(failure) => Err(failure),
            },
        };
        items.take(session, result)?;
    }
    items.end(session)
}

impl Download<'_> {
    fn target(&self, word: &Word, to: Option<&[u8]>, rename: Option<&[u8]>, several: bool) -> Result<PathBuf> {
        let rename = rename.map(place::typed).transpose()?;
        let own = match &rename {
            Some(name) => name.clone(),
            None => place::remote_name(&word.text, &self.session.cwd)?,
        };
        place::target(&self.session.local, to, rename.as_deref(), &own, several)
    }

    async fn ask(&self, connection: &Connection, call: &Call, held: Option<(u64, Digest)>) -> Result<Answer> {
        let offer = Offer {
            digest: self.session.settings.digest,
            offset: held.map(|(offset, _)| offset),
            prefix: held.map(|(_, prefix)| prefix),
            ..Offer::default()
        };
        let mut request = Request::start(connection, self.verb, call, &self.session.cwd, Some(offer)).await?;
        let mut manifest = Manifest::default();
        let mut is_folder = false;
        loop {
            match request.next().await? {
                Event::Begin(begin) if !is_folder => return Ok(Answer::Contents(request, begin)),
                Event::Rows(rows) => {
                    is_folder = true;
                    manifest.add(rows)?;
                }
                Event::Done(_) => return Ok(Answer::Folder(manifest)),
                Event::Problem(error) => self.session.output.error(&error)?,
                Event::Progress(_) => {}
                other => return Err(Failure::unexpected(&format!("{other:?}"))),
            }
        }
    }

    /// Writes contents to standard output, and proves them when they are through.
    async fn print(&self, call: &Call, word: &Word) -> Result<()> {
        // What was printed cannot be taken back, so this is done once.
        let connection = self.session.link.latest()?;
        let Answer::Contents(mut request, begin) = self.ask(&connection, call, None).await? else {
            return Err(Error::new(ErrorKind::IsDirectory, format!("{}: is a folder", word.shown())).into());
        };
        if begin.code != CODE_START {
            return Err(Failure::unexpected("contents that do not start at their beginning"));
        }
        let mut hasher = self.session.settings.digest.hasher();
        loop {
            match request.next().await? {
                Event::Data(chunk) => {
                    hasher.update(&chunk);
                    self.session.output.contents(&chunk)?;
                    request.taken(chunk.len()).await?;
                    self.session.pace.keep(chunk.len()).await;
                }
                Event::End(end) => {
                    ferry_core::context::check_end(&end, hasher.len_bytes(), hasher.finish())?;
                    return request.done().await.map(drop);
                }
                Event::Done(_) => return Err(Failure::unexpected("contents without an end")),
                _ => {}
            }
        }
    }

    /// Saves one source that the user named: a file, or a folder with all that is in it.
    async fn save(&self, call: &Call, word: &Word, target: &Path, items: &mut Items) -> Result<()> {
        let reach = AtomicU64::new(0);
        let manifest = persist(self.session, async |connection| {
            self.fetch(connection, call, target, &reach).await
        })
        .await?;
        let Some(manifest) = manifest else {
            return Ok(());
        };
        items.are_several();
        self.tree(call, word, manifest, target, items).await
    }

    /// One try to get a file; gives the list when it is a folder.
    async fn fetch(&self, connection: &Connection, call: &Call, target: &Path, reach: &AtomicU64) -> Result<Option<Manifest>> {
        self.check_clobber(target).await?;
        let (part, held) = self.part(target).await?;
        match self.ask(connection, call, held).await {
            Ok(Answer::Contents(request, begin)) => {
                let transfer = Transfer {
                    connection,
                    target,
                    reach,
                };
                self.contents(call, (request, begin), part, transfer).await.map(|()| None)
            }
            Ok(Answer::Folder(manifest)) => {
                part.discard();
                Ok(Some(manifest))
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

    async fn check_clobber(&self, target: &Path) -> Result<()> {
        if !self.no_clobber {
            return Ok(());
        }
        let place = target.to_owned();
        match rt::unblock(move || local::look(&place)).await? {
            Some((_, false)) => Err(Error::exists(format!("{}: already there", shown(target))).into()),
            _ => Ok(()),
        }
    }

    async fn part(&self, target: &Path) -> Result<(Part, Option<(u64, Digest)>)> {
        let (place, algorithm) = (target.to_owned(), self.session.settings.digest);
        let part = rt::unblock(move || Part::open(&place, algorithm)).await?;
        let held = part.prefix().map(|prefix| (part.len_bytes(), prefix));
        Ok((part, held))
    }

    /// Takes contents that have begun.
    async fn contents(&self, call: &Call, (request, begin): (Request, Begin), part: Part, at: Transfer<'_>) -> Result<()> {
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
    async fn present(&self, mut request: Request, begin: &Begin, have: &part::Whole, at: Transfer<'_>) -> Result<()> {
        let mut meter = Meter::transfer(self.session, &self.short(at.target), begin.size, at.reach);
        meter.open(begin.path.as_ref(), begin.size, begin.code, begin.offset)?;
        let (end, _) = rest(&mut request).await?;
        ferry_core::context::check_end(&end, have.size, have.digest)?;
        meter.finish();
        self.told(begin, &end, 0, at.target)
    }

    /// Takes contents into the part and publishes it.
    async fn receive(&self, mut request: Request, begin: Begin, part: Part, at: Transfer<'_>) -> Result<()> {
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
        let mut writer = PartWriter::new(part, session.settings.digest, offset < held);
        let mut received = 0u64;
        let end = loop {
            match request.next().await? {
                Event::Data(chunk) => {
                    let len = chunk.len();
                    received += len as u64;
                    // Announced by the server itself: more than that is no honest file.
                    if begin.size.is_some_and(|size| offset.saturating_add(received) > size) {
                        writer.finish().await?.discard();
                        return Err(Error::new(ErrorKind::DigestMismatch, "more contents than were announced").into());
                    }
                    writer = writer.write(chunk).await?;
                    request.taken(len).await?;
                    meter.add(len)?;
                    session.pace.keep(len).await;
                }
                Event::End(end) => break end,
                Event::Done(_) => return Err(Failure::unexpected("contents without an end")),
                Event::Problem(error) => session.output.error(&error)?,
                _ => {}
            }
        };
        let part = writer.finish().await?;
        let new = New {
            modified: begin.modified,
            executable: begin.executable,
        };
        let (place, no_clobber, proof) = (target.to_owned(), self.no_clobber, end.clone());
        rt::unblock(move || {
            part.publish(&place, &proof, new, no_clobber)?;
            part::sync_folder(place.parent().unwrap_or(Path::new("")))
        })
        .await?;
        self.ended(request).await?;
        meter.finish();
        self.told(&begin, &end, received, target)
    }

    /// Waits for the end of a request whose contents are all here. A connection that is lost now takes nothing away.
    async fn ended(&self, mut request: Request) -> Result<()> {
        match request.done().await {
            Err(failure) if failure.exit != Exit::Network => Err(failure),
            _ => Ok(()),
        }
    }

    /// A local place as the user would write it.
    fn short(&self, place: &Path) -> String {
        shown(place.strip_prefix(&self.session.local).unwrap_or(place))
    }

    fn told(&self, begin: &Begin, end: &End, received: u64, target: &Path) -> Result<()> {
        let outcome = Outcome {
            path: begin.path.clone(),
            size: end.size,
            digest: end.digest,
            sent: received,
            is_download: true,
            verified: true,
            name: self.short(target),
        };
        tell(self.session, &outcome)
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
