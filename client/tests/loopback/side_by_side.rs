//! Transfers side by side, over several connections.

use std::fs;
use std::sync::atomic::Ordering;

use ferry_core::store::Start;
use ferry_core::wire::frame::Kind;
use ferry_core::wire::message::{End, Fail};
use ferry_core::{Error, ErrorKind};
use tempfile::TempDir;

use crate::fake::{Peer, Stage};
use crate::meeting::Meeting;

/// One byte more than a small file has.
const LARGE_BYTES: usize = 64 * 1024 + 1;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const PUSH: &str = "push a b c d there/";

fn files(len: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        fs::write(folder.path().join(name), vec![7; len]).unwrap();
    }
    folder
}

fn side_by_side(stage: &mut Stage, jobs: u8) {
    stage.session.settings = stage.session.settings.side_by_side(Some(jobs));
}

/// Takes one upload whose request was heard already.
fn store(peer: &mut Peer, id: u32) {
    peer.begin(id, Start::BEGINNING);
    let (_, end) = peer.body();
    peer.stored(id, &end);
}

/// Says no instead of hello.
fn refuse(peer: &mut Peer) {
    let error = Error::new(ErrorKind::Busy, "too many connections");
    peer.say(&Fail::new(0, &error));
}

fn assert_all_done(out: &str) {
    assert_eq!(out.matches("\"event\":\"done\"").count(), NAMES.len(), "{out}");
    assert!(!out.contains("\"event\":\"error\""), "{out}");
}

