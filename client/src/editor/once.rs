//! The same knowledge for who asks once and prints the answer: completion of other shells.

use std::path::Path;
use std::sync::Arc;

use ferry_core::RemotePath;

use super::completion::{paths, split};
use super::names::{Key, fetch};
use super::parts::parts;
use super::sources::{Asked, Source, ask};
use crate::connection::Connection;

/// The last word of a line that may end inside of quotes: where it starts, in bytes, and what it says.
pub(crate) fn last_word(line: &str) -> (usize, String) {
    let last = parts(line).last;
    (last.start, last.text)
}

/// What the last word of a line may become, seen from a remote and a local folder; the server may take as long as the caller waits.
pub(crate) async fn found(connection: &Arc<Connection>, cwd: &RemotePath, local: &Path, line: &str) -> Vec<String> {
    let Asked { typed, sources, .. } = ask(&connection.verbs, line);
    let mut found = Vec::new();
    for source in sources {
        let (key, folder, folders_only) = match source {
            Source::Words(words) => {
                found.extend(words.into_iter().map(|(word, _)| word));
                continue;
            }
            Source::Local { folders_only } => {
                let (folder, _) = split(&typed);
                (Key::Local(local.join(folder)), folder, folders_only)
            }
            Source::Server { verb, arg, .. } => {
                let (cwd, word) = (cwd.clone(), typed.clone());
                (Key::Server { verb, arg, cwd, word }, "", false)
            }
        };
        let names = fetch(&key, Some(connection)).await.unwrap_or_default();
        let names = names.iter().filter(|name| !folders_only || name.ends_with('/'));
        let words = paths(names.map(|name| format!("{folder}{name}")), &typed, "");
        found.extend(words.into_iter().map(|proposal| proposal.word));
    }
    found
}
