//! The pager: what does not fit the screen goes through `$FERRY_PAGER`, the config's `pager`, `$PAGER` or `less`, as it comes.
//!
//! Only what a verb answers is paged, only on a terminal, and only where a person types: the program says so. Up to a screenful is
//! gathered and printed as if there were no pager.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_channel::{Receiver, Sender};
use console::measure_text_width;
use ferry_core::rt;

use crate::jobs::quiet;

/// What is gathered for the pager while somebody reads, in bytes: a listing of a hundred thousand names. Beyond it the server has
/// to wait, and a server gives up a connection that does not take what it sends for a while.
const AHEAD_MAX_BYTES: usize = 8 << 20;
/// Lines for people that wait until the pager is gone; later ones are dropped.
const HELD_MAX: usize = 1000;
/// How a shell ends when it cannot run what it was told to.
const NOT_RUN: [i32; 2] = [126, 127];

/// Pages what one command prints.
#[derive(Debug, Default)]
pub struct Pager {
    is_allowed: AtomicBool,
    /// The command that the user's config names.
    line: OnceLock<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    /// Things are printed as they come.
    #[default]
    Off,
    /// Whether there will be more than a screenful is not known yet.
    Gathering(Gathering),
    /// The pager has the terminal.
    Running(Running),
}

#[derive(Debug, Default)]
struct Gathering {
    text: Vec<u8>,
    held: Vec<String>,
    lines: usize,
    height: usize,
    width: usize,
}

#[derive(Debug)]
struct Running {
    pieces: Sender<Vec<u8>>,
    /// Bytes that the pager has not taken yet.
    ahead: Arc<AtomicUsize>,
    /// Hears when the pager took something; closed when it is gone.
    taken: Receiver<()>,
    /// Closed when the pager is gone; nothing ever comes.
    gone: Receiver<()>,
    /// Gives the exit code of the pager.
    ended: rt::Task<Option<i32>>,
    held: Vec<String>,
}

/// What became of something that was to be printed.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is kept, or on its way to the pager.
    Kept,
    /// The same, and from now on the terminal is the pager's.
    Started,
    /// This is to be printed now.
    Print(Vec<u8>),
    /// The user has left the pager: nobody wants more.
    Left,
}

/// What is to be printed when a command is over.
#[derive(Debug, Default)]
pub struct Ended {
    /// All of its output, when it fits the screen.
    pub text: Vec<u8>,
    /// Lines for people that came meanwhile.
    pub held: Vec<String>,
    /// Whether the pager had the terminal.
    pub was_running: bool,
    /// Whether the user left the pager before the command was over.
    pub has_left: bool,
}

