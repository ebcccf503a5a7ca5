//! Power cuts: a server on an ext4 of its own, which stops between two moments and forgets everything that was not flushed.
//! Short here; `FERRY_POWER=200` is the long form: so many cuts. Needs root, losetup, mkfs.ext4 and python3.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferry_core::Algorithm;
use ferry_core::wire::message::Offer;
use ferry_tests::audit::{after_restart, ledger, read_disk};
use ferry_tests::load::{Dice, Home, work};
use ferry_tests::wire::{Wire, is_prefix};
use ferry_tests::{Launch, PATIENCE, Server, noise, skipped, try_run};
use tempfile::TempDir;

/// Cuts of the short form.
const CUTS: u64 = 10;
/// Clients of each of two homes.
const CLIENTS: u64 = 4;
/// The longest that the machine lives under load, in milliseconds.
const LIFE_MAX_MS: u64 = 1500;
/// Size of the disk, in bytes; it takes up only what is written.
const DISK_BYTES: u64 = 1 << 30;
/// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH (fs/ext4/ext4.h): all that is not on the disk is lost.
const SHUTDOWN: &str = "import fcntl, os, struct, sys\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";

/// A disk whose power can be cut; unmounted when dropped.
struct Disk {
    image: PathBuf,
    place: PathBuf,
    _folder: TempDir,
}

impl Disk {
    /// A new one with an ext4 on it.
    fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (image, place) = (folder.path().join("image"), folder.path().join("disk"));
        let file = std::fs::File::create(&image).and_then(|file| file.set_len(DISK_BYTES));
        file.and_then(|()| std::fs::create_dir(&place))
            .map_err(|error| error.to_string())?;
        try_run("mkfs.ext4", &["-q", "-F", "-I", "256", path(&image)])?;
        try_run("python3", &["-c", ""])?;
        let disk = Self {
            image,
            place,
            _folder: folder,
        };
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        try_run("mount", &["-o", "loop", path(&self.image), path(&self.place)])
    }

    /// Cuts the power: the file system stops at once.
    fn cut(&self) {
        try_run("python3", &["-c", SHUTDOWN, path(&self.place)]).unwrap();
    }

    /// Power again: what is on the disk is mounted, and its journal replayed.
    fn power_up(&self) {
        let start = Instant::now();
        while let Err(error) = try_run("umount", &[path(&self.place)]) {
            assert!(start.elapsed() < PATIENCE, "{error}");
        }
        self.mount().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = try_run("umount", &["-l", path(&self.place)]);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A server on a disk whose power can be cut; none where that is not possible.
fn start(test: &str, durability: &str) -> Option<(Disk, Server, [Home; 2])> {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(error) => {
            skipped(test, &error);
            return None;
        }
    };
    let launch = Launch::new("ferryd", &["--no-tls", "--durability", durability]);
    let server = launch.on(disk.place.join("data")).start();
    for user in ["alice", "bob"] {
        server.add_user(user, &["--quota", "96MiB"]);
    }
    Some((disk, server, ["alice", "bob"].map(Home::new)))
}

/// Lets the clients work for some time and cuts the power; gives the server that starts afterwards.
fn work_and_cut(disk: &Disk, server: Server, homes: &[Home], dice: &mut Dice) -> Server {
    let life = Duration::from_millis(100 + dice.below(LIFE_MAX_MS));
    let launch = work(server.address, homes, CLIENTS, dice, || {
        // The random moment itself: nothing is waited for.
        std::thread::sleep(life);
        disk.cut();
        // A server that would still acknowledge something now would be caught at it.
        std::thread::sleep(Duration::from_millis(50));
        server.kill()
    });
    disk.power_up();
    launch.start()
}

