//! Uploads: proof, quota, going on, taking over.

use ferry_core::store::{CODE_PRESENT, CODE_START, UploadRequest};
use ferry_core::{Algorithm, ErrorKind};

use super::{Check, Expect as _, LARGE, Subject, bytes, expect_eq, md5, path, request, write};

pub(super) const CHECKS: &[Check] = &[
    ("an upload is not seen before it is committed", |s| {
        Box::pin(uploads_are_invisible(s))
    }),
    ("an upload is proven before it is seen", |s| Box::pin(uploads_are_proven(s))),
    ("an upload keeps to its size", |s| Box::pin(uploads_keep_to_their_size(s))),
    ("a stream reserves as it goes", |s| Box::pin(streams_reserve_as_they_go(s))),
    ("the quota is decided before the first byte", |s| Box::pin(the_quota_holds(s))),
    ("a place where no file can be is refused", |s| {
        Box::pin(impossible_places_are_refused(s))
    }),
    ("no_clobber holds at the beginning and at the end", |s| {
        Box::pin(no_clobber_holds(s))
    }),
    ("the same file is not sent again", |s| Box::pin(present_files_are_told(s))),
    ("an overwrite replaces in one step", |s| Box::pin(overwrites_replace(s))),
    ("many uploads at once count right", |s| Box::pin(many_at_once(s))),
];

async fn uploads_are_invisible(s: &Subject) {
    let home = s.home(Some(2_000_000)).await;
    let contents = bytes(LARGE);
    let mut upload = home.upload(request("/f", LARGE)).await.expect_ok("upload");
    expect_eq("how it starts", &upload.start().code, &CODE_START);
    let usage = s.usage(&*home).await;
    expect_eq("used and reserved", &(usage.used, usage.reserved), &(0, LARGE as u64));
    write(&mut upload, &contents).await.expect_ok("write");
    expect_eq("what is seen of it", &s.names(&*home, "/").await, &Vec::new());
    let info = upload.commit(md5(&contents)).await.expect_ok("commit");
    expect_eq(
        "what the commit says",
        &(info.size, info.digest),
        &(LARGE as u64, Some(md5(&contents))),
    );
    expect_eq("where the commit says it is", &info.path, &(&path("/f")).into());
    let usage = s.usage(&*home).await;
    expect_eq("used and reserved", &(usage.used, usage.reserved), &(LARGE as u64, 0));
    assert!(s.contents(&*home, "/f").await == contents, "other bytes were stored");
}

async fn uploads_are_proven(s: &Subject) {
    let home = s.home(None).await;
    s.put(&*home, "/f", b"what was there").await;
    for (digest, what) in [
        (md5(b"other"), "a wrong digest"),
        (Algorithm::Blake3.digest(b"contents"), "a digest of another kind"),
    ] {
        let mut upload = home.upload(request("/f", 8)).await.expect_ok("upload");
        write(&mut upload, b"contents").await.expect_ok("write");
        upload.commit(digest).await.expect_kind(what, ErrorKind::DigestMismatch);
        expect_eq(
            "the file after it",
            &s.contents(&*home, "/f").await,
            &b"what was there".to_vec(),
        );
        expect_eq("reserved after it", &s.usage(&*home).await.reserved, &0);
        expect_eq("partials after it", &home.partials().await.expect_ok("partials").len(), &0);
    }
    let by_blake3 = UploadRequest {
        algorithm: Algorithm::Blake3,
        ..request("/b", 8)
    };
    let mut upload = home.upload(by_blake3).await.expect_ok("upload");
    write(&mut upload, b"contents").await.expect_ok("write");
    upload
        .commit(Algorithm::Blake3.digest(b"contents"))
        .await
        .expect_ok("commit by BLAKE3");
    let upload = home.upload(request("/empty", 0)).await.expect_ok("upload of nothing");
    upload.commit(md5(b"")).await.expect_ok("commit of nothing");
    expect_eq("an empty file", &s.contents(&*home, "/empty").await, &Vec::new());
}

async fn uploads_keep_to_their_size(s: &Subject) {
    let home = s.home(None).await;
    let mut upload = home.upload(request("/f", 4)).await.expect_ok("upload");
    write(&mut upload, b"abcde")
        .await
        .expect_kind("more bytes than were declared", ErrorKind::TooLarge);
}

fn stream(at: &str) -> UploadRequest {
    UploadRequest {
        size: None,
        ..request(at, 0)
    }
}

