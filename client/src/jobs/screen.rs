//! Where jobs print. The one in front has the terminal; what those in the background say goes above the line that is being typed, or
//! above the bars of the one in front.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use console::Term;
use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};

use crate::render::Output;

/// The most texts that wait for the end of a line without an editor; what comes after them is printed at once.
const HELD_MAX: usize = 256;
/// The longest line that is waited for, in bytes, before it is printed in pieces.
const LINE_MAX_BYTES: usize = 64 * 1024;
/// How long a job waits before it tries again to print at an editor that has not shown yet what there was: a little more often than
/// the editor looks.
const FULL_PAUSE: Duration = Duration::from_millis(20);
/// Bars are drawn so often a second, as everywhere.
const BARS_HZ: u8 = 20;

/// One of the process's own streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

impl Stream {
    fn is_terminal(self) -> bool {
        match self {
            Self::Out => io::stdout().is_terminal(),
            Self::Err => io::stderr().is_terminal(),
        }
    }

    fn write(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Out => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Self::Err => io::stderr().lock().write_all(bytes),
        }
    }
}

/// Who has the terminal.
enum At {
    /// A job in front with these bars, or nobody.
    Front(Option<MultiProgress>),
    /// An editor, which prints what it is sent above its line.
    Editor(SyncSender<String>),
    /// Somebody who must not be disturbed: a line being typed without an editor, or another program. Here is what waits.
    Held(Vec<(Stream, Vec<u8>)>),
}

/// The terminal, as those in the background see it.
pub struct Screen(Mutex<At>);

impl Default for Screen {
    fn default() -> Self {
        Self(Mutex::new(At::Front(None)))
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Screen")
    }
}

impl Screen {
    fn at(&self) -> MutexGuard<'_, At> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a job with these bars is in front, or nobody is. What was held is printed.
    pub fn front(&self, bars: Option<MultiProgress>) {
        let mut at = self.at();
        if let At::Held(held) = std::mem::replace(&mut *at, At::Front(bars)) {
            for (stream, bytes) in held {
                // Nobody reading there is no failure.
                let _ = stream.write(&bytes);
            }
        }
    }

    /// From now on an editor prints what is sent to it.
    pub fn editor(&self, printer: SyncSender<String>) {
        *self.at() = At::Editor(printer);
    }

    /// From now on nothing is to be printed, until somebody else has the terminal.
    pub fn hold(&self) {
        *self.at() = At::Held(Vec::new());
    }

    /// Prints a line for people. Blocks while an editor has more than enough to show.
    pub fn note(&self, line: &str) {
        let _ = self.print(Stream::Err, format!("{line}\n").as_bytes());
    }

    fn print(&self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        if !stream.is_terminal() {
            return stream.write(bytes);
        }
        loop {
            match &mut *self.at() {
                At::Front(None) => return stream.write(bytes),
                At::Front(Some(bars)) => return bars.suspend(|| stream.write(bytes)),
                At::Editor(printer) => match printer.try_send(String::from_utf8_lossy(bytes).into_owned()) {
                    Ok(()) => return Ok(()),
                    Err(TrySendError::Disconnected(_)) => return stream.write(bytes),
                    Err(TrySendError::Full(_)) => {}
                },
                At::Held(held) if held.len() < HELD_MAX => {
                    held.push((stream, bytes.to_vec()));
                    return Ok(());
                }
                At::Held(_) => return stream.write(bytes),
            }
            std::thread::sleep(FULL_PAUSE);
        }
    }
}

/// A stream of one job: the process's own while the job is in front, and otherwise whole lines on the screen.
struct JobStream {
    screen: Arc<Screen>,
    front: Arc<AtomicBool>,
    stream: Stream,
    /// A line without its end.
    line: Vec<u8>,
}

impl JobStream {
    fn print(&mut self, len: usize) -> io::Result<()> {
        let rest = self.line.split_off(len);
        let whole = std::mem::replace(&mut self.line, rest);
        self.screen.print(self.stream, &whole)
    }
}

