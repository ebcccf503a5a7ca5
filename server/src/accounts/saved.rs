//! Saved logins: tokens beside the accounts, in the same database, so that a new password takes them away in the one
//! transaction that sets it.

use std::time::{SystemTime, UNIX_EPOCH};

use ferry_core::login::Credential;
use ferry_core::login::token::Token;
use ferry_core::logins::SavedLogin;
use ferry_core::text::escape;
use ferry_core::{Error, Result};
use redb::{ReadableDatabase as _, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{Accounts, Claimed, broken, decode, encode, unknown};
use crate::audit::cut;

/// Saved logins by account and id, each a MessagePack map.
const LOGINS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("logins");
/// The account of each saved login, by id: a client comes with the id alone.
const OWNERS: TableDefinition<'_, &str, &str> = TableDefinition::new("login_owners");
/// The most saved logins of an account: one for each machine of somebody who has many, and few enough to be looked through.
pub(crate) const LOGINS_MAX: usize = 32;
/// The longest label that is kept, in bytes: the longest name of a host (POSIX, `HOST_NAME_MAX` on Linux).
pub(crate) const LABEL_MAX_BYTES: usize = 64;
/// Behind every id, which is lower-case hex.
const BEHIND_IDS: &str = "g";

const DAY_SECS: u64 = 24 * 60 * 60;
const NANOS: i64 = 1_000_000_000;

/// A saved login as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    /// What it is checked against.
    pub(super) auth: Credential,
    label: String,
    /// In seconds since 1970-01-01 UTC.
    created: u64,
    /// The day on which it was used last, in whole days since 1970-01-01 UTC: a login that writes would wait for the disk.
    used: Option<u64>,
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

fn nanos(secs: u64) -> i64 {
    i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(NANOS)
}

fn no_such(id: &str) -> Error {
    let shown = cut(&escape(id.as_bytes()), LABEL_MAX_BYTES);
    Error::not_found(format!("no saved login of this user has the id `{shown}`"))
}

/// Makes the tables when they are not there.
pub(super) fn set_up(write: &WriteTransaction) -> Result<()> {
    write.open_table(LOGINS).map_err(broken)?;
    write.open_table(OWNERS).map_err(broken)?;
    Ok(())
}

/// Takes all of an account's saved logins away.
pub(super) fn drop_all(write: &WriteTransaction, name: &str) -> Result<()> {
    let mut logins = write.open_table(LOGINS).map_err(broken)?;
    let ids = ids(&logins, name)?;
    remove(write, &mut logins, name, &ids)
}

fn ids(logins: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>, name: &str) -> Result<Vec<String>> {
    let rows = logins.range((name, "")..(name, BEHIND_IDS)).map_err(broken)?;
    rows.map(|row| Ok(row.map_err(broken)?.0.value().1.to_owned())).collect()
}

fn remove(write: &WriteTransaction, logins: &mut Table<'_, (&str, &str), &[u8]>, name: &str, ids: &[String]) -> Result<()> {
    let mut owners = write.open_table(OWNERS).map_err(broken)?;
    for id in ids {
        logins
            .remove((name, id.as_str()))
            .map_err(broken)?
            .ok_or_else(|| no_such(id))?;
        owners.remove(id.as_str()).map_err(broken)?;
    }
    Ok(())
}

impl Accounts {
    /// The saved login of that id, and whose it is.
    pub(super) fn saved(&self, id: &str) -> Result<Option<(String, Saved)>> {
        let read = self.database.begin_read().map_err(broken)?;
        let owners = read.open_table(OWNERS).map_err(broken)?;
        let Some(owner) = owners.get(id).map_err(broken)? else {
            return Ok(None);
        };
        let logins = read.open_table(LOGINS).map_err(broken)?;
        let Some(bytes) = logins.get((owner.value(), id)).map_err(broken)? else {
            return Ok(None);
        };
        Ok(Some((owner.value().to_owned(), decode(bytes.value())?)))
    }

    /// Makes a saved login for somebody who has just proved to know his password; it can be shown this once. Nobody gets one for
    /// another one: it would outlive the first when that is taken away.
    ///
    /// # Errors
    /// `denied` when there are as many as there may be, or he came with a saved login himself; `login_refused` when the account
    /// was changed meanwhile.
    pub(crate) fn save_login(&self, who: &Claimed, label: &str) -> Result<Token> {
        if who.token.is_some() {
            return Err(Error::denied("only who logs in with the password gets a saved login"));
        }
        let name = who.name.as_str();
        let token = Token::new()?;
        let saved = Saved {
            auth: Credential::Token(token.verifier()),
            label: cut(&escape(label.as_bytes()), LABEL_MAX_BYTES),
            created: now_secs(),
            used: None,
        };
        let write = self.database.begin_write().map_err(broken)?;
        {
            // Looked at inside the transaction: no new password falls between this and the new saved login.
            let accounts = write.open_table(super::ACCOUNTS).map_err(broken)?;
            let account = accounts.get(name).map_err(broken)?.ok_or_else(|| unknown(name))?;
            who.check(&decode(account.value())?)?;
            let mut logins = write.open_table(LOGINS).map_err(broken)?;
            if ids(&logins, name)?.len() >= LOGINS_MAX {
                let text = format!("this login was not saved: {LOGINS_MAX} saved logins are the most, and there are so many");
                return Err(Error::denied(text).hint("take one away that is not used any more"));
            }
            let mut owners = write.open_table(OWNERS).map_err(broken)?;
            let taken = owners.insert(token.id(), name).map_err(broken)?;
            if taken.is_some() {
                return Err(Error::internal("two saved logins have one id"));
            }
            logins
                .insert((name, token.id()), encode(&saved)?.as_slice())
                .map_err(broken)?;
        }
        write.commit().map_err(broken)?;
        Ok(token)
    }

    /// Takes note that a saved login was used, once a day.
    pub(super) fn used(&self, name: &str, id: &str, saved: Saved) -> Result<()> {
        let today = now_secs() / DAY_SECS;
        if saved.used == Some(today) {
            return Ok(());
        }
        let write = self.database.begin_write().map_err(broken)?;
        {
            let mut logins = write.open_table(LOGINS).map_err(broken)?;
            // It may have been taken away meanwhile, and must not come back.
            if logins.get((name, id)).map_err(broken)?.is_some() {
                let saved = Saved {
                    used: Some(today),
                    ..saved
                };
                logins.insert((name, id), encode(&saved)?.as_slice()).map_err(broken)?;
            }
        }
        write.commit().map_err(broken)
    }

    /// The saved logins of an account, oldest first.
    ///
    /// # Errors
    /// `not_found` when there is no such account.
    pub(crate) fn logins(&self, name: &str) -> Result<Vec<SavedLogin>> {
        self.get(name)?;
        let read = self.database.begin_read().map_err(broken)?;
        let logins = read.open_table(LOGINS).map_err(broken)?;
        let rows = logins.range((name, "")..(name, BEHIND_IDS)).map_err(broken)?;
        let mut found = Vec::new();
        for row in rows {
            let (key, bytes) = row.map_err(broken)?;
            let saved: Saved = decode(bytes.value())?;
            found.push(SavedLogin {
                id: key.value().1.to_owned(),
                label: saved.label,
                created: nanos(saved.created),
                used: saved.used.map(|day| nanos(day.saturating_mul(DAY_SECS))),
            });
        }
        found.sort_by_key(|login| login.created);
        Ok(found)
    }

    /// Takes saved logins of an account away: those that are named or, with none named, all. When one of them is not there, none
    /// is taken away.
    ///
    /// # Errors
    /// `not_found`.
    pub(crate) fn log_out(&self, name: &str, named: &[String]) -> Result<()> {
        self.get(name)?;
        let write = self.database.begin_write().map_err(broken)?;
        if named.is_empty() {
            drop_all(&write, name)?;
        } else {
            let mut logins = write.open_table(LOGINS).map_err(broken)?;
            remove(&write, &mut logins, name, named)?;
        }
        write.commit().map_err(broken)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, accounts, claimed};
    use super::*;
    use ferry_core::ErrorKind;
    use ferry_core::login::{Channel, ClientLogin, Opening, Secret};

    /// What a server adds to a client's nonce.
    const NONCE: &str = "3rfcNHYJY1ZVvWVs7j4a5678";

    /// Logs in by a token; gives the account's name.
    fn log_in(accounts: &Accounts, token: &Token) -> Result<String> {
        let (client, step) = ClientLogin::start(Secret::Token(token.clone()), Channel::Plain)?;
        let opening = Opening::read(step.mechanism, &step.data, Channel::Plain)?;
        let (who, server, challenge) = accounts.challenge(opening, NONCE)?;
        let (finish, answer) = client.answer(None, &challenge.data)?;
        finish.check(&server.finish(&answer)?)?;
        accounts.log_in(&who)?;
        Ok(who.name)
    }

    fn refused(accounts: &Accounts, token: &Token) -> bool {
        log_in(accounts, token).is_err_and(|error| error.kind == ErrorKind::LoginRefused)
    }

    #[test]
    fn a_saved_login_logs_in_until_it_is_taken_away_and_over_a_restart() {
        let (folder, mut accounts) = accounts(&["alice", "bob"]);
        let token = accounts.save_login(&claimed(&accounts, "alice"), "desk").unwrap();
        let other = accounts.save_login(&claimed(&accounts, "alice"), "lap").unwrap();
        assert_eq!(log_in(&accounts, &token).unwrap(), "alice");
        drop(accounts);
        accounts = Accounts::open(folder.path()).unwrap();
        assert_eq!(log_in(&accounts, &token).unwrap(), "alice");
        // Nobody takes away what is not his.
        let id = [token.id().to_owned()];
        assert_eq!(accounts.log_out("bob", &id).unwrap_err().kind, ErrorKind::NotFound);
        let missing = [id[0].clone(), "0".into()];
        assert_eq!(accounts.log_out("alice", &missing).unwrap_err().kind, ErrorKind::NotFound);
        assert!(log_in(&accounts, &token).is_ok(), "all of the named ones or none");
        accounts.log_out("alice", &id).unwrap();
        assert!(refused(&accounts, &token) && log_in(&accounts, &other).is_ok());
        accounts.log_out("alice", &[]).unwrap();
        assert!(refused(&accounts, &other) && accounts.logins("alice").unwrap().is_empty());
    }

    #[test]
    fn what_is_listed_tells_place_and_days_and_no_line_break() {
        let (_folder, accounts) = accounts(&["alice"]);
        let label = format!("a\n\x1b[2J{}", "\u{e4}".repeat(60));
        let token = accounts.save_login(&claimed(&accounts, "alice"), &label).unwrap();
        let listed = accounts.logins("alice").unwrap().remove(0);
        assert!(listed.id == token.id() && listed.created > 0 && listed.used.is_none());
        assert!(listed.label.starts_with("a\\n\\x1b[2J\u{e4}") && listed.label.len() <= LABEL_MAX_BYTES);
        log_in(&accounts, &token).unwrap();
        let used = accounts.logins("alice").unwrap().remove(0).used.unwrap();
        assert_eq!(used % nanos(DAY_SECS), 0);
        assert_eq!(accounts.logins("bob").unwrap_err().kind, ErrorKind::NotFound);
    }

    #[test]
    fn an_account_has_so_many_and_no_more() {
        let (_folder, accounts) = accounts(&["alice", "bob"]);
        let who = claimed(&accounts, "alice");
        let tokens: Vec<Token> = (0..LOGINS_MAX).map(|_| accounts.save_login(&who, "").unwrap()).collect();
        assert_eq!(accounts.save_login(&who, "").unwrap_err().kind, ErrorKind::Denied);
        accounts.save_login(&claimed(&accounts, "bob"), "").unwrap();
        accounts.log_out("alice", &[tokens[3].id().to_owned()]).unwrap();
        accounts.save_login(&who, "").unwrap();
        assert_eq!(accounts.logins("alice").unwrap().len(), LOGINS_MAX);
    }

    #[test]
    fn a_disabled_account_is_let_in_by_none_and_an_enabled_one_again() {
        let (_folder, accounts) = accounts(&["alice"]);
        let token = accounts.save_login(&claimed(&accounts, "alice"), "").unwrap();
        let disable = |disabled| {
            let change = |account: &mut super::super::Account| {
                account.disabled = disabled;
                Ok(())
            };
            accounts.update("alice", disabled, change).unwrap();
        };
        disable(true);
        assert!(refused(&accounts, &token));
        disable(false);
        assert!(log_in(&accounts, &token).is_ok());
    }

    #[test]
    fn a_new_password_and_a_removed_account_take_all_away() {
        let (_folder, accounts) = accounts(&["alice"]);
        let old = claimed(&accounts, "alice");
        let token = accounts.save_login(&old, "").unwrap();
        let change = |account: &mut super::super::Account| {
            account.auth = super::super::tests::account("other").auth;
            Ok(())
        };
        accounts.update("alice", true, change).unwrap();
        assert!(refused(&accounts, &token) && accounts.logins("alice").unwrap().is_empty());
        // Who proved to know the old password, and was slow, gets in by it no more, and no saved login either.
        assert_eq!(accounts.log_in(&old).unwrap_err().kind, ErrorKind::LoginRefused);
        assert_eq!(accounts.save_login(&old, "").unwrap_err().kind, ErrorKind::LoginRefused);
        let token = accounts.save_login(&claimed(&accounts, "alice"), "").unwrap();
        accounts.remove("alice").unwrap();
        accounts.add(&account("alice")).unwrap();
        assert!(refused(&accounts, &token) && accounts.logins("alice").unwrap().is_empty());
    }

    #[test]
    fn a_saved_login_begets_none_and_a_challenge_outlives_none() {
        let (_folder, accounts) = accounts(&["alice"]);
        let token = accounts.save_login(&claimed(&accounts, "alice"), "").unwrap();
        let (_, step) = ClientLogin::start(Secret::Token(token.clone()), Channel::Plain).unwrap();
        let opening = Opening::read(step.mechanism, &step.data, Channel::Plain).unwrap();
        let (who, ..) = accounts.challenge(opening, NONCE).unwrap();
        assert_eq!(accounts.save_login(&who, "").unwrap_err().kind, ErrorKind::Denied);
        assert!(accounts.log_in(&who).is_ok());
        accounts.log_out("alice", &[]).unwrap();
        assert_eq!(accounts.log_in(&who).unwrap_err().kind, ErrorKind::LoginRefused);
    }
}
