//! Verbs that take contents.

use std::fs;

use ferry_core::store::Start;
use ferry_core::wire::WINDOW_BYTES;
use ferry_core::wire::frame::Kind;
use ferry_core::wire::message::{Cancel, End, Request};
use ferry_core::{Algorithm, ErrorKind};

use crate::fake::Stage;
use crate::{CONTENTS, folder_with, held};

#[test]
fn an_upload_from_the_beginning_sends_everything_and_proves_it() {
    let folder = folder_with("f", CONTENTS);
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, offer) = peer.request();
        assert_eq!((offer.size, offer.fresh), (Some(CONTENTS.len() as u64), false));
        peer.begin(id, Start::BEGINNING);
        let (contents, end) = peer.body();
        assert_eq!((contents.as_slice(), end.digest), (CONTENTS, Algorithm::Md5.digest(CONTENTS)));
        peer.stored(id, &end);
    });
    stage.run("push f").unwrap();
    let out = stage.end();
    assert!(out.contains("\"code\":1001") && out.contains("\"verified\":true"), "{out}");
}

#[test]
fn an_upload_goes_on_where_the_server_proves_to_hold_the_same_bytes() {
    let folder = folder_with("f", CONTENTS);
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.begin(id, held(1002, 10, &CONTENTS[..10]));
        let (contents, end) = peer.body();
        assert_eq!(contents, &CONTENTS[10..]);
        assert_eq!(end.digest, Algorithm::Md5.digest(CONTENTS));
        peer.stored(id, &end);
    });
    stage.run("push f").unwrap();
    assert!(stage.end().contains("\"code\":1002"));
}

#[test]
fn an_upload_starts_afresh_when_the_server_holds_other_bytes() {
    for (code, offset) in [(1002, 10), (1003, CONTENTS.len())] {
        let folder = folder_with("f", CONTENTS);
        let mut stage = Stage::new(folder.path(), move |peer| {
            let (first, _) = peer.request();
            peer.begin(first, held(code, offset, b"other"));
            assert_eq!(peer.hear::<Cancel>().id, first);
            let (id, offer) = peer.request();
            assert!(offer.fresh && id > first);
            peer.begin(id, Start::BEGINNING);
            let (contents, end) = peer.body();
            assert_eq!(contents, CONTENTS);
            peer.stored(id, &end);
        });
        stage.run("push f").unwrap();
        stage.end();
    }
}

#[test]
fn a_file_that_is_there_already_is_proven_and_not_sent() {
    let folder = folder_with("f", CONTENTS);
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.begin(id, held(1003, CONTENTS.len(), CONTENTS));
        let (contents, end) = peer.body();
        assert!(contents.is_empty());
        peer.stored(id, &end);
    });
    stage.run("push f").unwrap();
    let out = stage.end();
    assert!(out.contains("\"code\":1003") && out.contains("\"sent\":0"), "{out}");
}

#[test]
fn an_upload_never_sends_more_than_was_granted() {
    let window = WINDOW_BYTES as usize;
    let folder = folder_with("f", &vec![7; window * 2 + 5]);
    let mut stage = Stage::new(folder.path(), move |peer| {
        let (id, _) = peer.request();
        peer.begin(id, Start::BEGINNING);
        let (mut open, mut total) = (window, 0);
        while total < window * 2 + 5 {
            let frame = peer.next().unwrap();
            assert_eq!(frame.kind, Kind::Data);
            let len = frame.payload.len() - 4;
            open = open.checked_sub(len).expect("within the window");
            total += len;
            if open == 0 {
                peer.grant(id, WINDOW_BYTES);
                open = window;
            }
        }
        let (_, end) = peer.body();
        peer.stored(id, &end);
    });
    stage.run("push f").unwrap();
    stage.end();
}

