//! Every limit of the server, with its default, in one place. The config's section `[limits]` changes them; docs/LIMITS.md lists
//! them, and a test fails when that table is stale.

use std::time::Duration;

use ferry_core::wire::REQUESTS_MAX;
use ferry_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// What peers get, before and after login. Times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Limits {
    /// From the connection to the end of the TLS handshake.
    pub(crate) handshake_seconds: u64,
    /// From the connection to the welcome, handshake and all tries included.
    pub(crate) login_seconds: u64,
    /// Logins that may fail on one connection.
    pub(crate) login_tries: u64,
    /// Bytes that a connection may send before it is logged in, TLS included.
    pub(crate) login_bytes: u64,
    /// Connections that are not logged in.
    pub(crate) strangers: u64,
    /// The same of one address, of those older than [`crate::lobby::GRACE`].
    pub(crate) strangers_per_address: u64,
    /// All connections. Half of the descriptors that the system gives is the most, whatever is said here.
    pub(crate) connections: u64,
    /// Sessions of one user at a time.
    pub(crate) sessions_per_user: u64,
    /// Without a frame and a request in flight a session is ended after so long.
    pub(crate) idle_seconds: u64,
    /// A body that does not move for so long ends its request.
    pub(crate) stall_seconds: u64,
    /// Requests in flight on one connection.
    pub(crate) requests: u64,
    /// Failed logins an hour from one address.
    pub(crate) guesses_per_address: u64,
    /// Failed logins an hour on one account.
    pub(crate) guesses_per_account: u64,
    /// Whether failed logins from this machine itself are not counted.
    pub(crate) spare_loopback: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_seconds: 10,
            login_seconds: 30,
            login_tries: 3,
            login_bytes: 64 * 1024,
            strangers: 256,
            strangers_per_address: 16,
            connections: 10_000,
            sessions_per_user: 4096,
            idle_seconds: 15 * 60,
            stall_seconds: 60,
            requests: REQUESTS_MAX as u64,
            guesses_per_address: 30,
            guesses_per_account: 3_600,
            spare_loopback: true,
        }
    }
}

/// What a number may be, and what is said of it.
struct Rule {
    key: &'static str,
    of: fn(&Limits) -> u64,
    least: u64,
    most: u64,
    /// What it bounds, and what happens beyond it. For the table in the docs.
    #[cfg_attr(not(test), expect(dead_code, reason = "the table is made by a test"))]
    says: &'static str,
}

/// One for each number. The bounds keep a slip of the pen from shutting everybody out or letting everybody in.
const RULES: [Rule; 13] = [
    Rule {
        key: "handshake-seconds",
        of: |l| l.handshake_seconds,
        least: 1,
        most: 120,
        says: "from the connection to the end of the TLS handshake; then the connection ends",
    },
    Rule {
        key: "login-seconds",
        of: |l| l.login_seconds,
        least: 1,
        most: 600,
        says: "from the connection to the welcome, handshake and all tries included; then the connection ends",
    },
    Rule {
        key: "login-tries",
        of: |l| l.login_tries,
        least: 1,
        most: 10,
        says: "logins that may fail on one connection; the last ends it",
    },
    Rule {
        key: "login-bytes",
        of: |l| l.login_bytes,
        least: 8 * 1024,
        most: 1 << 20,
        says: "bytes that a connection may send before it is logged in, TLS included; one more ends it",
    },
    Rule {
        key: "strangers",
        of: |l| l.strangers,
        least: 8,
        most: 65_536,
        says: "connections that are not logged in; one more, and one of them is dropped (below)",
    },
    Rule {
        key: "strangers-per-address",
        of: |l| l.strangers_per_address,
        least: 1,
        most: 65_536,
        says: "the same from one IPv4 address or IPv6 /64, of those older than 2 s; what is above is dropped",
    },
    Rule {
        key: "connections",
        of: |l| l.connections,
        least: 16,
        most: 1 << 20,
        says: "all connections, and never more than half of the file descriptors that the process may have; one more is dropped",
    },
    Rule {
        key: "sessions-per-user",
        of: |l| l.sessions_per_user,
        least: 1,
        most: 1 << 16,
        says: "sessions of one user at a time, and never more than half of all connections; one more is refused with `busy`",
    },
    Rule {
        key: "idle-seconds",
        of: |l| l.idle_seconds,
        least: 1,
        most: 7 * 24 * 3600,
        says: "without a frame and a request in flight; then the session ends",
    },
    Rule {
        key: "stall-seconds",
        of: |l| l.stall_seconds,
        least: 1,
        most: 3600,
        says: "a body that does not move; then its request fails with `timeout`",
    },
    Rule {
        key: "requests",
        of: |l| l.requests,
        least: 1,
        most: REQUESTS_MAX as u64,
        says: "requests in flight on one connection; one more is refused with `busy`",
    },
    Rule {
        key: "guesses-per-address",
        of: |l| l.guesses_per_address,
        least: 1,
        most: 1 << 20,
        says: "failed logins an hour from one IPv4 address or IPv6 /64 (below)",
    },
    Rule {
        key: "guesses-per-account",
        of: |l| l.guesses_per_account,
        least: 1,
        most: 1 << 20,
        says: "failed logins an hour on one account (below)",
    },
];

