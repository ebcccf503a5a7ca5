//! Jobs of the shell: what runs beside the prompt, at a real terminal against a real server.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferry_tests::pty::{Pty, cursor_line};
use ferry_tests::{PATIENCE, Server, noise, write};
use serde_json::Value;

/// What the slow transfers are held to, so that they are still under way when a test looks at them.
const SLOW: &[&str] = &["--limit-rate", "256KiB"];
const PROMPT: &str = "alice@127.0.0.1:/> ";
/// Takes minutes when it is slow.
const BIG_BYTES: usize = 64 << 20;
/// Takes some seconds when it is slow.
const SOME_BYTES: usize = 1 << 20;

/// A server with an account of alice's, a large file and a middling one to send.
fn server() -> Server {
    let server = Server::start();
    server.add_user("alice", &[]);
    write(&server.local(), "big.bin", &noise(BIG_BYTES, 1));
    write(&server.local(), "some.bin", &noise(SOME_BYTES, 2));
    server
}

/// A shell of alice's at its first prompt.
fn shell(server: &Server, options: &[&str]) -> Pty {
    at_prompt(&server.client("alice", options))
}

fn at_prompt(command: &Command) -> Pty {
    let terminal = Pty::spawn(command);
    terminal.wait_for(PROMPT);
    terminal
}

/// Waits until the prompt with that line is where the cursor is.
#[track_caller]
fn wait_for_line(terminal: &Pty, line: &str) {
    let line = format!("{PROMPT}{line}");
    terminal.wait_until(&line, |screen| cursor_line(screen) == line.trim_end());
}

/// Types a line at the prompt and waits for the next one; gives what was printed meanwhile.
#[track_caller]
fn run(terminal: &Pty, line: &str) -> String {
    static LINES: AtomicUsize = AtomicUsize::new(0);
    // What is typed before would stand on the screen twice.
    terminal.wait_until("a prompt", |screen| {
        let line = cursor_line(screen);
        // A key that is a signal may stand behind it.
        line.ends_with('>') || line.ends_with("> ^Z")
    });
    // A comment tells the line from all others.
    let mark = format!("# {}.", LINES.fetch_add(1, Ordering::Relaxed));
    terminal.send(&format!("{line} {mark}\r"));
    let printed = |screen: &str| {
        let (_, after) = screen.rsplit_once(&mark)?;
        let (printed, _) = after.rsplit_once("\nalice@127.0.0.1:/")?;
        Some(printed.trim().to_owned())
    };
    let screen = terminal.wait_until(line, |screen| {
        cursor_line(screen).ends_with('>') && printed(&screen.contents()).is_some()
    });
    printed(&screen).unwrap_or_default()
}

/// Asks for the jobs until the first one is said to have moved contents; gives its line.
#[track_caller]
fn moving(terminal: &Pty) -> String {
    let started = Instant::now();
    loop {
        let listed = run(terminal, "jobs");
        let line = listed
            .lines()
            .find(|line| line.starts_with("[1] running") && line.contains("B of "));
        if let Some(line) = line.filter(|line| !line.contains(" 0 B of ")) {
            return line.to_owned();
        }
        assert!(started.elapsed() < PATIENCE, "{listed}");
    }
}

/// Leaves a shell in which jobs may run.
#[track_caller]
fn leave(terminal: Pty) {
    wait_for_line(&terminal, "");
    terminal.send("exit\r");
    terminal.wait_for("y/N");
    terminal.send("y\r");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
}

fn stored(server: &Server, path: &str) -> Option<u64> {
    let found = std::fs::metadata(server.data().join("homes/alice").join(path));
    found.ok().map(|meta| meta.len())
}

/// How many sessions alice has.
fn sessions(server: &Server) -> usize {
    let who = server.admin(&["who", "--json"], "").expect(0).json();
    who.iter().filter(|session| session["user"] == "alice").count()
}

