//! A session: who is logged in where, the working folders on both sides, and the connection, made again when it was lost.

use std::path::PathBuf;
use std::sync::Arc;

use async_channel::Receiver;
use async_signal::{Signal, Signals};
use ferry_core::fingerprint::Fingerprint;
use ferry_core::wire::REQUESTS_MAX;
use ferry_core::{Algorithm, RemotePath, rt};
use futures_lite::{FutureExt as _, StreamExt as _};

use crate::aliases::Aliases;
use crate::connection::Connection;
use crate::digests::Digests;
use crate::editor::Keys;
use crate::exit::{Failure, Result};
use crate::jobs::Jobs;
use crate::link::{CONNECTIONS_MAX, Link};
use crate::login::Credentials;
use crate::options::Target;
use crate::pool::Pool;
use crate::progress::Paused;
use crate::render::Output;
use crate::tally::Tally;
use crate::transfer::Pace;
use crate::trust::Trust;

/// Where to log in, and as whom.
#[derive(Clone)]
pub struct Login {
    /// `HOST[:PORT]`, as in a target.
    pub address: String,
    /// The server's key; without one there is no encryption, and the server must be on this machine.
    pub key: Option<Fingerprint>,
    /// The account's name.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({}@{})", self.user, self.address)
    }
}

/// How transfers are done.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many transfers run side by side, of several files or of what is in a folder.
    pub jobs: usize,
    /// Over how many connections at most. More are opened only when there are transfers for them.
    pub connections: usize,
    /// No progress bars and no lines about transfers that went well.
    pub quiet: bool,
    /// Bytes a second, at most.
    pub limit_rate: Option<u64>,
    /// Which digest proves a transfer.
    pub digest: Algorithm,
}

/// Transfers side by side when nobody says: enough to hide a round trip and share a disk's flush, and few enough to be fair.
pub const JOBS: u8 = 4;

/// Small files under way at once: as many as a server of ours takes on one connection, so that a thousand of them are not a thousand
/// round trips, and share their flushes.
const IN_FLIGHT: usize = REQUESTS_MAX;

impl Default for Settings {
    fn default() -> Self {
        Self {
            jobs: JOBS.into(),
            connections: 1,
            quiet: false,
            limit_rate: None,
            digest: Algorithm::default(),
        }
    }
}

impl Settings {
    /// The same with so many transfers side by side, over as many connections. `None` leaves what nobody said: one connection.
    #[must_use]
    pub fn side_by_side(self, jobs: Option<u8>) -> Self {
        let Some(jobs) = jobs.map(usize::from) else {
            return self;
        };
        Self {
            jobs,
            connections: jobs.clamp(1, CONNECTIONS_MAX),
            ..self
        }
    }
}

/// Everything that verbs typed by one user share.
#[derive(Debug)]
pub struct Session {
    /// The connections, and how they are made again; shared with the jobs.
    pub link: Arc<Link>,
    /// The remote working folder, absolute.
    pub cwd: RemotePath,
    /// The local working folder.
    pub local: PathBuf,
    /// Where things are printed.
    pub output: Output,
    /// How transfers are done.
    pub settings: Settings,
    /// How fast contents may move, all transfers together.
    pub pace: Arc<Pace>,
    /// What the running command has moved.
    pub tally: Arc<Tally>,
    /// Digests of local files.
    pub digests: Arc<Digests>,
    /// The transfers that are running, to tell how far they came when they are stopped.
    pub paused: Paused,
    /// Short names for lines.
    pub aliases: Aliases,
    /// How many scripts run each other by `source` just now.
    pub sourcing: u8,
    /// How the user wants the shell.
    pub taste: Taste,
    /// What runs beside the prompt.
    pub jobs: Arc<Jobs>,
    /// Whether this is a job's own, in which nobody is asked anything.
    is_job: bool,
}

/// How a user wants the shell.
#[derive(Debug, Clone, Default)]
pub struct Taste {
    /// Which keys edit a line.
    pub keys: Keys,
    /// The command that long answers go through, when the user names one.
    pub pager: Option<String>,
}

impl Session {
    /// A session that is not connected yet.
    pub fn new(target: Target, trust: Trust, credentials: Credentials, output: Output, settings: Settings) -> Self {
        Self {
            link: Arc::new(Link::new(target, trust, credentials)),
            cwd: RemotePath::from("/"),
            local: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            output,
            pace: Arc::new(Pace::new(settings.limit_rate)),
            settings,
            tally: Arc::default(),
            digests: Arc::default(),
            paused: Paused::default(),
            aliases: Aliases::default(),
            sourcing: 0,
            taste: Taste::default(),
            jobs: Arc::default(),
            is_job: false,
        }
    }

