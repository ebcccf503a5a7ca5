//! docs/EXTENDING.md is carried out from top to bottom in an empty folder: its commands, its files, and what is seen at the terminal. So it cannot rot.
//!
//! Marks, each a comment in front of a block: `file: PATH` is written there, `shown: PATH` is found there, `shell: COMMAND` is typed into the shell that the
//! command starts, `fails` ends with a command that fails. A block of commands without a mark has to work. In answers a line `...` stands for any lines, and
//! `...` in a line for anything.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ferry_tests::custom::{self, Strangers};
use ferry_tests::pty::{Pty, Size};
use ferry_tests::{PATIENCE, program, without_package};

/// How long a command may take: it may build a server on a busy machine.
const COMMAND: Duration = Duration::from_secs(600);
/// What a prompt of the shell starts with.
const PROMPT: &str = "you@127.0.0.1:/";
/// Stands behind the output of a command, before its exit code.
const END: &str = "--- the command has ended with ";
/// The port that the page speaks of; the test takes one that is free.
const PORT: &str = "7171";
const PACKAGES: &[&str] = &[
    "my-server",
    "ferry-hello",
    "ferry-large",
    "ferry-count",
    "ferry-lines",
    "ferry-keep",
    "ferry-primes",
];

/// A fenced block: its mark, its language, its text.
#[derive(Debug)]
struct Block {
    line: usize,
    mark: String,
    language: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut mark = String::new();
    let mut open: Option<Block> = None;
    for (at, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, Some(language)) => {
                open = Some(Block {
                    line: at + 1,
                    mark: std::mem::take(&mut mark),
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (None, None) => {
                if let Some(comment) = line.strip_prefix("<!-- ") {
                    mark = comment.trim_end_matches(" -->").to_owned();
                }
            }
        }
    }
    assert!(open.is_none() && mark.is_empty(), "the page ends in a block: {open:?} {mark}");
    found
}

/// Whether a line is what a pattern says.
fn fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split("...");
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether an answer is what the page shows.
fn is_shown(shown: &[&str], seen: &[&str]) -> bool {
    match shown.split_first() {
        None => seen.is_empty(),
        Some((&"...", rest)) => (0..=seen.len()).any(|skipped| is_shown(rest, &seen[skipped..])),
        Some((first, rest)) => seen
            .split_first()
            .is_some_and(|(line, seen)| fits(first, line) && is_shown(rest, seen)),
    }
}

/// Commands with what the page shows behind each.
fn steps<'t>(text: &'t str, prompt: &str) -> Vec<(&'t str, Vec<&'t str>)> {
    let mut steps: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        let typed = line
            .starts_with(prompt)
            .then(|| line.split_once("> ").filter(|_| prompt == PROMPT));
        match (typed, steps.last_mut()) {
            (Some(Some((_, typed))), _) => steps.push((typed, Vec::new())),
            (Some(None), _) => steps.push((line.strip_prefix(prompt).unwrap(), Vec::new())),
            (None, Some((_, shown))) => shown.push(line),
            (None, None) => panic!("an answer without a command: {line}"),
        }
    }
    steps
}

/// Variables of whoever reads the page.
fn reader(command: &mut Command, folder: &Path) {
    let programs = program("ferryd").parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    without_package(command);
    command
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("CARGO_TARGET_DIR", programs.parent().unwrap())
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TERM_COLOR", "never")
        .env("FERRY_ALLOW_ROOT", "1")
        .env("FERRY_COMPLETION_SECONDS", "60")
        .env("FERRY_KNOWN_HOSTS", folder.join(".known_hosts"))
        .env("XDG_CONFIG_HOME", folder.join(".config"))
        .env("XDG_STATE_HOME", folder.join(".state"));
    for variable in ["FERRY_PASSWORD", "FERRY_CONFIG", "FERRY_DATA"] {
        command.env_remove(variable);
    }
}

