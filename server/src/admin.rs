//! Administration of a data folder: through the running server's socket in it, or, when none runs, on the accounts directly. Both
//! go through [`apply`], so a running server sees every change at once.
//!
//! The socket belongs to the data folder's owner alone. One connection carries one request and one answer, each a MessagePack map
//! up to the end of the stream.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_std::os::unix::net::UnixListener;
use ferry_core::login::Credential;
use ferry_core::logins::SavedLogin;
use ferry_core::size::ByteSize;
use ferry_core::store::{Check, Durability, Store};
use ferry_core::{Error, ErrorKind, Result, rt};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use serde::{Deserialize, Serialize};

use crate::accounts::{Account, Accounts};
use crate::audit;
use crate::config::make_private;
use crate::reload::{self, Fresh, Reloaded};
use crate::server::Server;
use crate::watch::now_ms;
use crate::{Parts, confine};

/// The socket's name in the data folder.
const SOCKET: &str = "admin.sock";
/// The longest request or answer, in bytes.
const MESSAGE_MAX_BYTES: u64 = 64 << 20;
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an administrator asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Every account.
    List,
    /// One account.
    Show(String),
    /// A new account.
    Add(Account),
    /// Other rights or another quota.
    Set(String, Changes),
    /// Another password; ends the sessions.
    Password(String, Credential),
    /// Whether the account is locked; locking ends the sessions.
    Disable(String, bool),
    /// Removes the account, and with `true` the home as well; ends the sessions.
    Remove(String, bool),
    /// An account's saved logins.
    Logins(String),
    /// Takes saved logins of an account away: those that are named or, with none, all.
    Logout(String, Vec<String>),
    /// Counts every home, and with `true` corrects what is off.
    Check(bool),
    /// Who is logged in.
    Who,
    /// Ends a user's sessions.
    Kick(String),
    /// Which config file the server goes by, and whether it was named.
    Config,
    /// Another config, and what it names.
    Reload(Box<Fresh>),
}

/// What is to be changed of an account; absent is left alone.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Changes {
    /// The quota.
    pub(crate) quota: Option<Quota>,
    /// May run no `Write` verb.
    pub(crate) read_only: Option<bool>,
    /// May run `Admin` verbs.
    #[serde(default)]
    pub(crate) admin: Option<bool>,
    /// The only verbs that he may run.
    pub(crate) allow: Option<Vec<String>>,
    /// Verbs that he may not run.
    pub(crate) deny: Option<Vec<String>>,
}

/// A quota, or none. Not an `Option`, for an `Option` inside another one is lost on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Quota {
    /// At most so many bytes.
    Limit(ByteSize),
    /// No limit.
    None,
}

impl Quota {
    /// The limit in bytes, if there is one.
    pub(crate) fn limit(self) -> Option<u64> {
        match self {
            Self::Limit(size) => Some(size.0),
            Self::None => None,
        }
    }
}

/// The answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Kind, message and hint of a failure.
    failure: Option<(ErrorKind, String, Option<String>)>,
    /// Accounts, where they were asked for.
    pub(crate) accounts: Vec<Account>,
    /// Saved logins, where they were asked for.
    pub(crate) logins: Vec<SavedLogin>,
    /// Sessions, where they were asked for.
    pub(crate) sessions: Vec<Online>,
    /// Users with their homes, counted, where that was asked for.
    pub(crate) homes: Vec<(String, Check)>,
    /// The config file, where it was asked for, and whether there must be one.
    config: Option<(PathBuf, bool)>,
    /// What came of a reload.
    pub(crate) reloaded: Reloaded,
}

/// A session, as told to an administrator.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Online {
    /// The user's name.
    pub(crate) user: String,
    /// What is going on: verb, and for how many milliseconds.
    pub(crate) requests: Vec<(String, u64)>,
}

