//! What may stand at the cursor, and who knows it. The catalogue says which side knows; no verb is known here.

use ferry_core::VerbInfo;
use ferry_core::catalog::ArgInfo;

use super::parts::{Quote, parts};
use crate::args::ArgKind;
use crate::words;

/// Somebody who knows words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// These words, each with what it is.
    Words(Vec<(String, String)>),
    /// The server, for that argument of that verb.
    Server {
        /// The verb's name.
        verb: String,
        /// The argument's name.
        arg: String,
        /// Whether it is a path, and not a value that the verb itself proposes.
        is_path: bool,
    },
    /// The local file system.
    Local {
        /// Whether only folders are of use.
        folders_only: bool,
    },
}

/// The word under the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Where it starts in the line, in bytes; behind the `=` of an option that stands before it.
    pub start: usize,
    /// What is typed of it, without quotes.
    pub typed: String,
    /// The quotes that it was begun in.
    pub manner: Quote,
    /// Who knows what it may become.
    pub sources: Vec<Source>,
}

/// What is asked for at the end of `line`.
pub(super) fn ask(verbs: &[VerbInfo], line: &str) -> Asked {
    let parts = parts(line);
    let last = &parts.last;
    let manner = match line.get(last.start..).and_then(|raw| raw.chars().next()) {
        _ if last.open != Quote::None => last.open,
        Some('\'') => Quote::Single,
        Some('"') => Quote::Double,
        _ => Quote::None,
    };
    let mut asked = Asked {
        start: last.start,
        typed: last.text.clone(),
        manner,
        sources: Vec::new(),
    };
    if parts.is_comment || line.trim_start().starts_with('!') {
        return asked;
    }
    let before: Vec<&str> = parts.before.iter().map(|part| part.text.as_str()).collect();
    let Some((name, rest)) = before.split_first() else {
        asked.sources = vec![Source::Words(all_verbs(verbs, true))];
        return asked;
    };
    asked.sources = match *name {
        "lcd" => vec![Source::Local { folders_only: true }],
        "lls" => vec![Source::Local { folders_only: false }],
        "help" => vec![Source::Words(all_verbs(verbs, false))],
        name => match verbs.iter().find(|verb| verb.is_called(name)) {
            Some(verb) => of_verb(verb, rest, &mut asked, line),
            None => Vec::new(),
        },
    };
    asked
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

/// How far a verb's line has come.
#[derive(Debug, Default)]
pub(super) struct Given<'v> {
    /// How many words stand for arguments by their place.
    pub positional: usize,
    /// The option whose value comes next.
    pub waiting: Option<&'v ArgInfo>,
    /// Whether options are over.
    pub are_over: bool,
    /// The options that stand there.
    pub options: Vec<&'v str>,
}

/// Reads the words between a verb and the cursor.
pub(super) fn given<'v>(verb: &'v VerbInfo, before: &[&str]) -> Given<'v> {
    let mut given = Given::default();
    for word in before {
        if given.waiting.take().is_some() {
            continue;
        }
        match *word {
            _ if given.are_over => given.positional += 1,
            "--" => given.are_over = true,
            option if option.starts_with('-') && option.len() > 1 => {
                let (found, waiting) = option_of(verb, option);
                given.options.extend(found.iter().map(|arg| arg.name.as_str()));
                given.waiting = waiting;
            }
            _ => given.positional += 1,
        }
    }
    given
}

/// The options that a word names, and the one whose value comes behind it.
fn option_of<'v>(verb: &'v VerbInfo, option: &str) -> (Vec<&'v ArgInfo>, Option<&'v ArgInfo>) {
    let takes_value = |arg: &&ArgInfo| arg.kind != ArgKind::Flag;
    if let Some(long) = option.strip_prefix("--") {
        let (name, has_value) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
        let arg = verb.args.iter().find(|arg| arg.is_option && arg.long() == name);
        return (arg.into_iter().collect(), arg.filter(takes_value).filter(|_| !has_value));
    }
    let mut found = Vec::new();
    let mut letters = option.chars().skip(1);
    while let Some(letter) = letters.next() {
        let Some(arg) = verb.args.iter().find(|arg| arg.short == Some(letter)) else {
            break;
        };
        found.push(arg);
        if arg.kind != ArgKind::Flag {
            // What stands behind the letter is its value.
            return (found, Some(arg).filter(|_| letters.next().is_none()));
        }
    }
    (found, None)
}

/// The arguments by place that the next word may be.
pub(super) fn slots(verb: &VerbInfo, positional: usize) -> Vec<&ArgInfo> {
    let slots: Vec<&ArgInfo> = verb.args.iter().filter(|arg| !arg.is_option).collect();
    let repeated = slots.iter().position(|arg| arg.repeated);
    match repeated {
        // The first word behind the single ones is one of the many; any later one may be the last already.
        Some(at) if positional > at => slots[at..].to_vec(),
        _ => slots.get(positional..=positional).unwrap_or(&[]).to_vec(),
    }
}