async fn streams_reserve_as_they_go(s: &Subject) {
    let home = s.home(Some(1_000_000)).await;
    let mut upload = home.upload(stream("/f")).await.expect_ok("upload of a stream");
    write(&mut upload, &bytes(500_000)).await.expect_ok("write");
    let usage = s.usage(&*home).await;
    assert!(
        usage.used == 0 && usage.reserved >= 500_000,
        "what came of a stream is reserved: {usage:?}"
    );
    let refused = home.upload(request("/g", 600_000)).await.map(drop);
    refused.expect_kind("an upload beside a stream", ErrorKind::OverQuota);
    write(&mut upload, &bytes(600_000))
        .await
        .expect_kind("a stream beyond the limit", ErrorKind::OverQuota);
    drop(upload);
    expect_eq("what is seen", &s.names(&*home, "/").await, &Vec::new());
    let contents = bytes(900_000);
    for partial in home.partials().await.expect_ok("partials") {
        home.remove_partial(&partial.id).await.expect_ok("remove_partial");
    }
    let mut upload = home.upload(stream("/f")).await.expect_ok("upload of a stream");
    write(&mut upload, &contents).await.expect_ok("write");
    let info = upload.commit(md5(&contents)).await.expect_ok("commit of a stream");
    expect_eq("its size", &info.size, &900_000);
    let usage = s.usage(&*home).await;
    expect_eq("used and reserved", &(usage.used, usage.reserved), &(900_000, 0));
}

async fn the_quota_holds(s: &Subject) {
    let home = s.home(Some(100)).await;
    s.put(&*home, "/a", &[0; 60]).await;
    let over = home.upload(request("/b", 41)).await.map(drop);
    over.expect_kind("one byte too many", ErrorKind::OverQuota);
    let huge = UploadRequest {
        size: Some(u64::MAX),
        ..request("/b", 0)
    };
    home.upload(huge)
        .await
        .map(drop)
        .expect_kind("2^64 - 1 bytes", ErrorKind::OverQuota);
    let usage = s.usage(&*home).await;
    expect_eq("used and reserved after refusals", &(usage.used, usage.reserved), &(60, 0));
    s.put(&*home, "/b", &[0; 40]).await;
    expect_eq("free", &s.usage(&*home).await.free(), &Some(0));
    home.rename(&path("/a"), &path("/c"), false)
        .await
        .expect_ok("a rename in a full home");
    home.remove_file(&path("/c")).await.expect_ok("remove_file");
    s.put(&*home, "/d", &[0; 60]).await;
    let lower = s.home(Some(10)).await;
    expect_eq("free below the usage", &s.usage(&*lower).await.free(), &Some(0));
    expect_eq("what is kept", &s.contents(&*lower, "/d").await.len(), &60);
}

async fn impossible_places_are_refused(s: &Subject) {
    let home = s.home(None).await;
    home.make_dir(&path("/d")).await.expect_ok("make_dir");
    s.put(&*home, "/f", b"file").await;
    for (at, kind) in [
        ("/d", ErrorKind::IsDirectory),
        ("/f/a", ErrorKind::NotDirectory),
        ("/x/a", ErrorKind::NotFound),
    ] {
        home.upload(request(at, 4)).await.map(drop).expect_kind(at, kind);
        home.upload(stream(at)).await.map(drop).expect_kind(at, kind);
    }
    expect_eq("reserved after refusals", &s.usage(&*home).await.reserved, &0);
    let mut upload = home.upload(request("/d/a", 4)).await.expect_ok("upload");
    write(&mut upload, b"file").await.expect_ok("write");
    home.remove_dir(&path("/d")).await.expect_ok("remove_dir under an upload");
    upload
        .commit(md5(b"file"))
        .await
        .expect_kind("a commit into a folder that is gone", ErrorKind::NotFound);
    let mut upload = home.upload(request("/e", 4)).await.expect_ok("upload");
    write(&mut upload, b"file").await.expect_ok("write");
    home.make_dir(&path("/e")).await.expect_ok("make_dir in an upload's place");
    upload
        .commit(md5(b"file"))
        .await
        .expect_kind("a commit over a folder", ErrorKind::IsDirectory);
    expect_eq("used", &s.usage(&*home).await.used, &4);
}

async fn no_clobber_holds(s: &Subject) {
    let home = s.home(None).await;
    let no_clobber = |at: &str| UploadRequest {
        no_clobber: true,
        ..request(at, 3)
    };
    s.put(&*home, "/f", b"first").await;
    home.upload(no_clobber("/f"))
        .await
        .map(drop)
        .expect_kind("no_clobber over a file", ErrorKind::Exists);
    let mut upload = home.upload(no_clobber("/g")).await.expect_ok("upload");
    write(&mut upload, b"new").await.expect_ok("write");
    s.put(&*home, "/h", b"meanwhile").await;
    home.rename(&path("/h"), &path("/g"), false).await.expect_ok("rename");
    upload
        .commit(md5(b"new"))
        .await
        .expect_kind("a file that came meanwhile", ErrorKind::Exists);
    expect_eq("that file", &s.contents(&*home, "/g").await, &b"meanwhile".to_vec());
    expect_eq("used", &s.usage(&*home).await.used, &14);
}

