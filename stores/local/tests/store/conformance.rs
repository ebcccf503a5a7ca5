//! The rules that hold for every store.

use std::sync::{Arc, Mutex};

use ferry_core::store::Store;
use ferry_store_local::{Durability, LocalStore, Options};
use ferry_testkit::suite;

#[test]
fn the_store_keeps_every_rule_of_the_contract() {
    for durability in [Durability::Strict, Durability::Relaxed] {
        let folders = Mutex::new(Vec::new());
        suite::run(&|| {
            let folder = tempfile::tempdir().unwrap();
            let store = LocalStore::open(folder.path(), Options { durability }).unwrap();
            folders.lock().unwrap().push(folder);
            Arc::new(store) as Arc<dyn Store>
        });
    }
}

#[test]
fn links_are_never_followed() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path(), Options::default()).unwrap();
    let home = folder.path().join("homes/alice");
    suite::run_links(Arc::new(store), &|at| {
        let name = at.to_string();
        std::os::unix::fs::symlink("docs", home.join(name.trim_start_matches('/'))).unwrap();
    });
}
