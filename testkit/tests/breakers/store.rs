//! What is wrong with what a verb does in the home, and beside it.

use std::sync::{Arc, Mutex, OnceLock};

use ferry_core::store::{Check, FileInfo, Home, Store, Upload, UploadRequest, Version};
use ferry_core::verb::BoxFuture;
use ferry_core::{
    Access, Algorithm, Chunk, Context, ErrorKind, Example, GuardedHome, HomePath, RemotePath, Reply, Result, Spec, Verb,
};
use ferry_testkit::{Harness, MemoryStore, example};

use super::expect;

fn upload_of(path: HomePath, size: Option<u64>) -> UploadRequest {
    UploadRequest {
        size,
        ..UploadRequest::new(path)
    }
}

macro_rules! writes {
    ($type:ident, $name:literal, $doc:literal, |$ctx:ident, $path:ident| $body:expr) => {
        ferry_core::args! {
            #[doc = $doc]
            struct $type {
                /// Where.
                path: RemotePath,
            }
        }
        impl Verb for $type {
            const SPEC: Spec = Spec::of::<Self>($name, Access::Write).examples(&[Example::new(concat!($name, " a"), "does it")]);
            async fn run(self, $ctx: &mut Context<'_>) -> Result<Reply> {
                let $path = $ctx.path(&self.path)?;
                $body
            }
        }
    };
}

/// Uploads that nobody lets go of.
static KEPT: Mutex<Vec<Box<dyn Upload>>> = Mutex::new(Vec::new());
writes!(Keeps, "keeps", "Keeps an upload open behind its back.", |ctx, path| {
    let mut upload = ctx.home().upload(upload_of(path, None)).await?;
    upload.write(Chunk::from(&b"kept"[..])).await?;
    KEPT.lock().unwrap().push(upload);
    Ok(Reply::done())
});
writes!(
    Declares,
    "declares",
    "Declares a size, so that what is cut off stays.",
    |ctx, path| {
        let mut upload = ctx.home().upload(upload_of(path, Some(4))).await?;
        upload.write(Chunk::from(&b"kept"[..])).await?;
        upload.commit(Algorithm::Md5.digest(b"kept")).await.map(Reply::file)
    }
);

#[test]
fn a_reservation_that_stays_is_found() {
    expect::<Keeps>(&["keeps: `keeps a`, done, leaves 4 bytes reserved by an upload that nobody can go on with"]);
    expect::<Declares>(&["declares: `declares a`, cancelled at pause 2, leaves 4 bytes reserved by an upload that nobody"]);
}

writes!(Careless, "careless", "Makes a folder, or not.", |ctx, path| {
    let _ = ctx.home().make_dir(&path).await;
    Ok(Reply::done())
});
writes!(Boasts, "boasts", "Says that a file is there before it is.", |ctx, path| {
    let mut upload = ctx.home().upload(upload_of(path.clone(), None)).await?;
    upload.write(Chunk::from(&b"some"[..])).await?;
    let file = FileInfo {
        path: (&path).into(),
        size: 4,
        modified: 0,
        executable: false,
        digest: None,
        version: Version::default(),
    };
    let _ = upload.commit(Algorithm::Md5.digest(b"some")).await;
    Ok(Reply::file(file))
});
writes!(Unwraps, "unwraps", "Counts on the disk.", |ctx, path| {
    if ctx.home().kind(&path).await?.is_none() {
        ctx.home().make_dir(&path).await.unwrap();
    }
    Ok(Reply::done())
});

#[test]
fn a_verb_that_hides_what_went_wrong_is_found() {
    expect::<Careless>(&["careless: `careless a`: when call 1 of the store fails (StorageFull), it says that it worked"]);
    expect::<Boasts>(&["boasts: `boasts a`: when call 3 of the store fails (StorageFull), it acknowledges /a"]);
    expect::<Unwraps>(&[
        "unwraps: `unwraps a`: when call 2 of the store fails (StorageFull), it panics",
        // Folders that are nowhere, names that cannot be.
        "unwraps: random arguments broke it: called `Result::unwrap()`",
    ]);
}

