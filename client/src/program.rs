//! The whole program: options, password, what is to be run, and the exit code.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal as _};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use ferry_core::fingerprint::Fingerprint;
use ferry_core::line::Word;
use ferry_core::{Error, rt};

use crate::ask;
use crate::choice::Choice;
use crate::config::Config;
use crate::digests::Digests;
use crate::exit::{Exit, Failure, Result};
use crate::link::no_password;
use crate::login::Credentials;
use crate::options::{Options, Target};
use crate::render::Output;
use crate::run::{self, From};
use crate::saved::SavedLogins;
use crate::script::{self, Lines};
use crate::session::{Interrupts, Login, Session, Settings, Taste};
use crate::shell;
use crate::trust::Trust;
use crate::{complete_line, completions};

/// The longest password, in bytes.
const PASSWORD_MAX_BYTES: u64 = 1024;

/// Where the lines of a session come from.
pub enum Input {
    /// A script, up to its first failure.
    Script(Box<dyn BufRead + Send>),
    /// The user, at a terminal.
    Shell,
}

impl Input {
    /// The user where standard input is a terminal, and otherwise the script that it holds.
    pub fn standard() -> Self {
        if io::stdin().is_terminal() {
            Self::Shell
        } else {
            Self::Script(Box::new(io::BufReader::new(io::stdin())))
        }
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Script(_) => "Script",
            Self::Shell => "Shell",
        })
    }
}

/// What is to be run.
enum Job {
    Lines(Input),
    Words(Vec<Word>),
}

/// Runs the shell, or the script on standard input, against the server at `address` that has this key; gives the exit code. Blocks, as [`session`].
pub fn shell_on(address: SocketAddr, key: Fingerprint, user: &str, password: &str) -> i32 {
    let login = Login {
        address: address.to_string(),
        key: Some(key),
        user: user.to_owned(),
        password: password.to_owned(),
    };
    session(login, Input::standard())
}

/// Runs a script or a shell as `login`; gives the exit code. Blocks, so it must not be called inside a task.
pub fn session(login: Login, input: Input) -> i32 {
    let output = Output::standard(false);
    let target = login
        .address
        .parse::<Target>()
        .map_err(|error| Error::bad_request(error).into());
    let session = target.map(|target| {
        let trust = login.key.map_or_else(Trust::plain, Trust::pinned);
        let who = Credentials::new(login.user, login.password);
        Session::new(target, trust, who, output, Settings::default())
    });
    match session {
        Ok(session) => rt::block_on(finish(session, Job::Lines(input))),
        Err(mut failure) => told(&Output::standard(false), &mut failure),
    }
}

/// Runs a command line, the program's name first; gives the exit code. Blocks, so it must not be called inside a task.
pub fn run_cli(args: impl IntoIterator<Item = OsString>) -> i32 {
    let options = match Options::try_parse_from(args) {
        Ok(options) => options,
        Err(error) => {
            // Help and version are no failure; a closed output is none either.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.code();
        }
    };
    let json = options.json;
    if let Some(shell) = &options.completions {
        return printed(&completions::script(shell));
    }
    if options.man {
        return printed(&completions::man());
    }
    if let Some(line) = &options.complete_line {
        return complete_line::run(line);
    }
    match prepare(options) {
        Ok((session, job)) => rt::block_on(finish(session, job)),
        Err(mut failure) => told(&Output::standard(json), &mut failure),
    }
}

