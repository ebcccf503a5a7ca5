//! Dispatch: the one way from a request to a verb. The server, the test harness and any gateway go through here, so that
//! names, rights, arguments and panics are handled in one place.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use futures_lite::FutureExt as _;

use crate::args::ArgKind;
use crate::context::{Context, Event, Link};
use crate::error::{Error, ErrorKind, Result};
use crate::home::GuardedHome;
use crate::line::Pattern;
use crate::logins::Logins;
use crate::path::{HomePath, PATH_MAX_BYTES, RemotePath};
use crate::registry::Registry;
use crate::reply::{Column, ColumnKind, Layout, TEXT_MAX_BYTES, Value};
use crate::size::ByteSize;
use crate::spec::Access;
use crate::store::{EntryKind, Home};
use crate::user::User;
use crate::wire::frame::Kind;
use crate::wire::guard::Map;
use crate::wire::message::{Complete, Done, Expand, Message as _, Request, Rows};

/// A map without keys, for requests without arguments.
const NO_ARGS: &[u8] = &[0x80];
/// The most proposals that are sent for one word.
const PROPOSALS_MAX: usize = 500;
/// The most paths that one pattern may match.
const EXPANDED_MAX: usize = 10_000;
/// And in bytes, each name as it is shown and with its place.
const EXPANDED_MAX_BYTES: usize = 4 << 20;

/// What a call needs besides its message.
#[derive(Clone)]
pub struct Env {
    /// The verbs there are.
    pub registry: Arc<Registry>,
    /// Who asks.
    pub user: Arc<User>,
    /// His home.
    pub home: Arc<dyn Home>,
    /// His saved logins.
    pub logins: Arc<dyn Logins>,
}

/// A message that asks for something, decoded; a request's arguments are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Run a verb.
    Request(Request),
    /// Propose values for a word.
    Complete(Complete),
    /// Which paths match a pattern.
    Expand(Expand),
}

impl Ask {
    /// Decodes a message's payload behind the guard.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn decode(kind: Kind, map: &Map<'_>) -> Result<Self> {
        match kind {
            Kind::Request => Request::decode(map).map(Self::Request),
            Kind::Complete => Complete::decode(map).map(Self::Complete),
            Kind::Expand => Expand::decode(map).map(Self::Expand),
            _ => Err(Error::bad_request("not a request")),
        }
    }

    /// The client's number for it.
    pub fn id(&self) -> u32 {
        match self {
            Self::Request(Request { id, .. }) | Self::Complete(Complete { id, .. }) | Self::Expand(Expand { id, .. }) => *id,
        }
    }
}

/// Answers a request, a completion or an expansion: finds the verb, checks rights, decodes the arguments, runs it.
/// `map` is the message's payload behind the guard.
///
/// The order of the checks is fixed: message, verb, rights, arguments. Nothing is touched before all have passed. A panic is
/// answered as `internal`.
///
/// # Errors
/// The request's failure.
pub async fn dispatch(env: &Env, kind: Kind, map: &Map<'_>, link: &mut dyn Link) -> Result<Done> {
    let ask = Ask::decode(kind, map)?;
    answer(env, ask, map.raw("args"), link).await
}

/// The same for a message that was decoded, with a request's undecoded arguments: the bytes of a MessagePack map that passed the guard.
///
/// # Errors
/// As [`dispatch`].
pub async fn answer(env: &Env, ask: Ask, args: Option<&[u8]>, link: &mut dyn Link) -> Result<Done> {
    let call = pin!(async {
        match ask {
            Ask::Request(request) => run(env, request, args.unwrap_or(NO_ARGS), link).await,
            // In boxes of their own: they are large, and every request would carry the room for them.
            Ask::Complete(ask) => Box::pin(complete(env, ask, link)).await,
            Ask::Expand(ask) => Box::pin(expand(env, ask, link)).await,
        }
    });
    caught(call).await
}

