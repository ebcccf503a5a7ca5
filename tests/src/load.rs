//! Clients that change a home at random until their connection breaks, and write down what they asked for and what was
//! acknowledged.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ferry_core::wire::message::{Done, Offer};
use ferry_core::{Algorithm, ErrorKind};
use serde_json::json;

use crate::model::{Change, Content, Model};
use crate::noise;
use crate::wire::{Wire, upload_args};

/// Files of one client alone, in two folders.
const OWN_FILES: u64 = 6;
/// Files that all clients of a home upload to.
const SHARED_FILES: u64 = 2;
/// Uploads of a client that are sent without waiting for an answer.
const BURST: u64 = 4;
/// The largest file of each kind, in bytes.
const SMALL_MAX_BYTES: u64 = 32 << 10;
const MEDIUM_MAX_BYTES: u64 = 1 << 20;
const LARGE_MAX_BYTES: u64 = 6 << 20;
/// How much of a large file is sent before the server is asked what it holds, in bytes.
const STEP_BYTES: usize = 512 << 10;

/// Numbers that look random and are the same for the same seed.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that show the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed of this moment, or the one of `FERRY_SEED`; printed, so that a failure can be tried again.
    #[allow(clippy::print_stdout, reason = "a test's output")]
    pub fn seed() -> u64 {
        let given = std::env::var("FERRY_SEED").ok().and_then(|text| text.parse().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = given.unwrap_or(u64::from(now.subsec_nanos()));
        println!("FERRY_SEED={seed}");
        seed
    }

    /// A number from 0 to below `limit` (SplitMix64, Steele 2014).
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

/// A file that never was before, made from its number.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its place.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it is once it is there.
    pub content: Content,
}

impl Made {
    /// A new file.
    pub fn new(name: String, size: u64) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let bytes = noise(usize::try_from(size).unwrap_or(0), serial);
        // No two files have the same time, so even empty ones can be told apart.
        let modified = 1_600_000_000_000_000_000 + i64::try_from(serial).unwrap_or(0) * 1_000;
        let content = Content::new(size, Algorithm::Md5.digest(&bytes), modified);
        Self { name, bytes, content }
    }

    /// What is said of it beforehand.
    pub fn offer(&self) -> Offer {
        Offer {
            size: Some(self.content.size),
            modified: Some(self.content.modified),
            ..Offer::default()
        }
    }

    fn change(&self) -> Change {
        vec![(self.name.clone(), Some(self.content.clone()))]
    }
}

/// An upload that was cut off.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// What was sent.
    pub file: Made,
    /// What the server said at last that it holds, in bytes.
    pub offset: u64,
    /// The model's number of it, when `end` was sent: then it may have been finished after all.
    pub number: Option<u64>,
}

/// A home, and what its clients know of it.
#[derive(Debug, Default)]
pub struct Home {
    /// Whose it is.
    pub user: String,
    model: Mutex<Model>,
    unfinished: Mutex<Vec<Unfinished>>,
    odd: Mutex<Vec<String>>,
}

impl Home {
    /// An empty home.
    pub fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            ..Self::default()
        }
    }

    /// What may be in it.
    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uploads that were cut off.
    pub fn unfinished(&self) -> MutexGuard<'_, Vec<Unfinished>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Failures that are no refusals: faults of the server's machine, or bugs.
    pub fn odd(&self) -> MutexGuard<'_, Vec<String>> {
        self.odd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down how a change was answered. Fails when that leaves open whether it was made.
    ///
    /// # Errors
    /// What the server said, when it is no refusal.
    pub fn answered(&self, number: u64, answer: ferry_core::Result<Done>) -> io::Result<()> {
        use ErrorKind::{Busy, Cancelled, Exists, LeaseLost, NotFound, OverQuota};
        match answer {
            Ok(_) => self.model().acknowledged(number),
            Err(error) if matches!(error.kind, Busy | Cancelled | Exists | LeaseLost | NotFound | OverQuota) => {
                self.model().refused(number);
            }
            Err(error) => {
                self.odd().push(format!("{:?}: {error}", error.kind));
                return Err(io::Error::other(error));
            }
        }
        Ok(())
    }
}