fn prepare(options: Options) -> Result<(Session, Job)> {
    if options.batch.is_some() && !options.words.is_empty() {
        return Err(Error::bad_request("a script and a verb cannot both be run")
            .hint("leave out -b or the verb")
            .into());
    }
    let config = Config::of_user()?;
    let Choice {
        target,
        user,
        trust,
        section,
    } = Choice::new(&options, &config)?;
    let saved = SavedLogins::of_user();
    if options.save_login {
        check_save(&options, &saved)?;
    }
    let credentials = Credentials {
        password: password(&options, &target, &user, &saved)?,
        user,
        saved,
        save: options.save_login,
    };
    let job = match &options.batch {
        Some(file) => Job::Lines(Input::Script(open_script(file)?)),
        None if options.words.is_empty() => Job::Lines(Input::standard()),
        None => Job::Words(
            options
                .words
                .iter()
                .cloned()
                .map(|word| Word::from_argv(word.into_vec()))
                .collect(),
        ),
    };
    let settings = Settings {
        quiet: options.quiet,
        limit_rate: options.limit_rate.or(section.limit_rate).map(|rate| rate.0),
        digest: options.digest.or(section.digest).unwrap_or_default(),
        ..Settings::default().side_by_side(options.jobs.or(section.jobs))
    };
    let mut session = Session::new(target, trust, credentials, Output::standard(options.json), settings);
    session.digests = Arc::new(Digests::of_user());
    session.aliases = config.aliases;
    session.taste = Taste {
        keys: section.keys.unwrap_or_default(),
        pager: section.pager,
    };
    if let Some(folder) = section.folder {
        session.cwd = folder.as_str().into();
    }
    if let Some(link) = Arc::get_mut(&mut session.link) {
        link.patience.total = Duration::from_secs(options.retry_for);
    }
    Ok((session, job))
}

/// Writes a text to standard output; gives the exit code.
fn printed(text: &[u8]) -> i32 {
    let output = Output::standard(false);
    match output.contents(text) {
        Ok(()) => Exit::Done.code(),
        Err(mut failure) => told(&output, &mut failure),
    }
}

fn open_script(file: &Path) -> Result<Box<dyn BufRead + Send>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::BufReader::new(io::stdin())));
    }
    let opened = std::fs::File::open(file);
    let opened = opened.map_err(|error| Failure::local(crate::local::shown(file), error))?;
    Ok(Box::new(io::BufReader::new(opened)))
}

/// Says early that a login cannot be saved, before the server makes one that nobody has.
fn check_save(options: &Options, saved: &SavedLogins) -> Result<()> {
    if options.no_tls {
        let error = Error::bad_request("--save-login: a login is saved for a server's key, and without TLS there is none");
        return Err(error.hint("leave out --no-tls or --save-login").into());
    }
    saved.check()
}

/// The password; none when there is a saved login to use instead, or somebody to ask: that is done once the server's key was checked.
fn password(options: &Options, target: &Target, user: &str, saved: &SavedLogins) -> Result<Option<String>> {
    if options.password_stdin {
        let mut line = String::new();
        let read = io::Read::take(io::stdin().lock(), PASSWORD_MAX_BYTES).read_line(&mut line);
        read.map_err(|error| Failure::local("standard input", error))?;
        return Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()));
    }
    if let Ok(password) = std::env::var("FERRY_PASSWORD") {
        return Ok(Some(password));
    }
    let is_saved = !options.no_tls && !options.save_login && saved.find(target, user)?.is_some();
    if is_saved || ask::is_possible() {
        return Ok(None);
    }
    Err(no_password(None))
}

/// Tells a failure; gives its exit code.
fn told(output: &Output, failure: &mut Failure) -> i32 {
    let exit = failure.exit;
    match output.failure(failure) {
        Ok(()) => exit.code(),
        Err(closed) => closed.exit.code(),
    }
}

async fn finish(mut session: Session, job: Job) -> i32 {
    let result = work(&mut session, job).await;
    session.close().await;
    match result {
        Ok(()) => Exit::Done.code(),
        Err(mut failure) => told(&session.output, &mut failure),
    }
}

async fn work(session: &mut Session, job: Job) -> Result<()> {
    let interrupts = Interrupts::install()?;
    if !matches!(job, Job::Lines(Input::Script(_))) {
        session.output.pager.prefer(session.taste.pager.clone());
        session.output.allow_pager();
    }
    match job {
        Job::Words(words) => run::until_interrupted(session, &interrupts, &words, From::Argv).await,
        Job::Lines(Input::Script(reader)) => script::run(session, &interrupts, &Lines::new(reader)).await,
        Job::Lines(Input::Shell) => shell::run(session, &interrupts).await,
    }
}
