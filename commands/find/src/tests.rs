//! `find` in process.

use ferry_core::store::UploadRequest;
use ferry_core::{Access, Algorithm, ErrorKind, GuardedHome, HomePath, rt::block_on};
use ferry_testkit::Harness;

/// Puts an empty file there that was last changed so many seconds ago.
fn seed_old(h: &Harness, path: &str, seconds: i64) {
    let request = UploadRequest {
        size: Some(0),
        modified: Some(super::now() - seconds * 1_000_000_000),
        ..UploadRequest::new(HomePath::parse(path).unwrap())
    };
    let home = GuardedHome::new(h.home().clone(), Access::Write);
    block_on(async { home.upload(request).await?.commit(Algorithm::Md5.digest(b"")).await }).unwrap();
}

fn home() -> Harness {
    let h = Harness::new();
    h.seed("/a.txt", &[0; 10]);
    h.seed("/docs/b.txt", &[0; 2000]);
    h.seed("/docs/deep/c.bin", &[0; 30]);
    h.seed("/docs/.hidden.txt", b"");
    h.seed_dir("/empty");
    h
}

#[test]
fn the_verb_keeps_the_rules() {
    ferry_testkit::check_linked();
}

#[test]
fn all_is_found_folders_before_what_is_in_them() {
    let output = home().ok("find");
    let all = [
        ".",
        "./a.txt",
        "./docs",
        "./docs/.hidden.txt",
        "./docs/b.txt",
        "./docs/deep",
        "./docs/deep/c.bin",
        "./empty",
    ];
    assert_eq!(output.lines(), all);
    assert_eq!(
        output.texts("kind"),
        ["dir", "file", "dir", "file", "file", "dir", "file", "dir"]
    );
    assert_eq!(output.texts("size")[1], "10");
}

#[test]
fn each_option_leaves_what_fits() {
    let h = home();
    for (line, found) in [
        ("find --name '*.txt'", &["./a.txt", "./docs/.hidden.txt", "./docs/b.txt"][..]),
        ("find docs --name '[!a-b].*'", &["docs/deep/c.bin"]),
        ("find --name docs", &["./docs"]),
        ("find --type d", &[".", "./docs", "./docs/deep", "./empty"]),
        ("find / --type f --larger 10", &["/docs/b.txt", "/docs/deep/c.bin"]),
        ("find --larger 1k", &["./docs/b.txt"]),
        ("find --smaller 10B", &["./docs/.hidden.txt"]),
        ("find --max-depth 1 --type f", &["./a.txt"]),
        ("find --max-depth 0", &["."]),
        ("find docs/b.txt", &["docs/b.txt"]),
        ("find docs/ --type d", &["docs/", "docs/deep"]),
        ("find empty a.txt", &["empty", "a.txt"]),
        ("find --name nothing", &[]),
    ] {
        // A name without a match is no pattern to the line; one in quotes is none either.
        assert_eq!(h.ok(line).texts("path"), found, "{line}");
    }
}

#[test]
fn ages_count_from_now() {
    let h = Harness::new();
    seed_old(&h, "/now", 0);
    seed_old(&h, "/yesterday", 86_400);
    seed_old(&h, "/lately", 3 * 86_400);
    for (line, found) in [
        ("find --type f --newer 1h", &["./now"][..]),
        ("find --type f --newer 2", &["./now", "./yesterday"]),
        ("find --type f --older 1h", &["./lately", "./yesterday"]),
        ("find --type f --older 12h --newer 2d", &["./yesterday"]),
        ("find --type f --older 1w", &[]),
    ] {
        assert_eq!(h.ok(line).texts("path"), found, "{line}");
    }
}

#[test]
fn a_long_list_shows_kind_size_and_time() {
    let output = home().ok("find -l a.txt");
    let shown: Vec<&str> = output.columns.iter().filter(|c| !c.hidden).map(|c| c.name.as_str()).collect();
    assert_eq!(shown, ["kind", "size", "modified", "path"]);
}

#[test]
fn links_are_found_and_not_followed() {
    let h = home();
    h.plant_link("/docs/link");
    assert_eq!(h.ok("find --type l").texts("path"), ["./docs/link"]);
    assert_eq!(h.err("find docs/link/x").kind, ErrorKind::Denied);
}

#[test]
fn a_folder_of_many_entries_is_listed_whole() {
    let h = Harness::new();
    for n in 0..2500 {
        h.seed(&format!("/many/{n:04}"), b"");
    }
    let mut found = h.ok("find many --type f").texts("path");
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 2500);
}

#[test]
fn a_tree_without_bottom_is_told_of_and_the_rest_is_searched() {
    let h = Harness::new();
    h.seed_dir(&"/d".repeat(150));
    h.seed("/d/z", b"");
    let output = h.ok("find");
    assert_eq!(output.problems.len(), 1);
    assert_eq!(output.problems[0].kind, ErrorKind::TooLarge);
    assert!(output.texts("path").contains(&"./d/z".to_owned()));
    assert_eq!(output.rows.len(), 102);
}

#[test]
fn of_large_folders_inside_each_other_only_some_are_open_at_once() {
    let h = Harness::new();
    for depth in 1..=6 {
        for n in 0..1100 {
            h.seed(&format!("{}/{n:04}", "/d".repeat(depth)), b"");
        }
    }
    let output = h.ok("find --type f");
    assert_eq!((output.problems.len(), output.problems[0].kind), (1, ErrorKind::TooLarge));
    assert_eq!(output.rows.len(), 4 * 1100, "all of those that are open");
    assert_eq!(h.ok("find d/d/d/d/d --type f").rows.len(), 2 * 1100);
}

#[test]
fn a_pattern_is_read_once_and_has_a_bound() {
    let h = home();
    for pattern in ["[".repeat(1024), "*a".repeat(512), "[a".repeat(512)] {
        assert!(h.ok(&format!("find --name '{pattern}'")).rows.is_empty());
    }
    assert_eq!(
        h.err(&format!("find --name '{}'", "[".repeat(1025))).kind,
        ErrorKind::BadRequest
    );
}

#[test]
fn each_refusal_has_its_kind() {
    let h = home();
    for (line, kind) in [
        ("find nothing", ErrorKind::NotFound),
        ("find ..", ErrorKind::Denied),
        ("find --type x", ErrorKind::BadRequest),
        ("find --newer yesterday", ErrorKind::BadRequest),
        ("find --larger much", ErrorKind::BadRequest),
        ("find --max-depth -1", ErrorKind::BadRequest),
        ("find --max-depth", ErrorKind::BadRequest),
    ] {
        assert_eq!(h.err(line).kind, kind, "{line}");
    }
    let output = h.ok("find nothing empty");
    assert_eq!((output.problems.len(), output.texts("path")), (1, vec!["empty".to_owned()]));
}

#[test]
fn what_a_word_means_is_checked_by_the_server_too() {
    let h = home();
    for args in [
        &b"\x81\xa5newer\xa3two"[..],
        b"\x81\xa4type\xa1x",
        b"\x81\xa5newer\x02",
        b"\x81\xa6larger\xa1x",
    ] {
        let error = block_on(h.call_raw("find", args)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadRequest, "{error}");
    }
}
