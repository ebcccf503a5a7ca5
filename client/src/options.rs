//! The command line of `ferry` itself.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use ferry_core::{Algorithm, ByteSize};

/// The port of a server that says none.
pub const DEFAULT_PORT: u16 = 7171;

/// The client of Ferry, a multi-user file server. It learns its verbs from the server: `ferry TARGET help` lists them.
#[derive(Debug, Clone, Parser)]
#[command(name = "ferry", version, max_term_width = 100)]
pub struct Options {
    /// Run the verbs in FILE, one a line (`-`: standard input)
    #[arg(short = 'b', value_name = "FILE")]
    pub batch: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
    /// No progress bar
    #[arg(short = 'q', long = "no-progress")]
    pub quiet: bool,
    /// Transfers side by side, over as many connections (16 at most); without it 4 over one
    #[arg(short = 'j', value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub jobs: Option<u8>,
    /// Bytes a second, at most
    #[arg(long, value_name = "SIZE")]
    pub limit_rate: Option<ByteSize>,
    /// How long transfers wait for a server that is gone when nothing moves (0: not at all)
    #[arg(long, value_name = "SECONDS", default_value_t = crate::link::Patience::default().total.as_secs())]
    pub retry_for: u64,
    /// Which digest proves a transfer: md5 or blake3
    #[arg(long, value_name = "NAME", default_value = "md5")]
    pub digest: Algorithm,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Log in with the password and save the login, so that none is needed next time
    #[arg(long)]
    pub save_login: bool,
    /// Trust a server key never seen before without asking
    #[arg(long)]
    pub accept_new: bool,
    /// Accept this server key (sha256:...) and no other
    #[arg(long, value_name = "KEY")]
    pub pin: Option<String>,
    /// The file of known server keys
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
    /// Trust servers whose certificate this authority signed (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// No encryption; only to a loopback address
    #[arg(long)]
    pub no_tls: bool,
    /// Where to log in, and as whom: `[USER@]HOST[:PORT]`
    pub target: String,
    /// The verb and its arguments; none for the interactive shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "VERB")]
    pub words: Vec<OsString>,
}

/// Whom to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The account's name, when the target says one.
    pub user: Option<String>,
    /// Name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl std::str::FromStr for Target {
    type Err = String;

    /// Reads `[USER@]HOST[:PORT]`; an IPv6 address stands in brackets.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a target; write it like alice@files.example:7171");
        let (user, place) = match text.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()).filter(|user| !user.is_empty()), place),
            None => (None, text),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(bad)?;
                (
                    host,
                    rest.strip_prefix(':').or(rest.is_empty().then_some("")).ok_or_else(bad)?,
                )
            }
            None => place.split_once(':').unwrap_or((place, "")),
        };
        if host.is_empty() || (port.is_empty() && place.ends_with(':')) {
            return Err(bad());
        }
        let port = if port.is_empty() {
            DEFAULT_PORT
        } else {
            port.parse().map_err(|_| bad())?
        };
        Ok(Self {
            user,
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn target(text: &str) -> Option<(Option<String>, String, u16)> {
        text.parse::<Target>().ok().map(|t| (t.user, t.host, t.port))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn targets_are_read_in_all_their_forms() {
        let full = |user: Option<&str>, host: &str, port| Some((user.map(str::to_owned), host.to_owned(), port));
        assert_eq!(target("localhost"), full(None, "localhost", 7171));
        assert_eq!(target("al@127.0.0.1:9"), full(Some("al"), "127.0.0.1", 9));
        assert_eq!(target("al@[::1]:9"), full(Some("al"), "::1", 9));
        assert_eq!(target("[::1]"), full(None, "::1", 7171));
        for bad in ["", "al@", "host:", "host:port", "host:99999", "[::1", "[::1]9"] {
            assert_eq!(target(bad), None, "{bad}");
        }
    }

    #[test]
    fn options_behind_the_verb_belong_to_the_verb() {
        let options = Options::try_parse_from(["ferry", "-q", "host", "ls", "-l", "--json", "-b", "x"]).unwrap();
        assert!(options.quiet && !options.json && options.batch.is_none());
        assert_eq!(options.words, ["ls", "-l", "--json", "-b", "x"]);
    }

    #[test]
    fn options_may_stand_behind_the_target_when_there_is_no_verb() {
        let options = Options::try_parse_from(["ferry", "host", "--json", "-b", "-"]).unwrap();
        assert!(options.json && options.batch == Some("-".into()) && options.words.is_empty());
    }
}
