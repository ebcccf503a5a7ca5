//! What outlives the server: ledger and unfinished uploads.

use ferry_core::store::{CODE_RESUME, Partial, Store as _, UploadRequest};
use ferry_core::{Algorithm, Chunk, ErrorKind, rt};
use ferry_store_local::{LocalStore, Options};

use crate::{Bed, LARGE, bytes, md5, path, request, write};

#[test]
fn a_ledger_closed_in_good_order_is_believed_and_one_left_open_is_not() {
    let bed = Bed::new(None);
    bed.put("/f", b"12345").unwrap();
    let ledger = bed.folder.path().join("ledger/alice");
    assert!(!ledger.exists(), "a ledger that is not right any more must not be there");
    let bed = bed.restart(true);
    assert!(ledger.exists());
    assert_eq!(bed.books(), (5, 0));
    // What is done behind the server's back is not seen while the ledger is believed ...
    std::fs::write(bed.real("g"), "123").unwrap();
    let bed = bed.restart(true);
    assert_eq!(bed.usage().used, 5);
    // ... and is once a change was made and the server ended without writing it down.
    rt::block_on(bed.home.remove_file(&path("/f"))).unwrap();
    assert!(!ledger.exists());
    let bed = bed.restart(false);
    assert_eq!(bed.books(), (3, 0));
}

#[test]
fn a_check_finds_what_was_done_behind_the_servers_back_and_repairs_it() {
    let bed = Bed::new(None);
    bed.put("/f", b"12345").unwrap();
    std::fs::write(bed.real("g"), "123").unwrap();
    let check = |repair| rt::block_on(bed.store.check("alice", repair)).unwrap();
    assert_eq!((check(false).used, check(false).counted), (5, 8));
    assert_eq!((check(true).used, check(true).used), (5, 8));
    assert_eq!(bed.books(), (8, 0));
}

#[test]
fn reading_leaves_the_ledger_alone() {
    let bed = Bed::new(None).restart(true);
    rt::block_on(async {
        bed.home.stat(&path("/")).await.unwrap();
        bed.home.make_dir(&path("/d")).await.unwrap();
        bed.home.remove_dir(&path("/d")).await.unwrap();
    });
    assert!(bed.folder.path().join("ledger/alice").exists());
}

#[test]
fn a_broken_ledger_is_counted_anew() {
    let bed = Bed::new(None);
    bed.put("/f", b"12345").unwrap();
    rt::block_on(bed.store.close()).unwrap();
    std::fs::write(bed.folder.path().join("ledger/alice"), "nonsense").unwrap();
    assert_eq!(bed.restart(false).books(), (5, 0));
}

#[test]
fn a_change_after_closing_is_not_lost() {
    let bed = Bed::new(None);
    rt::block_on(bed.store.close()).unwrap();
    bed.put("/f", b"12345").unwrap();
    assert_eq!(bed.restart(false).books(), (5, 0));
}

#[test]
fn folders_below_folders_are_counted() {
    let bed = Bed::new(None);
    std::fs::create_dir_all(bed.real("a/b/c")).unwrap();
    for name in ["a/1", "a/b/2", "a/b/c/3"] {
        std::fs::write(bed.real(name), [0; 7]).unwrap();
    }
    std::os::unix::fs::symlink("a", bed.real("link")).unwrap();
    assert_eq!(bed.restart(false).books(), (21, 0));
}

#[test]
fn unfinished_uploads_and_their_reservations_outlive_the_server() {
    let bed = Bed::new(None);
    let content = bytes(LARGE);
    let mut upload = bed.open(request("/declared", LARGE)).unwrap();
    rt::block_on(write(&mut *upload, &content[..LARGE / 2])).unwrap();
    drop(upload);
    let before = rt::block_on(bed.home.partials()).unwrap();
    let bed = bed.restart(false);
    let after = rt::block_on(bed.home.partials()).unwrap();
    assert_eq!((before.len(), after.len()), (1, 1));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.id, &before.path), (&after.id, &after.path));
        assert_eq!((before.size, before.received), (after.size, after.received));
    }
    assert_eq!(bed.books(), (0, LARGE as u64));
    let mut upload = bed.open(request("/declared", LARGE)).unwrap();
    assert_eq!((upload.start().code, upload.start().offset), (CODE_RESUME, LARGE as u64 / 2));
    assert_eq!(upload.start().prefix, Some(Algorithm::Blake3.digest(&content[..LARGE / 2])));
    rt::block_on(async {
        write(&mut *upload, &content[LARGE / 2..]).await.unwrap();
        upload.commit(md5(&content)).await.unwrap();
    });
    assert_eq!(bed.books(), (LARGE as u64, 0));
    assert_eq!(std::fs::read(bed.real("declared")).unwrap(), content);
}

