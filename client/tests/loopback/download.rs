//! Verbs whose contents are saved.

use std::fs;
use std::time::Duration;

use ferry_core::reply::{Column, ColumnKind, Layout, Value};
use ferry_core::store::Start;
use ferry_core::wire::message::{Begin, Cancel, Done, Expand, Fail, Request, Rows};
use ferry_core::{Algorithm, Error, ErrorKind};

use crate::fake::{Peer, Stage};
use crate::{CONTENTS, folder_with, held};

pub(crate) fn manifest(peer: &mut Peer, id: u32, entries: &[(&[u8], &str)]) {
    let columns = [
        Column::new("path", ColumnKind::Path),
        Column::new("kind", ColumnKind::Text),
        Column::new("size", ColumnKind::Size),
    ];
    let rows = entries
        .iter()
        .map(|(path, kind)| vec![Value::from(*path), Value::from(*kind), Value::Uint(CONTENTS.len() as u64)]);
    peer.say(&Rows {
        id,
        columns: Some(columns.iter().map(Into::into).collect()),
        layout: Layout::Table,
        rows: rows.collect(),
    });
    peer.say(&Done { id, ..Done::default() });
}

#[test]
fn a_download_appears_whole_with_its_time_and_rights() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, offer) = peer.request();
        assert_eq!(offer.offset, None);
        peer.say(&Begin {
            id,
            size: Some(CONTENTS.len() as u64),
            modified: Some(1_500_000_000),
            executable: true,
            ..Begin::new(Start::BEGINNING)
        });
        peer.data(id, &CONTENTS[..5]);
        peer.data(id, &CONTENTS[5..]);
        peer.end(id, CONTENTS);
    });
    stage.run("pull dir/f").unwrap();
    stage.end();
    let meta = fs::metadata(folder.path().join("f")).unwrap();
    assert_eq!(fs::read(folder.path().join("f")).unwrap(), CONTENTS);
    assert_eq!(meta.modified().unwrap(), std::time::UNIX_EPOCH + Duration::from_millis(1500));
    assert_eq!(meta.permissions().mode() & 0o100, 0o100);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_download_goes_on_with_its_part_or_starts_over() {
    for resumes in [true, false] {
        let folder = folder_with("f.ferry-part", &CONTENTS[..10]);
        let mut stage = Stage::new(folder.path(), move |peer| {
            let (id, offer) = peer.request();
            assert_eq!(
                (offer.offset, offer.prefix),
                (Some(10), Some(Algorithm::Blake3.digest(&CONTENTS[..10])))
            );
            if resumes {
                peer.begin(id, held(1002, 10, &CONTENTS[..10]));
                peer.data(id, &CONTENTS[10..]);
            } else {
                peer.begin(id, Start::BEGINNING);
                peer.data(id, CONTENTS);
            }
            peer.end(id, CONTENTS);
        });
        stage.run("pull f").unwrap();
        stage.end();
        assert_eq!(fs::read(folder.path().join("f")).unwrap(), CONTENTS);
        assert!(!folder.path().join("f.ferry-part").exists());
    }
}

#[test]
fn a_file_that_is_here_already_is_proven_and_not_fetched() {
    let folder = folder_with("f", CONTENTS);
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.say(&Begin {
            id,
            size: Some(CONTENTS.len() as u64),
            ..Begin::new(Start::BEGINNING)
        });
        assert_eq!(peer.hear::<Cancel>().id, id);
        let (id, offer) = peer.request();
        assert_eq!(offer.prefix, Some(Algorithm::Blake3.digest(CONTENTS)));
        peer.begin(id, held(1003, CONTENTS.len(), CONTENTS));
        peer.end(id, CONTENTS);
    });
    stage.run("pull f").unwrap();
    assert!(stage.end().contains("\"code\":1003"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_download_with_another_digest_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.begin(id, Start::BEGINNING);
        peer.data(id, b"broken on the way, at its full length");
        peer.end(id, CONTENTS);
    });
    let failure = stage.run("pull f").unwrap_err();
    assert_eq!((failure.error.kind, failure.exit.code()), (ErrorKind::DigestMismatch, 7));
    stage.end();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_server_that_goes_away_is_exit_code_8_and_leaves_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.begin(id, Start::BEGINNING);
        peer.data(id, &CONTENTS[..10]);
    });
    assert_eq!(stage.run("pull f").unwrap_err().exit.code(), 8);
    stage.end();
    assert!(!folder.path().join("f").exists());
    assert!(folder.path().join("f.ferry-part").exists());
}

