//! Uploads of what is there already: small files that are sent without asking, and files that only an earlier try can have put
//! there.

use std::fs;

use ferry_core::store::{FileInfo, Start, Version};
use ferry_core::wire::frame::Kind;
use ferry_core::wire::message::{Cancel, Done, Fail};
use ferry_core::{Algorithm, Digest, Error, ErrorKind};

use crate::fake::{Peer, Stage};
use crate::{CONTENTS, folder_with, held};

/// Says that a file is there, with this digest.
fn there(peer: &mut Peer, id: u32, digest: Digest) {
    let file = FileInfo {
        path: "/there/f".into(),
        size: CONTENTS.len() as u64,
        modified: 0,
        executable: false,
        digest: Some(digest),
        version: Version(1),
    };
    peer.say(&Done {
        id,
        file: Some(file),
        ..Done::default()
    });
}

#[test]
fn a_small_file_is_offered_with_its_digest_and_may_be_proven_to_be_there() {
    let folder = folder_with("f", CONTENTS);
    fs::write(folder.path().join("g"), b"other").unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        for name in ["f", "g"] {
            let (id, offer) = peer.request();
            let (contents, end) = peer.body();
            assert!(offer.eager && !offer.fresh);
            assert_eq!(offer.expected, Some(Algorithm::Md5.digest(&contents)));
            if name == "f" {
                there(peer, id, Algorithm::Blake3.digest(CONTENTS));
            } else {
                peer.begin(id, Start::BEGINNING);
                peer.stored(id, &end);
            }
        }
    });
    stage.run("push f g there/").unwrap();
    let out = stage.end();
    let events: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let opened = events.iter().find(|event| event["code"] == 1003).unwrap();
    assert_eq!(
        (&opened["path"], &opened["offset"]),
        (&"/there/f".into(), &CONTENTS.len().into())
    );
    let done: Vec<_> = events.iter().filter(|event| event["event"] == "done").collect();
    assert_eq!((&done[0]["sent"], &done[0]["verified"]), (&0.into(), &true.into()));
    assert_eq!(done[0]["md5"], Algorithm::Md5.digest(CONTENTS).hex());
    assert_eq!(done[1]["sent"], 5);
    let summary = events.last().unwrap();
    assert_eq!((&summary["files"], &summary["skipped"]), (&2.into(), &1.into()));
}

#[test]
fn a_small_file_that_is_taken_for_another_one_is_sent_afresh() {
    let folder = folder_with("f", CONTENTS);
    fs::write(folder.path().join("missing-neighbour"), b"").unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let mut is_stored = false;
        for _ in 0..3 {
            let (id, offer) = peer.request();
            let (contents, end) = peer.body();
            if contents == CONTENTS && !offer.fresh {
                // As a file with the same MD5 would be.
                there(peer, id, Algorithm::Blake3.digest(b"other"));
            } else {
                is_stored |= offer.fresh && offer.eager && contents == CONTENTS;
                peer.begin(id, Start::BEGINNING);
                peer.stored(id, &end);
            }
        }
        assert!(is_stored);
    });
    stage.run("push f missing-neighbour there/").unwrap();
    assert!(!stage.end().contains("\"code\":1003"));
}

#[test]
fn small_files_of_a_folder_are_not_offered_by_their_digest() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("t")).unwrap();
    fs::write(folder.path().join("t/f"), CONTENTS).unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.made(id, "/t");
        let (id, offer) = peer.request();
        assert_eq!((offer.eager, offer.expected), (true, None));
        let (_, end) = peer.body();
        peer.begin(id, Start::BEGINNING);
        peer.stored(id, &end);
    });
    stage.run("push -d t").unwrap();
    stage.end();
}

/// A request for an upload; gives its number and whether nothing may be replaced by it.
fn asked(peer: &mut Peer) -> (u32, bool) {
    let frame = peer.next().unwrap();
    let request: ferry_core::wire::message::Request = frame.is();
    (request.id, frame.payload.windows(4).any(|bytes| bytes == b"keep"))
}