/// A terminal's shell that lives as long as the page.
struct Bash {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Bash {
    fn new(folder: &Path) -> Self {
        let mut command = Command::new("bash");
        reader(&mut command, folder);
        let mut child = command
            .args(["--norc", "--noprofile"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"exec 2>&1\n").unwrap();
        Self { child, stdin, lines }
    }

    /// Runs a command; gives its output and exit code.
    fn run(&mut self, command: &str) -> (Vec<String>, i32) {
        // Its input is not ours.
        writeln!(self.stdin, "{{ {command}\n}} < /dev/null; code=$?; echo; echo \"{END}$code\"").unwrap();
        let mut seen = Vec::new();
        loop {
            let line = self
                .lines
                .recv_timeout(COMMAND)
                .unwrap_or_else(|error| panic!("{command}: {error}: {seen:#?}"));
            if let Some(code) = line.strip_prefix(END) {
                // The line break that is in front of the end in any case.
                if seen.last().is_some_and(String::is_empty) {
                    seen.pop();
                }
                return (seen, code.parse().unwrap());
            }
            seen.push(line.trim_end().to_owned());
        }
    }
}

impl Drop for Bash {
    fn drop(&mut self) {
        let _ = writeln!(self.stdin, "kill $(jobs -p) 2> /dev/null; exit");
        let _ = self.child.wait();
    }
}

/// Runs a block of commands.
fn run(bash: &mut Bash, block: &Block, port: u16) {
    let text = block.text.replace(PORT, &port.to_string());
    let steps = steps(&text, "$ ");
    for (number, (command, shown)) in steps.iter().enumerate() {
        let (seen, code) = bash.run(command);
        let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
        let fails = block.mark == "fails" && number + 1 == steps.len();
        assert!(
            (code != 0) == fails && is_shown(shown, &seen),
            "line {}: `{command}` ended with {code} and said\n{}\nnot\n{}",
            block.line,
            seen.join("\n"),
            shown.join("\n")
        );
        if command.ends_with('&') {
            let start = Instant::now();
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(start.elapsed() < PATIENCE, "line {}: nobody listens", block.line);
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Types the lines of a block into the shell that a command starts, each when the answer to the one before is there.
fn type_in(folder: &Path, block: &Block, command: &str) {
    let mut shell = Command::new("bash");
    reader(shell.args(["-c", command]), folder);
    let pty = Pty::spawn_at(&shell, Size::new(200, 120));
    let steps = steps(&block.text, PROMPT);
    for (number, (typed, _)) in steps.iter().enumerate() {
        pty.wait_until("the prompt", |screen| {
            let shown = screen.contents();
            let prompts = shown.lines().filter(|line| line.starts_with(PROMPT)).count();
            let last = shown.lines().last().unwrap_or_default();
            prompts == number + 1 && last.starts_with(PROMPT) && last.trim_end().ends_with('>')
        });
        pty.send(&format!("{typed}\r"));
    }
    let (code, screen) = pty.end();
    let from = screen.find(PROMPT).unwrap_or_default();
    let seen: Vec<&str> = screen[from..].trim_end().lines().map(str::trim_end).collect();
    let shown: Vec<&str> = block.text.lines().collect();
    assert!(
        code == 0 && is_shown(&shown, &seen),
        "line {}: {code}, not what is seen:\n{screen}",
        block.line
    );
}

#[test]
fn the_page_is_carried_out_from_top_to_bottom() {
    let page = std::fs::read_to_string(custom::root().join("docs/EXTENDING.md")).unwrap();
    let strangers = Strangers::new(PACKAGES);
    let folder = strangers.path().canonicalize().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut bash = Bash::new(&folder);
    let blocks = blocks(&page);
    assert!(blocks.len() > 15);
    for block in &blocks {
        let (kind, rest) = block.mark.split_once(": ").unwrap_or((&block.mark, ""));
        match (kind, block.language.as_str()) {
            ("file", _) => std::fs::write(folder.join(rest), &block.text).unwrap(),
            ("shown", _) => {
                let file = std::fs::read_to_string(folder.join(rest)).unwrap();
                assert!(file.contains(&block.text), "line {}: {rest} is\n{file}", block.line);
            }
            ("shell", "console") => {
                // Built before, for nobody waits for a prompt as long as for a build.
                let (seen, code) = bash.run("cargo build -q --workspace");
                assert_eq!(code, 0, "{seen:#?}");
                type_in(&folder, block, rest);
            }
            ("" | "fails", "console") => run(&mut bash, block, port),
            _ => panic!("line {}: nothing checks this block", block.line),
        }
    }
    // What the reader has at the end keeps the rules of the house, too.
    let (seen, code) = bash.run("cargo fmt --all --check && cargo clippy -q --workspace --all-targets -- -D warnings");
    assert_eq!(code, 0, "{seen:#?}");
}

#[test]
fn what_is_left_out_stands_for_anything_and_nothing_else_does() {
    assert!(is_shown(&["a", "...", "b"], &["a", "b"]) && is_shown(&["...", "b...d"], &["a", "b c d"]));
    assert!(!is_shown(&["a"], &["a", "b"]) && !is_shown(&["a", "b"], &["a"]) && !is_shown(&["a...c"], &["a b"]));
    assert!(fits("test x ... ok", "test x ... ok") && !fits("test x ... ok", "test x ... FAILED") && !fits("ab...b", "ab"));
    let page = "text\n\n<!-- file: a/b -->\n```rust\nfn x() {}\n```\n```console\n$ a\nb\n```\n";
    let found = blocks(page);
    assert_eq!((found[0].mark.as_str(), found[0].text.as_str()), ("file: a/b", "fn x() {}\n"));
    assert_eq!(steps(&found[1].text, "$ "), [("a", vec!["b"])]);
    assert_eq!(steps("you@127.0.0.1:/x> ls -l\nc\n", PROMPT), [("ls -l", vec!["c"])]);
}