/// Who knows the next word of a verb's line, by its place.
fn of_verb(verb: &VerbInfo, before: &[&str], asked: &mut Asked, line: &str) -> Vec<Source> {
    let given = given(verb, before);
    if let Some(arg) = given.waiting {
        return vec![of_arg(verb, arg)];
    }
    if asked.typed.starts_with('-') && !given.are_over {
        if let Some((option, value)) = asked.typed.clone().split_once('=') {
            return of_value(verb, option, value.to_owned(), asked, line);
        }
        let is_new = |arg: &&ArgInfo| arg.is_option && (arg.repeated || !given.options.contains(&arg.name.as_str()));
        let about = |arg: &ArgInfo| arg.doc.lines().next().unwrap_or_default().to_owned();
        let options = verb.args.iter().filter(is_new);
        return vec![Source::Words(
            options.map(|arg| (format!("--{}", arg.long()), about(arg))).collect(),
        )];
    }
    let mut sources: Vec<Source> = slots(verb, given.positional).iter().map(|arg| of_arg(verb, arg)).collect();
    sources.dedup();
    sources
}

/// Who knows the value in `--option=value`. What stands before the value must not be quoted, for it stays as it is.
fn of_value(verb: &VerbInfo, option: &str, value: String, asked: &mut Asked, line: &str) -> Vec<Source> {
    let name = option.strip_prefix("--").unwrap_or_default();
    let arg = verb.args.iter().find(|arg| arg.is_option && arg.long() == name);
    let Some(arg) = arg.filter(|arg| arg.kind != ArgKind::Flag) else {
        return Vec::new();
    };
    let begin = format!("{option}=");
    let Some(raw) = line.get(asked.start..).and_then(|raw| raw.strip_prefix(&begin)) else {
        return Vec::new();
    };
    if asked.manner == Quote::None {
        asked.manner = match raw.chars().next() {
            Some('\'') => Quote::Single,
            Some('"') => Quote::Double,
            _ => Quote::None,
        };
    }
    asked.start += begin.len();
    asked.typed = value;
    vec![of_arg(verb, arg)]
}

fn of_arg(verb: &VerbInfo, arg: &ArgInfo) -> Source {
    let server = |is_path| Source::Server {
        verb: verb.name.clone(),
        arg: arg.name.clone(),
        is_path,
    };
    match arg.kind {
        _ if arg.dynamic => server(false),
        ArgKind::RemotePath => server(true),
        ArgKind::LocalPath => Source::Local { folders_only: false },
        ArgKind::Choice => Source::Words(arg.choices.iter().map(|word| (word.clone(), String::new())).collect()),
        _ => Source::Words(Vec::new()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use ferry_core::args::{LocalPath, Many};
    use ferry_core::{Access, RemotePath, Spec};

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

    pub(crate) fn verbs() -> Vec<VerbInfo> {
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
            is_path: true,
        }
    }

    fn words(line: &str) -> Vec<String> {
        let [Source::Words(words)] = &sources(line)[..] else {
            panic!("words: {line}")
        };
        words.iter().map(|(word, _)| word.clone()).collect()
    }

    #[test]
    fn the_first_word_is_a_verb_an_alias_or_our_own() {
        let words = words("s");
        assert!(
            ["send", "tx", "lcd", "exit"]
                .iter()
                .all(|word| words.iter().any(|w| w == word))
        );
    }

    #[test]
    fn each_place_is_completed_by_the_side_that_knows_it() {
        let here = || Source::Local { folders_only: false };
        assert_eq!(sources("send "), [here()]);
        assert_eq!(sources("tx a"), [here()]);
        assert_eq!(sources("send a b"), [here(), server("there")]);
        assert_eq!(sources("send -d a "), [here(), server("there")]);
        assert_eq!(sources("send -n "), [server("rename")]);
        assert_eq!(sources("send -dn "), [server("rename")]);
        assert_eq!(sources("send -nx "), [here()]);
        assert_eq!(sources("send --rename x a"), [here()]);
        assert_eq!(sources("send --rename=x a"), [here()]);
        assert_eq!(sources("lcd x"), [Source::Local { folders_only: true }]);
        assert_eq!(sources("frobnicate x"), []);
        assert_eq!(sources("!ls x"), []);
        assert_eq!(sources("send # x"), []);
    }

    #[test]
    fn options_are_proposed_behind_a_dash_only_and_once() {
        assert_eq!(words("send a --"), ["--rename", "--deep"]);
        assert_eq!(words("send -d a --"), ["--rename"]);
        assert_eq!(sources("send -- -"), [Source::Local { folders_only: false }]);
    }

    #[test]
    fn a_value_behind_an_equals_sign_is_completed_by_itself() {
        let asked = ask(&verbs(), "send --rename='my d");
        assert_eq!((asked.start, asked.typed.as_str(), asked.manner), (14, "my d", Quote::Single));
        assert_eq!(asked.sources, [server("rename")]);
        assert_eq!(sources("send --deep=x"), []);
        assert_eq!(sources("send '--rename=x"), []);
    }
}
