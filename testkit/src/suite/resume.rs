//! Uploads that broke off: going on, finding them, taking them over, throwing them away.

use ferry_core::store::{CODE_RESUME, CODE_START, Home, Upload, UploadRequest};
use ferry_core::{Algorithm, ErrorKind};

use super::{Check, Expect as _, LARGE, Subject, bytes, expect_eq, md5, path, request, write};

/// How much of the large file is held when it breaks off.
const HELD: usize = 700_000;

pub(super) const CHECKS: &[Check] = &[
    ("missing bytes can still be sent", |s| {
        Box::pin(missing_bytes_can_still_be_sent(s))
    }),
    ("what broke off goes on behind a proven prefix", |s| {
        Box::pin(uploads_go_on(s))
    }),
    ("what broke off is found by its digest", |s| {
        Box::pin(uploads_are_found_by_digest(s))
    }),
    ("a fresh start throws away what was left", |s| Box::pin(fresh_starts(s))),
    ("a newer upload takes an older one over", |s| {
        Box::pin(uploads_are_taken_over(s))
    }),
    ("partials are listed and removed", |s| Box::pin(partials_are_listed(s))),
];

/// Begins the upload of the large file and lets it break off.
async fn break_off(home: &dyn Home, request: UploadRequest, contents: &[u8]) {
    let mut upload = home.upload(request).await.expect_ok("upload");
    assert!(
        !upload.id().is_empty(),
        "an upload of {LARGE} bytes can be gone on with, so it has an id"
    );
    write(&mut upload, &contents[..HELD]).await.expect_ok("write");
}

/// Goes on with what was broken off and commits it. A store may have kept less than it was given, never more.
async fn finish(mut upload: Box<dyn Upload>, contents: &[u8]) {
    let start = upload.start();
    let held = usize::try_from(start.offset).unwrap_or(usize::MAX);
    expect_eq("how it goes on", &start.code, &CODE_RESUME);
    assert!(
        (1..=HELD).contains(&held),
        "it goes on at {held}, having been given {HELD} bytes"
    );
    let prefix = Algorithm::Blake3.digest(&contents[..held]);
    expect_eq("the digest of what is held", &start.prefix, &Some(prefix));
    write(&mut upload, &contents[held..]).await.expect_ok("write of the rest");
    let info = upload.commit(md5(contents)).await.expect_ok("commit of what went on");
    expect_eq("its size", &info.size, &(contents.len() as u64));
}

async fn uploads_go_on(s: &Subject) {
    let home = s.home(Some(1_500_000)).await;
    let contents = bytes(LARGE);
    break_off(&*home, request("/f", LARGE), &contents).await;
    expect_eq("what is seen", &s.names(&*home, "/").await, &Vec::new());
    let usage = s.usage(&*home).await;
    expect_eq("used and reserved", &(usage.used, usage.reserved), &(0, LARGE as u64));
    let upload = home.upload(request("/f", LARGE)).await.expect_ok("upload again");
    finish(upload, &contents).await;
    assert!(s.contents(&*home, "/f").await == contents, "the parts do not make the whole");
    let usage = s.usage(&*home).await;
    expect_eq("used and reserved", &(usage.used, usage.reserved), &(LARGE as u64, 0));
    let roomy = s.home(None).await;
    break_off(&*roomy, request("/g", LARGE), &contents).await;
    let other = roomy
        .upload(request("/g", LARGE - 1))
        .await
        .expect_ok("an upload of another size");
    expect_eq("how another size starts", &other.start().code, &CODE_START);
}

async fn missing_bytes_can_still_be_sent(s: &Subject) {
    let home = s.home(None).await;
    let contents = bytes(LARGE);
    let mut upload = home.upload(request("/g", LARGE)).await.expect_ok("upload");
    write(&mut upload, &contents[..HELD]).await.expect_ok("write");
    upload
        .commit(md5(&contents))
        .await
        .expect_kind("missing bytes", ErrorKind::OffsetMismatch);
    expect_eq("what is seen", &s.names(&*home, "/").await, &Vec::new());
    finish(home.upload(request("/g", LARGE)).await.expect_ok("upload again"), &contents).await;
}

