//! What processes ask of the system (strace), call by call, and what a link sees of them: in numbers that do not depend on how fast the machine is.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::try_run;

/// System calls by name.
pub type Calls = BTreeMap<String, u64>;

/// How long strace may take to let go of a process.
const DETACH_MAX: Duration = Duration::from_secs(5);

/// Whether strace is there and may attach to a process; otherwise why not. To run a program it needs less: where `ptrace_scope` is 1,
/// everybody may look at his own children, and only root at others.
///
/// # Errors
/// What it said.
pub fn may_attach(pid: u32) -> Result<(), String> {
    Strace::try_attach(pid).map(|strace| drop(strace.calls()))
}

/// strace on a running process.
pub struct Strace {
    child: Child,
    log: NamedTempFile,
}

impl Strace {
    /// Looks at all threads of a process from now on, those to come too.
    ///
    /// # Panics
    /// When strace is missing or may not.
    pub fn attach(pid: u32) -> Self {
        Self::try_attach(pid).unwrap_or_else(|why| panic!("{why}"))
    }

    fn try_attach(pid: u32) -> Result<Self, String> {
        let log = log();
        let mut child = Command::new("strace")
            .args(["-f", "-o"])
            .arg(log.path())
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("strace: {error}"))?;
        let mut said = BufReader::new(child.stderr.take().ok_or("strace has no standard error")?).lines();
        let strace = Self { child, log };
        let mut refusal = "strace cannot attach".to_owned();
        for line in said.by_ref().map_while(Result::ok) {
            if line.contains("attached") {
                // Threads that come later are told of too; nobody may block on that.
                std::thread::spawn(move || said.for_each(drop));
                return Ok(strace);
            }
            refusal = format!("{refusal}: {line}");
        }
        Err(refusal)
    }

    /// Lets go; gives what it saw.
    pub fn calls(mut self) -> Calls {
        let _ = try_run("kill", &["-INT", &self.child.id().to_string()]);
        let start = Instant::now();
        // strace sometimes waits for a thread that has ended; the kernel lets go of the rest when it is killed.
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < DETACH_MAX {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        read(self.log.path())
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log() -> NamedTempFile {
    NamedTempFile::new().unwrap_or_else(|error| panic!("{error}"))
}

/// What a log of strace tells. Each call counts once, where it begins: `PID name(...` and not `PID <... name resumed>`.
pub fn read(log: &Path) -> Calls {
    let mut calls = Calls::new();
    for line in std::fs::read_to_string(log).unwrap_or_default().lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        if let Some((name, _)) = call.split_once('(')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    calls
}

/// Runs a command, which must succeed, and gives what it asked of the system from its start to its end.
pub fn calls_of(command: &Command) -> Calls {
    let log = log();
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-o"])
        .arg(log.path())
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        traced.current_dir(folder);
    }
    crate::run_with_input(&mut traced, b"").expect(0);
    read(log.path())
}

/// The sum of some calls.
pub fn sum(calls: &Calls, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| calls.get(*name)).sum()
}