#[test]
fn a_source_that_changes_while_it_is_sent_is_exit_code_7() {
    let window = WINDOW_BYTES as usize;
    let folder = folder_with("f", &vec![7; window * 4]);
    let path = folder.path().join("f");
    let (cancelled, heard) = std::sync::mpsc::channel();
    let mut stage = Stage::new(folder.path(), move |peer| {
        let (id, _) = peer.request();
        peer.begin(id, Start::BEGINNING);
        assert_eq!(peer.next().unwrap().kind, Kind::Data);
        fs::write(path, "shorter").unwrap();
        peer.grant(id, WINDOW_BYTES * 4);
        let last = loop {
            let kind = peer.next().unwrap().kind;
            if kind != Kind::Data {
                break kind;
            }
        };
        cancelled.send(last).unwrap();
    });
    let failure = stage.run("push f").unwrap_err();
    assert_eq!((failure.error.kind, failure.exit.code()), (ErrorKind::Changed, 7));
    // A connection that is closed before the grant was read is reset, and what was under way on it is lost.
    assert_eq!(heard.recv().unwrap(), Kind::Cancel);
    stage.end();
}

#[test]
fn a_server_that_refuses_an_upload_is_heard_before_the_end() {
    let folder = folder_with("f", &vec![7; WINDOW_BYTES as usize * 2]);
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.begin(id, Start::BEGINNING);
        let error = ferry_core::Error::new(ErrorKind::DiskFull, "full");
        peer.say(&ferry_core::wire::message::Fail::new(id, &error));
        while peer.next().is_some() {}
    });
    assert_eq!(stage.run("push f").unwrap_err().exit.code(), 6);
    stage.end();
}

#[test]
fn a_folder_is_sent_with_its_empty_folders_and_without_its_links() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("t/empty")).unwrap();
    fs::write(folder.path().join("t/f"), CONTENTS).unwrap();
    std::os::unix::fs::symlink("f", folder.path().join("t/link")).unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (top, offer) = peer.request();
        assert!(offer.folder);
        peer.made(top, "/t");
        // What is in it comes in any order.
        let (mut has_folder, mut has_file) = (false, false);
        while !(has_folder && has_file) {
            let frame = peer.next().unwrap();
            match frame.kind {
                Kind::Request => {
                    let Request { id, body, .. } = frame.is();
                    if body.unwrap().folder {
                        peer.made(id, "/t/empty");
                        has_folder = true;
                    } else {
                        peer.begin(id, Start::BEGINNING);
                    }
                }
                Kind::End => {
                    let end: End = frame.is();
                    peer.stored(end.id, &end);
                    has_file = true;
                }
                _ => {}
            }
        }
    });
    assert_eq!(stage.run("push -d t").unwrap_err().exit.code(), 11);
    assert!(stage.end().contains("t/link: is a link"));
}

#[test]
fn the_numbers_of_requests_rise_however_many_files_are_sent_side_by_side() {
    const FILES: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("t")).unwrap();
    for number in 0..FILES {
        fs::write(folder.path().join(format!("t/{number}")), CONTENTS).unwrap();
    }
    let mut stage = Stage::new(folder.path(), |peer| {
        let (mut last, _) = peer.request();
        peer.made(last, "/t");
        let mut stored = 0;
        while stored < FILES {
            let frame = peer.next().unwrap();
            match frame.kind {
                Kind::Request => {
                    let id = frame.is::<Request>().id;
                    assert!(id > last, "{id} after {last}");
                    last = id;
                    peer.begin(id, Start::BEGINNING);
                }
                Kind::End => {
                    let end: End = frame.is();
                    peer.stored(end.id, &end);
                    stored += 1;
                }
                _ => {}
            }
        }
    });
    stage.session.settings.jobs = 32;
    stage.run("push -d t").unwrap();
    stage.end();
}

/// Takes `count` uploads, all begun before the first is answered; answers them last first.
fn backwards(peer: &mut crate::fake::Peer, count: usize) {
    let mut ends: Vec<End> = Vec::new();
    while ends.len() < count {
        let frame = peer.next().unwrap();
        match frame.kind {
            Kind::Request => peer.begin(frame.is::<Request>().id, Start::BEGINNING),
            Kind::End => ends.push(frame.is()),
            _ => {}
        }
    }
    ends.sort_by_key(|end| std::cmp::Reverse(end.id));
    for end in ends {
        peer.stored(end.id, &end);
    }
}

