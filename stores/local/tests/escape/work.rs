//! The race itself: some threads do things at a site while the attacker is at it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ferry_core::{Algorithm, ErrorKind, HomePath};

use crate::ground::{Ground, Shape, Site};
use crate::hands::Hands;
use crate::swap::swap;
use crate::trap::{MARKER, WITNESS};

/// Threads that do things.
const WORKERS: u64 = 4;
/// How often each of them looks at the trap.
const LOOK_EVERY: u64 = 64;

/// A small generator (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed from the environment, or another one in each run.
    pub(crate) fn seed() -> u64 {
        let given = std::env::var("FERRY_SEED").ok().and_then(|text| text.parse().ok());
        given.unwrap_or_else(|| u64::from(std::process::id()))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// How a race went.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Operations that did what they should.
    pub(crate) done: u64,
    /// Operations that were refused because of a link.
    pub(crate) refused: u64,
    /// Operations that found nothing to do, or something else in their place.
    plain: u64,
    /// Operations that another one at the same place disturbed.
    disturbed: u64,
    /// Operations that failed otherwise.
    pub(crate) odd: BTreeMap<&'static str, u64>,
    /// Exchanges.
    pub(crate) swaps: u64,
    /// Operations that gave what lies outside.
    pub(crate) reads: u64,
    /// Sites at which something outside was changed.
    pub(crate) changes: u64,
    took: Duration,
}

impl Round {
    pub(crate) fn operations(&self) -> u64 {
        self.done + self.refused + self.plain + self.disturbed + self.odd.values().sum::<u64>()
    }

    /// Whether at least one in `share` operations went each of the two ways, and the attacker was that quick too.
    pub(crate) fn has_met(&self, share: u64) -> bool {
        self.done.min(self.refused).min(self.swaps) * share >= self.operations()
    }

    pub(crate) fn has_escape(&self) -> bool {
        self.reads > 0 || self.changes > 0
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.plain += other.plain;
        self.disturbed += other.disturbed;
        for (kind, count) in other.odd {
            *self.odd.entry(kind).or_default() += count;
        }
        self.swaps += other.swaps;
        self.reads += other.reads;
        self.changes += other.changes;
        self.took += other.took;
    }

    fn note(&mut self, ended: Result<(), ErrorKind>) {
        use ErrorKind as Kind;
        match ended {
            Ok(()) => self.done += 1,
            Err(Kind::Denied) => self.refused += 1,
            Err(Kind::NotFound | Kind::Exists | Kind::NotDirectory | Kind::IsDirectory | Kind::NotEmpty) => self.plain += 1,
            Err(Kind::LeaseLost | Kind::Busy | Kind::Changed) => self.disturbed += 1,
            Err(kind) => *self.odd.entry(kind.as_str()).or_default() += 1,
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations in {:.1} s, {} exchanges: {} done, {} refused at a link, {} had nothing to do, {} disturbed, {} odd; outside: {} seen, {} changed",
            self.operations(),
            self.took.as_secs_f64(),
            self.swaps,
            self.done,
            self.refused,
            self.plain,
            self.disturbed,
            self.odd.values().sum::<u64>(),
            self.reads,
            self.changes,
        )
    }
}

/// What all threads of a race share.
struct Shared<'r> {
    hands: &'r dyn Hands,
    ground: &'r Ground,
    site: &'r Site,
    left: AtomicU64,
    was_seen: AtomicBool,
    was_changed: AtomicBool,
}

/// Does so many things at a site while its name is exchanged. Stops early when enough was shown that nobody should see.
pub(crate) fn race(hands: &dyn Hands, ground: &Ground, site: &Site, operations: u64, dice: &mut Dice) -> Round {
    let shared = Shared {
        hands,
        ground,
        site,
        left: AtomicU64::new(operations),
        was_seen: AtomicBool::new(false),
        was_changed: AtomicBool::new(false),
    };
    let (stop, start) = (AtomicBool::new(false), Instant::now());
    let mut round = Round::default();
    let swaps = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| swap(ground, site, &stop));
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                let (mut dice, shared) = (Dice::new(dice.next()), &shared);
                scope.spawn(move || shared.work(&mut dice))
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        // Also when one of them panicked: the attacker would go on for ever.
        stop.store(true, Ordering::Relaxed);
        for worker in ended {
            round.add(worker.unwrap());
        }
        attacker.join().unwrap()
    });
    (round.swaps, round.took) = (swaps, start.elapsed());
    round.changes = u64::from(site.trap.is_changed());
    round
}

impl Shared<'_> {
    fn work(&self, dice: &mut Dice) -> Round {
        let mut round = Round::default();
        for turn in 1_u64.. {
            let more = |left: u64| left.checked_sub(1);
            if self.has_enough() || self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
                break;
            }
            let ended = self.step(dice);
            if ended == Ok(true) {
                round.reads += 1;
                self.was_seen.store(true, Ordering::Relaxed);
            }
            round.note(ended.map(drop));
            if turn.is_multiple_of(LOOK_EVERY) && self.site.trap.is_changed() {
                self.was_changed.store(true, Ordering::Relaxed);
            }
        }
        round
    }

    /// Whether enough was shown: where the name is the last one, the first escape can spoil what others would show.
    fn has_enough(&self) -> bool {
        let (was_seen, was_changed) = (
            self.was_seen.load(Ordering::Relaxed),
            self.was_changed.load(Ordering::Relaxed),
        );
        match self.site.shape {
            Shape::Tree => was_seen && was_changed,
            Shape::Folder | Shape::File => was_seen || was_changed,
        }
    }

    /// Something at the site, or sometimes what was moved from there.
    fn target(&self, dice: &mut Dice) -> &HomePath {
        match dice.below(8) {
            0 => dice.one(&self.ground.safe),
            _ => dice.one(&self.site.targets),
        }
    }

    /// Does one thing; says whether it gave what lies outside.
    fn step(&self, dice: &mut Dice) -> Result<bool, ErrorKind> {
        let (hands, at) = (self.hands, self.target(dice));
        let no_clobber = dice.below(4) == 0;
        match dice.below(16) {
            0..=2 => hands.read(at).map(|bytes| bytes == MARKER),
            3 => hands.stat(at).map(|size| size == MARKER.len() as u64),
            4..=5 => {
                let names = hands.list(&self.site.listed)?;
                Ok(names.iter().any(|name| name == WITNESS.as_bytes()))
            }
            6 => {
                let digest = hands.recognise(at)?;
                Ok(digest == Some(Algorithm::Blake3.digest(MARKER)))
            }
            7..=9 => hands.write(at, dice.below(4) == 0, no_clobber).map(|()| false),
            10 => hands.make_dir(at).map(|()| false),
            11 => hands.remove_file(at).map(|()| false),
            12 => hands.remove_dir(at).map(|()| false),
            13 => hands.rename(at, dice.one(&self.ground.safe), no_clobber).map(|()| false),
            14 => hands.rename(dice.one(&self.ground.safe), at, no_clobber).map(|()| false),
            _ => hands.rename(at, self.target(dice), no_clobber).map(|()| false),
        }
    }
}