impl Limits {
    /// Refuses numbers that cannot be meant.
    ///
    /// # Errors
    /// `bad_request`, naming the key and its bounds.
    pub(crate) fn check(&self) -> Result<()> {
        for rule in &RULES {
            let value = (rule.of)(self);
            if !(rule.least..=rule.most).contains(&value) {
                let Rule { key, least, most, .. } = rule;
                let text = format!("limits.{key} = {value}: it must be from {least} to {most}");
                return Err(Error::bad_request(text));
            }
        }
        Ok(())
    }

    /// The most time for the handshake.
    pub(crate) fn handshake(&self) -> Duration {
        Duration::from_secs(self.handshake_seconds)
    }

    /// The most time to the welcome.
    pub(crate) fn login(&self) -> Duration {
        Duration::from_secs(self.login_seconds)
    }

    /// When an idle session ends.
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    /// When a body that does not move ends its request.
    pub(crate) fn stall(&self) -> Duration {
        Duration::from_secs(self.stall_seconds)
    }

    /// Requests in flight on one connection, as a hello says it.
    pub(crate) fn requests(&self) -> u32 {
        u32::try_from(self.requests).unwrap_or(u32::MAX)
    }
}

/// A limit as a count.
pub(crate) fn count(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Raises the number of file descriptors that this process may have to what the system allows; gives it.
pub(crate) fn raise_descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => now.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::debug!(%error, "the number of file descriptors stays as it was");
            now.current.unwrap_or(u64::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_rule_that_its_default_keeps() {
        let limits = Limits::default();
        limits.check().unwrap();
        let toml::Value::Table(table) = toml::Value::try_from(&limits).unwrap() else {
            panic!("a table")
        };
        let numbers: Vec<(&String, i64)> = table
            .iter()
            .filter_map(|(key, value)| Some((key, value.as_integer()?)))
            .collect();
        assert_eq!(numbers.len(), RULES.len());
        for (key, value) in numbers {
            let rule = RULES
                .iter()
                .find(|rule| rule.key == key)
                .unwrap_or_else(|| panic!("no rule for {key}"));
            assert_eq!(i64::try_from((rule.of)(&limits)), Ok(value), "{key}");
        }
    }

    #[test]
    fn a_number_out_of_bounds_is_refused_and_named() {
        for rule in &RULES {
            for value in [rule.least.wrapping_sub(1).min(i64::MAX as u64), rule.most + 1] {
                let limits: Limits = toml::from_str(&format!("{} = {value}", rule.key)).unwrap();
                assert!(
                    limits.check().unwrap_err().message.contains(rule.key),
                    "{} = {value}",
                    rule.key
                );
            }
        }
    }

    #[test]
    fn the_table_in_the_docs_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/LIMITS.md");
        let text = std::fs::read_to_string(path).unwrap();
        let defaults = Limits::default();
        let mut table = String::from("| key | default | from | to | what it bounds |\n|---|---|---|---|---|\n");
        for rule in &RULES {
            let Rule {
                key,
                of,
                least,
                most,
                says,
                ..
            } = rule;
            table += &format!("| `{key}` | {} | {least} | {most} | {says} |\n", of(&defaults));
        }
        let spared = defaults.spare_loopback;
        table += &format!(
            "| `spare-loopback` | {spared} | | | failed logins from this machine itself are not counted, nor who is there not logged in (below) |\n"
        );
        let (before, rest) = text.split_once("<!-- limits -->\n").unwrap();
        let (found, after) = rest.split_once("<!-- end -->").unwrap();
        if std::env::var_os("FERRY_BLESS").is_some() {
            std::fs::write(path, format!("{before}<!-- limits -->\n{table}<!-- end -->{after}")).unwrap();
        } else {
            assert_eq!(found, table, "FERRY_BLESS=1 cargo test -p ferry-server --lib limits");
        }
    }
}
