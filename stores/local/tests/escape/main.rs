//! The jail under attack: a folder and a link change places as fast as the machine can, while operations run beneath them.
//! Short here; `FERRY_ESCAPE=10000000` is the long form: so many operations. `TMPDIR=/dev/shm` spares the disk.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

mod control;
mod ground;
mod hands;
mod swap;
mod trap;
mod work;

use std::sync::{Mutex, PoisonError};

use crate::control::Canonical;
use crate::ground::Ground;
use crate::hands::Jailed;
use crate::work::{Dice, Round, race};

/// Operations of the short form, over all sites.
const OPERATIONS: u64 = 60_000;
/// The most operations of the control at one site. It needs some hundreds, or some thousands.
const CONTROL_OPERATIONS: u64 = 200_000;
/// A race that never races proves nothing: of all operations, at least one in so many must have done something, and one in so
/// many must have been refused at a link.
const MET_IN_ALL: u64 = 10;
/// The same at each site. Where the name is the last one, few are refused: a link can be removed and renamed like a file.
const MET_AT_SITE: u64 = 200;

/// The two races would only slow each other down.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Whether the attacker can be at work between two steps of an operation. With one core, hardly ever.
fn has_cores() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

#[test]
fn nobody_escapes_while_folders_and_links_change_places() {
    if !has_cores() {
        println!("skipped: a race needs two cores");
        return;
    }
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let text = std::env::var("FERRY_ESCAPE").ok();
    let operations = text.map_or(OPERATIONS, |text| text.parse().expect("FERRY_ESCAPE is a number"));
    let (ground, seed) = (Ground::new(), Dice::seed());
    println!("FERRY_SEED={seed}");
    let mut dice = Dice::new(seed);
    let hands = Jailed::open(&ground);
    let each = operations.div_ceil(ground.sites.len() as u64);
    let mut all = Round::default();
    for site in &ground.sites {
        let round = race(&hands, &ground, site, each, &mut dice);
        println!("{:32} {round}", site.label);
        assert!(!round.has_escape(), "{}: {round}\n{}", site.label, site.trap.compare());
        assert!(
            round.odd.is_empty(),
            "{}: failures that no race explains: {:?}",
            site.label,
            round.odd
        );
        assert!(round.has_met(MET_AT_SITE), "{}: hardly met the attacker: {round}", site.label);
        all.add(round);
    }
    println!("{:32} {all}", "all");
    assert!(
        all.operations() >= operations && all.has_met(MET_IN_ALL),
        "hardly met the attacker: {all}"
    );
}

/// The control: the same work on a home that canonicalises a path, looks where it leads, and opens it then.
#[test]
fn a_home_that_looks_first_and_opens_then_is_left() {
    if !has_cores() {
        println!("skipped: a race needs two cores");
        return;
    }
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (ground, seed) = (Ground::new(), Dice::seed());
    println!("FERRY_SEED={seed}");
    let mut dice = Dice::new(seed);
    let hands = Canonical::new(&ground);
    let mut all = Round::default();
    for site in &ground.sites {
        let round = race(&hands, &ground, site, CONTROL_OPERATIONS, &mut dice);
        println!("{:32} {round}", site.label);
        assert!(round.has_escape(), "{}: the harness sees nothing: {round}", site.label);
        all.add(round);
    }
    println!("{:32} {all}", "control, all");
    assert!(all.reads > 0, "the harness sees no reading outside: {all}");
    assert!(all.changes > 0, "the harness sees no change outside: {all}");
}
