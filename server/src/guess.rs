//! Guessing passwords: so many failed logins an hour an address and an account may have, and no more. Nobody is locked out by it.
//!
//! A login takes one try from the budget of its address and one from that of the account it names, and gets both back unless it
//! fails. Where there is none left but soon will be, the login waits for it, before the challenge. Where there will not be for
//! long, the login runs as always and is refused at its end, right or wrong, so that nobody learns anything from it.
//!
//! The honest user: an account that logged in from an address before has a budget of its own there, which the failures of others
//! at that address, or on that account from elsewhere, do not touch.
//!
//! All of it goes by the name that is claimed, whether or not there is such an account. The memory is bounded, and only here: a
//! restart gives everybody a full budget.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferry_core::{Error, ErrorKind, Result, rt};

use crate::limits::Limits;
use crate::lobby::Net;
use crate::watch::now_ms;

/// The most entries of a table: at 16 bytes each and the table's own, about 2 MiB.
const ENTRIES_MAX: usize = 64 * 1024;
/// The longest that a login waits for its try: with three on a connection it stays within the login's 30 s.
const WAIT_MAX_MS: u64 = 8_000;
/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

/// Budgets by key, each refilled steadily: the time at which it would be full again (the generic cell rate algorithm).
#[derive(Debug)]
struct Budgets {
    full_at_ms: HashMap<u64, u64>,
    each_ms: u64,
}

/// How long it takes to get a try back.
fn each_ms(an_hour: u64) -> u64 {
    (HOUR_MS / an_hour).max(1)
}

impl Budgets {
    fn new(an_hour: u64) -> Self {
        Self {
            full_at_ms: HashMap::new(),
            each_ms: each_ms(an_hour),
        }
    }

    /// How long a try has to wait for its turn.
    fn wait_ms(&self, key: u64, now: u64) -> u64 {
        let full_at = self.full_at_ms.get(&key).copied().unwrap_or(0).max(now);
        (full_at + self.each_ms).saturating_sub(now + HOUR_MS)
    }

    fn take(&mut self, key: u64, now: u64) {
        if self.full_at_ms.len() >= ENTRIES_MAX {
            self.make_room(now);
        }
        let full_at = self.full_at_ms.entry(key).or_insert(now);
        *full_at = (*full_at).max(now) + self.each_ms;
    }

    fn give_back(&mut self, key: u64) {
        if let Some(full_at) = self.full_at_ms.get_mut(&key) {
            *full_at = full_at.saturating_sub(self.each_ms);
        }
    }

    /// Forgets full budgets, and if there are few, the eighth that is nearest to full: names that were made up once give way to
    /// an account that is being guessed at, and not the other way round.
    fn make_room(&mut self, now: u64) {
        self.full_at_ms.retain(|_, full_at| *full_at > now);
        if self.full_at_ms.len() > ENTRIES_MAX / 8 * 7 {
            let mut times: Vec<u64> = self.full_at_ms.values().copied().collect();
            let (_, border, _) = times.select_nth_unstable(ENTRIES_MAX / 8);
            let border = *border;
            let mut left = ENTRIES_MAX / 8;
            self.full_at_ms.retain(|_, full_at| {
                let goes = *full_at <= border && left > 0;
                left -= usize::from(goes);
                !goes
            });
        }
    }
}

/// Accounts that logged in from an address: when last, and the budget that they have there.
#[derive(Debug)]
struct Acquainted {
    last_ms: HashMap<u64, u64>,
    budgets: Budgets,
}

impl Acquainted {
    fn remember(&mut self, pair: u64, now: u64) {
        if self.last_ms.len() >= ENTRIES_MAX && !self.last_ms.contains_key(&pair) {
            let oldest = self.last_ms.iter().min_by_key(|(_, last)| **last).map(|(pair, _)| *pair);
            oldest.map(|pair| self.last_ms.remove(&pair));
        }
        self.last_ms.insert(pair, now);
    }
}

#[derive(Debug)]
struct Tables {
    addresses: Budgets,
    accounts: Budgets,
    acquainted: Acquainted,
    spare_loopback: bool,
}

/// Who failed how often.
#[derive(Debug)]
pub(crate) struct Guesses {
    tables: Mutex<Tables>,
    /// Keyed at random, so that nobody can choose names that share a budget.
    hasher: RandomState,
}

/// Where the try comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paid {
    /// From address and account.
    Both,
    /// From what this account has at this address.
    Acquainted,
    /// There was none: the login is refused whatever it says.
    Not,
    /// Nobody counts.
    Spared,
}

/// One login's try. What it took is given back when it is dropped before [`Try::judge`] saw a failure.
#[derive(Debug)]
pub(crate) struct Try {
    guesses: Arc<Guesses>,
    address: u64,
    account: u64,
    pair: u64,
    paid: Paid,
    has_failed: bool,
}

