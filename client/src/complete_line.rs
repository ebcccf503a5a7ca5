//! Completion for other shells: what the last word of a command line of ours may become, one a line. Nothing is ever asked, and whatever goes wrong is
//! an empty answer: a shell waits for it at every press of the Tab key.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;
use ferry_core::login::{Methods, Secret};
use ferry_core::{VerbInfo, line, rt};

use crate::choice::Choice;
use crate::config::Config;
use crate::connection::{Connection, Deadlines};
use crate::editor::{found, last_word};
use crate::exit::{Exit, Result};
use crate::login::Attempt;
use crate::options::Options;
use crate::saved::SavedLogins;
use crate::transport;
use crate::trust::FirstSight;

/// How long everything may take, the login included: a person waits.
const DEADLINE: Duration = Duration::from_secs(2);
/// The variable that says otherwise, in whole seconds.
const VARIABLE: &str = "FERRY_COMPLETION_SECONDS";
/// The exit code for a place that the options of `ferry` are to be proposed at, or a value of theirs.
const NOT_OURS: i32 = Exit::Failed as i32;

/// What the last word of a line is.
enum Asked {
    /// The target.
    Target,
    /// A verb or an argument of one; the words before it, as a line.
    Words(Box<Options>),
    /// An option, or its value.
    Options,
}

/// Answers what the last word of `line` may become; gives the exit code: 0 when that is for us to say.
pub(crate) fn run(line: &str) -> i32 {
    let (start, typed) = last_word(line);
    let work = async {
        match asked(&line[..start], &typed) {
            Asked::Options => None,
            Asked::Target => Some(rt::unblock(targets).await),
            Asked::Words(options) => Some(words(*options, typed.clone()).await.unwrap_or_default()),
        }
    };
    let found = match rt::block_on(rt::timeout(deadline(), work)) {
        Ok(None) => return NOT_OURS,
        Ok(Some(found)) => found,
        Err(_) => Vec::new(),
    };
    let fitting = found
        .iter()
        .filter(|word| word.starts_with(&typed) && !word.chars().any(char::is_control));
    let text: String = fitting.map(|word| format!("{word}\n")).collect();
    // A shell that is gone needs no answer.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Done.code()
}

fn deadline() -> Duration {
    let seconds = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    seconds.map_or(DEADLINE, Duration::from_secs)
}

/// What is asked for behind these words.
fn asked(before: &str, typed: &str) -> Asked {
    let Ok(words) = line::split(before) else {
        return Asked::Options;
    };
    let words: Vec<String> = words
        .iter()
        .map(|word| String::from_utf8_lossy(&word.text).into_owned())
        .collect();
    // In front of the program there may be variables.
    let is_variable = |word: &&String| word.split_once('=').is_some_and(|(name, _)| !name.contains(['/', '-']));
    let skipped = words.iter().take_while(is_variable).count();
    match Options::try_parse_from(&words[skipped..]) {
        Ok(options) if options.target.is_none() || options.batch.is_some() => Asked::Options,
        Ok(options) if options.words.is_empty() && typed.starts_with('-') => Asked::Options,
        Ok(options) => Asked::Words(Box::new(options)),
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument && !typed.starts_with('-') => Asked::Target,
        Err(_) => Asked::Options,
    }
}

/// Profiles, and where logins are saved for. Blocks.
fn targets() -> Vec<String> {
    let config = Config::of_user().unwrap_or_default();
    let mut found: BTreeSet<String> = config.profiles().map(str::to_owned).collect();
    found.extend(SavedLogins::of_user().places().unwrap_or_default());
    found.into_iter().collect()
}

/// Verbs, or what the next argument of one may be.
async fn words(options: Options, typed: String) -> Result<Vec<String>> {
    let (choice, line) = rt::unblock(move || {
        let choice = Choice::new(&options, &Config::of_user()?)?;
        let words = options.words.iter().map(|word| line::quote(&word.to_string_lossy()));
        Ok::<_, crate::exit::Failure>((choice, words.collect::<Vec<_>>().join(" ")))
    })
    .await?;
    let cwd = choice.section.folder.clone().unwrap_or_else(|| "/".to_owned());
    let Some(connection) = log_in(choice).await? else {
        return Ok(Vec::new());
    };
    if line.is_empty() {
        let names = |verb: &VerbInfo| -> Vec<String> { std::iter::once(&verb.name).chain(&verb.aliases).cloned().collect() };
        return Ok(connection.verbs.iter().flat_map(names).collect());
    }
    let folder = std::env::current_dir().unwrap_or_default();
    Ok(found(
        &connection,
        &cwd.as_str().into(),
        &folder,
        &format!("{line} {}", line::quote(&typed)),
    )
    .await)
}

/// Logs in without asking anything: by the password in the environment or a saved login, to a server that is known. `None` without either.
async fn log_in(choice: Choice) -> Result<Option<Arc<Connection>>> {
    let Choice {
        target, user, mut trust, ..
    } = choice;
    trust.first_sight = FirstSight::Refuse;
    let deadlines = Deadlines::default();
    let transport = transport::dial(&target, &trust, deadlines).await?;
    let key = transport.key;
    let name = user.clone();
    let secret = rt::unblock(move || match std::env::var("FERRY_PASSWORD") {
        Ok(password) => Ok(Some(Secret::Password {
            allowed: Methods::for_password(trust.method(&target, &name)?),
            user: name,
            password: password.into(),
        })),
        Err(_) => {
            let saved = SavedLogins::of_user().find(&target, &name)?;
            let saved = saved.filter(|saved| Some(saved.key) == key);
            Ok::<_, crate::exit::Failure>(saved.map(|saved| Secret::Token(saved.token)))
        }
    })
    .await?;
    let Some(secret) = secret else {
        return Ok(None);
    };
    let attempt = Attempt {
        user,
        secret,
        save: None,
    };
    Connection::open(transport, attempt, deadlines)
        .await
        .map(|connection| Some(connection.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(line: &str) -> &'static str {
        let (start, typed) = last_word(line);
        match asked(&line[..start], &typed) {
            Asked::Target => "target",
            Asked::Words(_) => "words",
            Asked::Options => "options",
        }
    }

    #[test]
    fn what_is_asked_for_hangs_on_what_stands_before() {
        for (line, expected) in [
            ("ferry ", "target"),
            ("ferry al", "target"),
            ("A=b /usr/bin/ferry -q ", "target"),
            ("ferry --jso", "options"),
            ("ferry --pin ", "options"),
            ("ferry --pin x", "options"),
            ("ferry --pin x ", "target"),
            ("ferry --frobnicate ", "options"),
            ("ferry host ", "words"),
            ("ferry host l", "words"),
            ("ferry host -", "options"),
            ("ferry -q host ls -", "words"),
            ("ferry host ls 'a b", "words"),
            ("ferry -b ", "options"),
            ("ferry -b x host ", "options"),
            ("ferry --man ", "options"),
        ] {
            assert_eq!(kind(line), expected, "{line}");
        }
    }
}
