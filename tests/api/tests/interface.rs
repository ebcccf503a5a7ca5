//! Our libraries' public interfaces: they do not change unnoticed, name no runtime, and show authors what to do.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use ferry_api::{PACKAGES, Shown, crates, describe, difference, interface, items, root, without_example};

/// The libraries whose interface is kept in docs/api. The client's is for its own program, and moves freely.
const KEPT: &[&str] = &["ferry-core", "ferry-testkit", "ferry-server"];

static SHOWN: LazyLock<Result<Shown, String>> = LazyLock::new(describe);

/// The folder with rustdoc's JSON; `None` when this toolchain cannot write it for us, which is said.
fn shown(test: &str) -> Option<PathBuf> {
    match &*SHOWN {
        Ok(Shown::Readable(folder)) => Some(folder.clone()),
        Ok(Shown::Unreadable(why)) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn no_interface_changes_unnoticed() {
    let Some(folder) = shown("no_interface_changes_unnoticed") else {
        return;
    };
    let mut findings = Vec::new();
    for package in KEPT {
        let now = interface(&folder, package).unwrap();
        let path = root().join(format!("docs/api/{package}.txt"));
        if std::env::var_os("FERRY_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &now).unwrap();
        }
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        findings.extend(difference(&before, &now).into_iter().map(|line| format!("{package} {line}")));
    }
    assert!(
        findings.is_empty(),
        "a public interface has changed:\n{}\nIf that is meant, see \"The interface for others\" in CONTRIBUTING.md, then run\n\
         FERRY_BLESS=1 cargo test -p ferry-api --test interface",
        findings.join("\n")
    );
}

#[test]
fn signatures_name_no_runtime_and_few_foreign_crates() {
    let Some(folder) = shown("signatures_name_no_runtime_and_few_foreign_crates") else {
        return;
    };
    // What every signature may name, and what one of ours may besides. Our client is a program: its interface is for itself, and
    // only the runtime matters.
    let everywhere = ["core", "alloc", "std", "serde_core"];
    let besides: &[(&str, &[&str])] = &[
        // The collection of verbs; readers and writers of any runtime; secrets that are wiped.
        ("ferry-core", &["inventory", "futures_io", "zeroize"]),
    ];
    let mut findings = Vec::new();
    for package in PACKAGES {
        let named = crates(&interface(&folder, package).unwrap());
        assert!(
            named.contains("core") && named.len() > 1,
            "nothing is found in {package}: {named:?}"
        );
        let fine = |name: &str| match besides.iter().find(|(of, _)| of == package) {
            _ if name.starts_with("ferry_") || everywhere.contains(&name) => true,
            Some((_, besides)) => besides.contains(&name),
            None => *package == "ferry-client" && !name.starts_with("async_std"),
        };
        findings.extend(
            named
                .iter()
                .filter(|name| !fine(name))
                .map(|name| format!("{package} names {name}")),
        );
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn every_item_for_authors_has_an_example() {
    let Some(folder) = shown("every_item_for_authors_has_an_example") else {
        return;
    };
    let core = items(&folder, "ferry-core").unwrap();
    let is_for_authors = |title: &str| title == "For authors of verbs" || title == "For authors of stores";
    let (missing, sections) = without_example(&core, is_for_authors);
    let titles: BTreeSet<&str> = sections.keys().map(String::as_str).collect();
    assert_eq!(
        titles,
        BTreeSet::from([
            "For authors of stores",
            "For authors of verbs",
            "For clients, servers and gateways"
        ]),
        "the sections of core/src/lib.rs, and modules that none of them names: {sections:?}"
    );
    assert!(missing.is_empty(), "without an example:\n{}", missing.join("\n"));
}
