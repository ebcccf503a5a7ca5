//! Never one byte over, and every byte given back.

use ferry_core::store::{Store as _, UploadRequest};
use ferry_core::{ErrorKind, rt};

use crate::{Bed, LARGE, bytes, md5, path, put, request, write};

#[test]
fn an_upload_over_quota_leaves_no_file() {
    let bed = Bed::new(Some(100));
    bed.put("/a", &[1; 60]).unwrap();
    let refused = bed.put("/b", &[1; 41]).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::OverQuota);
    assert!(!bed.real("b").exists() && bed.staged().is_empty());
    assert_eq!(bed.books(), (60, 0));
    bed.put("/b", &[1; 40]).unwrap();
    assert_eq!(bed.books(), (100, 0));
}

#[test]
fn what_is_replaced_or_removed_is_given_back() {
    let bed = Bed::new(None);
    bed.put("/a", &[1; 60]).unwrap();
    bed.put("/a", &[2; 10]).unwrap();
    assert_eq!(bed.books(), (10, 0));
    bed.put("/b", &[1; 30]).unwrap();
    rt::block_on(bed.home.rename(&path("/a"), &path("/b"), false)).unwrap();
    assert_eq!(bed.books(), (10, 0));
    rt::block_on(bed.home.remove_file(&path("/b"))).unwrap();
    assert_eq!(bed.books(), (0, 0));
}

#[test]
fn what_fails_gives_nothing_back() {
    let bed = Bed::new(None);
    bed.put("/a", &[1; 60]).unwrap();
    bed.put("/b", &[1; 5]).unwrap();
    rt::block_on(async {
        bed.home.make_dir(&path("/d")).await.unwrap();
        assert!(bed.home.remove_file(&path("/none")).await.is_err());
        assert!(bed.home.remove_file(&path("/d")).await.is_err());
        assert!(bed.home.remove_dir(&path("/a")).await.is_err());
        assert!(bed.home.rename(&path("/b"), &path("/a"), true).await.is_err());
        assert!(bed.home.rename(&path("/d"), &path("/a"), false).await.is_err());
        assert!(bed.home.rename(&path("/none"), &path("/a"), false).await.is_err());
    });
    assert_eq!(bed.books(), (65, 0));
}

#[test]
fn two_names_of_one_file_count_twice_and_stay_two() {
    let bed = Bed::new(None);
    std::fs::write(bed.real("a"), [1; 60]).unwrap();
    std::fs::hard_link(bed.real("a"), bed.real("b")).unwrap();
    let bed = bed.restart(false);
    assert_eq!(bed.books(), (120, 0));
    // rename(2) of a file onto another name of itself does nothing.
    rt::block_on(bed.home.rename(&path("/a"), &path("/b"), false)).unwrap();
    assert_eq!(bed.books(), (120, 0));
    rt::block_on(bed.home.remove_file(&path("/a"))).unwrap();
    assert_eq!(bed.books(), (60, 0));
}

#[test]
fn an_aborted_upload_stays_reserved_until_it_is_removed() {
    let bed = Bed::new(Some(LARGE as u64));
    let mut upload = bed.open(request("/f", LARGE)).unwrap();
    assert_eq!(bed.books(), (0, LARGE as u64));
    rt::block_on(write(&mut *upload, &bytes(1000))).unwrap();
    drop(upload);
    assert_eq!(bed.put("/g", b"x").unwrap_err().kind, ErrorKind::OverQuota);
    let id = rt::block_on(bed.home.partials()).unwrap().remove(0).id;
    rt::block_on(bed.home.remove_partial(&id)).unwrap();
    assert_eq!(bed.books(), (0, 0));
    assert!(bed.staged().is_empty());
}

#[test]
fn what_is_left_of_another_size_is_kept_unless_its_room_is_needed_and_enough() {
    let bed = Bed::new(Some(100));
    let break_off = |at: &str, size| {
        let mut upload = bed.open(request(at, size)).unwrap();
        rt::block_on(write(&mut *upload, b"first bytes")).unwrap();
        drop(upload);
        rt::block_on(bed.home.partials()).unwrap().len()
    };
    assert_eq!((break_off("/f", 30), break_off("/other", 20)), (1, 2));
    // There is room for both.
    assert_eq!(break_off("/f", 40), 3);
    // Not even without the older ones there is room for this one: they stay.
    assert_eq!(bed.open(request("/f", 81)).err().unwrap().kind, ErrorKind::OverQuota);
    assert_eq!(bed.books(), (0, 90));
    // Somebody else's path makes no room.
    assert_eq!(bed.open(request("/g", 11)).err().unwrap().kind, ErrorKind::OverQuota);
    bed.put("/f", &[1; 80]).unwrap();
    assert_eq!(bed.books(), (80, 20));
    assert_eq!(rt::block_on(bed.home.partials()).unwrap()[0].path, path("/other"));
    assert_eq!(bed.staged().len(), 2);
}

