//! Completion: what the word under the cursor is, and what it may become. The catalogue says which side knows.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferry_core::catalog::ArgInfo;
use ferry_core::line::{quote, split};
use ferry_core::wire::message::Complete;
use ferry_core::{RemotePath, VerbInfo, rt};
use reedline::{Completer, CompletionResult, Span, Suggestion};

use crate::args::ArgKind;
use crate::connection::Connection;
use crate::local;
use crate::request::Request;
use crate::words;

/// How long the server may take to propose words: longer would be felt while typing.
const DEADLINE: Duration = Duration::from_millis(250);
/// The most local names that are proposed.
const LOCAL_MAX: usize = 500;

/// Somebody who knows words.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// These words, each with what it is.
    Words(Vec<(String, String)>),
    /// The server, for that argument of that verb.
    Server { verb: String, arg: String },
    /// The local file system.
    Local { folders_only: bool },
}

/// The word under the cursor.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// Where it starts in the line, in bytes.
    start: usize,
    /// What is typed of it, without quotes.
    typed: String,
    /// Who knows what it may become.
    sources: Vec<Source>,
}

/// The last word of a line that may end inside of quotes: where it starts, and what it says.
fn last_word(line: &str) -> (usize, String) {
    let (mut start, mut word, mut is_inside) = (line.len(), String::new(), false);
    let (mut single, mut double, mut escaped) = (false, false, false);
    for (at, c) in line.char_indices() {
        if !is_inside && !c.is_whitespace() {
            (start, is_inside) = (at, true);
            word.clear();
        }
        match c {
            _ if escaped => {
                escaped = false;
                word.push(c);
            }
            '\\' if !single => escaped = true,
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            c if c.is_whitespace() && !single && !double => {
                (is_inside, start) = (false, line.len());
                word.clear();
            }
            c => word.push(c),
        }
    }
    (start, word)
}

/// What is asked for at the end of `line`.
fn ask(verbs: &[VerbInfo], line: &str) -> Asked {
    let (start, typed) = last_word(line);
    let before = split(&line[..start]).unwrap_or_default();
    let before: Vec<String> = before
        .iter()
        .map(|word| String::from_utf8_lossy(&word.text).into_owned())
        .collect();
    let sources = match before.split_first() {
        _ if line.trim_start().starts_with('!') => Vec::new(),
        None => vec![Source::Words(all_verbs(verbs, true))],
        Some((name, rest)) => match name.as_str() {
            "lcd" => vec![Source::Local { folders_only: true }],
            "lls" => vec![Source::Local { folders_only: false }],
            "help" => vec![Source::Words(all_verbs(verbs, false))],
            name => match verbs.iter().find(|verb| verb.is_called(name)) {
                Some(verb) => of_verb(verb, rest, &typed),
                None => Vec::new(),
            },
        },
    };
    Asked { start, typed, sources }
}

fn all_verbs(verbs: &[VerbInfo], with_own: bool) -> Vec<(String, String)> {
    let names = |verb: &VerbInfo| -> Vec<(String, String)> {
        let all = std::iter::once(&verb.name).chain(&verb.aliases);
        all.map(|name| (name.clone(), verb.summary().to_owned())).collect()
    };
    let mut all: Vec<(String, String)> = verbs.iter().flat_map(names).collect();
    if with_own {
        let is_new = |word: &str| word.len() > 1 && !verbs.iter().any(|verb| verb.is_called(word));
        let own = words::OWN.iter().filter(|(word, _)| is_new(word));
        all.extend(own.map(|(word, about)| ((*word).to_owned(), (*about).to_owned())));
    }
    all.sort();
    all
}

/// Who knows the next word of a verb's line, by its place.
fn of_verb(verb: &VerbInfo, before: &[String], typed: &str) -> Vec<Source> {
    let (mut positional, mut waiting, mut are_over) = (0usize, None, false);
    for word in before {
        if waiting.take().is_some() {
            continue;
        }
        match word.as_str() {
            _ if are_over => positional += 1,
            "--" => are_over = true,
            option if option.starts_with('-') && option.len() > 1 => waiting = value_of(verb, option),
            _ => positional += 1,
        }
    }
    if let Some(arg) = waiting {
        return vec![of_arg(verb, arg)];
    }
    if typed.starts_with('-') && !are_over {
        let options = verb.args.iter().filter(|arg| arg.is_option);
        let words = options.map(|arg| {
            (
                format!("--{}", arg.long()),
                arg.doc.lines().next().unwrap_or_default().to_owned(),
            )
        });
        return vec![Source::Words(words.collect())];
    }
    let slots: Vec<&ArgInfo> = verb.args.iter().filter(|arg| !arg.is_option).collect();
    let repeated = slots.iter().position(|arg| arg.repeated);
    let candidates: &[&ArgInfo] = match repeated {
        // The first word behind the single ones is one of the many; any later one may be the last already.
        Some(at) if positional > at => &slots[at..],
        _ => slots.get(positional..=positional).unwrap_or(&[]),
    };
    let mut sources: Vec<Source> = candidates.iter().map(|arg| of_arg(verb, arg)).collect();
    sources.dedup();
    sources
}

