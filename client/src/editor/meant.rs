//! Did-you-mean for paths: looked for only when one was not found, and only where a person reads it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use ferry_core::line::{self, Call, quote};
use ferry_core::text::did_you_mean;
use ferry_core::wire::message::Complete;
use ferry_core::{ErrorKind, RemotePath, VerbInfo, rt};

use super::names::{local_names, remote_names};
use crate::args::ArgKind;
use crate::connection::Connection;
use crate::exit::Failure;
use crate::session::Session;

/// How long the names beside a missing one may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// Adds a near name to a failure of `line` that says that something is not there.
pub async fn add_near_name(session: &Session, line: &str, failure: &mut Failure) {
    if failure.told || failure.error.kind != ErrorKind::NotFound || failure.error.hint.is_some() {
        return;
    }
    let Some(connection) = session.link.connected() else {
        return;
    };
    if let Ok(Some(near)) = rt::timeout(DEADLINE, near(session, &connection, line, failure)).await {
        failure.error.hint = Some(format!("did you mean `{}`?", quote(&near)).into());
    }
}

async fn near(session: &Session, connection: &Connection, line: &str, failure: &Failure) -> Option<String> {
    let words = line::split(line).ok()?;
    let (name, rest) = words.split_first()?;
    let name = std::str::from_utf8(&name.text).ok()?;
    let verb = connection.verbs.iter().find(|verb| verb.is_called(name))?;
    let call = line::parse(verb, rest).ok()?;
    for (at, path) in paths(verb, &call) {
        // A message names the thing; what it does not name was found.
        if !failure.error.message.contains(path.trim_end_matches('/')) {
            continue;
        }
        let arg = &verb.args[at];
        let (folder, missing) = {
            let bare = path.trim_end_matches('/');
            bare.split_at(bare.rfind('/').map_or(0, |slash| slash + 1))
        };
        let names = if arg.kind == ArgKind::RemotePath {
            let ask = Complete {
                id: 0,
                verb: verb.name.clone(),
                arg: arg.name.clone(),
                word: RemotePath::from(folder),
                cwd: session.cwd.clone(),
            };
            let found = remote_names(connection, ask).await?;
            found
                .into_iter()
                .filter_map(|word| Some(word.strip_prefix(folder)?.to_owned()))
                .collect()
        } else {
            let place = session.local.join(OsStr::from_bytes(folder.as_bytes()));
            rt::unblock(move || local_names(&place)).await?
        };
        if let Some(near) = nearest(missing, &names) {
            return Some(format!("{folder}{near}"));
        }
    }
    None
}

/// The paths of a call, each with its argument's place.
fn paths<'c>(verb: &'c VerbInfo, call: &'c Call) -> impl Iterator<Item = (usize, &'c str)> {
    let is_path = |at: &usize| matches!(verb.args[*at].kind, ArgKind::RemotePath | ArgKind::LocalPath) && !verb.args[*at].dynamic;
    let args = (0..verb.args.len()).filter(is_path);
    args.flat_map(|at| {
        call.values[at]
            .iter()
            .filter_map(move |word| Some((at, std::str::from_utf8(&word.text).ok()?)))
    })
}

fn nearest<'n>(missing: &str, names: &'n [String]) -> Option<&'n str> {
    let bare = |name: &'n String| name.trim_end_matches('/');
    did_you_mean(missing, names.iter().map(bare).filter(|name| *name != missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_proposed_and_never_the_missing_one() {
        let names = ["video.mkv", "media/", "notes"].map(str::to_owned);
        assert_eq!(nearest("vidoe.mkv", &names), Some("video.mkv"));
        assert_eq!(nearest("meida", &names), Some("media"));
        assert_eq!(nearest("notes", &names), None);
        assert_eq!(nearest("frobnicate", &names), None);
    }
}
