//! The client against a server that follows a script: transfers, resuming, and what happens when the other side is hostile,
//! broken or gone. The verbs have made-up names, because the client knows none.

mod fake;

use std::fs;
use std::time::Duration;

use fake::{Peer, Stage};
use ferry_client::connection::Deadlines;
use ferry_core::reply::{Column, ColumnKind, Layout, Value};
use ferry_core::store::Start;
use ferry_core::wire::WINDOW_BYTES;
use ferry_core::wire::frame::Kind;
use ferry_core::wire::message::{Begin, Cancel, Done, Expand, Hello, Rows};
use ferry_core::{Algorithm, ErrorKind};

const CONTENTS: &[u8] = b"whatever is in the file, byte by byte";

fn folder_with(name: &str, contents: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), contents).unwrap();
    folder
}

fn held(code: u16, offset: usize, of: &[u8]) -> Start {
    Start {
        code,
        offset: offset as u64,
        prefix: Some(Algorithm::Blake3.digest(of)),
    }
}

fn manifest(peer: &mut Peer, id: u32, entries: &[(&[u8], &str)]) {
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
fn rows_are_printed_and_the_working_folder_follows_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.say(&Rows {
            id,
            columns: Some(vec![(&Column::new("name", ColumnKind::Path)).into()]),
            layout: Layout::List,
            rows: vec![vec!["a".into()]],
        });
        peer.say(&Done {
            id,
            cwd: Some("/sub".into()),
            problems: 2,
            ..Done::default()
        });
    });
    assert_eq!(stage.run("look").unwrap_err().exit.code(), 11);
    assert_eq!(stage.session.cwd, "/sub".into());
    assert_eq!(stage.end(), "{\"name\":\"a\"}\n");
}

#[test]
fn a_wrong_password_is_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::wrong_password(folder.path());
    assert_eq!(stage.run("look").unwrap_err().exit.code(), 3);
    stage.end();
}

#[test]
fn a_server_of_another_version_is_exit_code_12() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::with(folder.path(), "secret", |peer| {
        peer.say(&Hello {
            proto: 99,
            ..Hello::new("fake")
        });
    });
    assert_eq!(stage.run("look").unwrap_err().exit.code(), 12);
    stage.end();
}

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
    let mut stage = Stage::new(folder.path(), move |peer| {
        let (id, _) = peer.request();
        peer.begin(id, Start::BEGINNING);
        assert_eq!(peer.next().unwrap().kind, Kind::Data);
        fs::write(path, "shorter").unwrap();
        peer.grant(id, WINDOW_BYTES * 4);
        let mut last = None;
        while let Some(frame) = peer.next() {
            last = Some(frame.kind);
        }
        assert_eq!(last, Some(Kind::Cancel));
    });
    let failure = stage.run("push f").unwrap_err();
    assert_eq!((failure.error.kind, failure.exit.code()), (ErrorKind::Changed, 7));
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
        for path in ["/t", "/t/empty"] {
            let (id, offer) = peer.request();
            assert!(offer.folder);
            peer.made(id, path);
        }
        let (id, offer) = peer.request();
        assert!(!offer.folder);
        peer.begin(id, Start::BEGINNING);
        let (_, end) = peer.body();
        peer.stored(id, &end);
    });
    assert_eq!(stage.run("push -d t").unwrap_err().exit.code(), 11);
    assert!(stage.end().contains("t/link: is a link"));
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
fn a_server_that_falls_silent_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let quick = Deadlines {
        silence: Duration::from_millis(20),
        pong: Duration::from_millis(20),
        ..Deadlines::default()
    };
    let mut stage = Stage::new(folder.path(), |peer| {
        let _ = peer.request();
        assert_eq!(peer.next().unwrap().kind, Kind::Ping);
        while peer.next().is_some() {}
    })
    .deadlines(quick);
    assert_eq!(stage.run("look").unwrap_err().exit.code(), 8);
    stage.end();
}

#[test]
fn what_is_no_frame_is_exit_code_12() {
    for garbage in [&[0xff; 5][..], &[0, 0, 0, 1, 0x24, 0x90], &[0, 0, 0, 0, 0x7f]] {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(folder.path(), move |peer| {
            let _ = peer.request();
            peer.raw(garbage);
            while peer.next().is_some() {}
        });
        assert_eq!(stage.run("look").unwrap_err().exit.code(), 12, "{garbage:?}");
        stage.end();
    }
}

#[test]
fn more_data_than_was_granted_is_exit_code_12() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        // Contents without a grant in between, one window and one byte, to a client that has not begun to take them.
        for _ in 0..4 {
            peer.data(id, &vec![0; WINDOW_BYTES as usize / 4]);
        }
        peer.data(id, &[0]);
        while peer.next().is_some() {}
    });
    assert_eq!(stage.run("pull f").unwrap_err().exit.code(), 12);
    stage.end();
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
