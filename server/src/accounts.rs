//! Accounts: an embedded database in the data folder (redb), of which a running server is the only owner, and the rights of
//! those who are logged in, which follow every change at once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use ferry_core::login::{Credential, Opening, ServerLogin, Standing, Step, scram};
use ferry_core::{Error, ErrorKind, Result, User};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};

/// Accounts by name, each a MessagePack map.
const ACCOUNTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("accounts");
/// The server's own secrets by name.
const SECRETS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("secrets");
/// The file's name in the data folder.
const FILE: &str = "accounts.redb";

/// An account as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Name and rights.
    #[serde(flatten)]
    pub(crate) user: User,
    /// The most bytes of its home; `None` without a limit.
    pub(crate) quota: Option<u64>,
    /// Whether it may not log in for now.
    #[serde(default)]
    pub(crate) disabled: bool,
    /// How it logs in: pinned here, never negotiated.
    pub(crate) auth: Credential,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub(crate) created: u64,
}

/// Someone who is logged in: his rights as they are now, and whether he must leave.
#[derive(Debug)]
pub(crate) struct Live {
    state: RwLock<(Arc<User>, Option<u64>)>,
    ended: async_channel::Sender<()>,
    /// Closed when the account's sessions must end.
    pub(crate) end: async_channel::Receiver<()>,
}

impl Live {
    fn new(account: &Account) -> Self {
        let (ended, end) = async_channel::bounded(1);
        Self {
            state: RwLock::new((Arc::new(account.user.clone()), account.quota)),
            ended,
            end,
        }
    }

    /// Rights and quota at this moment.
    pub(crate) fn now(&self) -> (Arc<User>, Option<u64>) {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All accounts.
pub(crate) struct Accounts {
    database: Database,
    live: Mutex<HashMap<String, Weak<Live>>>,
    secret: [u8; 32],
}

fn broken(error: impl Into<redb::Error>) -> Error {
    Error::internal("the accounts cannot be read or written").caused_by(error.into())
}

fn unknown(name: &str) -> Error {
    Error::not_found(format!("no user is called `{}`", ferry_core::text::escape(name.as_bytes())))
}

impl Accounts {
    /// Opens the accounts in the data folder, making them when they are not there.
    ///
    /// # Errors
    /// `busy` when another process has them open.
    pub(crate) fn open(data: &Path) -> Result<Self> {
        let path = data.join(FILE);
        let database = match Database::create(&path) {
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(Error::new(ErrorKind::Busy, "another ferryd has this data folder open"));
            }
            other => other.map_err(broken)?,
        };
        crate::config::make_private(&path)?;
        let secret = Self::set_up(&database)?;
        Ok(Self {
            database,
            live: Mutex::default(),
            secret,
        })
    }

    /// Makes the tables and the server's secret when they are not there.
    fn set_up(database: &Database) -> Result<[u8; 32]> {
        let write = database.begin_write().map_err(broken)?;
        let secret = {
            write.open_table(ACCOUNTS).map_err(broken)?;
            let mut secrets = write.open_table(SECRETS).map_err(broken)?;
            let kept = secrets
                .get("decoy")
                .map_err(broken)?
                .and_then(|bytes| <[u8; 32]>::try_from(bytes.value()).ok());
            match kept {
                Some(secret) => secret,
                None => {
                    let secret = scram::random::<32>()?;
                    secrets.insert("decoy", secret.as_slice()).map_err(broken)?;
                    secret
                }
            }
        };
        write.commit().map_err(broken)?;
        Ok(secret)
    }

    fn live(&self) -> MutexGuard<'_, HashMap<String, Weak<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account of that name.
    ///
    /// # Errors
    /// `not_found`.
    pub(crate) fn get(&self, name: &str) -> Result<Account> {
        let read = self.database.begin_read().map_err(broken)?;
        let table = read.open_table(ACCOUNTS).map_err(broken)?;
        let bytes = table.get(name).map_err(broken)?.ok_or_else(|| unknown(name))?;
        decode(bytes.value())
    }

    /// Every account, by name.
    pub(crate) fn list(&self) -> Result<Vec<Account>> {
        let read = self.database.begin_read().map_err(broken)?;
        let table = read.open_table(ACCOUNTS).map_err(broken)?;
        let rows = table.iter().map_err(broken)?;
        rows.map(|row| decode(row.map_err(broken)?.1.value())).collect()
    }

    /// Challenges a client that says it is `name`. Unknown and disabled users are challenged like others, so that nobody can tell
    /// them from wrong passwords.
    ///
    /// # Errors
    /// As [`Opening::challenge`]; `internal` when the accounts cannot be read.
    pub(crate) fn challenge(&self, opening: Opening, name: &str) -> Result<(ServerLogin, Step)> {
        let account = match self.get(name) {
            Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
            found => found.ok(),
        };
        let standing = match &account {
            None => Standing::Unknown,
            Some(account) if account.disabled => Standing::Disabled(&account.auth),
            Some(account) => Standing::Open(&account.auth),
        };
        opening.challenge(standing, &self.secret)
    }

    /// Takes note that `name` is logged in.
    ///
    /// # Errors
    /// `login_refused` when the account was disabled or removed meanwhile.
    pub(crate) fn log_in(&self, name: &str) -> Result<Arc<Live>> {
        // The lock is held over the look-up, so that no change falls between it and the entry in the table.
        let mut live = self.live();
        let account = self.get(name).ok().filter(|account| !account.disabled);
        let account = account.ok_or_else(|| Error::new(ErrorKind::LoginRefused, "wrong user name or password"))?;
        if let Some(known) = live.get(name).and_then(Weak::upgrade).filter(|known| !known.end.is_closed()) {
            return Ok(known);
        }
        live.retain(|_, known| known.strong_count() > 0);
        let new = Arc::new(Live::new(&account));
        live.insert(name.to_owned(), Arc::downgrade(&new));
        Ok(new)
    }

    /// Adds an account.
    ///
    /// # Errors
    /// `exists`, `bad_request` for a name that is none.
    pub(crate) fn add(&self, account: &Account) -> Result<()> {
        User::check_name(&account.user.name)?;
        self.change(&account.user.name, |old| match old {
            Some(_) => Err(Error::exists(format!("user `{}` is there already", account.user.name))),
            None => Ok(Some(account.clone())),
        })
    }

    /// Changes an account; `end` ends its sessions.
    ///
    /// # Errors
    /// `not_found`, or what `change` says.
    pub(crate) fn update(&self, name: &str, end: bool, change: impl FnOnce(&mut Account) -> Result<()>) -> Result<()> {
        self.change(name, |old| {
            let mut account = old.ok_or_else(|| unknown(name))?;
            change(&mut account)?;
            Ok(Some(account))
        })?;
        self.refresh(name, end)
    }

    /// Removes an account and ends its sessions. The home stays.
    ///
    /// # Errors
    /// `not_found`.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.change(name, |old| old.map(|_| None).ok_or_else(|| unknown(name)))?;
        self.refresh(name, true)
    }

