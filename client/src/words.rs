//! Words that are the client's own: local folders, a local command, the end. Everything else is the server's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use ferry_core::line::Word;
use ferry_core::{Error, ErrorKind, VerbInfo, rt};

use crate::aliases::Told;
use crate::exit::{Failure, Result};
use crate::help;
use crate::local::{self, shown};
use crate::session::Session;

/// The client's own words, for completion and help.
pub const OWN: [(&str, &str); 13] = [
    ("jobs", "lists what runs in the background"),
    ("fg", "brings a job to the front: the last one, or number N"),
    ("wait", "waits for jobs: for all, or for numbers N ..."),
    ("kill", "stops jobs: numbers N ..."),
    ("lcd", "changes the local working folder"),
    ("lls", "lists a local folder"),
    ("lpwd", "prints the local working folder"),
    ("!", "runs a command on this machine"),
    (
        "alias",
        "shows, makes (NAME=LINE) or takes away (NAME=) short names for lines",
    ),
    ("source", "runs the lines of a local file"),
    ("help", "lists the verbs, or explains one"),
    ("exit", "ends the session"),
    ("quit", "ends the session"),
];

/// What comes after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next line.
    Go,
    /// The end.
    Leave,
}

/// Runs a line whose first word is the client's own; `None` when it is not.
///
/// # Errors
/// `bad_request`, or what the operating system says.
pub async fn run(session: &mut Session, words: &[Word]) -> Result<Option<Next>> {
    let Some((name, rest)) = words.split_first() else {
        return Ok(Some(Next::Go));
    };
    match name.text.as_slice() {
        b"exit" | b"quit" => return Ok(Some(Next::Leave)),
        b"lcd" => change_folder(session, rest).await?,
        b"lls" => list(session, rest).await?,
        b"lpwd" => print(session, shown(&session.local))?,
        b"alias" => alias(session, rest)?,
        b"help" => {
            let connection = session.connect().await?;
            if help::show(session, &connection.verbs, words, &OWN).await? {
                return Ok(Some(Next::Go));
            }
            if connection.verbs.iter().any(|verb| verb.is_called("help")) {
                return Ok(None);
            }
            session.output.text(&explain(&connection.verbs, rest)?)?;
        }
        _ => return Ok(None),
    }
    Ok(Some(Next::Go))
}

fn print(session: &Session, text: String) -> Result<()> {
    session.output.text(&text)
}

/// Shows or makes short names for lines.
fn alias(session: &mut Session, rest: &[Word]) -> Result<()> {
    match session.aliases.told(rest)? {
        Told::Shown(text) if text.is_empty() => Ok(()),
        Told::Shown(text) => print(session, text),
        Told::Defined(name) => {
            if let Some(connection) = session.link.connected() {
                let notes = session.aliases.hiding(&connection.verbs);
                let about = format!("`{name}`");
                notes
                    .iter()
                    .filter(|note| note.contains(&about))
                    .for_each(|note| session.output.note(note));
            }
            Ok(())
        }
    }
}

fn folder(session: &Session, rest: &[Word], default: PathBuf) -> Result<PathBuf> {
    match rest {
        [] => Ok(default),
        [one] => Ok(session.local.join(OsStr::from_bytes(&one.text))),
        _ => Err(Error::bad_request("one folder at most").into()),
    }
}

async fn change_folder(session: &mut Session, rest: &[Word]) -> Result<()> {
    let home = etcetera::home_dir().map_err(|_| Error::not_found("your home folder is not known"))?;
    let place = folder(session, rest, home)?;
    let found: Result<PathBuf> = rt::unblock(move || {
        let real = std::fs::canonicalize(&place).map_err(|error| Failure::local(shown(&place), error))?;
        match local::look(&real)? {
            Some((_, true)) => Ok(real),
            _ => Err(Error::new(ErrorKind::NotDirectory, format!("{}: not a folder", shown(&real))).into()),
        }
    })
    .await;
    session.local = found?;
    Ok(())
}

async fn list(session: &Session, rest: &[Word]) -> Result<()> {
    let place = folder(session, rest, session.local.clone())?;
    let found = rt::unblock(move || local::entries(&place)).await?;
    let mut text = String::new();
    for (name, kind) in found.iter().filter(|(name, _)| !name.as_bytes().starts_with(b".")) {
        text.push_str(&ferry_core::text::escape(name.as_bytes()));
        text.push_str(if kind.is_dir() { "/\n" } else { "\n" });
    }
    if text.is_empty() { Ok(()) } else { print(session, text) }
}

/// Runs a command with the local shell.
///
/// # Errors
/// Exit code 1 when it does not end with 0.
pub async fn system(session: &Session, command: &str) -> Result<Next> {
    let mut shell = std::process::Command::new("/bin/sh");
    shell.arg("-c").arg(command).current_dir(&session.local);
    let status = rt::unblock(move || shell.status()).await;
    let status = status.map_err(|error| Failure::local("/bin/sh", error))?;
    if status.success() {
        return Ok(Next::Go);
    }
    Err(Error::internal(format!("the command ended with {status}")).into())
}

/// Help from the catalogue, for servers that have no verb for it.
fn explain(verbs: &[VerbInfo], rest: &[Word]) -> Result<String> {
    let Some(name) = rest.first() else {
        let width = verbs.iter().map(|verb| verb.name.len()).max().unwrap_or(0);
        let lines = verbs.iter().map(|verb| format!("{:width$}  {}\n", verb.name, verb.summary()));
        return Ok(lines.collect());
    };
    let text = String::from_utf8_lossy(&name.text);
    let verb = verbs.iter().find(|verb| verb.is_called(&text));
    let verb = verb.ok_or_else(|| Error::new(ErrorKind::UnknownVerb, format!("there is no verb `{}`", name.shown())))?;
    Ok(verb.help())
}
