//! Scripts: one verb a line, up to the first failure. `source FILE` runs another one in the midst of a shell or a script.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt as _;

use async_channel::Receiver;
use ferry_core::line::Word;
use ferry_core::{Error, line, rt};

use crate::exit::{Exit, Failure, Result};
use crate::jobs::{self, Part};
use crate::local::shown;
use crate::run::{self, From};
use crate::session::{Interrupts, Session};
use crate::words::{self, Next};

/// The longest line of a script, in bytes: what fits a request.
const LINE_MAX_BYTES: u64 = 64 * 1024;

/// How many scripts may run each other: more than anybody nests, and far from what a stack holds.
const SOURCES_MAX: u8 = 16;

/// Lines, read by a thread of their own, so that waiting for one can be interrupted.
#[derive(Debug, Clone)]
pub struct Lines(Receiver<Result<String>>);

impl Lines {
    /// Starts to read.
    pub fn new(mut reader: Box<dyn BufRead + Send>) -> Self {
        let (sender, receiver) = async_channel::bounded(1);
        let work = move || {
            while let Some(line) = read_line(&mut *reader).transpose() {
                let is_last = line.is_err();
                if sender.send_blocking(line).is_err() || is_last {
                    break;
                }
            }
        };
        drop(rt::spawn(rt::unblock(work)));
        Self(receiver)
    }

    /// Starts to read standard input.
    pub fn typed() -> Self {
        Self::new(Box::new(BufReader::new(std::io::stdin())))
    }

    /// Whether all lines were taken and no more come.
    pub fn is_over(&self) -> bool {
        self.0.is_closed() && self.0.is_empty()
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// What reading says; `bad_request` for a line that is too long or no UTF-8.
    pub async fn next(&self) -> Result<Option<String>> {
        self.0.recv().await.ok().transpose()
    }
}

fn read_line(reader: &mut dyn BufRead) -> Result<Option<String>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = reader.take(LINE_MAX_BYTES).read_until(b'\n', &mut bytes);
    match read.map_err(|error| Failure::local("script", error))? {
        0 => Ok(None),
        len if len as u64 == LINE_MAX_BYTES => {
            let error = Error::bad_request("script: a line is too long");
            Err(error
                .hint(format!("at most {LINE_MAX_BYTES} bytes are taken; is it a script?"))
                .into())
        }
        _ => match String::from_utf8(bytes) {
            Ok(line) => Ok(Some(line)),
            Err(_) => {
                let error = Error::bad_request("script: a line is not UTF-8");
                Err(error
                    .hint("a name that is not can be written as a pattern with `?` or `*`")
                    .into())
            }
        },
    }
}

/// Runs a script to its end or its first failure; every failure is told. Jobs that it has started are waited for, unless it was
/// interrupted.
///
/// # Errors
/// The failure that stopped it; otherwise that of a job, with exit code 11 when several failed.
pub async fn run(session: &mut Session, interrupts: &Interrupts, lines: &Lines) -> Result<()> {
    let mut result = until_failure(session, interrupts, lines).await;
    if result.as_ref().is_err_and(|failure| failure.exit == Exit::Interrupted) {
        session.jobs.stop_all().await;
        return result;
    }
    let waited = interrupts.or_stop(session.jobs.wait(&[])).await;
    if waited.as_ref().is_err_and(|failure| failure.exit == Exit::Interrupted) {
        session.jobs.stop_all().await;
    }
    if result.is_ok() {
        result = waited;
    }
    result
}

async fn until_failure(session: &mut Session, interrupts: &Interrupts, lines: &Lines) -> Result<()> {
    interrupts.clear();
    // A refused login ends a script even when it has no line.
    let connection = interrupts.or_stop(session.connect()).await?;
    for note in session.aliases.hiding(&connection.verbs) {
        session.output.note(&note);
    }
    all(session, interrupts, lines, None).await.map(drop)
}

