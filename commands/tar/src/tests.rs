//! Both verbs in process, with the `tar` crate's own reader and writer as the referee.

use std::collections::BTreeMap;
use std::io::Read as _;

use ferry_core::store::{Home as _, UploadRequest};
use ferry_core::{Access, Algorithm, Chunk, ErrorKind, GuardedHome, HomePath, rt::block_on};
use ferry_testkit::{Harness, Sent};
use tar::{Archive, Builder, EntryType, Header};

use crate::member::Member;

mod beside;
mod hostile;
mod slow;

/// What the referee reads in an archive: type, mode and time by name, and contents.
fn read(archive: &[u8]) -> BTreeMap<String, (EntryType, u32, u64, Vec<u8>)> {
    let mut archive = Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let header = entry.header();
        let (kind, mode, modified) = (header.entry_type(), header.mode().unwrap(), header.mtime().unwrap());
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).unwrap();
        (path, (kind, mode, modified, contents))
    });
    entries.collect()
}

/// An archive by the referee.
fn archive(make: impl FnOnce(&mut Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    make(&mut builder);
    builder.into_inner().unwrap()
}

fn header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(1_600_000_000);
    header
}

fn add(builder: &mut Builder<Vec<u8>>, path: &str, contents: &[u8]) {
    builder
        .append_data(&mut header(contents.len() as u64), path, contents)
        .unwrap();
}

/// One member with a name that a well-behaved program would not write, and nothing else.
fn raw(path: &[u8], kind: EntryType, contents: &[u8]) -> Vec<u8> {
    let member = Member {
        path: path.to_vec(),
        kind,
        size: contents.len() as u64,
        modified: Some(0),
        executable: false,
    };
    let mut bytes = member.to_bytes();
    bytes.extend_from_slice(contents);
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

#[test]
fn the_verbs_keep_the_rules() {
    ferry_testkit::check_linked();
}

#[test]
fn a_tree_is_packed_with_all_that_is_in_it() {
    let h = Harness::standard();
    let long = format!("docs/{}/{}", "d".repeat(120), "f".repeat(200));
    h.seed(&long, &[7; 100_000]);
    h.seed_dir("/docs/empty");
    let found = read(&h.ok("tar docs hello.txt x.tar").body);
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let folder = format!("docs/{}/", "d".repeat(120));
    assert_eq!(names, ["docs/", &folder, &long, "docs/empty/", "docs/notes.txt", "hello.txt"]);
    assert_eq!(found["docs/"].0, EntryType::Directory);
    assert_eq!(found[&long].3, [7; 100_000]);
    assert_eq!(found["hello.txt"].3, b"Hello, world!\n");
}

#[test]
fn names_in_an_archive_never_lead_out_of_a_folder() {
    let h = Harness::standard();
    for (line, first) in [
        ("tar /docs", "docs/"),
        ("tar ./docs/", "docs/"),
        ("tar docs/../docs", "docs/"),
        ("tar .", "./"),
        ("tar /", "./"),
        ("tar docs//notes.txt", "docs/notes.txt"),
    ] {
        assert_eq!(read(&h.ok(line).body).keys().next().unwrap(), first, "{line}");
    }
}

#[test]
fn what_cannot_be_packed_is_told_and_the_rest_is() {
    let h = Harness::standard();
    h.plant_link("/docs/link");
    let output = h.ok("tar docs nothing x.tar");
    let kinds: Vec<ErrorKind> = output.problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [ErrorKind::Unsupported, ErrorKind::NotFound]);
    assert_eq!(read(&output.body).len(), 2);
    for (line, kind) in [
        ("tar nothing", ErrorKind::NotFound),
        ("tar ..", ErrorKind::Denied),
        ("tar", ErrorKind::BadRequest),
    ] {
        assert_eq!(h.err(line).kind, kind, "{line}");
    }
}

#[test]
fn what_is_packed_is_unpacked_the_same() {
    let h = Harness::standard();
    let home = GuardedHome::new(h.home().clone(), Access::Write);
    let request = UploadRequest {
        size: Some(3),
        modified: Some(1_234_567_890_123_456_789),
        executable: true,
        ..UploadRequest::new(HomePath::parse("/docs/run.sh").unwrap())
    };
    block_on(async {
        let mut upload = home.upload(request).await?;
        upload.write(Chunk::from(&b"#!\n"[..])).await?;
        upload.commit(Algorithm::Md5.digest(b"#!\n")).await
    })
    .unwrap();
    h.seed(&format!("/docs/{}", "\u{e4}".repeat(120)), &[9; 1_000_000]);
    h.seed_dir("/docs/empty/inner");
    let body = h.ok("tar docs").body;
    let output = h.send("untar docs.tar again", Sent::stream(body)).unwrap();
    assert_eq!(output.text.as_deref(), Some("3 files and 3 folders unpacked into /again"));
    let files = h.files();
    for (path, contents) in files.iter().filter(|(path, _)| path.starts_with("/docs")) {
        assert_eq!(files.get(&format!("/again{path}")), Some(contents), "{path}");
    }
    assert!(h.folders().contains(&"/again/docs/empty/inner".to_owned()));
    let again = block_on(h.home().stat(&HomePath::parse("/again/docs/run.sh").unwrap())).unwrap();
    assert_eq!((again.modified, again.executable), (1_234_567_890_123_456_789, true));
    assert_eq!(h.usage().reserved, 0);
}

#[test]
fn archives_of_others_are_unpacked() {
    let h = Harness::new();
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(150));
    let bytes = archive(|builder| {
        add(builder, "./a/b/c.txt", b"without folders before it");
        add(builder, &long, b"a long name");
        builder
            .append_pax_extensions([("path", &b"from pax"[..]), ("mtime", b"1.25"), ("comment", b"two\nlines")])
            .unwrap();
        add(builder, "overridden", b"pax");
        let mut folder = header(0);
        folder.set_entry_type(EntryType::Directory);
        builder.append_data(&mut folder, "empty/", &[][..]).unwrap();
        add(builder, "twice", b"first");
        add(builder, "twice", b"second");
    });
    let output = h.send("untar x.tar", Sent::stream(bytes)).unwrap();
    assert!(output.problems.is_empty(), "{:?}", output.problems);
    let files = h.files();
    assert_eq!(files["/a/b/c.txt"], b"without folders before it");
    assert_eq!(files[&format!("/{long}")], b"a long name");
    assert_eq!((&files["/from pax"][..], &files["/twice"][..]), (&b"pax"[..], &b"second"[..]));
    assert!(h.folders().contains(&"/empty".to_owned()));
    let stat = |path| block_on(h.home().stat(&HomePath::parse(path).unwrap())).unwrap();
    assert_eq!(stat("/from pax").modified, 1_250_000_000);
    assert_eq!(stat("/twice").modified, 1_600_000_000_000_000_000);
}

#[test]
fn who_may_only_read_packs_and_does_not_unpack() {
    let h = Harness::standard().read_only();
    assert!(!h.ok("tar docs").body.is_empty());
    let error = h.send("untar x.tar", Sent::stream(vec![0; 1024])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
}