impl Pager {
    fn chosen(&self) -> Option<Command> {
        chosen(self.line.get())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, long output may be paged.
    pub fn allow(&self) {
        self.is_allowed.store(true, Ordering::Relaxed);
    }

    /// Names the command where the variable `FERRY_PAGER` does not; empty means none. The first one counts.
    pub fn prefer(&self, line: Option<String>) {
        if let Some(line) = line {
            let _ = self.line.set(line);
        }
    }

    /// Another one of the same kind, which pages nothing yet.
    pub(crate) fn again(&self) -> Self {
        Self {
            is_allowed: AtomicBool::new(self.is_allowed()),
            line: self.line.clone(),
            state: Mutex::default(),
        }
    }

    /// Whether long output may be paged.
    pub fn is_allowed(&self) -> bool {
        self.is_allowed.load(Ordering::Relaxed)
    }

    /// What comes now may be paged, on a terminal of that many lines and columns.
    pub fn begin(&self, (height, width): (u16, u16)) {
        let mut state = self.state();
        if self.is_allowed() && matches!(*state, State::Off) && self.chosen().is_some() {
            *state = State::Gathering(Gathering {
                height: height.max(1).into(),
                width: width.max(1).into(),
                ..Gathering::default()
            });
        }
    }

    /// Takes what is to be printed, unless nothing is paged.
    pub fn write(&self, bytes: &[u8]) -> Taken {
        let mut state = self.state();
        match &mut *state {
            State::Off => Taken::Print(bytes.to_vec()),
            State::Running(running) => running.write(bytes),
            State::Gathering(gathering) => {
                gathering.add(bytes);
                if gathering.lines < gathering.height {
                    return Taken::Kept;
                }
                let gathered = std::mem::take(gathering);
                match self.chosen().and_then(start) {
                    Some(mut running) => {
                        running.held = gathered.held;
                        running.write(&gathered.text);
                        *state = State::Running(running);
                        Taken::Started
                    }
                    None => {
                        *state = State::Off;
                        Taken::Print(gathered.text)
                    }
                }
            }
        }
    }

    /// Keeps a line for people until the command is over; whether it did.
    pub fn hold(&self, line: &str) -> bool {
        let mut state = self.state();
        let held = match &mut *state {
            State::Off => return false,
            State::Gathering(gathering) => &mut gathering.held,
            State::Running(running) => &mut running.held,
        };
        if held.len() < HELD_MAX {
            held.push(line.to_owned());
        }
        true
    }

    /// Waits until the pager has room for more.
    pub async fn room(&self) {
        loop {
            let taken = match &*self.state() {
                State::Running(running) if running.ahead.load(Ordering::Acquire) > AHEAD_MAX_BYTES => running.taken.clone(),
                _ => return,
            };
            if taken.recv().await.is_err() {
                return;
            }
        }
    }

    /// Waits until the user has left the pager; without end where there is none.
    pub async fn left(&self) {
        let gone = match &*self.state() {
            State::Running(running) => Some(running.gone.clone()),
            _ => None,
        };
        match gone {
            Some(gone) => drop(gone.recv().await),
            None => futures_lite::future::pending().await,
        }
    }

    /// The command is over: waits until the user has seen enough.
    pub async fn end(&self) -> Ended {
        let state = std::mem::take(&mut *self.state());
        match state {
            State::Off => Ended::default(),
            State::Gathering(gathering) => Ended {
                text: gathering.text,
                held: gathering.held,
                ..Ended::default()
            },
            State::Running(running) => {
                let Running {
                    pieces,
                    gone,
                    ended,
                    held,
                    ..
                } = running;
                let has_left = gone.is_closed();
                drop(pieces);
                let code = ended.await;
                let mut held = held;
                if code.is_none_or(|code| NOT_RUN.contains(&code)) {
                    held.push(
                        "ferry: the pager could not be run; FERRY_PAGER names another, and none when it is empty".to_owned(),
                    );
                }
                Ended {
                    held,
                    was_running: true,
                    has_left,
                    ..Ended::default()
                }
            }
        }
    }
}

impl Gathering {
    fn add(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for line in text.split_inclusive('\n') {
            let wide = measure_text_width(line.trim_end_matches('\n')).saturating_sub(1) / self.width;
            self.lines += wide + usize::from(line.ends_with('\n'));
        }
        self.text.extend_from_slice(bytes);
    }
}

impl Running {
    fn write(&self, bytes: &[u8]) -> Taken {
        if self.gone.is_closed() {
            return Taken::Left;
        }
        self.ahead.fetch_add(bytes.len(), Ordering::AcqRel);
        match self.pieces.try_send(bytes.to_vec()) {
            Ok(()) => Taken::Kept,
            Err(_) => Taken::Left,
        }
    }
}

/// The pager that the user has chosen, or the usual one where it is there.
fn chosen(line: Option<&String>) -> Option<Command> {
    let chosen = std::env::var_os("FERRY_PAGER")
        .or_else(|| line.map(OsString::from))
        .or_else(|| std::env::var_os("PAGER"));
    let mut command = match chosen {
        Some(line) if line.as_bytes().trim_ascii().is_empty() => return None,
        Some(line) => {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(line);
            command
        }
        None => {
            let path = std::env::var_os("PATH")?;
            let less = std::env::split_paths(&path).map(|folder| folder.join("less"));
            let mut command = Command::new(less.into_iter().find(|file| file.is_file())?);
            command.arg("-FRX");
            command
        }
    };
    // What is printed is UTF-8, whatever the locale says.
    for (name, value) in [("LESS", "FRX"), ("LESSCHARSET", "utf-8"), ("LV", "-c")] {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    Some(command)
}

/// Starts the pager, with what feeds it and what waits for its end; none when it does not start.
fn start(mut command: Command) -> Option<Running> {
    quiet::lift();
    let mut child = command.stdin(Stdio::piped()).spawn().ok()?;
    let input = child.stdin.take()?;
    let (pieces, queue) = async_channel::unbounded();
    let (took, taken) = async_channel::bounded(1);
    let (goes, gone) = async_channel::bounded(1);
    let ahead = Arc::new(AtomicUsize::new(0));
    let rest = ahead.clone();
    let open = queue.clone();
    drop(rt::spawn(rt::unblock(move || feed(input, &queue, &rest, &took))));
    let ended = rt::spawn(rt::unblock(move || wait(child, &open, goes)));
    Some(Running {
        pieces,
        ahead,
        taken,
        gone,
        ended,
        held: Vec::new(),
    })
}

/// Writes what comes, up to its end or the pager's.
fn feed(mut input: ChildStdin, queue: &Receiver<Vec<u8>>, ahead: &AtomicUsize, took: &Sender<()>) {
    while let Ok(piece) = queue.recv_blocking() {
        if input.write_all(&piece).is_err() {
            return;
        }
        ahead.fetch_sub(piece.len(), Ordering::AcqRel);
        // One word that waits is as good as two.
        let _ = took.try_send(());
    }
}

/// Waits for the pager's end, and lets nobody wait for it to take more.
fn wait(mut child: Child, queue: &Receiver<Vec<u8>>, goes: Sender<()>) -> Option<i32> {
    let status = child.wait();
    drop(goes);
    queue.close();
    // What nobody reads any more is not kept.
    while queue.try_recv().is_ok() {}
    status.ok().map(|status| status.code().unwrap_or(0))
}

#[cfg(test)]
mod tests;
