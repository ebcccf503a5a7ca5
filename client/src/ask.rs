//! Questions that only a person can answer, on the terminal. Ctrl-C leaves the terminal as it was.

use std::io::{self, IsTerminal as _};
use std::os::fd::OwnedFd;

use ferry_core::fingerprint::Fingerprint;
use ferry_core::rt;
use ferry_core::text::escape;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};

use crate::exit::{Failure, Result};
use crate::options::Target;
use crate::trust::Trust;

/// The longest answer, in bytes: the longest line that a terminal of Linux gives.
const ANSWER_MAX_BYTES: usize = 4096;

/// Whether there is somebody to ask.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal() && console::Term::stderr().is_term()
}

/// Asks for a password, and says first why, when that is not plain. Waits for the user.
///
/// # Errors
/// Exit code 3 when nothing is answered. Ctrl-C is for the caller to see: it drops this future.
pub(crate) async fn password(user: &str, host: &str, why: Option<&str>) -> Result<String> {
    let name = escape(format!("{user}@{host}").as_bytes());
    let why = why.map(|why| format!("{why}\n")).unwrap_or_default();
    let answer = answer(&format!("{why}password of {name}: "), Echo::Off).await?;
    answer.ok_or_else(|| Failure::login("no password was given"))
}

/// Asks whether a server's key is the right one, and writes it down when it is. Waits for the user.
///
/// # Errors
/// Exit code 3 for anything but yes. Ctrl-C is for the caller to see: it drops this future.
pub(crate) async fn about_key(trust: &Trust, target: &Target, key: Fingerprint) -> Result<()> {
    let host = escape(target.host.as_bytes());
    let question = format!(
        "The key of {host}:{} is not known yet:\n  {key}\nIs it the one that the server printed at its start? Type yes to trust it: ",
        target.port
    );
    let answer = answer(&question, Echo::On).await?;
    if !answer.is_some_and(|answer| answer.trim().eq_ignore_ascii_case("yes")) {
        return Err(Failure::login(format!("{host}:{}: its key was not accepted", target.port)));
    }
    let (trust, target) = (trust.clone(), target.clone());
    rt::unblock(move || trust.learn(&target, key)).await
}

/// Asks something that only `y` or `yes` agrees to. Waits for the user.
///
/// # Errors
/// When there is no terminal. Ctrl-C is for the caller to see: it drops this future.
pub(crate) async fn yes(question: &str) -> Result<bool> {
    Ok(answer(question, Echo::On).await?.is_some_and(|answer| is_yes(&answer)))
}

/// Whether an answer agrees.
pub(crate) fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

/// Whether the terminal shows what is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Echo {
    On,
    Off,
}

/// A question that waits for its answer. Dropping it ends the wait and makes the terminal what it was.
struct Question {
    before: Option<Termios>,
    is_answered: bool,
    /// Nothing is ever written to it: its end ends the wait.
    _stop: OwnedFd,
}

impl Question {
    /// Prepares the terminal; what was typed before the question is seen is no answer to it. Gives what tells the reader to stop.
    fn new(echo: Echo) -> io::Result<(Self, OwnedFd)> {
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC)?;
        let terminal = io::stdin();
        let mut before = None;
        if echo == Echo::Off {
            let mut quiet = tcgetattr(&terminal)?;
            before = Some(quiet.clone());
            quiet.local_modes.remove(LocalModes::ECHO);
            // The end of the line is shown all the same.
            quiet.local_modes.insert(LocalModes::ECHONL);
            tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
        } else {
            tcflush(&terminal, QueueSelector::IFlush)?;
        }
        let question = Self {
            before,
            is_answered: false,
            _stop: stop,
        };
        Ok((question, stopped))
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs no care.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
        if !self.is_answered {
            let _ = console::Term::stderr().write_str("\n");
        }
    }
}

/// Writes a question and waits for a line; `None` at the end of the input.
async fn answer(text: &str, echo: Echo) -> Result<Option<String>> {
    let failed = |error| Failure::local("terminal", error);
    let (mut question, stopped) = Question::new(echo).map_err(failed)?;
    console::Term::stderr().write_str(text).map_err(failed)?;
    let line = rt::unblock(move || read_line(&stopped)).await.map_err(failed)?;
    question.is_answered = line.is_some();
    Ok(line)
}

/// Reads a line of the terminal, until the other end of `stopped` is gone. Not through the buffer of standard input, whose lock would be
/// kept while it waits.
fn read_line(stopped: &OwnedFd) -> io::Result<Option<String>> {
    let terminal = io::stdin();
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut ready = [PollFd::new(&terminal, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut ready, None) {
            Err(Errno::INTR) => continue,
            result => result?,
        };
        if !ready[1].revents().is_empty() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut bytes = [0; ANSWER_MAX_BYTES];
        match rustix::io::read(&terminal, &mut bytes) {
            Err(Errno::INTR) => continue,
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            result => line.extend_from_slice(&bytes[..result?]),
        }
        if line.len() > ANSWER_MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
        }
    }
    let line = String::from_utf8(line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the answer is not UTF-8"))?;
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}