/// Takes all of an upload that replaces nothing, and is gone before its end is told.
fn stores_and_hangs_up(peer: &mut Peer, is_eager: bool) {
    assert!(peer.log_in_as(|_| {}));
    let (id, keeps) = asked(peer);
    assert!(keeps);
    if !is_eager {
        peer.begin(id, Start::BEGINNING);
    }
    let (contents, _) = peer.body();
    assert_eq!(contents, CONTENTS);
}

/// Says that there is a file, and when asked for its digest says what it is of.
fn there_is(peer: &mut Peer, start: Option<Start>, is_eager: bool) {
    assert!(peer.log_in_as(|_| {}));
    let exists = Error::exists("f: already there");
    let (id, keeps) = asked(peer);
    assert!(keeps);
    if is_eager {
        let _ = peer.body();
    }
    peer.say(&Fail::new(id, &exists));
    let (id, keeps) = asked(peer);
    assert!(!keeps);
    match start {
        Some(start) => {
            peer.begin(id, start);
            let mut last = None;
            while let Some(frame) = peer.next() {
                assert!(!matches!(frame.kind, Kind::Data | Kind::End), "nothing is written");
                if frame.kind == Kind::Cancel {
                    last = Some(frame.is::<Cancel>().id);
                }
            }
            assert_eq!(last, Some(id));
        }
        None => {
            peer.say(&Fail::new(id, &Error::new(ErrorKind::OverQuota, "full")));
            assert!(peer.next().is_none(), "nothing more is asked");
        }
    }
}

#[test]
fn an_upload_that_replaces_nothing_knows_its_own_file_after_a_lost_acknowledgement() {
    let same = held(1003, CONTENTS.len(), CONTENTS);
    let starts = [
        (Some(same), 0),
        (Some(held(1003, CONTENTS.len(), b"other")), 9),
        (Some(held(1002, 3, &CONTENTS[..3])), 9),
        (Some(Start::BEGINNING), 9),
        (None, 9),
    ];
    for (start, code) in starts {
        let folder = folder_with("f", CONTENTS);
        let mut stage = Stage::twice(
            folder.path(),
            |peer| stores_and_hangs_up(peer, false),
            move |peer| there_is(peer, start, false),
        );
        let ended = stage.run("push --keep f").map_or_else(|failure| failure.exit.code(), |()| 0);
        let out = stage.end();
        assert_eq!(ended, code, "{start:?}: {out}");
        assert_eq!(out.contains("\"verified\":true"), code == 0, "{out}");
    }
}

#[test]
fn so_does_a_small_one() {
    let folder = folder_with("f", CONTENTS);
    let same = held(1003, CONTENTS.len(), CONTENTS);
    let mut stage = Stage::twice(
        folder.path(),
        |peer| stores_and_hangs_up(peer, true),
        move |peer| there_is(peer, Some(same), true),
    );
    // One that is not there, so that there are several.
    assert_eq!(stage.run("push --keep f missing there/").unwrap_err().exit.code(), 11);
    let out = stage.end();
    assert_eq!(out.matches("\"event\":\"error\"").count(), 1, "{out}");
    assert!(out.contains("\"code\":1003") && out.contains("\"verified\":true"), "{out}");
}

#[test]
fn without_a_lost_acknowledgement_whatever_is_there_is_in_the_way() {
    for sends_nothing in [false, true] {
        let folder = folder_with("f", CONTENTS);
        let refuses = |peer: &mut Peer| {
            assert!(peer.log_in_as(|_| {}));
            let (id, _) = asked(peer);
            peer.say(&Fail::new(id, &Error::exists("f: already there")));
            assert!(peer.next().is_none(), "nothing more is asked");
        };
        let mut stage = if sends_nothing {
            // Lost before the end was sent: no earlier try can have stored it.
            let hangs_up = |peer: &mut Peer| {
                assert!(peer.log_in_as(|_| {}));
                let _ = asked(peer);
            };
            Stage::twice(folder.path(), hangs_up, refuses)
        } else {
            Stage::with(folder.path(), "secret", refuses)
        };
        assert_eq!(stage.run("push --keep f").unwrap_err().exit.code(), 9);
        stage.end();
    }
}