/// The neighbour's home.
static BOBS: OnceLock<GuardedHome> = OnceLock::new();
writes!(Reaches, "reaches", "Writes where it was called from first.", |ctx, path| {
    if ctx.user().name == "bob" {
        BOBS.get_or_init(|| ctx.home().clone());
    }
    if let (Some(home), true) = (BOBS.get(), ctx.user().name != "bob") {
        let count = home.entries(&HomePath::root()).await?.len();
        home.make_dir(&HomePath::root().join(format!("x{count}").as_bytes())?).await?;
    }
    let _ = path;
    Ok(Reply::done())
});

#[test]
fn a_verb_that_reaches_into_another_home_is_found() {
    expect::<Reaches>(&["reaches: reached into another user's home (FERRY_SEED="]);
}

/// A store that forgets what it is told of limits, and opens homes all the same.
#[derive(Debug, Default)]
struct Generous(MemoryStore);

impl Store for Generous {
    fn home<'a>(&'a self, user: &'a str, limit: Option<u64>) -> BoxFuture<'a, Result<Arc<dyn Home>>> {
        let home = self.0.open(user, limit);
        Box::pin(async move { Ok(Arc::new(Unlimited(home)) as Arc<dyn Home>) })
    }
    fn check<'a>(&'a self, user: &'a str, repair: bool) -> BoxFuture<'a, Result<Check>> {
        self.0.check(user, repair)
    }
    fn purge<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<()>> {
        self.0.purge(user)
    }
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.0.close()
    }
}

/// Lifts the limit for as long as it takes to open an upload.
struct Unlimited(Arc<ferry_testkit::MemoryHome>);

macro_rules! same {
    ($($name:ident($($arg:ident : $ty:ty),*) -> $out:ty;)+) => {$(
        fn $name<'a>(&'a self, $($arg: $ty),*) -> BoxFuture<'a, Result<$out>> {
            self.0.$name($($arg),*)
        }
    )+};
}

impl Home for Unlimited {
    same! {
        stat(path: &'a HomePath) -> ferry_core::store::Entry;
        list(path: &'a HomePath) -> Box<dyn ferry_core::store::Listing>;
        make_dir(path: &'a HomePath) -> ();
        remove_file(path: &'a HomePath) -> ();
        remove_dir(path: &'a HomePath) -> ();
        rename(from: &'a HomePath, to: &'a HomePath, no_clobber: bool) -> ();
        partials() -> Vec<ferry_core::store::Partial>;
        remove_partial(id: &'a str) -> ();
        usage() -> ferry_core::store::Usage;
    }
    fn open(&self, request: ferry_core::store::ReadRequest) -> BoxFuture<'_, Result<Box<dyn ferry_core::store::Source>>> {
        self.0.open(request)
    }
    fn upload(&self, request: UploadRequest) -> BoxFuture<'_, Result<Box<dyn Upload>>> {
        let limit = self.0.usage_now().limit;
        self.0.limit(None);
        let size = request.size.or(Some(1 << 40));
        let opened = self.0.upload(UploadRequest { size, ..request });
        self.0.limit(limit);
        opened
    }
}

#[test]
fn a_home_that_is_taken_past_its_quota_is_found() {
    let h = Harness::of::<example::Write>();
    assert!(h.random_calls("write", 200, 7).is_empty());
    let found = Harness::of::<example::Write>()
        .on(Arc::new(Generous::default()))
        .quota(100)
        .random_calls("write", 200, 7);
    assert!(
        found[0].starts_with("took the home past its quota: 1099511627776 bytes of 100 (call "),
        "{found:?}"
    );
    assert!(found[0].ends_with("; FERRY_SEED=7 FERRY_RANDOM=200 repeats it)"), "{found:?}");
}

#[test]
fn a_small_file_that_is_cancelled_leaves_nothing_reserved() {
    Harness::check::<example::Write>();
}

#[test]
fn a_fault_is_told_once_and_by_its_kind() {
    for (nth, kind, told) in [
        (1, std::io::ErrorKind::PermissionDenied, ErrorKind::Denied),
        (2, std::io::ErrorKind::StorageFull, ErrorKind::DiskFull),
        (3, std::io::ErrorKind::Other, ErrorKind::Internal),
    ] {
        let h = Harness::of::<example::Write>().store_fails_at(nth, kind);
        assert_eq!(h.err("write a text").kind, told);
        assert!(h.files().is_empty() && h.usage().reserved == 0);
        h.ok("write a text");
    }
}