#[test]
fn contents_before_their_beginning_are_exit_code_12() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.data(id, CONTENTS);
        while peer.next().is_some() {}
    });
    assert_eq!(stage.run("pull f").unwrap_err().exit.code(), 12);
    stage.end();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_hostile_list_writes_nothing_outside_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        let entries: [(&[u8], &str); 8] = [
            (b"../evil", "file"),
            (b"/tmp/evil", "file"),
            (b"a/../../evil", "dir"),
            (b"", "file"),
            (b"nul\0", "file"),
            (b"esc\x1b[2J", "file"),
            (b"link", "link"),
            (b"good", "file"),
        ];
        manifest(peer, id, &entries);
        let (id, _) = peer.request();
        peer.begin(id, Start::BEGINNING);
        peer.data(id, CONTENTS);
        peer.end(id, CONTENTS);
    });
    assert_eq!(stage.run("pull -d dir").unwrap_err().exit.code(), 11);
    let out = stage.end();
    assert_eq!(out.matches("\"kind\":\"bad_path\"").count(), 6, "{out}");
    assert!(!out.contains('\x1b'));
    let names = |at: &std::path::Path| -> Vec<_> { fs::read_dir(at).unwrap().map(|e| e.unwrap().file_name()).collect() };
    assert_eq!(names(folder.path()), ["dir"]);
    assert_eq!(names(&folder.path().join("dir")), ["good"]);
}

#[test]
fn names_that_a_pattern_did_not_ask_for_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let ask: Expand = peer.hear();
        peer.say(&Rows {
            id: ask.id,
            columns: Some(vec![(&Column::new("path", ColumnKind::Path)).into()]),
            layout: Layout::List,
            rows: vec![vec!["/.bashrc".into()]],
        });
        peer.say(&Done {
            id: ask.id,
            ..Done::default()
        });
        assert!(peer.next().is_none());
    });
    assert_eq!(stage.run("pull *.txt").unwrap_err().exit.code(), 12);
    stage.end();
}

#[test]
fn nothing_is_asked_for_when_a_file_must_not_be_replaced() {
    let folder = folder_with("f", b"mine");
    let mut stage = Stage::new(folder.path(), |peer| assert!(peer.next().is_none()));
    assert_eq!(stage.run("pull --keep f").unwrap_err().exit.code(), 9);
    stage.end();
    assert_eq!(fs::read(folder.path().join("f")).unwrap(), b"mine");
}

#[test]
fn contents_go_to_standard_output_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.begin(id, Start::BEGINNING);
        peer.data(id, CONTENTS);
        peer.end(id, CONTENTS);
    });
    stage.run("pull f --name -").unwrap();
    assert_eq!(stage.end().as_bytes(), CONTENTS);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn small_files_of_a_folder_are_all_asked_for_before_the_first_comes() {
    const FILES: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..FILES).map(|number| number.to_string()).collect();
    let mut stage = Stage::new(folder.path(), move |peer| {
        let (id, _) = peer.request();
        let entries: Vec<(&[u8], &str)> = names.iter().map(|name| (name.as_bytes(), "file")).collect();
        manifest(peer, id, &entries);
        let ids: Vec<u32> = names.iter().map(|_| peer.request().0).collect();
        for id in ids {
            peer.say(&Begin {
                id,
                size: Some(CONTENTS.len() as u64),
                modified: Some(1_500_000_000),
                ..Begin::new(Start::BEGINNING)
            });
            peer.data(id, &CONTENTS[..5]);
            peer.data(id, &CONTENTS[5..]);
            peer.end(id, CONTENTS);
        }
    });
    stage.run("pull -d dir").unwrap();
    assert_eq!(stage.end().matches("\"verified\":true").count(), FILES);
    for number in 0..FILES {
        let path = folder.path().join("dir").join(number.to_string());
        assert_eq!(fs::read(&path).unwrap(), CONTENTS);
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(modified, std::time::UNIX_EPOCH + Duration::from_millis(1500));
    }
    assert_eq!(fs::read_dir(folder.path().join("dir")).unwrap().count(), FILES);
}

