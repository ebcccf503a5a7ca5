//! Small files that are stored side by side: what comes of it is what would come of one after the other.

use ferry_core::dispatch::dispatch;
use ferry_core::path::PATH_MAX_BYTES;
use ferry_core::wire::Map;
use ferry_core::wire::frame::{HEADER_BYTES, Kind};
use ferry_core::wire::message::{Offer, Request};
use ferry_core::{ErrorKind, RemotePath, rt::block_on};
use ferry_testkit::{Harness, Sent};
use tar::EntryType;

use super::slow::{Pausing, Slow};
use super::{add, archive, raw};

const MIB: u64 = 1 << 20;

/// So many files of so many bytes.
fn many(files: usize, size: usize) -> Vec<u8> {
    archive(|builder| (0..files).for_each(|number| add(builder, &format!("f{number:03}"), &vec![1; size])))
}

#[test]
fn files_that_fit_one_by_one_replace_their_older_selves() {
    let slow = Slow::new(Some(MIB), false);
    let h = Harness::new().on(slow.clone());
    for _ in 0..2 {
        let output = h.send("untar x.tar", Sent::stream(many(14, 60_000))).unwrap();
        assert_eq!(output.text.as_deref(), Some("14 files and 0 folders unpacked into /"));
    }
    assert_eq!((slow.home.usage_now().used, slow.home.usage_now().reserved), (840_000, 0));
}

#[test]
fn what_came_before_the_quota_was_used_up_stays() {
    let slow = Slow::new(Some(MIB), false);
    let h = Harness::new().on(slow.clone());
    // The first ones take longer, for they need folders: what is behind them must not take their room.
    let name = |number: usize| match number {
        ..5 => format!("a{number}/b/c/d/e/f{number:03}"),
        _ => format!("f{number:03}"),
    };
    let bytes = archive(|builder| (0..100).for_each(|number| add(builder, &name(number), &[1; 60_000])));
    let error = h.send("untar x.tar", Sent::stream(bytes)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::OverQuota);
    assert!(error.message.contains("f017"), "the first one that does not fit: {error}");
    let want: Vec<String> = (0..17).map(|number| format!("/{}", name(number))).collect();
    assert_eq!(slow.home.files().into_keys().collect::<Vec<_>>(), want);
    assert_eq!(slow.home.usage_now().reserved, 0);
}

#[test]
fn who_finds_no_room_beside_others_finds_it_alone() {
    let slow = Slow::new(Some(10 * MIB), true);
    let h = Harness::new().on(slow.clone());
    let output = h.send("untar x.tar", Sent::stream(many(100, 1000))).unwrap();
    assert_eq!(output.text.as_deref(), Some("100 files and 0 folders unpacked into /"));
    assert_eq!((slow.home.files().len(), slow.home.usage_now().reserved), (100, 0));
}

#[test]
fn a_disk_that_fills_up_leaves_what_is_whole() {
    let slow = Slow::new(None, false);
    let h = Harness::new().on(slow.clone()).disk_full_after(10_500);
    let error = h.send("untar x.tar", Sent::stream(many(100, 1000))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::DiskFull);
    assert!(error.message.contains("f010"), "the first one: {error}");
    assert_eq!((slow.home.files().len(), slow.home.usage_now().reserved), (10, 0));
}

#[test]
fn a_file_never_overtakes_one_below_its_place() {
    let slow = Slow::new(None, false);
    let h = Harness::new().on(slow.clone());
    let bytes = archive(|builder| {
        add(builder, "r/b/c/d/e/f/g", b"first");
        add(builder, "r", b"later");
    });
    let output = h.send("untar x.tar", Sent::stream(bytes)).unwrap();
    let kinds: Vec<ErrorKind> = output.problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [ErrorKind::IsDirectory]);
    assert_eq!(slow.home.files().into_keys().collect::<Vec<_>>(), ["/r/b/c/d/e/f/g"]);
}

#[test]
fn what_came_whole_is_stored_while_nothing_comes() {
    let slow = Slow::new(None, false);
    let env = Harness::new().on(slow.clone()).env();
    let body = many(20, 1000);
    let mut link = Pausing {
        first: 20 * 1536,
        body,
        files: 20,
        home: slow.home.clone(),
        at: 0,
    };
    let request = Request {
        id: 1,
        verb: "untar".into(),
        cwd: RemotePath::from("/"),
        body: Some(Offer::default()),
    };
    let mut frame = Vec::new();
    request.encode_with(b"\x81\xa5local\x91\xa1-", &mut frame).unwrap();
    let map = Map::check(&frame[HEADER_BYTES..]).unwrap();
    let done = block_on(dispatch(&env, Kind::Request, &map, &mut link)).unwrap();
    assert_eq!(done.text.as_deref(), Some("20 files and 0 folders unpacked into /"));
}

#[test]
fn a_name_beyond_measure_is_refused_and_not_kept() {
    for path in [
        [&b"./".repeat(510_000)[..], b"a"].concat(),
        [&b"./".repeat(PATH_MAX_BYTES)[..], b"a"].concat(),
    ] {
        let mut bytes = raw(&path, EntryType::Regular, b"a");
        bytes.truncate(bytes.len() - 1024);
        bytes.extend(raw(b"behind", EntryType::Regular, b"it"));
        let h = Harness::new();
        let output = h.send("untar x.tar", Sent::stream(bytes)).unwrap();
        assert_eq!(output.problems.len(), 1);
        let problem = &output.problems[0];
        assert_eq!(problem.kind, ErrorKind::BadPath);
        assert!(problem.message.len() < 400, "{}", problem.message.len());
        assert_eq!(h.files().keys().collect::<Vec<_>>(), ["/behind"]);
    }
    // By the records of GNU tar, as long as is possible.
    let h = Harness::new();
    let mut bytes = raw(b"././@LongLink", EntryType::GNULongName, &b"./".repeat(510_000));
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(raw(b"a", EntryType::Regular, b"a"));
    assert_eq!(
        h.send("untar x.tar", Sent::stream(bytes)).unwrap().problems[0].kind,
        ErrorKind::BadPath
    );
    // The longest one that is kept.
    let path = [&b"./".repeat(PATH_MAX_BYTES - 1)[..], b"aa"].concat();
    h.send("untar x.tar", Sent::stream(raw(&path, EntryType::Regular, b"a")))
        .unwrap();
    assert_eq!(h.files().keys().collect::<Vec<_>>(), ["/aa"]);
}
