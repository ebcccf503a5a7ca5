//! A stranger's verbs in a stranger's server, met by a client that was built before them: `examples/custom-server`.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::collections::BTreeMap;
use std::process::Command;

use ferry_tests::custom::{self, CUSTOM_SERVER};
use ferry_tests::{Ran, Server, program, run_with_input, write};

fn read(path: &str) -> String {
    let path = custom::root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_verb_in_the_readme_is_the_strangers_file() {
    let file = read(&format!("{CUSTOM_SERVER}/shout/src/lib.rs"));
    assert!(file.lines().count() <= 30, "one file of at most 30 lines");
    let shown = format!("\n```rust\n{file}```\n");
    assert!(read("README.md").contains(&shown), "README.md does not show this:\n{file}");
}

/// The versions of each package in a lock file.
fn locked(path: &str) -> BTreeMap<String, Vec<String>> {
    let text = read(path);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in text.split("[[package]]").skip(1) {
        let value = |key: &str| {
            package
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .unwrap()
                .trim_matches('"')
                .to_owned()
        };
        found.entry(value("name = ")).or_default().push(value("version = "));
    }
    found
}

#[test]
fn the_strangers_lock_holds_the_versions_that_ours_does() {
    let (ours, theirs) = (locked("Cargo.lock"), locked(&format!("{CUSTOM_SERVER}/Cargo.lock")));
    assert!(theirs.len() > 100);
    let own = ["custom-server", "ferry-endings", "ferry-shout"];
    for (name, versions) in theirs.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        let known = ours
            .get(name)
            .is_some_and(|ours| versions.iter().all(|version| ours.contains(version)));
        assert!(
            known,
            "{name} {versions:?}: `cp Cargo.lock {CUSTOM_SERVER}/ && cargo metadata --offline` there makes it anew"
        );
    }
}

#[test]
fn the_strangers_crates_pass_their_tests() {
    let ran = custom::succeeds(custom::cargo(&custom::root().join(CUSTOM_SERVER), "test").arg("--locked"));
    for test in ["the_verb_keeps_the_rules", "tests::the_verb_keeps_the_rules"] {
        assert!(ran.out.contains(&format!("test {test} ... ok")), "{}", ran.out);
    }
}

/// What a client proposes for the end of a line, asked as a shell does.
fn complete(server: &Server, line: &str) -> Ran {
    let client = server.client("alice", &[]);
    let words = client
        .get_args()
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ");
    let mut command = Command::new(client.get_program());
    command.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
        .env("FERRY_COMPLETION_SECONDS", "60")
        .current_dir(client.get_current_dir().unwrap());
    run_with_input(command.args(["--complete-line", &format!("ferry {words} {line}")]), b"")
}

#[test]
fn a_client_built_before_lists_explains_completes_and_runs_a_strangers_verbs() {
    let built = || std::fs::metadata(program("ferry")).unwrap().modified().unwrap();
    let before = built();
    let server = Server::start_program(&custom::server(), &["--no-tls"]);
    server.add_user("alice", &[]);
    server.add_user("reader", &["--read-only", "--deny", "shout"]);
    let help = server.ferry("alice", &["help"]).expect(0).out;
    assert!(
        help.contains("shout") && help.contains("Prints a text back in capitals."),
        "{help}"
    );
    let help = server.ferry("alice", &["help", "endings"]).expect(0).out;
    assert!(
        help.contains("usage: endings [PATH]") && help.contains("bytes, files"),
        "{help}"
    );

    assert_eq!(
        server.ferry("alice", &["shout", "hey", "2", "--loud"]).expect(0).out,
        "HEY!\nHEY!\n"
    );
    assert!(
        server
            .ferry("reader", &["shout", "hey"])
            .expect(2)
            .err
            .contains("unknown_verb")
    );

    write(&server.local(), "a.txt", b"four");
    write(&server.local(), "b.RS", b"fn main() {}");
    write(&server.local(), "c.rs", b"");
    server.ferry("alice", &["upload", "a.txt", "b.RS", "c.rs", "/"]).expect(0);
    let rows = run_with_input(
        server.client("alice", &["-q", "--json"]).args(["endings", "--by", "files"]),
        b"",
    )
    .expect(0)
    .json();
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row["ending"].as_str(), row["files"].as_u64(), row["bytes"].as_u64()))
        .collect();
    assert_eq!(seen, [(Some("rs"), Some(2), Some(12)), (Some("txt"), Some(1), Some(4))]);
    assert_eq!(server.ferry("reader", &["endings"]).expect(0).out, "");
    assert!(
        server
            .ferry("alice", &["endings", "--by", "file"])
            .expect(2)
            .err
            .contains("did you mean `files`")
    );

    for (line, words) in [
        ("shou", "shout\n"),
        ("shout a --l", "--loud\n"),
        ("endings --by f", "files\n"),
        // Proposed by the verb itself.
        ("endings --only r", "rs\n"),
    ] {
        assert_eq!(complete(&server, line).expect(0).out, words, "{line}");
    }
    assert_eq!(before, built(), "the client was built before the server");
}

#[test]
fn a_strangers_server_tells_where_its_verbs_come_from() {
    let listed = run_with_input(Command::new(custom::server()).args(["verbs", "--json"]), b"")
        .expect(0)
        .json();
    let crates: Vec<_> = listed
        .iter()
        .filter(|verb| verb["verb"] == "endings")
        .map(|verb| verb["crate"].clone())
        .collect();
    assert_eq!(crates, ["ferry-endings"]);
    assert!(listed.len() > 10);
}
