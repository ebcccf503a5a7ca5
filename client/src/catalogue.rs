//! The catalogue as a server sends it, checked before anything is made of it: names are plain words, texts can be shown as they
//! are, lists are bounded. The server may be hostile; what passes here needs no second look.

use ferry_core::text::escape;
use ferry_core::{Error, ErrorKind, VerbInfo};

use crate::exit::{Failure, Result};

/// The most verbs that a server may tell of.
const VERBS_MAX: usize = 4096;
/// The most aliases and the most examples of a verb.
const FEW: usize = 64;
/// The most arguments of a verb, which are the keys of one map, and the most words of a choice.
const MANY: usize = ferry_core::wire::MAP_MAX_KEYS;
/// The longest name of a verb or an argument, in bytes.
const NAME_MAX_BYTES: usize = 64;

/// Whether `text` can be a verb's name: lower-case letters, digits and `-`, a letter first.
pub fn is_verb_name(text: &str) -> bool {
    is_word(text, b"-")
}

fn is_word(text: &str, more: &[u8]) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || more.contains(&byte);
    text.len() <= NAME_MAX_BYTES && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(fits)
}

/// Checks a catalogue and makes its texts safe to show.
///
/// # Errors
/// Exit code 12 for a name that is no plain word, and for more of anything than a server can need.
pub fn checked(mut verbs: Vec<VerbInfo>) -> Result<Vec<VerbInfo>> {
    bounded("verbs", verbs.len(), VERBS_MAX)?;
    for verb in &mut verbs {
        check(verb)?;
    }
    Ok(verbs)
}

fn bounded(what: &str, len: usize, most: usize) -> Result<()> {
    if len <= most {
        return Ok(());
    }
    let text = format!("the server's catalogue has {len} {what} in one place; at most {most} are possible");
    Err(Failure::protocol(Error::new(ErrorKind::TooLarge, text)))
}

fn plain(name: &str, is_plain: bool) -> Result<()> {
    if is_plain {
        return Ok(());
    }
    let shown: String = escape(name.as_bytes()).chars().take(NAME_MAX_BYTES).collect();
    Err(Failure::unexpected(&format!("`{shown}` is no name of a verb or an argument")))
}

fn check(verb: &mut VerbInfo) -> Result<()> {
    bounded("aliases", verb.aliases.len(), FEW)?;
    bounded("examples", verb.examples.len(), FEW)?;
    bounded("arguments", verb.args.len(), MANY)?;
    for name in std::iter::once(&verb.name).chain(&verb.aliases) {
        plain(name, is_verb_name(name))?;
    }
    let suffix = verb.makes.strip_prefix('.');
    plain(
        &verb.makes,
        verb.makes.is_empty() || suffix.is_some_and(|word| is_word(word, b".")),
    )?;
    lines(&mut verb.doc);
    for text in [&mut verb.since, &mut verb.krate, &mut verb.version] {
        line(text);
    }
    for (example, about) in &mut verb.examples {
        line(example);
        line(about);
    }
    for arg in &mut verb.args {
        bounded("choices", arg.choices.len(), MANY)?;
        plain(&arg.name, is_word(&arg.name, b"_-"))?;
        if let Some(short) = arg.short {
            plain(&short.to_string(), short.is_ascii_graphic() && short != '-')?;
        }
        lines(&mut arg.doc);
        arg.choices.iter_mut().for_each(line);
    }
    Ok(())
}

fn line(text: &mut String) {
    *text = escape(text.as_bytes());
}

fn lines(text: &mut String) {
    let safe: Vec<String> = text.split('\n').map(|line| escape(line.as_bytes())).collect();
    *text = safe.join("\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::{Access, Spec};

    ferry_core::args! {
        /// Does one thing.
        ///
        /// And another.
        pub(crate) struct Thing {
            /// What.
            what: String,
        }
    }

    fn with(change: impl FnOnce(&mut VerbInfo)) -> Result<VerbInfo> {
        let mut verb = VerbInfo::new(&Spec::of::<Thing>("do-it", Access::Read).aliases(&["d2"]), "test", "1");
        change(&mut verb);
        checked(vec![verb]).map(|mut verbs| verbs.remove(0))
    }

    #[test]
    fn an_ordinary_verb_stays_as_it_is() {
        let mut before = None;
        let after = with(|verb| before = Some(verb.clone())).unwrap();
        assert_eq!(Some(after), before);
    }

    #[test]
    fn names_that_are_no_plain_words_are_refused() {
        for bad in [
            "",
            "-x",
            "a b",
            "a\x1b[2J",
            "Ls",
            "\u{202e}ls",
            "é",
            &"x".repeat(NAME_MAX_BYTES + 1),
        ] {
            let failures = [
                with(|verb| verb.name = bad.to_owned()),
                with(|verb| verb.aliases.push(bad.to_owned())),
                with(|verb| verb.args[0].name = bad.to_owned()),
            ];
            for failure in failures {
                let failure = failure.unwrap_err();
                assert_eq!(failure.exit, crate::exit::Exit::Protocol, "{bad}");
                assert!(!failure.error.message.contains('\x1b'));
            }
        }
        for bad in [
            "tar",
            ".",
            "./x",
            ".tar/..",
            ".a\x1b",
            &format!(".{}", "x".repeat(NAME_MAX_BYTES + 1)),
        ] {
            assert!(with(|verb| verb.makes = bad.to_owned()).is_err(), "{bad}");
        }
        assert!(with(|verb| verb.makes = ".tar.gz".to_owned()).is_ok());
        assert!(with(|verb| verb.args[0].short = Some('-')).is_err());
        assert!(with(|verb| verb.args[0].short = Some('\x1b')).is_err());
    }

    #[test]
    fn texts_lose_what_a_terminal_would_act_on_and_keep_their_lines() {
        let verb = with(|verb| {
            verb.doc = "one\n\x1b[2Jtwo\r".to_owned();
            verb.args[0].doc = "\u{202e}x".to_owned();
            verb.args[0].choices = vec!["\x07".to_owned()];
            verb.examples = vec![("a\nb".to_owned(), "\x1b".to_owned())];
            verb.krate = "\x1b".to_owned();
        });
        let verb = verb.unwrap();
        assert_eq!(verb.doc, "one\n\\x1b[2Jtwo\\r");
        assert!(!verb.help().chars().any(|c| c.is_control() && c != '\n'), "{}", verb.help());
        assert_eq!((verb.args[0].choices[0].as_str(), verb.krate.as_str()), ("\\x07", "\\x1b"));
    }

    #[test]
    fn lists_without_end_are_refused() {
        let verb = with(|_| {}).unwrap();
        assert!(checked(vec![verb.clone(); VERBS_MAX + 1]).is_err());
        assert!(with(|verb| verb.aliases = vec!["a".to_owned(); FEW + 1]).is_err());
        assert!(with(|verb| verb.args = vec![verb.args[0].clone(); MANY + 1]).is_err());
        assert!(with(|verb| verb.args[0].choices = vec![String::new(); MANY + 1]).is_err());
        assert!(with(|verb| verb.examples = vec![Default::default(); FEW + 1]).is_err());
    }
}