async fn uploads_are_found_by_digest(s: &Subject) {
    let home = s.home(None).await;
    let contents = bytes(LARGE);
    let known = |at: &str| UploadRequest {
        expected: Some(md5(&contents)),
        ..request(at, LARGE)
    };
    break_off(&*home, known("/f"), &contents).await;
    let stranger = home
        .upload(UploadRequest {
            expected: Some(md5(b"x")),
            ..request("/x", LARGE)
        })
        .await;
    let stranger = stranger.expect_ok("an upload of other bytes elsewhere");
    expect_eq("how other bytes start", &stranger.start().code, &CODE_START);
    drop(stranger);
    let upload = home.upload(known("/g")).await.expect_ok("upload under another name");
    finish(upload, &contents).await;
    expect_eq("where it is", &s.names(&*home, "/").await, &vec!["g".into()]);
}

async fn fresh_starts(s: &Subject) {
    // Both do not fit: what is left over must be thrown away first.
    let home = s.home(Some(1_500_000)).await;
    let contents = bytes(LARGE);
    break_off(&*home, request("/f", LARGE), &vec![7; LARGE]).await;
    let fresh = UploadRequest {
        fresh: true,
        ..request("/f", LARGE)
    };
    let mut upload = home.upload(fresh).await.expect_ok("a fresh start");
    expect_eq(
        "how it starts",
        &(upload.start().code, upload.start().offset),
        &(CODE_START, 0),
    );
    expect_eq("reserved", &s.usage(&*home).await.reserved, &(LARGE as u64));
    write(&mut upload, &contents).await.expect_ok("write");
    upload.commit(md5(&contents)).await.expect_ok("commit");
    assert!(s.contents(&*home, "/f").await == contents, "other bytes were stored");
    expect_eq("partials", &home.partials().await.expect_ok("partials").len(), &0);
}

async fn uploads_are_taken_over(s: &Subject) {
    let home = s.home(None).await;
    let contents = bytes(LARGE);
    let mut older = home.upload(request("/f", LARGE)).await.expect_ok("upload");
    write(&mut older, &contents[..HELD]).await.expect_ok("write");
    let newer = s
        .home(None)
        .await
        .upload(request("/f", LARGE))
        .await
        .expect_ok("a newer upload");
    let lost = write(&mut older, &contents[HELD..]).await;
    lost.expect_kind("a write of the older one", ErrorKind::LeaseLost);
    older
        .commit(md5(&contents))
        .await
        .expect_kind("a commit of the older one", ErrorKind::LeaseLost);
    finish(newer, &contents).await;
    assert!(s.contents(&*home, "/f").await == contents, "the older one left its traces");
    expect_eq("reserved", &s.usage(&*home).await.reserved, &0);
}

async fn partials_are_listed(s: &Subject) {
    let home = s.home(None).await;
    let contents = bytes(LARGE);
    break_off(&*home, request("/f", LARGE), &contents).await;
    let partials = home.partials().await.expect_ok("partials");
    expect_eq("their number", &partials.len(), &1);
    let partial = &partials[0];
    expect_eq("where it goes", &partial.path, &path("/f"));
    expect_eq("its size", &partial.size, &Some(LARGE as u64));
    assert!(
        (1..=HELD as u64).contains(&partial.received),
        "{partial:?} was given {HELD} bytes"
    );
    assert!(partial.expires > 0, "it expires some day");
    for id in ["", "0", "../f", "/etc/passwd", "zz\0"] {
        home.remove_partial(id)
            .await
            .expect_kind("remove_partial of nothing", ErrorKind::NotFound);
    }
    let bob = s.store.home("bob", None).await.expect_ok("a second home");
    bob.remove_partial(&partial.id)
        .await
        .expect_kind("somebody else's partial", ErrorKind::NotFound);
    let mut upload = home.upload(request("/f", LARGE)).await.expect_ok("upload again");
    home.remove_partial(&partial.id)
        .await
        .expect_ok("remove_partial under an upload");
    let lost = write(&mut upload, &contents[HELD..]).await;
    lost.expect_kind("a write after the removal", ErrorKind::LeaseLost);
    drop(upload);
    expect_eq("reserved", &s.usage(&*home).await.reserved, &0);
    let upload = home.upload(request("/f", LARGE)).await.expect_ok("upload once more");
    expect_eq("how it starts", &upload.start().code, &CODE_START);
}
