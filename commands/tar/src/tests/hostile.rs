//! Archives that are damaged, lie, or lead out of the folder.

use ferry_core::store::Home as _;
use ferry_core::{ErrorKind, rt::block_on};
use ferry_testkit::{Harness, Sent};
use tar::{EntryType, Header};

use super::{add, archive, header, raw};

#[test]
fn no_name_leads_out_and_nothing_but_files_and_folders_is_made() {
    let long = [b'x'; 300];
    let deep = b"d/".repeat(2500);
    for (path, kind, want) in [
        (&b"/etc/passwd"[..], EntryType::Regular, ErrorKind::Denied),
        (b"../x", EntryType::Regular, ErrorKind::Denied),
        (b"a/../../x", EntryType::Regular, ErrorKind::Denied),
        (b"..", EntryType::Directory, ErrorKind::Denied),
        (b"a/..", EntryType::Directory, ErrorKind::Denied),
        (b"a\x1b[2J", EntryType::Regular, ErrorKind::BadPath),
        (b"a\n", EntryType::Directory, ErrorKind::BadPath),
        (&long, EntryType::Regular, ErrorKind::BadPath),
        (&deep, EntryType::Directory, ErrorKind::BadPath),
        (b"link", EntryType::Symlink, ErrorKind::Unsupported),
        (b"link", EntryType::Link, ErrorKind::Unsupported),
        (b"null", EntryType::Char, ErrorKind::Unsupported),
        (b"sda", EntryType::Block, ErrorKind::Unsupported),
        (b"pipe", EntryType::Fifo, ErrorKind::Unsupported),
        (b"odd", EntryType::new(b'Q'), ErrorKind::Unsupported),
        (b".", EntryType::Regular, ErrorKind::IsDirectory),
        (b"", EntryType::Regular, ErrorKind::IsDirectory),
    ] {
        let h = Harness::new();
        // What comes behind it is unpacked.
        let mut bytes = raw(path, kind, b"");
        bytes.truncate(bytes.len() - 1024);
        bytes.extend(raw(b"behind", EntryType::Regular, b"it"));
        let output = h.send("untar x.tar in", Sent::stream(bytes)).unwrap();
        let shown = String::from_utf8_lossy(path);
        let kinds: Vec<ErrorKind> = output.problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(kinds, [want], "{shown:?} {kind:?} {:?}", output.problems);
        assert_eq!(h.files().keys().collect::<Vec<_>>(), ["/in/behind"], "{shown:?}");
        assert_eq!(h.folders(), ["/in"], "{shown:?}");
    }
}

#[test]
fn a_link_on_the_way_leads_nowhere() {
    let h = Harness::new();
    h.plant_link("/link");
    let bytes = raw(b"link/x", EntryType::Regular, b"x");
    let output = h.send("untar x.tar", Sent::stream(bytes)).unwrap();
    assert_eq!(output.problems.len(), 1);
    assert!(h.files().is_empty());
}

#[test]
fn sparse_files_are_passed_over_whole() {
    let h = Harness::new();
    let mut sparse = header(1024);
    sparse.set_entry_type(EntryType::GNUSparse);
    let gnu = sparse.as_gnu_mut().unwrap();
    gnu.set_is_extended(true);
    sparse.set_path("old").unwrap();
    sparse.set_cksum();
    let mut more = tar::GnuExtSparseHeader::new();
    more.set_is_extended(true);
    let last = tar::GnuExtSparseHeader::new();
    let mut bytes = [&sparse.as_bytes()[..], more.as_bytes(), last.as_bytes(), &[1; 1024]].concat();
    bytes.extend(archive(|builder| {
        builder
            .append_pax_extensions([("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")])
            .unwrap();
        add(builder, "GNUSparseFile.0/new", &[2; 700]);
        add(builder, "behind", b"them");
    }));
    let output = h.send("untar x.tar", Sent::stream(bytes)).unwrap();
    assert_eq!(output.problems.len(), 2);
    assert!(
        output.problems.iter().all(|problem| problem.message.contains("sparse")),
        "{:?}",
        output.problems
    );
    assert_eq!(h.files().keys().collect::<Vec<_>>(), ["/behind"]);
}

#[test]
fn what_is_there_is_replaced_or_spared() {
    let h = Harness::standard();
    let bytes = archive(|builder| {
        add(builder, "hello.txt", b"new");
        add(builder, "docs", b"a file where a folder is");
        add(builder, "hello.txt/x", b"a folder where a file is");
    });
    let output = h.send("untar x.tar --no-clobber", Sent::stream(bytes.clone())).unwrap();
    let kinds = |output: &ferry_testkit::Output| output.problems.iter().map(|problem| problem.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&output)[0], ErrorKind::Exists);
    assert_eq!(h.files()["/hello.txt"], b"Hello, world!\n");
    let output = h.send("untar x.tar", Sent::stream(bytes)).unwrap();
    assert_eq!(kinds(&output), [ErrorKind::IsDirectory, ErrorKind::NotDirectory]);
    assert_eq!(h.files()["/hello.txt"], b"new");
    assert_eq!(h.files()["/docs/notes.txt"], b"Some notes.\n");
}

