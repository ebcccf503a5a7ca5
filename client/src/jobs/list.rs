//! All jobs of a shell or a script that are, or were, in the background.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferry_core::line::Word;
use ferry_core::text::escape;
use ferry_core::{ByteSize, Error, ErrorKind, rt};
use serde_json::json;

use super::screen::Screen;
use super::{Job, reads_terminal};
use crate::exit::{Exit, Failure, Result};
use crate::session::Session;
use crate::tally::Progress;

/// The most jobs at once: more than anybody looks after, and each has a thread.
const JOBS_MAX: usize = 32;
/// The most that have ended and that nobody has asked for since: a script of any length may start jobs.
const ENDED_MAX: usize = 1000;
/// How long jobs that are stopped may take to end, before they are left to the end of the process.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// The jobs.
#[derive(Debug, Default)]
pub struct Jobs {
    /// By their numbers, which rise.
    list: Mutex<Vec<Arc<Job>>>,
    pub(super) screen: Arc<Screen>,
    /// Whether somebody sits there, to be told of good ends too.
    is_shell: AtomicBool,
}

impl Jobs {
    fn list(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on somebody sits there.
    pub fn be_shell(&self) {
        self.is_shell.store(true, Ordering::Relaxed);
    }

    fn is_shell(&self) -> bool {
        self.is_shell.load(Ordering::Relaxed)
    }

    /// Where jobs print that are in the background.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.list().iter().filter(|job| job.is_running()).count()
    }

    /// A mark for [`Self::excuse_since`].
    pub fn mark(&self) -> u32 {
        self.list().last().map_or(0, |job| job.number())
    }

    /// Makes failures of the jobs that were started since that mark not matter.
    pub fn excuse_since(&self, mark: u32) {
        for job in self.list().iter().filter(|job| job.number() > mark) {
            job.state().is_excused = true;
        }
    }

    /// The number of the next job: one more than the last one's, and 1 when there is none. The user has been told of those that
    /// ended, so they count no longer.
    ///
    /// # Errors
    /// `busy` when there are too many.
    pub(super) fn next_number(&self) -> Result<u32> {
        let mut list = self.list();
        if list.iter().filter(|job| job.is_running()).count() >= JOBS_MAX {
            let error = Error::new(ErrorKind::Busy, format!("{JOBS_MAX} jobs run already"));
            return Err(error.hint("`wait` waits for them, `kill N` stops one").into());
        }
        if self.is_shell() {
            list.retain(|job| job.is_running());
        }
        while list.len() >= ENDED_MAX {
            // What went wrong is asked for at the end of a script.
            let ended = |job: &Arc<Job>| job.exit() == Some(Exit::Done);
            let at = list.iter().position(ended);
            list.remove(at.unwrap_or(0));
        }
        Ok(list.last().map_or(0, |job| job.number()).saturating_add(1))
    }

    /// Takes a job in that has its number.
    pub(super) fn add(&self, job: Arc<Job>) {
        let mut list = self.list();
        list.retain(|other| !Arc::ptr_eq(other, &job));
        list.push(job);
        list.sort_by_key(|job| job.number());
    }

    pub(super) fn remove(&self, job: &Arc<Job>) {
        self.list().retain(|other| !Arc::ptr_eq(other, job));
    }

    /// Starts a verb in the background.
    ///
    /// # Errors
    /// `busy` when there are too many; `bad_request` for what needs the terminal.
    pub fn start(&self, session: &Session, words: Vec<Word>, line: &str) -> Result<()> {
        if self.is_shell() && reads_terminal(session, &words) {
            return Err(Error::bad_request("what is typed here cannot be sent in the background").into());
        }
        let number = self.next_number()?;
        // Before it may have ended.
        self.tell_start(number, &escape(line.as_bytes()));
        self.add(Job::start(session, words, line, Some(number)));
        Ok(())
    }

    pub(super) fn tell_start(&self, number: u32, line: &str) {
        if self.is_shell() {
            self.screen.note(&format!("[{number}] in the background: {line}"));
        }
    }

    pub(super) fn tell_end(&self, job: &Job, exit: Exit, paused: Option<String>) {
        let (number, line) = (job.number(), &job.line);
        match exit {
            Exit::Done if !self.is_shell() => {}
            Exit::Done => self.screen.note(&format!("[{number}] ok: {line}")),
            Exit::Interrupted => {
                let paused = paused.map(|paused| format!("\n{paused}")).unwrap_or_default();
                self.screen.note(&format!("[{number}] stopped: {line}{paused}"));
            }
            exit => {
                let code = exit.code();
                self.screen.note(&format!("[{number}] failed (exit code {code}): {line}"));
            }
        }
    }