    /// Tells those who are logged in.
    fn refresh(&self, name: &str, end: bool) -> Result<()> {
        let live = self.live();
        let Some(known) = live.get(name).and_then(Weak::upgrade) else {
            return Ok(());
        };
        if end {
            known.ended.close();
            return Ok(());
        }
        let account = self.get(name)?;
        *known.state.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(account.user), account.quota);
        Ok(())
    }

    /// Replaces one account in one durable transaction.
    fn change(&self, name: &str, change: impl FnOnce(Option<Account>) -> Result<Option<Account>>) -> Result<()> {
        let write = self.database.begin_write().map_err(broken)?;
        {
            let mut table = write.open_table(ACCOUNTS).map_err(broken)?;
            let old = table
                .get(name)
                .map_err(broken)?
                .map(|bytes| decode(bytes.value()))
                .transpose()?;
            match change(old)? {
                Some(account) => {
                    let bytes = rmp_serde::to_vec_named(&account)
                        .map_err(|e| Error::internal("account cannot be written").caused_by(e))?;
                    table.insert(name, bytes.as_slice()).map_err(broken)?;
                }
                None => drop(table.remove(name).map_err(broken)?),
            }
        }
        write.commit().map_err(broken)
    }
}

fn decode(bytes: &[u8]) -> Result<Account> {
    rmp_serde::from_slice(bytes).map_err(|error| Error::internal("an account cannot be read").caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> Account {
        let auth = Credential::Scram(scram::Verifier::decoy(b"test", name));
        Account {
            user: User::named(name),
            quota: Some(10),
            disabled: false,
            auth,
            created: 0,
        }
    }

    fn accounts() -> (tempfile::TempDir, Accounts) {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(folder.path()).unwrap();
        (folder, accounts)
    }

    #[test]
    fn accounts_survive_a_restart_and_are_nobody_elses_meanwhile() {
        let (folder, accounts) = accounts();
        accounts.add(&account("alice")).unwrap();
        assert_eq!(Accounts::open(folder.path()).err().unwrap().kind, ErrorKind::Busy);
        drop(accounts);
        let accounts = Accounts::open(folder.path()).unwrap();
        assert_eq!(accounts.get("alice").unwrap(), account("alice"));
        assert_eq!(accounts.list().unwrap().len(), 1);
    }

    #[test]
    fn a_name_is_given_once_and_only_if_it_is_one() {
        let (_folder, accounts) = accounts();
        accounts.add(&account("alice")).unwrap();
        assert_eq!(accounts.add(&account("alice")).unwrap_err().kind, ErrorKind::Exists);
        assert_eq!(accounts.add(&account("../alice")).unwrap_err().kind, ErrorKind::BadRequest);
        assert_eq!(accounts.remove("bob").unwrap_err().kind, ErrorKind::NotFound);
    }

    #[test]
    fn a_change_reaches_those_who_are_logged_in() {
        let (_folder, accounts) = accounts();
        accounts.add(&account("alice")).unwrap();
        let live = accounts.log_in("alice").unwrap();
        accounts
            .update("alice", false, |account| {
                account.user.read_only = true;
                account.quota = None;
                Ok(())
            })
            .unwrap();
        let (user, quota) = live.now();
        assert!(user.read_only && quota.is_none() && !live.end.is_closed());
        accounts
            .update("alice", true, |account| {
                account.disabled = true;
                Ok(())
            })
            .unwrap();
        assert!(live.end.is_closed());
        assert_eq!(accounts.log_in("alice").unwrap_err().kind, ErrorKind::LoginRefused);
    }
}
