//! What uploads and downloads share: their counts, their pace and their last word.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ferry_core::wire::message::Done;
use ferry_core::{ByteSize, Digest, RemotePath, rt};
use serde_json::{Map, Value as Json};

use crate::connection::Connection;
use crate::exit::{Exit, Failure, Result};
use crate::link::Turn;
use crate::render::insert_path;
use crate::session::Session;

/// Keeps all transfers of a session together below a number of bytes a second.
#[derive(Debug)]
pub struct Pace {
    rate: Option<u64>,
    next: Mutex<Instant>,
}

impl Pace {
    /// A pace of `rate` bytes a second; `None` is as fast as can be.
    pub fn new(rate: Option<u64>) -> Self {
        Self {
            rate,
            next: Mutex::new(Instant::now()),
        }
    }

    /// Takes note of bytes; waits until it is time for more. Time that was not used is not saved up.
    pub async fn keep(&self, bytes: usize) {
        let Some(rate) = self.rate else {
            return;
        };
        let micros = bytes as u128 * 1_000_000 / u128::from(rate.max(1));
        let cost = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let now = Instant::now();
        let due = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next = (*next).max(now).checked_add(cost).unwrap_or(now);
            *next
        };
        rt::sleep(due.saturating_duration_since(now)).await;
    }
}

/// Makes a transfer that may be made again, on a connection of its own when there may be as many; when the connection is lost
/// under it, makes it again on a new one.
///
/// # Errors
/// What it fails with, unless a retry helps.
pub async fn persist<T>(session: &Session, attempt: impl AsyncFnMut(&Connection) -> Result<T>) -> Result<T> {
    let turn = session.link.turn(session.settings.connections).await?;
    go_on(session, turn, attempt).await
}

/// As [`persist`], for what is no transfer and worth no further connection.
///
/// # Errors
/// As [`persist`].
pub async fn persist_aside<T>(session: &Session, attempt: impl AsyncFnMut(&Connection) -> Result<T>) -> Result<T> {
    let turn = session.link.turn(0).await?;
    go_on(session, turn, attempt).await
}

async fn go_on<T>(session: &Session, mut turn: Turn<'_>, mut attempt: impl AsyncFnMut(&Connection) -> Result<T>) -> Result<T> {
    loop {
        match attempt(&turn.connection).await {
            Err(failure) if failure.exit == Exit::Network => turn.again(failure, &session.output).await?,
            Ok(value) => {
                session.link.step();
                return Ok(value);
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// What was moved, or was there already.
#[derive(Debug)]
pub struct Outcome {
    /// The remote file.
    pub path: Option<RemotePath>,
    /// Its size.
    pub size: u64,
    /// The digest that both sides computed.
    pub digest: Digest,
    /// How many bytes travelled.
    pub sent: u64,
    /// Whether they came here.
    pub is_download: bool,
    /// Whether the other side's digest was compared.
    pub verified: bool,
    /// The name to show.
    pub name: String,
}

/// Tells of a transfer that ended well.
///
/// # Errors
/// When standard output is closed or full.
pub fn tell(session: &Session, outcome: &Outcome) -> Result<()> {
    session.tally.done(outcome.size, outcome.sent);
    if session.output.json {
        let mut object = Map::new();
        object.insert("event".into(), "done".into());
        insert_path(&mut object, "path", outcome.path.as_ref());
        object.insert("size".into(), outcome.size.into());
        object.insert(outcome.digest.algorithm().as_str().into(), outcome.digest.hex().into());
        object.insert("sent".into(), outcome.sent.into());
        object.insert("verified".into(), outcome.verified.into());
        return session.output.object(&Json::Object(object));
    }
    if !session.settings.quiet {
        let Outcome { name, size, digest, .. } = outcome;
        let verb = if outcome.is_download { "received" } else { "sent" };
        let moved = match outcome.sent {
            0 if *size > 0 => format!("there already, nothing {verb}"),
            sent if sent < *size => format!("{verb} {}", ByteSize(sent)),
            _ => verb.to_owned(),
        };
        session
            .output
            .note(&format!("ok {name}  {}  {digest} verified · {moved}", ByteSize(*size)));
    }
    Ok(())
}

/// A transfer that ended well, and what the server said at its end.
#[derive(Debug, Default)]
pub struct Moved {
    /// The transfer, when there was one.
    pub outcome: Option<Outcome>,
    /// The server's answer.
    pub done: Done,
}

impl From<Outcome> for Moved {
    /// A transfer to whose end the server had nothing to add.
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome: Some(outcome),
            done: Done::default(),
        }
    }
}

impl Moved {
    /// Tells of it.
    ///
    /// # Errors
    /// When standard output is closed or full; exit code 11 for problems that the server told of.
    pub fn tell(&self, session: &Session) -> Result<()> {
        if let Some(outcome) = &self.outcome {
            tell(session, outcome)?;
        }
        if let Some(text) = &self.done.text {
            session.output.text(text)?;
        }
        match self.done.problems {
            0 => Ok(()),
            problems => Err(Failure::partly(problems)),
        }
    }
}

/// Ends of transfers that run side by side, told in the order in which they were named, however they come.
#[derive(Debug)]
pub struct Ends<'e> {
    session: &'e Session,
    /// What went wrong so far.
    pub items: Items,
    /// Those that came before an earlier one.
    waiting: BTreeMap<usize, Result<Moved>>,
    next: usize,
}

impl<'e> Ends<'e> {
    /// For one transfer, or for several.
    pub fn new(session: &'e Session, several: bool) -> Self {
        Self {
            session,
            items: Items::new(several),
            waiting: BTreeMap::new(),
            next: 0,
        }
    }

    /// Takes the end of the transfer with that place on the line.
    ///
    /// # Errors
    /// The failure itself when it is alone, or when nothing more can be done.
    pub fn put(&mut self, at: usize, result: Result<Moved>) -> Result<()> {
        match result {
            Err(failure) if failure.ends_command() => return Err(failure),
            result => drop(self.waiting.insert(at, result)),
        }
        while let Some(result) = self.waiting.remove(&self.next) {
            self.next += 1;
            let told = result.and_then(|sent| sent.tell(self.session));
            self.items.take(self.session, told)?;
        }
        Ok(())
    }

    /// The end of all of them.
    ///
    /// # Errors
    /// Exit code 11 when some went wrong.
    pub fn finish(mut self) -> Result<()> {
        let session = self.session;
        std::mem::take(&mut self.items).end(session)
    }
}

impl Drop for Ends<'_> {
    /// What went well is told, also when the rest was given up.
    fn drop(&mut self) {
        for sent in std::mem::take(&mut self.waiting).into_values().flatten() {
            // Something else has gone wrong already, and that is what is told.
            let _ = sent.tell(self.session);
        }
    }
}