/// Changes a byte of an unfinished upload, or of its description, behind the server's back.
fn damage(bed: &Bed, suffix: &str, at: impl Fn(&[u8]) -> usize) {
    let names = bed.staged();
    let name = names
        .iter()
        .find(|name| name.ends_with(".meta") != suffix.is_empty())
        .unwrap();
    let place = bed.folder.path().join("staging/alice").join(name);
    let mut bytes = std::fs::read(&place).unwrap();
    let at = at(&bytes);
    bytes[at] ^= 1;
    std::fs::write(place, bytes).unwrap();
}

/// Sends the second half of a file and commits it; the first half must be there.
fn second_half(bed: &Bed, content: &[u8]) -> ferry_core::Result<()> {
    let half = content.len() / 2;
    let mut upload = bed.open(request("/f", content.len())).unwrap();
    assert_eq!(upload.start().offset, half as u64);
    rt::block_on(async {
        write(&mut *upload, &content[half..]).await?;
        upload.commit(md5(content)).await.map(drop)
    })
}

#[test]
fn bytes_that_changed_on_the_disk_are_found_out_whatever_was_remembered_of_them() {
    for restarts in [false, true] {
        let mut bed = Bed::new(None);
        let content = bytes(LARGE);
        let mut upload = bed.open(request("/f", LARGE)).unwrap();
        rt::block_on(write(&mut *upload, &content[..LARGE / 2])).unwrap();
        drop(upload);
        assert_eq!(rt::block_on(bed.home.partials()).unwrap()[0].received, LARGE as u64 / 2);
        damage(&bed, "", |_| 7);
        if restarts {
            bed = bed.restart(true);
        }
        // This client does not compare, as it should.
        assert_eq!(second_half(&bed, &content).unwrap_err().kind, ErrorKind::DigestMismatch);
        assert_eq!(bed.books(), (0, 0));
    }
}

#[test]
fn the_digest_goes_on_from_where_it_was_and_a_wrong_one_costs_one_try() {
    let bed = Bed::new(None);
    let content = bytes(LARGE);
    let mut upload = bed.open(request("/f", LARGE)).unwrap();
    rt::block_on(write(&mut *upload, &content[..LARGE / 2])).unwrap();
    drop(upload);
    assert_eq!(rt::block_on(bed.home.partials()).unwrap()[0].received, LARGE as u64 / 2);
    // The length comes first, then the words.
    let key = b"state";
    damage(&bed, ".meta", |meta| {
        let start = meta.windows(key.len()).position(|part| part == key).unwrap();
        start + key.len() + 12
    });
    let bed = bed.restart(true);
    assert_eq!(second_half(&bed, &content).unwrap_err().kind, ErrorKind::DigestMismatch);
    bed.put("/f", &content).unwrap();
}

#[test]
fn a_remembered_digest_of_the_other_kind_is_of_no_use() {
    let bed = Bed::new(None);
    let content = bytes(LARGE);
    let mut upload = bed.open(request("/f", LARGE)).unwrap();
    rt::block_on(write(&mut *upload, &content[..LARGE / 2])).unwrap();
    drop(upload);
    let other = UploadRequest {
        algorithm: Algorithm::Blake3,
        ..request("/f", LARGE)
    };
    let mut upload = bed.open(other).unwrap();
    assert_eq!(upload.start().offset, LARGE as u64 / 2);
    rt::block_on(async {
        write(&mut *upload, &content[LARGE / 2..]).await.unwrap();
        upload.commit(Algorithm::Blake3.digest(&content)).await.unwrap();
    });
}

#[test]
fn of_a_stream_under_way_a_crash_leaves_nothing() {
    let bed = Bed::new(None);
    let stream = UploadRequest {
        size: None,
        ..request("/f", 0)
    };
    let mut upload = bed.open(stream).unwrap();
    rt::block_on(write(&mut *upload, &bytes(LARGE))).unwrap();
    assert!(rt::block_on(bed.home.partials()).unwrap().is_empty());
    let next = LocalStore::open(bed.folder.path(), Options::default()).unwrap();
    let home = rt::block_on(next.home("alice", None)).unwrap();
    assert_eq!(rt::block_on(home.usage()).unwrap().reserved, 0);
    assert!(rt::block_on(home.partials()).unwrap().is_empty());
}

