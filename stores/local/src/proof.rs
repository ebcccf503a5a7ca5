//! The digest that a large file was proven with when it came, kept beside it as an extended attribute: whoever compares what he reads
//! with it needs nobody to compute it again. Where a file system has no such attributes, nothing is different.
//!
//! It is believed only of the size and the time that it was kept with. Bytes that are others all the same (a disk that rots, somebody
//! who sets the time back) do not fit it, and every reader who is shown it finds out.

use std::fs::File;

use ferry_core::Digest;
use rustix::fs::{Stat, XattrFlags, fgetxattr, fsetxattr, fstat};

use crate::jail::{counted, modified};

/// The attribute's name. Its text is size, time of the last change in nanoseconds, and digest.
const NAME: &str = "user.ferry.digest";
/// Smaller files have none: they are hashed in less time than it takes to write it.
pub(crate) const LEAST_BYTES: u64 = 1 << 20;
/// More than the text ever has, in bytes: two numbers of at most 20 digits and a digest of at most 71.
const TEXT_MAX_BYTES: usize = 128;

fn text(stat: &Stat, digest: &Digest) -> String {
    format!("{} {} {digest}", counted(stat), modified(stat))
}

/// Keeps the digest of a file that nobody changes any more, when the file is large. Only a help: it may fail.
pub(crate) fn keep(file: &File, digest: &Digest) {
    if let Ok(stat) = fstat(file)
        && counted(&stat) >= LEAST_BYTES
    {
        let _ = fsetxattr(file, NAME, text(&stat, digest).as_bytes(), XattrFlags::empty());
    }
}

/// The digest that was kept of the file, if it still is what it was.
pub(crate) fn kept(file: &File, stat: &Stat) -> Option<Digest> {
    if counted(stat) < LEAST_BYTES {
        return None;
    }
    let mut bytes = [0; TEXT_MAX_BYTES];
    let len = fgetxattr(file, NAME, &mut bytes[..]).ok()?;
    let kept = std::str::from_utf8(bytes.get(..len)?).ok()?;
    let digest = kept.rsplit(' ').next()?.parse().ok()?;
    (kept == text(stat, &digest)).then_some(digest)
}

#[cfg(test)]
mod tests {
    use ferry_core::Algorithm;

    use super::*;

    fn file(len: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        file
    }

    fn kept_of(file: &File) -> Option<Digest> {
        kept(file, &fstat(file).unwrap())
    }

    #[test]
    fn it_is_believed_until_the_file_changes() {
        let digest = Algorithm::Blake3.digest(b"any");
        let large = file(LEAST_BYTES);
        assert_eq!(kept_of(&large), None);
        keep(&large, &digest);
        assert_eq!(kept_of(&large), Some(digest));
        let time = large.metadata().unwrap().modified().unwrap();
        large.set_len(LEAST_BYTES + 1).unwrap();
        large.set_modified(time).unwrap();
        assert_eq!(kept_of(&large), None, "another size");
        large.set_len(LEAST_BYTES).unwrap();
        large.set_modified(time).unwrap();
        assert_eq!(kept_of(&large), Some(digest));
        large.set_modified(time + std::time::Duration::from_nanos(1)).unwrap();
        assert_eq!(kept_of(&large), None, "another time");
    }

    #[test]
    fn what_somebody_else_wrote_there_is_no_digest() {
        let large = file(LEAST_BYTES);
        let right = text(&fstat(&large).unwrap(), &Algorithm::Md5.digest(b"any"));
        for bytes in [
            "".into(),
            "md5".into(),
            right.replace("md5", "sha1"),
            format!("{right} "),
            format!(" {right}"),
            format!("{right}0"),
            "x".repeat(TEXT_MAX_BYTES + 1),
        ] {
            fsetxattr(&large, NAME, bytes.as_bytes(), XattrFlags::empty()).unwrap();
            assert_eq!(kept_of(&large), None, "{bytes:?}");
        }
        fsetxattr(&large, NAME, b"\xff\xfe", XattrFlags::empty()).unwrap();
        assert_eq!(kept_of(&large), None);
        fsetxattr(&large, NAME, right.as_bytes(), XattrFlags::empty()).unwrap();
        assert!(kept_of(&large).is_some());
    }

    #[test]
    fn small_files_and_file_systems_without_attributes_do_without() {
        let digest = Algorithm::Md5.digest(b"any");
        let small = file(LEAST_BYTES - 1);
        keep(&small, &digest);
        assert!(fgetxattr(&small, NAME, &mut [0; TEXT_MAX_BYTES][..]).is_err());
        // procfs has no attributes of users.
        let other = File::open("/proc/self/status").unwrap();
        keep(&other, &digest);
        assert_eq!(kept_of(&other), None);
    }
}