/// Counts what went wrong among several things, each told as it happens. One thing alone fails as itself.
#[derive(Debug, Default)]
pub struct Items {
    several: bool,
    problems: u64,
}

impl Items {
    /// For one thing, or for several.
    pub fn new(several: bool) -> Self {
        Self { several, problems: 0 }
    }

    /// Takes the result of one of them.
    ///
    /// # Errors
    /// The failure itself when it is alone, or when nothing more can be done.
    pub fn take<T>(&mut self, session: &Session, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(failure) if !self.several || failure.ends_command() => Err(failure),
            Err(mut failure) => {
                // Some of several inside have counted as themselves already.
                self.problems += 1;
                session.output.failure(&mut failure)?;
                Ok(None)
            }
        }
    }

    /// From here on there are several things: what is in a folder.
    pub fn are_several(&mut self) {
        self.several = true;
    }

    /// The end of all of them: of several, their sum is told.
    ///
    /// # Errors
    /// Exit code 11 when some went wrong.
    pub fn end(self, session: &Session) -> Result<()> {
        if self.several {
            session.tally.end(session, self.problems)?;
        }
        match self.problems {
            0 => Ok(()),
            problems => Err(Failure::partly(problems)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Credentials;
    use crate::render::tests::output;
    use crate::session::Settings;
    use crate::trust::Trust;
    use ferry_core::{Algorithm, Error};

    fn sent(name: &str) -> Moved {
        let outcome = Outcome {
            path: None,
            size: 1,
            digest: Algorithm::Md5.digest(b"x"),
            sent: 1,
            is_download: false,
            verified: true,
            name: name.to_owned(),
        };
        Moved {
            outcome: Some(outcome),
            done: Done::default(),
        }
    }

    /// What is told of `work`: one word a line.
    fn told(work: impl FnOnce(&mut Ends<'_>)) -> Vec<String> {
        let (output, _, err) = output(false);
        let who = Credentials::new("", "");
        let session = Session::new("host".parse().unwrap(), Trust::plain(), who, output, Settings::default());
        work(&mut Ends::new(&session, true));
        let text = err.text();
        text.lines()
            .map(|line| line.split_whitespace().nth(1).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn ends_are_told_in_the_order_of_the_line() {
        let order = told(|ends| {
            ends.put(2, Ok(sent("c"))).unwrap();
            ends.put(1, Err(Error::not_found("b").into())).unwrap();
            ends.put(0, Ok(sent("a"))).unwrap();
        });
        assert_eq!(order, ["a", "error", "c"]);
    }

    #[test]
    fn what_went_well_is_told_also_when_the_rest_is_given_up() {
        let order = told(|ends| {
            ends.put(1, Ok(sent("b"))).unwrap();
            assert!(ends.put(0, Err(Failure::unreachable("gone"))).is_err());
        });
        assert_eq!(order, ["b"]);
    }
}
