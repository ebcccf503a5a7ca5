//! Log lines, written to standard error by a thread of their own. Whoever does not read the log does not hold up the server: lines
//! beyond the queue are lost, counted, and told. And whoever makes more lines than are read is slowed down before any is lost, so
//! that nobody hides what he did behind what he did since.

mod fields;

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::rt;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;
use crate::watch::now_ms;

/// The most lines that wait. Beyond these they are lost.
const LINES_MAX: usize = 16 * 1024;
/// From so many on, a session waits before its next request.
const LINES_MANY: usize = LINES_MAX / 2;
/// How long it waits at a time.
const PAUSE: Duration = Duration::from_millis(20);
/// A log of which nothing was read for so long is given up, and nobody waits for it.
const GIVEN_UP_MS: u64 = 2_000;
/// Whoever is first waits so long for others to be written with: waking the writing thread for each costs more than a line does.
const GATHER_FOR: Duration = Duration::from_millis(2);
/// So many bytes are written at once, so that a log that is read slowly is seen to be read.
const WRITE_BYTES: usize = 64 * 1024;
/// The room that is kept for lines while there are none: what a busy server logs in [`GATHER_FOR`].
const KEPT_BYTES: usize = 256 * 1024;
/// How long the last lines are waited for at the end, as long as they are read.
const END: Duration = Duration::from_secs(10);

/// What the server's tasks and the writing thread share.
#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Rings when there is something in an empty queue, and at the end.
    came: Condvar,
    /// Lines that are in the queue or were taken from it, and are not written.
    waiting: AtomicUsize,
    lost: AtomicU64,
    /// When lines were written last, in [`now_ms`].
    moved_ms: AtomicU64,
}

/// Lines one behind the other: a line costs no allocation.
#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    lines: usize,
    is_closed: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a line into the queue, or counts it as lost.
    fn put(&self, line: &[u8]) {
        match self.waiting.fetch_add(1, Ordering::Relaxed) {
            // The clock of a log that was up to date starts now.
            0 => self.moved_ms.store(now_ms(), Ordering::Relaxed),
            LINES_MAX.. => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            _ => {}
        }
        let mut queue = self.queue();
        queue.bytes.extend_from_slice(line);
        queue.lines += 1;
        if queue.lines == 1 {
            self.came.notify_one();
        }
    }

    /// Waits for lines and takes all that are there, into an empty buffer; gives how many. `None` at the end.
    fn take(&self, lines: &mut Vec<u8>) -> Option<usize> {
        let is_idle = |queue: &mut Queue| queue.lines == 0 && !queue.is_closed;
        let mut queue = self
            .came
            .wait_while(self.queue(), is_idle)
            .unwrap_or_else(PoisonError::into_inner);
        if !queue.is_closed {
            drop(queue);
            std::thread::sleep(GATHER_FOR);
            queue = self.queue();
        }
        std::mem::swap(&mut queue.bytes, lines);
        let count = std::mem::take(&mut queue.lines);
        (count > 0).then_some(count)
    }

    fn written(&self, lines: usize) {
        self.waiting.fetch_sub(lines, Ordering::Relaxed);
        self.moved_ms.store(now_ms(), Ordering::Relaxed);
    }
}

/// Where lines go.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    shared: Arc<Shared>,
}

impl Log {
    /// A log written to `out` until what this gives is dropped.
    fn to(out: impl Write + Send + 'static, format: LogFormat) -> io::Result<(Self, End)> {
        let shared = Arc::new(Shared::default());
        let (done, is_done) = std::sync::mpsc::channel();
        let thread = {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name("ferryd-log".to_owned());
            thread.spawn(move || {
                write_all(&shared, (out, format));
                let _ = done.send(());
            })?
        };
        let log = Self { shared };
        let end = End {
            log: log.clone(),
            is_done,
            _thread: thread,
        };
        Ok((log, end))
    }

    /// Waits while too many lines wait, unless nobody reads them.
    pub(crate) async fn room(&self) {
        self.room_unless(GIVEN_UP_MS).await;
    }

    async fn room_unless(&self, given_up_ms: u64) {
        while self.shared.waiting.load(Ordering::Relaxed) > LINES_MANY {
            if self.still_ms() >= given_up_ms {
                return;
            }
            rt::sleep(PAUSE).await;
        }
    }

