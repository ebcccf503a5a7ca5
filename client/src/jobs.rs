//! Jobs: verbs that run beside the prompt. Each has a thread and a session of its own, with the working folders as they were when
//! it was started, over the connections that all share. In the shell every verb is one, so that Ctrl-Z can send it there.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender};
use ferry_core::line::{self, Word};
use ferry_core::text::escape;
use ferry_core::{Body, RemotePath, VerbInfo, rt};
use futures_lite::FutureExt as _;
use indicatif::MultiProgress;

use crate::args::{Role, words_of};
use crate::exit::{Exit, Failure, Result};
use crate::run::{self, From};
use crate::session::Session;
use crate::tally::Tally;

mod list;
mod parts;
pub(crate) mod quiet;
mod screen;
mod words;

pub use list::Jobs;
pub use parts::{Part, split};
pub use words::{foreground, is_own, may_leave, system, word};

/// How a job ended.
#[derive(Debug)]
struct End {
    exit: Exit,
    /// What is still to be told.
    failure: Option<Failure>,
    cwd: RemotePath,
    paused: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    end: Option<End>,
    is_stopped: bool,
    /// Whether its failure does not matter.
    is_excused: bool,
}

/// One verb with its arguments that runs, or ran.
pub struct Job {
    /// 0 until it is in the background for the first time.
    number: AtomicU32,
    /// What was typed, safe to show.
    line: String,
    /// Whether it reads what is typed, and so cannot run beside a prompt.
    reads_terminal: bool,
    tally: Arc<Tally>,
    bars: MultiProgress,
    front: Arc<AtomicBool>,
    state: Mutex<State>,
    /// Closing it stops the job.
    stop: Sender<()>,
    /// Closed when it has ended.
    ended: Receiver<()>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({}, {})", self.number(), self.line)
    }
}

impl Job {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u32 {
        self.number.load(Ordering::Relaxed)
    }

    fn is_running(&self) -> bool {
        self.state().end.is_none() && !self.ended.is_closed()
    }

    /// How it ended; `None` while it runs.
    fn exit(&self) -> Option<Exit> {
        let exit = self.state().end.as_ref().map(|end| end.exit);
        // Without an end it broke down.
        exit.or_else(|| self.ended.is_closed().then_some(Exit::Failed))
    }

    fn stop(&self) {
        self.state().is_stopped = true;
        self.stop.close();
    }

    /// Sends a job that is in front to the background, under that number if it has none; false when it has ended.
    fn leave_front(&self, number: u32) -> bool {
        let state = self.state();
        if state.end.is_some() {
            return false;
        }
        if self.number() == 0 {
            self.number.store(number, Ordering::Relaxed);
        }
        // Its bars are taken away, and no more are drawn.
        self.bars.suspend(|| self.front.store(false, Ordering::Release));
        true
    }

    /// Gets a job to the front; false when it has ended.
    fn enter_front(&self) -> bool {
        let state = self.state();
        if state.end.is_some() {
            return false;
        }
        self.bars.suspend(|| self.front.store(true, Ordering::Release));
        true
    }

    async fn until_ended(&self) {
        let _ = self.ended.recv().await;
    }

    /// Starts a verb, in the background under that number, or in front.
    fn start(session: &Session, words: Vec<Word>, line: &str, number: Option<u32>) -> Arc<Self> {
        let front = Arc::new(AtomicBool::new(number.is_none()));
        let mut own = session.for_job(screen::output(&session.output, &session.jobs.screen, &front));
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let (ending, ended) = async_channel::bounded::<()>(1);
        let job = Arc::new(Self {
            number: AtomicU32::new(number.unwrap_or(0)),
            line: escape(line.as_bytes()),
            reads_terminal: reads_terminal(session, &words),
            tally: own.tally.clone(),
            bars: own.output.bars.clone(),
            front,
            state: Mutex::default(),
            stop,
            ended,
        });
        let started = job.clone();
        let work = move || {
            let stop = async {
                let _ = stopped.recv().await;
                Err(Failure::interrupted())
            };
            let result = rt::block_on(run::run(&mut own, &words, From::Line).or(stop));
            own.tally.hide(&own);
            let result = rt::block_on(run::end_paging(&own, result));
            started.end(own, result);
            drop(ending);
        };
        drop(rt::spawn(rt::unblock(work)));
        job
    }

    /// Takes note of the end, and tells of it when nobody else does.
    fn end(&self, session: Session, result: Result<()>) {
        let paused = session.paused.take();
        let (exit, mut failure) = match result {
            Ok(()) => (Exit::Done, None),
            Err(failure) => (failure.exit, Some(failure)),
        };
        let cwd = session.cwd.clone();
        let is_in_front = {
            let mut state = self.state();
            // Decided together with the end, for it may be about to change.
            let is_in_front = self.front.load(Ordering::Acquire);
            state.end = Some(End {
                exit,
                failure: if is_in_front { failure.take() } else { None },
                cwd,
                paused: paused.clone(),
            });
            is_in_front
        };
        if is_in_front {
            return;
        }
        let jobs = session.jobs.clone();
        if let Some(failure) = failure.as_mut().filter(|failure| failure.exit != Exit::Interrupted) {
            // That a reader of the output has left is no failure.
            let _ = session.output.failure(failure);
        }
        // What it has said without a line break goes first.
        drop(session);
        jobs.tell_end(self, exit, paused);
    }
}

/// Whether a line takes its contents from standard input.
fn reads_terminal(session: &Session, words: &[Word]) -> bool {
    let Some((connection, (name, rest))) = session.link.free().zip(words.split_first()) else {
        return false;
    };
    let is_meant = |verb: &&VerbInfo| std::str::from_utf8(&name.text).is_ok_and(|name| verb.is_called(name));
    let verb = connection.verbs.iter().find(is_meant).filter(|verb| verb.body == Body::In);
    let Some((verb, call)) = verb.and_then(|verb| line::parse(verb, rest).ok().map(|call| (verb, call))) else {
        return false;
    };
    let sources = words_of(verb, &call, Role::Source);
    sources.is_empty() || sources.iter().any(|word| word.text == b"-")
}