/// Does what does not need a running server.
fn apply(accounts: &Accounts, store: &dyn Fn() -> Result<Arc<dyn Store>>, ask: Ask) -> Result<Answer> {
    let mut answer = Answer::default();
    match ask {
        Ask::List => answer.accounts = accounts.list()?,
        Ask::Show(name) => answer.accounts = vec![accounts.get(&name)?],
        Ask::Add(account) => accounts.add(&account)?,
        Ask::Set(name, changes) => accounts.update(&name, false, |account| {
            if let Some(quota) = changes.quota {
                account.quota = quota.limit();
            }
            let user = &mut account.user;
            user.read_only = changes.read_only.unwrap_or(user.read_only);
            user.admin = changes.admin.unwrap_or(user.admin);
            user.allow = changes.allow.unwrap_or(std::mem::take(&mut user.allow));
            user.deny = changes.deny.unwrap_or(std::mem::take(&mut user.deny));
            Ok(())
        })?,
        Ask::Password(name, auth) => accounts.update(&name, true, |account| {
            account.auth = auth;
            Ok(())
        })?,
        Ask::Disable(name, disabled) => accounts.update(&name, disabled, |account| {
            account.disabled = disabled;
            Ok(())
        })?,
        Ask::Remove(name, purge) => {
            accounts.remove(&name)?;
            if purge {
                rt::block_on(store()?.purge(&name))?;
            }
        }
        Ask::Logins(name) => answer.logins = accounts.logins(&name)?,
        Ask::Logout(name, ids) => accounts.log_out(&name, &ids)?,
        Ask::Check(repair) => {
            let store = store()?;
            for account in accounts.list()? {
                let name = account.user.name;
                let check = rt::block_on(store.check(&name, repair))?;
                answer.homes.push((name, check));
            }
            if repair {
                rt::block_on(store.close())?;
            }
        }
        Ask::Who | Ask::Kick(_) | Ask::Config | Ask::Reload(_) => {
            return Err(Error::not_found("no server runs on this data folder"));
        }
    }
    Ok(answer)
}

impl Ask {
    /// What it changes of whose account, if anything.
    fn change(&self) -> Option<(&'static str, String)> {
        let (change, name) = match self {
            Self::List | Self::Show(_) | Self::Logins(_) | Self::Check(_) | Self::Who | Self::Config => return None,
            Self::Add(account) => ("add", &account.user.name),
            Self::Set(name, _) => ("set", name),
            Self::Password(name, _) => ("password", name),
            Self::Disable(name, true) => ("disable", name),
            Self::Disable(name, false) => ("enable", name),
            Self::Remove(name, false) => ("remove", name),
            Self::Remove(name, true) => ("purge", name),
            Self::Logout(name, _) => ("logout", name),
            Self::Kick(name) => ("kick", name),
            // Of no account.
            Self::Reload(_) => return Some(("reload", String::new())),
        };
        Some((change, name.clone()))
    }
}

fn apply_live(server: &Server, ask: Ask) -> Result<Answer> {
    let change = ask.change();
    let answer = do_live(server, ask);
    if let Some((change, name)) = change {
        audit::account(change, &name, &answer);
    }
    answer
}

fn do_live(server: &Server, ask: Ask) -> Result<Answer> {
    match ask {
        Ask::Who => {
            let now = now_ms();
            let sessions = server.sessions().into_iter().map(|session| Online {
                user: session.user.clone(),
                requests: session
                    .requests
                    .all()
                    .iter()
                    .map(|r| (r.verb.to_string(), now.saturating_sub(r.since_ms)))
                    .collect(),
            });
            Ok(Answer {
                sessions: sessions.collect(),
                ..Answer::default()
            })
        }
        Ask::Kick(name) => {
            // The account is as it was: only those who are in must come in again.
            server.accounts.update(&name, true, |_| Ok(()))?;
            Ok(Answer::default())
        }
        Ask::Config => Ok(Answer {
            config: server.origin.as_ref().map(|origin| (origin.path(), origin.is_named())),
            ..Answer::default()
        }),
        Ask::Reload(fresh) => Ok(Answer {
            reloaded: reload::apply(server, &fresh)?,
            ..Answer::default()
        }),
        other => apply(&server.accounts, &|| Ok(server.store.clone()), other),
    }
}

