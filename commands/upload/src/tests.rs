//! Tests of `upload`, through the harness.

use ferry_core::rt::block_on;
use ferry_core::store::{CODE_PRESENT, CODE_RESUME, CODE_START};
use ferry_core::{Algorithm, ErrorKind, RemotePath};
use ferry_testkit::{Harness, Output, Sent};

const BYTES: &[u8] = b"The contents of a file.";

fn big() -> Vec<u8> {
    (0..900_000u32).flat_map(|n| n.to_le_bytes()).collect()
}

fn paths(h: &Harness) -> Vec<String> {
    h.files().into_keys().collect()
}

fn code(output: &Output) -> u16 {
    output.begin.as_ref().unwrap().code
}

#[test]
fn the_verb_keeps_the_rules() {
    ferry_testkit::check_linked();
}

#[test]
fn its_usage_is_the_one_agreed_on() {
    let registry = ferry_core::Registry::linked().unwrap();
    assert_eq!(
        registry.find("put").unwrap().info.usage(),
        "upload LOCAL... [REMOTE] [-r] [--as NAME] [--no-clobber] [--checksum]"
    );
}

#[test]
fn an_upload_is_whole_proven_and_told() {
    let h = Harness::new();
    let sent = Sent::file(big()).offer(|offer| (offer.modified, offer.executable) = (Some(1_234_567), true));
    let output = h.send("upload local/folder/big.bin", sent).unwrap();
    assert_eq!(code(&output), CODE_START);
    assert_eq!(output.begin.unwrap().path, Some(RemotePath::from("/big.bin")));
    let file = output.file.unwrap();
    assert_eq!(
        (file.path, file.size, file.modified, file.executable),
        ("/big.bin".into(), 3_600_000, 1_234_567, true)
    );
    assert_eq!(file.digest, Some(Algorithm::Md5.digest(&big())));
    assert!(h.files()["/big.bin"] == big());
    assert_eq!((h.usage().used, h.usage().reserved), (3_600_000, 0));
}

#[test]
fn the_target_is_read_as_with_cp() {
    let h = Harness::standard();
    for line in [
        "put a",
        "put b docs",
        "put c docs/",
        "put d docs/other",
        "put e --as named",
        "put f docs --as x/../named",
        "put - --as stdin",
        "put g h docs",
    ] {
        h.send(line, BYTES).unwrap();
    }
    assert_eq!(
        paths(&h),
        [
            "/a",
            "/docs/b",
            "/docs/c",
            "/docs/g",
            "/docs/h",
            "/docs/named",
            "/docs/notes.txt",
            "/docs/other",
            "/hello.txt",
            "/named",
            "/stdin"
        ]
    );
}

#[test]
fn a_stream_of_unknown_size_is_stored() {
    let h = Harness::new().quota(4_000_000);
    let output = h.send("upload - --as log", Sent::stream(big())).unwrap();
    assert_eq!(output.file.unwrap().size, 3_600_000);
    assert_eq!((h.usage().used, h.usage().reserved), (3_600_000, 0));
}

#[test]
fn an_empty_file_is_a_file() {
    let h = Harness::new();
    h.send("upload empty", b"").unwrap();
    assert_eq!(h.files()["/empty"], b"");
}

#[test]
fn what_was_cut_off_goes_on_where_it_stopped() {
    let h = Harness::new();
    let error = h.send("upload big", Sent::file(big()).cut_after(1_000_000)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert!(h.files().is_empty(), "what is not whole is not seen");
    assert_eq!((h.usage().used, h.usage().reserved), (0, 3_600_000));
    let output = h.send("upload big", Sent::file(big())).unwrap();
    assert_eq!((code(&output), output.begin.unwrap().offset), (CODE_RESUME, 1_000_000));
    assert!(h.files()["/big"] == big());
    assert_eq!(h.usage().reserved, 0);
}

#[test]
fn two_versions_are_never_glued_together() {
    let h = Harness::new();
    let _ = h.send("upload big", Sent::file(vec![7; 3_600_000]).cut_after(1_000_000));
    let error = h.send("upload big", Sent::file(big())).unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::Cancelled,
        "the client sees by the digest of the prefix that it is another file"
    );
    let output = h
        .send("upload big", Sent::file(big()).offer(|offer| offer.fresh = true))
        .unwrap();
    assert_eq!(code(&output), CODE_START);
    assert!(h.files()["/big"] == big());
}