    /// The job of that number, or the last one that runs.
    ///
    /// # Errors
    /// `not_found` when there is none.
    pub(super) fn find(&self, number: Option<u32>) -> Result<Arc<Job>> {
        let list = self.list();
        let found = match number {
            Some(number) => list.iter().find(|job| job.number() == number),
            None => list.iter().rfind(|job| job.is_running()),
        };
        let text = || number.map_or_else(|| "no job runs".to_owned(), |number| format!("there is no job {number}"));
        let found = found.cloned();
        found.ok_or_else(|| Error::not_found(text()).hint("`jobs` lists them").into())
    }

    /// Waits for jobs, or for all of them; those that have ended are forgotten.
    ///
    /// # Errors
    /// With the exit code of the one that failed, or 11 when several did. All was told already.
    pub async fn wait(&self, numbers: &[u32]) -> Result<()> {
        let jobs = match numbers {
            [] => self.list().clone(),
            some => some
                .iter()
                .map(|number| self.find(Some(*number)))
                .collect::<Result<Vec<_>>>()?,
        };
        let mut failed = Vec::new();
        for job in &jobs {
            job.until_ended().await;
            let exit = job.exit().unwrap_or(Exit::Failed);
            if exit != Exit::Done && !job.state().is_excused {
                failed.push(exit);
            }
        }
        for job in &jobs {
            self.remove(job);
        }
        match failed[..] {
            [] => Ok(()),
            [exit] => Err(Failure {
                error: Error::internal("a job failed"),
                exit,
                told: true,
            }),
            _ => Err(Failure::partly(failed.len() as u64)),
        }
    }

    /// Stops all that run, and waits a moment for them to end and say how to go on with them.
    pub async fn stop_all(&self) {
        let jobs = self.list().clone();
        for job in jobs.iter().filter(|job| job.is_running()) {
            job.stop();
        }
        let all = async {
            for job in &jobs {
                job.until_ended().await;
            }
        };
        let _ = rt::timeout(STOP_WAIT, all).await;
    }

    /// Prints all jobs; those that have ended are forgotten after that.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub(super) fn print(&self, session: &Session) -> Result<()> {
        let jobs = self.list().clone();
        let state = |job: &Job| match job.exit() {
            None if job.state().is_stopped => "stopping",
            None => "running",
            Some(Exit::Done) => "ok",
            Some(Exit::Interrupted) => "stopped",
            Some(_) => "failed",
        };
        let of_running = |job: &Job| job.tally.progress().filter(|_| job.is_running());
        if session.output.json {
            for job in &jobs {
                let progress = of_running(job);
                session.output.object(&json!({
                    "job": job.number(), "state": state(job), "line": job.line,
                    "bytes": progress.map(|progress| progress.bytes),
                    "total": progress.and_then(|progress| progress.total),
                    "rate": progress.map(|progress| progress.rate),
                    "eta": progress.and_then(|progress| progress.left_seconds),
                }))?;
            }
        } else {
            let width = jobs
                .iter()
                .map(|job| console::measure_text_width(&job.line))
                .max()
                .unwrap_or(0);
            let mut text = String::new();
            for job in &jobs {
                let start = format!("[{}] {:8}  ", job.number(), state(job));
                let line = console::pad_str(&job.line, width, console::Alignment::Left, None);
                let progress = of_running(job).map(|progress| shown(&progress)).unwrap_or_default();
                text.push_str(format!("{start}{line}  {progress}").trim_end());
                text.push('\n');
            }
            if !text.is_empty() {
                session.output.text(&text)?;
            }
        }
        if self.is_shell() {
            self.list().retain(|job| job.is_running());
        }
        Ok(())
    }
}

/// How far a job is, for people.
fn shown(progress: &Progress) -> String {
    let mut text = ByteSize(progress.bytes).to_string();
    if let Some(total) = progress.total {
        let percent = u128::from(progress.bytes) * 100 / u128::from(total.max(1));
        text.push_str(&format!(" of {} ({percent}%)", ByteSize(total)));
    }
    text.push_str(&format!("  {}/s", ByteSize(progress.rate)));
    if let Some(seconds) = progress.left_seconds {
        text.push_str("  eta ");
        text.push_str(&match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, seconds) => format!("{seconds}s"),
            (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
            (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_shown_as_far_as_it_is_known() {
        let progress = |total, rate, left_seconds| {
            shown(&Progress {
                bytes: 3 << 20,
                total,
                rate,
                left_seconds,
            })
        };
        assert_eq!(progress(None, 0, None), "3.0 MiB  0 B/s");
        assert_eq!(
            progress(Some(12 << 20), 1 << 20, Some(9)),
            "3.0 MiB of 12.0 MiB (25%)  1.0 MiB/s  eta 9s"
        );
        for (seconds, eta) in [
            (59, "59s"),
            (61, "1m01s"),
            (3599, "59m59s"),
            (3660, "1h01m"),
            (90_000, "25h00m"),
        ] {
            assert!(
                progress(None, 1, Some(seconds)).ends_with(&format!("  eta {eta}")),
                "{seconds}"
            );
        }
    }
}
