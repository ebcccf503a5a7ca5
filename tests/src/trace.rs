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

/// What was seen of a process.
#[derive(Debug, Default)]
pub struct Seen {
    /// How often each call was made.
    pub calls: Calls,
    /// What each call returned, added up, failures left out: bytes, for those that read and write.
    pub results: Calls,
}

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

    /// Lets go; gives the calls it saw.
    pub fn calls(self) -> Calls {
        self.seen().calls
    }

    /// Lets go; gives all it saw.
    pub fn seen(mut self) -> Seen {
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

/// What a log of strace tells. Each call counts once, where it begins: `PID name(...` and not `PID <... name resumed>`; its result stands where it
/// ends.
pub fn read(log: &Path) -> Seen {
    told(&std::fs::read_to_string(log).unwrap_or_default())
}

fn told(log: &str) -> Seen {
    let mut seen = Seen::default();
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    for line in log.lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let resumed = call.strip_prefix("<... ").and_then(|call| call.split_once(" resumed>"));
        let Some((name, rest)) = resumed.or_else(|| call.split_once('(').filter(|(name, _)| is_name(name))) else {
            continue;
        };
        if resumed.is_none() {
            *seen.calls.entry(name.to_owned()).or_default() += 1;
        }
        // What is not over yet has contents in it at most, and those may look like a result.
        if rest.ends_with("<unfinished ...>") {
            continue;
        }
        let result = rest.rsplit_once(" = ").and_then(|(_, result)| result.split(' ').next());
        if let Some(result) = result.and_then(|result| result.parse::<u64>().ok()) {
            *seen.results.entry(name.to_owned()).or_default() += result;
        }
    }
    seen
}

/// Runs a command, which must succeed, and gives what it asked of the system from its start to its end.
pub fn seen_of(command: &Command) -> Seen {
    let log = log();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o"]).arg(log.path());
    crate::run_with_input(&mut under(strace, command), b"").expect(0);
    read(log.path())
}

/// A command run by another program, in its folder and with its environment.
pub fn under(mut by: Command, command: &Command) -> Command {
    by.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => by.env(name, value),
            None => by.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        by.current_dir(folder);
    }
    by
}

/// The sum of some calls.
pub fn sum(calls: &Calls, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| calls.get(*name)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_count_where_they_begin_and_results_where_they_end() {
        let seen = told(
            "7 read(3, \"a\"..., 524288) = 524288\n\
             7 write(4, \"b = 99\", 6 <unfinished ...>\n\
             8 read(3,  <unfinished ...>\n\
             7 <... write resumed>)                    = 6\n\
             8 <... read resumed>\"x = 7\", 10) = 5\n\
             8 read(3, 0x7f, 10) = -1 EAGAIN (Resource temporarily unavailable)\n\
             7 +++ exited with 0 +++\n",
        );
        assert_eq!((sum(&seen.calls, &["read"]), sum(&seen.calls, &["write"])), (3, 1));
        assert_eq!((sum(&seen.results, &["read"]), sum(&seen.results, &["write"])), (524_293, 6));
        assert_eq!(seen.calls.len(), 2);
    }
}
