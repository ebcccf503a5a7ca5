//! Every exit code of the contract, by real programs, each with the kind that `--json` tells.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use ferry_tests::{Launch, PASSWORD, PATIENCE, Ran, Server, noise, run_with_input, skipped, try_run, write};

/// Larger than what a connection holds while nobody reads, and slow enough to be met half-way.
const LARGE: usize = 8 << 20;
/// A transfer is met when so much of it is there.
const MET: u64 = 1 << 20;

/// The kinds of all failures that were told as objects.
fn kinds(ran: &Ran) -> Vec<String> {
    let objects = ran.json();
    let errors = objects.iter().filter(|object| object["event"] == "error");
    errors.map(|error| error["kind"].as_str().unwrap().to_owned()).collect()
}

/// The program ended with this code, told this kind as an object, and nothing for people on standard output.
#[track_caller]
fn check(ran: Ran, code: i32, kind: &str, what: &dyn Debug) {
    assert_eq!(ran.code, code, "{what:?}: {ran:?}");
    assert_eq!(kinds(&ran), [kind], "{what:?}: {ran:?}");
    assert!(!ran.err.contains("panicked"), "{what:?}: {}", ran.err);
    let objects = ran.json();
    let error = objects.iter().find(|object| object["event"] == "error").unwrap();
    let message = error["message"].as_str().unwrap();
    assert!(!message.is_empty() && !message.ends_with('.'), "{what:?}: {message}");
    // Where the next step is not plain from what went wrong, it is told.
    let has_next_step = [
        "bad_request",
        "unknown_verb",
        "login_refused",
        "over_quota",
        "unreachable",
        "changed",
        "unsupported",
    ];
    let hint = error["hint"].as_str().unwrap_or_default();
    assert!(
        !has_next_step.contains(&kind) || !hint.is_empty(),
        "{what:?} has no hint: {message}"
    );
}

/// A server on which everything can go wrong.
fn server() -> Server {
    let server = Server::start();
    server.add_user("alice", &["--quota", "20MiB"]);
    server.add_user("bob", &["--read-only"]);
    write(&server.local(), "small.txt", b"small");
    write(&server.local(), "huge.bin", &noise(21 << 20, 1));
    write(&server.local(), "large.bin", &noise(LARGE, 2));
    server.ferry("alice", &["mkdir", "full"]).expect(0);
    server.ferry("alice", &["put", "small.txt", "full/"]).expect(0);
    server.ferry("alice", &["put", "small.txt"]).expect(0);
    server
}

#[test]
fn one_verb_ends_with_the_code_of_what_became_of_it() {
    let server = server();
    let long = "x".repeat(256);
    let table: &[(&str, &[&str], i32, &str)] = &[
        ("alice", &["mkdir", "small.txt/x"], 1, "not_directory"),
        ("alice", &["cd", "small.txt"], 1, "not_directory"),
        ("alice", &["frobnicate"], 2, "unknown_verb"),
        ("alice", &["ls", "--colour"], 2, "bad_request"),
        ("alice", &["mkdir"], 2, "bad_request"),
        ("alice", &["mkdir", &long], 2, "bad_path"),
        ("alice", &["rm", "full"], 2, "is_directory"),
        ("nobody", &["pwd"], 3, "login_refused"),
        ("alice", &["ls", "nothing"], 4, "not_found"),
        ("alice", &["put", "no-such-local-file"], 4, "not_found"),
        ("alice", &["ls", "../x"], 5, "denied"),
        ("bob", &["mkdir", "x"], 5, "denied"),
        ("alice", &["put", "huge.bin"], 6, "over_quota"),
        ("alice", &["mkdir", "full"], 9, "exists"),
        ("alice", &["rmdir", "full"], 9, "not_empty"),
        ("alice", &["put", "small.txt", "--no-clobber"], 9, "exists"),
        ("alice", &["rm", "nothing", "full/small.txt"], 11, "not_found"),
    ];
    for (user, args, code, kind) in table {
        check(server.ferry_json(user, args), *code, kind, args);
    }
    let codes: BTreeSet<i32> = table.iter().map(|(_, _, code, _)| *code).collect();
    assert_eq!(
        codes,
        BTreeSet::from([1, 2, 3, 4, 5, 6, 9, 11]),
        "the others have tests of their own here"
    );
    let done = server.ferry_json("alice", &["pwd"]).expect(0);
    assert!(kinds(&done).is_empty() && done.json()[0]["path"] == "/");
}

#[test]
fn code_2_is_for_command_lines_and_files_that_say_nothing_sensible() {
    let server = server();
    check(
        run_with_input(server.client("alice", &["--json", "-b", "-"]).arg("pwd"), b""),
        2,
        "bad_request",
        &"-b",
    );
    let mut command = server.client("alice", &["--json"]);
    let config = write(&server.local(), "config.toml", b"[defaults]\nfrobnicate = 1\n");
    check(
        run_with_input(command.env("FERRY_CONFIG", config).arg("pwd"), b""),
        2,
        "bad_request",
        &"config",
    );
    let script = |text: &[u8]| run_with_input(&mut server.client("alice", &["--json", "-b", "-"]), text);
    check(script(b"put 'no end\n"), 2, "bad_request", &"quote");
    check(script(b"pwd\n\xff\n"), 2, "bad_request", &"not UTF-8");
    // What clap itself refuses has no options yet, so no JSON either.
    let ran = run_with_input(&mut server.client("alice", &["--json", "--frobnicate"]), b"").expect(2);
    assert!(ran.out.is_empty() && ran.err.contains("--frobnicate"), "{ran:?}");
}

