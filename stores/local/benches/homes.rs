//! What a home's operations cost one by one: `cargo bench -p ferry-store-local --bench homes`; `TMPDIR` says on which file system.
#![allow(clippy::unwrap_used, reason = "a program for a developer's terminal; a failure ends it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use divan::Bencher;
use ferry_core::store::{Home, Store as _, UploadRequest};
use ferry_core::{Algorithm, Chunk, HomePath, rt};
use ferry_store_local::{Durability, LocalStore, Options};

/// Bytes of each file: 4 KiB.
const CONTENTS: [u8; 4096] = [7; 4096];
/// Entries of the folder that is listed.
const ENTRIES: usize = 10_000;

fn main() {
    divan::main();
}

struct Place {
    home: Arc<dyn Home>,
    next: AtomicU64,
    _store: LocalStore,
    folder: tempfile::TempDir,
}

impl Place {
    fn new(durability: Durability) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path(), Options { durability }).unwrap();
        Self {
            home: rt::block_on(store.home("alice", Some(1 << 40))).unwrap(),
            next: AtomicU64::new(0),
            _store: store,
            folder,
        }
    }

    fn request(&self) -> UploadRequest {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        UploadRequest {
            size: Some(CONTENTS.len() as u64),
            ..UploadRequest::new(HomePath::parse(&format!("/{number}")).unwrap())
        }
    }

    async fn upload(&self) {
        let mut upload = self.home.upload(self.request()).await.unwrap();
        upload.write(Chunk::from(&CONTENTS[..])).await.unwrap();
        upload.commit(Algorithm::Md5.digest(&CONTENTS)).await.unwrap();
    }
}

/// The books alone: what is used, reserved and allowed.
#[divan::bench]
fn usage(bencher: Bencher<'_, '_>) {
    let place = Place::new(Durability::Relaxed);
    rt::block_on(place.upload());
    bencher.bench(|| rt::block_on(place.home.usage()).unwrap());
}

/// Reserve, write, check, publish, book: one small file, and no flush.
#[divan::bench]
fn small_file(bencher: Bencher<'_, '_>) {
    let place = Place::new(Durability::Relaxed);
    bencher.bench(|| rt::block_on(place.upload()));
}

/// So many small files at once, flushed together before any of them is acknowledged.
#[divan::bench(args = [1, 8, 32])]
fn flushed_together(bencher: Bencher<'_, '_>, files: usize) {
    let place = Arc::new(Place::new(Durability::Strict));
    bencher.counter(files).bench(|| {
        let started: Vec<_> = (0..files)
            .map(|_| {
                let place = place.clone();
                rt::spawn(async move { place.upload().await })
            })
            .collect();
        rt::block_on(async {
            for task in started {
                task.await;
            }
        });
    });
}

#[divan::bench]
fn listing_of_ten_thousand(bencher: Bencher<'_, '_>) {
    let place = Place::new(Durability::Relaxed);
    let home = place.folder.path().join("homes/alice");
    (0..ENTRIES).for_each(|number| drop(std::fs::File::create(home.join(format!("file-{number}"))).unwrap()));
    bencher.counter(ENTRIES).bench(|| {
        rt::block_on(async {
            let mut listing = place.home.list(&HomePath::root()).await.unwrap();
            let mut found = 0;
            loop {
                let entries = listing.next().await.unwrap();
                if entries.is_empty() {
                    break;
                }
                found += entries.len();
            }
            assert_eq!(found, ENTRIES);
        });
    });
}