#[test]
fn an_upload_under_way_outlives_a_crash() {
    let bed = Bed::new(None);
    let mut upload = bed.open(request("/f", LARGE)).unwrap();
    rt::block_on(write(&mut *upload, &bytes(LARGE / 2))).unwrap();
    // Waits until the bytes are written; the upload itself neither ends nor is dropped, as in a crash.
    assert_eq!(rt::block_on(bed.home.partials()).unwrap()[0].received, LARGE as u64 / 2);
    let next = LocalStore::open(bed.folder.path(), Options::default()).unwrap();
    let home = rt::block_on(next.home("alice", None)).unwrap();
    let found = rt::block_on(home.partials()).unwrap();
    assert_eq!((&found[0].path, found[0].received), (&path("/f"), LARGE as u64 / 2));
    drop(upload);
}

#[test]
fn a_partial_that_moved_to_another_name_keeps_that_name() {
    let bed = Bed::new(None);
    let content = bytes(LARGE);
    let named = |at| UploadRequest {
        expected: Some(md5(&content)),
        ..request(at, LARGE)
    };
    for at in ["/a", "/b"] {
        let mut upload = bed.open(named(at)).unwrap();
        let offset = usize::try_from(upload.start().offset).unwrap();
        rt::block_on(write(&mut *upload, &content[offset..offset + 1000])).unwrap();
        drop(upload);
        rt::block_on(bed.home.partials()).unwrap();
    }
    let partials = rt::block_on(bed.restart(false).home.partials()).unwrap();
    assert_eq!(
        (&partials[0].path, partials[0].received, partials.len()),
        (&path("/b"), 2000, 1)
    );
}

#[test]
fn rubbish_in_the_staging_folder_is_removed() {
    let bed = Bed::new(None);
    let staging = bed.folder.path().join("staging/alice");
    for name in [
        "0123456789abcdef",
        "0123456789abcdee.meta",
        "0123456789abcdef.new",
        "something",
    ] {
        std::fs::write(staging.join(name), "x").unwrap();
    }
    let bed = bed.restart(false);
    assert!(bed.staged().is_empty());
    assert_eq!(bed.books(), (0, 0));
}

/// What a server finds that starts now, while the present one is still at work: as after a crash.
fn after_a_crash(bed: &Bed) -> Vec<Partial> {
    let next = LocalStore::open(bed.folder.path(), Options::default()).unwrap();
    rt::block_on(async { next.home("alice", None).await.unwrap().partials().await.unwrap() })
}

#[test]
fn nobody_is_told_of_bytes_that_a_crash_would_lose() {
    for chunks in [1, 2, 3] {
        let bed = Bed::new(None);
        let mut upload = bed.open(request("/f", LARGE)).unwrap();
        for chunk in 0..chunks {
            rt::block_on(upload.write(Chunk::from(&[chunk; 1000][..]))).unwrap();
        }
        // Once while it is under way, and once when it was dropped.
        let told = rt::block_on(bed.home.partials()).unwrap();
        let received = |partials: &[Partial]| partials.iter().map(|partial| partial.received).sum::<u64>();
        let kept = after_a_crash(&bed);
        assert_eq!(received(&kept), received(&told), "after {chunks} chunks");
        drop(upload);
        let told = rt::block_on(bed.home.partials()).unwrap();
        let expected = u64::from(chunks) * 1000;
        assert_eq!((received(&told), received(&after_a_crash(&bed))), (expected, expected));
    }
}

#[test]
fn the_offset_that_a_takeover_is_told_outlives_a_crash() {
    let bed = Bed::new(None);
    let mut older = bed.open(request("/f", LARGE)).unwrap();
    rt::block_on(older.write(Chunk::from(&[0; 1000][..]))).unwrap();
    let newer = bed.open(request("/f", LARGE)).unwrap();
    assert_eq!(newer.start().offset, 1000);
    assert_eq!(after_a_crash(&bed)[0].received, 1000);
}

#[test]
fn a_large_home_is_counted_after_it_was_opened() {
    let bed = Bed::new(None);
    bed.put("/f", b"12345").unwrap();
    // More than is counted at once.
    for n in 0..10_100 {
        std::fs::write(bed.real(&n.to_string()), "1").unwrap();
    }
    let bed = bed.restart(false);
    bed.put("/g", b"123").unwrap();
    assert_eq!(bed.books(), (10_108, 0));
}