#[test]
fn a_job_runs_beside_the_prompt_and_its_end_leaves_what_is_typed() {
    let server = server();
    let terminal = shell(&server, SLOW);
    terminal.send("put some.bin &\r");
    terminal.wait_for("[1] in the background: put some.bin");
    // The prompt is there while it runs.
    wait_for_line(&terminal, "");
    assert_eq!(stored(&server, "some.bin"), None);
    terminal.send("pw");
    wait_for_line(&terminal, "pw");
    let screen = terminal.wait_for("[1] ok: put some.bin");
    assert!(screen.contains("verified"), "{screen}");
    wait_for_line(&terminal, "pw");
    assert_eq!(stored(&server, "some.bin"), Some(SOME_BYTES as u64));
    // The line is whole, and can be run.
    terminal.send("d && true\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\r");
    terminal.wait_until("the folder", |screen| screen.contents().lines().any(|line| line == "/"));
    wait_for_line(&terminal, "");
    terminal.send("put nothing-there &\r");
    let screen = terminal.wait_for("[1] failed (exit code 4): put nothing-there");
    assert!(screen.contains("error not_found"), "{screen}");
    wait_for_line(&terminal, "");
    // The connection beside the transfer went without a trace.
    assert!(!terminal.screen().contains("not connected"), "{}", terminal.screen());
    terminal.send("exit\r");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn a_job_is_listed_brought_to_the_front_stopped_there_and_resumed() {
    let server = server();
    let terminal = shell(&server, SLOW);
    terminal.send("put big.bin &\r");
    terminal.wait_for("[1] in the background: put big.bin");
    let line = moving(&terminal);
    for part in ["put big.bin", "of 64.0 MiB", "%)", "/s", "eta "] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!terminal.screen().contains('█'), "no bar: {}", terminal.screen());
    terminal.send("fg\r");
    // Its bar is back.
    terminal.wait_until("the bar", |screen| {
        screen
            .contents()
            .lines()
            .any(|line| line.starts_with("big.bin") && line.contains('%'))
    });
    terminal.send("\x03");
    terminal.wait_for("paused at");
    wait_for_line(&terminal, "");
    assert_eq!(run(&terminal, "jobs"), "");
    terminal.send("exit\r");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("stop it?"), "{screen}");
    let ran = server.ferry_json("alice", &["put", "big.bin"]).expect(0);
    let open: Vec<Value> = ran.json().into_iter().filter(|event| event["event"] == "open").collect();
    assert_eq!(open[0]["code"], 1002, "{}", ran.out);
    assert!(open[0]["offset"].as_u64() > Some(0), "{}", ran.out);
}

