//! What a home in memory holds: entries by path, unfinished uploads by id, and usage. Every call is made under one lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferry_core::store::{Check, Entry, EntryKind, FileInfo, Partial, UploadRequest, Usage, Version};
use ferry_core::{Digest, Error, ErrorKind, HomePath, Result};

/// The first time of the clock: 2023-11-14 22:13:20 UTC, in nanoseconds since 1970-01-01.
const EPOCH: i64 = 1_700_000_000_000_000_000;
/// What the clock adds at each change: a second.
const TICK: i64 = 1_000_000_000;
/// How long an unfinished upload is kept: 7 days.
const KEPT: i64 = 7 * 24 * 3600 * TICK;

/// An entry without its name.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) kind: EntryKind,
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) modified: i64,
    pub(super) executable: bool,
    pub(super) version: Version,
    pub(super) digest: Option<Digest>,
}

/// An unfinished upload.
pub(super) struct Part {
    pub(super) request: UploadRequest,
    pub(super) bytes: Vec<u8>,
    pub(super) reserved: u64,
    /// Whoever holds this number may write.
    pub(super) lease: u64,
    pub(super) expires: i64,
}

pub(super) struct State {
    pub(super) usage: Usage,
    pub(super) nodes: BTreeMap<HomePath, Node>,
    pub(super) parts: BTreeMap<String, Part>,
    /// Entries whose durability was asked for, in that order.
    pub(super) settled: Vec<HomePath>,
    /// Counts changes: the source of times, versions, ids and leases.
    changes: u64,
}

impl Default for State {
    fn default() -> Self {
        let mut state = Self {
            usage: Usage::default(),
            nodes: BTreeMap::new(),
            parts: BTreeMap::new(),
            settled: Vec::new(),
            changes: 0,
        };
        let root = state.node(EntryKind::Dir);
        state.nodes.insert(HomePath::root(), root);
        state
    }
}

fn fail<T>(kind: ErrorKind, path: &HomePath, text: &str) -> Result<T> {
    Err(Error::new(kind, format!("{path}: {text}")).at(path))
}

impl State {
    /// Adds the files up, and compares.
    pub(super) fn check(&mut self, repair: bool) -> Check {
        let counted = self.nodes.values().map(|node| node.bytes.len() as u64).sum();
        let (used, reserved) = (self.usage.used, self.usage.reserved);
        if repair {
            self.usage.used = counted;
        }
        Check {
            used,
            counted,
            reserved,
            partials: self.parts.len() as u64,
        }
    }

    /// A number that was never given before.
    pub(super) fn count(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    pub(super) fn now(&self) -> i64 {
        EPOCH.saturating_add(i64::try_from(self.changes).unwrap_or(i64::MAX).saturating_mul(TICK))
    }

    pub(super) fn expiry(&self) -> i64 {
        self.now().saturating_add(KEPT)
    }

    /// A new entry without contents.
    pub(super) fn node(&mut self, kind: EntryKind) -> Node {
        let version = Version(self.count().into());
        Node {
            kind,
            bytes: Arc::default(),
            modified: self.now(),
            executable: false,
            version,
            digest: None,
        }
    }

    /// Checks that everything above `path` is a folder.
    pub(super) fn check_parents(&self, path: &HomePath) -> Result<()> {
        let mut above: Vec<HomePath> = std::iter::successors(path.parent(), HomePath::parent).collect();
        above.reverse();
        for folder in above {
            match self.nodes.get(&folder).map(|node| node.kind) {
                Some(EntryKind::Dir) => {}
                Some(EntryKind::Link) => return fail(ErrorKind::Denied, path, "is behind a link; links are not followed"),
                Some(_) => return fail(ErrorKind::NotDirectory, path, "not a folder"),
                None => return fail(ErrorKind::NotFound, path, "no such file or folder"),
            }
        }
        Ok(())
    }

    /// What is at `path`, with what is above it checked.
    pub(super) fn at(&self, path: &HomePath) -> Result<Option<&Node>> {
        self.check_parents(path)?;
        Ok(self.nodes.get(path))
    }

    pub(super) fn get(&self, path: &HomePath) -> Result<&Node> {
        match self.at(path)? {
            Some(node) => Ok(node),
            None => fail(ErrorKind::NotFound, path, "no such file or folder"),
        }
    }

    pub(super) fn stat(&self, path: &HomePath) -> Result<Entry> {
        self.get(path).map(|node| entry(path, node))
    }

    fn inside<'a>(&'a self, folder: &'a HomePath) -> impl Iterator<Item = (&'a HomePath, &'a Node)> {
        self.nodes
            .iter()
            .filter(move |(path, _)| path.parent().as_ref() == Some(folder))
    }

    pub(super) fn list(&self, path: &HomePath) -> Result<Vec<Entry>> {
        match self.get(path)?.kind {
            EntryKind::Dir => Ok(self.inside(path).map(|(path, node)| entry(path, node)).collect()),
            _ => fail(ErrorKind::NotDirectory, path, "not a folder"),
        }
    }