impl Guesses {
    /// Full budgets for all.
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let tables = Tables {
            addresses: Budgets::new(limits.guesses_per_address),
            accounts: Budgets::new(limits.guesses_per_account),
            acquainted: Acquainted {
                last_ms: HashMap::new(),
                budgets: Budgets::new(limits.guesses_per_address),
            },
            spare_loopback: limits.spare_loopback,
        };
        Arc::new(Self {
            tables: Mutex::new(tables),
            hasher: RandomState::new(),
        })
    }

    /// Other limits from now on. What was used up stays so.
    pub(crate) fn set(&self, limits: &Limits) {
        let mut tables = self.tables();
        tables.addresses.each_ms = each_ms(limits.guesses_per_address);
        tables.accounts.each_ms = each_ms(limits.guesses_per_account);
        tables.acquainted.budgets.each_ms = each_ms(limits.guesses_per_address);
        tables.spare_loopback = limits.spare_loopback;
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a try for a login that claims `name`, waiting for it if need be. Call it before the challenge, so that the wait tells
    /// nothing of the answer.
    pub(crate) async fn admit(self: &Arc<Self>, from: IpAddr, name: &str) -> Try {
        let (one, wait_ms) = self.take(from, name, now_ms());
        if wait_ms > 0 {
            rt::sleep(Duration::from_millis(wait_ms)).await;
        }
        one
    }

    fn take(self: &Arc<Self>, from: IpAddr, name: &str, now: u64) -> (Try, u64) {
        let net = Net::of(from);
        let (address, account) = (self.hasher.hash_one(net), self.hasher.hash_one(name));
        let pair = self.hasher.hash_one((net, name));
        let mut tables = self.tables();
        let (paid, wait_ms) = match tables.spare_loopback && from.to_canonical().is_loopback() {
            true => (Paid::Spared, 0),
            false => tables.take(address, account, pair, now),
        };
        drop(tables);
        let one = Try {
            guesses: self.clone(),
            address,
            account,
            pair,
            paid,
            has_failed: false,
        };
        (one, wait_ms)
    }
}

impl Tables {
    fn take(&mut self, address: u64, account: u64, pair: u64, now: u64) -> (Paid, u64) {
        if self.acquainted.last_ms.contains_key(&pair) && self.acquainted.budgets.wait_ms(pair, now) == 0 {
            self.acquainted.budgets.take(pair, now);
            return (Paid::Acquainted, 0);
        }
        let wait_ms = self.addresses.wait_ms(address, now).max(self.accounts.wait_ms(account, now));
        if wait_ms > WAIT_MAX_MS {
            return (Paid::Not, 0);
        }
        self.addresses.take(address, now);
        self.accounts.take(account, now);
        (Paid::Both, wait_ms)
    }
}

impl Try {
    /// Passes on what became of the login's proof, unless there was no try for it.
    ///
    /// # Errors
    /// `login_refused` as from a wrong password, with a hint, when there was no try; the failure that came in.
    pub(crate) fn judge<T>(&mut self, proof: Result<T>) -> Result<T> {
        let wrong = |error: &Error| error.kind == ErrorKind::LoginRefused;
        self.has_failed = proof.as_ref().is_err_and(wrong);
        if self.paid != Paid::Not {
            return proof;
        }
        match proof {
            Err(error) if !wrong(&error) => Err(error),
            _ => Err(Error::new(ErrorKind::LoginRefused, "wrong user name or password")
                .hint("too many logins have failed lately; wait some minutes and try again")),
        }
    }

