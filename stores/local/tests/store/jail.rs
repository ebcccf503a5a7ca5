//! Nobody leaves a home, and nothing but files and folders is opened.

use std::os::unix::fs::symlink;

use ferry_core::store::{EntryKind, Home, ReadRequest};
use ferry_core::{ErrorKind, HomePath, rt};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{Bed, path, request};

async fn read(home: &dyn Home, at: &HomePath) -> Result<(), ErrorKind> {
    home.open(ReadRequest::new(at.clone()))
        .await
        .map(drop)
        .map_err(|error| error.kind)
}

/// A folder outside with a file, and links to both in the home.
fn with_links() -> Bed {
    let bed = Bed::new(None);
    let outside = bed.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    symlink(&outside, bed.real("folder")).unwrap();
    symlink(outside.join("secret"), bed.real("file")).unwrap();
    symlink("../../outside", bed.real("relative")).unwrap();
    symlink("/", bed.real("absolute")).unwrap();
    symlink(".", bed.real("inside")).unwrap();
    symlink("/proc/self/root", bed.real("magic")).unwrap();
    bed
}

#[test]
fn no_operation_goes_through_a_link_in_the_middle() {
    let bed = with_links();
    let home = &*bed.home;
    bed.put("/mine", b"mine").unwrap();
    for link in ["folder", "relative", "absolute", "inside", "magic", "file"] {
        let at = path(&format!("/{link}/secret"));
        let new = path(&format!("/{link}/new"));
        rt::block_on(async {
            let mut kinds = Vec::new();
            let mut note = |what, result: Result<(), ferry_core::Error>| kinds.push((what, result.unwrap_err().kind));
            note("stat", home.stat(&at).await.map(drop));
            note("list", home.list(&at).await.map(drop));
            note("make_dir", home.make_dir(&new).await);
            note("remove_file", home.remove_file(&at).await);
            note("remove_dir", home.remove_dir(&at).await);
            note("rename from", home.rename(&at, &path("/stolen"), false).await);
            note("rename to", home.rename(&path("/mine"), &new, false).await);
            note("upload", home.upload(request(&format!("/{link}/new"), 3)).await.map(drop));
            for (what, kind) in kinds {
                assert_eq!(kind, ErrorKind::Denied, "{what} through {link}");
            }
            assert_eq!(read(home, &at).await, Err(ErrorKind::Denied), "open through {link}");
        });
    }
    assert_eq!(std::fs::read_dir(bed.folder.path().join("outside")).unwrap().count(), 1);
    assert_eq!(bed.books(), (4, 0));
}

#[test]
fn a_link_is_described_and_never_opened() {
    let bed = with_links();
    let home = &*bed.home;
    for link in ["/folder", "/file", "/inside"] {
        let at = path(link);
        rt::block_on(async {
            let entry = home.stat(&at).await.unwrap();
            assert_eq!((entry.kind, entry.size), (EntryKind::Link, 0));
            assert_eq!(read(home, &at).await, Err(ErrorKind::Denied));
            assert_eq!(home.list(&at).await.err().unwrap().kind, ErrorKind::Denied);
            assert_eq!(home.upload(request(link, 3)).await.err().unwrap().kind, ErrorKind::Denied);
            assert_eq!(home.make_dir(&at).await.unwrap_err().kind, ErrorKind::Exists);
            assert_eq!(home.remove_dir(&at).await.unwrap_err().kind, ErrorKind::NotDirectory);
        });
    }
    assert_eq!(bed.books(), (0, 0));
}

#[test]
fn removing_and_renaming_a_link_leave_what_it_points_to() {
    let bed = with_links();
    rt::block_on(async {
        bed.home.rename(&path("/file"), &path("/moved"), false).await.unwrap();
        bed.home.remove_file(&path("/moved")).await.unwrap();
        bed.home.remove_file(&path("/folder")).await.unwrap();
    });
    assert!(bed.folder.path().join("outside/secret").exists());
    assert!(!bed.real("moved").exists() && !bed.real("folder").exists());
    assert_eq!(bed.books(), (0, 0));
}

#[test]
fn pipes_and_sockets_are_refused_without_waiting() {
    let bed = Bed::new(None);
    mknodat(CWD, bed.real("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(bed.real("socket")).unwrap();
    for name in ["/pipe", "/socket"] {
        let at = path(name);
        rt::block_on(async {
            assert_eq!(read(&*bed.home, &at).await, Err(ErrorKind::Denied));
            assert_eq!(bed.home.upload(request(name, 3)).await.err().unwrap().kind, ErrorKind::Denied);
            let entry = bed.home.stat(&at).await.unwrap();
            assert_eq!((entry.kind, entry.size), (EntryKind::Other, 0));
            bed.home.remove_file(&at).await.unwrap();
        });
    }
}

#[test]
fn messages_tell_no_path_of_the_machine() {
    let bed = with_links();
    let folder = bed.folder.path().to_str().unwrap();
    let errors = rt::block_on(async {
        [
            bed.home.stat(&path("/none")).await.err().unwrap(),
            bed.home.list(&path("/file")).await.err().unwrap(),
            bed.home.upload(request("/none/x", 3)).await.err().unwrap(),
            bed.home.make_dir(&path("/none/x")).await.unwrap_err(),
        ]
    });
    for error in errors {
        assert!(!error.message.contains(folder) && error.path.is_some(), "{error}");
        assert!(!error.hint.unwrap_or_default().contains(folder));
    }
}

#[test]
fn names_that_are_no_users_get_no_home() {
    use ferry_core::store::Store as _;
    let bed = Bed::new(None);
    for name in ["", ".", "..", "../alice", "a/b", "Alice"] {
        let refused = rt::block_on(bed.store.home(name, None)).err().unwrap();
        assert_eq!(refused.kind, ErrorKind::BadRequest, "{name:?}");
    }
}
