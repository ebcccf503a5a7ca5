//! Reading and writing files in memory.

use std::sync::{Arc, Mutex};

use ferry_core::chunk::{CHUNK_BYTES, Chunk};
use ferry_core::store::{
    CODE_PRESENT, CODE_RESUME, EntryKind, FileInfo, ReadRequest, Source, Start, Upload, UploadRequest, Version,
};
use ferry_core::verb::BoxFuture;
use ferry_core::{Algorithm, Digest, Error, ErrorKind, HomePath, Result};

use super::state::{Node, Part, State, file_info};
use super::{lock, ready};

fn fail<T>(kind: ErrorKind, path: &HomePath, text: &str) -> Result<T> {
    Err(Error::new(kind, format!("{path}: {text}")).at(path))
}

/// Where bytes go on of which the first ones are `held`.
fn resume(held: &[u8]) -> Start {
    if held.is_empty() {
        return Start::BEGINNING;
    }
    Start {
        code: CODE_RESUME,
        offset: held.len() as u64,
        prefix: Some(Algorithm::Blake3.digest(held)),
    }
}

/// [`Home::open`](ferry_core::store::Home::open).
pub(super) fn open(state: &State, request: &ReadRequest) -> Result<Box<dyn Source>> {
    let node = state.get(&request.path)?;
    match node.kind {
        EntryKind::File => {}
        EntryKind::Dir => return fail(ErrorKind::IsDirectory, &request.path, "is a folder"),
        _ => return fail(ErrorKind::Denied, &request.path, "not a regular file"),
    }
    let held = request.held.and_then(|held| {
        let bytes = node.bytes.get(..usize::try_from(held.offset).ok()?)?;
        (Algorithm::Blake3.digest(bytes) == held.prefix).then_some(bytes)
    });
    let mut start = resume(held.unwrap_or_default());
    if start.offset > 0 && start.offset == node.bytes.len() as u64 {
        start.code = CODE_PRESENT;
    }
    Ok(Box::new(MemorySource {
        bytes: node.bytes.clone(),
        at: held.map_or(0, <[u8]>::len),
        start,
        algorithm: request.algorithm,
        file: file_info(&request.path, node, None),
    }))
}

/// A file being read: it keeps the version that it opened.
struct MemorySource {
    bytes: Arc<Vec<u8>>,
    at: usize,
    start: Start,
    algorithm: Algorithm,
    file: FileInfo,
}

impl Source for MemorySource {
    fn start(&self) -> Start {
        self.start
    }

    fn file(&self) -> &FileInfo {
        &self.file
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<Chunk>>> {
        let rest = &self.bytes[self.at..];
        let chunk = (!rest.is_empty()).then(|| Chunk::from(&rest[..rest.len().min(CHUNK_BYTES)]));
        self.at += chunk.as_ref().map_or(0, |chunk| chunk.len());
        ready(Ok(chunk))
    }

    fn digest(&self) -> Digest {
        self.algorithm.digest(&self.bytes)
    }
}

/// Refuses a place where no file can appear.
fn check_place(state: &State, request: &UploadRequest) -> Result<()> {
    match state.at(&request.path)?.map(|node| node.kind) {
        Some(EntryKind::Dir) => fail(ErrorKind::IsDirectory, &request.path, "is a folder"),
        Some(_) if request.no_clobber => fail(ErrorKind::Exists, &request.path, "already there"),
        _ => Ok(()),
    }
}

/// [`Home::upload`](ferry_core::store::Home::upload).
pub(super) fn upload(home: &Arc<Mutex<State>>, request: UploadRequest) -> Result<Box<dyn Upload>> {
    let mut state = lock(home);
    check_place(&state, &request)?;
    let lease = state.count();
    let found = state.parts.iter().find(|(_, part)| is_same(&part.request, &request));
    let mut found = found.map(|(id, _)| id.clone());
    if request.fresh
        && let Some(id) = found.take()
    {
        state.remove_partial(&id)?;
    }
    let expires = state.expiry();
    let id = found.clone().unwrap_or_else(|| format!("{lease:08x}"));
    let (start, present) = if let Some(part) = found.and_then(|id| state.parts.get_mut(&id)) {
        (part.lease, part.expires, part.request) = (lease, expires, request.clone());
        (resume(&part.bytes), None)
    } else if let Some(node) = state.nodes.get(&request.path).filter(|node| may_be_there(node, &request)) {
        let start = resume(&node.bytes);
        (
            Start {
                code: CODE_PRESENT,
                ..start
            },
            Some(node.version),
        )
    } else {
        let reserved = request.size.unwrap_or(0);
        state.usage.reserve(&request.path, reserved)?;
        let part = Part {
            request: request.clone(),
            bytes: Vec::new(),
            reserved,
            lease,
            expires,
        };
        state.parts.insert(id.clone(), part);
        (Start::BEGINNING, None)
    };
    Ok(Box::new(MemoryUpload {
        home: home.clone(),
        id,
        lease,
        start,
        request,
        present,
    }))
}

/// Whether an unfinished upload can be gone on with by a new request. A stream cannot be read again, so it never is.
fn is_same(old: &UploadRequest, new: &UploadRequest) -> bool {
    let expected = old.expected.is_some() && old.expected == new.expected;
    old.size.is_some() && old.size == new.size && (old.path == new.path || expected)
}

/// Whether the file that is there may have the bytes that are to be sent.
fn may_be_there(node: &Node, request: &UploadRequest) -> bool {
    let same_digest = |digest: Digest| digest.algorithm().digest(&node.bytes) == digest;
    !request.fresh
        && node.kind == EntryKind::File
        && request.size == Some(node.bytes.len() as u64)
        && request.modified == Some(node.modified)
        && request.expected.is_none_or(same_digest)
}

/// An upload being written.
struct MemoryUpload {
    home: Arc<Mutex<State>>,
    id: String,
    lease: u64,
    start: Start,
    request: UploadRequest,
    /// The version of the file that is there and may have the same bytes.
    present: Option<Version>,
}

impl Drop for MemoryUpload {
    /// Nobody can go on with a stream: what came of it goes away with it.
    fn drop(&mut self) {
        let mut state = lock(&self.home);
        if self.request.size.is_none() && state.parts.get(&self.id).is_some_and(|part| part.lease == self.lease) {
            // It is there, so removing it cannot fail.
            let _ = state.remove_partial(&self.id);
        }
    }
}

impl MemoryUpload {
    fn write_now(&mut self, chunk: &[u8]) -> Result<()> {
        let mut state = lock(&self.home);
        if self.present.is_some() {
            return fail(ErrorKind::TooLarge, &self.request.path, "more bytes than were declared");
        }
        let state = &mut *state;
        let part = held(&mut state.parts, self)?;
        let received = part.bytes.len().saturating_add(chunk.len()) as u64;
        if part.request.size.is_some_and(|size| received > size) {
            return fail(ErrorKind::TooLarge, &part.request.path, "more bytes than were declared");
        }
        if received > part.reserved {
            let more = received - part.reserved;
            state.usage.reserve(&part.request.path, more)?;
            part.reserved = received;
        }
        part.bytes.extend_from_slice(chunk);
        Ok(())
    }

