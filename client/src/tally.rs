//! What one command has moved so far: the bar for all of it, and its last line.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ferry_core::ByteSize;
use indicatif::ProgressBar;
use serde_json::json;

use crate::exit::Result;
use crate::progress;
use crate::session::Session;

/// How far a command's transfers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there by now.
    pub bytes: u64,
    /// All of them, when that is known.
    pub total: Option<u64>,
    /// Bytes a second since the command began.
    pub rate: u64,
    /// Seconds left at that rate, when that can be told.
    pub left_seconds: Option<u64>,
}

/// Counts of one command's transfers.
#[derive(Debug)]
pub struct Tally {
    files: AtomicU64,
    bytes: AtomicU64,
    moved: AtomicU64,
    skipped: AtomicU64,
    /// Bytes that are there by now, of files under way too.
    came: AtomicU64,
    /// Those of them that need not move.
    still: AtomicU64,
    /// All bytes, as far as that is known.
    total: AtomicU64,
    /// Whether there are several transfers.
    are_several: AtomicBool,
    at: Mutex<(Instant, ProgressBar)>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            came: AtomicU64::new(0),
            still: AtomicU64::new(0),
            total: AtomicU64::new(0),
            are_several: AtomicBool::new(false),
            at: Mutex::new((Instant::now(), ProgressBar::hidden())),
        }
    }
}

impl Tally {
    fn at(&self) -> MutexGuard<'_, (Instant, ProgressBar)> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bar(&self) -> ProgressBar {
        self.at().1.clone()
    }

    /// Takes the bar away.
    pub fn hide(&self, session: &Session) {
        let bar = self.bar();
        bar.finish_and_clear();
        session.output.bars.remove(&bar);
    }

    /// Starts from nothing.
    pub fn start(&self) {
        let own = [&self.came, &self.still, &self.total];
        self.are_several.store(false, Ordering::Relaxed);
        for count in [&self.files, &self.bytes, &self.moved, &self.skipped].into_iter().chain(own) {
            count.store(0, Ordering::Relaxed);
        }
        *self.at() = (Instant::now(), ProgressBar::hidden());
    }

    /// Shows a bar for several transfers; of `total` bytes, when that is known.
    pub fn show(&self, session: &Session, total: Option<u64>) {
        self.are_several.store(true, Ordering::Relaxed);
        self.total.fetch_add(total.unwrap_or(0), Ordering::Relaxed);
        let (_, bar) = &mut *self.at();
        if !bar.is_hidden() {
            if let Some(total) = total {
                bar.inc_length(total);
            }
            return;
        }
        *bar = progress::total_bar(session, total);
    }

    /// Takes note of bytes that moved, or that need not move.
    pub fn came(&self, bytes: u64) {
        self.came.fetch_add(bytes, Ordering::Relaxed);
        self.bar().inc(bytes);
    }

    /// Takes note of a file that is there now, for which `moved` bytes travelled.
    pub fn done(&self, bytes: u64, moved: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.moved.fetch_add(moved, Ordering::Relaxed);
        if moved == 0 && bytes > 0 {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes note of a file that was there before.
    pub fn skip(&self, bytes: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.skipped.fetch_add(1, Ordering::Relaxed);
        self.still(bytes);
    }

    /// Takes note of bytes that need not move, or that an earlier try has moved: they say nothing about how fast it goes now.
    pub fn still(&self, bytes: u64) {
        if bytes > 0 {
            self.still.fetch_add(bytes, Ordering::Relaxed);
            self.came.fetch_add(bytes, Ordering::Relaxed);
            let bar = self.bar();
            bar.inc(bytes);
            bar.reset_eta();
        }
    }

    /// Takes note of how much a transfer is, which is all when it is the only one.
    pub fn one(&self, bytes: Option<u64>) {
        if !self.are_several.load(Ordering::Relaxed) {
            self.total.store(bytes.unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// How far the transfers are; `None` when nothing has moved and nothing is known.
    pub fn progress(&self) -> Option<Progress> {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (bytes, still, total) = (get(&self.came), get(&self.still), get(&self.total));
        let millis = u64::try_from(self.at().0.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = bytes.saturating_sub(still).saturating_mul(1000) / millis;
        let total = Some(total).filter(|total| *total > 0);
        let left = total.map(|total| total.saturating_sub(bytes));
        (bytes > 0 || total.is_some()).then(|| Progress {
            bytes,
            total,
            rate,
            left_seconds: left.and_then(|left| left.checked_div(rate)),
        })
    }

    /// Tells the end of several transfers.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn end(&self, session: &Session, failed: u64) -> Result<()> {
        self.hide(session);
        let started = self.at().0;
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (files, bytes, moved, skipped) = (get(&self.files), get(&self.bytes), get(&self.moved), get(&self.skipped));
        let elapsed = started.elapsed();
        let millis = elapsed.as_millis().max(1);
        let rate = u64::try_from(u128::from(moved) * 1000 / millis).unwrap_or(u64::MAX);
        if session.output.json {
            let ms = u64::try_from(millis).unwrap_or(u64::MAX);
            return session.output.object(&json!({
                "event": "summary", "files": files, "bytes": bytes, "sent": moved, "skipped": skipped, "failed": failed,
                "duration_ms": ms, "rate": rate,
            }));
        }
        if !session.settings.quiet {
            session.output.note(&format!(
                "{files} files, {}: {} moved, {skipped} there already, {failed} failed · {:.1} s, {}/s",
                ByteSize(bytes),
                ByteSize(moved),
                elapsed.as_secs_f32(),
                ByteSize(rate)
            ));
        }
        Ok(())
    }
}
