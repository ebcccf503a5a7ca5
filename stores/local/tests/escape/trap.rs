//! What lies outside of the home, and whether somebody was there.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The contents of the file outside. Nothing inside ever has them, nor so many bytes.
pub(crate) const MARKER: &[u8] = b"this lies outside of the home";
/// A name that only the folder outside has. No operation names it.
pub(crate) const WITNESS: &str = "witness";
/// The time of the file outside, in seconds since 1970-01-01 UTC: an upload can ask for it.
pub(crate) const MARKER_TIME_S: i64 = 1_000_000_000;

/// A folder outside with a file, an empty folder and the witness, and how they looked at first.
#[derive(Debug)]
pub(crate) struct Trap {
    pub(crate) place: PathBuf,
    before: Vec<Trace>,
}

/// All of an entry that a change of it would show in. The time of the last access is left out: looking here changes it.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    place: PathBuf,
    inode: u64,
    mode: u32,
    links: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    contents: Vec<u8>,
}

impl Trap {
    /// Lays one at `place`.
    pub(crate) fn new(place: PathBuf) -> Self {
        std::fs::create_dir_all(place.join("dir")).unwrap();
        std::fs::write(place.join(WITNESS), "").unwrap();
        std::fs::write(place.join("file"), MARKER).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(MARKER_TIME_S.unsigned_abs());
        let file = std::fs::File::options().write(true).open(place.join("file")).unwrap();
        file.set_modified(time).unwrap();
        let before = look(&place).unwrap();
        Self { place, before }
    }

    /// Whether anything in it was made, changed, renamed or removed.
    pub(crate) fn is_changed(&self) -> bool {
        look(&self.place).is_none_or(|now| now != self.before)
    }

    /// How it looked at first and how it looks now, for people.
    pub(crate) fn compare(&self) -> String {
        format!("before: {:#?}\nnow: {:#?}", self.before, look(&self.place))
    }
}

/// Everything at and below a place, in order; nothing when it disappears meanwhile.
fn look(place: &Path) -> Option<Vec<Trace>> {
    let meta = std::fs::symlink_metadata(place).ok()?;
    let mut found = vec![Trace {
        place: place.to_owned(),
        inode: meta.ino(),
        mode: meta.mode(),
        links: meta.nlink(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
        contents: match meta.is_file() {
            true => std::fs::read(place).ok()?,
            false => Vec::new(),
        },
    }];
    if meta.is_dir() {
        let items: Result<Vec<_>, _> = std::fs::read_dir(place).ok()?.collect();
        let mut places: Vec<PathBuf> = items.ok()?.iter().map(std::fs::DirEntry::path).collect();
        places.sort();
        for place in places {
            found.extend(look(&place)?);
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&Path) -> std::io::Result<()>;

    #[test]
    fn every_kind_of_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let changes: [(&str, Change); 7] = [
            ("made", |place| std::fs::write(place.join("new"), "")),
            ("made inside", |place| std::fs::create_dir(place.join("dir/new"))),
            ("removed", |place| std::fs::remove_file(place.join("file"))),
            ("removed folder", |place| std::fs::remove_dir(place.join("dir"))),
            ("renamed", |place| std::fs::rename(place.join("file"), place.join("other"))),
            ("written", |place| std::fs::write(place.join("file"), MARKER)),
            ("linked", |place| {
                std::fs::hard_link(place.join("file"), place.with_extension("link"))
            }),
        ];
        for (what, change) in changes {
            let trap = Trap::new(folder.path().join(what));
            assert!(!trap.is_changed(), "{what}");
            change(&trap.place).unwrap();
            assert!(trap.is_changed(), "{what}");
        }
    }
}