    fn commit_now(&self, digest: Digest) -> Result<FileInfo> {
        let mut state = lock(&self.home);
        let path = &self.request.path;
        let proven = |bytes: &[u8]| self.request.algorithm.digest(bytes) == digest;
        if let Some(version) = self.present {
            let node = state.nodes.get_mut(path).filter(|node| node.version == version);
            return match node {
                None => fail(ErrorKind::Changed, path, "was replaced meanwhile"),
                Some(node) if !proven(&node.bytes) => fail(ErrorKind::DigestMismatch, path, "has other contents"),
                Some(node) => {
                    node.modified = self.request.modified.unwrap_or(node.modified);
                    Ok(file_info(path, node, Some(digest)))
                }
            };
        }
        let part = held(&mut state.parts, self)?;
        let received = part.bytes.len() as u64;
        if part.request.size.is_some_and(|size| size != received) {
            return fail(ErrorKind::OffsetMismatch, path, "bytes are missing");
        }
        // From here on there is nothing to go on with: the bytes become the file, or they are of no use.
        let Some(part) = state.parts.remove(&self.id) else {
            return fail(ErrorKind::LeaseLost, path, "was taken over by a newer upload");
        };
        let refused = if proven(&part.bytes) {
            check_place(&state, &self.request)
        } else {
            fail(ErrorKind::DigestMismatch, path, "the contents are not what was sent")
        };
        if let Err(error) = refused {
            state.usage.release(part.reserved);
            return Err(error);
        }
        let replaced = state.nodes.get(path).map_or(0, |node| node.bytes.len() as u64);
        state.usage.commit(part.reserved, received, replaced);
        let fresh = state.node(EntryKind::File);
        let node = Node {
            bytes: Arc::new(part.bytes),
            modified: self.request.modified.unwrap_or(fresh.modified),
            executable: self.request.executable,
            digest: Some(digest),
            ..fresh
        };
        let info = file_info(path, &node, Some(digest));
        state.nodes.insert(path.clone(), node);
        Ok(info)
    }
}

/// The unfinished upload that `upload` still holds.
fn held<'a>(parts: &'a mut std::collections::BTreeMap<String, Part>, upload: &MemoryUpload) -> Result<&'a mut Part> {
    match parts.get_mut(&upload.id).filter(|part| part.lease == upload.lease) {
        Some(part) => Ok(part),
        None => fail(ErrorKind::LeaseLost, &upload.request.path, "was taken over by a newer upload"),
    }
}

impl Upload for MemoryUpload {
    fn id(&self) -> &str {
        let resumable = self.request.size.is_some() && self.present.is_none();
        if resumable { &self.id } else { "" }
    }

    fn start(&self) -> Start {
        self.start
    }

    fn write(&mut self, chunk: Chunk) -> BoxFuture<'_, Result<()>> {
        ready(self.write_now(&chunk))
    }

    fn commit(self: Box<Self>, digest: Digest) -> BoxFuture<'static, Result<FileInfo>> {
        ready(self.commit_now(digest))
    }
}
