//! Progress: a bar on standard error where it is a terminal, events for programs, and what to say when a transfer is stopped.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferry_core::text::escape;
use ferry_core::wire::message::Progress;
use ferry_core::{ByteSize, RemotePath};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value as Json, json};

use crate::exit::Result;
use crate::look::is_dumb;
use crate::render::{Output, insert_path};
use crate::session::Session;

/// Programs hear of progress this often at most.
const EVENT_EVERY: Duration = Duration::from_secs(1);
/// How a request that tells of how much it has done so much shows it.
const STATUS_OF_TOTAL: &str = "{msg}  {wide_bar}  {percent:>3}%  {human_pos}/{human_len}  eta {eta}";
/// The most transfers that are named when they are stopped: as many as can run side by side.
const PAUSED_MAX: usize = 32;

/// What to tell of the transfers that run, should they be stopped.
#[derive(Debug, Clone, Default)]
pub struct Paused(Arc<Mutex<Vec<Arc<Running>>>>);

/// A transfer that runs, or failed half-way.
#[derive(Debug)]
struct Running {
    name: String,
    bytes: AtomicU64,
}

impl Paused {
    fn list(&self) -> MutexGuard<'_, Vec<Arc<Running>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, running: Arc<Running>) {
        let mut list = self.list();
        // An earlier try of the same transfer.
        list.retain(|other| other.name != running.name);
        if list.len() == PAUSED_MAX {
            list.remove(0);
        }
        list.push(running);
    }

    fn remove(&self, name: &str) {
        self.list().retain(|other| other.name != name);
    }

    /// The line to print, when a transfer was running.
    pub fn take(&self) -> Option<String> {
        let list = std::mem::take(&mut *self.list());
        let one = |running: &Arc<Running>| {
            let bytes = ByteSize(running.bytes.load(Ordering::Relaxed));
            format!("{} at {bytes}", running.name)
        };
        if let [running] = list.as_slice() {
            let bytes = ByteSize(running.bytes.load(Ordering::Relaxed));
            return Some(format!("paused at {bytes}: {}; the same command resumes", running.name));
        }
        let all: Vec<String> = list.iter().map(one).collect();
        (!all.is_empty()).then(|| format!("paused {}; the same command resumes", all.join(", ")))
    }
}

/// Shows how far one transfer or one request is.
pub struct Meter<'o> {
    output: &'o Output,
    bar: ProgressBar,
    paused: Paused,
    running: Arc<Running>,
    path: Option<RemotePath>,
    session: &'o Session,
    /// How far this transfer came, in all its tries.
    reach: Option<&'o AtomicU64>,
    is_small: bool,
    bytes: u64,
    total: Option<u64>,
    started: Instant,
    started_at: u64,
    told: Instant,
}

impl std::fmt::Debug for Meter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Meter({} at {})", self.running.name, self.bytes)
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.output.bars.remove(&self.bar);
    }
}

/// The bar for all transfers of a command, below those of single ones.
pub(crate) fn total_bar(session: &Session, total: Option<u64>) -> ProgressBar {
    let style = match total {
        Some(_) => "total  {wide_bar}  {percent:>3}%  {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  eta {eta}",
        None => "total  {spinner}  {binary_bytes}  {binary_bytes_per_sec}",
    };
    bar(session, style, total)
}

/// A name that leaves room for the bar: three tenths of the terminal, and its end rather than its beginning, which is the file's.
fn fitting(name: &str) -> String {
    shortened(name, usize::from(console::Term::stderr().size().1) * 3 / 10)
}

fn shortened(name: &str, most: usize) -> String {
    let wide = console::measure_text_width(name);
    if wide <= most {
        return name.to_owned();
    }
    let mut left = wide;
    let rest = name.char_indices().find(|(_, c)| {
        let is_enough = left < most;
        left -= console::measure_text_width(c.encode_utf8(&mut [0; 4])).min(left);
        is_enough
    });
    format!("…{}", rest.map_or("", |(at, _)| &name[at..]))
}

