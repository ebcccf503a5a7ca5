//! Small files that are here whole: written, flushed and given their names together, as many as wait.
//!
//! For each of them the order is that of every file: proof, contents, flush, name. All of them are written first, and the kernel
//! is asked to begin writing each of them to the disk, so that the first flush finds all of them in one transaction of the file
//! system's journal. The folders are still to be made durable.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use async_channel::Sender;
use ferry_core::context::check_end;
use ferry_core::rt::{self, Batches};
use ferry_core::wire::message::End;
use rustix::fs::{Advice, fadvise};

use super::{New, Part};
use crate::exit::{Failure, Result};
use crate::local::shown;

/// The most files of one batch, and the most threads that store them: as on the server's side.
const BATCH_FILES: usize = 32;
const BATCH_THREADS: usize = 2;

/// A small file with all that is in it.
#[derive(Debug)]
pub struct SmallFile {
    /// Where it goes.
    pub target: PathBuf,
    /// Its bytes.
    pub contents: Vec<u8>,
    /// Their size and digest, as the server told them.
    pub end: End,
    /// What it gets besides.
    pub new: New,
    /// Whether nothing of its name is replaced.
    pub no_clobber: bool,
}

/// A file to be stored, and who waits for it.
#[derive(Debug)]
pub struct Job(SmallFile, Sender<Result<()>>);

/// Where small files wait to be stored.
pub type SmallFiles = Batches<Job>;

/// A place for the small files of one command.
pub fn small_files() -> Arc<SmallFiles> {
    Batches::new(BATCH_FILES, BATCH_THREADS, store_all)
}

/// Stores a small file, together with others that come at the same time.
///
/// # Errors
/// As [`Part::open`] and [`Part::publish`].
pub async fn store(files: &Arc<SmallFiles>, file: SmallFile) -> Result<()> {
    let (answer, answered) = async_channel::bounded(1);
    files.push(Job(file, answer));
    let broken = |_| Err(Failure::unexpected("a writer that has ended"));
    answered.recv().await.unwrap_or_else(broken)
}

fn store_all(jobs: Vec<Job>) {
    let parts: Vec<Result<Part>> = jobs.iter().map(|Job(file, _)| stage(file)).collect();
    // Several at a time: each flush but the first makes the device empty its cache, and that is waited for together.
    let flushed = rt::together(parts, |part| part.map(|part| (part.file.sync_all(), part)));
    let checked = |(job, flushed): (&Job, Result<(io::Result<()>, Part)>)| {
        let (result, part) = flushed?;
        part.flush_by(|_| result, &job.0.target)
    };
    let parts: Vec<Result<Part>> = jobs.iter().zip(flushed).map(checked).collect();
    for (Job(file, answer), part) in jobs.into_iter().zip(parts) {
        let named = part.and_then(|part| part.rename(&file.target, file.no_clobber));
        // Nobody may wait for it any more.
        let _ = answer.try_send(named);
    }
}

/// Proves a file and writes it into its part.
fn stage(file: &SmallFile) -> Result<Part> {
    let algorithm = file.end.digest.algorithm();
    check_end(&file.end, file.contents.len() as u64, algorithm.digest(&file.contents))?;
    let mut part = match Part::make(&file.target, algorithm)? {
        Some(part) => part,
        None => {
            let mut part = Part::open(&file.target, algorithm)?;
            part.restart(algorithm).map_err(|error| part.failed(error))?;
            part
        }
    };
    let written = part.file.write_all(&file.contents).and_then(|()| part.dress(file.new));
    written.map_err(|error| Failure::local(shown(&file.target), error))?;
    // For dirty pages this means to begin writing them. It neither waits nor takes a failure away from the flush.
    let _ = fadvise(&part.file, 0, None, Advice::DontNeed);
    Ok(part)
}

#[cfg(test)]
mod tests {
    use ferry_core::{Algorithm, ErrorKind};

    use super::*;
    use crate::part::part_of;

    fn file(target: PathBuf, contents: &[u8]) -> SmallFile {
        SmallFile {
            target,
            contents: contents.to_vec(),
            end: End {
                id: 0,
                size: contents.len() as u64,
                digest: Algorithm::Md5.digest(contents),
            },
            new: New {
                modified: Some(1_000_000_000),
                executable: false,
            },
            no_clobber: false,
        }
    }

    #[test]
    fn each_of_a_batch_ends_as_itself() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("old"), b"old").unwrap();
        std::fs::write(at("kept"), b"kept").unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(part_of(&at("part")), b"from an earlier try").unwrap();
        let files = small_files();
        let mut wrong = file(at("wrong"), b"abc");
        wrong.end.digest = Algorithm::Md5.digest(b"abd");
        let spared = SmallFile {
            no_clobber: true,
            ..file(at("kept"), b"new")
        };
        let jobs = [
            file(at("new"), b"abc"),
            wrong,
            file(at("old"), b"newer"),
            spared,
            file(at("folder"), b"abc"),
            file(at("part"), b"abc"),
            file(at("nowhere/f"), b"abc"),
            file(at("empty"), b""),
        ];
        let ends = rt::block_on(async {
            let waits: Vec<_> = jobs
                .into_iter()
                .map(|file| {
                    let files = files.clone();
                    rt::spawn(async move { store(&files, file).await.map_err(|failure| failure.error.kind) })
                })
                .collect();
            let mut ends = Vec::new();
            for wait in waits {
                ends.push(wait.await);
            }
            ends
        });
        let is = |at: usize, kind: ErrorKind| ends[at] == Err(kind);
        assert!([0, 2, 5, 7].iter().all(|at| ends[*at].is_ok()), "{ends:?}");
        assert!(
            is(1, ErrorKind::DigestMismatch) && is(3, ErrorKind::Exists) && is(4, ErrorKind::IsDirectory),
            "{ends:?}"
        );
        assert!(is(6, ErrorKind::NotFound), "{ends:?}");
        let read = |name: &str| std::fs::read(at(name)).unwrap();
        assert_eq!(
            [read("new"), read("old"), read("kept"), read("part")],
            [&b"abc"[..], b"newer", b"kept", b"abc"]
        );
        assert!(read("empty").is_empty() && !at("wrong").exists() && !part_of(&at("wrong")).exists());
        let time = std::fs::metadata(at("new")).unwrap().modified().unwrap();
        assert_eq!(time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1);
    }
}