#[test]
fn an_unfinished_upload_is_found_under_another_name_by_its_digest() {
    let h = Harness::new();
    let expected = Some(Algorithm::Md5.digest(&big()));
    let sent = || Sent::file(big()).offer(|offer| offer.expected = expected);
    let _ = h.send("upload big", sent().cut_after(1_000_000));
    let output = h.send("upload renamed", sent()).unwrap();
    assert_eq!(code(&output), CODE_RESUME);
    assert_eq!(paths(&h), ["/renamed"]);
}

#[test]
fn the_same_file_is_not_sent_again() {
    let h = Harness::new();
    let sent = || Sent::file(BYTES).offer(|offer| offer.modified = Some(5));
    h.send("upload a", sent()).unwrap();
    let output = h.send("upload a", sent()).unwrap();
    assert_eq!((code(&output), output.file.unwrap().size), (CODE_PRESENT, 23));
    let output = h.send("upload a", sent().offer(|offer| offer.fresh = true)).unwrap();
    assert_eq!(code(&output), CODE_START);
}

#[test]
fn digests_are_compared_in_place_of_times_when_asked_for() {
    let h = Harness::new();
    let sent = |bytes: &[u8], time| Sent::file(bytes).offer(|offer| offer.modified = Some(time));
    h.send("upload a", sent(BYTES, 5)).unwrap();
    let output = h.send("upload --checksum a", sent(BYTES, 6)).unwrap();
    assert_eq!(code(&output), CODE_PRESENT);
    let other = vec![7; BYTES.len()];
    let error = h.send("upload --checksum a", sent(&other, 5)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled, "the client sees that it is another file");
    let output = h.send("upload --checksum a", sent(b"other size", 6)).unwrap();
    assert_eq!((code(&output), output.file.unwrap().modified), (CODE_START, 6));
}

#[test]
fn an_unfinished_upload_keeps_its_own_time_when_digests_are_compared() {
    let h = Harness::new();
    let sent = |bytes: Vec<u8>, time| Sent::file(bytes).offer(|offer| offer.modified = Some(time));
    h.send("upload big", sent(vec![7; 3_600_000], 5)).unwrap();
    let _ = h.send("upload big", sent(big(), 6).cut_after(1_000_000));
    let output = h.send("upload --checksum big", sent(big(), 6)).unwrap();
    assert_eq!((code(&output), output.file.unwrap().modified), (CODE_RESUME, 6));
}

#[test]
fn an_eager_body_starts_from_the_beginning() {
    let h = Harness::new();
    let sent = || Sent::file(BYTES).offer(|offer| (offer.modified, offer.eager) = (Some(5), true));
    h.send("upload a", sent()).unwrap();
    assert_eq!(code(&h.send("upload a", sent()).unwrap()), CODE_START);
}

#[test]
fn eager_contents_that_are_there_already_are_not_stored_again() {
    let h = Harness::new();
    let sent = |bytes: &[u8]| {
        let digest = Algorithm::Md5.digest(bytes);
        Sent::file(bytes).offer(move |offer| {
            (offer.modified, offer.eager, offer.expected) = (Some(5), true, Some(digest));
        })
    };
    h.send("upload a", sent(BYTES)).unwrap();
    let again = h.send("upload a", sent(BYTES)).unwrap();
    assert!(again.begin.is_none());
    assert_eq!(again.file.unwrap().digest, Some(Algorithm::Blake3.digest(BYTES)));
    // Of the same size and time, and other bytes.
    let other: Vec<u8> = BYTES.iter().rev().copied().collect();
    assert_eq!(code(&h.send("upload a", sent(&other)).unwrap()), CODE_START);
    assert_eq!(h.files()["/a"], other);
    let refused = h.send("upload a --no-clobber", sent(&other)).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Exists);
}