fn bar(session: &Session, style: &str, total: Option<u64>) -> ProgressBar {
    if session.settings.quiet || session.output.json || is_dumb() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
    // The one for all, which is there first, stays below.
    let bar = session.output.bars.insert(0, bar);
    bar.with_style(self::style(style))
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; should one be wrong, the default bar does.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl<'o> Meter<'o> {
    fn new(session: &'o Session, bar: ProgressBar, name: String) -> Self {
        let now = Instant::now();
        Self {
            output: &session.output,
            bar,
            paused: session.paused.clone(),
            running: Arc::new(Running {
                name,
                bytes: AtomicU64::new(0),
            }),
            path: None,
            session,
            reach: None,
            is_small: false,
            bytes: 0,
            total: None,
            started: now,
            started_at: 0,
            told: now,
        }
    }

    /// For a request that may tell how far it is.
    pub fn status(session: &'o Session) -> Self {
        let bar = bar(session, "{msg}  {spinner}  {human_pos}", None);
        Self::new(session, bar, String::new())
    }

    /// Shows what the server tells.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn tell(&mut self, progress: &Progress) -> Result<()> {
        if self.output.json {
            return self.tell_programs(progress);
        }
        self.bar.set_message(fitting(&escape(progress.text.as_bytes())));
        if let Some(total) = progress.total {
            if self.bar.length().is_none() {
                self.bar.set_style(style(STATUS_OF_TOTAL));
            }
            self.bar.set_length(total);
        }
        self.bar.set_position(progress.done);
        Ok(())
    }

    fn tell_programs(&mut self, progress: &Progress) -> Result<()> {
        if self.session.settings.quiet || self.told.elapsed() < EVENT_EVERY {
            return Ok(());
        }
        self.told = Instant::now();
        let Progress { done, total, text, .. } = progress;
        self.output
            .object(&json!({"event": "progress", "done": done, "total": total, "text": text}))
    }

    /// For contents of a file of `total` bytes, by a name that is safe to show. `reach` is how far earlier tries came.
    pub fn transfer(session: &'o Session, name: &str, total: Option<u64>, reach: &'o AtomicU64) -> Self {
        let style = match total {
            Some(_) => "{msg}  {wide_bar}  {percent:>3}%  {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  eta {eta}",
            None => "{msg}  {spinner}  {binary_bytes}  {binary_bytes_per_sec}",
        };
        let bar = bar(session, style, total);
        bar.set_message(fitting(name));
        let mut meter = Self::new(session, bar, name.to_owned());
        meter.total = total;
        meter.reach = Some(reach);
        meter
    }

    /// For a small file: no bar, and nothing to go on with.
    pub fn small(session: &'o Session, name: &str) -> Self {
        let mut meter = Self::new(session, ProgressBar::hidden(), name.to_owned());
        meter.is_small = true;
        meter
    }

    /// Says how the transfer starts.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn open(&mut self, path: Option<&RemotePath>, size: Option<u64>, code: u16, offset: u64) -> Result<()> {
        self.path = path.cloned();
        (self.bytes, self.started_at, self.total) = (offset, offset, size.or(self.total));
        (self.started, self.told) = (Instant::now(), Instant::now());
        self.bar.set_position(offset);
        let reach = self.reach.map_or(0, |reach| reach.load(Ordering::Relaxed));
        self.session.tally.one(self.total);
        self.session.tally.still(offset.saturating_sub(reach));
        self.bar.reset_eta();
        self.running.bytes.store(offset, Ordering::Relaxed);
        // Contents whose size nobody knows are made anew each time.
        if !self.is_small && self.total.is_some() {
            self.paused.add(self.running.clone());
        }
        if !self.output.json {
            if offset > 0 && code != ferry_core::store::CODE_PRESENT && !self.bar.is_hidden() {
                self.output
                    .note(&format!("{code} resume at {}: {}", ByteSize(offset), self.running.name));
            }
            return Ok(());
        }
        let mut object = self.object("open");
        object.insert("size".into(), size.into());
        object.insert("code".into(), code.into());
        object.insert("offset".into(), offset.into());
        self.output.object(&Json::Object(object))
    }

    fn object(&self, event: &str) -> Map<String, Json> {
        let mut object = Map::new();
        object.insert("event".into(), event.into());
        insert_path(&mut object, "path", self.path.as_ref());
        object
    }

    /// Takes note of more bytes.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn add(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes as u64;
        self.session.tally.came(bytes as u64);
        self.running.bytes.store(self.bytes, Ordering::Relaxed);
        self.bar.set_position(self.bytes);
        // Bytes that went before say nothing about the server.
        if self
            .reach
            .is_some_and(|reach| reach.fetch_max(self.bytes, Ordering::Relaxed) < self.bytes)
        {
            self.session.link.step();
        }
        if self.told.elapsed() < EVENT_EVERY {
            return Ok(());
        }
        self.told = Instant::now();
        if !self.output.json {
            return Ok(());
        }
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = (self.bytes - self.started_at).saturating_mul(1000) / millis;
        let left = self.total.and_then(|total| total.checked_sub(self.bytes));
        let eta = left.and_then(|left| left.checked_div(rate));
        let mut object = self.object("progress");
        object.insert("bytes".into(), self.bytes.into());
        object.insert("rate".into(), rate.into());
        object.insert("eta".into(), eta.into());
        self.output.object(&Json::Object(object))
    }

    /// The transfer is over and needs no word about going on with it.
    pub fn finish(&mut self) {
        self.paused.remove(&self.running.name);
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(name: &str, bytes: u64) -> Arc<Running> {
        Arc::new(Running {
            name: name.to_owned(),
            bytes: AtomicU64::new(bytes),
        })
    }

    #[test]
    fn a_long_name_leaves_room_for_the_bar_and_keeps_its_end() {
        assert_eq!(shortened("short.bin", 9), "short.bin");
        assert_eq!(shortened("a/long/way/to/file.bin", 9), "…file.bin");
        assert_eq!(shortened("日本日本.bin", 9), "…日本.bin");
        for most in 0..20 {
            assert!(
                console::measure_text_width(&shortened("日本a日本.bin", most)) <= most.max(1),
                "{most}"
            );
        }
    }

    #[test]
    fn what_was_paused_says_where_and_how_to_go_on() {
        let paused = Paused::default();
        assert_eq!(paused.take(), None);
        paused.add(running("video.mkv", 163_400_000));
        assert_eq!(
            paused.take().unwrap(),
            "paused at 155.8 MiB: video.mkv; the same command resumes"
        );
        paused.add(running("a", 1024));
        paused.add(running("b", 2048));
        assert_eq!(
            paused.take().unwrap(),
            "paused a at 1.0 KiB, b at 2.0 KiB; the same command resumes"
        );
    }
}
