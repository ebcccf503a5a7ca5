//! The house of docs/ARCHITECTURE.md: who may import whom, and what is deliberately absent. Each check reads the sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folders by floor. A crate imports only from floors below its own.
const FLOORS: &[(&str, u32)] = &[
    ("core", 0),
    ("commands/download", 1),
    ("commands/du", 1),
    ("commands/find", 1),
    ("commands/fs", 1),
    ("commands/mkdir", 1),
    ("commands/quota", 1),
    ("commands/session", 1),
    ("commands/tar", 1),
    ("commands/upload", 1),
    ("commands/verbs", 1),
    ("commands/verify", 1),
    ("stores/local", 1),
    ("testkit", 1),
    ("client", 2),
    ("server", 2),
    ("ferryd", 3),
    ("tests", 4),
    ("tests/api", 4),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every source file below a folder with its text, tests cut off.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let files = ferry_tests::files_below(&root().join(folder));
    let rust = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"));
    rust.map(|path| {
        let text = read(Path::new(folder).join(&path));
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        (Path::new(folder).join(path), code)
    })
    .collect()
}

/// Code without comments and doc comments.
fn without_comments(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The `[dependencies]` of a manifest that are ours, as folders.
fn dependencies(folder: &str) -> Vec<String> {
    let workspace = read("Cargo.toml");
    let folders: BTreeMap<&str, &str> = workspace
        .lines()
        .filter_map(|line| line.split_once(" = { path = \""))
        .map(|(name, rest)| (name, rest.trim_end_matches("\" }")))
        .collect();
    let manifest = read(format!("{folder}/Cargo.toml"));
    let section = manifest.split("\n[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter_map(|name| folders.get(name))
        .map(|folder| (*folder).to_owned())
        .collect()
}

#[test]
fn every_member_has_its_floor_and_imports_only_from_below() {
    let workspace = read("Cargo.toml");
    let members = workspace.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    let members: Vec<&str> = members
        .lines()
        .map(|line| line.trim().trim_matches([',', '"']))
        .filter(|line| !line.is_empty())
        .collect();
    let floor = |folder: &str| FLOORS.iter().find(|(name, _)| *name == folder).map(|(_, floor)| *floor);
    let mut findings = Vec::new();
    for member in members {
        let Some(own) = floor(member) else {
            findings.push(format!("{member} has no floor in this test"));
            continue;
        };
        for dependency in dependencies(member) {
            if floor(&dependency).is_none_or(|below| below >= own) {
                findings.push(format!("{member} imports {dependency}, which is not below it"));
            }
            if member.starts_with("commands/") && dependency != "core" {
                findings.push(format!(
                    "{member} is a verb and imports {dependency}; verbs import core alone"
                ));
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn core_and_client_know_no_verb_by_name() {
    let mut findings = Vec::new();
    for folder in ["core/src", "client/src", "server/src"] {
        for (path, text) in sources(folder) {
            let code = without_comments(&text);
            // Words that only a verb can mean (accounts have a quota and homes have partials, which the server tells of); `help` is what every shell offers first and stands in hints.
            for verb in [
                "\"upload\"",
                "\"download\"",
                "\"put\"",
                "\"get\"",
                "\"ls\"",
                "\"mkdir\"",
                "\"du\"",
                "\"quota\"",
                "\"rm\"",
                "\"cat\"",
                "\"partials\"",
                "\"whoami\"",
            ] {
                if code.contains(verb) && !(folder == "server/src" && ["\"quota\"", "\"partials\""].contains(&verb)) {
                    findings.push(format!("{} names the verb {verb}", path.display()));
                }
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn the_runtime_is_named_where_it_may_be() {
    let allowed = [
        "core/src/rt.rs",
        "server/src/listener.rs",
        "server/src/admin.rs",
        "client/src/connection.rs",
        "client/src/transport.rs",
    ];
    let mut findings = Vec::new();
    for (folder, _) in FLOORS {
        for (path, text) in sources(&format!("{folder}/src")) {
            if without_comments(&text).contains("async_std") && !allowed.contains(&path.to_str().unwrap_or_default()) {
                findings.push(format!("{} names async_std", path.display()));
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn only_stores_open_files_and_only_main_exits() {
    let mut findings = Vec::new();
    for (folder, _) in FLOORS {
        for (path, text) in sources(&format!("{folder}/src")) {
            let code = without_comments(&text);
            let shown = path.display();
            if code.contains("process::exit") && !path.ends_with("main.rs") {
                findings.push(format!("{shown} exits"));
            }
            let opens = ["std::fs", "rustix::fs", "File::open"].iter().any(|word| code.contains(word));
            if opens && (folder.starts_with("commands/") || *folder == "core") {
                findings.push(format!("{shown} opens files"));
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn dispatch_is_the_only_caller_of_a_command() {
    let mut callers = Vec::new();
    for (folder, _) in FLOORS {
        for (path, text) in sources(&format!("{folder}/src")) {
            if without_comments(&text).contains(".command.run(") {
                callers.push(path);
            }
        }
    }
    assert_eq!(callers, [PathBuf::from("core/src/dispatch.rs")]);
}