    /// How long nothing was read, in milliseconds.
    fn still_ms(&self) -> u64 {
        now_ms().saturating_sub(self.shared.moved_ms.load(Ordering::Relaxed))
    }

    fn is_given_up(&self) -> bool {
        self.still_ms() >= GIVEN_UP_MS
    }
}

fn write_all(shared: &Shared, (mut out, format): (impl Write, LogFormat)) {
    let mut lines = Vec::new();
    while let Some(mut left) = shared.take(&mut lines) {
        let lost = shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let told = match format {
                LogFormat::Text => format!(" WARN audit=\"lost\" lines={lost}\n"),
                LogFormat::Json => format!("{{\"level\":\"WARN\",\"fields\":{{\"audit\":\"lost\",\"lines\":{lost}}}}}\n"),
            };
            lines.extend_from_slice(told.as_bytes());
        }
        for part in lines.chunks(WRITE_BYTES) {
            // A log that is gone is nobody's failure.
            let _ = out.write_all(part);
            let count = part.iter().filter(|byte| **byte == b'\n').count().min(left);
            left -= count;
            shared.written(count);
        }
        shared.written(left);
        lines.clear();
        // What a burst took is given back.
        lines.shrink_to(KEPT_BYTES);
    }
}

/// Writes what is left when it is dropped.
#[derive(Debug)]
pub(crate) struct End {
    log: Log,
    is_done: std::sync::mpsc::Receiver<()>,
    _thread: JoinHandle<()>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.log.shared.queue().is_closed = true;
        self.log.shared.came.notify_one();
        let start = Instant::now();
        while start.elapsed() < END && !self.log.is_given_up() {
            if self.is_done.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }
}

/// Takes lines, each in one write, as `tracing-subscriber` gives them.
impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'l> MakeWriter<'l> for Log {
    type Writer = &'l Self;

    fn make_writer(&'l self) -> &'l Self {
        self
    }
}

/// Starts the log; `RUST_LOG` says how much. Keep the second to the end.
///
/// # Errors
/// There is no thread for it.
pub(crate) fn start(format: LogFormat) -> io::Result<(Log, End)> {
    let (writer, end) = Log::to(io::stderr(), format)?;
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(writer.clone());
    // A second call in one process leaves the first one's log in place.
    let _ = match format {
        LogFormat::Text => log
            .with_ansi(console::colors_enabled_stderr())
            .fmt_fields(fields::Fields)
            .try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok((writer, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// What is written to it waits until it may go on.
    struct Slow(Arc<Mutex<Vec<u8>>>, std::sync::mpsc::Receiver<()>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.1.recv();
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(log: &Log, text: &str) {
        log.make_writer().write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    #[test]
    fn lines_that_do_not_fit_are_counted_and_told() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (go, may_go) = std::sync::mpsc::channel();
        let (log, end) = Log::to(Slow(written.clone(), may_go), LogFormat::Text).unwrap();
        for _ in 0..LINES_MAX + 7 {
            line(&log, "x");
        }
        drop(go);
        drop(end);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let kept = text.lines().filter(|line| *line == "x").count();
        let lost: Vec<usize> = text
            .lines()
            .filter_map(|line| line.split_once("lines=")?.1.parse().ok())
            .collect();
        assert_eq!((kept, lost.iter().sum::<usize>()), (LINES_MAX, 7));
    }

    #[test]
    fn who_makes_more_lines_than_are_read_waits_and_not_for_ever() {
        let (go, may_go) = std::sync::mpsc::channel();
        let (log, _end) = Log::to(Slow(Arc::default(), may_go), LogFormat::Text).unwrap();
        rt::block_on(log.room());
        while log.shared.waiting.load(Ordering::Relaxed) < LINES_MANY * 3 / 2 {
            line(&log, &"x".repeat(1024));
        }
        let waits = |given_up_ms| rt::block_on(async { rt::timeout(PAUSE * 5, log.room_unless(given_up_ms)).await.is_err() });
        assert!(waits(u64::MAX));
        // Nothing is read for too long: then nobody waits.
        assert!(!waits(0));
        // Read again, it has room.
        for _ in 0..LINES_MAX {
            let _ = go.send(());
        }
        rt::block_on(log.room_unless(u64::MAX));
    }
}