#[test]
fn ctrl_z_sends_a_transfer_to_the_background_where_it_goes_on() {
    let server = server();
    let terminal = shell(&server, SLOW);
    terminal.send("put some.bin\r");
    terminal.wait_until("the bar", |screen| screen.contents().contains("/1.00 MiB"));
    terminal.send("\x1a");
    terminal.wait_for("[1] in the background: put some.bin");
    wait_for_line(&terminal, "");
    let left = terminal.screen();
    assert!(!left.contains("/1.00 MiB"), "its bar is gone: {left}");
    // At the prompt Ctrl-Z is a key like others.
    terminal.send("\x1apwd\r");
    terminal.wait_until("the folder", |screen| screen.contents().lines().any(|line| line == "/"));
    terminal.wait_for("[1] ok: put some.bin");
    assert_eq!(stored(&server, "some.bin"), Some(SOME_BYTES as u64));
    terminal.send("exit\r");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn wait_waits_and_ctrl_c_stops_the_waiting_only() {
    let server = server();
    let terminal = shell(&server, SLOW);
    terminal.send("put some.bin &\r");
    terminal.wait_for("[1] in the background");
    wait_for_line(&terminal, "");
    terminal.send("wait 1\r");
    // What is typed meanwhile is for the next prompt.
    terminal.send("ls\r");
    let screen = terminal.wait_until("the listing", |screen| {
        screen.contents().lines().any(|line| line == "some.bin")
    });
    let at = |text: &str| screen.find(text).unwrap();
    assert!(at("[1] ok: put some.bin") < at("\nsome.bin"), "{screen}");
    wait_for_line(&terminal, "");
    terminal.send("put big.bin &\r");
    terminal.wait_for("[1] in the background: put big.bin");
    moving(&terminal);
    terminal.send("wait\r");
    // Until the line is taken it is a key like others.
    let started = Instant::now();
    while !terminal.screen().contains("no longer waiting") {
        assert!(started.elapsed() < PATIENCE, "{}", terminal.screen());
        terminal.send("\x03");
        std::thread::sleep(Duration::from_millis(100));
    }
    // The editor drops what came together with the last of them.
    let started = Instant::now();
    while !terminal.screen().lines().any(|line| line.ends_with("/local")) {
        assert!(started.elapsed() < PATIENCE, "{}", terminal.screen());
        terminal.send("lpwd\r");
        std::thread::sleep(Duration::from_millis(500));
    }
    // Nor does it reach one in the background when there is a verb in front.
    wait_for_line(&terminal, "");
    terminal.send("put big.bin --as other.bin\r");
    terminal.wait_until("the bar", |screen| screen.contents().contains("/64.00 MiB"));
    terminal.send("\x03");
    // Which of the two depends on whether the server had answered already.
    terminal.wait_until("the interruption", |screen| {
        let shown = screen.contents();
        shown.contains("paused at") || shown.contains("error cancelled")
    });
    moving(&terminal);
    let told = run(&terminal, "kill 1");
    for part in ["[1] stopped: put big.bin", "paused at", "the same command resumes"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(run(&terminal, "fg").contains("error not_found: no job runs"));
    terminal.send("exit\r");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn leaving_asks_while_jobs_run_and_says_how_to_resume() {
    let server = server();
    let terminal = shell(&server, SLOW);
    for (name, number) in [("big.bin", 1), ("big.bin --as x.bin", 2)] {
        let told = run(&terminal, &format!("put {name} &"));
        assert_eq!(told, format!("[{number}] in the background: put {name}"));
    }
    moving(&terminal);
    terminal.send("exit\r");
    terminal.wait_for("jobs run: leave and stop them? y/N");
    terminal.send("\r");
    wait_for_line(&terminal, "");
    assert!(run(&terminal, "kill 2").contains("[2] stopped: put big.bin --as x.bin"));
    // Ctrl-C is a no as well.
    terminal.send("\x04");
    terminal.wait_for("1 job runs: leave and stop it? y/N");
    terminal.send("\x03");
    wait_for_line(&terminal, "");
    moving(&terminal);
    terminal.send("\x04");
    terminal.wait_until("the question again", |screen| {
        screen.contents().matches("1 job runs: leave").count() == 2
    });
    terminal.send("y\r");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(
        screen.contains("[1] stopped: put big.bin") && screen.contains("paused at"),
        "{screen}"
    );
}

#[test]
fn completion_and_small_verbs_have_a_connection_beside_a_transfer() {
    let server = server();
    server.ferry("alice", &["mkdir", "holiday"]).expect(0);
    let terminal = shell(&server, SLOW);
    assert_eq!(sessions(&server), 1, "none is opened before it is needed");
    terminal.send("put big.bin &\r");
    terminal.wait_for("[1] in the background: put big.bin");
    let started = Instant::now();
    while sessions(&server) < 2 {
        assert!(started.elapsed() < PATIENCE, "{}", terminal.screen());
        std::thread::sleep(Duration::from_millis(20));
    }
    wait_for_line(&terminal, "");
    terminal.send("ls hol");
    wait_for_line(&terminal, "ls hol");
    // Asked again where the machine was too busy to answer at once.
    let started = Instant::now();
    while !terminal.cursor_line().contains("ls holiday/") {
        assert!(started.elapsed() < PATIENCE, "{}", terminal.screen());
        terminal.send("\t");
        std::thread::sleep(Duration::from_millis(500));
    }
    terminal.send("\x03");
    wait_for_line(&terminal, "");
    terminal.send("ls\r");
    terminal.wait_until("the listing", |screen| {
        screen.contents().lines().any(|line| line.starts_with("holiday"))
    });
    assert_eq!(sessions(&server), 2);
    // The transfer was not disturbed.
    moving(&terminal);
    leave(terminal);
}

#[test]
fn a_job_keeps_the_folders_that_it_was_started_in() {
    let server = server();
    server.ferry("alice", &["mkdir", "deep"]).expect(0);
    std::fs::create_dir(server.local().join("elsewhere")).unwrap();
    let terminal = shell(&server, SLOW);
    terminal.send("put some.bin & cd deep\r");
    terminal.wait_for("[1] in the background: put some.bin");
    terminal.wait_for(":/deep> ");
    terminal.send("lcd elsewhere\r");
    terminal.wait_for("[1] ok: put some.bin");
    assert_eq!(
        (stored(&server, "some.bin"), stored(&server, "deep/some.bin")),
        (Some(SOME_BYTES as u64), None)
    );
    // In the background it leads nowhere.
    terminal.send("cd / &\r");
    terminal.wait_for("[1] ok: cd /");
    terminal.send("pwd\r");
    terminal.wait_until("the folder", |screen| screen.contents().lines().any(|line| line == "/deep"));
    terminal.send("lcd / &\r");
    terminal.wait_for("`lcd /` runs in front only");
    terminal.send("exit\r");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn without_an_editor_an_end_is_told_when_the_line_is_over() {
    let server = server();
    let mut command = server.client("alice", SLOW);
    command.env("TERM", "dumb");
    let terminal = at_prompt(&command);
    terminal.send("put some.bin &\r");
    terminal.wait_for("[1] in the background: put some.bin");
    wait_for_line(&terminal, "");
    // Here Ctrl-Z is a signal, and nothing is stopped by it.
    terminal.send("\x1a");
    assert!(run(&terminal, "lpwd").contains("local"));
    let started = Instant::now();
    // A signal that comes late ends the wait.
    while !terminal.screen().contains("[1] ok: put some.bin") {
        assert!(started.elapsed() < PATIENCE, "{}", terminal.screen());
        run(&terminal, "wait");
    }
    run(&terminal, "put big.bin &");
    terminal.wait_for("[1] in the background: put big.bin");
    terminal.send("\x04");
    terminal.wait_for("1 job runs: leave and stop it? y/N");
    terminal.send("y\r");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("[1] stopped: put big.bin"), "{screen}");
}

#[test]
fn ctrl_z_in_a_local_command_stops_it_and_us_as_the_users_shell_expects() {
    let server = server();
    let client = server.client("alice", &[]);
    let words = std::iter::once(client.get_program()).chain(client.get_args());
    let line: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let mut outer = Command::new("bash");
    outer.args(["--norc", "--noprofile", "-i"]).env("PS1", "OUTER$ ");
    for (name, value) in client.get_envs() {
        outer.env(name, value.unwrap_or_default());
    }
    outer.current_dir(server.local());
    let terminal = Pty::spawn(&outer);
    terminal.wait_for("OUTER$ ");
    terminal.send(&format!("{}\r", line.join(" ")));
    wait_for_line(&terminal, "");
    terminal.send("!echo has begun; sleep 600\r");
    terminal.wait_until("the command", |screen| {
        screen.contents().lines().any(|line| line == "has begun")
    });
    terminal.send("\x1a");
    terminal.wait_for("Stopped");
    terminal.send("fg\r");
    // It says what it brings back.
    terminal.wait_until("the client again", |screen| screen.contents().matches("--pin").count() > 2);
    let started = Instant::now();
    while !terminal.screen().contains("the command ended with") {
        assert!(started.elapsed() < PATIENCE, "{}", terminal.screen());
        terminal.send("\x03");
        std::thread::sleep(Duration::from_millis(200));
    }
    wait_for_line(&terminal, "");
    assert_eq!(run(&terminal, "pwd"), "/");
}

#[test]
fn a_script_waits_for_its_jobs_and_ends_with_their_code() {
    let server = server();
    write(&server.local(), "a.txt", b"a");
    let ran = server.script("alice", "put a.txt &\nput some.bin &\nwait\nls\n").expect(0);
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), ["a.txt", "some.bin"], "{ran:?}");
    server.script("alice", "put a.txt --as b.txt &\n").expect(0);
    assert_eq!(stored(&server, "b.txt"), Some(1));
    let ran = server.script("alice", "put none &\n").expect(4);
    assert!(ran.err.contains("[1] failed (exit code 4): put none"), "{ran:?}");
    server.script("alice", "put none & put nothing &\n").expect(11);
    server.script("alice", "-put none &\nput a.txt --as c.txt &\n").expect(0);
    // A wait for a job that failed is a failure.
    let ran = server
        .script("alice", "put none &\nput a.txt --as d.txt &\nwait 1\nmkdir never\n")
        .expect(4);
    assert!(!ran.err.contains("never") && stored(&server, "never").is_none(), "{ran:?}");
    assert_eq!(stored(&server, "d.txt"), Some(1));
    server.script("alice", "put none &\n-wait\nmkdir then\n").expect(0);
    assert!(stored(&server, "then").is_some());
    server.script("alice", "put 'a&' \"&\" \\&\n").expect(11);
    server.script("alice", "cd x &&\n").expect(2);
}
