//! Patterns in arguments: remote ones are expanded by the server, local ones here. A pattern that matches nothing stays as
//! it was typed, as a POSIX shell leaves it.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use fast_glob::glob_match;
use ferry_core::line::Call;
use ferry_core::{Body, Error, ErrorKind, VerbInfo, rt};

use crate::args::{ArgKind, Role, literal};
use crate::connection::Connection;
use crate::exit::{Failure, Result};
use crate::request::Request;
use crate::session::Session;

/// The most names that a local pattern may match, as for a remote one.
const EXPANDED_MAX: usize = 10_000;

/// Expands the patterns of remote paths.
///
/// # Errors
/// What the server says; exit code 12 when it answers with names that do not match.
pub async fn remote(session: &Session, connection: &Connection, verb: &VerbInfo, call: &mut Call) -> Result<()> {
    for (arg, values) in verb.args.iter().zip(&mut call.values) {
        // A new name is no pattern, whatever it looks like.
        if arg.kind != ArgKind::RemotePath || arg.role == Role::Rename {
            continue;
        }
        let mut expanded = Vec::with_capacity(values.len());
        for word in values.drain(..) {
            let Some(pattern) = &word.pattern else {
                expanded.push(word);
                continue;
            };
            let mut request = Request::expand(connection, pattern.clone(), &session.cwd).await?;
            let found = request.words().await?;
            if let Some(odd) = found.iter().find(|path| !matches_pattern(pattern, path)) {
                let odd = ferry_core::text::escape(odd);
                return Err(Failure::unexpected(&format!("`{odd}` does not match `{}`", word.shown())));
            }
            match found.len() {
                0 => expanded.push(word),
                1 => expanded.extend(found.into_iter().map(literal)),
                _ if arg.repeated => expanded.extend(found.into_iter().map(literal)),
                many => {
                    let text = format!("{}: matches {many} names where one is needed", word.shown());
                    return Err(Error::bad_request(text).hint("name one of them, or quote the pattern").into());
                }
            }
        }
        *values = expanded;
    }
    Ok(())
}

/// Whether a path is what a pattern asks for, name by name. A server that answers with other names wants to choose where our
/// files go (as with CVE-2019-6111).
fn matches_pattern(pattern: &[u8], path: &[u8]) -> bool {
    let names = |text: &[u8]| -> Vec<Vec<u8>> {
        let parts = text.split(|byte| *byte == b'/');
        parts.filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let (parts, found) = (names(pattern), names(path));
    let fits = |(part, name): (&Vec<u8>, &Vec<u8>)| {
        let special = name == b"." || name == b"..";
        if special { part == name } else { glob_match(part, name) }
    };
    pattern.starts_with(b"/") == path.starts_with(b"/") && parts.len() == found.len() && parts.iter().zip(&found).all(fits)
}

/// Expands the patterns of local sources.
///
/// # Errors
/// `too_large` when they match too much.
pub async fn local(session: &Session, verb: &VerbInfo, call: &mut Call) -> Result<()> {
    if verb.body != Body::In {
        return Ok(());
    }
    for (arg, values) in verb.args.iter().zip(&mut call.values) {
        if arg.role != Role::Source || !arg.repeated {
            continue;
        }
        let mut expanded = Vec::with_capacity(values.len());
        for word in values.drain(..) {
            let Some(pattern) = word.pattern.clone() else {
                expanded.push(word);
                continue;
            };
            let folder = session.local.clone();
            let mut found = rt::unblock(move || glob(&folder, &pattern)).await?;
            found.sort();
            if found.is_empty() {
                expanded.push(word);
            }
            expanded.extend(found.into_iter().map(literal));
        }
        *values = expanded;
    }
    Ok(())
}

/// The paths below `folder` that match, as the pattern was written.
fn glob(folder: &Path, pattern: &[u8]) -> Result<Vec<Vec<u8>>> {
    let start = if pattern.starts_with(b"/") {
        PathBuf::from("/")
    } else {
        PathBuf::new()
    };
    let mut found = vec![start];
    for part in pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for shown in found {
            if part == b"." || part == b".." {
                next.push(shown.join(OsStr::from_bytes(part)));
                continue;
            }
            // What cannot be read matches nothing, as in a shell.
            let Ok(entries) = std::fs::read_dir(folder.join(&shown)) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let hidden = name.as_bytes().starts_with(b".") && !part.starts_with(b".");
                if !hidden && glob_match(part, name.as_bytes()) {
                    next.push(shown.join(name));
                }
            }
            if next.len() > EXPANDED_MAX {
                let text = format!("the pattern matches more than {EXPANDED_MAX} names");
                return Err(Error::new(ErrorKind::TooLarge, text).into());
            }
        }
        found = next;
    }
    Ok(found.into_iter().map(|path| path.into_os_string().into_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_were_not_asked_for_are_noticed() {
        for (pattern, path) in [
            ("*", "a"),
            ("a/*.txt", "a/b.txt"),
            ("/x?", "/xy"),
            ("../*", "../a"),
            ("./*", "./b"),
        ] {
            assert!(matches_pattern(pattern.as_bytes(), path.as_bytes()), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("*", "../a"),
            ("*", ".."),
            ("*", "/a"),
            ("*.txt", ".bashrc"),
            ("*", "a/b"),
            ("a*", "b"),
        ] {
            assert!(!matches_pattern(pattern.as_bytes(), path.as_bytes()), "{pattern} {path}");
        }
    }

    #[test]
    fn local_patterns_match_as_in_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        for name in ["a.txt", "b.txt", ".c.txt", "d/e.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = |pattern: &str| {
            let mut found = glob(folder.path(), pattern.as_bytes()).unwrap();
            found.sort();
            found
                .into_iter()
                .map(|path| String::from_utf8(path).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("*.txt"), ["a.txt", "b.txt"]);
        assert_eq!(found(".*.txt"), [".c.txt"]);
        assert_eq!(found("*/*.txt"), ["d/e.txt"]);
        assert_eq!(found("z*"), Vec::<String>::new());
    }
}
