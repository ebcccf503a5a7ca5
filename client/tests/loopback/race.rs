//! Two downloads of one file at the same time.

use std::fs;

use ferry_core::ErrorKind;
use ferry_core::store::Start;

use crate::CONTENTS;
use crate::fake::Stage;

#[test]
fn two_downloads_that_race_for_one_file_do_not_both_write_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let first = std::thread::spawn(move || {
        let mut stage = Stage::new(&place, move |peer| {
            let (id, _) = peer.request();
            peer.begin(id, Start::BEGINNING);
            peer.data(id, &CONTENTS[..10]);
            begun.send(()).unwrap();
            released.recv().unwrap();
            peer.data(id, &CONTENTS[10..]);
            peer.end(id, CONTENTS);
        });
        stage.run("pull f").unwrap();
        stage.end();
    });
    has_begun.recv().unwrap();
    let mut second = Stage::new(folder.path(), |peer| assert!(peer.next().is_none(), "nothing is asked for"));
    let failure = second.run("pull f").unwrap_err();
    assert_eq!((failure.error.kind, failure.exit.code()), (ErrorKind::Busy, 9));
    second.end();
    release.send(()).unwrap();
    first.join().unwrap();
    assert_eq!(fs::read(folder.path().join("f")).unwrap(), CONTENTS);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
