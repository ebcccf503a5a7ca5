//! What a person's own shell proposes for our command line: bash, zsh and fish, each where it is there. Real shells, real programs.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ferry_tests::pty::Pty;
use ferry_tests::{PASSWORD, Ran, Server, program, run_with_input, skipped, try_run, write};

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// Whether a shell is there; says so when it is not.
fn has(shell: &str, test: &str) -> bool {
    let found = try_run(shell, &["--version"]);
    if let Err(why) = &found {
        skipped(test, why);
    }
    found.is_ok()
}

/// The file for a shell, written to a folder.
fn file(folder: &Path, shell: &str) -> PathBuf {
    let ran = run_with_input(Command::new(program("ferry")).args(["--completions", shell]), b"").expect(0);
    write(folder, &format!("ferry.{shell}"), ran.out.as_bytes())
}

/// A server with an account of alice's, whose login is saved, and names with blanks and more in her home.
fn server() -> Server {
    let server = Server::start();
    server.add_user("alice", &[]);
    for name in ["two words", "twin", "it's", "a:b=c"] {
        server.ferry("alice", &["mkdir", name]).expect(0);
    }
    let mut save = server.client("alice", &["--save-login"]);
    run_with_input(alone(&server, &mut save).env("FERRY_PASSWORD", PASSWORD).arg("pwd"), b"").expect(0);
    let mut learn = Command::new(program("ferry"));
    let learn = alone(&server, &mut learn).args(["--accept-new", &target(&server), "pwd"]);
    run_with_input(learn, b"").expect(0);
    write(&server.local(), "local file", b"here");
    server
}

fn target(server: &Server) -> String {
    format!("alice@{}", server.address)
}

/// A command that knows the saved login, and no password.
fn alone<'c>(server: &Server, command: &'c mut Command) -> &'c mut Command {
    let programs = program("ferry").parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    for variable in [
        "XDG_CONFIG_HOME",
        "FERRY_PASSWORD",
        "FERRY_CONFIG",
        "BASH_ENV",
        "ENV",
        "ZDOTDIR",
        "XDG_DATA_HOME",
    ] {
        command.env_remove(variable);
    }
    command
        .env("HOME", server.local())
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("FERRY_KNOWN_HOSTS", server.local().join("config/known_hosts"))
        .env("FERRY_COMPLETION_SECONDS", "30")
        .env("FERRY_LOGINS", server.local().join("config/logins"))
        .current_dir(server.local())
}

fn complete_line(server: &Server, line: &str) -> Ran {
    let mut command = Command::new(program("ferry"));
    run_with_input(alone(server, &mut command).args(["--complete-line", line]), b"")
}

#[test]
fn the_files_are_well_formed() {
    let folder = tempfile::tempdir().unwrap();
    for shell in SHELLS {
        let ferryd = run_with_input(Command::new(program("ferryd")).args(["completions", shell]), b"").expect(0);
        let files = [
            file(folder.path(), shell),
            write(folder.path(), &format!("ferryd.{shell}"), ferryd.out.as_bytes()),
        ];
        if has(shell, "the_files_are_well_formed") {
            for file in files {
                try_run(shell, &["-n", file.to_str().unwrap()]).unwrap();
            }
        }
    }
}

#[test]
fn the_manual_pages_can_be_set() {
    let folder = tempfile::tempdir().unwrap();
    let page = |name: &str, word: &str| run_with_input(Command::new(program(name)).arg(word), b"").expect(0).out;
    for (name, word, says) in [("ferry", "--man", "--known-hosts"), ("ferryd", "man", "--durability")] {
        let file = write(folder.path(), &format!("{name}.1"), page(name, word).as_bytes());
        if let Err(why) = try_run("man", &["--version"]) {
            return skipped("the_manual_pages_can_be_set", &why);
        }
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "ascii", "-l"])
            .arg(file)
            .env("MANPAGER", "cat")
            .env("MANWIDTH", "80");
        let set = run_with_input(&mut man, b"").expect(0);
        // Bold is written twice, with the way back between.
        let plain: String = set.out.replace("\u{8}", "");
        assert!(plain.contains(says) && set.err.is_empty(), "{name}: {set:?}");
    }
}

#[test]
fn the_client_answers_for_verbs_paths_and_targets() {
    let server = server();
    let target = target(&server);
    let words = |rest: &str| complete_line(&server, &format!("ferry {target} {rest}")).expect(0).out;
    assert_eq!(words("whoa"), "whoami\n");
    assert_eq!(words("ls tw"), "twin/\ntwo words/\n");
    assert_eq!(words("ls 'two w"), "two words/\n");
    assert_eq!(words("ls two\\ w"), "two words/\n");
    assert_eq!(words("ls -l --a"), "--all\n");
    assert_eq!(words("upload lo"), "local file\n");
    write(&server.local(), ".hidden", b"x");
    assert!(!words("upload ").contains(".hidden"));
    assert!(words("upload .").contains(".hidden\n"));
    assert_eq!(words("help whoa"), "whoami\n");
    assert_eq!(words("frobnicate "), "");
    assert!(complete_line(&server, "ferry al").expect(0).out.contains(&target));
    assert_eq!(complete_line(&server, "ferry --js").expect(1).out, "");
}

