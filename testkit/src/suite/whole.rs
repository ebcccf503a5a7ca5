//! Small files, stored in one call.

use std::sync::Arc;

use ferry_core::store::{FileInfo, Home, Stored, UploadRequest, WholeUpload};
use ferry_core::{Chunk, ErrorKind, Result};

use super::{Check, Expect as _, Subject, expect_eq, md5, path, request};

pub(super) const CHECKS: &[Check] = &[
    ("a whole file is stored in one call", |s| Box::pin(whole_files_are_stored(s))),
    ("a whole file is proven before it is seen", |s| {
        Box::pin(whole_files_are_proven(s))
    }),
    ("a whole file spares what is the same, when asked to", |s| {
        Box::pin(whole_files_spare_the_same(s))
    }),
    ("many whole files at once count right", |s| {
        Box::pin(many_whole_files_at_once(s))
    }),
];

fn whole(at: &str, contents: &[u8]) -> WholeUpload {
    WholeUpload {
        request: UploadRequest {
            modified: Some(5),
            ..request(at, contents.len())
        },
        contents: Arc::new(Chunk::from(contents)),
        digest: md5(contents),
        spare_same: false,
    }
}

async fn file(home: &dyn Home, whole: WholeUpload) -> Result<FileInfo> {
    match home.store(whole).await? {
        Stored::File(file) => Ok(file),
        Stored::Same(entry) => panic!("store: spared {entry:?}, and nobody asked for that"),
    }
}

async fn whole_files_are_stored(s: &Subject) {
    let home = s.home(Some(100)).await;
    let mut run = whole("/run", b"run");
    run.request.executable = true;
    let info = file(&*home, run).await.expect_ok("store");
    expect_eq("what it says", &(info.size, info.modified, info.executable), &(3, 5, true));
    expect_eq("its digest", &info.digest, &Some(md5(b"run")));
    let entry = home.stat(&path("/run")).await.expect_ok("stat");
    expect_eq(
        "what is there",
        &(entry.size, entry.modified, entry.executable),
        &(3, 5, true),
    );
    expect_eq("which version is there", &entry.version, &info.version);
    file(&*home, whole("/run", b"")).await.expect_ok("store over it");
    expect_eq("the file after it", &s.contents(&*home, "/run").await.len(), &0);
    let usage = s.usage(&*home).await;
    expect_eq("used and reserved", &(usage.used, usage.reserved), &(0, 0));
}

async fn whole_files_are_proven(s: &Subject) {
    let home = s.home(Some(20)).await;
    s.put(&*home, "/f", b"what was there").await;
    home.make_dir(&path("/d")).await.expect_ok("make_dir");
    let ok = || whole("/f", b"abc");
    let of = |change: &dyn Fn(&mut WholeUpload)| {
        let mut whole = ok();
        change(&mut whole);
        whole
    };
    for (whole, what, kind) in [
        (of(&|w| w.digest = md5(b"abd")), "a wrong digest", ErrorKind::DigestMismatch),
        (
            of(&|w| w.request.no_clobber = true),
            "a file that is there, with no_clobber",
            ErrorKind::Exists,
        ),
        (whole("/d", b"abc"), "a folder as the place", ErrorKind::IsDirectory),
        (whole("/no/f", b"abc"), "a folder that is missing", ErrorKind::NotFound),
        (whole("/g", b"seven b"), "more than the quota has", ErrorKind::OverQuota),
    ] {
        home.store(whole).await.expect_kind(what, kind);
    }
    home.store(of(&|w| w.request.size = Some(4)))
        .await
        .expect_kind("fewer bytes than announced", ErrorKind::OffsetMismatch);
    expect_eq(
        "what is there",
        &s.names(&*home, "/").await,
        &vec!["d".to_owned(), "f".to_owned()],
    );
    assert!(s.contents(&*home, "/f").await == b"what was there", "it was replaced");
    let usage = s.usage(&*home).await;
    expect_eq("used and reserved", &(usage.used, usage.reserved), &(14, 0));
    assert!(
        home.partials().await.expect_ok("partials").is_empty(),
        "something is unfinished"
    );
}

async fn whole_files_spare_the_same(s: &Subject) {
    let home = s.home(None).await;
    let asking = |contents: &[u8], time| {
        let mut whole = whole("/f", contents);
        (whole.spare_same, whole.request.modified) = (true, Some(time));
        whole
    };
    let first = home.store(asking(b"abc", 5)).await.expect_ok("store");
    assert!(matches!(first, Stored::File(_)), "nothing was there to be spared");
    let mut again = asking(b"xyz", 5);
    again.request.no_clobber = true;
    match home.store(again).await.expect_ok("store again") {
        Stored::Same(entry) => expect_eq("what was spared", &(entry.size, entry.modified), &(3, 5)),
        Stored::File(_) => panic!("store: replaced a file of the same size and time"),
    }
    let other = home.store(asking(b"xyz", 6)).await.expect_ok("store with another time");
    assert!(matches!(other, Stored::File(_)), "another time is another file");
    assert!(s.contents(&*home, "/f").await == b"xyz", "other bytes are there");
}

async fn many_whole_files_at_once(s: &Subject) {
    let home = s.home(Some(5000)).await;
    // Each name comes three times, so files replace one another while others are being stored. A store may let the newest of those that
    // come together win.
    let one = |n: usize| {
        let home = home.clone();
        async move { file(&*home, whole(&format!("/{:02}", n % 30), &[7; 50])).await }
    };
    let tasks: Vec<_> = (0..90).map(|n| ferry_core::rt::spawn(one(n))).collect();
    for task in tasks {
        match task.await {
            Err(error) if error.kind == ErrorKind::LeaseLost => {}
            ended => drop(ended.expect_ok("one of many")),
        }
    }
    let usage = s.usage(&*home).await;
    expect_eq("used and reserved", &(usage.used, usage.reserved), &(1500, 0));
    expect_eq("how many are there", &s.names(&*home, "/").await.len(), &30);
    assert!(
        home.partials().await.expect_ok("partials").is_empty(),
        "something is unfinished"
    );
}