/// The argument whose value an option waits for.
fn value_of<'v>(verb: &'v VerbInfo, option: &str) -> Option<&'v ArgInfo> {
    let arg = match option.strip_prefix("--") {
        Some(long) => verb.args.iter().find(|arg| arg.is_option && arg.long() == long),
        None => {
            let last = option.chars().next_back();
            verb.args.iter().find(|arg| arg.short.is_some() && arg.short == last)
        }
    };
    arg.filter(|arg| arg.kind != ArgKind::Flag)
}

fn of_arg(verb: &VerbInfo, arg: &ArgInfo) -> Source {
    let server = || Source::Server {
        verb: verb.name.clone(),
        arg: arg.name.clone(),
    };
    match arg.kind {
        _ if arg.dynamic => server(),
        ArgKind::RemotePath => server(),
        ArgKind::LocalPath => Source::Local { folders_only: false },
        ArgKind::Choice => Source::Words(arg.choices.iter().map(|word| (word.clone(), String::new())).collect()),
        _ => Source::Words(Vec::new()),
    }
}

/// What completion needs of a session; the shell keeps it up to date.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The connection, when there is one.
    pub connection: Option<Arc<Connection>>,
    /// The remote working folder.
    pub cwd: RemotePath,
    /// The local working folder.
    pub local: PathBuf,
}

/// Completes lines of the shell. It blocks for a moment at most, and must not be called inside a task.
#[derive(Debug, Default)]
pub struct Words {
    place: Arc<Mutex<Place>>,
}

/// A word that may stand there.
struct Proposal {
    word: String,
    about: String,
    is_complete: bool,
}

impl Words {
    /// Completion for the session that keeps `place` up to date.
    pub fn new(place: Arc<Mutex<Place>>) -> Self {
        Self { place }
    }

    fn proposals(&self, line: &str) -> (usize, Vec<Proposal>) {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(connection) = place.connection.filter(|connection| !connection.is_lost()) else {
            return (line.len(), Vec::new());
        };
        let asked = ask(&connection.verbs, line);
        let typed = asked.typed.as_str();
        let mut found = Vec::new();
        for source in asked.sources {
            match source {
                Source::Words(words) => {
                    let fitting = words.into_iter().filter(|(word, _)| word.starts_with(typed));
                    found.extend(fitting.map(|(word, about)| Proposal {
                        word,
                        about,
                        is_complete: true,
                    }));
                }
                Source::Local { folders_only } => found.extend(local_words(&place.local, typed, folders_only)),
                Source::Server { verb, arg } => {
                    let ask = Complete {
                        id: 0,
                        verb,
                        arg,
                        word: RemotePath::from(typed),
                        cwd: place.cwd.clone(),
                    };
                    found.extend(server_words(&connection, ask, typed));
                }
            }
        }
        (asked.start, found)
    }
}

/// The server's proposals; none when it takes too long, so that typing never waits for the network.
fn server_words(connection: &Connection, ask: Complete, typed: &str) -> Vec<Proposal> {
    let work = async { Request::complete(connection, ask).await?.words().await };
    let words = rt::block_on(rt::timeout(DEADLINE, work));
    let words = words.ok().and_then(Result::ok).unwrap_or_default();
    // A name that is not UTF-8 cannot be typed, and one that does not continue the word was not asked for.
    let words = words.into_iter().filter_map(|word| String::from_utf8(word).ok());
    let fitting = words.filter(|word| word.starts_with(typed) && !word.chars().any(char::is_control));
    fitting.map(|word| path_proposal(word, typed, "server")).collect()
}

fn local_words(working: &Path, typed: &str, folders_only: bool) -> Vec<Proposal> {
    let cut = typed.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, start) = typed.split_at(cut);
    let place = working.join(OsStr::from_bytes(folder.as_bytes()));
    let entries = local::entries(&place).unwrap_or_default();
    let mut found = Vec::new();
    for (name, kind) in entries {
        let Some(name) = name.to_str().filter(|name| !name.chars().any(char::is_control)) else {
            continue;
        };
        let is_hidden = name.starts_with('.') && !start.starts_with('.');
        let is_folder = kind.is_dir() || (kind.is_symlink() && place.join(name).is_dir());
        if !name.starts_with(start) || is_hidden || (folders_only && !is_folder) || found.len() >= LOCAL_MAX {
            continue;
        }
        let slash = if is_folder { "/" } else { "" };
        found.push(path_proposal(format!("{folder}{name}{slash}"), typed, "here"));
    }
    found
}

