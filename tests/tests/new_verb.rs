//! `ferryd new-verb`: what it writes compiles, is formatted, keeps our lints, passes its tests and can be run by a client that was built before.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use ferry_tests::custom::{self, CUSTOM_SERVER, Strangers};
use ferry_tests::{Ran, Server, files_below, program, run_with_input, write};

/// Verbs whose names make trouble if they can, by shape.
const VERBS: [(&str, &str); 5] = [
    ("reply", "fields"),
    ("rows", "self"),
    ("write", "result"),
    ("body-in", "a-1"),
    ("body-out", "abcdefghijklmnopqrstuvwx"),
];
const PACKAGES: &[&str] = &[
    "strangers-server",
    "ferry-shout",
    "ferry-endings",
    "ferry-fields",
    "ferry-self",
    "ferry-result",
    "ferry-a-1",
    "ferry-abcdefghijklmnopqrstuvwx",
];

fn new_verb(folder: &Path, args: &[&str]) -> Ran {
    run_with_input(
        Command::new(program("ferryd")).arg("new-verb").args(args).current_dir(folder),
        b"",
    )
}

/// The stranger's workspace at another place, with our lints and format, and a server of another name.
fn copy() -> Strangers {
    let strangers = Strangers::new(PACKAGES);
    let (root, from) = (custom::root(), custom::root().join(CUSTOM_SERVER));
    let ours = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let lints = &ours[ours.find("[workspace.lints.rust]").unwrap()..ours.find("\n# Digests").unwrap()];
    fs::copy(root.join("rustfmt.toml"), strangers.path().join("rustfmt.toml")).unwrap();
    for file in files_below(&from) {
        let mut text = fs::read_to_string(from.join(&file)).unwrap();
        if file == Path::new("Cargo.toml") {
            text = text.replace("../..", root.to_str().unwrap());
            text.truncate(text.find("[workspace.lints.rust]").unwrap());
            text += lints;
        }
        let to = strangers.path().join(&file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, text.replace("\"custom-server\"", "\"strangers-server\"")).unwrap();
    }
    strangers
}

#[test]
fn verbs_of_every_shape_are_added_to_a_server_and_run() {
    let strangers = copy();
    for (shape, name) in VERBS {
        let ran = new_verb(strangers.path(), &[name, "--shape", shape, "--into", "server"]).expect(0);
        assert!(ran.out.contains(&format!("cargo test -p ferry-{name}\n")), "{}", ran.out);
        let file = strangers.path().join(name).join("src/lib.rs");
        assert!(
            fs::read_to_string(file).unwrap().lines().count() <= 30,
            "{shape}: one file of at most 30 lines"
        );
    }
    strangers.cargo("fmt", &["--all", "--check"]);
    strangers.cargo("clippy", &["--workspace", "--all-targets", "--", "-D", "warnings"]);
    let ran = strangers.cargo("test", &["--workspace"]);
    assert_eq!(
        ran.out.matches("test it_keeps_the_rules_of_every_verb ... ok").count(),
        VERBS.len()
    );
    assert!(ran.out.contains("test a_user_who_may_only_read_is_refused ... ok"));
    // A word that is taken now is refused by the server that has it.
    strangers.cargo("build", &["-p", "strangers-server"]);
    let own = program("strangers-server");
    let again = run_with_input(
        Command::new(&own).args(["new-verb", "fields"]).current_dir(strangers.path()),
        b"",
    )
    .expect(1);
    assert!(
        again.err.contains("the verb `fields` already, from ferry-fields 0.1.0"),
        "{}",
        again.err
    );

    let server = Server::start_program(own.to_str().unwrap(), &["--no-tls"]);
    server.add_user("alice", &[]);
    server.add_user("reader", &["--read-only"]);
    write(&server.local(), "notes", b"one\ntwo\n");
    let script = "upload notes\nfields -l\na-1 notes\nresult notes\nself 8\nabcdefghijklmnopqrstuvwx 2\n";
    let out = server.script("alice", script).expect(0).out;
    assert_eq!(out, "Hello, alice!\n2 lines, 8 bytes\n/notes\n/notes.bak\nline 1\nline 2\n");
    server.ferry("reader", &["result", "notes"]).expect(5);
    assert!(
        server
            .ferry("alice", &["help"])
            .expect(0)
            .out
            .contains("Keeps copies of files beside them")
    );
}

