//! Uploads that race for the last bytes of a quota, and the changes that are easily miscounted.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use ferry_core::wire::message::Offer;
use ferry_core::{Algorithm, ErrorKind};
use ferry_tests::audit::{ledger, read_disk};
use ferry_tests::load::{Dice, Made};
use ferry_tests::wire::Wire;
use ferry_tests::{Server, files_below, noise};
use serde_json::json;

/// Uploads at once.
const UPLOADS: usize = 64;
/// The quota that they race for, in bytes.
const LIMIT: u64 = 8_000_003;
/// What is in the home before, in bytes.
const BEFORE: u64 = 6_000_001;
/// The largest of the files: with 64 of them, far more than fits.
const SIZE_MAX: u64 = 300_000;

fn server(users: &[&str], quota: &str) -> Server {
    let server = Server::start_plain();
    for user in users {
        server.add_user(user, &["--quota", quota]);
        let before = noise(usize::try_from(BEFORE).unwrap(), 3);
        let mut wire = Wire::login(server.address, user).unwrap();
        wire.upload("before", &before, &Offer::default()).unwrap().unwrap();
    }
    server
}

/// Compares the books of a home with its files.
#[track_caller]
fn assert_books_are_right(server: &Server, user: &str) -> u64 {
    let disk = read_disk(&server.data().join("homes").join(user));
    let mut wire = Wire::login(server.address, user).unwrap();
    assert_eq!(ledger(&mut wire, &disk).unwrap(), [""; 0]);
    disk.values().map(|content| content.size).sum()
}

/// What is wrong with a race that took uploads of some sizes and refused others.
fn verdict(limit: u64, taken: &[u64], refused: &[u64]) -> Result<(), String> {
    let used = BEFORE + taken.iter().sum::<u64>();
    if used > limit {
        return Err(format!("{} bytes over the quota", used - limit));
    }
    match refused.iter().find(|size| **size <= limit - used) {
        Some(size) => Err(format!("{size} bytes were refused, and {} are left", limit - used)),
        None => Ok(()),
    }
}

/// Opens all uploads at once; sends the contents of those that were taken only when all have their answer, so that every
/// reservation stands for itself. Gives the sizes of what was taken and what was refused, of each user.
fn race(server: &Server, users: &[&str], limit: u64) -> Vec<(Vec<u64>, Vec<u64>)> {
    let (ready, answered, seen) = (Barrier::new(UPLOADS), Barrier::new(UPLOADS + 1), Barrier::new(UPLOADS + 1));
    let mut dice = Dice::new(Dice::seed());
    let files: Vec<Made> = (0..UPLOADS)
        .map(|number| Made::new(format!("f{number}"), 1 + dice.below(SIZE_MAX)))
        .collect();
    let one = |number: usize| {
        let (file, user) = (&files[number], users[number % users.len()]);
        let mut wire = Wire::login(server.address, user).unwrap();
        ready.wait();
        // Nothing is sent before the answer: a refusal costs no bytes.
        let opened = wire.open(&file.name, file.offer()).unwrap();
        answered.wait();
        seen.wait();
        let taken = match opened {
            Ok((id, begin)) => {
                assert_eq!((begin.code, begin.offset), (1001, 0));
                wire.send(id, &file.bytes).unwrap().unwrap();
                wire.end(id, file.content.size, Algorithm::Md5.digest(&file.bytes)).unwrap();
                wire.answer(id).unwrap().unwrap();
                true
            }
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::OverQuota, "{error}");
                false
            }
        };
        (user, file.content.size, taken)
    };
    let ended: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..UPLOADS).map(|number| scope.spawn(move || one(number))).collect();
        answered.wait();
        for user in users {
            let (used, reserved) = Wire::login(server.address, user).unwrap().quota().unwrap();
            assert!(used + reserved <= limit, "{user}: {used} + {reserved} bytes of {limit}");
        }
        seen.wait();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let sizes = |user: &str, taken: bool| {
        let of = ended.iter().filter(|(of, _, is_taken)| *of == user && *is_taken == taken);
        of.map(|(_, size, _)| *size).collect::<Vec<_>>()
    };
    users.iter().map(|user| (sizes(user, true), sizes(user, false))).collect()
}

#[test]
fn of_64_uploads_at_once_all_that_fit_are_taken_and_not_one_byte_more() {
    for users in [&["alice"][..], &["alice", "bob"]] {
        let server = server(users, &LIMIT.to_string());
        for (user, (taken, refused)) in users.iter().zip(race(&server, users, LIMIT)) {
            verdict(LIMIT, &taken, &refused).unwrap_or_else(|wrong| panic!("{user}: {wrong}"));
            let used = assert_books_are_right(&server, user);
            assert_eq!(used, BEFORE + taken.iter().sum::<u64>());
            println!(
                "{user}: {} taken, {} refused before a byte was sent, {used} of {LIMIT} bytes",
                taken.len(),
                refused.len()
            );
            assert!(!taken.is_empty() && !refused.is_empty());
        }
    }
}