    /// The login has succeeded: this account is at home at this address.
    pub(crate) fn succeeded(self) {
        if self.paid != Paid::Spared {
            self.guesses.tables().acquainted.remember(self.pair, now_ms());
        }
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        if self.has_failed {
            return;
        }
        match self.paid {
            Paid::Both => {
                let mut tables = self.guesses.tables();
                tables.addresses.give_back(self.address);
                tables.accounts.give_back(self.account);
            }
            Paid::Acquainted => self.guesses.tables().acquainted.budgets.give_back(self.pair),
            Paid::Not | Paid::Spared => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn guesses(per_address: u64, per_account: u64) -> Arc<Guesses> {
        Guesses::new(&Limits {
            guesses_per_address: per_address,
            guesses_per_account: per_account,
            ..Limits::default()
        })
    }

    fn refused() -> Result<()> {
        Err(Error::new(ErrorKind::LoginRefused, "wrong user name or password"))
    }

    /// One login at a time; whether its proof counted, and how long it waited.
    fn log_in(guesses: &Arc<Guesses>, from: &str, name: &str, right: bool, now: u64) -> (bool, u64) {
        let (mut one, wait_ms) = guesses.take(from.parse().unwrap(), name, now);
        let counted = one.paid != Paid::Not;
        let judged = one.judge(if right { Ok(()) } else { refused() });
        assert_eq!(judged.is_ok(), right && counted);
        if judged.is_ok() {
            one.succeeded();
        }
        (counted, wait_ms)
    }

    #[test]
    fn an_address_has_thirty_failures_an_hour_and_then_one_in_two_minutes() {
        let guesses = guesses(30, 3_600);
        let guess = |now| log_in(&guesses, "192.0.2.1", "alice", false, now).0;
        assert_eq!((0..100).filter(|_| guess(NOW)).count(), 30);
        assert!(!guess(NOW + 100_000) && guess(NOW + 120_000) && !guess(NOW + 120_000));
        assert_eq!((0..100).filter(|_| guess(NOW + 120_000 + HOUR_MS)).count(), 30);
        assert!(log_in(&guesses, "192.0.2.2", "alice", false, NOW + 2 * HOUR_MS).0);
    }

    #[test]
    fn what_succeeds_or_is_given_up_costs_nothing() {
        let guesses = guesses(3, 3_600);
        for _ in 0..100 {
            assert_eq!(log_in(&guesses, "192.0.2.1", "alice", true, NOW), (true, 0));
            drop(guesses.take("192.0.2.1".parse().unwrap(), "bob", NOW));
        }
    }

    #[test]
    fn tries_under_way_at_once_are_counted_before_they_fail() {
        let guesses = guesses(3, 3_600);
        let held: Vec<Try> = (0..10)
            .map(|_| guesses.take("192.0.2.1".parse().unwrap(), "alice", NOW).0)
            .collect();
        assert_eq!(held.iter().filter(|one| one.paid == Paid::Both).count(), 3);
    }

    #[test]
    fn an_account_under_attack_from_everywhere_waits_a_little_and_its_user_not_at_all() {
        let guesses = guesses(30, 3_600);
        let address = |n: u64| format!("10.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255);
        log_in(&guesses, "192.0.2.1", "alice", true, NOW);
        for n in 0..3_600 {
            assert_eq!(log_in(&guesses, &address(n), "alice", false, NOW), (true, 0));
        }
        let (counted, wait_ms) = log_in(&guesses, "10.99.0.1", "alice", true, NOW);
        assert!(counted && (1..=1_000).contains(&wait_ms), "{wait_ms}");
        let judged = (4_000..4_100)
            .filter(|n| log_in(&guesses, &address(*n), "alice", false, NOW).0)
            .count();
        assert!((7..=8).contains(&judged), "no more than those that wait: {judged}");
        assert_eq!(log_in(&guesses, "192.0.2.1", "alice", true, NOW), (true, 0));
        assert_eq!(log_in(&guesses, "192.0.2.9", "bob", true, NOW), (true, 0));
    }

    #[test]
    fn neighbours_behind_one_address_do_not_lock_out_whoever_was_there_before() {
        let guesses = guesses(30, 3_600);
        log_in(&guesses, "192.0.2.1", "alice", true, NOW);
        for _ in 0..100 {
            log_in(&guesses, "192.0.2.1", "bob", false, NOW);
        }
        assert_eq!(log_in(&guesses, "192.0.2.1", "alice", true, NOW), (true, 0));
        assert!(!log_in(&guesses, "192.0.2.1", "carol", true, NOW).0);
        // What she has there is a budget too, not a way in.
        let judged = (0..100)
            .filter(|_| log_in(&guesses, "192.0.2.1", "alice", false, NOW).0)
            .count();
        assert_eq!(judged, 30);
    }

    #[test]
    fn loopback_is_spared_unless_told_otherwise() {
        let spared = guesses(3, 3);
        for from in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!((0..100).all(|_| log_in(&spared, from, "alice", false, NOW).0), "{from}");
        }
        let strict = Guesses::new(&Limits {
            guesses_per_address: 3,
            spare_loopback: false,
            ..Limits::default()
        });
        assert_eq!(
            (0..100)
                .filter(|_| log_in(&strict, "127.0.0.1", "alice", false, NOW).0)
                .count(),
            3
        );
    }

    #[test]
    fn names_that_are_made_up_push_nobody_out_of_a_full_table() {
        let mut budgets = Budgets::new(30);
        (0..30).for_each(|_| budgets.take(u64::MAX, NOW));
        (0..200_000).for_each(|key| budgets.take(key, NOW));
        assert!(budgets.full_at_ms.len() <= ENTRIES_MAX);
        assert!(budgets.wait_ms(u64::MAX, NOW) > 0 && budgets.wait_ms(u64::MAX - 1, NOW) == 0);
    }
}
