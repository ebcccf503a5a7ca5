//! The local file system as transfers see it: what is where.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ferry_core::Error;
use ferry_core::text::escape;

use crate::exit::{Failure, Result, plain};

/// Chunks between a file's thread and the connection: one is on its way while the next is made.
pub(crate) const QUEUE_CHUNKS: usize = 1;
const NANOS: i64 = 1_000_000_000;

/// A path, made safe to show.
pub fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_bytes())
}

/// What is known of a file before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Its size in bytes.
    pub size: u64,
    /// Last change of the contents, in nanoseconds since 1970-01-01 UTC.
    pub modified: i64,
    /// Whether its owner may execute it.
    pub executable: bool,
}

impl From<&Metadata> for Meta {
    fn from(meta: &Metadata) -> Self {
        Self {
            size: meta.size(),
            modified: meta.mtime().saturating_mul(NANOS).saturating_add(meta.mtime_nsec()),
            executable: meta.mode() & 0o100 != 0,
        }
    }
}

/// What is at a local place: `None` for nothing. Links are followed, as `cp` does with its target.
///
/// # Errors
/// As the operating system says.
pub fn look(path: &Path) -> Result<Option<(Meta, bool)>> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(Some((Meta::from(&meta), meta.is_dir()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::local(shown(path), error)),
    }
}

/// Refuses to replace what is neither a file, a link nor a folder: giving a file the name `/dev/null` would take it from everybody.
///
/// # Errors
/// `exists`.
pub fn spare_devices(path: &Path) -> Result<()> {
    match path.symlink_metadata().map(|meta| meta.file_type()) {
        Ok(kind) if !(kind.is_file() || kind.is_symlink() || kind.is_dir()) => {
            Err(Error::exists(format!("{}: is no file, and is not replaced", shown(path))).into())
        }
        _ => Ok(()),
    }
}

/// Makes a folder; fine when one is there. Gives whether it was made, and so has nothing in it. A link to one is not: the names
/// below are a server's, and would be written wherever it leads.
///
/// # Errors
/// `exists` for anything else that is there; as the operating system says.
pub fn make_folder(path: &Path) -> Result<bool> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let meta = std::fs::symlink_metadata(path).map_err(|error| Failure::local(shown(path), error))?;
            let what = match meta.is_symlink() {
                _ if meta.is_dir() => return Ok(false),
                true => "is a link here, and a download does not follow it",
                false => "is here already, and no folder",
            };
            Err(Error::exists(format!("{}: {what}", shown(path)))
                .hint("move it away, or give the folder another name")
                .into())
        }
        result => result.map(|()| true).map_err(|error| Failure::local(shown(path), error)),
    }
}

/// The longest file of the user's set-up that is read, in bytes: some ten thousand lines.
const SMALL_MAX_BYTES: u64 = 1 << 20;

/// What is in a file of the user's set-up: known keys, saved logins, config. Says why not for people, for what that means differs.
///
/// # Errors
/// It cannot be read, is no UTF-8, or is longer than 1 MiB.
pub(crate) fn small_text(file: std::fs::File) -> std::result::Result<String, String> {
    let mut text = String::new();
    match file.take(SMALL_MAX_BYTES + 1).read_to_string(&mut text) {
        Ok(len) if len as u64 > SMALL_MAX_BYTES => Err(format!("longer than {SMALL_MAX_BYTES} bytes")),
        Ok(_) => Ok(text),
        Err(error) => Err(plain(&error)),
    }
}

/// The entries of a folder by name, each with whether it is a folder or a link.
///
/// # Errors
/// As the operating system says.
pub fn entries(path: &Path) -> Result<Vec<(OsString, std::fs::FileType)>> {
    let failed = |error: io::Error| Failure::local(shown(path), error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        found.push((entry.file_name(), entry.file_type().map_err(failed)?));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}