#[test]
fn each_of_four_transfers_has_its_connection() {
    let folder = files(LARGE_BYTES);
    let all = Meeting::default();
    let (mut stage, count) = Stage::crowd(folder.path(), move |_, peer| {
        assert!(peer.log_in_as(|_| {}));
        let (id, _) = peer.request();
        // On every connection there is one before any is answered.
        all.join(4);
        store(peer, id);
        assert!(peer.next().is_none(), "leaving closes it, and nothing else comes");
    });
    side_by_side(&mut stage, 4);
    stage.run(PUSH).unwrap();
    assert_all_done(&stage.end());
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[test]
fn when_nobody_asks_there_is_one_connection_for_all() {
    let folder = files(LARGE_BYTES);
    let (mut stage, count) = Stage::crowd(folder.path(), |_, peer| {
        assert!(peer.log_in_as(|_| {}));
        let mut ids = Vec::new();
        while ids.len() < NAMES.len() {
            ids.push(peer.request().0);
        }
        ids.iter().for_each(|id| peer.begin(*id, Start::BEGINNING));
        let mut stored = 0;
        while stored < NAMES.len() {
            let frame = peer.next().unwrap();
            if frame.kind == Kind::End {
                let end: End = frame.is();
                peer.stored(end.id, &end);
                stored += 1;
            }
        }
        assert!(peer.next().is_none());
    });
    stage.run(PUSH).unwrap();
    assert_all_done(&stage.end());
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn there_are_no_more_connections_than_transfers() {
    let folder = files(LARGE_BYTES);
    let (mut stage, count) = Stage::crowd(folder.path(), |_, peer| {
        assert!(peer.log_in_as(|_| {}));
        peer.take_all();
    });
    side_by_side(&mut stage, 8);
    stage.run("push a").unwrap();
    stage.run("push b").unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    stage.run("push -d .").unwrap();
    stage.end();
    assert!(count.load(Ordering::SeqCst) <= NAMES.len());
}

#[test]
fn one_lost_connection_among_four_leaves_the_others_alone() {
    let folder = files(LARGE_BYTES);
    let (all, again) = (Meeting::default(), Meeting::default());
    let (mut stage, count) = Stage::crowd(folder.path(), move |number, peer| {
        assert!(peer.log_in_as(|_| {}));
        let (id, _) = peer.request();
        match number {
            0..4 => all.join(4),
            _ => again.join(1),
        }
        if number == 2 {
            return;
        }
        // The others are still under way when the lost one is there again, and none of them is asked again.
        again.wait(1);
        store(peer, id);
        assert!(peer.next().is_none());
    });
    side_by_side(&mut stage, 4);
    stage.run(PUSH).unwrap();
    let out = stage.end();
    assert_all_done(&out);
    assert_eq!(out.matches("\"event\":\"retry\"").count(), 1, "{out}");
    assert_eq!(count.load(Ordering::SeqCst), 5);
}

#[test]
fn connections_that_are_lost_together_are_one_trouble() {
    let folder = files(LARGE_BYTES);
    let (all, lost, again) = (Meeting::default(), Meeting::default(), Meeting::default());
    let (mut stage, count) = Stage::crowd(folder.path(), move |number, peer| {
        if number < 4 {
            assert!(peer.log_in_as(|_| {}));
            let _ = peer.request();
            all.join(4);
            peer.leave();
            lost.join(1);
            return;
        }
        // The client comes in again when it has noticed the loss of all four, and has left them, too.
        lost.wait(4);
        assert!(peer.log_in_as(|_| {}));
        let (id, _) = peer.request();
        again.join(4);
        store(peer, id);
        assert!(peer.next().is_none());
    });
    side_by_side(&mut stage, 4);
    stage.run(PUSH).unwrap();
    let out = stage.end();
    assert_all_done(&out);
    assert_eq!(out.matches("\"event\":\"retry\"").count(), 1, "{out}");
    assert_eq!(count.load(Ordering::SeqCst), 8);
}

#[test]
fn a_server_that_refuses_further_connections_gets_all_over_those_there_are() {
    for says_so in [true, false] {
        let folder = files(LARGE_BYTES);
        let refused = Meeting::default();
        let (mut stage, count) = Stage::crowd(folder.path(), move |number, peer| match number {
            0 | 1 => {
                assert!(peer.log_in_as(|_| {}));
                // Busy, so that a third one is wanted.
                refused.wait(1);
                assert!(peer.take_all() > 0);
            }
            _ => {
                if says_so {
                    refuse(peer);
                }
                refused.join(1);
            }
        });
        side_by_side(&mut stage, 4);
        stage.run(PUSH).unwrap();
        let out = stage.end();
        assert_all_done(&out);
        assert!(!out.contains("\"event\":\"retry\""), "{out}");
        let count = count.load(Ordering::SeqCst);
        assert!((3..=4).contains(&count), "{count}: nobody asks for ever");
    }
}

#[test]
fn a_connection_that_cannot_be_made_again_hands_its_transfer_to_another_one() {
    let folder = files(LARGE_BYTES);
    let both = Meeting::default();
    let (mut stage, count) = Stage::crowd(folder.path(), move |number, peer| match number {
        0 => {
            assert!(peer.log_in_as(|_| {}));
            let (id, _) = peer.request();
            both.join(2);
            peer.begin(id, Start::BEGINNING);
            // The other one may come while this one is still being sent.
            assert_eq!(peer.take_all(), 2);
        }
        1 => {
            assert!(peer.log_in_as(|_| {}));
            let _ = peer.request();
            both.join(2);
        }
        _ => refuse(peer),
    });
    side_by_side(&mut stage, 2);
    stage.run("push a b there/").unwrap();
    let out = stage.end();
    assert_eq!(out.matches("\"event\":\"retry\"").count(), 1, "{out}");
    assert_eq!(out.matches("\"event\":\"done\"").count(), 2, "{out}");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn a_tree_of_small_files_goes_over_all_connections() {
    const FILES: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("t")).unwrap();
    for number in 0..FILES {
        fs::write(folder.path().join(format!("t/{number}")), [7]).unwrap();
    }
    let all = Meeting::default();
    let (mut stage, count) = Stage::crowd(folder.path(), move |number, peer| {
        assert!(peer.log_in_as(|_| {}));
        if number == 0 {
            let (id, offer) = peer.request();
            assert!(offer.folder);
            peer.made(id, "/t");
        }
        let (id, _) = peer.request();
        all.join(3);
        store(peer, id);
        assert!(peer.take_all() > 0);
    });
    side_by_side(&mut stage, 3);
    stage.run("push -d t").unwrap();
    assert_eq!(stage.end().matches("\"verified\":true").count(), FILES);
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn downloads_have_their_connections_too() {
    let folder = tempfile::tempdir().unwrap();
    let all = Meeting::default();
    let (mut stage, count) = Stage::crowd(folder.path(), move |_, peer| {
        assert!(peer.log_in_as(|_| {}));
        let (id, _) = peer.request();
        all.join(4);
        peer.begin(id, Start::BEGINNING);
        peer.data(id, b"x");
        peer.end(id, b"x");
        assert!(peer.next().is_none());
    });
    side_by_side(&mut stage, 4);
    stage.run("pull a b c d .").unwrap();
    assert_all_done(&stage.end());
    assert_eq!(count.load(Ordering::SeqCst), 4);
    assert!(NAMES.iter().all(|name| fs::read(folder.path().join(name)).unwrap() == b"x"));
}
