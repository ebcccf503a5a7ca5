//! Folders, names, reading, usage: everything but uploads.

use ferry_core::store::{CODE_START, EntryKind, Held, Home, ReadRequest};
use ferry_core::{Algorithm, ErrorKind};

use super::{Check, Expect as _, Subject, bytes, drain, expect_eq, path, read, request};

pub(super) const CHECKS: &[Check] = &[
    ("a new home is empty and uses nothing", |s| Box::pin(a_new_home_is_empty(s))),
    ("homes are kept apart and one home has one ledger", |s| {
        Box::pin(homes_are_kept_apart(s))
    }),
    ("folders are made and removed", |s| Box::pin(folders_are_made_and_removed(s))),
    ("files are described as they were stored", |s| {
        Box::pin(files_are_described(s))
    }),
    ("files are removed and their bytes given back", |s| {
        Box::pin(files_are_removed(s))
    }),
    ("a rename is one step and keeps to its kinds", |s| Box::pin(renames(s))),
    ("a rename replaces a file and gives its bytes back", |s| {
        Box::pin(renames_replace(s))
    }),
    ("a file is read whole with its digest", |s| Box::pin(files_are_read(s))),
    ("a read goes on only behind the same prefix", |s| Box::pin(reads_go_on(s))),
    ("a reader keeps the version that it opened", |s| {
        Box::pin(readers_keep_their_version(s))
    }),
    ("a large folder is listed whole", |s| Box::pin(large_folders_are_listed(s))),
    ("names are bytes", |s| Box::pin(names_are_bytes(s))),
];

async fn a_new_home_is_empty(s: &Subject) {
    let home = s.home(Some(100)).await;
    let root = home.stat(&path("/")).await.expect_ok("stat of the home");
    expect_eq("the kind of the home", &root.kind, &EntryKind::Dir);
    expect_eq("the name of the home", &root.name, &Vec::new());
    expect_eq("the entries of a new home", &s.names(&*home, "/").await, &Vec::new());
    let usage = s.usage(&*home).await;
    expect_eq(
        "limit, used and reserved",
        &(usage.limit, usage.used, usage.reserved),
        &(Some(100), 0, 0),
    );
    expect_eq("partials", &home.partials().await.expect_ok("partials").len(), &0);
    home.stat(&path("/a"))
        .await
        .expect_kind("stat of nothing", ErrorKind::NotFound);
    home.list(&path("/a"))
        .await
        .map(drop)
        .expect_kind("list of nothing", ErrorKind::NotFound);
    home.open(read("/a"))
        .await
        .map(drop)
        .expect_kind("open of nothing", ErrorKind::NotFound);
}

async fn homes_are_kept_apart(s: &Subject) {
    let alice = s.home(None).await;
    let bob = s.store.home("bob", None).await.expect_ok("a second home");
    s.put(&*alice, "/a", b"hers").await;
    expect_eq("what bob sees", &s.names(&*bob, "/").await, &Vec::new());
    let again = s.home(Some(10)).await;
    let (first, second) = (s.usage(&*alice).await, s.usage(&*again).await);
    expect_eq("the ledger of a home opened twice", &first, &second);
    expect_eq(
        "a new limit, in the home opened before",
        &(first.limit, first.used),
        &(Some(10), 4),
    );
    let refused = alice.upload(request("/b", 7)).await.map(drop);
    refused.expect_kind("an upload beyond the new limit", ErrorKind::OverQuota);
    s.store.close().await.expect_ok("close");
}

