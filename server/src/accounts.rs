//! Accounts: an embedded database in the data folder (redb), of which a running server is the only owner, and the rights of
//! those who are logged in, which follow every change at once.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use ferry_core::login::{Claim, Credential, Opening, ServerLogin, Standing, Step, scram};
use ferry_core::{Error, ErrorKind, Result, User};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

mod saved;

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
    /// How often that was changed.
    changes: AtomicU64,
    ended: async_channel::Sender<()>,
    /// Closed when the account's sessions must end.
    pub(crate) end: async_channel::Receiver<()>,
}

impl Live {
    fn new(account: &Account) -> Self {
        let (ended, end) = async_channel::bounded(1);
        Self {
            state: RwLock::new((Arc::new(account.user.clone()), account.quota)),
            changes: AtomicU64::new(0),
            ended,
            end,
        }
    }

    /// A number that is another one after every change. What [`Self::now`] gives afterwards is at least as new as this.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Rights and quota at this moment.
    pub(crate) fn now(&self) -> (Arc<User>, Option<u64>) {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Somebody at the door: who he says he is, and what he must prove to know.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// The account's name; none for a saved login that does not exist.
    pub(crate) name: String,
    /// The id of the saved login that he comes with.
    pub(crate) token: Option<String>,
    /// What he is checked against; `None` when nothing fits.
    credential: Option<Credential>,
}

impl Claimed {
    /// Whether what he was checked against still holds: the account may have been given a new password since.
    fn check(&self, account: &Account) -> Result<()> {
        let is_right = self.token.is_some() || self.credential.as_ref() == Some(&account.auth);
        (is_right && !account.disabled).then_some(()).ok_or_else(refused)
    }
}

/// All accounts.
pub(crate) struct Accounts {
    database: Database,
    live: Mutex<HashMap<String, Weak<Live>>>,
    secret: [u8; 32],
    /// An account as it is kept, to be read where there is none, so that time does not tell who is there.
    decoy: Vec<u8>,
}

fn broken(error: impl Into<redb::Error>) -> Error {
    Error::internal("the accounts cannot be read or written").caused_by(error.into())
}

fn unknown(name: &str) -> Error {
    Error::not_found(format!("no user is called `{}`", ferry_core::text::escape(name.as_bytes())))
}

fn refused() -> Error {
    Error::new(ErrorKind::LoginRefused, "wrong user name or password")
}

impl Accounts {
    /// Opens the accounts in the data folder, making them when they are not there.
    ///
    /// # Errors
    /// `busy` when another process has them open.
    pub(crate) fn open(data: &Path) -> Result<Self> {
        let path = data.join(FILE);
        // Nobody else's from its first moment: who has it open keeps it open.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::internal(format!("{}: {error}", path.display())))?;
        let database = match Database::builder().create_file(file) {
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(Error::new(ErrorKind::Busy, "another ferryd has this data folder open"));
            }
            other => other.map_err(broken)?,
        };
        crate::config::make_private(&path)?;
        Self::of(database)
    }

    /// Accounts that nobody has yet, and that are gone with this process.
    ///
    /// # Errors
    /// `internal`.
    pub(crate) fn in_memory() -> Result<Self> {
        let backend = redb::backends::InMemoryBackend::new();
        Self::of(Database::builder().create_with_backend(backend).map_err(broken)?)
    }

    fn of(database: Database) -> Result<Self> {
        let secret = Self::set_up(&database)?;
        let decoy = Account {
            user: User::named("decoy"),
            quota: None,
            disabled: false,
            auth: Credential::Scram(scram::Verifier::decoy(&secret, "decoy")),
            created: 0,
        };
        Ok(Self {
            database,
            live: Mutex::default(),
            secret,
            decoy: encode(&decoy)?,
        })
    }