/// The control: without a quota the same race goes over, and the same look at it says so.
#[test]
fn without_a_quota_the_race_is_seen_to_go_over() {
    let server = server(&["alice"], "none");
    let (taken, refused) = race(&server, &["alice"], u64::MAX).remove(0);
    assert!(verdict(LIMIT, &taken, &refused).unwrap_err().contains("over the quota"));
    assert!(verdict(LIMIT, &taken[..1], &[1]).unwrap_err().contains("are left"));
}

#[test]
fn streams_of_unknown_size_reserve_as_they_go_and_never_go_over() {
    let server = server(&["alice"], &LIMIT.to_string());
    let (ready, over) = (Barrier::new(UPLOADS), AtomicBool::new(false));
    let mut dice = Dice::new(Dice::seed());
    let files: Vec<Made> = (0..UPLOADS)
        .map(|number| Made::new(format!("s{number}"), 1 + dice.below(SIZE_MAX)))
        .collect();
    let one = |file: &Made| {
        let mut wire = Wire::login(server.address, "alice").unwrap();
        ready.wait();
        let opened = wire
            .open(
                &file.name,
                Offer {
                    size: None,
                    ..file.offer()
                },
            )
            .unwrap();
        let (id, _) = opened.unwrap();
        let mut refused = None;
        for step in file.bytes.chunks(40_000) {
            refused = refused.or(wire.send(id, step).unwrap().err());
        }
        if refused.is_none() {
            wire.end(id, file.content.size, Algorithm::Md5.digest(&file.bytes)).unwrap();
        }
        let refused = refused.or_else(|| wire.answer(id).unwrap().err());
        assert!(
            refused.as_ref().is_none_or(|error| error.kind == ErrorKind::OverQuota),
            "{refused:?}"
        );
        refused.is_none().then_some(file.content.size)
    };
    // Homes first: what is published meanwhile is counted once at the most.
    let bytes_on_disk = || {
        let of = |folder: &str| {
            let folder = server.data().join(folder);
            let files = files_below(&folder).into_iter().filter(|path| path.extension().is_none());
            files
                .filter_map(|path| std::fs::metadata(folder.join(path)).ok())
                .map(|meta| meta.len())
                .sum::<u64>()
        };
        of("homes/alice") + of("staging/alice")
    };
    let taken: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = files.iter().map(|file| scope.spawn(|| one(file))).collect();
        while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let (used, reserved) = Wire::login(server.address, "alice").unwrap().quota().unwrap();
            if used + reserved > LIMIT || bytes_on_disk() > LIMIT {
                over.store(true, Ordering::Relaxed);
            }
        }
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(!over.into_inner(), "at some moment there was more than the quota allows");
    let mut wire = Wire::login(server.address, "alice").unwrap();
    for partial in wire.partials().unwrap() {
        wire.call("partials", &json!({"action": "rm", "id": [partial["id"]]}))
            .unwrap()
            .unwrap();
    }
    let used = assert_books_are_right(&server, "alice");
    assert_eq!(used, BEFORE + taken.iter().sum::<u64>());
    assert_eq!(wire.quota().unwrap(), (used, 0), "nothing is promised to anybody any more");
    println!("{} of {UPLOADS} streams taken, {used} of {LIMIT} bytes", taken.len());
    assert!(used <= LIMIT && !taken.is_empty() && taken.len() < UPLOADS);
}

fn with_files(files: &[(&str, usize)]) -> (Server, Wire) {
    let server = Server::start_plain();
    server.add_user("alice", &["--quota", "1MiB"]);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    wire.call("mkdir", &json!({"path": ["folder"]})).unwrap().unwrap();
    for (name, size) in files {
        wire.upload(name, &noise(*size, 5), &Offer::default()).unwrap().unwrap();
    }
    (server, wire)
}

// Four ways in which ProFTPD's mod_quotatab once miscounted.

#[test]
fn a_rename_counts_what_it_replaced_and_nothing_else() {
    let (server, mut wire) = with_files(&[("a", 1000), ("b", 200), ("folder/c", 30)]);
    let mut mv = |from: &str, to: &str, no_clobber: bool| {
        let said = wire
            .call("mv", &json!({"from": [from], "to": to, "no_clobber": no_clobber}))
            .unwrap();
        (
            said.map(drop).map_err(|error| error.kind),
            assert_books_are_right(&server, "alice"),
        )
    };
    assert_eq!(mv("a", "d", false), (Ok(()), 1230), "to a new name");
    assert_eq!(mv("d", "d", false).1, 1230, "to its own");
    assert_eq!(
        mv("d", "b", true),
        (Err(ErrorKind::Exists), 1230),
        "onto one that is to be left alone"
    );
    assert_eq!(mv("d", "b", false), (Ok(()), 1030), "onto another");
    assert_eq!(mv("folder", "moved", false), (Ok(()), 1030), "a folder");
    assert_eq!(mv("gone", "b", false), (Err(ErrorKind::NotFound), 1030), "nothing");
    assert_eq!(mv("moved/c", "b", false), (Ok(()), 30), "out of a folder");
}

