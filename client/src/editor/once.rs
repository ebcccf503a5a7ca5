//! The same knowledge for who asks once and prints the answer: completion of other shells.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ferry_core::wire::message::Complete;
use ferry_core::{RemotePath, rt};

use super::names::{local_names, remote_names};
use super::parts::parts;
use super::sources::{Asked, Source, ask};
use crate::connection::Connection;

/// The last word of a line that may end inside of quotes: where it starts, in bytes, and what it says.
pub(crate) fn last_word(line: &str) -> (usize, String) {
    let last = parts(line).last;
    (last.start, last.text)
}

/// What the last word of a line may become, seen from a remote and a local folder; the server may take as long as the caller waits.
pub(crate) async fn found(connection: &Connection, cwd: &RemotePath, folder: &Path, line: &str) -> Vec<String> {
    let Asked { typed, sources, .. } = ask(&connection.verbs, line);
    let above = &typed[..typed.rfind('/').map_or(0, |slash| slash + 1)];
    let mut found = Vec::new();
    for source in sources {
        match source {
            Source::Words(words) => found.extend(words.into_iter().map(|(word, _)| word)),
            Source::Local { folders_only } => {
                let place = folder.join(OsStr::from_bytes(above.as_bytes()));
                let names = rt::unblock(move || local_names(&place)).await.unwrap_or_default();
                let names = names.into_iter().filter(|name| !folders_only || name.ends_with('/'));
                found.extend(names.map(|name| format!("{above}{name}")));
            }
            Source::Server { verb, arg, .. } => {
                let ask = Complete {
                    id: 0,
                    verb,
                    arg,
                    word: RemotePath::from(typed.as_str()),
                    cwd: cwd.clone(),
                };
                found.extend(remote_names(connection, ask).await.unwrap_or_default());
            }
        }
    }
    found
}
