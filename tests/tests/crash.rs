//! The server killed at random moments under eight clients: what it acknowledged is there, and nothing else is.
//! Short here; `FERRY_CRASH=1000` is the long form: so many kills.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use ferry_tests::audit::{Findings, after_restart};
use ferry_tests::load::{Dice, Home, work};
use ferry_tests::{Launch, Server, noise};

/// Kills of the short form.
const KILLS: u64 = 50;
/// Clients of each of two homes.
const CLIENTS: u64 = 4;
/// The longest that the server lives under load, in milliseconds.
const LIFE_MAX_MS: u64 = 500;

/// Lets the clients work on both homes for some time, then kills the server.
fn work_and_kill(server: Server, homes: &[Home], dice: &mut Dice) -> Launch {
    let life = Duration::from_millis(50 + dice.below(LIFE_MAX_MS));
    work(server.address, homes, CLIENTS, dice, || {
        // The random moment itself: nothing is waited for.
        std::thread::sleep(life);
        server.kill()
    })
}

fn start<const N: usize>(users: [&str; N]) -> (Server, [Home; N]) {
    let server = Server::start_plain();
    for user in users {
        server.add_user(user, &["--quota", "96MiB"]);
    }
    (server, users.map(Home::new))
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let kills = std::env::var("FERRY_CRASH").ok().and_then(|text| text.parse().ok());
    let mut dice = Dice::new(Dice::seed());
    let (mut server, homes) = start(["alice", "bob"]);
    let (mut acknowledged, mut open, mut resumed, mut restarted) = (0, 0, 0, 0);
    let kills = kills.unwrap_or(KILLS);
    for kill in 1..=kills {
        server = work_and_kill(server, &homes, &mut dice).start();
        for home in &homes {
            let counts = home.model().count();
            (acknowledged, open) = (acknowledged + counts.0, open + counts.1);
            let Findings {
                broken,
                resumed: went_on,
                restarted: anew,
            } = after_restart(&server, home, true).unwrap();
            (resumed, restarted) = (resumed + went_on, restarted + anew);
            let odd = std::mem::take(&mut *home.odd());
            assert!(broken.is_empty(), "kill {kill}, {}:\n{}", home.user, broken.join("\n"));
            assert!(
                odd.is_empty(),
                "kill {kill}, {}: failures without a fault: {odd:?}",
                home.user
            );
        }
    }
    println!(
        "{kills} kills: {acknowledged} acknowledged changes there, {open} were open, {resumed} uploads went on, {restarted} began anew"
    );
    assert!(
        acknowledged > 0 && open > 0 && resumed > 0,
        "the clients were at work when the server was killed"
    );
}

/// The control: each kind of damage that the harness is to find, done to the disk by hand.
#[test]
fn every_kind_of_damage_is_found() {
    let mut dice = Dice::new(7);
    type Damage = fn(&Path, &str);
    let damages: [(&str, Damage); 7] = [
        ("a file lost", |home, file| std::fs::remove_file(home.join(file)).unwrap()),
        ("a file cut short", |home, file| {
            let file = File::options().write(true).open(home.join(file)).unwrap();
            file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        }),
        ("one byte changed", |home, file| {
            let (path, mut bytes) = (home.join(file), std::fs::read(home.join(file)).unwrap());
            let time = std::fs::metadata(&path).unwrap().modified().unwrap();
            bytes[0] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(time).unwrap();
        }),
        ("a file nobody sent", |home, _| {
            std::fs::write(home.join("stray"), b"stray").unwrap()
        }),
        ("a wrong ledger", |home, _| {
            std::fs::write(home.join("../../ledger/alice"), b"\x81\xa4used\x01").unwrap();
        }),
        ("an unfinished upload cut short", |home, _| {
            in_staging(home, |file| file.set_len(1).unwrap());
        }),
        ("an unfinished upload with other bytes", |home, _| {
            in_staging(home, |file| {
                file.write_all_at(&noise(64, 1), 0).unwrap();
            });
        }),
    ];
    for (name, damage) in damages {
        let (mut server, homes) = start(["alice"]);
        let [home] = &homes;
        let (launch, file) = loop {
            let launch = work_and_kill(server, &homes, &mut dice);
            let is_cut = home.unfinished().iter().any(|cut| cut.offset > 1 && cut.number.is_none());
            if let Some(file) = sure_file(home).filter(|_| is_cut) {
                break (launch, file);
            }
            server = launch.start();
            after_restart(&server, home, true).unwrap();
        };
        damage(&launch.data().join("homes/alice"), &file);
        let server = launch.start();
        let findings = after_restart(&server, home, true).unwrap();
        assert!(!findings.broken.is_empty(), "{name} was not found");
        println!("{name}: {}", findings.broken[0]);
    }
}

/// A file that must be there.
fn sure_file(home: &Home) -> Option<String> {
    let mut names = (0..CLIENTS).flat_map(|client| [0, 2, 4].map(|file| format!("f{client}-{file}")));
    names.find(|name| home.model().sure(name).is_some_and(|content| content.size > 0))
}

/// Does something to the bytes of every unfinished upload.
fn in_staging(home: &Path, change: fn(&File)) {
    for entry in std::fs::read_dir(home.join("../../staging/alice")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none() {
            change(&File::options().write(true).open(path).unwrap());
        }
    }
}
