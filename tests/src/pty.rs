//! A program at a terminal: what a person would type goes in, and what a person would see can be looked at.
//!
//! `portable-pty` gives the program a terminal that is its controlling one, so that Ctrl-C is a signal, without a line of unsafe code here;
//! `vt100` is the screen. Neither waits for anything, so that is done here: for what is on the screen, and never by the clock.

use std::io::{Read as _, Write};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use vt100::{Callbacks, Parser, Screen};

/// How long anything may take that is waited for: much longer than it takes on a busy machine.
const WITHIN: Duration = Duration::from_secs(30);
/// What terminals of today call themselves; a command may say otherwise.
const TERM: &str = "xterm-256color";

/// The size of a terminal, in cells.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Lines.
    pub rows: NonZeroU16,
    /// Columns.
    pub columns: NonZeroU16,
}

impl Size {
    /// So many lines of so many columns; at least one of each.
    pub fn new(rows: u16, columns: u16) -> Self {
        let at_least_one = |count| NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN);
        Self {
            rows: at_least_one(rows),
            columns: at_least_one(columns),
        }
    }
}

impl Default for Size {
    /// Wide enough that no line of ours is broken, and high enough that nothing is moved out of sight.
    fn default() -> Self {
        Self::new(50, 200)
    }
}

/// What a terminal says by itself when it is asked: where its cursor is.
#[derive(Default)]
struct Answers(Vec<u8>);

impl Callbacks for Answers {
    fn unhandled_csi(&mut self, screen: &mut Screen, i1: Option<u8>, _: Option<u8>, params: &[&[u16]], last: char) {
        if i1.is_none() && last == 'n' && params == [&[6][..]] {
            let (row, column) = screen.cursor_position();
            self.0
                .extend_from_slice(format!("\x1b[{};{}R", row + 1, column + 1).as_bytes());
        }
    }
}

struct State {
    parser: Parser<Answers>,
    /// Whether nobody has the terminal open any more.
    is_over: bool,
}

/// What the thread that reads shares with whoever waits.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    keys: Mutex<Box<dyn Write + Send>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn type_in(&self, bytes: &[u8]) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        // A program that is gone is for the test to notice by its exit code.
        let _ = keys.write_all(bytes).and_then(|()| keys.flush());
    }

    fn show(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.parser.process(bytes);
        let answers = std::mem::take(&mut state.parser.callbacks_mut().0);
        drop(state);
        self.changed.notify_all();
        if !answers.is_empty() {
            self.type_in(&answers);
        }
    }
}

/// A program that runs at a terminal of its own. Dropping it ends the program.
pub struct Pty {
    child: Box<dyn Child + Send + Sync>,
    shared: Arc<Shared>,
    /// The terminal lasts as long as this.
    master: Box<dyn MasterPty + Send>,
}

impl Pty {
    /// Starts a command, with its arguments, variables and folder, at a terminal of the usual size.
    pub fn spawn(command: &Command) -> Self {
        Self::spawn_at(command, Size::default())
    }

    /// The same at a terminal of that size.
    pub fn spawn_at(command: &Command, size: Size) -> Self {
        let pair = native_pty_system()
            .openpty(pty_size(size))
            .unwrap_or_else(|error| panic!("{error}"));
        let child = pair
            .slave
            .spawn_command(builder(command))
            .unwrap_or_else(|error| panic!("{error}"));
        // Ours too would keep the terminal open.
        drop(pair.slave);
        let writer = pair.master.take_writer().unwrap_or_else(|error| panic!("{error}"));
        let mut reader = pair.master.try_clone_reader().unwrap_or_else(|error| panic!("{error}"));
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                parser: Parser::new_with_callbacks(size.rows, size.columns, 0, Answers::default()),
                is_over: false,
            }),
            changed: Condvar::new(),
            keys: Mutex::new(writer),
        });
        let shows = shared.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Linux says with an error that a terminal is closed.
            while let Ok(len) = reader.read(&mut bytes)
                && len > 0
            {
                shows.show(&bytes[..len]);
            }
            shows.state().is_over = true;
            shows.changed.notify_all();
        });
        Self {
            child,
            shared,
            master: pair.master,
        }
    }

    /// Its process; 0 when it has none any more.
    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap_or(0)
    }

    /// Types something: `\r` is Enter, `\x03` Ctrl-C, `\x04` Ctrl-D, `\t` Tab.
    pub fn send(&self, keys: &str) {
        self.shared.type_in(keys.as_bytes());
    }

    /// Makes the terminal larger or smaller, as a window would.
    pub fn resize(&self, size: Size) {
        self.master.resize(pty_size(size)).unwrap_or_else(|error| panic!("{error}"));
        self.shared.state().parser.screen_mut().set_size(size.rows, size.columns);
    }

    /// What is on the screen now: its lines, without blanks at their ends.
    pub fn screen(&self) -> String {
        self.shared.state().parser.screen().contents()
    }

    /// The line that the cursor is in now, without blanks at its end.
    pub fn cursor_line(&self) -> String {
        cursor_line(self.shared.state().parser.screen())
    }

    /// Waits until this is on the screen; gives the screen.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contents().contains(text))
    }

    /// Waits until the screen is as `is_so` says; gives the screen. `what` is for the message when that does not come.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Screen) -> bool) -> String {
        let waits = |state: &mut State| !is_so(state.parser.screen()) && !state.is_over;
        let waited = self.shared.changed.wait_timeout_while(self.shared.state(), WITHIN, waits);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let screen = state.parser.screen();
        let shown = screen.contents();
        assert!(is_so(screen), "{what} does not come (over: {}):\n{shown}", state.is_over);
        shown
    }

    /// Waits until the program has ended; gives its exit code, 128 for a signal, and what it left on the screen.
    #[track_caller]
    pub fn end(mut self) -> (i32, String) {
        let started = Instant::now();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.shared.state(), WITHIN, |state| !state.is_over);
        let is_over = waited.unwrap_or_else(PoisonError::into_inner).0.is_over;
        let shown = self.screen();
        assert!(is_over, "the program does not end:\n{shown}");
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.signal().is_some() => return (128, format!("{status}\n{shown}")),
                Ok(Some(status)) => return (i32::try_from(status.exit_code()).unwrap_or(-1), shown),
                _ if started.elapsed() > WITHIN * 2 => panic!("the program does not end:\n{shown}"),
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The line of a screen that the cursor is in, without blanks at its end.
pub fn cursor_line(screen: &Screen) -> String {
    let (row, columns) = (screen.cursor_position().0, screen.size().1);
    let line = screen.rows(0, columns.into()).nth(row.into()).unwrap_or_default();
    line.trim_end().to_owned()
}

fn pty_size(size: Size) -> PtySize {
    PtySize {
        rows: size.rows.get(),
        cols: size.columns.get(),
        pixel_width: 0,
        pixel_height: 0,
    }
}

/// The same command in the terms of the other crate.
fn builder(command: &Command) -> CommandBuilder {
    let mut builder = CommandBuilder::new(command.get_program());
    builder.args(command.get_args());
    builder.env("TERM", TERM);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => builder.env(name, value),
            None => builder.env_remove(name),
        }
    }
    if let Some(folder) = command.get_current_dir() {
        builder.cwd(folder);
    }
    builder
}
