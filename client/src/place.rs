//! Where downloads go: names are chosen here, never by the server. (But for what all sources make: its ending is the server's, and
//! replaces nothing.)

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use ferry_core::text::escape;
use ferry_core::{Error, ErrorKind, HomePath, RemotePath};

use crate::exit::Result;
use crate::local;

/// A name that one new local file may have: no folder in it, nothing that a terminal would act on.
///
/// # Errors
/// `bad_path`.
pub fn name(bytes: &[u8]) -> Result<OsString> {
    HomePath::root().join(bytes)?.check_new()?;
    Ok(OsString::from_vec(bytes.to_vec()))
}

/// A name or a path that the user typed for a new local file, from the target folder or absolute.
///
/// # Errors
/// `bad_path` when it names no file: empty, a `/` at its end, NUL.
pub fn typed(bytes: &[u8]) -> Result<OsString> {
    if bytes.is_empty() || bytes.ends_with(b"/") || bytes.contains(&0) {
        return Err(Error::bad_path(format!("`{}` cannot be the name of a file", escape(bytes))).into());
    }
    Ok(OsString::from_vec(bytes.to_vec()))
}

/// A path below a folder, as a server tells it.
///
/// # Errors
/// `bad_path` when it leads anywhere else: absolute, `..`, an empty name, NUL, control characters.
pub fn below(folder: &Path, path: &[u8]) -> Result<PathBuf> {
    let mut place = folder.to_owned();
    for part in path.split(|byte| *byte == b'/') {
        let part =
            name(part).map_err(|_| Error::bad_path(format!("`{}` leads outside the folder or is no name", escape(path))))?;
        place.push(part);
    }
    Ok(place)
}

/// The last name of a remote path, which is what its copy is called here.
///
/// # Errors
/// `bad_request` for the home itself, `denied` and `bad_path` for what is no path.
pub fn remote_name(path: &[u8], cwd: &RemotePath) -> Result<OsString> {
    let cwd = cwd.resolve(&HomePath::root())?;
    let place = RemotePath(path.to_vec()).resolve(&cwd)?;
    match place.name() {
        Some(last) => name(last),
        None => Err(Error::bad_request("the home itself has no name")
            .hint("give it one with --as NAME")
            .into()),
    }
}

/// Where something goes, by the rules of `cp`: into the target when that is a folder or ends in `/`, otherwise the target is
/// its new name. Without a target, into the working folder.
///
/// # Errors
/// `not_directory` or `not_found` when the target must be a folder and is none.
pub fn target(working: &Path, target: Option<&[u8]>, rename: Option<&OsStr>, own: &OsStr, several: bool) -> Result<PathBuf> {
    let name = rename.unwrap_or(own);
    let Some(target) = target else {
        return Ok(working.join(name));
    };
    let place = working.join(OsStr::from_bytes(target));
    let found = local::look(&place)?;
    let must_be_folder = several || rename.is_some() || target.ends_with(b"/");
    match found {
        Some((_, true)) => Ok(place.join(name)),
        Some(_) if must_be_folder => Err(
            Error::new(ErrorKind::NotDirectory, format!("{}: not a folder", escape(target)))
                .hint("several things, and what keeps its name, need a folder here")
                .into(),
        ),
        None if must_be_folder => Err(Error::not_found(format!("{}: no such folder here", escape(target)))
            .hint("make the local folder first")
            .into()),
        _ => Ok(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_a_hostile_server_stay_below_the_folder() {
        let folder = Path::new("/dest");
        assert_eq!(below(folder, b"a/b.txt").unwrap(), Path::new("/dest/a/b.txt"));
        for bad in [
            &b"/etc/passwd"[..],
            b"../a",
            b"a/../../b",
            b"a//b",
            b"",
            b".",
            b"a/.",
            b"a\0b",
            b"a/",
            b"a\x1b[2J",
            b"..",
        ] {
            let error = below(folder, bad).unwrap_err();
            assert_eq!(error.error.kind, ErrorKind::BadPath, "{}", escape(bad));
        }
    }

    #[test]
    fn targets_follow_the_rules_of_cp() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::create_dir(at.join("dir")).unwrap();
        std::fs::write(at.join("file"), "").unwrap();
        let own = OsStr::new("own");
        let to = |text: Option<&str>, several| target(at, text.map(str::as_bytes), None, own, several);
        assert_eq!(to(None, false).unwrap(), at.join("own"));
        assert_eq!(to(Some("dir"), false).unwrap(), at.join("dir/own"));
        assert_eq!(to(Some("dir/"), true).unwrap(), at.join("dir/own"));
        assert_eq!(to(Some("file"), false).unwrap(), at.join("file"));
        assert_eq!(to(Some("new"), false).unwrap(), at.join("new"));
        assert_eq!(to(Some("new/"), false).unwrap_err().error.kind, ErrorKind::NotFound);
        assert_eq!(to(Some("new"), true).unwrap_err().error.kind, ErrorKind::NotFound);
        assert_eq!(to(Some("file"), true).unwrap_err().error.kind, ErrorKind::NotDirectory);
        let renamed = target(at, Some(b"dir"), Some(OsStr::new("x")), own, false);
        assert_eq!(renamed.unwrap(), at.join("dir/x"));
        let elsewhere = typed(b"/else/where").unwrap();
        assert_eq!(
            target(at, None, Some(&elsewhere), own, false).unwrap(),
            Path::new("/else/where")
        );
        assert!(typed(b"").is_err() && typed(b"dir/").is_err() && typed(b"a\0").is_err());
    }

    #[test]
    fn the_home_itself_needs_a_name() {
        let cwd = RemotePath::from("/a/b");
        assert_eq!(remote_name(b".", &cwd).unwrap(), "b");
        assert_eq!(remote_name(b"../c/", &cwd).unwrap(), "c");
        assert!(remote_name(b"/", &cwd).is_err());
    }
}
