//! Scripts: one verb a line, up to the first failure.

use std::io::BufRead;

use async_channel::Receiver;
use ferry_core::{Error, line, rt};

use crate::exit::{Exit, Failure, Result};
use crate::run::{self, From};
use crate::session::{Interrupts, Session};
use crate::words::{self, Next};

/// The longest line of a script, in bytes: what fits a request.
const LINE_MAX_BYTES: u64 = 64 * 1024;

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
        len if len as u64 == LINE_MAX_BYTES => Err(Error::bad_request("script: a line is too long").into()),
        _ => match String::from_utf8(bytes) {
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(Error::bad_request("script: a line is not UTF-8").into()),
        },
    }
}

/// Runs a script to its end or its first failure; every failure is told.
///
/// # Errors
/// The failure that stopped it.
pub async fn run(session: &mut Session, interrupts: &Interrupts, lines: &Lines) -> Result<()> {
    interrupts.clear();
    // A refused login ends a script even when it has no line.
    interrupts.or_stop(session.connect()).await?;
    loop {
        let Some(line) = interrupts.or_stop(lines.next()).await? else {
            return Ok(());
        };
        let line = line.trim();
        let (line, is_ignored) = match line.strip_prefix('-') {
            Some(rest) => (rest.trim_start(), true),
            None => (line, false),
        };
        match one(session, interrupts, line).await {
            Ok(Next::Go) => {}
            Ok(Next::Leave) => return Ok(()),
            Err(mut failure) => {
                session.output.failure(&mut failure)?;
                if !is_ignored || failure.exit == Exit::Interrupted || failure.exit == Exit::Done {
                    return Err(failure);
                }
            }
        }
    }
}

/// Runs one line, of the client or of the server.
///
/// # Errors
/// Why it did not end well.
pub async fn one(session: &mut Session, interrupts: &Interrupts, line: &str) -> Result<Next> {
    if let Some(command) = line.strip_prefix('!') {
        return words::system(session, command).await;
    }
    let words = line::split(line)?;
    if let Some(next) = words::run(session, &words).await? {
        return Ok(next);
    }
    run::until_interrupted(session, interrupts, &words, From::Line).await?;
    Ok(Next::Go)
}