#[test]
fn several_files_are_sent_side_by_side_and_told_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    for (name, len) in [("a", 1), ("b", 2), ("c", 3)] {
        fs::write(folder.path().join(name), &CONTENTS[..len]).unwrap();
    }
    let mut stage = Stage::new(folder.path(), |peer| backwards(peer, 3));
    assert_eq!(stage.run("push a missing b c there/").unwrap_err().exit.code(), 11);
    let out = stage.end();
    let told: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ends: Vec<_> = told.iter().filter(|event| event["event"] != "open").collect();
    let (summary, ends) = ends.split_last().unwrap();
    assert_eq!((&summary["files"], &summary["failed"]), (&3.into(), &1.into()));
    let of = |at: usize| (ends[at]["event"].as_str().unwrap(), ends[at]["size"].as_u64());
    assert_eq!(
        [of(0), of(1), of(2), of(3)],
        [("done", Some(1)), ("error", None), ("done", Some(2)), ("done", Some(3))],
        "{out}"
    );
}

#[test]
fn two_files_of_one_name_are_sent_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    for sub in ["x", "y"] {
        fs::create_dir(folder.path().join(sub)).unwrap();
        fs::write(folder.path().join(sub).join("f"), CONTENTS).unwrap();
    }
    let mut stage = Stage::new(folder.path(), |peer| {
        for _ in 0..2 {
            let (id, _) = peer.request();
            peer.begin(id, Start::BEGINNING);
            let (_, end) = peer.body();
            peer.stored(id, &end);
        }
    });
    stage.run("push x/f y/f there/").unwrap();
    stage.end();
}

#[test]
fn small_files_of_a_folder_are_all_under_way_before_the_first_is_answered() {
    const FILES: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("t")).unwrap();
    for number in 0..FILES {
        fs::write(folder.path().join(format!("t/{number}")), CONTENTS).unwrap();
    }
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.made(id, "/t");
        let mut ends = Vec::new();
        for _ in 0..FILES {
            let (id, offer) = peer.request();
            assert!(offer.eager);
            let (contents, end) = peer.body();
            assert_eq!((contents.as_slice(), end.id), (CONTENTS, id));
            ends.push(end);
        }
        for end in ends {
            peer.begin(end.id, Start::BEGINNING);
            peer.stored(end.id, &end);
        }
    });
    stage.run("push -d t").unwrap();
    assert_eq!(stage.end().matches("\"verified\":true").count(), FILES);
}

#[test]
fn a_small_file_that_is_there_already_or_refused_is_no_surprise() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("t")).unwrap();
    for name in ["a", "b"] {
        fs::write(folder.path().join("t").join(name), CONTENTS).unwrap();
    }
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.made(id, "/t");
        for refused in [false, true] {
            let (id, _) = peer.request();
            if refused {
                let error = ferry_core::Error::new(ErrorKind::OverQuota, "full");
                peer.say(&ferry_core::wire::message::Fail::new(id, &error));
            } else {
                peer.made(id, "/t/a");
            }
            let _ = peer.body();
        }
    });
    assert_eq!(stage.run("push -d t").unwrap_err().exit.code(), 11);
    let out = stage.end();
    let summary: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(
        (count("files"), count("sent"), count("skipped"), count("failed")),
        (1, 0, 1, 1),
        "{out}"
    );
    assert!(
        out.contains("\"kind\":\"over_quota\"") && !out.contains("\"event\":\"done\""),
        "{out}"
    );
}

#[test]
fn a_file_that_is_not_small_waits_for_the_servers_word() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("t")).unwrap();
    fs::write(folder.path().join("t/a"), vec![7; 64 * 1024 + 1]).unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.made(id, "/t");
        let (id, offer) = peer.request();
        assert!(!offer.eager);
        peer.begin(id, Start::BEGINNING);
        let (_, end) = peer.body();
        peer.stored(id, &end);
    });
    stage.run("push -d t").unwrap();
    stage.end();
}

#[test]
fn a_file_that_was_sent_before_is_announced_by_its_digest() {
    let folder = folder_with("f", CONTENTS);
    let cache = tempfile::tempdir().unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(folder.path().join("f")).unwrap();
    file.set_modified(old).unwrap();
    for is_known in [false, true] {
        let mut stage = Stage::new(folder.path(), move |peer| {
            let (id, offer) = peer.request();
            assert_eq!(offer.expected, is_known.then(|| Algorithm::Md5.digest(CONTENTS)));
            peer.begin(id, Start::BEGINNING);
            let (_, end) = peer.body();
            peer.stored(id, &end);
        });
        let digests = ferry_client::digests::Digests::at(cache.path().join("digests"));
        stage.session.digests = std::sync::Arc::new(digests);
        stage.run("push f").unwrap();
        stage.end();
    }
}