/// Asks whoever is in charge of the data folder.
///
/// # Errors
/// What the answer says; `not_found` when there is no data folder and `make` is false.
pub(crate) fn ask(data: &Path, ask: Ask, make: bool, parts: &Parts) -> Result<Answer> {
    if let Ok(stream) = UnixStream::connect(data.join(SOCKET)) {
        return call(stream, &ask);
    }
    if !make && !data.is_dir() {
        return Err(Error::not_found(format!("there is no data folder {}", data.display())).hint("name it with --data DIR"));
    }
    confine::refuse_root_in(data)?;
    let data = crate::config::make_data_folder(data)?;
    apply(&Accounts::open(&data)?, &|| (parts.store)(&data, Durability::Strict), ask)
}

/// Has the running server read its config again.
///
/// # Errors
/// What is wrong with the config; `not_found` when no server runs.
pub(crate) fn reload(data: &Path, parts: &Parts) -> Result<Answer> {
    let config = ask(data, Ask::Config, false, parts)?.config;
    let (path, must) = config.ok_or_else(|| Error::bad_request("this server has no config"))?;
    ask(data, Ask::Reload(Box::new(Fresh::read(&path, must)?)), false, parts)
}

fn call(mut stream: UnixStream, ask: &Ask) -> Result<Answer> {
    let failed = |error: std::io::Error| Error::internal("the running server does not answer").caused_by(error);
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    stream
        .write_all(&encode(ask)?)
        .and_then(|()| stream.shutdown(Shutdown::Write))
        .map_err(failed)?;
    let mut bytes = Vec::new();
    stream.take(MESSAGE_MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let answer: Answer = decode(&bytes)?;
    match answer.failure {
        None => Ok(answer),
        Some((kind, message, hint)) => {
            let error = Error::new(kind, message);
            Err(match hint {
                Some(hint) => error.hint(hint),
                None => error,
            })
        }
    }
}

fn encode(message: &impl Serialize) -> Result<Vec<u8>> {
    rmp_serde::to_vec_named(message).map_err(|error| Error::internal("admin message cannot be written").caused_by(error))
}

fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| Error::bad_request("admin message cannot be read").caused_by(error))
}

/// The socket of a running server; removed when dropped.
pub(crate) struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Socket {
    /// Makes the socket in the data folder. One that a killed server left is replaced: the caller holds the accounts, so no
    /// other server lives here.
    ///
    /// # Errors
    /// `internal`, naming path and cause.
    pub(crate) async fn bind(data: &Path) -> Result<Self> {
        let path = data.join(SOCKET);
        let failed = |error: std::io::Error| Error::internal(format!("cannot make {}: {error}", path.display()));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).await.map_err(failed)?;
        make_private(&path)?;
        Ok(Self { path, listener })
    }

    /// Answers one request after the other.
    pub(crate) async fn serve(&self, server: Arc<Server>) {
        loop {
            let Ok((mut stream, _)) = self.listener.accept().await else {
                rt::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let server = server.clone();
            let work = async move {
                let mut bytes = Vec::new();
                (&mut stream).take(MESSAGE_MAX_BYTES).read_to_end(&mut bytes).await?;
                let answer = rt::unblock(move || decode(&bytes).and_then(|ask| apply_live(&server, ask))).await;
                let answer = answer.unwrap_or_else(|error| Answer {
                    failure: Some((error.kind, error.message.into_owned(), error.hint.map(Into::into))),
                    ..Answer::default()
                });
                stream.write_all(&encode(&answer).unwrap_or_default()).await
            };
            if let Ok(Err(error)) = rt::timeout(PATIENCE, work).await {
                tracing::debug!(%error, "admin connection broke");
            }
        }
    }
}
