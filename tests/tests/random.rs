//! Random calls of every verb of the shipped server, in homes on a real disk: no panic, nothing past the quota, and whatever lies outside
//! the callers' homes is byte for byte as before. The same calls in homes in memory are among the rules (`tests/registry.rs`).

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferry_core::User;
use ferry_store_local::{Durability, LocalStore, Options};
use ferry_testkit::Harness;
use ferry_tests::load::Dice;
use ferry_tests::verbs;

/// What each home may hold, in bytes.
const QUOTA_BYTES: u64 = 4096;

/// What lies at a place: mode, and what is in it.
type Thing = (u32, Option<Vec<u8>>);

/// Everything below a folder, but for what belongs to those users.
fn outside(folder: &Path, data: &Path, users: &[String]) -> BTreeMap<PathBuf, Thing> {
    let own: Vec<PathBuf> = users
        .iter()
        .flat_map(|user| ["homes", "staging", "ledger"].map(|kind| data.join(kind).join(user)))
        .collect();
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if own.contains(&path) {
                continue;
            }
            let meta = path.symlink_metadata().unwrap();
            let contents = if meta.is_dir() {
                folders.push(path.clone());
                None
            } else {
                Some(std::fs::read(&path).unwrap())
            };
            found.insert(path, (meta.mode(), contents));
        }
    }
    found
}

#[test]
fn random_calls_of_every_verb_change_nothing_outside_the_home() {
    let given = std::env::var("FERRY_RANDOM").ok().and_then(|text| text.parse().ok());
    let calls: usize = given.unwrap_or(100);
    let seed = Dice::seed();
    let ground = tempfile::tempdir().unwrap();
    // Deep enough that some `..` still end on the ground.
    let data = ground.path().join("a/b/c/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("accounts.redb"), "who may log in").unwrap();
    std::fs::write(data.join("../beside.txt"), "beside the data folder").unwrap();
    let options = Options {
        durability: Durability::Relaxed,
    };
    let store = Arc::new(LocalStore::open(&data, options).unwrap());
    let registry = verbs::every().unwrap();
    let harness = |user: &str| {
        let user = User::named(user);
        Harness::with(registry.clone()).user(user).on(store.clone()).furnish().admin()
    };
    let bob = harness("bob");
    bob.seed_partial("unfinished", &[7; 100], 40);
    let names: Vec<&str> = registry.entries().iter().map(|entry| entry.info.name.as_str()).collect();
    let users: Vec<String> = names.iter().map(|name| format!("u-{name}")).collect();
    let before = outside(ground.path(), &data, &users);
    let bobs = (bob.files(), bob.folders(), bob.usage());
    let mut findings = Vec::new();
    for (name, user) in names.iter().zip(&users) {
        let found = harness(user).quota(QUOTA_BYTES).random_calls(name, calls, seed);
        findings.extend(found.into_iter().map(|finding| format!("{name}: {finding}")));
        let after = outside(ground.path(), &data, &users);
        for path in after
            .keys()
            .chain(before.keys())
            .filter(|path| after.get(*path) != before.get(*path))
        {
            findings.push(format!("{name}: changed {}", path.display()));
        }
        let check = ferry_core::rt::block_on(ferry_core::store::Store::check(&*store, user, false)).unwrap();
        if !check.is_right() {
            findings.push(format!("{name}: the ledger is wrong: {check:?}"));
        }
    }
    assert!(
        findings.is_empty(),
        "FERRY_SEED={seed} FERRY_RANDOM={calls}\n{}",
        findings.join("\n")
    );
    assert_eq!((bob.files(), bob.folders(), bob.usage()), bobs);
    // The control: one file more, anywhere on the ground, is seen.
    std::fs::write(data.join("../astray"), "").unwrap();
    assert_ne!(outside(ground.path(), &data, &users), before);
}
