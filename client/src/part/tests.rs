//! Parts: who writes them, and what becomes of one that cannot be trusted.

use super::*;

const NEW: New = New {
    modified: None,
    executable: false,
};

fn end_of(contents: &[u8]) -> End {
    End {
        id: 0,
        size: contents.len() as u64,
        digest: Algorithm::Md5.digest(contents),
    }
}

fn write(part: &mut Part, contents: &[u8]) {
    part.file.write_all(contents).unwrap();
    part.hasher.update(contents);
}

/// How many times this process has that file open.
fn times_open(path: &Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == path))
        .count()
}

#[test]
fn a_part_that_could_not_be_made_durable_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("f");
    let mut part = Part::open(&target, Algorithm::Md5).unwrap();
    write(&mut part, b"abc");
    let broken = |_: &File| Err(io::Error::from_raw_os_error(5));
    assert!(part.publish_by(broken, &target, &end_of(b"abc"), NEW, false).is_err());
    // Its bytes look right to whoever reads them now, and need not be there after a power cut.
    let next = Part::open(&target, Algorithm::Md5).unwrap();
    assert_eq!((next.len_bytes(), next.prefix()), (0, None));
    assert!(!target.exists());
}

#[test]
fn a_part_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("f");
    let mut first = Part::open(&target, Algorithm::Md5).unwrap();
    write(&mut first, b"abc");
    let refused = Part::open(&target, Algorithm::Md5).unwrap_err();
    assert_eq!(refused.error.kind, ErrorKind::Busy);
    drop(first);
    assert_eq!(Part::open(&target, Algorithm::Md5).unwrap().len_bytes(), 3);
}

#[test]
fn whoever_waited_for_a_part_does_not_write_into_the_file_that_it_became() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("f");
    let path = part_of(&target);
    let mut first = Part::open(&target, Algorithm::Md5).unwrap();
    write(&mut first, b"abc");
    let place = target.clone();
    let second = std::thread::spawn(move || {
        // On a busy machine the first one may take longer than anybody waits.
        loop {
            match Part::open(&place, Algorithm::Md5) {
                Err(failure) if failure.error.kind == ErrorKind::Busy => {}
                opened => return opened.unwrap(),
            }
        }
    });
    while times_open(&path) < 2 {
        std::thread::yield_now();
    }
    first.publish(&target, &end_of(b"abc"), NEW, false).unwrap();
    let mut second = second.join().unwrap();
    assert_eq!(second.len_bytes(), 0);
    write(&mut second, b"other");
    assert_eq!(std::fs::read(&target).unwrap(), b"abc");
}

#[test]
fn the_longest_names_have_a_part_too() {
    let folder = tempfile::tempdir().unwrap();
    for len in [1, 244, 245, 255] {
        let target = folder.path().join("n".repeat(len));
        let mut part = Part::open(&target, Algorithm::Md5).unwrap();
        write(&mut part, b"abc");
        part.publish(&target, &end_of(b"abc"), NEW, false).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"abc");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[test]
fn what_is_no_file_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let refused = Part::open(&path, Algorithm::Md5).err().unwrap();
    assert_eq!(refused.error.kind, ErrorKind::Exists);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "not even a part is made"
    );
}