#[test]
fn nothing_is_asked_and_nothing_said_where_it_goes_wrong() {
    let server = server();
    let quiet = |ran: Ran| assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
    // No saved login, nobody there, an unknown key, a config file that cannot be understood.
    quiet(complete_line(&server, &format!("ferry bob@{} ls ", server.address)));
    quiet(complete_line(&server, "ferry alice@127.0.0.1:1 ls "));
    let line = format!("ferry {} ls ", target(&server));
    let mut command = Command::new(program("ferry"));
    let command = alone(&server, &mut command).args(["--complete-line", &line]);
    quiet(run_with_input(command.env("FERRY_KNOWN_HOSTS", "/dev/null"), b""));
    write(&server.local(), "bad.toml", b"x = 1\n");
    let mut command = Command::new(program("ferry"));
    let command = alone(&server, &mut command).args(["--complete-line", &line]);
    quiet(run_with_input(command.env("FERRY_CONFIG", "bad.toml"), b""));
    // At a terminal there would be somebody to ask.
    let mut command = Command::new(program("ferry"));
    let line = format!("ferry bob@{} ls ", server.address);
    let pty = Pty::spawn(alone(&server, &mut command).args(["--complete-line", &line]));
    assert_eq!(pty.end(), (0, String::new()));
    // A server that is there and silent is waited for, but not for long.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!("ferry alice@{} ls ", silent.local_addr().unwrap());
    let mut command = Command::new(program("ferry"));
    let command = alone(&server, &mut command).args(["--complete-line", &line]);
    let started = Instant::now();
    quiet(run_with_input(command.env("FERRY_COMPLETION_SECONDS", "1"), b""));
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
}

#[test]
fn bash_completes_by_the_variables_that_it_sets() {
    if !has("bash", "bash_completes_by_the_variables_that_it_sets") {
        return;
    }
    let server = server();
    let file = file(&server.local(), "bash");
    let target = target(&server);
    for (rest, words, expected) in [
        ("whoa", "whoa", "whoami"),
        ("ls tw", "ls tw", "twin/|two\\ words/"),
        ("ls 'two w", "ls \"'two w\"", "two words/"),
        ("ls a:b=", "ls a : b =", "c/"),
    ] {
        let script = format!(
            r#"source "$1"; COMP_LINE="ferry $2 $3"; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=(ferry "$2" {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            _ferry_words ferry "${{COMP_WORDS[COMP_CWORD]}}" ""; IFS='|'; printf '%s' "${{COMPREPLY[*]}}""#
        );
        let mut bash = Command::new("bash");
        let bash = alone(&server, &mut bash)
            .args(["--norc", "-c", &script, "bash"])
            .arg(&file)
            .args([&target, rest]);
        assert_eq!(run_with_input(bash, b"").expect(0).out, expected, "{rest}");
    }
}

/// A shell at a terminal, with the file read.
fn shell(server: &Server, name: &str, options: &[&str], setup: &str) -> Pty {
    file(&server.local(), name);
    let mut command = Command::new(name);
    let pty = Pty::spawn(alone(server, &mut command).args(options).env("PS1", "ready> "));
    pty.wait_for("ready> ");
    pty.send(&format!("{setup}; PS1='again> '\r"));
    pty.wait_until("the next prompt", |screen| {
        screen.contents().lines().any(|line| line.trim() == "again>")
    });
    pty
}

/// Types lines with Tab, each with what becomes of it.
fn types(pty: &Pty, server: &Server, cases: &[(&str, &str)]) {
    let target = target(server);
    for (typed, becomes) in cases {
        pty.send(&format!("ferry {target} {typed}\t"));
        pty.wait_for(&format!("ferry {target} {becomes}"));
        // Ctrl-U takes the line away.
        pty.send("\x05\x15");
        pty.wait_until("an empty line", |screen| {
            screen.contents().lines().last().is_some_and(|line| line.trim() == "again>")
        });
    }
}

#[test]
fn bash_completes_at_a_terminal() {
    if !has("bash", "bash_completes_at_a_terminal") {
        return;
    }
    let server = server();
    let bash = shell(&server, "bash", &["--norc", "--noprofile", "-i"], "source ferry.bash");
    let cases = [
        ("whoa", "whoami "),
        ("ls two", "ls two\\ words/"),
        ("ls 'two", "ls 'two words/"),
        ("ls it", "ls it\\'s/"),
        ("ls a:b", "ls a:b=c/"),
        ("upload loc", "upload local\\ file "),
    ];
    types(&bash, &server, &cases);
}

#[test]
fn zsh_completes_at_a_terminal() {
    if !has("zsh", "zsh_completes_at_a_terminal") {
        return;
    }
    let server = server();
    let setup = "autoload -Uz compinit && compinit -u -D && source ./ferry.zsh";
    let zsh = shell(&server, "zsh", &["-f", "-i"], setup);
    let cases = [
        ("whoa", "whoami "),
        ("ls two", "ls two\\ words/"),
        ("ls it", "ls it\\'s/"),
        ("upload loc", "upload local\\ file "),
    ];
    types(&zsh, &server, &cases);
}

#[test]
fn fish_completes() {
    if !has("fish", "fish_completes") {
        return;
    }
    let server = server();
    file(&server.local(), "fish");
    let target = target(&server);
    for (rest, expected, never) in [
        ("whoa", "whoami", "--json"),
        ("ls tw", "two words/", "--json"),
        ("ls -", "--all", "--json"),
        ("upload loc", "local file", "ferry.fish"),
    ] {
        let mut fish = Command::new("fish");
        let ask = "source ferry.fish; complete -C $argv[1]";
        let fish = alone(&server, &mut fish).args(["--no-config", "-c", ask, &format!("ferry {target} {rest}")]);
        let out = run_with_input(fish, b"").expect(0).out;
        assert!(
            out.lines().any(|line| line == expected) && !out.contains(never),
            "{rest}: {out}"
        );
    }
    let mut fish = Command::new("fish");
    let fish = alone(&server, &mut fish).args(["--no-config", "-c", "source ferry.fish; complete -C 'ferry --js'"]);
    assert!(run_with_input(fish, b"").expect(0).out.starts_with("--json"));
}