async fn folders_are_made_and_removed(s: &Subject) {
    let home = s.home(None).await;
    let make = async |at: &str| home.make_dir(&path(at)).await;
    let remove = async |at: &str| home.remove_dir(&path(at)).await;
    make("/a/b")
        .await
        .expect_kind("a folder without a parent", ErrorKind::NotFound);
    make("/a").await.expect_ok("make_dir");
    make("/a/b").await.expect_ok("make_dir inside");
    make("/a").await.expect_kind("a folder that is there", ErrorKind::Exists);
    s.put(&*home, "/f", b"file").await;
    make("/f").await.expect_kind("a folder with a file's name", ErrorKind::Exists);
    make("/f/a")
        .await
        .expect_kind("a folder inside a file", ErrorKind::NotDirectory);
    expect_eq("the entries", &s.names(&*home, "/").await, &vec!["a".into(), "f".into()]);
    expect_eq(
        "what a folder weighs",
        &home.stat(&path("/a")).await.expect_ok("stat").size,
        &0,
    );
    home.list(&path("/f"))
        .await
        .map(drop)
        .expect_kind("list of a file", ErrorKind::NotDirectory);
    home.stat(&path("/f/a"))
        .await
        .expect_kind("stat inside a file", ErrorKind::NotDirectory);
    home.open(read("/a"))
        .await
        .map(drop)
        .expect_kind("open of a folder", ErrorKind::IsDirectory);
    remove("/a").await.expect_kind("a folder with entries", ErrorKind::NotEmpty);
    remove("/f")
        .await
        .expect_kind("remove_dir of a file", ErrorKind::NotDirectory);
    remove("/x").await.expect_kind("remove_dir of nothing", ErrorKind::NotFound);
    remove("/a/b").await.expect_ok("remove_dir");
    remove("/a").await.expect_ok("remove_dir of what became empty");
    expect_eq("the entries", &s.names(&*home, "/").await, &vec!["f".into()]);
}

async fn files_are_described(s: &Subject) {
    let home = s.home(None).await;
    let contents = bytes(1000);
    let mut request = request("/f", contents.len());
    (request.modified, request.executable) = (Some(1_234_567_000_000_000), true);
    let mut upload = home.upload(request).await.expect_ok("upload");
    super::write(&mut upload, &contents).await.expect_ok("write");
    let info = upload.commit(super::md5(&contents)).await.expect_ok("commit");
    let entry = home.stat(&path("/f")).await.expect_ok("stat");
    expect_eq("name", &entry.name, &b"f".to_vec());
    expect_eq("kind and size", &(entry.kind, entry.size), &(EntryKind::File, 1000));
    expect_eq(
        "time and mode",
        &(entry.modified, entry.executable),
        &(1_234_567_000_000_000, true),
    );
    expect_eq(
        "the same in the commit's answer",
        &(info.modified, info.executable),
        &(entry.modified, true),
    );
    expect_eq("version", &info.version, &entry.version);
    if let Some(digest) = entry.digest {
        expect_eq("a digest that is known", &digest, &digest.algorithm().digest(&contents));
    }
    let listed = s.entries(&*home, "/").await;
    expect_eq(
        "the entry in a listing",
        &(listed[0].kind, listed[0].size),
        &(EntryKind::File, 1000),
    );
    let other = s.put(&*home, "/f", &contents).await;
    assert!(other.version != info.version, "a file that was replaced has another version");
}

async fn files_are_removed(s: &Subject) {
    let home = s.home(None).await;
    s.put(&*home, "/a", &[0; 30]).await;
    home.make_dir(&path("/d")).await.expect_ok("make_dir");
    s.put(&*home, "/d/b", &[0; 4]).await;
    expect_eq("used", &s.usage(&*home).await.used, &34);
    let remove = async |at: &str| home.remove_file(&path(at)).await;
    remove("/d")
        .await
        .expect_kind("remove_file of a folder", ErrorKind::IsDirectory);
    remove("/x").await.expect_kind("remove_file of nothing", ErrorKind::NotFound);
    remove("/a/x")
        .await
        .expect_kind("remove_file inside a file", ErrorKind::NotDirectory);
    remove("/a").await.expect_ok("remove_file");
    expect_eq("used after a removal", &s.usage(&*home).await.used, &4);
    remove("/a").await.expect_kind("a second removal", ErrorKind::NotFound);
}

