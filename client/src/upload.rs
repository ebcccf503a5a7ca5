//! Verbs that take contents: one request a source, several of them side by side, folders with all that is in them, resumed where
//! the server proves what it holds. Which argument is what comes from the catalogue.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use async_lock::Semaphore;
use ferry_core::line::Call;
use ferry_core::rt::Batches;
use ferry_core::text::escape;
use ferry_core::{Error, ErrorKind, VerbInfo, rt};

use crate::args::{Role, is_given, literal, set, word_of, words_of};
use crate::exit::{Failure, Result};
use crate::local::shown;
use crate::pool::Pool;
use crate::session::Session;
use crate::source::{self, Source};
use crate::transfer::{Ends, Moved};

mod file;
mod ours;
mod small;
mod tree;

/// One upload's surroundings.
struct Upload<'u> {
    session: &'u Session,
    verb: &'u VerbInfo,
    /// Files that are not small, side by side.
    large: Semaphore,
    /// Opens files, and reads small ones.
    reads: Arc<Batches<rt::Call>>,
}

/// So many files that wait to be read are worth a thread more, and the most threads.
const READ_FILES: usize = 32;
const READ_THREADS: usize = 2;

/// Runs a verb with contents from here.
///
/// # Errors
/// Why it did not end well; exit code 11 when some of several sources failed.
pub async fn run(session: &Session, verb: &VerbInfo, call: &Call) -> Result<()> {
    let upload = Upload {
        session,
        verb,
        large: Semaphore::new(session.settings.jobs),
        reads: Batches::of_calls(READ_FILES, READ_THREADS),
    };
    let sources = words_of(verb, call, Role::Source);
    let several = sources.len() > 1;
    if several && is_given(verb, call, Role::Rename) {
        let error = Error::bad_request(format!("{}: one name for {} sources", verb.name, sources.len()));
        return Err(error.hint("name one source, or leave the new name out").into());
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
            ends.put(at, result.map(|()| Moved::default()))?;
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
            if self.verb.by_role(Role::Rename).is_some() && !is_given(self.verb, call, Role::Rename) {
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
