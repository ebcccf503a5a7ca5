//! A terminal that does not show what is typed while a verb is in front: `^C` and `^Z` would stand in the middle of its bars. What is
//! typed waits for the next prompt.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::{InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Whether the terminal is quiet just now.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Dropping it makes the terminal what it was.
pub(super) struct Quiet(Option<Termios>);

impl Quiet {
    /// Makes the terminal of standard input quiet, when there is one.
    pub(super) fn new() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHO);
            // So that the editor sees Enter as it is: of several lines that end otherwise it would take the first and drop the rest.
            quiet.input_modes.remove(InputModes::ICRNL);
            IS_QUIET.store(true, Ordering::Release);
            // One that cannot be made quiet is one with marks in its bars.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &quiet);
        }
        Self(before)
    }
}

/// Gives a program of the user's, such as a pager, a terminal as he knows it, to the end of the verb in front.
pub(crate) fn lift() {
    if IS_QUIET.swap(false, Ordering::AcqRel)
        && let Ok(mut modes) = tcgetattr(io::stdin())
    {
        modes.local_modes.insert(LocalModes::ECHO);
        modes.input_modes.insert(InputModes::ICRNL);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        IS_QUIET.store(false, Ordering::Release);
        if let Some(before) = &self.0 {
            // A terminal that is gone needs no care.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