/// A path as a word. One that looks like an option is written so that it is none.
fn path_proposal(path: String, typed: &str, about: &str) -> Proposal {
    let is_complete = !path.ends_with('/');
    let word = if typed.is_empty() && path.starts_with('-') {
        format!("./{path}")
    } else {
        path
    };
    Proposal {
        word,
        about: about.to_owned(),
        is_complete,
    }
}

impl Completer for Words {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let (start, proposals) = self.proposals(line.get(..pos).unwrap_or(line));
        let suggest = |proposal: Proposal| Suggestion {
            value: quote(&proposal.word),
            display_override: Some(ferry_core::text::escape(proposal.word.as_bytes())),
            description: Some(ferry_core::text::escape(proposal.about.as_bytes())).filter(|about| !about.is_empty()),
            span: Span::new(start.min(pos), pos),
            append_whitespace: proposal.is_complete,
            ..Suggestion::default()
        };
        CompletionResult::fresh(proposals.into_iter().map(suggest).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::args::{LocalPath, Many};
    use ferry_core::{Access, Spec};

    ferry_core::args! {
        /// Sends things.
        pub(crate) struct Send {
            /// What.
            here: Many<LocalPath>,
            /// Where.
            there: Option<RemotePath>,
            /// Name.
            #[arg(option, short('n'))]
            rename: Option<RemotePath>,
            /// Deeply.
            #[arg(short('d'))]
            deep: bool,
        }
    }

    fn verbs() -> Vec<VerbInfo> {
        vec![VerbInfo::new(
            &Spec::of::<Send>("send", Access::Write).aliases(&["tx"]),
            "test",
            "1",
        )]
    }

    fn sources(line: &str) -> Vec<Source> {
        ask(&verbs(), line).sources
    }

    fn server(arg: &str) -> Source {
        Source::Server {
            verb: "send".into(),
            arg: arg.into(),
        }
    }

    #[test]
    fn the_first_word_is_a_verb_an_alias_or_our_own() {
        let [Source::Words(words)] = &sources("s")[..] else {
            panic!("words")
        };
        let words: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
        assert!(["send", "tx", "lcd", "exit"].iter().all(|word| words.contains(word)));
    }

    #[test]
    fn each_place_is_completed_by_the_side_that_knows_it() {
        let here = || Source::Local { folders_only: false };
        assert_eq!(sources("send "), [here()]);
        assert_eq!(sources("tx a"), [here()]);
        assert_eq!(sources("send a b"), [here(), server("there")]);
        assert_eq!(sources("send -d a "), [here(), server("there")]);
        assert_eq!(sources("send -n "), [server("rename")]);
        assert_eq!(sources("send --rename x a"), [here()]);
        assert_eq!(sources("lcd x"), [Source::Local { folders_only: true }]);
        assert_eq!(sources("frobnicate x"), []);
        assert_eq!(sources("!ls x"), []);
    }

    #[test]
    fn options_are_proposed_behind_a_dash_only() {
        let [Source::Words(words)] = &sources("send a --")[..] else {
            panic!("words")
        };
        assert_eq!(
            words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>(),
            ["--rename", "--deep"]
        );
        assert_eq!(sources("send -- -"), [Source::Local { folders_only: false }]);
    }

    #[test]
    fn quotes_belong_to_the_word_they_stand_in() {
        for (line, start, typed) in [
            ("send 'my fi", 5, "my fi"),
            ("send my\\ fi", 5, "my fi"),
            ("send \"a b\"c", 5, "a bc"),
            ("send a ", 7, ""),
            ("", 0, ""),
        ] {
            assert_eq!(last_word(line), (start, typed.to_owned()), "{line}");
        }
    }

    #[test]
    fn local_names_are_found_and_hidden_ones_stay_hidden() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dir one")).unwrap();
        for name in ["data", ".dot", "-dash"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = |typed: &str, folders_only| -> Vec<String> {
            local_words(folder.path(), typed, folders_only)
                .into_iter()
                .map(|p| p.word)
                .collect()
        };
        assert_eq!(found("d", false), ["data", "dir one/"]);
        assert_eq!(found("", false), ["./-dash", "data", "dir one/"]);
        assert_eq!(found("d", true), ["dir one/"]);
        assert_eq!(found(".", false), [".dot"]);
    }
}
