//! Staging: the bytes of unfinished uploads, in a folder outside every home but on the same file system.
//!
//! Each is a file named by an id of hex digits. Beside it lies a small description, `ID.meta`, so that it can be found again
//! after a restart. How many bytes there are is the file's own length: the description can lag, never lead.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ferry_core::{Digest, Hasher, HomePath, RemotePath};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, Stat, fchmod, fstat, fsync, renameat, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::books::{PARTIAL_LIFE_NS, Tracked};
use crate::jail::{Place, changed, counted, kind, open_beneath, open_folder};

/// Digits of an id: 64 random bits.
const ID_DIGITS: usize = 16;
/// More than a description ever has, in bytes: a path of at most 4096, and some fields.
const META_MAX_BYTES: u64 = 8192;
/// Readable and writable for the server alone.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The bytes of one unfinished upload.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Its name: some hex digits.
    pub(crate) id: String,
    /// How many bytes are written. Changes only under the lane's lock.
    pub(crate) held: AtomicU64,
    /// Whether they are described too, so that they outlive a crash of the server. Changes only under the lane's lock.
    is_described: AtomicBool,
    /// Last sign of life, in nanoseconds since 1970-01-01 UTC.
    pub(crate) touched: AtomicI64,
    /// Held while bytes are written, and while they are published.
    pub(crate) lane: Mutex<Lane>,
}

/// What only one writer at a time may touch.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// The lease that may write.
    pub(crate) lease: u64,
    /// The file, while somebody uses it.
    pub(crate) file: Option<Arc<File>>,
    /// The description, as it is written.
    recorded: Option<Meta>,
    /// Whether the description was flushed once. Then each later one is, for it replaces one that outlives a power cut.
    is_flushed: bool,
    /// What is known of the first of the bytes that are held. It may lag.
    pub(crate) midstate: Option<Midstate>,
    /// Published or thrown away: nobody may write any more.
    pub(crate) is_gone: bool,
}

/// The MD5 computation over some first bytes, so that nobody has to do it again.
#[derive(Debug, Clone)]
pub(crate) struct Midstate {
    pub(crate) hasher: Hasher,
    /// The checksum of the same bytes as they arrived. When those on the disk have another one, all this is void.
    pub(crate) checksum: u64,
}

impl Slot {
    /// An empty one with a new name.
    pub(crate) fn new(now: i64) -> Result<Self, Errno> {
        Ok(Self::found(format!("{:016x}", random()?), 0, now))
    }

    fn found(id: String, held: u64, touched: i64) -> Self {
        Self {
            id,
            held: AtomicU64::new(held),
            is_described: AtomicBool::new(false),
            touched: AtomicI64::new(touched),
            lane: Mutex::default(),
        }
    }

    /// How many bytes are written.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Acquire)
    }

    /// Whether they would be found again after a crash of the server.
    pub(crate) fn is_described(&self) -> bool {
        self.is_described.load(Ordering::Acquire)
    }

    /// How many bytes outlive a crash of the server: nobody is told of more.
    pub(crate) fn safe(&self) -> u64 {
        if self.is_described() { self.held() } else { 0 }
    }
}

/// The description of an unfinished upload.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    path: RemotePath,
    size: u64,
    expected: Option<Digest>,
    /// What [`Hasher::save`] gave, and the checksum.
    #[serde(default)]
    state: Option<(ByteBuf, u64)>,
}

/// One user's staging folder.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: OwnedFd,
    /// What the next file without a slot is called: a count that starts anywhere.
    next: AtomicU64,
}

impl Staging {
    /// The folder called `name` in the folder of all of them.
    pub(crate) fn open(all: impl AsFd, name: &str) -> Result<Self, Errno> {
        let folder = open_folder(all, name.as_bytes())?;
        let next = AtomicU64::new(random()?);
        Ok(Self { folder, next })
    }

    /// The number of the file system that it lies on.
    pub(crate) fn device(&self) -> Result<u64, Errno> {
        fstat(&self.folder).map(|stat| stat.st_dev)
    }

    /// The slot's file, opened or made.
    pub(crate) fn file(&self, slot: &Slot, lane: &mut Lane) -> Result<Arc<File>, Errno> {
        if let Some(file) = &lane.file {
            return Ok(file.clone());
        }
        let make = match slot.held() {
            0 => OFlags::CREATE | OFlags::TRUNC,
            _ => OFlags::empty(),
        };
        let mode = if make.is_empty() { Mode::empty() } else { PRIVATE };
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | make;
        let file = Arc::new(File::from(open_beneath(&self.folder, slot.id.as_bytes(), flags, mode)?));
        lane.file = Some(file.clone());
        Ok(file)
    }