async fn renames(s: &Subject) {
    let home = s.home(None).await;
    for at in ["/d", "/d/in", "/e", "/full"] {
        home.make_dir(&path(at)).await.expect_ok("make_dir");
    }
    s.put(&*home, "/f", b"file").await;
    s.put(&*home, "/d/in/deep", b"deep").await;
    s.put(&*home, "/full/x", b"x").await;
    let rename = async |from: &str, to: &str| home.rename(&path(from), &path(to), false).await;
    rename("/x", "/y")
        .await
        .expect_kind("a rename of nothing", ErrorKind::NotFound);
    rename("/f", "/x/y")
        .await
        .expect_kind("a rename into nothing", ErrorKind::NotFound);
    rename("/d", "/f/y")
        .await
        .expect_kind("a rename into a file", ErrorKind::NotDirectory);
    rename("/f", "/e")
        .await
        .expect_kind("a file over a folder", ErrorKind::IsDirectory);
    rename("/d", "/f")
        .await
        .expect_kind("a folder over a file", ErrorKind::NotDirectory);
    rename("/d", "/full")
        .await
        .expect_kind("a folder over a full one", ErrorKind::NotEmpty);
    rename("/d", "/e").await.expect_ok("a folder over an empty one");
    expect_eq("what moved along", &s.contents(&*home, "/e/in/deep").await, &b"deep".to_vec());
    home.stat(&path("/d")).await.expect_kind("the old name", ErrorKind::NotFound);
    rename("/e", "/full/e").await.expect_ok("a folder into another");
    rename("/f", "/full/e/in/f").await.expect_ok("a file into another folder");
    expect_eq("used", &s.usage(&*home).await.used, &9);
    expect_eq(
        "what is there",
        &s.names(&*home, "/full/e/in").await,
        &vec!["deep".into(), "f".into()],
    );
}

async fn renames_replace(s: &Subject) {
    let home = s.home(None).await;
    s.put(&*home, "/a", &[1; 10]).await;
    s.put(&*home, "/b", &[2; 300]).await;
    let refused = home.rename(&path("/a"), &path("/b"), true).await;
    refused.expect_kind("a rename over a file with no_clobber", ErrorKind::Exists);
    expect_eq("the file in the way", &s.contents(&*home, "/b").await.len(), &300);
    home.rename(&path("/a"), &path("/b"), false)
        .await
        .expect_ok("rename over a file");
    expect_eq("the file that replaced it", &s.contents(&*home, "/b").await, &vec![1; 10]);
    expect_eq("used", &s.usage(&*home).await.used, &10);
    home.rename(&path("/b"), &path("/c"), true)
        .await
        .expect_ok("rename with no_clobber");
}

async fn files_are_read(s: &Subject) {
    let home = s.home(None).await;
    for len in [0, 1, 1000, 600_000, 1_048_576] {
        let contents = bytes(len);
        s.put(&*home, "/f", &contents).await;
        for algorithm in [Algorithm::Md5, Algorithm::Blake3] {
            let opened = home.open(ReadRequest { algorithm, ..read("/f") }).await;
            let mut source = opened.expect_ok("open");
            expect_eq(
                "where it starts",
                &(source.start().code, source.start().offset),
                &(CODE_START, 0),
            );
            expect_eq("its size", &source.file().size, &(len as u64));
            let got = drain(&mut source).await.expect_ok("read");
            assert!(got == contents, "{len} bytes were stored and {} others read", got.len());
            expect_eq("the digest", &source.digest(), &algorithm.digest(&contents));
        }
    }
}

async fn reads_go_on(s: &Subject) {
    let home = s.home(None).await;
    let contents = bytes(700_000);
    s.put(&*home, "/f", &contents).await;
    let prefix = |bytes: &[u8]| Algorithm::Blake3.digest(bytes);
    let held = |offset: u64, prefix| Some(Held { offset, prefix });
    for offset in [1, 1000, 300_000, 700_000] {
        let claim = held(offset as u64, prefix(&contents[..offset]));
        let opened = home
            .open(ReadRequest {
                held: claim,
                ..read("/f")
            })
            .await;
        let mut source = opened.expect_ok("open behind a prefix");
        expect_eq("where it starts", &source.start().offset, &(offset as u64));
        expect_eq("the prefix", &source.start().prefix, &Some(prefix(&contents[..offset])));
        let rest = drain(&mut source).await.expect_ok("read");
        assert!(rest == contents[offset..], "the bytes behind {offset} are others");
        expect_eq("the digest of all", &source.digest(), &super::md5(&contents));
    }
    for claim in [
        held(1000, prefix(b"other bytes")),
        held(700_001, prefix(&contents)),
        held(u64::MAX, prefix(&contents)),
    ] {
        let opened = home
            .open(ReadRequest {
                held: claim,
                ..read("/f")
            })
            .await;
        let mut source = opened.expect_ok("open behind a wrong prefix");
        expect_eq("where it starts", &source.start().offset, &0);
        assert!(drain(&mut source).await.expect_ok("read") == contents, "not all bytes came");
    }
}

