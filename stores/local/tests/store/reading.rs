//! Sources: whole files, resumed ones, and files that change.

use ferry_core::chunk::CHUNK_BYTES;
use ferry_core::store::{CODE_PRESENT, CODE_RESUME, CODE_START, Held, ReadRequest, Source};
use ferry_core::{Algorithm, ErrorKind, Result, rt};

use crate::{Bed, LARGE, bytes, path};

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