    /// Adds bytes to the slot's file.
    pub(crate) fn append(&self, slot: &Slot, lane: &mut Lane, bytes: &[u8]) -> std::io::Result<()> {
        let held = slot.held();
        let written = self.file(slot, lane)?.write_all_at(bytes, held);
        if written.is_err() {
            self.remove_empty(slot, lane);
        }
        written?;
        slot.held.store(held + bytes.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Writes the slot's description, with the lane's midstate, where it is not written yet, so that the upload can be found again
    /// after a restart; with `flush` after a power cut as well. A stream has none: nobody can go on with it.
    pub(crate) fn record(
        &self,
        slot: &Slot,
        lane: &mut Lane,
        (path, size, expected): (&HomePath, Option<u64>, Option<Digest>),
        flush: bool,
    ) -> std::io::Result<()> {
        let Some(size) = size else {
            return Ok(());
        };
        let meta = Meta {
            path: path.into(),
            size,
            expected,
            state: lane
                .midstate
                .as_ref()
                .and_then(|midstate| Some((ByteBuf::from(midstate.hasher.save()?), midstate.checksum))),
        };
        if lane.recorded.as_ref() == Some(&meta) && (lane.is_flushed || !flush) {
            return Ok(());
        }
        let flush = flush || lane.is_flushed;
        let bytes = rmp_serde::to_vec_named(&meta).map_err(std::io::Error::other)?;
        let draft = format!("{}.new", slot.id);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let mut file = File::from(open_beneath(&self.folder, draft.as_bytes(), flags, PRIVATE)?);
        file.write_all(&bytes)?;
        if flush {
            file.sync_all()?;
        }
        renameat(&self.folder, draft.as_str(), &self.folder, meta_name(&slot.id).as_str())?;
        lane.recorded = Some(meta);
        slot.is_described.store(true, Ordering::Release);
        if flush {
            fsync(&self.folder)?;
            lane.is_flushed = true;
        }
        Ok(())
    }

    /// Gives the file of that name its place in the home, in one step.
    pub(crate) fn publish(&self, name: &str, place: &Place, flags: RenameFlags) -> Result<(), Errno> {
        renameat_with(&self.folder, name, &place.folder, place.name.as_slice(), flags)
    }

    /// A new file for contents that are all here, and its name: nobody looks for it, and without a description it is removed when
    /// the home is next opened.
    pub(crate) fn create(&self, executable: bool) -> Result<(String, File), Errno> {
        let name = format!("{:016x}", self.next.fetch_add(1, Ordering::Relaxed));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = if executable { Mode::RWXU } else { PRIVATE };
        let file = File::from(open_beneath(&self.folder, name.as_bytes(), flags, mode)?);
        if executable {
            // The process may mask that right away.
            fchmod(&file, mode)?;
        }
        Ok((name, file))
    }

    /// Removes the slot's description: the file itself was published.
    pub(crate) fn forget(&self, slot: &Slot, lane: &mut Lane) {
        slot.is_described.store(false, Ordering::Release);
        lane.is_flushed = false;
        if lane.recorded.take().is_some() {
            // What stays behind describes nothing, and is removed when the home is next opened.
            let _ = self.unlink(&meta_name(&slot.id));
        }
    }

    /// Throws the slot's bytes away for good.
    pub(crate) fn discard(&self, slot: &Slot, lane: &mut Lane) {
        lane.is_gone = true;
        self.empty(slot, lane);
    }

    /// Throws the slot's bytes away.
    pub(crate) fn empty(&self, slot: &Slot, lane: &mut Lane) {
        lane.midstate = None;
        self.forget(slot, lane);
        if slot.held.swap(0, Ordering::AcqRel) > 0 || lane.file.is_some() {
            lane.file = None;
            // As above: without a description it is removed later.
            let _ = self.unlink(&slot.id);
        }
    }

    /// Removes the slot's file and description when it holds nothing: nobody goes on with that.
    pub(crate) fn remove_empty(&self, slot: &Slot, lane: &mut Lane) {
        if slot.held() > 0 {
            return;
        }
        self.forget(slot, lane);
        if lane.file.take().is_some() {
            let _ = self.unlink(&slot.id);
        }
    }

    /// Removes a file of the folder.
    pub(crate) fn unlink(&self, name: &str) -> Result<(), Errno> {
        unlinkat(&self.folder, name, AtFlags::empty())
    }

    /// Finds what an earlier run of the server left, and removes what is expired at `now`, empty or without a description.
    pub(crate) fn load(&self, now: i64) -> Result<Vec<Tracked>, Errno> {
        let mut names = Vec::new();
        let mut dir = Dir::read_from(&self.folder)?;
        while let Some(item) = dir.read() {
            let item = item?;
            if let Ok(name) = item.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        let mut found = Vec::new();
        for id in names.iter().filter(|name| is_id(name)) {
            found.extend(self.load_one(id, now));
        }
        let kept: HashSet<&str> = found.iter().map(|tracked: &Tracked| tracked.slot.id.as_str()).collect();
        let is_kept = |name: &str| kept.contains(name.strip_suffix(".meta").unwrap_or(name));
        for name in names.iter().filter(|name| !is_kept(name)) {
            // What cannot be removed is in nobody's way.
            let _ = self.unlink(name);
        }
        Ok(found)
    }

    fn load_one(&self, id: &str, now: i64) -> Option<Tracked> {
        let open = |name: &str| {
            open_beneath(
                &self.folder,
                name.as_bytes(),
                OFlags::RDONLY | OFlags::NOFOLLOW,
                Mode::empty(),
            )
        };
        let stat: Stat = fstat(open(id).ok()?).ok()?;
        let mut bytes = Vec::new();
        let meta = File::from(open(&meta_name(id)).ok()?);
        meta.take(META_MAX_BYTES).read_to_end(&mut bytes).ok()?;
        let meta: Meta = rmp_serde::from_slice(&bytes).ok()?;
        let path = meta.path.resolve(&HomePath::root()).ok()?;
        let (held, touched) = (counted(&stat), changed(&stat));
        let is_whole = kind(&stat) == ferry_core::store::EntryKind::File && (1..=meta.size).contains(&held);
        if !is_whole || touched.saturating_add(PARTIAL_LIFE_NS) <= now {
            return None;
        }
        let slot = Slot::found(id.to_owned(), held, touched);
        let (size, expected) = (Some(meta.size), meta.expected);
        let mut lane = crate::lock(&slot.lane);
        lane.midstate = meta.state.as_ref().and_then(|(saved, checksum)| {
            let (hasher, checksum) = (Hasher::restore(saved)?, *checksum);
            Some(Midstate { hasher, checksum })
        });
        lane.recorded = Some(meta);
        drop(lane);
        slot.is_described.store(true, Ordering::Release);
        Some(Tracked::new(Arc::new(slot), path, size, expected))
    }
}

fn random() -> Result<u64, Errno> {
    let mut bytes = [0_u8; ID_DIGITS / 2];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(u64::from_be_bytes(bytes))
}

/// Whether a text can be an id: anything else never becomes a name.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn meta_name(id: &str) -> String {
    format!("{id}.meta")
}

#[cfg(test)]
mod tests {
    use ferry_core::Algorithm;

    use super::*;

    #[test]
    fn what_nobody_went_on_with_for_too_long_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("alice")).unwrap();
        let staging = Staging::open(File::open(folder.path()).unwrap(), "alice").unwrap();
        let now = crate::now();
        let slot = Slot::new(now).unwrap();
        let mut lane = Lane::default();
        staging.append(&slot, &mut lane, b"held").unwrap();
        let mut hasher = Algorithm::Md5.hasher();
        hasher.update(b"hel");
        lane.midstate = Some(Midstate {
            hasher: hasher.clone(),
            checksum: 7,
        });
        let path = HomePath::parse("/f").unwrap();
        staging.record(&slot, &mut lane, (&path, Some(10), None), false).unwrap();
        let found = staging.load(now + PARTIAL_LIFE_NS - 1_000_000_000).unwrap();
        assert_eq!(
            (found.len(), &found[0].path, found[0].slot.held(), found[0].size),
            (1, &path, 4, Some(10))
        );
        let midstate = crate::lock(&found[0].slot.lane).midstate.take().unwrap();
        assert_eq!((midstate.hasher.len_bytes(), midstate.checksum), (3, 7));
        assert_eq!(midstate.hasher.finish(), hasher.finish());
        assert!(staging.load(now + PARTIAL_LIFE_NS + 60_000_000_000).unwrap().is_empty());
        assert_eq!(std::fs::read_dir(folder.path().join("alice")).unwrap().count(), 0);
    }

    #[test]
    fn only_sixteen_hex_digits_are_an_id() {
        assert!(is_id("0123456789abcdef"));
        for text in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789ABCDEF",
            "../../../../../..",
        ] {
            assert!(!is_id(text), "{text}");
        }
    }
}