/// Lets some clients work on each home until `end`, which is to hurt the server, has been run and their connections are gone.
pub fn work<T>(address: SocketAddr, homes: &[Home], clients: u64, dice: &mut Dice, end: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        for home in homes {
            for number in 0..clients {
                let seed = dice.below(u64::MAX);
                scope.spawn(move || {
                    let error = Client::new(home, address, number, seed).map_or_else(|error| error, |mut client| client.run());
                    let is_silent = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                    assert!(!is_silent, "the server hangs");
                });
            }
        }
        end()
    })
}

/// One client at work.
pub struct Client<'h> {
    home: &'h Home,
    wire: Wire,
    address: SocketAddr,
    number: u64,
    dice: Dice,
}

impl<'h> Client<'h> {
    /// Logs in and makes its folder.
    ///
    /// # Errors
    /// The connection broke.
    pub fn new(home: &'h Home, address: SocketAddr, number: u64, seed: u64) -> io::Result<Self> {
        let mut wire = Wire::login(address, &home.user)?;
        let made = wire.call("mkdir", &json!({"path": [format!("d{number}")], "parents": true}))?;
        made.map_err(io::Error::other)?;
        let dice = Dice::new(seed ^ (number << 32));
        Ok(Self {
            home,
            wire,
            address,
            number,
            dice,
        })
    }

    /// Works until the connection breaks or the server fails; gives why.
    pub fn run(&mut self) -> io::Error {
        loop {
            let done = match self.dice.below(100) {
                0..40 => self.small(),
                40..55 => self.medium(),
                55..65 => self.large(),
                65..70 => self.stream(),
                70..85 => self.remove(),
                _ => self.rename(),
            };
            if let Err(error) = done {
                return error;
            }
        }
    }

    fn own(&self, file: u64) -> String {
        let number = self.number;
        match file % 2 {
            0 => format!("f{number}-{file}"),
            _ => format!("d{number}/{file}"),
        }
    }

    fn any(&mut self) -> String {
        match self.dice.below(OWN_FILES + 1) {
            OWN_FILES => format!("shared-{}", self.dice.below(SHARED_FILES)),
            file => self.own(file),
        }
    }

    /// Several small files at once, each in one go.
    fn small(&mut self) -> io::Result<()> {
        let (first, count) = (self.dice.below(OWN_FILES), 1 + self.dice.below(BURST));
        let mut sent = Vec::new();
        for file in first..first + count {
            let name = self.own(file % OWN_FILES);
            let file = Made::new(name, self.dice.below(SMALL_MAX_BYTES));
            let number = self.home.model().begin(file.change());
            let offer = Offer {
                eager: true,
                ..file.offer()
            };
            let id = self.wire.start("upload", &upload_args(&file.name), Some(offer))?;
            let _ = self.wire.send(id, &file.bytes)?;
            self.wire.end(id, file.content.size, Algorithm::Md5.digest(&file.bytes))?;
            sent.push((id, number));
        }
        for (id, number) in sent {
            let answer = self.wire.answer(id)?;
            self.home.answered(number, answer)?;
        }
        Ok(())
    }

    fn medium(&mut self) -> io::Result<()> {
        let name = self.any();
        let file = Made::new(name, 1 + self.dice.below(MEDIUM_MAX_BYTES));
        self.upload(file, u64::MAX)
    }

    /// A large file, now and then given up half-way. Its name is used once, so what is left of it stays until the end.
    fn large(&mut self) -> io::Result<()> {
        let size = MEDIUM_MAX_BYTES + self.dice.below(LARGE_MAX_BYTES - MEDIUM_MAX_BYTES);
        let is_cut = self.dice.below(3) == 0;
        if !is_cut {
            let name = self.any();
            return self.upload(Made::new(name, size), u64::MAX);
        }
        let mut file = Made::new(String::new(), size);
        file.name = format!("cut-{}", file.content.modified);
        let limit = self.dice.below(size);
        self.upload(file, limit)
    }

