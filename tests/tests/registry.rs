//! Rules that hold for every linked verb, also for those written later; and the generated list of verbs.

use std::fmt::Write as _;
use std::path::Path;

use ferry_tests::verbs;

/// The verbs of CLI.md and those that came later, with their aliases.
const CONTRACT: &[(&str, &[&str])] = &[
    ("cat", &[]),
    ("cd", &[]),
    ("cp", &[]),
    ("download", &["get"]),
    ("du", &[]),
    ("find", &[]),
    ("help", &[]),
    ("logins", &[]),
    ("ls", &["dir"]),
    ("md5", &[]),
    ("mkdir", &[]),
    ("mv", &[]),
    ("partials", &[]),
    ("pwd", &[]),
    ("quota", &[]),
    ("rm", &[]),
    ("rmdir", &[]),
    ("stat", &[]),
    ("tar", &[]),
    ("untar", &[]),
    ("upload", &["put"]),
    ("verbs", &[]),
    ("verify", &[]),
    ("whoami", &[]),
];

#[test]
fn every_verb_of_the_contract_is_linked_under_its_names() {
    let registry = verbs::every().unwrap();
    let names: Vec<_> = registry.entries().iter().map(|entry| entry.info.name.as_str()).collect();
    assert_eq!(names, CONTRACT.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, aliases) in CONTRACT {
        for alias in *aliases {
            assert_eq!(registry.find(alias).map(|entry| entry.info.name.as_str()), Some(*name));
        }
    }
}

#[test]
fn every_verb_keeps_the_rules() {
    assert_eq!(verbs::every().unwrap().entries().len(), CONTRACT.len());
    ferry_testkit::check_linked();
}

#[test]
fn the_list_of_verbs_in_the_docs_is_up_to_date() {
    let mut text = String::from(
        "# Verbs\n\nMade from the registry: `FERRY_BLESS=1 cargo test -p ferry-tests --test registry`. Do not edit.\n",
    );
    for entry in verbs::every().unwrap().entries() {
        let info = &entry.info;
        let _ = write!(
            text,
            "\n## {}\n\n{:?} · {} {}\n\n```text\n{}\n```\n",
            info.name,
            info.access,
            info.krate,
            info.version,
            info.help()
        );
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    if std::env::var_os("FERRY_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        text,
        "docs/commands.md is stale; see its second line"
    );
}
