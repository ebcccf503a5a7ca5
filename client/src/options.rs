//! The command line of `ferry` itself.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, ValueHint};
use ferry_core::{Algorithm, ByteSize};

/// The port of a server that says none.
pub const DEFAULT_PORT: u16 = 7171;

/// The forms of a command line.
const USAGE: &str = "\
ferry [OPTIONS] TARGET                 the shell, or a script when piped
       ferry [OPTIONS] TARGET VERB [ARG ...]  one verb, then exit
       ferry [OPTIONS] -b FILE TARGET         the script in FILE";

/// What stands below the options.
const EXAMPLES: &str = "\
Examples:
  ferry alice@files.example                   the shell
  ferry alice@files.example put backup.tar    goes on where it was cut off
  ferry alice@files.example get -r photos .   a folder, to here
  ferry --json work ls -l | jq .size          `work` is a profile
  printf 'cd media\\nls\\n' | ferry work      a script
  ferry --save-login alice@files.example pwd  no password from now on

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 login or key refused,
4 not found, 5 denied, 6 over quota or disk full, 7 digest mismatch, 8 server
gone (try again), 9 conflict, 10 interrupted (resumes), 11 some items failed,
12 not understood.

Files: config.toml, known_hosts and logins in ~/.config/ferry. Variables:
FERRY_PASSWORD, FERRY_CONFIG, FERRY_KNOWN_HOSTS, FERRY_LOGINS, NO_COLOR.";

const SERVERS: &str = "Login and trust";
const TRANSFERS: &str = "Transfers";
const INPUT: &str = "Input and output";
const SETUP: &str = "Set-up (instead of a target)";

/// The client of Ferry, a multi-user file server. It learns its verbs from the
/// server: `ferry TARGET help` lists them, `ferry TARGET help VERB` explains one.
#[derive(Debug, Clone, Parser)]
#[command(name = "ferry", version, max_term_width = 80, override_usage = USAGE, after_help = EXAMPLES)]
pub struct Options {
    /// Where to log in, and as whom: `[USER@]HOST[:PORT]`, or a profile's name
    #[arg(required = true)]
    pub target: Option<String>,
    /// The verb and its arguments; none for the interactive shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "VERB")]
    pub words: Vec<OsString>,
    /// Run the verbs in FILE, one a line (`-`: standard input)
    #[arg(short = 'b', value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub batch: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long, help_heading = INPUT)]
    pub json: bool,
    /// No progress bar
    #[arg(short = 'q', long = "no-progress", help_heading = INPUT)]
    pub quiet: bool,
    /// N transfers side by side, over as many connections (16 at most); without it 4 over one
    #[arg(short = 'j', value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32), help_heading = TRANSFERS)]
    pub jobs: Option<u8>,
    /// Bytes a second, at most: 500k, 10MiB
    #[arg(long, value_name = "SIZE", help_heading = TRANSFERS)]
    pub limit_rate: Option<ByteSize>,
    /// Which digest proves a transfer: md5 (default) or blake3
    #[arg(long, value_name = "NAME", help_heading = TRANSFERS)]
    pub digest: Option<Algorithm>,
    /// How long transfers wait for a server that is gone when nothing moves (0: not at all)
    #[arg(long, value_name = "SECONDS", default_value_t = crate::link::Patience::default().total.as_secs(), help_heading = TRANSFERS)]
    pub retry_for: u64,
    /// Read the password from the first line of standard input
    #[arg(long, help_heading = SERVERS)]
    pub password_stdin: bool,
    /// Log in with the password and save the login, so that none is needed next time
    #[arg(long, help_heading = SERVERS)]
    pub save_login: bool,
    /// Trust a server key never seen before without asking
    #[arg(long, help_heading = SERVERS)]
    pub accept_new: bool,
    /// Accept this server key (sha256:...) and no other
    #[arg(long, value_name = "KEY", help_heading = SERVERS)]
    pub pin: Option<String>,
    /// The file of known server keys
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = SERVERS)]
    pub known_hosts: Option<PathBuf>,
    /// Trust servers whose certificate this authority signed (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = SERVERS)]
    pub ca: Option<PathBuf>,
    /// No encryption; only to a loopback address
    #[arg(long, help_heading = SERVERS)]
    pub no_tls: bool,
    /// Print what makes a shell complete options, verbs and remote paths: bash, zsh or fish
    #[arg(long, value_name = "SHELL", value_parser = ["bash", "zsh", "fish"], exclusive = true, hide_possible_values = true, help_heading = SETUP)]
    pub completions: Option<String>,
    /// Print the manual page
    #[arg(long, exclusive = true, help_heading = SETUP)]
    pub man: bool,
    /// Print what the last word of a command line may become
    #[arg(long, value_name = "LINE", allow_hyphen_values = true, exclusive = true, hide = true)]
    pub complete_line: Option<String>,
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

    #[test]
    fn help_fits_eighty_columns_and_has_the_forms_and_examples() {
        let help = Options::command().render_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for text in [
            "-b FILE TARGET",
            "Examples:",
            "Exit codes:",
            "Login and trust:",
            "\n  ferry alice@files.example put backup.tar    goes on",
        ] {
            assert!(help.contains(text), "{text}: {help}");
        }
        assert!(!help.contains("complete-line"));
    }

    #[test]
    fn what_sets_a_shell_up_needs_no_target_and_takes_none() {
        let parse = |words: &[&str]| Options::try_parse_from([&["ferry"], words].concat());
        assert!(parse(&["--completions", "fish"]).is_ok_and(|options| options.target.is_none()));
        assert!(parse(&["--man"]).is_ok());
        assert!(parse(&["--man", "host"]).is_err() && parse(&["--completions", "sh"]).is_err() && parse(&[]).is_err());
        // Hosts of such names are hosts.
        assert_eq!(
            parse(&["completions", "bash"]).unwrap().target.as_deref(),
            Some("completions")
        );
    }
}