#[test]
fn what_is_said_to_be_there_already_is_made_durable_first() {
    let h = Harness::new();
    let sent = || Sent::file(BYTES).offer(|offer| offer.modified = Some(5));
    h.send("upload a", sent()).unwrap();
    assert!(h.home().settled().is_empty());
    for line in ["upload -r a", "upload --checksum a"] {
        h.send(line, sent()).unwrap();
    }
    let expected = Algorithm::Md5.digest(BYTES);
    h.send(
        "upload a",
        sent().offer(move |offer| (offer.modified, offer.eager, offer.expected) = (Some(5), true, Some(expected))),
    )
    .unwrap();
    assert_eq!(h.home().settled(), ["/a", "/a"]);
}

#[test]
fn an_overwrite_gives_the_old_bytes_back_to_the_quota() {
    let h = Harness::new().quota(60);
    h.send("upload a", BYTES).unwrap();
    h.send("upload a", Sent::file(*b"other")).unwrap();
    assert_eq!((h.files()["/a"].as_slice(), h.usage().used), (&b"other"[..], 5));
}

#[test]
fn a_wrong_digest_leaves_no_file_and_no_reservation() {
    let h = Harness::standard();
    let error = h.send("upload hello.txt", Sent::file(BYTES).wrong_digest()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::DigestMismatch);
    assert_eq!(h.files()["/hello.txt"], b"Hello, world!\n");
    assert_eq!(h.usage().reserved, 0);
}

#[test]
fn an_upload_over_the_quota_leaves_no_file() {
    let h = Harness::new().quota(10);
    assert_eq!(h.send("upload a", BYTES).unwrap_err().kind, ErrorKind::OverQuota);
    assert_eq!(
        h.send("upload - --as b", Sent::stream(BYTES)).unwrap_err().kind,
        ErrorKind::OverQuota
    );
    assert!(h.files().is_empty());
    assert_eq!((h.usage().used, h.usage().reserved), (0, 0));
}

#[test]
fn more_bytes_than_were_declared_are_refused() {
    let h = Harness::new();
    let error = h
        .send("upload a", Sent::file(BYTES).offer(|offer| offer.size = Some(5)))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(h.files().is_empty());
}

#[test]
fn fewer_bytes_than_were_declared_are_refused_and_can_be_gone_on_with() {
    let h = Harness::new();
    let error = h
        .send("upload a", Sent::file(BYTES).offer(|offer| offer.size = Some(50)))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::OffsetMismatch);
    assert_eq!(h.usage().reserved, 50);
    assert!(h.files().is_empty());
}

#[test]
fn each_refusal_has_its_kind() {
    let h = Harness::standard();
    h.plant_link("/link");
    h.seed_dir("/full/a");
    for (line, kind) in [
        ("upload a nowhere/", ErrorKind::NotFound),
        ("upload a nowhere/b", ErrorKind::NotFound),
        ("upload a b nowhere", ErrorKind::NotFound),
        ("upload a hello.txt/", ErrorKind::NotDirectory),
        ("upload a hello.txt/b", ErrorKind::NotDirectory),
        ("upload a full", ErrorKind::IsDirectory),
        ("upload a --as /", ErrorKind::IsDirectory),
        ("upload a --as b/", ErrorKind::IsDirectory),
        ("upload a --as docs/..", ErrorKind::IsDirectory),
        ("upload a link/b", ErrorKind::Denied),
        ("upload a ..", ErrorKind::Denied),
        ("upload a --as ../a", ErrorKind::Denied),
        ("upload a \"b\tc\"", ErrorKind::BadPath),
        ("upload ..", ErrorKind::BadPath),
        ("upload -", ErrorKind::BadRequest),
        ("upload --no-clobber hello.txt", ErrorKind::Exists),
        ("upload", ErrorKind::BadRequest),
    ] {
        assert_eq!(h.send(line, BYTES).unwrap_err().kind, kind, "{line}");
    }
    assert_eq!(paths(&h), ["/docs/notes.txt", "/hello.txt"]);
}

