//! Small files: uploads a second, by how many are in flight, strict and relaxed, beside a plain loop of fsync per file.
//!
//! `cargo bench -p ferry-store-local --bench small_files -- [FOLDER]`: the folder says which file system; the one for
//! temporary files when absent. Ratios count, not the figures.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for a developer's terminal; a failure ends it"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferry_core::store::{Store as _, UploadRequest};
use ferry_core::{Algorithm, Chunk, HomePath, rt};
use ferry_store_local::{Durability, LocalStore, Options};

/// Bytes of each file: 4 KiB.
const SIZE: usize = 4096;
/// How long one figure is measured.
const SPAN: Duration = Duration::from_millis(1500);
/// How often all is measured; the median counts.
const ROUNDS: usize = 3;

fn main() {
    let parent = std::env::args_os()
        .skip(1)
        .find(|arg| !arg.to_string_lossy().starts_with("--"));
    let parent = parent.map_or_else(std::env::temp_dir, PathBuf::from);
    println!("files of {SIZE} bytes a second in {}", parent.display());
    println!("fsync per file, one after the other: {:.0}", median(|| plain(&parent)));
    for tasks in [1, 8, 32, 64] {
        let mut both = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (durability, figures) in [Durability::Relaxed, Durability::Strict].into_iter().zip(&mut both) {
                figures.push(rt::block_on(uploads(&parent, durability, tasks)));
            }
        }
        let [relaxed, strict] = both.map(middle);
        println!(
            "{tasks:>3} in flight: relaxed {relaxed:>6.0}, strict {strict:>6.0} ({:.2} x)",
            strict / relaxed
        );
    }
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    middle((0..ROUNDS).map(|_| measure()).collect())
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// What a careful program does without any sharing: write, flush, rename, flush the folder.
fn plain(parent: &Path) -> f64 {
    let folder = tempfile::tempdir_in(parent).unwrap();
    let handle = std::fs::File::open(folder.path()).unwrap();
    let (begin, mut files) = (Instant::now(), 0_u32);
    while begin.elapsed() < SPAN {
        let draft = folder.path().join("draft");
        let mut file = std::fs::File::create(&draft).unwrap();
        file.write_all(&[7; SIZE]).unwrap();
        file.sync_all().unwrap();
        std::fs::rename(&draft, folder.path().join(files.to_string())).unwrap();
        handle.sync_all().unwrap();
        files += 1;
    }
    f64::from(files) / begin.elapsed().as_secs_f64()
}

async fn uploads(parent: &Path, durability: Durability, tasks: usize) -> f64 {
    let folder = tempfile::tempdir_in(parent).unwrap();
    let store = LocalStore::open(folder.path(), Options { durability }).unwrap();
    let home = store.home("alice", None).await.unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let digest = Algorithm::Md5.digest(&[7; SIZE]);
    let begin = Instant::now();
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let (home, next) = (home.clone(), next.clone());
            rt::spawn(async move {
                while begin.elapsed() < SPAN {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let request = UploadRequest {
                        size: Some(SIZE as u64),
                        modified: Some(1_700_000_000_000_000_000),
                        fresh: false,
                        ..UploadRequest::new(HomePath::parse(&format!("/{number}")).unwrap())
                    };
                    let mut upload = home.upload(request).await.unwrap();
                    upload.write(Chunk::from(&[7; SIZE][..])).await.unwrap();
                    upload.commit(digest).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    let files = u32::try_from(next.load(Ordering::Relaxed)).unwrap();
    f64::from(files) / begin.elapsed().as_secs_f64()
}
