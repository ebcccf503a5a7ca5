//! A server on a free port of this machine, in the process of whoever wants one: for `ferryd try`, and for tests of verbs.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_channel::Sender;
use ferry_core::dispatch::Env;
use ferry_core::login::{Credential, scram};
use ferry_core::rt::{self, Task};
use ferry_core::store::{Check, Home, Store};
use ferry_core::verb::BoxFuture;
use ferry_core::{Error, Result, User};

use crate::accounts::{Account, Accounts};
use crate::server::{Run, Server};
use crate::{listener, options};

/// What a password is salted with, in bytes.
const SALT_BYTES: usize = 16;

/// A server that accepts connections on a free loopback port.
pub(crate) struct Serving {
    /// Where.
    pub(crate) address: SocketAddr,
    /// Dropped, it stops.
    stop: Sender<()>,
    task: Task<Result<()>>,
}

impl Serving {
    /// Starts it, with its watchdog.
    pub(crate) fn start(server: &Arc<Server>) -> Result<Self> {
        let (listener, address) = rt::block_on(listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
        options::start_watchdog(server)?;
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let task = rt::spawn(listener::accept(server.clone(), listener, async move {
            let _ = stopped.recv().await;
        }));
        Ok(Self { address, stop, task })
    }

    /// Takes no more connections and lets running requests finish, for 10 s at most.
    pub(crate) fn end(self) -> Result<()> {
        drop(self.stop);
        rt::block_on(self.task)
    }
}

/// A server started by [`loopback`]. Dropped, it takes no more connections, lets running requests finish for 10 s at most, and ends.
pub struct Loopback(Option<Serving>);

impl Drop for Loopback {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(Serving::end) {
            tracing::warn!("the server did not end well: {error}");
        }
    }
}

/// Starts a server in this process that serves one environment: its verbs, to its user, who logs in with that password, in its home.
/// It listens on a free loopback port without TLS, and everything but the home is kept in memory. Gives its address, and what keeps it
/// running.
///
/// It is made for `Harness::over` and `both` of `ferry-testkit`, with which a test of a verb runs over a real socket too. Not for the
/// inside of a task: it waits.
///
/// # Errors
/// `internal` when there is no port or no thread left, `bad_request` when the password cannot be one.
///
/// ```
/// use ferry_server::loopback;
/// use ferry_testkit::{Harness, Sent, both, example::{Take, Write}};
///
/// let harness = Harness::of::<Write>().over(loopback);
/// harness.ok("write a.txt text");
/// assert_eq!(harness.files()["/a.txt"], b"text");
///
/// // One test, in process and over the socket: answers and homes must be alike.
/// let _ = both(Harness::of::<Take>, |harness| harness.over(loopback), |harness| {
///     (harness.answer_to("take a.txt", b"contents"), harness.answer_to("take b.txt", Sent::file("cut").cut_after(1)))
/// });
/// ```
pub fn loopback(env: &Env, password: &str) -> Result<(SocketAddr, Loopback)> {
    let accounts = Accounts::in_memory()?;
    // As few iterations as a client takes: this password protects nothing, and tests start many servers.
    let verifier = scram::Verifier::with(password, &scram::random::<SALT_BYTES>()?, scram::ITERATIONS_MIN)?;
    accounts.add(&Account {
        user: User::clone(&env.user),
        quota: None,
        disabled: false,
        auth: Credential::Scram(verifier),
        created: 0,
    })?;
    let run = Run {
        logins: Some(env.logins.clone()),
        ..Run::default()
    };
    let store = Arc::new(OneHome(env.home.clone()));
    let server = Server::new(env.registry.clone(), store, None, accounts, run);
    let serving = Serving::start(&server)?;
    Ok((serving.address, Loopback(Some(serving))))
}

/// A store of one home, whoever asks. Its limit is its own.
struct OneHome(Arc<dyn Home>);

impl OneHome {
    fn has_one_home<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T>> {
        Box::pin(std::future::ready(Err(Error::unsupported("this server has one home"))))
    }
}

impl Store for OneHome {
    fn home<'a>(&'a self, _user: &'a str, _limit: Option<u64>) -> BoxFuture<'a, Result<Arc<dyn Home>>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }

    fn check<'a>(&'a self, _user: &'a str, _repair: bool) -> BoxFuture<'a, Result<Check>> {
        Self::has_one_home()
    }

    fn purge<'a>(&'a self, _user: &'a str) -> BoxFuture<'a, Result<()>> {
        Self::has_one_home()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