/// The arguments as a hostile or a tree-sending client writes them: the harness would send a last name alone.
fn args(local: &str, recursive: bool) -> Vec<u8> {
    let mut args = vec![0x82, 0xa5];
    args.extend(b"local");
    args.extend([0x91, 0xd9, u8::try_from(local.len()).unwrap()]);
    args.extend(local.as_bytes());
    args.push(0xa9);
    args.extend(b"recursive");
    args.push(0xc2 | u8::from(recursive));
    args
}

#[test]
fn the_name_of_a_source_cannot_lead_elsewhere() {
    let h = Harness::standard();
    for (name, recursive) in [
        ("/etc/passwd", true),
        ("../up", true),
        ("a/../../up", true),
        ("a//b", true),
        ("a/.", true),
        ("", true),
        ("a/b", false),
        ("/a", false),
    ] {
        let error = block_on(h.call_raw("upload", &args(name, recursive))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadPath, "{name}");
    }
    assert_eq!((h.files().len(), h.folders().len()), (2, 1));
}

#[test]
fn a_file_of_a_tree_brings_the_folders_above_it() {
    let h = Harness::new();
    block_on(h.call_raw_with_body("upload", &args("photos/2024/a.jpg", true), BYTES)).unwrap();
    assert_eq!(paths(&h), ["/photos/2024/a.jpg"]);
    h.send("upload -r b.jpg new/folder/", BYTES).unwrap();
    assert_eq!(paths(&h), ["/new/folder/b.jpg", "/photos/2024/a.jpg"]);
}

#[test]
fn a_folder_is_made_and_its_place_told() {
    let h = Harness::standard();
    let output = h.send("upload -r photos docs", Sent::folder()).unwrap();
    assert_eq!(output.file.unwrap().path, "/docs/photos".into());
    let output = h.send("upload -r photos pictures", Sent::folder()).unwrap();
    assert_eq!(output.file.unwrap().path, "/pictures".into());
    h.send("upload -r photos docs", Sent::folder()).unwrap();
    assert_eq!(h.folders(), ["/docs", "/docs/photos", "/pictures"]);
    let error = h.send("upload -r hello.txt", Sent::folder()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotDirectory);
}

#[test]
fn a_user_who_may_only_read_is_refused() {
    let error = Harness::new().read_only().send("upload a", BYTES).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
}

#[test]
fn in_a_tree_size_and_time_tell_what_is_there_already() {
    let h = Harness::new();
    let sent = |bytes: &[u8], time| Sent::file(bytes).offer(|offer| offer.modified = Some(time));
    h.send("upload a", sent(BYTES, 5)).unwrap();
    let other = vec![7; BYTES.len()];
    let output = h.send("upload -r a", sent(&other, 5)).unwrap();
    assert!(output.begin.is_none(), "nothing is read or sent");
    assert_eq!(h.files()["/a"], BYTES);
    h.send("upload -r --no-clobber a", sent(BYTES, 5)).unwrap();
    h.send("upload -r a", sent(&other, 6)).unwrap();
    assert_eq!(h.files()["/a"], other);
    h.send("upload -r --checksum a", sent(BYTES, 6)).unwrap_err();
    assert_eq!(
        h.files()["/a"],
        other,
        "the client was asked to compare, and saw that they differ"
    );
}