/// Runs lines to their end or to the first failure; `name` is what is said to have stopped then.
async fn all(session: &mut Session, interrupts: &Interrupts, lines: &Lines, name: Option<&str>) -> Result<Next> {
    let mut number = 0u64;
    loop {
        let Some(line) = interrupts.or_stop(lines.next()).await? else {
            return Ok(Next::Go);
        };
        number += 1;
        let line = line.trim();
        let (line, is_ignored) = match line.strip_prefix('-') {
            Some(rest) => (rest.trim_start(), true),
            None => (line, false),
        };
        let mark = session.jobs.mark();
        let ran = one(session, interrupts, line).await;
        if is_ignored {
            session.jobs.excuse_since(mark);
        }
        match ran {
            Ok(Next::Go) => {}
            Ok(Next::Leave) => return Ok(Next::Leave),
            Err(mut failure) => {
                session.output.failure(&mut failure)?;
                if !is_ignored || failure.exit == Exit::Interrupted || failure.exit == Exit::Done {
                    if let Some(name) = name {
                        session.output.note(&format!("{name} stopped at line {number}"));
                    }
                    return Err(failure);
                }
            }
        }
    }
}

/// Runs the lines of a local file as if they had been typed.
async fn source(session: &mut Session, interrupts: &Interrupts, words: &[Word]) -> Result<Next> {
    let [file] = words else {
        return Err(Error::bad_request("source: one file, please").hint("source FILE").into());
    };
    let path = session.local.join(OsStr::from_bytes(&file.text));
    let name = shown(&path);
    if session.sourcing >= SOURCES_MAX {
        let error = Error::bad_request(format!("{name}: {SOURCES_MAX} files run each other already"));
        return Err(error.hint("does one of them run itself?").into());
    }
    let opening = async {
        let opened = rt::unblock(move || std::fs::File::open(path)).await;
        opened.map_err(|error| Failure::local(&name, error))
    };
    let opened = interrupts.or_stop(opening).await?;
    let lines = Lines::new(Box::new(BufReader::new(opened)));
    session.sourcing += 1;
    let result = all(session, interrupts, &lines, Some(&name)).await;
    session.sourcing -= 1;
    result
}

/// Runs one line, of the client or of the server, and of several verbs when `&` stands between them.
///
/// # Errors
/// Why it did not end well.
pub async fn one(session: &mut Session, interrupts: &Interrupts, line: &str) -> Result<Next> {
    for part in jobs::split(line)? {
        let next = command(session, interrupts, part).await?;
        if next != Next::Go {
            return Ok(next);
        }
    }
    Ok(Next::Go)
}

async fn command(session: &mut Session, interrupts: &Interrupts, Part { text, is_background }: Part<'_>) -> Result<Next> {
    let text = &*session.aliases.expand(text).into_owned();
    if let Some(command) = text.strip_prefix('!').filter(|_| !is_background) {
        return jobs::system(session, interrupts, command).await;
    }
    let words = line::split(text)?;
    if let Some((first, rest)) = words.split_first()
        && first.text == b"source"
        && !is_background
    {
        return Box::pin(source(session, interrupts, rest)).await;
    }
    if is_background {
        if jobs::is_own(&words) {
            let error = Error::bad_request(format!("`{}` runs in front only", ferry_core::text::escape(text.as_bytes())));
            return Err(error.hint("`&` is for verbs of the server").into());
        }
        interrupts.or_stop(session.connect()).await?;
        session.jobs.start(session, words, text)?;
        return Ok(Next::Go);
    }
    if let Some(next) = jobs::word(session, interrupts, &words).await? {
        return Ok(next);
    }
    if let Some(next) = words::run(session, &words).await? {
        return Ok(next);
    }
    if interrupts.can_suspend() {
        jobs::foreground(session, interrupts, words, text).await?;
    } else {
        run::until_interrupted(session, interrupts, &words, From::Line).await?;
    }
    Ok(Next::Go)
}
