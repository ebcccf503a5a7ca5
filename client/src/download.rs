//! Verbs whose contents are saved here: one request a source, into a part beside the target that gets its name once it is
//! proven, resumed when the server still has the same bytes. Folders come as a list, whose files are then asked for one by one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ferry_core::line::{Call, Word};
use ferry_core::store::CODE_START;
use ferry_core::wire::message::{Begin, Offer};
use ferry_core::{Digest, Error, ErrorKind, VerbInfo};

use crate::args::{Role, is_given, literal, set, word_of, words_of};
use crate::connection::{Connection, Event};
use crate::exit::{Failure, Result};
use crate::local::shown;
use crate::manifest::Manifest;
use crate::part::{SmallFiles, small_files};
use crate::place;
use crate::request::Request;
use crate::session::Session;
use crate::transfer::{Moved, persist};

mod file;
mod named;
mod tree;

use file::Fetched;
use named::Named;

/// One download's surroundings.
struct Download<'d> {
    session: &'d Session,
    verb: &'d VerbInfo,
    /// Set when nothing that is here already is replaced: what to do about it.
    spares: Option<&'static str>,
    checksum: bool,
    /// Small files that wait to be stored.
    small_files: Arc<SmallFiles>,
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
    let mut download = Download {
        session,
        verb,
        spares: is_given(verb, call, Role::NoClobber).then_some("leave out the option that spares it, or give it another name"),
        checksum: is_given(verb, call, Role::Checksum),
        small_files: small_files(),
    };
    let sources = words_of(verb, call, Role::Source);
    // What all of them make together is called like the first one.
    let sources = &sources[..if download.joins() {
        sources.len().min(1)
    } else {
        sources.len()
    }];
    let several = sources.len() > 1;
    let rename = word_of(verb, call, Role::Rename).map(|word| word.text.clone());
    if several && rename.is_some() {
        let error = Error::bad_request(format!("{}: one name for {} sources", verb.name, sources.len()));
        return Err(error.hint("name one source, or leave the new name out").into());
    }
    let to = word_of(verb, call, Role::Target).map(|word| word.text.clone());
    // What is the client's business alone is not sent.
    let mut call = call.clone();
    set(verb, &mut call, Role::Target, Vec::new());
    set(verb, &mut call, Role::Rename, Vec::new());
    session.tally.start();
    if let (Some(b"-"), [word]) = (rename.as_deref(), sources) {
        if !download.joins() {
            set(verb, &mut call, Role::Source, vec![literal(word.text.clone())]);
        }
        return download.print(&call, word).await;
    }
    let target = |word| download.target(word, to.as_deref(), rename.as_deref(), several);
    let targets: Vec<_> = sources.iter().map(target).collect();
    let typed = to.as_ref().map(|to| session.local.join(OsStr::from_bytes(to)));
    let is_typed = |target: &PathBuf| typed.as_ref() == Some(target);
    // The end of the name is the server's.
    if download.joins() && rename.is_none() && !targets.iter().flatten().any(is_typed) {
        download.spares = Some("what you name yourself is replaced; or remove it first");
    }
    Named::new(&download, &call, sources, targets.into_iter())?.run().await
}

impl Download<'_> {
    /// Whether all sources make one body, and go in one request.
    fn joins(&self) -> bool {
        !self.verb.makes.is_empty()
    }

    fn target(&self, word: &Word, to: Option<&[u8]>, rename: Option<&[u8]>, several: bool) -> Result<PathBuf> {
        let rename = rename.map(place::typed).transpose()?;
        let own = match &rename {
            Some(name) => name.clone(),
            None => {
                let mut own = place::remote_name(&word.text, &self.session.cwd)?;
                own.push(&self.verb.makes);
                own
            }
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
        let turn = self.session.link.turn(0).await?;
        let Answer::Contents(mut request, begin) = self.ask(&turn.connection, call, None).await? else {
            let error = Error::new(ErrorKind::IsDirectory, format!("{}: is a folder", word.shown()));
            return Err(error
                .hint("a folder cannot go to standard output; fetch it into one here")
                .into());
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
                    return Moved {
                        outcome: None,
                        done: request.done().await?,
                    }
                    .tell(self.session);
                }
                Event::Problem(error) => self.session.output.error(&error)?,
                Event::Done(_) => return Err(Failure::unexpected("contents without an end")),
                _ => {}
            }
        }
    }

    /// Saves one source that the user named, when it is a file.
    async fn save(&self, call: &Call, target: &Path) -> Result<Fetched> {
        let reach = AtomicU64::new(0);
        persist(self.session, async |connection| {
            self.fetch(connection, call, target, &reach).await
        })
        .await
    }

    /// A local place as the user would write it.
    fn short(&self, place: &Path) -> String {
        shown(place.strip_prefix(&self.session.local).unwrap_or(place))
    }
}