#[test]
fn the_quota_holds_and_nothing_stays_reserved() {
    let h = Harness::new().quota(1000);
    let bytes = archive(|builder| {
        add(builder, "fits", &[1; 900]);
        add(builder, "does-not", &[2; 101]);
    });
    let error = h.send("untar x.tar", Sent::stream(bytes)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::OverQuota);
    assert!(error.message.starts_with("/does-not needs"), "{error}");
    assert_eq!(h.files().keys().collect::<Vec<_>>(), ["/fits"]);
    assert_eq!((h.usage().used, h.usage().reserved), (900, 0));
    // A size that no file has is refused before anything is kept of it.
    let mut lie = raw(b"huge", EntryType::Regular, b"");
    lie[..512].copy_from_slice(&{
        let mut huge = header(u64::MAX);
        huge.set_path("huge").unwrap();
        huge.set_cksum();
        *huge.as_bytes()
    });
    assert_eq!(
        h.send("untar x.tar", Sent::stream(lie.clone())).unwrap_err().kind,
        ErrorKind::OverQuota
    );
    let free = Harness::new();
    assert_eq!(
        free.send("untar x.tar", Sent::stream(lie)).unwrap_err().kind,
        ErrorKind::BadRequest
    );
    assert!(free.files().is_empty() && free.usage().reserved == 0);
}

#[test]
fn an_archive_that_is_cut_off_leaves_no_half_file() {
    let whole = archive(|builder| {
        add(builder, "first", &[1; 600]);
        add(builder, "second", &[2; 700]);
    });
    // At every place where something else is being read, up to the end mark.
    for len in [0, 1, 511, 512, 513, 1000, 1535, 1536, 1537, 2048, 2100, 3071, 3072, 3100] {
        let h = Harness::new();
        let error = h.send("untar x.tar", Sent::stream(&whole[..len])).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadRequest, "{len}: {error}");
        assert!(error.message.contains("ends before its end mark"), "{len}: {error}");
        let files: Vec<(String, Vec<u8>)> = h.files().into_iter().collect();
        let whole = [("/first".to_owned(), vec![1; 600]), ("/second".to_owned(), vec![2; 700])];
        assert!(whole.starts_with(&files), "{len}");
        assert_eq!(
            (h.usage().reserved, block_on(h.home().partials()).unwrap().len()),
            (0, 0),
            "{len}"
        );
    }
}

#[test]
fn what_is_no_archive_is_refused_with_a_hint() {
    let h = Harness::new();
    for (start, hint) in [
        (&[0x1f, 0x8b, 8][..], "gunzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh9", "bzip2"),
    ] {
        let bytes = [start, &[5; 2000]].concat();
        let error = h.send("untar x.tgz", Sent::stream(bytes)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadRequest);
        assert!(error.hint.unwrap().contains(hint));
    }
    let records = raw(b"x", EntryType::XHeader, &[b'9'; 100]);
    assert_eq!(
        h.send("untar x", Sent::stream(records)).unwrap_err().kind,
        ErrorKind::BadRequest
    );
    let mut endless = header(1 << 40);
    endless.set_entry_type(EntryType::XHeader);
    endless.set_cksum();
    let error = h.send("untar x", Sent::stream(&endless.as_bytes()[..])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(h.files().is_empty());
    assert_eq!(h.send("untar x", Sent::folder()).unwrap_err().kind, ErrorKind::IsDirectory);
}

#[test]
fn a_wrong_digest_is_told() {
    let h = Harness::new();
    let bytes = archive(|builder| add(builder, "a", b"a"));
    let error = h.send("untar x.tar", Sent::stream(bytes).wrong_digest()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::DigestMismatch);
}

#[test]
fn random_damage_never_breaks_more_than_the_archive() {
    let whole = archive(|builder| {
        add(builder, "a/b", &[1; 600]);
        add(builder, &"long/".repeat(50), b"");
        builder
            .append_pax_extensions([("path", &b"p"[..]), ("mtime", b"1.5")])
            .unwrap();
        add(builder, "c", &[2; 10]);
    });
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for _ in 0..2000 {
        let mut bytes = whole.clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            bytes[at] = u8::try_from(random(256)).unwrap();
        }
        // With the right sum, so that what is behind it is looked at.
        let block: &mut [u8; 512] = (&mut bytes[..512]).try_into().unwrap();
        let mut header = Header::from_byte_slice(block).clone();
        header.set_cksum();
        bytes[..512].copy_from_slice(header.as_bytes());
        let h = Harness::new().quota(100_000);
        if let Err(error) = h.send("untar x.tar in", Sent::stream(bytes)) {
            assert_ne!(error.kind, ErrorKind::Internal, "{error}");
        }
        assert!(
            h.files().keys().all(|path| path.starts_with("/in/")),
            "{:?}",
            h.files().keys()
        );
        assert!(h.usage().reserved == 0);
    }
}
