//! Sources: whole files, resumed ones, and files that change.

use std::os::unix::fs::FileExt as _;

use ferry_core::chunk::CHUNK_BYTES;
use ferry_core::store::{CODE_PRESENT, CODE_RESUME, CODE_START, Held, ReadRequest, Source};
use ferry_core::{Algorithm, Digest, ErrorKind, Result, rt};

use crate::{Bed, LARGE, bytes, md5, path};

fn open(bed: &Bed, at: &str, held: Option<Held>) -> Result<Box<dyn Source>> {
    let request = ReadRequest {
        held,
        ..ReadRequest::new(path(at))
    };
    rt::block_on(bed.home.open(request))
}

fn read(source: &mut dyn Source) -> Result<Vec<u8>> {
    rt::block_on(async {
        let mut all = Vec::new();
        while let Some(chunk) = source.next().await? {
            all.extend_from_slice(&chunk);
        }
        assert!(source.next().await?.is_none());
        Ok(all)
    })
}

#[test]
fn files_of_every_size_are_read_whole_with_their_digest() {
    let bed = Bed::new(None);
    for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, LARGE] {
        let content = bytes(size);
        let file = bed.put("/f", &content).unwrap();
        let mut source = open(&bed, "/f", None).unwrap();
        assert_eq!((source.start().code, source.file().size), (CODE_START, size as u64));
        assert_eq!(source.file().version, file.version);
        assert_eq!(read(&mut *source).unwrap(), content);
        assert_eq!(Some(source.digest()), file.digest);
    }
}

#[test]
fn a_reader_with_the_right_prefix_goes_on_and_one_with_another_starts_over() {
    let bed = Bed::new(None);
    for size in [1000, LARGE] {
        let content = bytes(size);
        bed.put("/f", &content).unwrap();
        for (offset, is_same) in [(1, true), (size / 2, true), (size, true), (size / 2, false), (0, true)] {
            let mut prefix = content[..offset].to_vec();
            if !is_same {
                prefix[0] ^= 1;
            }
            let held = Held {
                offset: offset as u64,
                prefix: Algorithm::Blake3.digest(&prefix),
            };
            let mut source = open(&bed, "/f", Some(held)).unwrap();
            let start = source.start();
            let want = match (is_same, offset) {
                (false, _) | (_, 0) => (CODE_START, 0),
                (_, offset) if offset == size => (CODE_PRESENT, size),
                (_, offset) => (CODE_RESUME, offset),
            };
            assert_eq!((start.code, start.offset), (want.0, want.1 as u64));
            assert_eq!(read(&mut *source).unwrap(), content[want.1..]);
            assert_eq!(source.digest(), Algorithm::Md5.digest(&content));
        }
    }
}

#[test]
fn more_than_the_file_is_no_prefix_of_it() {
    let bed = Bed::new(None);
    bed.put("/f", b"short").unwrap();
    let held = Held {
        offset: u64::MAX,
        prefix: Algorithm::Blake3.digest(b"short"),
    };
    assert_eq!(open(&bed, "/f", Some(held)).unwrap().start().code, CODE_START);
}

#[test]
fn a_reader_gets_the_version_that_it_opened() {
    let bed = Bed::new(None);
    let (old, new) = (bytes(LARGE), vec![7; LARGE]);
    bed.put("/f", &old).unwrap();
    let mut source = open(&bed, "/f", None).unwrap();
    let file = bed.put("/f", &new).unwrap();
    assert_ne!(source.file().version, file.version);
    assert_eq!(read(&mut *source).unwrap(), old);
    let mut source = open(&bed, "/f", None).unwrap();
    rt::block_on(bed.home.remove_file(&path("/f"))).unwrap();
    assert_eq!(read(&mut *source).unwrap(), new);
}

#[test]
fn a_file_cut_while_it_is_read_is_an_error_and_no_end() {
    let bed = Bed::new(None);
    bed.put("/f", &bytes(LARGE)).unwrap();
    let mut source = open(&bed, "/f", None).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(bed.real("f")).unwrap();
    file.set_len(10).unwrap();
    assert_eq!(read(&mut *source).unwrap_err().kind, ErrorKind::Changed);
}

#[test]
fn folders_and_what_is_missing_cannot_be_read() {
    let bed = Bed::new(None);
    rt::block_on(bed.home.make_dir(&path("/d"))).unwrap();
    assert_eq!(open(&bed, "/d", None).err().unwrap().kind, ErrorKind::IsDirectory);
    assert_eq!(open(&bed, "/", None).err().unwrap().kind, ErrorKind::IsDirectory);
    assert_eq!(open(&bed, "/none", None).err().unwrap().kind, ErrorKind::NotFound);
}

