//! How an upload starts: taking over an unfinished one, recognising a file that is there already, or reserving and beginning.

use std::sync::Arc;

use ferry_core::store::{FileInfo, Start, Upload, UploadRequest};
use ferry_core::{Algorithm, Error, ErrorKind, Result};
use rustix::fs::Stat;
use twox_hash::XxHash3_64;

use crate::home::Inner;
use crate::jail::{check_regular, counted, executable, failed, modified, version};
use crate::source::hash_prefix;
use crate::staging::Slot;
use crate::upload::{LocalUpload, Present};
use crate::writer::Writer;
use crate::{lock, now};

/// How often the start is tried again when others finish, remove or take over the same upload at the same moment.
const CLAIM_TRIES: usize = 64;

/// Opens an upload; see [`Home::upload`](ferry_core::store::Home::upload).
pub(crate) fn open_upload(inner: &Arc<Inner>, request: UploadRequest) -> Result<Box<dyn Upload>> {
    if request.fresh {
        // What cannot be uploaded throws nothing away.
        check_target(inner, &request)?;
    }
    let expired = lock(&inner.books).remove_expired(now());
    inner.discard(expired);
    for _ in 0..CLAIM_TRIES {
        if request.fresh {
            let earlier = lock(&inner.books).remove_path(&request.path);
            inner.discard(earlier);
        }
        // Looked up under its lock: a commit that was under way may have put a file there.
        let found = lock(&inner.books).find(&request);
        if let Some(slot) = found {
            if let Some(upload) = take_over(inner, &slot, &request)? {
                return Ok(upload);
            }
            continue;
        }
        let target = check_target(inner, &request)?;
        if let Some(present) = present(inner, &request, target.as_ref())? {
            return Ok(Box::new(present));
        }
        if let Some(upload) = begin(inner, &request, target.is_some())? {
            return Ok(upload);
        }
    }
    let text = format!("{}: is being uploaded by somebody else", request.path);
    Err(Error::new(ErrorKind::Busy, text).at(&request.path).hint("try again"))
}

/// What is at the target now.
///
/// # Errors
/// `not_found` without the folder, `is_directory`, `denied` for what is no regular file, `exists` with `no_clobber`.
fn check_target(inner: &Inner, request: &UploadRequest) -> Result<Option<Stat>> {
    let path = &request.path;
    let stat = inner.jail.new_place(path)?.stat().map_err(|errno| failed(path, errno))?;
    if let Some(stat) = &stat {
        check_regular(path, stat)?;
        if request.no_clobber {
            return Err(Error::exists(format!("{path}: already there")).at(path));
        }
    }
    Ok(stat)
}

/// Takes an unfinished upload over; `None` when it was finished or removed meanwhile.
fn take_over(inner: &Arc<Inner>, slot: &Arc<Slot>, request: &UploadRequest) -> Result<Option<Box<dyn Upload>>> {
    inner.settle(&slot.id);
    let mut lane = lock(&slot.lane);
    let target = check_target(inner, request)?;
    if lane.is_gone {
        return Ok(None);
    }
    let Some((lease, expected, first)) = lock(&inner.books).take_over(&slot.id, request) else {
        return Ok(None);
    };
    // From here on the earlier owner cannot write any more.
    lane.lease = lease;
    if let Some(chunk) = first {
        // A failure leaves what was there before: as if these bytes had not come.
        let _ = inner.staging.append(slot, &mut lane, &chunk);
    }
    // The new owner is told how much is held: that much must outlive a crash, under his name.
    inner.keep(slot, &mut lane, (&request.path, request.size, expected));
    drop(lane);
    let mut writer = writer(inner, slot, lease, (request, target.is_some()));
    writer.request.expected = expected;
    let start = writer.resume();
    // Also when the bytes cannot be read: dropping the upload gives the lease back.
    let upload = LocalUpload::new(writer, *start.as_ref().unwrap_or(&Start::BEGINNING));
    start?;
    Ok(Some(Box::new(upload)))
}

/// Reserves the declared size and starts anew; `None` when somebody else was quicker.
fn begin(inner: &Arc<Inner>, request: &UploadRequest, replaces: bool) -> Result<Option<Box<dyn Upload>>> {
    let slot = Arc::new(Slot::new(now()).map_err(|errno| failed(&request.path, errno))?);
    let mut books = lock(&inner.books);
    if books.find(request).is_some() {
        return Ok(None);
    }
    let replaced = books.start(slot.clone(), request)?;
    drop(books);
    inner.discard(replaced);
    let writer = writer(inner, &slot, 0, (request, replaces));
    Ok(Some(Box::new(LocalUpload::new(writer, Start::BEGINNING))))
}

fn writer(inner: &Arc<Inner>, slot: &Arc<Slot>, lease: u64, (request, replaces): (&UploadRequest, bool)) -> Writer {
    Writer {
        inner: inner.clone(),
        slot: slot.clone(),
        lease,
        hasher: request.algorithm.hasher(),
        checksum: (request.algorithm == Algorithm::Md5).then(XxHash3_64::new),
        request: request.clone(),
        replaces,
    }
}

/// Recognises a file that may be the one which is to be sent: same size, time and mode. Only its BLAKE3 digest says so for sure,
/// and the client compares that.
fn present(inner: &Arc<Inner>, request: &UploadRequest, target: Option<&Stat>) -> Result<Option<Present>> {
    let path = &request.path;
    let looks_same = |stat: &&Stat| {
        let same = (Some(counted(stat)), Some(modified(stat)), executable(stat));
        counted(stat) > 0 && same == (request.size, request.modified, request.executable)
    };
    if request.fresh || target.filter(looks_same).is_none() {
        return Ok(None);
    }
    let (file, stat) = inner.jail.file(path)?;
    if !looks_same(&&stat) {
        return Ok(None);
    }
    let (mut proof, mut hasher) = (Algorithm::Blake3.hasher(), request.algorithm.hasher());
    let size = counted(&stat);
    hash_prefix(&file, size, &mut [&mut proof, &mut hasher]).map_err(|error| Error::from_io(path, error).at(path))?;
    let digest = hasher.finish();
    let is_expected = |expected| expected == digest || expected == proof.finish();
    if !request.expected.is_none_or(is_expected) {
        return Ok(None);
    }
    Ok(Some(Present {
        inner: inner.clone(),
        path: path.clone(),
        proof: proof.finish(),
        file: FileInfo {
            path: path.into(),
            size,
            modified: modified(&stat),
            executable: executable(&stat),
            digest: Some(digest),
            version: version(&stat),
        },
    }))
}
