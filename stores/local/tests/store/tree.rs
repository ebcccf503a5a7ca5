//! Folders, names and listings.

use std::collections::BTreeSet;

use ferry_core::store::EntryKind;
use ferry_core::{ErrorKind, HomePath, rt};

use crate::{Bed, path};

#[test]
fn folders_are_made_listed_and_removed() {
    let bed = Bed::new(None);
    rt::block_on(async {
        let home = &bed.home;
        home.make_dir(&path("/a")).await.unwrap();
        assert_eq!(home.make_dir(&path("/a")).await.unwrap_err().kind, ErrorKind::Exists);
        assert_eq!(home.make_dir(&HomePath::root()).await.unwrap_err().kind, ErrorKind::Exists);
        assert_eq!(home.make_dir(&path("/b/c")).await.unwrap_err().kind, ErrorKind::NotFound);
        home.make_dir(&path("/a/b")).await.unwrap();
        assert_eq!(home.stat(&path("/a")).await.unwrap().kind, EntryKind::Dir);
        assert_eq!(home.stat(&HomePath::root()).await.unwrap().name, b"");
        assert_eq!(home.remove_dir(&path("/a")).await.unwrap_err().kind, ErrorKind::NotEmpty);
        assert_eq!(
            home.remove_file(&path("/a/b")).await.unwrap_err().kind,
            ErrorKind::IsDirectory
        );
        home.remove_dir(&path("/a/b")).await.unwrap();
        home.remove_dir(&path("/a")).await.unwrap();
        assert_eq!(home.remove_dir(&path("/a")).await.unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(home.remove_dir(&HomePath::root()).await.unwrap_err().kind, ErrorKind::Denied);
    });
}

#[test]
fn a_large_folder_is_listed_completely_and_in_parts() {
    let bed = Bed::new(None);
    for i in 0..2500 {
        std::fs::write(bed.real(&format!("f{i}")), "x").unwrap();
    }
    rt::block_on(async {
        let mut listing = bed.home.list(&HomePath::root()).await.unwrap();
        let (mut names, mut batches) = (BTreeSet::new(), 0);
        loop {
            let batch = listing.next().await.unwrap();
            if batch.is_empty() {
                break;
            }
            batches += 1;
            assert!(batch.len() <= 1024 && batch.iter().all(|entry| entry.size == 1));
            names.extend(batch.into_iter().map(|entry| entry.name));
        }
        assert_eq!((names.len(), batches), (2500, 3));
        assert!(listing.next().await.unwrap().is_empty());
    });
}

#[test]
fn names_are_bytes() {
    use std::os::unix::ffi::OsStrExt as _;
    let bed = Bed::new(None);
    let name = b"caf\xe9";
    std::fs::write(bed.real("").join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    rt::block_on(async {
        let mut listing = bed.home.list(&HomePath::root()).await.unwrap();
        assert_eq!(listing.next().await.unwrap()[0].name, name);
        let at = HomePath::root().join(name).unwrap();
        assert_eq!(bed.home.stat(&at).await.unwrap().size, 1);
        bed.home.remove_file(&at).await.unwrap();
    });
}

#[test]
fn a_folder_replaces_only_an_empty_folder() {
    let bed = Bed::new(None);
    bed.put("/file", b"12345").unwrap();
    rt::block_on(async {
        let home = &bed.home;
        for name in ["/a", "/b", "/c", "/c/d"] {
            home.make_dir(&path(name)).await.unwrap();
        }
        let kind = async |from: &str, to: &str| home.rename(&path(from), &path(to), false).await.map_err(|error| error.kind);
        assert_eq!(kind("/a", "/c").await, Err(ErrorKind::NotEmpty));
        assert_eq!(kind("/a", "/file").await, Err(ErrorKind::NotDirectory));
        assert_eq!(kind("/file", "/a").await, Err(ErrorKind::IsDirectory));
        assert_eq!(kind("/a", "/none/x").await, Err(ErrorKind::NotFound));
        assert_eq!(kind("/none", "/x").await, Err(ErrorKind::NotFound));
        assert_eq!(kind("/c", "/c/d/e").await, Err(ErrorKind::BadRequest));
        assert_eq!(kind("/", "/x").await, Err(ErrorKind::Denied));
        assert_eq!(kind("/a", "/b").await, Ok(()));
        let refused = home.rename(&path("/b"), &path("/c"), true).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Exists);
    });
    assert_eq!(bed.books(), (5, 0));
}