/// Turns a panic into a failure, so that it costs one request and no more. The work is pinned where it is (`std::pin::pin!`), for a future
/// that is handed over by value is kept twice.
///
/// # Errors
/// Those of `work`, and `internal` for a panic, with its text as the source.
pub async fn caught<T>(work: impl Future<Output = Result<T>> + Unpin) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error::internal("the verb broke down")
            .hint("the server's log says more")
            .caused_by(text.unwrap_or_default()))
    })
}

async fn run(env: &Env, request: Request, args: &[u8], link: &mut dyn Link) -> Result<Done> {
    let entry = env.registry.resolve(&request.verb, &env.user)?;
    let cwd = request.cwd.resolve(&HomePath::root())?;
    let offer = request.body.unwrap_or_default();
    if offer.expected.is_some_and(|digest| digest.algorithm() != offer.digest) {
        return Err(Error::bad_request(
            "the expected digest is of another algorithm than the transfer's",
        ));
    }
    let mut ctx = Context::new(env, entry.command.spec(), (cwd, offer), link);
    let reply = entry.command.run(args, &mut ctx).await?;
    let problems = ctx.finish().await?;
    if let Some(bytes) = reply.text.as_ref().map(String::len).filter(|bytes| *bytes > TEXT_MAX_BYTES) {
        let text = format!(
            "{}: a text of {} is too long for a reply; it holds {}",
            entry.info.name,
            ByteSize(bytes as u64),
            ByteSize(TEXT_MAX_BYTES as u64)
        );
        return Err(Error::new(ErrorKind::TooLarge, text).hint("the verb's author can send any amount as rows or as a body"));
    }
    Ok(Done {
        id: request.id,
        text: reply.text,
        cwd: reply.cwd.as_ref().map(RemotePath::from),
        file: reply.file,
        problems,
    })
}

/// Sends one column of paths or words.
async fn send_column(name: &'static str, values: Vec<Value>, id: u32, link: &mut dyn Link) -> Result<Done> {
    let column = Column::new(name, ColumnKind::Path);
    let mut columns = Some(vec![(&column).into()]);
    let mut batch = Vec::new();
    let mut weight = 0;
    for value in values {
        weight += value.weight();
        batch.push(vec![value]);
        if weight > 16 * 1024 {
            weight = 0;
            link.emit(Event::Rows(Rows {
                id,
                columns: columns.take(),
                layout: Layout::List,
                rows: std::mem::take(&mut batch),
            }))
            .await?;
        }
    }
    link.emit(Event::Rows(Rows {
        id,
        columns,
        layout: Layout::List,
        rows: batch,
    }))
    .await?;
    Ok(Done { id, ..Done::default() })
}

async fn complete(env: &Env, ask: Complete, link: &mut dyn Link) -> Result<Done> {
    let entry = env.registry.resolve(&ask.verb, &env.user)?;
    let spec = entry.command.spec();
    let arg = spec.args.iter().find(|arg| arg.name == ask.arg);
    let arg = arg.ok_or_else(|| Error::bad_request(format!("{} has no such argument", spec.name)))?;
    let cwd = ask.cwd.resolve(&HomePath::root())?;
    let values = if arg.dynamic {
        let word = String::from_utf8_lossy(&ask.word.0).into_owned();
        let mut ctx = Context::new(env, spec, (cwd, Default::default()), link).reading();
        let proposals = entry.command.complete(arg.name, &word, &mut ctx).await?;
        proposals
            .into_iter()
            .filter(|value| value.starts_with(&word))
            .take(PROPOSALS_MAX)
            .map(Value::from)
            .collect()
    } else if arg.kind == ArgKind::RemotePath {
        complete_path(&GuardedHome::new(env.home.clone(), Access::Read), &cwd, &ask.word).await?
    } else {
        Vec::new()
    };
    send_column("word", values, ask.id, link).await
}

