//! Uploads: commit, resume, takeover, and what is left when they fail.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;

use ferry_core::store::{CODE_PRESENT, CODE_RESUME, CODE_START, UploadRequest, WholeUpload};
use ferry_core::{Algorithm, Chunk, ErrorKind, Result, rt};

use crate::{Bed, LARGE, bytes, md5, path, put, request, write};

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().unwrap().kind
}

#[test]
fn files_of_every_size_arrive_whole() {
    let bed = Bed::new(None);
    let chunk = ferry_core::chunk::CHUNK_BYTES;
    for size in [0, 1, chunk, chunk + 1, LARGE] {
        let content = bytes(size);
        let file = bed.put("/f", &content).unwrap();
        assert_eq!((file.size, file.digest), (size as u64, Some(md5(&content))));
        assert_eq!(std::fs::read(bed.real("f")).unwrap(), content);
        assert_eq!(rt::block_on(bed.home.stat(&path("/f"))).unwrap().version, file.version);
        assert_eq!(bed.books(), (size as u64, 0));
        assert!(bed.staged().is_empty());
    }
}

#[test]
fn time_and_mode_are_kept_and_nobody_else_may_read() {
    let bed = Bed::new(None);
    for (executable, mode) in [(false, 0o600), (true, 0o700)] {
        let wanted = UploadRequest {
            modified: Some(1_234_567_890_123_456_789),
            executable,
            ..request("/f", 3)
        };
        let file = rt::block_on(put(&*bed.home, wanted, b"abc")).unwrap();
        assert_eq!((file.modified, file.executable), (1_234_567_890_123_456_789, executable));
        assert_eq!(std::fs::metadata(bed.real("f")).unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn nothing_is_seen_before_the_commit() {
    let bed = Bed::new(None);
    let content = bytes(LARGE);
    let mut upload = bed.open(request("/f", LARGE)).unwrap();
    rt::block_on(write(&mut *upload, &content)).unwrap();
    assert!(!bed.real("f").exists());
    rt::block_on(upload.commit(md5(&content))).unwrap();
    assert!(bed.real("f").exists());
}

#[test]
fn an_upload_that_was_dropped_goes_on_where_it_ended() {
    let bed = Bed::new(None);
    for held in [1000, LARGE / 2, LARGE] {
        let content = bytes(LARGE);
        let mut upload = bed.open(request("/f", LARGE)).unwrap();
        rt::block_on(write(&mut *upload, &content[..held])).unwrap();
        let id = upload.id().to_owned();
        drop(upload);
        let partials = rt::block_on(bed.home.partials()).unwrap();
        assert_eq!(partials.len(), 1);
        assert_eq!((partials[0].received, partials[0].size), (held as u64, Some(LARGE as u64)));
        assert_eq!((&partials[0].id, &partials[0].path), (&id, &path("/f")));
        let mut upload = bed.open(request("/f", LARGE)).unwrap();
        let start = upload.start();
        assert_eq!(
            (start.code, start.offset, upload.id()),
            (CODE_RESUME, held as u64, id.as_str())
        );
        assert_eq!(start.prefix, Some(Algorithm::Blake3.digest(&content[..held])));
        rt::block_on(async {
            write(&mut *upload, &content[held..]).await.unwrap();
            upload.commit(md5(&content)).await.unwrap();
        });
        assert_eq!(std::fs::read(bed.real("f")).unwrap(), content);
        assert!(rt::block_on(bed.home.partials()).unwrap().is_empty());
        rt::block_on(bed.home.remove_file(&path("/f"))).unwrap();
        assert_eq!(bed.books(), (0, 0));
    }
}

#[test]
fn an_upload_without_a_byte_leaves_nothing() {
    let bed = Bed::new(Some(10));
    for _ in 0..3 {
        drop(bed.open(request("/f", 10)).unwrap());
        assert_eq!(bed.books(), (0, 0));
        assert!(rt::block_on(bed.home.partials()).unwrap().is_empty());
    }
}

#[test]
fn a_stream_that_broke_off_is_gone_and_its_name_is_free() {
    let bed = Bed::new(Some(2 * LARGE as u64));
    let stream = |at| UploadRequest {
        size: None,
        ..request(at, 0)
    };
    for held in [0, 1000, LARGE] {
        let mut upload = bed.open(stream("/f")).unwrap();
        assert_eq!(upload.id(), "", "there is nothing to go on with later");
        rt::block_on(write(&mut *upload, &bytes(held))).unwrap();
        drop(upload);
        assert_eq!(bed.books(), (0, 0));
        assert!(rt::block_on(bed.home.partials()).unwrap().is_empty());
        let file = rt::block_on(put(&*bed.home, stream("/f"), b"hello")).unwrap();
        assert_eq!(file.size, 5);
        rt::block_on(bed.home.remove_file(&path("/f"))).unwrap();
    }
}

#[test]
fn a_partial_is_found_by_its_digest_under_another_name() {
    let bed = Bed::new(None);
    let content = bytes(LARGE);
    let named = |at| UploadRequest {
        expected: Some(md5(&content)),
        ..request(at, LARGE)
    };
    let mut upload = bed.open(named("/a")).unwrap();
    rt::block_on(write(&mut *upload, &content[..LARGE / 2])).unwrap();
    // While it is under way, a second copy goes its own way.
    assert_eq!(bed.open(named("/b")).unwrap().start().code, CODE_START);
    drop(upload);
    let mut upload = bed.open(named("/b")).unwrap();
    assert_eq!((upload.start().code, upload.start().offset), (CODE_RESUME, LARGE as u64 / 2));
    rt::block_on(async {
        write(&mut *upload, &content[LARGE / 2..]).await.unwrap();
        upload.commit(md5(&content)).await.unwrap();
    });
    assert!(bed.real("b").exists() && !bed.real("a").exists());
    assert_eq!(bed.books(), (LARGE as u64, 0));
}

#[test]
fn bytes_still_on_their_way_to_the_disk_are_found_too() {
    let bed = Bed::new(None);
    for i in 0..50 {
        let named = |at| UploadRequest {
            expected: Some(md5(format!("{i}").as_bytes())),
            ..request(at, 10)
        };
        let mut upload = bed.open(named("/a")).unwrap();
        rt::block_on(async {
            upload.write(Chunk::from(&b"ab"[..])).await.unwrap();
            upload.write(Chunk::from(&b"cd"[..])).await.unwrap();
        });
        drop(upload);
        assert_eq!(bed.open(named(&format!("/b{i}"))).unwrap().start().offset, 4);
    }
}

#[test]
fn a_fresh_upload_throws_away_what_was_there() {
    let bed = Bed::new(Some(LARGE as u64));
    let content = bytes(LARGE);
    let mut upload = bed.open(request("/f", LARGE)).unwrap();
    rt::block_on(write(&mut *upload, &content[..LARGE / 2])).unwrap();
    let fresh = UploadRequest {
        fresh: true,
        ..request("/f", LARGE)
    };
    let newer = bed.open(fresh).unwrap();
    assert_eq!(newer.start().code, CODE_START);
    assert_eq!(kind(rt::block_on(write(&mut *upload, &content[..1]))), ErrorKind::LeaseLost);
    assert_eq!(bed.usage().reserved, LARGE as u64);
}

#[test]
fn a_newer_upload_takes_over_and_the_older_one_can_do_nothing() {
    let bed = Bed::new(Some(LARGE as u64));
    let content = bytes(LARGE);
    rt::block_on(async {
        // At each stage of the older one: nothing written, one chunk in memory, a thread running.
        for chunks in [0, 1, 2] {
            let mut older = bed.home.upload(request("/f", LARGE)).await.unwrap();
            for _ in 0..chunks {
                older.write(Chunk::from(&[0; 1000][..])).await.unwrap();
            }
            let mut newer = bed.home.upload(request("/f", LARGE)).await.unwrap();
            // What was taken from the older one is not lost.
            let offset = usize::try_from(newer.start().offset).unwrap();
            assert_eq!(offset, chunks * 1000);
            assert_eq!(kind(older.write(Chunk::from(&[1; 1000][..])).await), ErrorKind::LeaseLost);
            assert_eq!(kind(older.commit(md5(b"")).await), ErrorKind::LeaseLost);
            let partial: Vec<u8> = [vec![0; offset], content[offset..].to_vec()].concat();
            write(&mut *newer, &partial[offset..]).await.unwrap();
            newer.commit(md5(&partial)).await.unwrap();
            assert_eq!(std::fs::read(bed.real("f")).unwrap(), partial);
            bed.home.remove_file(&path("/f")).await.unwrap();
        }
    });
    assert_eq!(bed.books(), (0, 0));
    assert!(bed.staged().is_empty());
}

#[test]
fn wrong_bytes_are_thrown_away() {
    let bed = Bed::new(None);
    bed.put("/f", b"old").unwrap();
    for size in [0, 3, LARGE] {
        let mut upload = bed.open(request("/f", size)).unwrap();
        rt::block_on(write(&mut *upload, &bytes(size))).unwrap();
        assert_eq!(kind(rt::block_on(upload.commit(md5(b"other")))), ErrorKind::DigestMismatch);
        assert_eq!(std::fs::read(bed.real("f")).unwrap(), b"old");
        assert!(rt::block_on(bed.home.partials()).unwrap().is_empty() && bed.staged().is_empty());
        assert_eq!(bed.books(), (3, 0));
    }
}

#[test]
fn missing_bytes_can_still_be_sent() {
    let bed = Bed::new(None);
    for (size, held) in [(10, 4), (LARGE, LARGE - 1)] {
        let content = bytes(size);
        let mut upload = bed.open(request("/f", size)).unwrap();
        rt::block_on(write(&mut *upload, &content[..held])).unwrap();
        assert_eq!(kind(rt::block_on(upload.commit(md5(&content)))), ErrorKind::OffsetMismatch);
        assert!(!bed.real("f").exists());
        assert_eq!(bed.open(request("/f", size)).unwrap().start().offset, held as u64);
        bed.put("/f", &content).unwrap();
        rt::block_on(bed.home.remove_file(&path("/f"))).unwrap();
    }
}

#[test]
fn more_bytes_than_announced_are_refused() {
    let bed = Bed::new(None);
    let mut upload = bed.open(request("/f", 3)).unwrap();
    assert_eq!(kind(rt::block_on(write(&mut *upload, b"four"))), ErrorKind::TooLarge);
    rt::block_on(write(&mut *upload, b"abc")).unwrap();
    assert_eq!(kind(rt::block_on(write(&mut *upload, b"d"))), ErrorKind::TooLarge);
    rt::block_on(upload.commit(md5(b"abc"))).unwrap();
}

#[test]
fn targets_that_cannot_be_files_are_refused_before_the_first_byte() {
    let bed = Bed::new(Some(10));
    rt::block_on(bed.home.make_dir(&path("/d"))).unwrap();
    bed.put("/f", b"abc").unwrap();
    assert_eq!(kind(bed.open(request("/d", 1))), ErrorKind::IsDirectory);
    assert_eq!(kind(bed.open(request("/", 1))), ErrorKind::IsDirectory);
    assert_eq!(kind(bed.open(request("/none/f", 1))), ErrorKind::NotFound);
    assert_eq!(kind(bed.open(request("/f/g", 1))), ErrorKind::NotDirectory);
    let careful = UploadRequest {
        no_clobber: true,
        ..request("/f", 1)
    };
    assert_eq!(kind(bed.open(careful)), ErrorKind::Exists);
    assert_eq!(bed.books(), (3, 0));
}

#[test]
fn the_same_file_is_recognised_by_its_bytes_and_not_by_name_and_size() {
    let bed = Bed::new(Some(LARGE as u64));
    let content = bytes(LARGE);
    let timed = |ns| UploadRequest {
        modified: Some(ns),
        ..request("/f", LARGE)
    };
    let file = rt::block_on(put(&*bed.home, timed(1000), &content)).unwrap();
    let inode = || std::fs::metadata(bed.real("f")).unwrap().ino();
    let before = inode();
    let present = bed.open(timed(1000)).unwrap();
    let start = present.start();
    assert_eq!((start.code, start.offset), (CODE_PRESENT, LARGE as u64));
    assert_eq!(start.prefix, Some(Algorithm::Blake3.digest(&content)));
    assert_eq!(rt::block_on(present.commit(md5(&content))).unwrap(), file);
    let present = bed.open(timed(1000)).unwrap();
    assert_eq!(kind(rt::block_on(present.commit(md5(b"other")))), ErrorKind::DigestMismatch);
    let mut present = bed.open(timed(1000)).unwrap();
    assert_eq!(kind(rt::block_on(write(&mut *present, b"x"))), ErrorKind::TooLarge);
    assert_eq!(inode(), before);
    assert_eq!(bed.books(), (LARGE as u64, 0));
    // Another time, or the wish to send it afresh, and it is sent: here over quota.
    let fresh = UploadRequest {
        fresh: true,
        ..timed(1000)
    };
    for wanted in [timed(2000), request("/f", LARGE), fresh] {
        assert_eq!(kind(bed.open(wanted)), ErrorKind::OverQuota);
    }
}

#[test]
fn a_file_that_came_meanwhile_is_not_replaced_unseen() {
    let bed = Bed::new(None);
    let mut upload = bed.open(request("/f", 3)).unwrap();
    rt::block_on(write(&mut *upload, b"new")).unwrap();
    std::fs::write(bed.real("f"), "").unwrap();
    assert_eq!(kind(rt::block_on(upload.commit(md5(b"new")))), ErrorKind::Exists);
    // Asked again, the client has seen it.
    bed.put("/f", b"new").unwrap();
    assert_eq!(bed.books(), (3, 0));
}

#[test]
fn of_uploads_to_one_new_name_without_clobber_exactly_one_wins() {
    let bed = Bed::new(None);
    let tasks: Vec<_> = (0..32)
        .map(|i: u8| {
            let home = bed.home.clone();
            // Different sizes: they are different uploads, not one that is taken over.
            let content = vec![i; usize::from(i) + 1];
            let wanted = UploadRequest {
                no_clobber: true,
                ..request("/f", content.len())
            };
            rt::spawn(async move { put(&*home, wanted, &content).await.map_err(|error| error.kind) })
        })
        .collect();
    let results: Vec<_> = rt::block_on(async {
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await);
        }
        results
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(
        results
            .iter()
            .all(|result| result.is_ok() || *result.as_ref().unwrap_err() == ErrorKind::Exists)
    );
    let size = results.iter().flatten().next().unwrap().size;
    let partials = rt::block_on(bed.home.partials()).unwrap();
    let reserved = partials.iter().map(|partial| partial.size.unwrap()).sum();
    assert_eq!(bed.books(), (size, reserved));
}

#[test]
fn an_unfinished_upload_is_removed_by_its_id_alone() {
    let bed = Bed::new(None);
    let mut upload = bed.open(request("/f", LARGE)).unwrap();
    rt::block_on(write(&mut *upload, &bytes(LARGE / 2))).unwrap();
    for id in ["", "..", "../alice", "0123456789abcdef", "0123456789ABCDEF", "x"] {
        assert_eq!(kind(rt::block_on(bed.home.remove_partial(id))), ErrorKind::NotFound, "{id}");
    }
    let id = upload.id().to_owned();
    rt::block_on(bed.home.remove_partial(&id)).unwrap();
    assert_eq!(bed.books(), (0, 0));
    assert!(rt::block_on(bed.home.partials()).unwrap().is_empty());
    assert_eq!(kind(rt::block_on(upload.commit(md5(b"")))), ErrorKind::LeaseLost);
    assert!(bed.staged().is_empty() && !bed.real("f").exists());
}

#[test]
fn an_upload_whose_folder_went_away_is_kept() {
    let bed = Bed::new(None);
    rt::block_on(bed.home.make_dir(&path("/d"))).unwrap();
    let mut upload = bed.open(request("/d/f", 3)).unwrap();
    rt::block_on(write(&mut *upload, b"abc")).unwrap();
    rt::block_on(bed.home.remove_dir(&path("/d"))).unwrap();
    assert_eq!(kind(rt::block_on(upload.commit(md5(b"abc")))), ErrorKind::NotFound);
    assert_eq!(bed.books(), (0, 3));
    rt::block_on(bed.home.make_dir(&path("/d"))).unwrap();
    assert_eq!(bed.open(request("/d/f", 3)).unwrap().start().offset, 3);
}

/// Small files stored at the same time, as many as a batch and more, into several folders.
#[test]
fn whole_files_leave_nothing_in_staging_however_they_end() {
    let bed = Bed::new(Some(100_000));
    for folder in ["/a", "/b"] {
        rt::block_on(bed.home.make_dir(&path(folder))).unwrap();
    }
    let store = |at: String, contents: Vec<u8>, digest| {
        let home = bed.home.clone();
        let whole = WholeUpload {
            request: request(&at, contents.len()),
            contents: Arc::new(Chunk::from(&contents[..])),
            digest,
            spare_same: false,
        };
        rt::spawn(async move { home.store(whole).await.map(drop).map_err(|error| error.kind) })
    };
    let ends = rt::block_on(async {
        let tasks: Vec<_> = (0..150)
            .map(|n: usize| {
                let contents = vec![7; n];
                let digest = md5(if n.is_multiple_of(5) { b"other" } else { &contents });
                store(
                    format!("/{}/{n}", if n.is_multiple_of(2) { "a" } else { "b" }),
                    contents,
                    digest,
                )
            })
            .collect();
        let mut ends = Vec::new();
        for task in tasks {
            ends.push(task.await);
        }
        ends
    });
    for (n, end) in ends.iter().enumerate() {
        assert_eq!(
            *end,
            if n.is_multiple_of(5) {
                Err(ErrorKind::DigestMismatch)
            } else {
                Ok(())
            },
            "{n}"
        );
    }
    assert!(bed.staged().is_empty());
    assert_eq!(bed.books(), ((0..150).filter(|n: &u64| !n.is_multiple_of(5)).sum::<u64>(), 0));
}

#[test]
fn a_whole_file_throws_away_what_an_earlier_try_left_of_it() {
    let bed = Bed::new(None);
    let mut upload = rt::block_on(bed.home.upload(request("/f", LARGE))).unwrap();
    rt::block_on(write(&mut *upload, &bytes(LARGE / 2))).unwrap();
    drop(upload);
    let whole = WholeUpload {
        request: request("/f", 3),
        contents: Arc::new(Chunk::from(&b"abc"[..])),
        digest: md5(b"abc"),
        spare_same: false,
    };
    rt::block_on(bed.home.store(whole)).unwrap();
    assert!(rt::block_on(bed.home.partials()).unwrap().is_empty());
    assert_eq!((bed.books(), bed.staged().len()), ((3, 0), 0));
}
