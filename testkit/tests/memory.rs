//! The store in memory keeps the rules of every store.

use std::sync::Arc;

use ferry_testkit::{MemoryStore, suite};

#[test]
fn the_store_in_memory_keeps_every_rule() {
    suite::run(&|| Arc::new(MemoryStore::default()));
}

#[test]
fn the_store_in_memory_follows_no_link() {
    let store = Arc::new(MemoryStore::default());
    let planted = store.clone();
    suite::run_links(store, &move |path| planted.open("alice", None).plant_link(path).unwrap());
}