#[test]
fn code_3_is_for_logins_and_keys() {
    let server = server();
    let with = |options: &[&str], password: &str| {
        let mut command = Command::new(ferry_tests::program("ferry"));
        command
            .env("HOME", server.local())
            .env("FERRY_PASSWORD", password)
            .env("FERRY_KNOWN_HOSTS", server.local().join("hosts"))
            .args(["--json", "--retry-for", "0"])
            .args(options)
            .args([&format!("alice@{}", server.address), "pwd"]);
        run_with_input(&mut command, b"")
    };
    let other = format!("sha256:{}", "0".repeat(64));
    check(with(&["--pin", &server.key], "wrong"), 3, "login_refused", &"password");
    check(with(&["--pin", &other], PASSWORD), 3, "login_refused", &"pin");
    check(with(&[], PASSWORD), 3, "login_refused", &"unknown key");
    std::fs::write(server.local().join("hosts"), format!("{} {other}\n", server.address)).unwrap();
    check(with(&["--accept-new"], PASSWORD), 3, "login_refused", &"changed key");
    std::fs::remove_file(server.local().join("hosts")).unwrap();
    with(&["--accept-new"], PASSWORD).expect(0);
    with(&[], PASSWORD).expect(0);
}

#[test]
fn code_1_is_for_a_command_of_this_machine_that_fails() {
    let server = server();
    let ran = run_with_input(&mut server.client("alice", &["--json", "-b", "-"]), b"!exit 3\n");
    check(ran, 1, "internal", &"!exit 3");
}

/// A mounted file system, gone at the end.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(&self.0).status();
    }
}

/// A file system of so many MiB in memory; `None` where none can be mounted.
fn mount(folder: &Path, mib: u32, test: &str) -> Option<Mounted> {
    std::fs::create_dir_all(folder).unwrap();
    let size = format!("size={mib}m,mode=700");
    match try_run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", folder.to_str().unwrap()]) {
        Ok(()) => Some(Mounted(folder.to_owned())),
        Err(why) => {
            skipped(test, &why);
            None
        }
    }
}

#[test]
fn code_6_is_for_a_full_disk_on_either_side() {
    let folder = tempfile::tempdir().unwrap();
    let Some(there) = mount(&folder.path().join("there"), 16, "code_6_is_for_a_full_disk_on_either_side") else {
        return;
    };
    let server = Launch::new("ferryd", &[]).on(there.0.clone()).start();
    server.add_user("alice", &[]);
    write(&server.local(), "huge.bin", &noise(21 << 20, 1));
    check(
        server.ferry_json("alice", &["put", "huge.bin"]),
        6,
        "disk_full",
        &"on the server",
    );
    drop(server);
    drop(there);
    let server = self::server();
    server.ferry("alice", &["put", "large.bin"]).expect(0);
    let here = mount(&server.local().join("here"), 2, "code_6_is_for_a_full_disk_on_either_side").unwrap();
    check(
        server.ferry_json("alice", &["get", "large.bin", "here/"]),
        6,
        "disk_full",
        &"here",
    );
    drop(here);
}

/// Starts an upload that takes a while, and waits until some of it is there.
fn begin_upload(server: &Server) -> Child {
    let mut command = server.client("alice", &["--json", "--limit-rate", "3MiB"]);
    let command = command.args(["put", "large.bin"]).stdin(Stdio::null());
    let mut client = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    loop {
        let partials = server.ferry_json("alice", &["partials"]).expect(0).json();
        if partials.first().is_some_and(|one| one["received"].as_u64().unwrap() >= MET) {
            return client;
        }
        let runs = client.try_wait().unwrap().is_none();
        assert!(runs && start.elapsed() < PATIENCE, "the upload can be met half-way");
    }
}

#[test]
fn code_7_is_for_a_source_that_changed_while_it_was_sent() {
    let server = server();
    let client = begin_upload(&server);
    let path = server.local().join("large.bin");
    std::fs::File::options()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(b"more")
        .unwrap();
    check(
        Ran::from_output(client.wait_with_output().unwrap()),
        7,
        "changed",
        &"appended to",
    );
    assert!(!server.data().join("homes/alice/large.bin").exists());
}

#[test]
fn code_10_is_for_what_was_interrupted_and_goes_on() {
    let server = server();
    let client = begin_upload(&server);
    try_run("kill", &["-INT", &client.id().to_string()]).unwrap();
    check(
        Ran::from_output(client.wait_with_output().unwrap()),
        10,
        "cancelled",
        &"Ctrl-C",
    );
    let again = server.ferry_json("alice", &["put", "large.bin"]).expect(0).json();
    assert!(
        again[0]["code"] == 1002 && again[0]["offset"].as_u64().unwrap() >= MET,
        "{}",
        again[0]
    );
}

fn pwd_at(server: &Server, address: &str) -> Ran {
    let mut command = Command::new(ferry_tests::program("ferry"));
    command.env("HOME", server.local()).env("FERRY_PASSWORD", PASSWORD).args([
        "--json",
        "--no-tls",
        "--retry-for",
        "0",
        &format!("alice@{address}"),
        "pwd",
    ]);
    run_with_input(&mut command, b"")
}

#[test]
fn code_8_is_for_a_server_that_is_gone_and_12_for_one_that_makes_no_sense() {
    let server = server();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let talks = std::thread::spawn(move || {
        for answer in [&b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..], b""] {
            let mut stream = listener.accept().unwrap().0;
            stream.write_all(answer).unwrap();
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let ran = pwd_at(&server, &address);
    assert_eq!(ran.code, 12, "{ran:?}");
    let kind = kinds(&ran).remove(0);
    check(ran, 12, &kind, &"no Ferry server");
    check(pwd_at(&server, &address), 8, "unreachable", &"hangs up");
    talks.join().unwrap();
    check(pwd_at(&server, &address), 8, "unreachable", &"nobody listens");
}