impl Write for JobStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.front.load(Ordering::Acquire) {
            let line = std::mem::take(&mut self.line);
            self.stream.write(&line)?;
            self.stream.write(bytes)?;
            return Ok(bytes.len());
        }
        self.line.extend_from_slice(bytes);
        let end = self.line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = if self.line.len() - end > LINE_MAX_BYTES {
            self.line.len()
        } else {
            end
        };
        if end > 0 {
            self.print(end)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for JobStream {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            // The end of a text that has no line break at its end.
            if self.stream.is_terminal() {
                self.line.push(b'\n');
            }
            let _ = self.print(self.line.len());
        }
    }
}

/// The terminal that a job draws its bars on, as long as it is in front.
#[derive(Debug)]
struct Gate {
    term: Term,
    front: Arc<AtomicBool>,
}

impl Gate {
    fn if_open(&self, work: impl FnOnce(&Term) -> io::Result<()>) -> io::Result<()> {
        if self.front.load(Ordering::Acquire) {
            work(&self.term)
        } else {
            Ok(())
        }
    }
}

impl TermLike for Gate {
    fn width(&self) -> u16 {
        self.term.size().1
    }
    fn height(&self) -> u16 {
        self.term.size().0
    }
    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.if_open(|term| term.move_cursor_up(n))
    }
    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.if_open(|term| term.move_cursor_down(n))
    }
    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.if_open(|term| term.move_cursor_right(n))
    }
    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.if_open(|term| term.move_cursor_left(n))
    }
    fn write_line(&self, s: &str) -> io::Result<()> {
        self.if_open(|term| term.write_line(s))
    }
    fn write_str(&self, s: &str) -> io::Result<()> {
        self.if_open(|term| term.write_str(s))
    }
    fn clear_line(&self) -> io::Result<()> {
        self.if_open(Term::clear_line)
    }
    fn flush(&self) -> io::Result<()> {
        self.if_open(Term::flush)
    }
}

/// Where one job prints: as `output`, while it is in `front`.
pub(super) fn output(output: &Output, screen: &Arc<Screen>, front: &Arc<AtomicBool>) -> Output {
    let stream = |stream| {
        Box::new(JobStream {
            screen: screen.clone(),
            front: front.clone(),
            stream,
            line: Vec::new(),
        })
    };
    let target = if output.bars.is_hidden() {
        ProgressDrawTarget::hidden()
    } else {
        let gate = Gate {
            term: Term::buffered_stderr(),
            front: front.clone(),
        };
        ProgressDrawTarget::term_like_with_hz(Box::new(gate), BARS_HZ)
    };
    let bars = MultiProgress::with_draw_target(target);
    output.for_job(stream(Stream::Out), stream(Stream::Err), bars, front.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn a_job_in_the_background_prints_whole_lines() {
        // The streams of a test are no terminals, so the lines themselves are looked at.
        let mut stream = JobStream {
            screen: Arc::default(),
            front: Arc::default(),
            stream: Stream::Err,
            line: Vec::new(),
        };
        stream.screen.hold();
        stream.write_all(b"half").unwrap();
        assert_eq!(stream.line, b"half");
        stream.write_all(b" a line\nand").unwrap();
        assert_eq!(stream.line, b"and");
        stream.write_all(&vec![b'x'; LINE_MAX_BYTES]).unwrap();
        assert_eq!(stream.line, b"");
    }

    #[test]
    fn a_line_begun_in_the_background_is_ended_in_front() {
        let front = Arc::new(AtomicBool::new(false));
        let mut stream = JobStream {
            screen: Arc::default(),
            front: front.clone(),
            stream: Stream::Err,
            line: Vec::new(),
        };
        stream.write_all(b"half").unwrap();
        front.store(true, Ordering::Release);
        stream.write_all(b"").unwrap();
        stream.write_all(b"\n").unwrap();
        assert_eq!(stream.line, b"");
    }

    #[test]
    fn what_was_held_is_let_go_when_somebody_else_has_the_terminal() {
        let screen = Screen::default();
        screen.hold();
        screen.front(None);
        assert!(matches!(&*screen.at(), At::Front(None)));
        let (printer, _printed) = sync_channel(1);
        screen.editor(printer);
        assert!(matches!(&*screen.at(), At::Editor(_)));
    }
}