#[test]
fn a_crate_alone_in_an_empty_folder_passes_its_tests() {
    let strangers = Strangers::new(&[]);
    let ran = new_verb(strangers.path(), &["hello"]).expect(0);
    let hello = strangers.path().canonicalize().unwrap().join("hello");
    let line = format!("ferry-hello = {{ path = \"{}\" }}\n", hello.display());
    assert!(
        ran.out.contains(&line) && ran.out.contains("use ferry_hello as _;\n"),
        "{}",
        ran.out
    );
    let ran = custom::succeeds(&mut custom::cargo(&hello, "test"));
    assert!(ran.out.contains("test somebody_is_greeted ... ok"), "{}", ran.out);
    custom::succeeds(custom::cargo(&hello, "fmt").arg("--check"));
    custom::succeeds(custom::cargo(&hello, "clean").args(["-p", "ferry-hello"]));
}

#[test]
fn a_word_that_the_shell_takes_itself_is_refused() {
    let strangers = Strangers::new(&[]);
    let (all, words) = ("choose another word than ", ferry_client::words::OWN.map(|(word, _)| word));
    // `!` is no word, and `help` is the server's when it has a verb for it.
    let mut shells: Vec<&str> = words.into_iter().filter(|word| !["!", "help"].contains(word)).collect();
    shells.sort_unstable();
    for word in &shells {
        let ran = new_verb(strangers.path(), &[word]).expect(1);
        assert!(ran.err.contains(&format!("`{word}` is a word of the shell")), "{}", ran.err);
        assert!(ran.err.contains(&format!("{all}{}\n", shells.join(", "))), "{}", ran.err);
    }
    assert_eq!(fs::read_dir(strangers.path()).unwrap().count(), 0);
}

#[test]
fn ferry_comes_from_where_it_is_said_to() {
    let strangers = Strangers::new(&[]);
    for (at, core, line) in [
        ("a", "0.1", "ferry-core = \"0.1\""),
        (
            "b",
            "https://example.org/ferry#v1",
            "ferry-core = { git = \"https://example.org/ferry\", tag = \"v1\" }",
        ),
        ("c", custom::root().to_str().unwrap(), "ferry-core = { path = \""),
    ] {
        new_verb(strangers.path(), &["hello", "--in", at, "--core", core]).expect(0);
        let manifest = fs::read_to_string(strangers.path().join(at).join("hello/Cargo.toml")).unwrap();
        assert!(manifest.contains(line), "{manifest}");
    }
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let strangers = Strangers::new(&[]);
    for (args, code, says) in [
        (&["ls"][..], 1, "this server has the verb `ls` already, from ferry-fs"),
        (&["dir"], 1, "`dir` is an alias of it"),
        (&["core"], 1, "ferry-core is a crate of this server already"),
        (&["Hello"], 2, "cannot be a verb's name"),
        (&["../x"], 2, "cannot be a verb's name"),
        (&["hello", "--core", "nowhere"], 2, "neither a folder with Ferry's sources"),
        (&["hello", "--into", "My Server"], 2, "cannot be a server's name"),
        (&["hello", "--shape", "round"], 2, "invalid value"),
    ] {
        let ran = new_verb(strangers.path(), args).expect(code);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
        assert_eq!(fs::read_dir(strangers.path()).unwrap().count(), 0, "{args:?}");
    }
}

#[test]
fn nothing_is_ever_overwritten() {
    let strangers = Strangers::new(&[]);
    let mine = strangers.path().join("hello");
    fs::write(&mine, "mine").unwrap();
    assert!(new_verb(strangers.path(), &["hello"]).expect(1).err.contains("there already"));
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    // Neither the manifest of a crate where a workspace is to be, and nothing is written beside it.
    fs::remove_file(&mine).unwrap();
    write(strangers.path(), "Cargo.toml", b"[package]\nname = \"mine\"\n");
    assert!(
        new_verb(strangers.path(), &["hello", "--into", "server"])
            .expect(1)
            .err
            .contains("there already")
    );
    assert_eq!(files_below(strangers.path()), [Path::new("Cargo.toml")]);
}