    fn make(&mut self, path: &HomePath, kind: EntryKind) -> Result<()> {
        if self.at(path)?.is_some() {
            return fail(ErrorKind::Exists, path, "already there");
        }
        let node = self.node(kind);
        self.nodes.insert(path.clone(), node);
        Ok(())
    }

    pub(super) fn make_dir(&mut self, path: &HomePath) -> Result<()> {
        self.make(path, EntryKind::Dir)
    }

    pub(super) fn plant_link(&mut self, path: &HomePath) -> Result<()> {
        self.make(path, EntryKind::Link)
    }

    pub(super) fn rot(&mut self, path: &HomePath) -> Result<()> {
        self.get(path)?;
        let bytes = self.nodes.get_mut(path).map(|node| Arc::make_mut(&mut node.bytes));
        match bytes.and_then(|bytes| bytes.last_mut()) {
            Some(byte) => *byte ^= 1,
            None => return fail(ErrorKind::BadRequest, path, "has no bytes"),
        }
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &HomePath) -> Result<()> {
        let node = self.get(path)?;
        if node.kind == EntryKind::Dir {
            return fail(ErrorKind::IsDirectory, path, "is a folder");
        }
        let size = node.bytes.len() as u64;
        self.usage.remove(size);
        self.nodes.remove(path);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &HomePath) -> Result<()> {
        if self.get(path)?.kind != EntryKind::Dir {
            return fail(ErrorKind::NotDirectory, path, "not a folder");
        }
        if self.inside(path).next().is_some() {
            return fail(ErrorKind::NotEmpty, path, "folder is not empty");
        }
        self.nodes.remove(path);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &HomePath, to: &HomePath, no_clobber: bool) -> Result<()> {
        let kind = self.get(from)?.kind;
        if from == to {
            return Ok(());
        }
        if to.is_within(from) {
            return fail(ErrorKind::BadRequest, from, "cannot go into itself");
        }
        let replaced = self.at(to)?.map(|node| (node.kind, node.bytes.len() as u64));
        match (kind, replaced) {
            (_, None) => {}
            (_, Some(_)) if no_clobber => return fail(ErrorKind::Exists, to, "already there"),
            (EntryKind::Dir, Some((EntryKind::Dir, _))) if self.inside(to).next().is_some() => {
                return fail(ErrorKind::NotEmpty, to, "folder is not empty");
            }
            (EntryKind::Dir, Some((EntryKind::Dir, _))) => {}
            (EntryKind::Dir, Some(_)) => return fail(ErrorKind::NotDirectory, to, "not a folder"),
            (_, Some((EntryKind::Dir, _))) => return fail(ErrorKind::IsDirectory, to, "is a folder"),
            (_, Some((_, size))) => self.usage.remove(size),
        }
        let moved: Vec<HomePath> = self.nodes.keys().filter(|path| path.is_within(from)).cloned().collect();
        for old in moved {
            let mut new = to.clone();
            for name in old.names().skip(from.names().count()) {
                new = new.join(name)?;
            }
            if let Some(node) = self.nodes.remove(&old) {
                self.nodes.insert(new, node);
            }
        }
        Ok(())
    }

    /// Lists the uploads that can be gone on with: those of a declared size.
    pub(super) fn partials(&self) -> Vec<Partial> {
        let kept = self.parts.iter().filter(|(_, part)| part.request.size.is_some());
        kept.map(|(id, part)| Partial {
            id: id.clone(),
            path: part.request.path.clone(),
            size: part.request.size,
            received: part.bytes.len() as u64,
            expires: part.expires,
        })
        .collect()
    }

    pub(super) fn remove_partial(&mut self, id: &str) -> Result<()> {
        match self.parts.remove(id) {
            Some(part) => {
                self.usage.release(part.reserved);
                Ok(())
            }
            None => Err(Error::not_found(format!(
                "{}: no such upload",
                ferry_core::text::escape(id.as_bytes())
            ))),
        }
    }

    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.nodes.iter().filter(|(_, node)| node.kind == EntryKind::File);
        files.map(|(path, node)| (path.to_string(), node.bytes.to_vec())).collect()
    }

    pub(super) fn folders(&self) -> Vec<String> {
        let folders = self
            .nodes
            .iter()
            .filter(|(path, node)| node.kind == EntryKind::Dir && !path.is_root());
        folders.map(|(path, _)| path.to_string()).collect()
    }
}

fn entry(path: &HomePath, node: &Node) -> Entry {
    Entry {
        name: path.name().unwrap_or_default().to_vec(),
        kind: node.kind,
        size: node.bytes.len() as u64,
        modified: node.modified,
        executable: node.executable,
        version: node.version,
        digest: node.digest,
    }
}

/// The file at `path` as a transfer tells of it.
pub(super) fn file_info(path: &HomePath, node: &Node, digest: Option<Digest>) -> FileInfo {
    FileInfo {
        path: path.into(),
        size: node.bytes.len() as u64,
        modified: node.modified,
        executable: node.executable,
        digest,
        version: node.version,
    }
}
