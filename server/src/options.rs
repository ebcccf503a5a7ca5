//! The command line of `ferryd`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::FalseyValueParser;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use ferry_core::fingerprint::Fingerprint;
use ferry_core::store::Durability;
use ferry_core::{Error, ErrorKind, Registry, Result, rt};
use rustix::fs::Mode;

use crate::accounts::Accounts;
use crate::admin::{self, Ask, Quota};
use crate::config::{self, LogFormat};
use crate::reload::Origin;
use crate::server::{Run, Server};
use crate::tls::{Files, Tls};
use crate::{Parts, confine, listener, log, manual, new_verb, out, trial, users, watch};

/// The exit code for a wrong command line or config.
const USAGE: u8 = 2;
/// Where the server listens when nothing else is said.
const LISTEN: &str = "127.0.0.1:7171";

/// Ferry's server.
#[derive(Parser)]
#[command(
    name = "ferryd",
    version,
    about = "A multi-user file server in which every verb is a crate",
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options of every call.
#[derive(Args, Clone)]
pub(crate) struct Common {
    /// Folder of accounts and homes
    #[arg(long, global = true, env = "FERRY_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Config file [default: ferryd.toml in the data folder, where it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:7171]; port 0 picks a free one
    #[arg(long, global = true, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// No encryption; only on a loopback address
    #[arg(long, global = true)]
    no_tls: bool,
    /// When an upload is acknowledged [default: strict]
    #[arg(long, global = true, value_enum)]
    durability: Option<Acknowledged>,
    /// What log lines look like [default: text]
    #[arg(long, global = true, value_enum)]
    log_format: Option<LogFormat>,
    /// Serve although this is root
    #[arg(long, global = true, env = "FERRY_ALLOW_ROOT", value_parser = FalseyValueParser::new(), num_args = 0, default_missing_value = "true")]
    allow_root: bool,
}

/// [`Durability`] as a word of the command line.
#[derive(Clone, Copy, ValueEnum)]
enum Acknowledged {
    /// When it is on the disk
    Strict,
    /// When the operating system has it; a power cut may lose it
    Relaxed,
}

impl From<Acknowledged> for Durability {
    fn from(word: Acknowledged) -> Self {
        match word {
            Acknowledged::Strict => Self::Strict,
            Acknowledged::Relaxed => Self::Relaxed,
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Run the server in the foreground
    Serve,
    /// See it work: server, throw-away account and shell in one process
    Try,
    /// Keep accounts
    #[command(subcommand)]
    User(User),
    /// Who is logged in, doing what
    Who {
        /// One object a line
        #[arg(long)]
        json: bool,
    },
    /// End a user's sessions
    Kick {
        /// The user's name
        name: String,
    },
    /// Have a running server read its config, certificate and key again; for new connections
    Reload,
    /// Recount every home against the ledger, look at every unfinished upload; exit 1 when something is off
    Check {
        /// Correct what is off
        #[arg(long)]
        repair: bool,
        /// One object a line
        #[arg(long)]
        json: bool,
    },
    /// Every linked verb with its crate and version
    Verbs {
        /// One object a line
        #[arg(long)]
        json: bool,
    },
    /// Write the crate of a verb of your own, which compiles and passes its tests as it is
    NewVerb(new_verb::Wish),
    /// Print what makes a shell complete the words of this program
    Completions {
        /// Which shell
        #[arg(value_parser = ["bash", "zsh", "fish"])]
        shell: String,
    },
    /// Print the manual page
    Man,
}

/// What can be done with accounts.
#[derive(Subcommand)]
pub(crate) enum User {
    /// Create an account
    Add {
        /// The user's name
        name: String,
        #[command(flatten)]
        rights: Rights,
        /// Read the password from standard input, one line
        #[arg(long)]
        password_stdin: bool,
        /// How the account logs in
        #[arg(long, value_name = "MECHANISM", default_value = "scram-sha-256", value_parser = ["scram-sha-256", "md5"])]
        auth: String,
    },
    /// All accounts
    List {
        /// One object a line
        #[arg(long)]
        json: bool,
    },
    /// One account
    Show {
        /// The user's name
        name: String,
        /// One object a line
        #[arg(long)]
        json: bool,
    },
    /// Change rights or quota
    Set {
        /// The user's name
        name: String,
        #[command(flatten)]
        rights: Rights,
    },
    /// Change the password; ends the user's sessions
    Passwd {
        /// The user's name
        name: String,
        /// Read the password from standard input, one line
        #[arg(long)]
        password_stdin: bool,
    },
    /// Lock an account; ends the user's sessions
    Disable {
        /// The user's name
        name: String,
    },
    /// Unlock an account
    Enable {
        /// The user's name
        name: String,
    },
    /// Saved logins of an account: id, creation, last day of use, label
    Logins {
        /// The user's name
        name: String,
        /// One object a line
        #[arg(long)]
        json: bool,
    },
    /// Take saved logins away, all when none is named; running sessions go on
    Logout {
        /// The user's name
        name: String,
        /// Saved logins, by id
        ids: Vec<String>,
    },
    /// Remove an account; the home stays
    Remove {
        /// The user's name
        name: String,
        /// Remove the home too, with all that is in it
        #[arg(long)]
        purge: bool,
    },
}

/// What an account may do and use.
#[derive(Args)]
pub(crate) struct Rights {
    /// The most bytes of the home: 1048576, 10MiB, 1GB or none
    #[arg(long, value_name = "SIZE", value_parser = parse_quota)]
    pub(crate) quota: Option<Quota>,
    /// May change nothing (=false gives the right back)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) read_only: Option<bool>,
    /// May run verbs for administrators (=false takes the right away)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) admin: Option<bool>,
    /// The only verbs allowed; empty allows all
    #[arg(long, value_name = "V,..")]
    pub(crate) allow: Option<String>,
    /// Verbs denied; empty denies none
    #[arg(long, value_name = "V,..")]
    pub(crate) deny: Option<String>,
}

fn parse_quota(text: &str) -> std::result::Result<Quota, String> {
    if text == "none" {
        Ok(Quota::None)
    } else {
        text.parse().map(Quota::Limit)
    }
}

impl Common {
    fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| PathBuf::from("ferry-data"))
    }