#[test]
fn a_small_file_with_more_than_was_announced_or_another_digest_leaves_nothing() {
    for (contents, sent) in [
        (&b"short"[..], CONTENTS),
        (CONTENTS, b"other bytes of another length of this"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(folder.path(), move |peer| {
            let (id, _) = peer.request();
            manifest(peer, id, &[(b"f", "file")]);
            let (id, _) = peer.request();
            peer.say(&Begin {
                id,
                size: Some(contents.len() as u64),
                ..Begin::new(Start::BEGINNING)
            });
            peer.data(id, sent);
            peer.end(id, contents);
            while peer.next().is_some() {}
        });
        assert_eq!(stage.run("pull -d dir").unwrap_err().exit.code(), 11);
        assert!(stage.end().contains("\"kind\":\"digest_mismatch\""));
        assert_eq!(fs::read_dir(folder.path().join("dir")).unwrap().count(), 0);
    }
}

/// What was told of each source, in order: the event, and the size of what came.
fn told(out: &str) -> Vec<(String, Option<u64>)> {
    let events = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events
        .filter(|event| event["event"] != "open")
        .map(|event| (event["event"].as_str().unwrap().to_owned(), event["size"].as_u64()))
        .collect()
}

/// The numbers of the requests for these sources, in their order, however they come.
fn asked_for(peer: &mut Peer, names: &[&str]) -> Vec<u32> {
    let mut ids = vec![0; names.len()];
    for _ in names {
        let frame = peer.next().unwrap();
        let is_of = |name: &&str| frame.payload.windows(name.len()).any(|bytes| bytes == name.as_bytes());
        let at = names.iter().position(is_of).unwrap();
        ids[at] = frame.is::<Request>().id;
    }
    assert!(!ids.contains(&0));
    ids
}

#[test]
fn several_files_are_fetched_side_by_side_and_told_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        // All are asked for before the first is answered, and the last one is answered first.
        let ids = asked_for(peer, &["1st", "2nd", "3rd", "4th"]);
        for (at, id) in ids.into_iter().enumerate().rev() {
            if at == 1 {
                peer.say(&Fail::new(id, &Error::not_found("2nd")));
                continue;
            }
            peer.begin(id, Start::BEGINNING);
            peer.data(id, &CONTENTS[..=at]);
            peer.end(id, &CONTENTS[..=at]);
        }
    });
    assert_eq!(stage.run("pull 1st 2nd 3rd 4th .").unwrap_err().exit.code(), 11);
    let out = stage.end();
    let done = |size| ("done".to_owned(), Some(size));
    let expected = [
        done(1),
        ("error".to_owned(), None),
        done(3),
        done(4),
        ("summary".to_owned(), None),
    ];
    assert_eq!(told(&out), expected, "{out}");
    let summary: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["files"], &summary["failed"]), (&3.into(), &1.into()));
    assert_eq!(fs::read(folder.path().join("4th")).unwrap(), &CONTENTS[..4]);
}

#[test]
fn a_folder_among_several_sources_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let ids = asked_for(peer, &["1st", "folder", "3rd"]);
        manifest(peer, ids[1], &[(b"x", "file"), (b"y", "file")]);
        for (at, id) in [(2, ids[2]), (0, ids[0])] {
            peer.begin(id, Start::BEGINNING);
            peer.data(id, &CONTENTS[..=at]);
            peer.end(id, &CONTENTS[..=at]);
        }
        for _ in 0..2 {
            let (id, _) = peer.request();
            peer.say(&Begin {
                id,
                size: Some(CONTENTS.len() as u64),
                ..Begin::new(Start::BEGINNING)
            });
            peer.data(id, CONTENTS);
            peer.end(id, CONTENTS);
        }
    });
    stage.run("pull -d 1st folder 3rd .").unwrap();
    let out = stage.end();
    let sizes: Vec<_> = told(&out).iter().filter_map(|(_, size)| *size).collect();
    let whole = CONTENTS.len() as u64;
    assert_eq!(sizes, [1, whole, whole, 3], "{out}");
    assert_eq!(fs::read(folder.path().join("folder/y")).unwrap(), CONTENTS);
}

#[test]
fn downloads_that_write_one_file_come_one_after_the_other() {
    // A part of the first is what the second one is called.
    for (line, kept) in [("pull x/f y/f .", "f"), ("pull f f.ferry-part .", "f.ferry-part")] {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(folder.path(), |peer| {
            for contents in [&b"first"[..], b"second"] {
                let (id, offer) = peer.request();
                assert_eq!(offer.offset, None, "nothing of the other one is taken for its own");
                peer.begin(id, Start::BEGINNING);
                peer.data(id, contents);
                peer.end(id, contents);
            }
        });
        stage.run(line).unwrap();
        assert!(!stage.end().contains("\"event\":\"error\""));
        assert_eq!(fs::read(folder.path().join(kept)).unwrap(), b"second");
        if kept != "f" {
            assert_eq!(fs::read(folder.path().join("f")).unwrap(), b"first");
        }
    }
}