#[test]
fn what_was_acknowledged_before_a_power_cut_is_there_after_it() {
    let Some((disk, mut server, homes)) = start("power", "strict") else {
        return;
    };
    let cuts = std::env::var("FERRY_POWER")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(CUTS);
    let mut dice = Dice::new(Dice::seed());
    let (mut acknowledged, mut open, mut resumed, mut restarted) = (0, 0, 0, 0);
    for cut in 1..=cuts {
        server = work_and_cut(&disk, server, &homes, &mut dice);
        for home in &homes {
            let counts = home.model().count();
            (acknowledged, open) = (acknowledged + counts.0, open + counts.1);
            // What an unfinished upload holds was never flushed: it may go back, but not onto other bytes.
            let findings = after_restart(&server, home, false).unwrap();
            (resumed, restarted) = (resumed + findings.resumed, restarted + findings.restarted);
            home.odd().clear();
            let broken = findings.broken;
            assert!(broken.is_empty(), "cut {cut}, {}:\n{}", home.user, broken.join("\n"));
        }
    }
    println!(
        "{cuts} cuts: {acknowledged} acknowledged changes there, {open} were open, {resumed} uploads went on, {restarted} began anew"
    );
    assert!(
        acknowledged > 0 && open > 0,
        "the clients were at work when the power was cut"
    );
}

/// The control: without the flushes the same steps lose what was acknowledged; the books are right all the same.
#[test]
fn with_relaxed_durability_a_power_cut_loses_what_was_acknowledged() {
    let Some((disk, mut server, homes)) = start("power control", "relaxed") else {
        return;
    };
    let mut dice = Dice::new(Dice::seed());
    let mut lost = 0;
    for _ in 0..CUTS {
        server = work_and_cut(&disk, server, &homes, &mut dice);
        for home in &homes {
            let there = read_disk(&server.data().join("homes").join(&home.user));
            lost += home.model().check(&there).len();
            let mut wire = Wire::login(server.address, &home.user).unwrap();
            assert_eq!(ledger(&mut wire, &there).unwrap(), [""; 0]);
            home.model().settle(&there);
            home.unfinished().clear();
            home.odd().clear();
        }
        if lost > 0 {
            break;
        }
    }
    println!("relaxed: {lost} names without what was acknowledged");
    assert!(lost > 0, "the harness sees no loss where there must be one");
}

/// Cuts the power behind the beginning of a large upload; gives where it goes on afterwards.
fn cut_a_large_upload(durability: &str, digest: Algorithm) -> Option<u64> {
    const SIZE: usize = 140 << 20;
    const SENT: usize = 130 << 20;
    let (disk, server, _) = start("power, large upload", durability)?;
    server.admin(&["user", "set", "alice", "--quota", "none"], "").expect(0);
    let bytes = noise(SIZE, 1);
    let offer = Offer {
        size: Some(SIZE as u64),
        digest,
        ..Offer::default()
    };
    let mut wire = Wire::login(server.address, "alice").unwrap();
    let (id, _) = wire.open("large", offer.clone()).unwrap().unwrap();
    wire.send(id, &bytes[..SENT]).unwrap().unwrap();
    let mut other = Wire::login(server.address, "alice").unwrap();
    let start = Instant::now();
    while other.partials().unwrap()[0]["received"].as_u64() != Some(SENT as u64) {
        assert!(start.elapsed() < PATIENCE, "the server does not take what was sent");
    }
    disk.cut();
    let launch = server.kill();
    disk.power_up();
    let server = launch.start();
    let mut wire = Wire::login(server.address, "alice").unwrap();
    let (_, begin) = wire.open("large", offer.clone()).unwrap().unwrap();
    let goes_on = is_prefix(&begin, &bytes);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    wire.upload("large", &bytes, &offer).unwrap().unwrap();
    let there = std::fs::read(server.data().join("homes/alice/large")).unwrap();
    assert!(there == bytes, "the bytes are not those that were sent");
    Some(if goes_on { begin.offset } else { 0 })
}

#[test]
fn a_large_upload_goes_on_after_a_power_cut() {
    for digest in [Algorithm::Md5, Algorithm::Blake3] {
        if let Some(offset) = cut_a_large_upload("strict", digest) {
            println!("a large upload by {} goes on at {offset}", digest.as_str());
            assert!(offset > 0, "all that was sent is lost");
        }
    }
}

/// The control: without the flushes of the description there is nothing to go on with.
#[test]
fn with_relaxed_durability_a_large_upload_begins_anew_after_a_power_cut() {
    if let Some(offset) = cut_a_large_upload("relaxed", Algorithm::Md5) {
        assert_eq!(offset, 0, "what was never flushed is there");
    }
}
