//! Digests of local files, remembered from transfers that ended well. They only help a server to find what it has of a file under
//! another name: what it has is still proven by the bytes themselves.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use etcetera::BaseStrategy as _;
use ferry_core::{Algorithm, Digest};

/// The most files that are remembered.
const ENTRIES_MAX: usize = 10_000;
/// The most bytes of the file that are read: what so many entries need at most.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;
/// A file that was written to so shortly ago may be written to again without its time showing it.
const RACY: Duration = Duration::from_secs(2);
/// First line of the file.
const HEADER: &str = "ferry digests 1";

/// What a file's contents hang on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    device: u64,
    inode: u64,
    size: u64,
    modified: i128,
    changed: i128,
}

impl From<&Metadata> for Key {
    fn from(meta: &Metadata) -> Self {
        let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: nanos(meta.mtime(), meta.mtime_nsec()),
            changed: nanos(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

impl Key {
    /// Whether the file was written to a moment ago, or its time is none of the past.
    fn is_racy(&self, now: SystemTime) -> bool {
        let quiet = now
            .checked_sub(RACY)
            .and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        !quiet.is_some_and(|quiet| u128::try_from(self.modified).is_ok_and(|modified| modified < quiet.as_nanos()))
    }
}

/// Digests by file, the oldest first.
#[derive(Debug, Default)]
struct Entries {
    order: Vec<(Key, Digest)>,
    places: HashMap<(Key, Algorithm), usize>,
}

impl Entries {
    fn put(&mut self, key: Key, digest: Digest) {
        self.places.insert((key, digest.algorithm()), self.order.len());
        self.order.push((key, digest));
    }

    fn find(&self, key: &Key, algorithm: Algorithm) -> Option<Digest> {
        let place = self.places.get(&(*key, algorithm))?;
        self.order.get(*place).map(|(_, digest)| *digest)
    }

    /// Reads the file. One that is damaged in any way, or of another version, is as good as none.
    fn read(path: &Path) -> Self {
        let text = || -> io::Result<String> {
            let mut text = String::new();
            let file = std::fs::File::open(path)?;
            io::Read::read_to_string(&mut io::Read::take(file, FILE_MAX_BYTES), &mut text)?;
            Ok(text)
        };
        text().ok().and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        (lines.next()? == HEADER).then_some(())?;
        let mut entries = Self::default();
        for line in lines {
            let mut words = line.split(' ');
            let key = Key {
                device: words.next()?.parse().ok()?,
                inode: words.next()?.parse().ok()?,
                size: words.next()?.parse().ok()?,
                modified: words.next()?.parse().ok()?,
                changed: words.next()?.parse().ok()?,
            };
            entries.put(key, words.next()?.parse().ok()?);
            words.next().is_none().then_some(())?;
        }
        Some(entries)
    }

    /// The text of the newest entries, each file once for each algorithm.
    fn text(&self) -> String {
        let mut kept: Vec<_> = (0..self.order.len())
            .rev()
            .filter(|at| {
                let (key, digest) = &self.order[*at];
                self.places.get(&(*key, digest.algorithm())) == Some(at)
            })
            .take(ENTRIES_MAX)
            .collect();
        kept.reverse();
        let mut text = format!("{HEADER}\n");
        for at in kept {
            let (key, digest) = &self.order[at];
            let Key {
                device,
                inode,
                size,
                modified,
                changed,
            } = key;
            let _ = writeln!(text, "{device} {inode} {size} {modified} {changed} {digest}");
        }
        text
    }
}

#[derive(Debug, Default)]
struct State {
    /// What the file held when it was first needed, and what was learned since.
    known: Option<Entries>,
    learned: Vec<(Key, Digest)>,
    wrong: HashSet<Key>,
}

/// The digests that are remembered. All its calls may block.
#[derive(Debug, Default)]
pub struct Digests {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

impl Digests {
    /// Those of the user: the file `digests` in `FERRY_CACHE`, or in the user's cache folder.
    pub fn of_user() -> Self {
        let folder = match std::env::var_os("FERRY_CACHE").filter(|folder| !folder.is_empty()) {
            Some(folder) => Some(PathBuf::from(folder)),
            None => etcetera::choose_base_strategy()
                .ok()
                .map(|folders| folders.cache_dir().join("ferry")),
        };
        Self {
            path: folder.map(|folder| folder.join("digests")),
            ..Self::default()
        }
    }

    /// Those in a file.
    pub fn at(path: PathBuf) -> Self {
        Self {
            path: Some(path),
            ..Self::default()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of a file, when it is known.
    pub fn find(&self, key: &Key, algorithm: Algorithm) -> Option<Digest> {
        let path = self.path.as_ref()?;
        self.state()
            .known
            .get_or_insert_with(|| Entries::read(path))
            .find(key, algorithm)
    }

    /// Remembers the digest of a file, unless somebody may still be writing to it.
    pub fn learn(&self, key: Key, digest: Digest) {
        let Some(path) = self.path.as_ref().filter(|_| !key.is_racy(SystemTime::now())) else {
            return;
        };
        let mut state = self.state();
        let known = state.known.get_or_insert_with(|| Entries::read(path));
        if known.find(&key, digest.algorithm()) == Some(digest) {
            return;
        }
        known.put(key, digest);
        // More than this would push each other out anyway.
        if state.learned.len() < ENTRIES_MAX {
            state.learned.push((key, digest));
        }
    }

    /// Forgets a file whose digest turned out to be another one.
    pub fn forget(&self, key: Key) {
        let mut state = self.state();
        if let Some(known) = &mut state.known {
            known.places.retain(|(other, _), _| *other != key);
        }
        state.learned.retain(|(other, _)| *other != key);
        state.wrong.insert(key);
    }

    /// Writes down what was learned, beside what others have learned meanwhile. A cache that cannot be written is none.
    pub fn save(&self) {
        let mut state = self.state();
        let (learned, wrong) = (std::mem::take(&mut state.learned), std::mem::take(&mut state.wrong));
        drop(state);
        let Some(path) = self.path.as_ref().filter(|_| !learned.is_empty() || !wrong.is_empty()) else {
            return;
        };
        let mut entries = Entries::read(path);
        entries.places.retain(|(key, _), _| !wrong.contains(key));
        for (key, digest) in learned {
            entries.put(key, digest);
        }
        let _ = write(path, &entries.text());
    }
}

/// Replaces a file in one step.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(name);
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path).inspect_err(|_| drop(std::fs::remove_file(&new)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(inode: u64) -> Key {
        Key {
            device: 1,
            inode,
            size: 3,
            modified: 1_000,
            changed: 2_000,
        }
    }

    fn digest(inode: u64) -> Digest {
        Algorithm::Md5.digest(&inode.to_be_bytes())
    }

    #[test]
    fn what_one_program_learned_the_next_one_knows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/digests");
        let (one, other) = (Digests::at(path.clone()), Digests::at(path.clone()));
        one.learn(key(1), digest(1));
        other.learn(key(2), digest(2));
        one.save();
        other.save();
        let next = Digests::at(path);
        assert_eq!(next.find(&key(1), Algorithm::Md5), Some(digest(1)));
        assert_eq!(next.find(&key(2), Algorithm::Md5), Some(digest(2)));
        assert_eq!(next.find(&key(2), Algorithm::Blake3), None);
        for other in [
            Key { changed: 1, ..key(1) },
            Key { modified: 1, ..key(1) },
            Key { size: 1, ..key(1) },
        ] {
            assert_eq!(next.find(&other, Algorithm::Md5), None);
        }
    }

    #[test]
    fn a_digest_that_was_wrong_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let digests = Digests::at(folder.path().join("digests"));
        digests.learn(key(1), digest(1));
        digests.save();
        digests.forget(key(1));
        assert_eq!(digests.find(&key(1), Algorithm::Md5), None);
        digests.save();
        assert_eq!(Digests::at(folder.path().join("digests")).find(&key(1), Algorithm::Md5), None);
    }

    #[test]
    fn a_damaged_file_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("digests");
        let good = format!("{HEADER}\n1 1 3 1000 2000 {}\n", digest(1));
        for (text, is_known) in [
            (good.clone(), true),
            (good.trim_end().to_owned(), false),
            (good.replace("digests 1", "digests 2"), false),
            (format!("{good}x\n"), false),
            (format!("{good}1 2 3 4 5 md5:00\n"), false),
            (String::new(), false),
        ] {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(
                Digests::at(path.clone()).find(&key(1), Algorithm::Md5).is_some(),
                is_known,
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_that_was_just_written_is_not_remembered() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let at = |seconds: i128| Key {
            modified: seconds * 1_000_000_000,
            ..key(1)
        };
        assert!(at(99).is_racy(now) && at(200).is_racy(now) && at(-1).is_racy(now));
        assert!(!at(97).is_racy(now));
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut entries = Entries::default();
        for inode in 0..ENTRIES_MAX as u64 + 5 {
            entries.put(key(inode), digest(inode));
        }
        // Seen again, so it is young.
        entries.put(key(0), digest(0));
        let kept = Entries::parse(&entries.text()).unwrap();
        assert_eq!(kept.order.len(), ENTRIES_MAX);
        assert!(kept.find(&key(0), Algorithm::Md5).is_some() && kept.find(&key(5), Algorithm::Md5).is_none());
        assert!((entries.text().len() as u64) < FILE_MAX_BYTES);
    }
}