    /// A session for one job: with working folders of its own, as they are now, and the same connections, pace and digests.
    pub(crate) fn for_job(&self, output: Output) -> Self {
        Self {
            link: self.link.clone(),
            cwd: self.cwd.clone(),
            local: self.local.clone(),
            output,
            settings: self.settings,
            pace: self.pace.clone(),
            tally: Arc::default(),
            digests: self.digests.clone(),
            paused: Paused::default(),
            aliases: Aliases::default(),
            sourcing: 0,
            taste: self.taste.clone(),
            jobs: self.jobs.clone(),
            is_job: true,
        }
    }

    /// A connection, made or made again when there is none.
    ///
    /// # Errors
    /// As [`Link::connect`].
    pub async fn connect(&self) -> Result<Arc<Connection>> {
        let connection = self.link.connect_asking(!self.is_job).await?;
        for note in self.link.take_notes() {
            self.output.note(&note);
        }
        Ok(connection)
    }

    /// How many small files may be under way at once: as many as the server takes on one connection, should the others be lost,
    /// and a request more beside them.
    ///
    /// # Errors
    /// Exit code 8 when there is no connection.
    pub fn in_flight(&self) -> Result<usize> {
        let most = self.link.latest()?.requests_max().saturating_sub(1).max(1);
        Ok(self.settings.jobs.max(IN_FLIGHT).min(most))
    }

    /// `user@host`, made safe to show.
    pub fn name(&self) -> String {
        let name = format!("{}@{}", self.link.credentials.user, self.link.target.host);
        ferry_core::text::escape(name.as_bytes())
    }

    /// Ends all connections in good order.
    pub async fn close(&self) {
        let digests = self.digests.clone();
        rt::unblock(move || digests.save()).await;
        let connections = self.link.take();
        let mut closing = Pool::new(connections.len());
        for connection in &connections {
            closing.push(connection.close());
        }
        while closing.next().await.is_some() {}
    }
}

/// The user's Ctrl-C, and his Ctrl-Z where that is ours.
#[derive(Debug, Clone)]
pub struct Interrupts {
    stops: Receiver<()>,
    suspends: Option<Receiver<()>>,
}

impl Interrupts {
    /// Takes over SIGINT for the rest of the process.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn install() -> Result<Self> {
        Ok(Self {
            stops: listen(Signal::Int)?,
            suspends: None,
        })
    }

    /// The same, with SIGTSTP taken over too.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn and_suspends(&self) -> Result<Self> {
        Ok(Self {
            stops: self.stops.clone(),
            suspends: Some(listen(Signal::Tstp)?),
        })
    }

    /// Whether Ctrl-Z is ours.
    pub fn can_suspend(&self) -> bool {
        self.suspends.is_some()
    }

    /// Waits for the next Ctrl-Z.
    pub async fn suspended(&self) {
        if let Some(suspends) = &self.suspends
            && suspends.recv().await.is_ok()
        {
            return;
        }
        futures_lite::future::pending::<()>().await;
    }

    /// None that ever come.
    pub fn none() -> Self {
        Self {
            stops: async_channel::bounded(1).1,
            suspends: None,
        }
    }

    /// Waits for the next one.
    pub async fn next(&self) {
        if self.stops.recv().await.is_err() {
            futures_lite::future::pending::<()>().await;
        }
    }

    /// Does some work, unless the next one comes first. No `async fn`, which would hold the work, that may be large, twice.
    ///
    /// # Errors
    /// What the work says; exit code 10 when it was stopped.
    pub fn or_stop<T>(&self, work: impl Future<Output = Result<T>>) -> impl Future<Output = Result<T>> {
        let stop = async {
            self.next().await;
            Err(Failure::interrupted())
        };
        work.or(stop)
    }

    /// Forgets one that came when nothing was running.
    pub fn clear(&self) {
        while self.stops.try_recv().is_ok() {}
        while self.suspends.as_ref().is_some_and(|suspends| suspends.try_recv().is_ok()) {}
    }
}

/// Takes over a signal for the rest of the process.
fn listen(signal: Signal) -> Result<Receiver<()>> {
    let signals = Signals::new([signal]);
    let mut signals = signals.map_err(|error| Failure::local("signals", error))?;
    let (sender, receiver) = async_channel::bounded(1);
    drop(rt::spawn(async move {
        while let Some(Ok(_)) = signals.next().await {
            // One that waits is as good as two.
            let _ = sender.try_send(());
        }
    }));
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_follow_the_transfers_that_were_asked_for_up_to_a_bound() {
        let of = |jobs| {
            let settings = Settings::default().side_by_side(jobs);
            (settings.jobs, settings.connections)
        };
        assert_eq!([of(None), of(Some(1)), of(Some(4))], [(usize::from(JOBS), 1), (1, 1), (4, 4)]);
        assert_eq!(of(Some(32)), (32, CONNECTIONS_MAX));
    }
}
