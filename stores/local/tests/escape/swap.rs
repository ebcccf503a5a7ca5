//! The attacker: exchanges a name and its link in one step, again and again.

use std::fs::{File, FileType};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::ground::{Ground, Site};

/// How often the attacker looks whether a link and no link are still there: operations remove and rename them.
const LOOK_EVERY: u64 = 8;

/// Exchanges until it is told to stop; says how often it did.
pub(crate) fn swap(ground: &Ground, site: &Site, stop: &AtomicBool) -> u64 {
    let (name, other) = (ground.home.join(site.name), site.other(&ground.home));
    let folder = File::open(name.parent().unwrap()).unwrap();
    let (short, short_other) = (name.file_name().unwrap(), other.file_name().unwrap());
    let mut swaps = 0;
    for turn in 1_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let exchanged = renameat_with(&folder, short, &folder, short_other, RenameFlags::EXCHANGE);
        match exchanged {
            Ok(()) => swaps += 1,
            Err(Errno::NOENT) => mend(site, &name, &other),
            Err(errno) => panic!("{}: names cannot be exchanged here: {errno}", site.label),
        }
        if turn.is_multiple_of(LOOK_EVERY) {
            mend(site, &name, &other);
        }
    }
    swaps
}

/// Sees to it that one of the two is a link and the other one is not.
fn mend(site: &Site, name: &Path, other: &Path) {
    let is_link = |kind: FileType| kind.is_symlink();
    let kind = |place: &Path| std::fs::symlink_metadata(place).ok().map(|meta| meta.file_type());
    let make = |link: bool, place: &Path| if link { site.make_link(place) } else { site.make_real(place) };
    match (kind(name).map(is_link), kind(other)) {
        (Some(link), Some(there)) if link == is_link(there) => {
            // What operations hold open may still be changed: then it is tried again.
            let removed = match there.is_dir() {
                true => std::fs::remove_dir_all(other),
                false => std::fs::remove_file(other),
            };
            if removed.is_ok() {
                make(!link, other);
            }
        }
        (None, Some(there)) => make(!is_link(there), name),
        (Some(link), None) => make(!link, other),
        (None, None) => {
            make(true, name);
            make(false, other);
        }
        _ => {}
    }
}
