//! Paths from a client: whatever it says, the place is below the root and every name is one name.
#![no_main]

use ferry_core::{HomePath, RemotePath};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (cwd, path) = input;
    let cwd = RemotePath(cwd.to_vec()).resolve(&HomePath::root()).unwrap_or_else(|_| HomePath::root());
    let path = RemotePath(path.to_vec());
    let Ok(place) = path.resolve(&cwd) else { return };
    assert!(place.is_within(&HomePath::root()) && place.as_bytes().starts_with(b"/"));
    for name in place.names() {
        assert!(!name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0));
    }
    // What was resolved is resolved for good.
    let again = RemotePath(place.as_bytes().to_vec()).resolve(&cwd).unwrap();
    assert_eq!(again, place);
});
