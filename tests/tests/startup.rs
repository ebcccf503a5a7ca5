//! What a start costs. Times hang on the machine's mood, so the test counts system calls and threads. `FERRY_STARTUP=20` takes the time too: the best of
//! so many runs of `--version` in 10 ms, and of one verb on this machine by a saved login, the whole process, in 50 ms.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::process::Command;
use std::time::{Duration, Instant};

use ferry_tests::{Server, program, run_with_input, skipped, try_run};

/// System calls of `--version`: two thirds are the loader's and the runtime's of every Rust program.
const VERSION_CALLS_MAX: usize = 120;
/// System calls of one verb: some 700 with TLS and a catalogue.
const VERB_CALLS_MAX: usize = 1_500;
/// Threads of one verb: one a core of the executor, up to this many in all with those that block.
const VERB_THREADS_MAX: usize = 16;

/// A server with a saved login of alice's, and how she says `pwd` by it.
fn server() -> (Server, impl Fn() -> Command) {
    let server = Server::start();
    server.add_user("alice", &[]);
    let logins = server.local().join("config/logins");
    let mut save = server.client("alice", &["--save-login"]);
    run_with_input(save.env("FERRY_LOGINS", &logins).arg("pwd"), b"").expect(0);
    let (home, folder, pin, target) = (
        server.local(),
        server.local(),
        server.key.clone(),
        format!("alice@{}", server.address),
    );
    let pwd = move || {
        let mut command = Command::new(program("ferry"));
        for variable in [
            "FERRY_PASSWORD",
            "FERRY_CONFIG",
            "FERRY_KNOWN_HOSTS",
            "XDG_CONFIG_HOME",
            "XDG_CACHE_HOME",
        ] {
            command.env_remove(variable);
        }
        command.env("HOME", &home).env("FERRY_LOGINS", &logins).current_dir(&folder);
        command.args(["--pin", &pin, &target, "pwd"]);
        command
    };
    (server, pwd)
}

/// The system calls of a command, one a line, as strace writes them.
fn calls(command: &Command, test: &str) -> Option<Vec<String>> {
    if let Err(why) = try_run("strace", &["-o", "/dev/null", "true"]) {
        skipped(test, &why);
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls");
    let mut strace = Command::new("strace");
    // Where cargo looks for libraries is no cost of ours.
    strace.env_remove("LD_LIBRARY_PATH");
    strace
        .arg("-f")
        .arg("-o")
        .arg(&file)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    run_with_input(&mut strace, b"").expect(0);
    let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    // Behind the number of the thread; what is resumed was counted where it began.
    let calls = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, call)| call.trim_start());
    let calls = calls.filter(|call| !call.starts_with(['<', '+', '-'])).map(str::to_owned);
    Some(calls.collect())
}

fn count(calls: &[String], names: &[&str]) -> usize {
    let is_one = |call: &&String| names.iter().any(|name| call.starts_with(&format!("{name}(")));
    calls.iter().filter(is_one).count()
}

#[test]
fn the_version_costs_no_thread_no_socket_and_no_file_of_ours() {
    let mut version = Command::new(program("ferry"));
    version.arg("--version");
    let Some(calls) = calls(&version, "the_version_costs_no_thread_no_socket_and_no_file_of_ours") else {
        return;
    };
    assert!(calls.iter().any(|call| call.contains("\"ferry ")), "{calls:#?}");
    assert_eq!(
        count(
            &calls,
            &["clone", "clone3", "fork", "vfork", "socket", "eventfd2", "epoll_create1"]
        ),
        0,
        "{calls:#?}"
    );
    assert!(calls.len() <= VERSION_CALLS_MAX, "{} system calls: {calls:#?}", calls.len());
    let ours = calls
        .iter()
        .filter(|call| call.contains("config.toml") || call.contains("known_hosts") || call.contains("logins"));
    assert_eq!(ours.count(), 0, "{calls:#?}");
}

#[test]
fn one_verb_costs_one_connection_and_few_threads_and_never_sleeps() {
    let (server, pwd) = server();
    let Some(calls) = calls(&pwd(), "one_verb_costs_one_connection_and_few_threads_and_never_sleeps") else {
        return;
    };
    let port = format!("htons({})", server.address.port());
    let connects = calls
        .iter()
        .filter(|call| call.starts_with("connect(") && call.contains(&port));
    assert_eq!(connects.count(), 1, "{calls:#?}");
    let threads = count(&calls, &["clone", "clone3"]);
    assert!((1..=VERB_THREADS_MAX).contains(&threads), "{threads} threads");
    assert!(calls.len() <= VERB_CALLS_MAX, "{} system calls: {calls:#?}", calls.len());
    assert_eq!(count(&calls, &["nanosleep", "clock_nanosleep", "execve"]), 1, "{calls:#?}");
}

/// The shortest of so many runs.
fn best(runs: u32, command: impl Fn() -> Command) -> Duration {
    let run = |_| {
        let mut command = command();
        let start = Instant::now();
        run_with_input(&mut command, b"").expect(0);
        start.elapsed()
    };
    (0..runs).map(run).min().unwrap()
}

#[test]
fn a_start_is_not_felt() {
    let Some(runs) = std::env::var("FERRY_STARTUP").ok().and_then(|runs| runs.parse().ok()) else {
        return skipped(
            "a_start_is_not_felt",
            "FERRY_STARTUP is not set, and times hang on the machine's mood",
        );
    };
    let version = best(runs, || {
        let mut version = Command::new(program("ferry"));
        version.arg("--version");
        version
    });
    let (_server, pwd) = server();
    let verb = best(runs, pwd);
    println!("--version {version:?}, one verb by a saved login {verb:?}, the best of {runs}");
    assert!(version < Duration::from_millis(10), "{version:?}");
    assert!(verb < Duration::from_millis(50), "{verb:?}");
}