async fn present_files_are_told(s: &Subject) {
    let home = s.home(Some(2_000_000)).await;
    let contents = bytes(LARGE);
    let at_time = |modified| UploadRequest {
        modified: Some(modified),
        ..request("/f", LARGE)
    };
    let mut upload = home.upload(at_time(5_000_000_000)).await.expect_ok("upload");
    write(&mut upload, &contents).await.expect_ok("write");
    upload.commit(md5(&contents)).await.expect_ok("commit");

    let upload = home.upload(at_time(5_000_000_000)).await.expect_ok("upload of the same file");
    let start = upload.start();
    expect_eq("how it starts", &(start.code, start.offset), &(CODE_PRESENT, LARGE as u64));
    expect_eq("the digest of all", &start.prefix, &Some(Algorithm::Blake3.digest(&contents)));
    expect_eq("reserved", &s.usage(&*home).await.reserved, &0);
    let info = upload.commit(md5(&contents)).await.expect_ok("commit without writing");
    expect_eq("its size", &info.size, &(LARGE as u64));

    let upload = home.upload(at_time(5_000_000_000)).await.expect_ok("upload of the same file");
    upload
        .commit(md5(b"other"))
        .await
        .expect_kind("a commit of other bytes", ErrorKind::DigestMismatch);
    assert!(
        s.contents(&*home, "/f").await == contents,
        "the file that is there was touched"
    );

    let expecting = |digest| UploadRequest {
        expected: Some(digest),
        ..at_time(5_000_000_000)
    };
    let upload = home
        .upload(expecting(md5(&contents)))
        .await
        .expect_ok("upload of the expected file");
    expect_eq("how it starts", &upload.start().code, &CODE_PRESENT);
    drop(upload);

    let fresh = UploadRequest {
        fresh: true,
        ..at_time(5_000_000_000)
    };
    // There is room for it only in a home without a limit: old and new are there side by side until the commit.
    let roomy = s.home(None).await;
    let upload = roomy.upload(fresh).await.expect_ok("a fresh start");
    expect_eq("how a fresh start starts", &upload.start().code, &CODE_START);
    drop(upload);
    for partial in roomy.partials().await.expect_ok("partials") {
        roomy.remove_partial(&partial.id).await.expect_ok("remove_partial");
    }
    let upload = roomy
        .upload(expecting(md5(b"other")))
        .await
        .expect_ok("upload of another file");
    expect_eq("how another file starts", &upload.start().code, &CODE_START);
    drop(upload);
    for partial in roomy.partials().await.expect_ok("partials") {
        roomy.remove_partial(&partial.id).await.expect_ok("remove_partial");
    }
    let upload = roomy.upload(at_time(6_000_000_000)).await.expect_ok("upload of another time");
    expect_eq("how another time starts", &upload.start().code, &CODE_START);
}

async fn overwrites_replace(s: &Subject) {
    let home = s.home(Some(100)).await;
    s.put(&*home, "/f", &[1; 50]).await;
    s.put(&*home, "/f", &[2; 30]).await;
    expect_eq("used", &s.usage(&*home).await.used, &30);
    let refused = home.upload(request("/f", 71)).await.map(drop);
    refused.expect_kind("old and new that do not fit side by side", ErrorKind::OverQuota);
    let mut upload = home.upload(request("/f", 60)).await.expect_ok("upload over a file");
    write(&mut upload, &[3; 60]).await.expect_ok("write");
    expect_eq(
        "the old version until the commit",
        &s.contents(&*home, "/f").await,
        &vec![2; 30],
    );
    upload.commit(md5(&[3; 60])).await.expect_ok("commit over a file");
    expect_eq("the new version", &s.contents(&*home, "/f").await, &vec![3; 60]);
    expect_eq("used", &s.usage(&*home).await.used, &60);
}

async fn many_at_once(s: &Subject) {
    let home = s.home(Some(1000)).await;
    let one = |n: usize| {
        let home = home.clone();
        async move {
            let mut upload = home.upload(request(&format!("/{n:02}"), 100)).await?;
            write(&mut upload, &[7; 100]).await?;
            upload.commit(md5(&[7; 100])).await
        }
    };
    let tasks: Vec<_> = (0..15).map(|n| ferry_core::rt::spawn(one(n))).collect();
    let mut stored = 0;
    for task in tasks {
        match task.await {
            Ok(_) => stored += 1,
            Err(error) => expect_eq("why one of many is refused", &error.kind, &ErrorKind::OverQuota),
        }
    }
    expect_eq("how many fit", &stored, &10);
    let usage = s.usage(&*home).await;
    expect_eq("used and reserved", &(usage.used, usage.reserved), &(1000, 0));
    expect_eq("how many are there", &s.names(&*home, "/").await.len(), &10);
}
