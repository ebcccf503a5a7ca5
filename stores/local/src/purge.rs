//! Removes a folder with all that is in it, however deep it is, and stops where something else is mounted.
//!
//! What an admin mounted in a home belongs to others: its files must outlive the user. And users can make trees so deep that a
//! walk which holds every folder on its way open runs out of descriptors; here, what lies deep is moved up first.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags, openat2, renameat_with, unlinkat};
use rustix::io::Errno;

/// Removes whatever is called `name` in a folder; nothing there is fine. Links are removed and not followed.
///
/// # Errors
/// EBUSY or EXDEV when something is mounted there or below: it is left alone, other things may be gone by then.
pub(crate) fn remove_all(folder: impl AsFd, name: &str) -> Result<(), Errno> {
    if is_removed(&folder, name.as_bytes())? {
        return Ok(());
    }
    let top = open_here(&folder, name.as_bytes())?;
    let mut free = 0;
    while !is_pass_idle(&top, |name| clear(&top, name, &mut free))? {}
    unlinkat(folder, name, AtFlags::REMOVEDIR)
}

/// Removes an entry of `top`. The folders in it that are not empty are entries of `top` afterwards, with names from `free` on.
fn clear(top: &OwnedFd, name: &[u8], free: &mut u64) -> Result<(), Errno> {
    if is_removed(top, name)? {
        return Ok(());
    }
    let folder = open_here(top, name)?;
    is_pass_idle(&folder, |name| {
        while !is_removed(&folder, name)? {
            *free += 1;
            match renameat_with(&folder, name, top, free.to_string(), RenameFlags::NOREPLACE) {
                // The user has given this name to something.
                Err(Errno::EXIST) => {}
                moved => return moved,
            }
        }
        Ok(())
    })?;
    unlinkat(top, name, AtFlags::REMOVEDIR)
}

/// Removes what is no folder, and empty folders; says whether it is gone.
fn is_removed(folder: impl AsFd, name: &[u8]) -> Result<bool, Errno> {
    let removed = match unlinkat(&folder, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => unlinkat(&folder, name, AtFlags::REMOVEDIR),
        other => other,
    };
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Opens a folder to empty it, but none that is mounted.
fn open_here(folder: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(folder, name, flags, Mode::empty(), confined)
}

/// Does something with each entry of a folder; says whether there was none.
fn is_pass_idle(folder: impl AsFd, mut each: impl FnMut(&[u8]) -> Result<(), Errno>) -> Result<bool, Errno> {
    let mut is_idle = true;
    let mut dir = Dir::read_from(folder)?;
    while let Some(item) = dir.read() {
        let item = item?;
        let name = item.file_name().to_bytes();
        if name != b"." && name != b".." {
            is_idle = false;
            each(name)?;
        }
    }
    Ok(is_idle)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::process::Command;

    use rustix::fs::mkdirat;

    use super::*;

    /// More levels than one path can name (4096 bytes), and than a process may usually hold open (1024).
    const LEVELS: usize = 2500;

    fn run(command: &str, args: &[&Path]) -> bool {
        let ended = Command::new(command).args(args).output();
        ended.is_ok_and(|output| output.status.success())
    }

    #[test]
    fn a_tree_goes_whatever_is_in_it_and_however_deep_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        std::fs::create_dir_all(outside.join("kept")).unwrap();
        let home = folder.path().join("home");
        // Names that are also used for what is moved up.
        for place in ["1/2/3", "2/1/x", "3", "a/b"] {
            std::fs::create_dir_all(home.join(place)).unwrap();
            std::fs::write(home.join(place).join("file"), "file").unwrap();
        }
        symlink(&outside, home.join("a/link")).unwrap();
        let mut at = OwnedFd::from(File::open(&home).unwrap());
        for _ in 0..LEVELS {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            mkdirat(&at, "e", Mode::RWXU).unwrap();
            at = open_here(&at, b"d").unwrap();
        }
        let parent = File::open(folder.path()).unwrap();
        remove_all(&parent, "home").unwrap();
        assert!(!home.exists() && outside.join("kept").exists());
        remove_all(&parent, "home").unwrap();
        symlink(&outside, &home).unwrap();
        remove_all(&parent, "home").unwrap();
        assert!(home.symlink_metadata().is_err() && outside.join("kept").exists());
    }

    /// Only root can mount; whoever else runs this sees nothing.
    #[test]
    fn what_is_mounted_in_a_tree_is_left_alone() {
        for below in ["mounted", "a/b/mounted"] {
            let folder = tempfile::tempdir().unwrap();
            let shared = folder.path().join("shared");
            let place = folder.path().join("home").join(below);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::create_dir(&shared).unwrap();
            std::fs::write(shared.join("file"), "others need it").unwrap();
            if !run("mount", &[Path::new("--bind"), &shared, &place]) {
                println!("skipped: nothing can be mounted here");
                return;
            }
            let parent = File::open(folder.path()).unwrap();
            let removed = remove_all(&parent, "home");
            // Wherever it was moved to with what it is mounted in.
            let mounted = std::fs::read_to_string("/proc/self/mounts").unwrap();
            let root = folder.path().to_str().unwrap();
            let places = mounted.lines().filter_map(|line| line.split(' ').nth(1));
            for place in places.filter(|place| place.starts_with(root)) {
                assert!(run("umount", &[Path::new(place)]), "{place}");
            }
            assert!(matches!(removed, Err(Errno::BUSY | Errno::XDEV)), "{below}: {removed:?}");
            assert_eq!(std::fs::read(shared.join("file")).unwrap(), b"others need it", "{below}");
            remove_all(&parent, "home").unwrap();
            assert!(!folder.path().join("home").exists(), "{below}");
        }
    }
}