#[test]
fn a_delete_that_failed_gives_nothing_back() {
    let (server, mut wire) = with_files(&[("a", 1000), ("folder/c", 30)]);
    for name in ["gone", "folder", "a/b", "folder/gone", "..", "/"] {
        wire.call("rm", &json!({"path": [name]})).unwrap().unwrap_err();
        wire.call("rmdir", &json!({"path": [name]})).unwrap().unwrap_err();
        assert_eq!(assert_books_are_right(&server, "alice"), 1030, "{name}");
    }
    wire.call("rm", &json!({"path": ["a"]})).unwrap().unwrap();
    wire.call("rm", &json!({"path": ["a"]})).unwrap().unwrap_err();
    assert_eq!(assert_books_are_right(&server, "alice"), 30);
}

#[test]
fn an_upload_that_ended_badly_counts_for_nothing_once_it_is_thrown_away() {
    let (server, mut wire) = with_files(&[("a", 1000)]);
    let bytes = noise(400_000, 6);
    let (digest, wrong) = (Algorithm::Md5.digest(&bytes), Algorithm::Md5.digest(b""));
    let offer = |size: Option<u64>| Offer {
        size,
        ..Offer::default()
    };
    for (round, size) in [Some(400_000), None].into_iter().enumerate() {
        // Cancelled, gone, ended too early, with other bytes than announced, over another file.
        for (way, name) in ["cancel", "gone", "early", "other", "a"].into_iter().enumerate() {
            let mut other = Wire::login(server.address, "alice").unwrap();
            let (id, _) = other.open(name, offer(size)).unwrap().unwrap();
            other.send(id, &bytes[..300_000]).unwrap().unwrap();
            match way {
                0 => other.cancel(id).unwrap(),
                1 => drop(other.quota()),
                2 => other.end(id, 400_000, digest).unwrap(),
                _ => {
                    other.send(id, &bytes[300_000..]).unwrap().unwrap();
                    other.end(id, 400_000, wrong).unwrap();
                }
            }
            let expected = match way {
                0 => ErrorKind::Cancelled,
                2 => ErrorKind::OffsetMismatch,
                _ => ErrorKind::DigestMismatch,
            };
            if way != 1 {
                assert_eq!(other.answer(id).unwrap().unwrap_err().kind, expected, "{name} of {size:?}");
            }
            drop(other);
            assert_eq!(assert_books_are_right(&server, "alice"), 1000, "{name}, round {round}");
            for partial in wire.partials().unwrap() {
                wire.call("partials", &json!({"action": "rm", "id": [partial["id"]]}))
                    .unwrap()
                    .unwrap();
            }
            assert_eq!(wire.quota().unwrap(), (1000, 0), "{name}, round {round}");
        }
    }
    // More than was announced.
    let (id, _) = wire.open("more", offer(Some(100_000))).unwrap().unwrap();
    let said = match wire.send(id, &bytes).unwrap() {
        Ok(()) => wire.answer(id).unwrap().unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(said.kind, ErrorKind::TooLarge);
    assert_eq!(assert_books_are_right(&server, "alice"), 1000);
}

#[test]
fn changes_of_the_same_files_at_once_are_all_counted() {
    let (server, _) = with_files(&[("a", 1000)]);
    let one = |number: u64| {
        let mut wire = Wire::login(server.address, "alice").unwrap();
        let mut dice = Dice::new(number);
        for round in 0..40 {
            let (name, other) = (format!("n{}", dice.below(3)), format!("n{}", dice.below(3)));
            // Whether it is done or refused depends on the others: only the count must be right.
            let _ = match dice.below(3) {
                0 => wire.call("rm", &json!({"path": [name]})).unwrap().map(drop),
                1 => wire.call("mv", &json!({"from": [name], "to": other})).unwrap().map(drop),
                _ => {
                    let bytes = noise(usize::try_from(dice.below(20_000)).unwrap(), number * 100 + round);
                    let offer = Offer {
                        fresh: true,
                        ..Offer::default()
                    };
                    wire.upload(&name, &bytes, &offer).unwrap().map(drop)
                }
            };
        }
    };
    std::thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || one(number));
        }
    });
    assert_books_are_right(&server, "alice");
    assert_books_are_right(&server.kill_and_restart(), "alice");
}