#[test]
fn a_source_dropped_half_way_does_no_harm() {
    let bed = Bed::new(None);
    bed.put("/f", &bytes(4 * LARGE)).unwrap();
    let mut source = open(&bed, "/f", None).unwrap();
    rt::block_on(source.next()).unwrap();
    drop(source);
    assert_eq!(read(&mut *open(&bed, "/f", None).unwrap()).unwrap().len(), 4 * LARGE);
}

/// Larger than the files whose digest is not kept.
const KEPT: usize = 2 << 20;

/// Reads a file as somebody who compares digests himself; gives what he is told at first, and at the end.
fn checked(bed: &Bed, at: &str, algorithm: Algorithm) -> (Option<Digest>, Digest) {
    let request = ReadRequest {
        algorithm,
        reader_checks: true,
        ..ReadRequest::new(path(at))
    };
    let mut source = rt::block_on(bed.home.open(request)).unwrap();
    assert_eq!(read(&mut *source).unwrap(), std::fs::read(bed.real(&at[1..])).unwrap());
    (source.file().digest, source.digest())
}

/// Changes a byte of a file, and leaves its time as it was when that is wanted.
fn flip(bed: &Bed, at: &str, keeps_time: bool) {
    let file = std::fs::File::options().read(true).write(true).open(bed.real(at)).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1_234_567).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 1_234_567).unwrap();
    let later = if keeps_time { 0 } else { 1 };
    file.set_modified(time + std::time::Duration::from_secs(later)).unwrap();
}

#[test]
fn bytes_that_rot_do_not_fit_the_digest_that_they_are_served_with() {
    let bed = Bed::new(None);
    let content = bytes(KEPT);
    bed.put("/f", &content).unwrap();
    let stored = md5(&content);
    assert_eq!(checked(&bed, "/f", Algorithm::Md5), (Some(stored), stored));
    flip(&bed, "f", true);
    assert_eq!(checked(&bed, "/f", Algorithm::Md5), (Some(stored), stored));
    // Who does not compare is told of the bytes that are there.
    let mut source = open(&bed, "/f", None).unwrap();
    let there = read(&mut *source).unwrap();
    assert_ne!(there, content);
    assert_eq!((source.digest(), source.file().digest), (md5(&there), Some(stored)));
}

#[test]
fn a_file_changed_by_hand_is_served_with_its_new_digest() {
    let bed = Bed::new(None);
    let content = bytes(KEPT);
    bed.put("/f", &content).unwrap();
    flip(&bed, "f", false);
    let there = md5(&std::fs::read(bed.real("f")).unwrap());
    assert_ne!(there, md5(&content));
    assert_eq!(checked(&bed, "/f", Algorithm::Md5), (None, there));
}

#[test]
fn a_kept_digest_goes_with_its_file_and_with_no_other() {
    let bed = Bed::new(None);
    let (one, two) = (bytes(KEPT), vec![7; KEPT]);
    bed.put("/f", &one).unwrap();
    bed.put("/f", &two).unwrap();
    assert_eq!(checked(&bed, "/f", Algorithm::Md5), (Some(md5(&two)), md5(&two)));
    bed.put("/g", &one).unwrap();
    rt::block_on(bed.home.rename(&path("/g"), &path("/f"), false)).unwrap();
    assert_eq!(checked(&bed, "/f", Algorithm::Md5), (Some(md5(&one)), md5(&one)));
    // Another algorithm's is of no use, and is computed.
    let blake3 = Algorithm::Blake3.digest(&one);
    assert_eq!(checked(&bed, "/f", Algorithm::Blake3), (Some(md5(&one)), blake3));
    // A copy of what was done to the file outside the home has none.
    std::fs::copy(bed.real("f"), bed.real("copy")).unwrap();
    assert_eq!(checked(&bed, "/copy", Algorithm::Md5), (None, md5(&one)));
}

#[test]
fn a_reader_who_goes_on_gets_the_kept_digest_of_the_whole_file() {
    let bed = Bed::new(None);
    let content = bytes(KEPT);
    bed.put("/f", &content).unwrap();
    for (is_same, code) in [(true, CODE_RESUME), (false, CODE_START)] {
        let mut prefix = content[..1000].to_vec();
        prefix[0] ^= u8::from(!is_same);
        let request = ReadRequest {
            held: Some(Held {
                offset: 1000,
                prefix: Algorithm::Blake3.digest(&prefix),
            }),
            reader_checks: true,
            ..ReadRequest::new(path("/f"))
        };
        let mut source = rt::block_on(bed.home.open(request)).unwrap();
        assert_eq!(source.start().code, code);
        let rest = read(&mut *source).unwrap();
        assert_eq!(rest, content[if is_same { 1000 } else { 0 }..]);
        assert_eq!(source.digest(), md5(&content));
    }
}