/// The paths that `word` may become; folders end in `/`. Names that start with a dot only when the word's does.
async fn complete_path(home: &GuardedHome, cwd: &HomePath, word: &RemotePath) -> Result<Vec<Value>> {
    let cut = word.0.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (folder, start) = word.0.split_at(cut);
    let place = RemotePath(folder.to_vec()).resolve(cwd)?;
    let fits = |name: &[u8]| name.starts_with(start) && (start.starts_with(b".") || !name.starts_with(b"."));
    // The first by name, however many there are.
    let mut first = BTreeSet::new();
    let mut listing = home.list(&place).await?;
    loop {
        let entries = listing.next().await?;
        if entries.is_empty() {
            break;
        }
        for entry in entries.into_iter().filter(|entry| fits(&entry.name)) {
            first.insert((entry.name, entry.kind == EntryKind::Dir));
            if first.len() > PROPOSALS_MAX {
                first.pop_last();
            }
        }
    }
    let words = first.iter().map(|(name, is_folder)| {
        let slash: &[u8] = if *is_folder { b"/" } else { b"" };
        Value::from([folder, name, slash].concat().as_slice())
    });
    Ok(words.collect())
}

/// Whether nothing can be found in a folder for this reason.
fn is_nothing(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::NotDirectory | ErrorKind::NotFound | ErrorKind::Denied)
}

async fn expand(env: &Env, ask: Expand, link: &mut dyn Link) -> Result<Done> {
    let home = GuardedHome::new(env.home.clone(), Access::Read);
    let cwd = ask.cwd.resolve(&HomePath::root())?;
    let absolute = ask.pattern.0.starts_with(b"/");
    // Each found path as it will be sent, with its place.
    let mut found = vec![if absolute {
        (b"/".to_vec(), HomePath::root())
    } else {
        (Vec::new(), cwd)
    }];
    for part in ask.pattern.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        let pattern = Pattern::new(part)?;
        let mut next = Vec::new();
        let mut bytes = 0;
        for (shown, place) in found {
            // `a/../a/..` comes back to where it was, but what is shown grows.
            if shown.len() > PATH_MAX_BYTES {
                return Err(Error::bad_path(format!("{}: leads through too many folders", ask.pattern)));
            }
            let shown_of = |name: &[u8]| {
                if shown.is_empty() || shown.ends_with(b"/") {
                    [&shown, name].concat()
                } else {
                    [&shown, &b"/"[..], name].concat()
                }
            };
            if part == b"." || part == b".." {
                next.push((shown_of(part), RemotePath(part.to_vec()).resolve(&place)?));
                continue;
            }
            let mut listing = match home.list(&place).await {
                Err(error) if is_nothing(&error) => continue,
                listing => listing?,
            };
            let hidden = part.starts_with(b".");
            let from = next.len();
            loop {
                let entries = match listing.next().await {
                    Err(error) if is_nothing(&error) => break,
                    entries => entries?,
                };
                if entries.is_empty() {
                    break;
                }
                for entry in entries.iter().filter(|entry| hidden || !entry.name.starts_with(b".")) {
                    if pattern.matches(&entry.name) {
                        let (shown, place) = (shown_of(&entry.name), place.join(&entry.name)?);
                        bytes += shown.len() + place.as_bytes().len();
                        next.push((shown, place));
                    }
                    if next.len() > EXPANDED_MAX || bytes > EXPANDED_MAX_BYTES {
                        let text = format!("{}: matches too many names", ask.pattern);
                        return Err(Error::new(ErrorKind::TooLarge, text).hint("name a part of them, or their folder"));
                    }
                }
            }
            if let Some(new) = next.get_mut(from..) {
                new.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            }
        }
        found = next;
    }
    let mut values = Vec::new();
    for (shown, place) in found {
        if home.kind(&place).await?.is_some() {
            values.push(Value::from(shown.as_slice()));
        }
    }
    send_column("path", values, ask.id, link).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_its_text_for_the_log() {
        let error = crate::rt::block_on(caught::<()>(pin!(async { panic!("on purpose") }))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal);
        assert_eq!(error.source.map(|source| source.to_string()).as_deref(), Some("on purpose"));
    }
}