    fn durability(&self) -> Option<Durability> {
        self.durability.map(Durability::from)
    }
}

/// Runs the program on its command line; gives the exit code.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>, parts: &Parts) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { USAGE } else { 0 };
        }
    };
    let data = cli.common.data();
    let result = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(&cli.common, &data, parts),
        Command::Try => trial::run(cli.common.data.as_deref(), cli.common.durability().unwrap_or_default(), parts),
        Command::User(user) => users::run(&data, user, parts).map(|()| 0),
        Command::Check { repair, json } => {
            admin::ask(&data, Ask::Check(repair), false, parts).map(|answer| users::print_homes(&answer.homes, json))
        }
        Command::Who { json } => {
            admin::ask(&data, Ask::Who, false, parts).map(|answer| users::print_online(&answer.sessions, json))
        }
        Command::Kick { name } => admin::ask(&data, Ask::Kick(name), false, parts).map(|_| 0),
        Command::Reload => admin::reload(&data, parts).map(|answer| users::print_reloaded(&answer.reloaded)),
        Command::Completions { shell } => Ok(manual::completions(&mut Cli::command(), &shell)),
        Command::Man => Ok(manual::page(Cli::command())),
        Command::NewVerb(wish) => Registry::linked()
            .and_then(|registry| new_verb::run(&wish, &registry))
            .map(|()| 0),
        Command::Verbs { json } => Registry::linked().map(|registry| users::print_verbs(&registry, json)),
    };
    result.unwrap_or_else(|error| {
        out::failure(&error);
        if error.kind == ErrorKind::BadRequest { USAGE } else { 1 }
    })
}

fn serve(common: &Common, data: &Path, parts: &Parts) -> Result<u8> {
    let file = config::read(common.config.as_deref(), data)?;
    let listen = common
        .listen
        .clone()
        .or_else(|| file.listen.clone())
        .unwrap_or_else(|| LISTEN.to_owned());
    let has_tls = !(common.no_tls || file.no_tls.unwrap_or_default());
    let address = config::listen_address(&listen, has_tls)?;
    let durability = common.durability().or(file.durability).unwrap_or_default();
    // To the end: what is left is written when the second goes.
    let (log, _end) = log::start(common.log_format.or(file.log_format).unwrap_or_default())
        .map_err(|error| Error::internal("no thread for the log").caused_by(error))?;
    confine::refuse_root(common.allow_root)?;
    // Whatever is made from now on is its owner's alone.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let data = &config::make_data_folder(data)?;
    let (files, limits) = (file.tls_files(), file.limits.clone());
    let origin = Origin::new(data, common.config.as_deref(), file);
    let run = Run {
        limits,
        origin: Some(origin),
        log: Some(log),
        ..Run::default()
    };
    let (server, key) = open(data, (has_tls, &files), durability, run, parts)?;
    let threads = watch::threads();
    // Before there are other threads than the one that writes the log.
    if !confine::to(data)? {
        tracing::warn!("this kernel has no Landlock: the server can open whatever its user can");
    }
    watch::set_up_executor(threads);
    rt::block_on(async {
        let stop = listener::told_to_stop()?;
        let socket = admin::Socket::bind(data).await?;
        let (listener, address) = listener::bind(address).await?;
        start_watchdog(&server)?;
        out::line(format_args!("listening on {address}\nkey {key}"));
        let serving = listener::accept(server.clone(), listener, stop);
        let admin = async {
            socket.serve(server.clone()).await;
            Ok(())
        };
        futures_lite::FutureExt::or(serving, admin).await
    })?;
    Ok(0)
}

/// Opens accounts, key and store in a data folder that is there; gives the fingerprint of the key too. It is made and shown without TLS as well: it
/// is the server's, whatever this run does.
pub(crate) fn open(
    data: &Path,
    (has_tls, files): (bool, &Files),
    durability: Durability,
    run: Run,
    parts: &Parts,
) -> Result<(Arc<Server>, Fingerprint)> {
    let registry = Registry::linked()?;
    // First: whoever has them open is alone here, and makes the key alone.
    let accounts = Accounts::open(data)?;
    let tls = Tls::open(data, files)?;
    let key = tls.fingerprint;
    let store = (parts.store)(data, durability)?;
    let server = Server::new(Arc::new(registry), store, has_tls.then_some(tls), accounts, run);
    Ok((server, key))
}

/// Starts the watchdog's thread.
pub(crate) fn start_watchdog(server: &Arc<Server>) -> Result<()> {
    let weak = Arc::downgrade(server);
    let thread = std::thread::Builder::new().name("ferryd-watchdog".to_owned());
    thread
        .spawn(move || watch::watch(weak))
        .map_err(|error| Error::internal("no thread for the watchdog").caused_by(error))?;
    Ok(())
}