async fn readers_keep_their_version(s: &Subject) {
    let home = s.home(None).await;
    let (old, new) = (bytes(1_500_000), vec![7; 1_500_000]);
    s.put(&*home, "/f", &old).await;
    let mut source = home.open(read("/f")).await.expect_ok("open");
    let first = source.next().await.expect_ok("read");
    let first = first.map_or_else(Vec::new, |chunk| chunk.to_vec());
    s.put(&*home, "/f", &new).await;
    let rest = drain(&mut source).await.expect_ok("read after a replacement");
    assert!(
        [first, rest].concat() == old,
        "a reader saw bytes of a version that it did not open"
    );
    expect_eq("the digest", &source.digest(), &super::md5(&old));
    assert!(s.contents(&*home, "/f").await == new, "a new reader sees the new version");
    let mut source = home.open(read("/f")).await.expect_ok("open");
    home.remove_file(&path("/f")).await.expect_ok("remove_file");
    assert!(
        drain(&mut source).await.expect_ok("read") == new,
        "a reader lost a file that was removed"
    );
}

async fn large_folders_are_listed(s: &Subject) {
    let home = s.home(None).await;
    let mut want: Vec<String> = (0..1500).map(|n| format!("{n:04}")).collect();
    for name in &want {
        home.make_dir(&path(&format!("/{name}"))).await.expect_ok("make_dir");
    }
    expect_eq("the entries", &s.names(&*home, "/").await, &want);
    home.remove_dir(&path("/0007")).await.expect_ok("remove_dir");
    want.remove(7);
    expect_eq("the entries after one is gone", &s.names(&*home, "/").await, &want);
}

async fn names_are_bytes(s: &Subject) {
    let home = s.home(None).await;
    let root = path("/");
    let longest = vec![b'x'; 255];
    for name in [&b"caf\xe9"[..], b" ", b"-rf", b"*?[", b"...", &longest] {
        let at = root.join(name).expect_ok("join");
        home.make_dir(&at).await.expect_ok("a folder with an odd name");
        expect_eq("the name", &home.stat(&at).await.expect_ok("stat").name, &name.to_vec());
        expect_eq("the name in a listing", &s.entries(&*home, "/").await[0].name, &name.to_vec());
        home.remove_dir(&at).await.expect_ok("remove_dir");
    }
}

pub(super) async fn links_are_described_and_never_followed(home: &dyn Home) {
    let link = path("/link");
    let inside = path("/link/notes");
    let entry = home.stat(&link).await.expect_ok("stat of a link");
    expect_eq("kind and size of a link", &(entry.kind, entry.size), &(EntryKind::Link, 0));
    home.stat(&inside).await.expect_kind("stat behind a link", ErrorKind::Denied);
    home.open(read("/link"))
        .await
        .map(drop)
        .expect_kind("open of a link", ErrorKind::Denied);
    home.open(read("/link/notes"))
        .await
        .map(drop)
        .expect_kind("open behind a link", ErrorKind::Denied);
    assert!(
        home.list(&link).await.is_err(),
        "a link to a folder was listed as that folder"
    );
    home.make_dir(&link)
        .await
        .expect_kind("a folder in a link's place", ErrorKind::Exists);
    home.make_dir(&path("/link/a"))
        .await
        .expect_kind("a folder behind a link", ErrorKind::Denied);
    home.remove_file(&inside)
        .await
        .expect_kind("a removal behind a link", ErrorKind::Denied);
    home.remove_dir(&link)
        .await
        .expect_kind("remove_dir of a link", ErrorKind::NotDirectory);
    let out = home.rename(&inside, &path("/out"), false).await;
    out.expect_kind("a rename from behind a link", ErrorKind::Denied);
    let upload = home.upload(request("/link/new", 0)).await.map(drop);
    upload.expect_kind("an upload behind a link", ErrorKind::Denied);
    let used = home.usage().await.expect_ok("usage").used;
    home.remove_file(&link).await.expect_ok("a link's removal");
    expect_eq(
        "used after a link's removal",
        &home.usage().await.expect_ok("usage").used,
        &used,
    );
    home.stat(&path("/docs/notes")).await.expect_ok("stat of what the link named");
}