#[test]
fn an_upload_under_way_makes_no_room_for_another_one() {
    let bed = Bed::new(Some(100));
    let mut upload = bed.open(request("/f", 60)).unwrap();
    assert_eq!(bed.open(request("/f", 50)).err().unwrap().kind, ErrorKind::OverQuota);
    rt::block_on(write(&mut *upload, &[1; 60])).unwrap();
    rt::block_on(upload.commit(md5(&[1; 60]))).unwrap();
    assert_eq!(bed.books(), (60, 0));
}

#[test]
fn a_stream_reserves_as_it_goes() {
    let limit = 3_000_000;
    let bed = Bed::new(Some(limit));
    let stream = || UploadRequest {
        size: None,
        fresh: true,
        ..request("/f", 0)
    };
    let content = bytes(usize::try_from(limit).unwrap());
    let mut upload = bed.open(stream()).unwrap();
    assert_eq!(bed.books(), (0, 0));
    rt::block_on(write(&mut *upload, &content[..1])).unwrap();
    assert_eq!(bed.books(), (0, 1024 * 1024));
    rt::block_on(write(&mut *upload, &content[1..])).unwrap();
    assert_eq!(bed.books(), (0, limit));
    let refused = rt::block_on(write(&mut *upload, b"x")).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::OverQuota);
    rt::block_on(upload.commit(md5(&content))).unwrap();
    assert_eq!(bed.books(), (limit, 0));
}

#[test]
fn a_short_stream_gives_back_what_it_did_not_need() {
    let bed = Bed::new(None);
    let stream = UploadRequest {
        size: None,
        ..request("/f", 0)
    };
    rt::block_on(put(&*bed.home, stream, b"short")).unwrap();
    assert_eq!(bed.books(), (5, 0));
}

#[test]
fn many_uploads_at_once_never_use_one_byte_more_than_the_quota() {
    const SIZE: usize = 300_000;
    // Room for ten and a half.
    let bed = Bed::new(Some(SIZE as u64 * 21 / 2));
    let tasks: Vec<_> = (0..64)
        .map(|i| {
            let home = bed.home.clone();
            rt::spawn(async move {
                // Half of them are streams.
                let size = (i % 2 == 0).then_some(SIZE as u64);
                let wanted = UploadRequest {
                    size,
                    ..request(&format!("/f{i}"), 0)
                };
                put(&*home, wanted, &bytes(SIZE)).await.map_err(|error| error.kind)
            })
        })
        .collect();
    let results: Vec<_> = rt::block_on(async {
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await);
        }
        results
    });
    let done = results.iter().filter(|result| result.is_ok()).count();
    assert!((1..=10).contains(&done), "{done} of ten got through");
    assert!(results.iter().flatten().all(|file| file.size == SIZE as u64));
    assert!(
        results
            .iter()
            .all(|result| result.is_ok() || *result.as_ref().unwrap_err() == ErrorKind::OverQuota)
    );
    let (used, _) = bed.books();
    assert_eq!(used, (done * SIZE) as u64);
    // What the refused streams had reserved can be had back.
    for partial in rt::block_on(bed.home.partials()).unwrap() {
        rt::block_on(bed.home.remove_partial(&partial.id)).unwrap();
    }
    assert_eq!(bed.books(), (used, 0));
    for i in 0..10 - done {
        bed.put(&format!("/more{i}"), &bytes(SIZE)).unwrap();
    }
    assert_eq!(bed.put("/last", &bytes(SIZE)).unwrap_err().kind, ErrorKind::OverQuota);
}

#[test]
fn the_limit_can_change_while_the_home_is_open() {
    let bed = Bed::new(Some(10));
    let again = rt::block_on(bed.store.home("alice", Some(5))).unwrap();
    assert_eq!(bed.put("/f", &[1; 6]).unwrap_err().kind, ErrorKind::OverQuota);
    rt::block_on(put(&*again, request("/f", 5), &[1; 5])).unwrap();
    assert_eq!(bed.books(), (5, 0));
    rt::block_on(bed.store.home("alice", None)).unwrap();
    bed.put("/g", &[1; 100]).unwrap();
}