    /// Sends a file as the server says, at most `limit` bytes of it, and asks now and then what the server holds.
    fn upload(&mut self, file: Made, limit: u64) -> io::Result<()> {
        let is_shared = file.name.starts_with("shared");
        let offer = Offer {
            fresh: true,
            ..file.offer()
        };
        let (id, begin) = match self.wire.open(&file.name, offer)? {
            Ok(opened) => opened,
            Err(error) if error.kind == ErrorKind::Internal => return Err(io::Error::other(error)),
            // Over quota, or busy: nothing was sent.
            Err(_) => return Ok(()),
        };
        let key = file.content.modified;
        let held = begin.upload.unwrap_or_default();
        if !is_shared {
            self.home.unfinished().push(Unfinished {
                file: file.clone(),
                offset: 0,
                number: None,
            });
        }
        let update = |home: &Home, change: &dyn Fn(&mut Unfinished)| {
            let mut all = home.unfinished();
            all.iter_mut()
                .filter(|unfinished| unfinished.file.content.modified == key)
                .for_each(change);
        };
        let mut sent = 0;
        for step in file.bytes.chunks(STEP_BYTES) {
            if sent >= limit {
                return self.give_up(id);
            }
            if self.wire.send(id, step)?.is_err() {
                self.home
                    .unfinished()
                    .retain(|unfinished| unfinished.file.content.modified != key);
                return Ok(());
            }
            sent += step.len() as u64;
            if self.dice.below(3) == 0 {
                let partials = self.wire.partials()?;
                let row = partials.iter().find(|row| row["id"] == held.as_str());
                let offset = row.and_then(|row| row["received"].as_u64()).unwrap_or(0);
                update(self.home, &|unfinished| unfinished.offset = unfinished.offset.max(offset));
            }
        }
        let number = self.home.model().begin(file.change());
        update(self.home, &|unfinished| unfinished.number = Some(number));
        self.wire.end(id, file.content.size, Algorithm::Md5.digest(&file.bytes))?;
        let answer = self.wire.answer(id)?;
        self.home.answered(number, answer)?;
        self.home
            .unfinished()
            .retain(|unfinished| unfinished.file.content.modified != key);
        Ok(())
    }

    /// Leaves an upload as it is: by asking it to stop, or by going away.
    fn give_up(&mut self, id: u32) -> io::Result<()> {
        if self.dice.below(2) == 0 {
            self.wire.cancel(id)?;
            let _ = self.wire.answer(id)?;
        } else {
            self.wire = Wire::login(self.address, &self.home.user)?;
        }
        Ok(())
    }

    /// A stream whose size nobody knows.
    fn stream(&mut self) -> io::Result<()> {
        let name = self.any();
        let file = Made::new(name, self.dice.below(2 * MEDIUM_MAX_BYTES));
        let offer = Offer {
            size: None,
            fresh: true,
            ..file.offer()
        };
        let Ok((id, _)) = self.wire.open(&file.name, offer)? else {
            return Ok(());
        };
        if self.wire.send(id, &file.bytes)?.is_err() {
            return Ok(());
        }
        let number = self.home.model().begin(file.change());
        self.wire.end(id, file.content.size, Algorithm::Md5.digest(&file.bytes))?;
        let answer = self.wire.answer(id)?;
        self.home.answered(number, answer)
    }

    fn remove(&mut self) -> io::Result<()> {
        let name = self.any();
        let number = self.home.model().begin(vec![(name.clone(), None)]);
        let answer = self.wire.call("rm", &json!({"path": [name]}))?;
        self.home.answered(number, answer.map(|_| Done::default()))
    }

    fn rename(&mut self) -> io::Result<()> {
        let (from, to) = (self.dice.below(OWN_FILES), self.dice.below(OWN_FILES));
        let (from, to) = (self.own(from), self.own(to));
        let moved = self.home.model().sure(&from);
        let Some(moved) = moved.filter(|_| from != to) else {
            return Ok(());
        };
        let change = vec![(from.clone(), None), (to.clone(), Some(moved))];
        let number = self.home.model().begin(change);
        let answer = self.wire.call("mv", &json!({"from": [from], "to": to}))?;
        self.home.answered(number, answer.map(|_| Done::default()))
    }
}
