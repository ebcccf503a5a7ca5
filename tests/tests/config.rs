//! The client's config file, aliases and `source`, with real programs.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::path::PathBuf;
use std::process::Command;

use ferry_tests::pty::Pty;
use ferry_tests::{PASSWORD, Ran, Server, program, run_with_input, write};

/// A server with an account of alice's and a folder of hers.
fn server() -> Server {
    let server = Server::start();
    server.add_user("alice", &[]);
    server.ferry("alice", &["mkdir", "docs"]).expect(0);
    server
}

fn file(server: &Server) -> PathBuf {
    server.local().join(".config/ferry/config.toml")
}

/// Writes the config file: a profile `work` for the server, and more.
fn configure(server: &Server, more: &str) {
    let profile = format!(
        "[profiles.work]\nserver = \"{}\"\nuser = \"alice\"\npin = \"{}\"\nfolder = \"/docs\"\n",
        server.address, server.key
    );
    std::fs::create_dir_all(file(server).parent().unwrap()).unwrap();
    std::fs::write(file(server), profile + more).unwrap();
}

/// A client that knows only what its config file says, and the password.
fn client(server: &Server, words: &[&str]) -> Command {
    let mut command = Command::new(program("ferry"));
    command.env("HOME", server.local()).env("FERRY_PASSWORD", PASSWORD);
    for variable in ["XDG_CONFIG_HOME", "FERRY_CONFIG", "FERRY_KNOWN_HOSTS", "FERRY_LOGINS"] {
        command.env_remove(variable);
    }
    command.current_dir(server.local()).args(words);
    command
}

fn ferry(server: &Server, words: &[&str]) -> Ran {
    run_with_input(&mut client(server, words), b"")
}

fn script(server: &Server, text: &str) -> Ran {
    run_with_input(&mut client(server, &["-q", "work"]), text.as_bytes())
}

#[test]
fn a_profile_stands_for_server_user_key_and_folder_and_options_win() {
    let server = server();
    configure(&server, "digest = \"blake3\"\n");
    assert_eq!(ferry(&server, &["work", "pwd"]).expect(0).out, "/docs\n");
    write(&server.local(), "a.txt", b"hello");
    let sent = |options: &[&str]| {
        let words = [options, &["--json", "work", "put", "a.txt"]].concat();
        let done = ferry(&server, &words).expect(0).json().pop().unwrap();
        (done["blake3"].is_string(), done["md5"].is_string())
    };
    assert_eq!(sent(&[]), (true, false));
    ferry(&server, &["work", "rm", "a.txt"]).expect(0);
    assert_eq!(sent(&["--digest", "md5"]), (false, true));
    let other = format!("sha256:{}", "0".repeat(64));
    let refused = ferry(&server, &["--pin", &other, "--retry-for", "0", "work", "pwd"]).expect(3);
    assert!(refused.err.contains("--pin"), "{}", refused.err);
    // A name with a dot, a colon or an `@` is never a profile.
    let unknown = ferry(&server, &[&format!("alice@{}", server.address), "pwd"]).expect(3);
    assert!(unknown.err.contains("not known"), "{}", unknown.err);
}

#[test]
fn a_config_file_that_is_not_understood_runs_nothing() {
    let server = server();
    configure(&server, "usr = \"bob\"\n");
    let refused = ferry(&server, &["--json", "work", "mkdir", "/x"]).expect(2).json().remove(0);
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("config.toml, line 6, `usr`: unknown field"), "{message}");
    assert_eq!(
        (refused["kind"].as_str(), refused["hint"].as_str()),
        (Some("bad_request"), Some("did you mean `user`?"))
    );
    assert!(!server.data().join("homes/alice/x").exists());
    let mut elsewhere = client(&server, &["work", "pwd"]);
    let none = run_with_input(elsewhere.env("FERRY_CONFIG", server.local().join("none.toml")), b"").expect(2);
    assert!(none.err.contains("none.toml"), "{}", none.err);
    // What needs no server needs no config file either.
    ferry(&server, &["--version"]).expect(0);
    ferry(&server, &["--man"]).expect(0);
}

#[test]
fn aliases_stand_for_the_beginning_of_a_line() {
    let server = server();
    configure(&server, "[aliases]\nhere = \"pwd\"\nls = \"ls -a\"\n");
    let ran = script(&server, "here\nalias up='cd ..'\nup\nhere\nalias up\n").expect(0);
    assert_eq!(ran.out, "/docs\n/\nalias up='cd ..'\n");
    assert!(ran.err.contains("the alias `ls` hides the server's verb `ls`"), "{}", ran.err);
    let ran = script(&server, "mkdir .hidden\nls\n'ls'\nalias pwd='cd /'\n").expect(0);
    assert!(
        ran.out.contains(".hidden") && ran.out.matches(".hidden").count() == 1,
        "{}",
        ran.out
    );
    assert!(ran.err.contains("the alias `pwd` hides"), "{}", ran.err);
    script(&server, "alias exit=pwd\n").expect(2);
    script(&server, "alias none\n").expect(4);
    // On the command line of another shell, that shell has its own.
    ferry(&server, &["work", "here"]).expect(2);
}

#[test]
fn source_runs_the_lines_of_a_file_and_stops_where_they_fail() {
    let server = server();
    configure(&server, "");
    let local = server.local();
    std::fs::create_dir(local.join("sub")).unwrap();
    write(&local, "inner", b"mkdir inner\n-rm nothing\npwd\n");
    write(&local, "outer", b"# first\nsource inner\nmkdir outer\n");
    assert_eq!(script(&server, "source outer\nls outer inner\n").expect(0).out, "/docs\n");
    write(&local, "bad", b"mkdir bad\nrm nothing\nmkdir never\n");
    let ran = script(&server, "source bad\nmkdir never\n").expect(4);
    assert!(ran.err.contains("bad stopped at line 2"), "{}", ran.err);
    assert_eq!(ran.err.matches("nothing: ").count(), 1, "{}", ran.err);
    script(&server, "-source bad\n-source bad\nls bad\n").expect(0);
    assert!(!server.data().join("homes/alice/docs/never").exists());
    write(&local, "self", b"source self\n");
    let ran = script(&server, "source self\n").expect(2);
    assert!(ran.err.contains("does one of them run itself?"), "{}", ran.err);
    write(&local, "leave", b"exit\n");
    script(&server, "source leave\nfrobnicate\n").expect(0);
    script(&server, "source none\n").expect(4);
    script(&server, "source sub\n").expect(2);
    script(&server, "source\n").expect(2);
}

#[test]
fn the_shell_has_them_too() {
    let server = server();
    configure(&server, "[aliases]\nhere = \"pwd\"\n");
    write(&server.local(), "two words", b"cd ..\nmkdir sourced\n");
    let shell = Pty::spawn(&client(&server, &["work"]));
    shell.wait_for("/docs> ");
    shell.send("here\r");
    shell.wait_until("the answer", |screen| {
        screen.contents().lines().any(|line| line.trim() == "/docs")
    });
    shell.send("source 'two words'\r");
    shell.wait_for(":/> ");
    assert!(server.data().join("homes/alice/sourced").is_dir());
    shell.send("alias here='ls -l'\ralias\r");
    shell.wait_for("alias here='ls -l'\n");
    shell.send("exit\r");
    assert_eq!(shell.end().0, 0);
}
