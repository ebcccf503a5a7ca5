//! What one command has moved so far: the bar for all of it, and its last line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ferry_core::ByteSize;
use indicatif::ProgressBar;
use serde_json::json;

use crate::exit::Result;
use crate::progress;
use crate::session::Session;

/// Counts of one command's transfers.
#[derive(Debug)]
pub struct Tally {
    files: AtomicU64,
    bytes: AtomicU64,
    moved: AtomicU64,
    skipped: AtomicU64,
    at: Mutex<(Instant, ProgressBar)>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
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
        for count in [&self.files, &self.bytes, &self.moved, &self.skipped] {
            count.store(0, Ordering::Relaxed);
        }
        *self.at() = (Instant::now(), ProgressBar::hidden());
    }

    /// Shows a bar for several transfers; of `total` bytes, when that is known.
    pub fn show(&self, session: &Session, total: Option<u64>) {
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
        self.came(bytes);
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