    /// Makes the tables and the server's secret when they are not there.
    fn set_up(database: &Database) -> Result<[u8; 32]> {
        let write = database.begin_write().map_err(broken)?;
        let secret = {
            write.open_table(ACCOUNTS).map_err(broken)?;
            saved::set_up(&write)?;
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

    /// The account of that name and `true`, or another one and `false`: the same work whether it is there or not.
    fn get_or_decoy(&self, name: &str) -> Result<(Account, bool)> {
        let read = self.database.begin_read().map_err(broken)?;
        let table = read.open_table(ACCOUNTS).map_err(broken)?;
        let found = table.get(name).map_err(broken)?;
        let bytes = found.as_ref().map_or(self.decoy.as_slice(), |found| found.value());
        Ok((decode(bytes)?, found.is_some()))
    }

    /// Every account, by name.
    pub(crate) fn list(&self) -> Result<Vec<Account>> {
        let read = self.database.begin_read().map_err(broken)?;
        let table = read.open_table(ACCOUNTS).map_err(broken)?;
        let rows = table.iter().map_err(broken)?;
        rows.map(|row| decode(row.map_err(broken)?.1.value())).collect()
    }

    /// Challenges a client that says who it is, with a nonce made for it alone. Unknown and disabled users are challenged like others,
    /// so that nobody can tell them from wrong passwords.
    ///
    /// # Errors
    /// As [`Opening::challenge_with`]; `internal` when the accounts cannot be read.
    pub(crate) fn challenge(&self, opening: Opening, nonce: &str) -> Result<(Claimed, ServerLogin, Step)> {
        let (name, token, credential) = match opening.claim() {
            Claim::User(name) => (name.to_owned(), None, None),
            Claim::Token(id) => {
                let (name, saved) = self.saved(id)?.unzip();
                (name.unwrap_or_default(), Some(id.to_owned()), saved.map(|saved| saved.auth))
            }
        };
        let (account, is_there) = self.get_or_decoy(&name)?;
        let credential = match &token {
            None => Some(account.auth.clone()),
            Some(_) => credential,
        };
        let standing = match &credential {
            Some(credential) if is_there && account.disabled => Standing::Disabled(credential),
            Some(credential) if is_there => Standing::Open(credential),
            _ => Standing::Unknown,
        };
        let (exchange, step) = opening.challenge_with(standing, &self.secret, nonce)?;
        let credential = credential.filter(|_| is_there);
        let claimed = Claimed { name, token, credential };
        Ok((claimed, exchange, step))
    }

    /// Takes note that somebody who proved who he is is logged in.
    ///
    /// # Errors
    /// `login_refused` when the account was disabled, removed or given a new password meanwhile, or his saved login taken away.
    pub(crate) fn log_in(&self, who: &Claimed) -> Result<Arc<Live>> {
        // The lock is held over the look-up, so that no change falls between it and the entry in the table.
        let mut live = self.live();
        let name = who.name.as_str();
        let account = self.get(name).map_err(|_| refused())?;
        who.check(&account)?;
        if let Some(id) = &who.token {
            let saved = self.saved(id)?.filter(|(owner, _)| owner == name);
            let (_, saved) = saved.ok_or_else(refused)?;
            if let Err(error) = self.used(name, id, saved) {
                tracing::warn!(%error, "the use of a saved login was not noted");
            }
        }
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
        known.changes.fetch_add(1, Ordering::AcqRel);
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
                .map(|bytes| decode::<Account>(bytes.value()))
                .transpose()?;
            let before = old.as_ref().map(|account| account.auth.clone());
            let new = change(old)?;
            match &new {
                Some(account) => drop(table.insert(name, encode(account)?.as_slice()).map_err(broken)?),
                None => drop(table.remove(name).map_err(broken)?),
            }
            // Here and not with those who change a password, so that nobody forgets it.
            if new.map(|account| account.auth) != before {
                saved::drop_all(&write, name)?;
            }
        }
        write.commit().map_err(broken)
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| Error::internal("an account cannot be read").caused_by(error))
}

fn encode(kept: &impl Serialize) -> Result<Vec<u8>> {
    rmp_serde::to_vec_named(kept).map_err(|error| Error::internal("an account cannot be written").caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn account(name: &str) -> Account {
        let auth = Credential::Scram(scram::Verifier::decoy(b"test", name));
        Account {
            user: User::named(name),
            quota: Some(10),
            disabled: false,
            auth,
            created: 0,
        }
    }

    pub(super) fn accounts(names: &[&str]) -> (tempfile::TempDir, Accounts) {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(folder.path()).unwrap();
        for name in names {
            accounts.add(&account(name)).unwrap();
        }
        (folder, accounts)
    }

    /// Somebody who proved to know the account's password of now.
    pub(super) fn claimed(accounts: &Accounts, name: &str) -> Claimed {
        Claimed {
            name: name.to_owned(),
            token: None,
            credential: Some(accounts.get(name).unwrap().auth),
        }
    }

    #[test]
    fn accounts_survive_a_restart_and_are_nobody_elses_meanwhile() {
        let (folder, accounts) = accounts(&["alice"]);
        assert_eq!(Accounts::open(folder.path()).err().unwrap().kind, ErrorKind::Busy);
        drop(accounts);
        let accounts = Accounts::open(folder.path()).unwrap();
        assert_eq!(accounts.get("alice").unwrap(), account("alice"));
        assert_eq!(accounts.list().unwrap().len(), 1);
    }

    #[test]
    fn a_name_is_given_once_and_only_if_it_is_one() {
        let (_folder, accounts) = accounts(&["alice"]);
        assert_eq!(accounts.add(&account("alice")).unwrap_err().kind, ErrorKind::Exists);
        assert_eq!(accounts.add(&account("../alice")).unwrap_err().kind, ErrorKind::BadRequest);
        assert_eq!(accounts.remove("bob").unwrap_err().kind, ErrorKind::NotFound);
    }

    #[test]
    fn a_change_reaches_those_who_are_logged_in() {
        let (_folder, accounts) = accounts(&["alice"]);
        let who = claimed(&accounts, "alice");
        let live = accounts.log_in(&who).unwrap();
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
        assert_eq!(accounts.log_in(&who).unwrap_err().kind, ErrorKind::LoginRefused);
    }
}
