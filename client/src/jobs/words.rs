//! The words for jobs, and what keeps the terminal while a verb is in front.

use std::sync::Arc;

use ferry_core::line::Word;
use ferry_core::{Error, RemotePath};
use futures_lite::FutureExt as _;

use super::Job;
use super::quiet::Quiet;
use crate::exit::{Exit, Failure, Result};
use crate::session::{Interrupts, Session};
use crate::words::{self, Next};

/// What happened first to a job in front.
enum Event {
    Ended,
    Interrupted,
    Suspended,
}

/// Whether a line's first word is one that can only be run in front.
pub fn is_own(words: &[Word]) -> bool {
    let Some(name) = words.first() else { return false };
    // The server may have one of its own.
    let mut all = words::OWN.iter().map(|(word, _)| *word).filter(|word| *word != "help");
    name.text.starts_with(b"!") || all.any(|word| word.as_bytes() == name.text)
}

/// Runs a line whose first word is about jobs; `None` when it is not.
///
/// # Errors
/// `bad_request` and `not_found` for what is no number of a job; what the job failed with that was brought to the front, or waited for.
pub async fn word(session: &Session, interrupts: &Interrupts, words: &[Word]) -> Result<Option<Next>> {
    let Some((name, rest)) = words.split_first() else {
        return Ok(None);
    };
    let jobs = &session.jobs;
    match name.text.as_slice() {
        b"jobs" if rest.is_empty() => jobs.print(session)?,
        b"jobs" => return Err(Error::bad_request("jobs: it takes no arguments").into()),
        b"fg" => {
            let numbers = numbers("fg", rest)?;
            if numbers.len() > 1 {
                return Err(Error::bad_request("fg: one job at a time").into());
            }
            to_front(session, interrupts, &jobs.find(numbers.first().copied())?).await?;
        }
        b"wait" => {
            let numbers = numbers("wait", rest)?;
            wait(session, interrupts, &numbers).await?;
        }
        b"kill" => {
            let numbers = numbers("kill", rest)?;
            if numbers.is_empty() {
                return Err(Error::bad_request("kill: which job?").hint("`jobs` lists them").into());
            }
            let found = numbers.iter().map(|number| jobs.find(Some(*number)));
            for job in found.collect::<Result<Vec<_>>>()? {
                job.stop();
                job.until_ended().await;
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(Next::Go))
}

/// Numbers of jobs, as `jobs` shows them or with a `%` in front, as other shells have it.
fn numbers(word: &str, rest: &[Word]) -> Result<Vec<u32>> {
    let number = |word: &Word| {
        let text = std::str::from_utf8(&word.text).ok()?;
        let text = text.strip_prefix('%').unwrap_or(text);
        text.parse().ok().filter(|number| *number > 0)
    };
    let all = rest.iter().map(|given| {
        number(given).ok_or_else(|| {
            let error = Error::bad_request(format!("{word}: `{}` is no number of a job", given.shown()));
            Failure::from(error.hint("`jobs` lists them"))
        })
    });
    all.collect()
}

/// Runs a verb in front, from where Ctrl-Z sends it to the background.
///
/// # Errors
/// Why it did not end well; exit code 10 when it was stopped.
pub async fn foreground(session: &mut Session, interrupts: &Interrupts, words: Vec<Word>, line: &str) -> Result<()> {
    interrupts.clear();
    // Here somebody may be asked.
    interrupts.or_stop(session.connect()).await?;
    interrupts.clear();
    let job = Job::start(session, words, line, None);
    if let Some(cwd) = watch(session, interrupts, &job).await? {
        session.cwd = cwd;
    }
    Ok(())
}

/// Brings a job to the front.
async fn to_front(session: &Session, interrupts: &Interrupts, job: &Arc<Job>) -> Result<()> {
    interrupts.clear();
    session.output.note(&job.line);
    if !job.enter_front() {
        let (number, line) = (job.number(), &job.line);
        session.output.note(&format!("[{number}] has ended: {line}"));
        return Ok(());
    }
    // Where it would lead the shell was settled when it left.
    watch(session, interrupts, job).await.map(drop)
}

/// Waits for a job in front, until it has ended or gone to the background; gives the folder that it has led to in the first case.
async fn watch(session: &Session, interrupts: &Interrupts, job: &Arc<Job>) -> Result<Option<RemotePath>> {
    let jobs = &session.jobs;
    let _quiet = (!job.reads_terminal).then(Quiet::new);
    jobs.screen.front(Some(job.bars.clone()));
    let result = loop {
        let ended = async {
            job.until_ended().await;
            Event::Ended
        };
        let interrupted = async {
            interrupts.next().await;
            Event::Interrupted
        };
        let suspended = async {
            interrupts.suspended().await;
            Event::Suspended
        };
        match ended.or(interrupted).or(suspended).await {
            Event::Ended => break ended_in_front(session, job),
            Event::Interrupted => job.stop(),
            Event::Suspended if job.reads_terminal => {
                session.output.note("it reads what is typed, so it stays in front");
            }
            Event::Suspended => {
                let number = match job.number() {
                    0 => jobs.next_number(),
                    number => Ok(number),
                };
                match number {
                    Err(mut failure) => session.output.failure(&mut failure)?,
                    Ok(number) => {
                        jobs.screen.front(None);
                        if job.leave_front(number) {
                            jobs.tell_start(number, &job.line);
                            jobs.add(job.clone());
                            break Ok(None);
                        }
                    }
                }
            }
        }
    };
    jobs.screen.front(None);
    result
}

fn ended_in_front(session: &Session, job: &Arc<Job>) -> Result<Option<RemotePath>> {
    session.jobs.remove(job);
    let mut state = job.state();
    let Some(end) = &mut state.end else {
        return Err(Error::internal("the verb broke down").into());
    };
    if let Some(paused) = end.paused.take().filter(|_| end.exit == Exit::Interrupted) {
        session.output.note(&paused);
    }
    match end.failure.take() {
        Some(failure) => Err(failure),
        None => Ok(Some(end.cwd.clone())),
    }
}

/// Waits for jobs. In a shell, Ctrl-C and Ctrl-Z end the wait and no job.
async fn wait(session: &Session, interrupts: &Interrupts, numbers: &[u32]) -> Result<()> {
    interrupts.clear();
    let waiting = session.jobs.wait(numbers);
    if !interrupts.can_suspend() {
        return interrupts.or_stop(waiting).await;
    }
    let _quiet = Quiet::new();
    let given_up = async {
        async { interrupts.next().await }
            .or(async { interrupts.suspended().await })
            .await;
        session.output.note("no longer waiting; the jobs go on");
        Ok(())
    };
    waiting.or(given_up).await
}

/// Runs a command with the local shell, which has the terminal for that time. Ctrl-Z stops both it and us, as it would without us.
///
/// # Errors
/// Exit code 1 when it does not end with 0.
pub async fn system(session: &Session, interrupts: &Interrupts, command: &str) -> Result<Next> {
    session.jobs.screen.hold();
    let stops = async {
        loop {
            interrupts.suspended().await;
            // The user's own shell takes over, and `fg` there brings both back.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
        }
    };
    let result = words::system(session, command).or(stops).await;
    session.jobs.screen.front(None);
    result
}

/// What to ask before leaving while jobs run.
pub fn may_leave(session: &Session) -> Option<String> {
    match session.jobs.running() {
        0 => None,
        1 => Some("1 job runs: leave and stop it? y/N ".to_owned()),
        several => Some(format!("{several} jobs run: leave and stop them? y/N ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Word> {
        ferry_core::line::split(line).unwrap()
    }

    #[test]
    fn jobs_are_named_by_their_numbers() {
        assert_eq!(numbers("fg", &words("1 %2 30")).unwrap(), [1, 2, 30]);
        for bad in ["0", "-1", "x", "%", "1x", "99999999999"] {
            let failure = numbers("fg", &words(bad)).unwrap_err();
            assert!(failure.exit == Exit::Usage && failure.error.message.contains(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_ours_is_told_from_what_is_the_servers() {
        for line in ["lcd x", "jobs", "fg 1", "exit", "wait"] {
            assert!(is_own(&words(line)), "{line}");
        }
        for line in ["help", "send a", ""] {
            assert!(!is_own(&words(line)), "{line}");
        }
    }
}
