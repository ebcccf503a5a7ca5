//! Aliases: short names for the beginning of a line, as in a POSIX shell. Only the first word of a line of the shell or of a script is one, and only
//! when nothing of it is quoted, so that `'ls'` is always the server's verb. An alias is not expanded again inside of itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ferry_core::line::{Word, quote};
use ferry_core::text::escape;
use ferry_core::{Error, VerbInfo};

use crate::words::OWN;

/// The longest name of an alias, in bytes: that of a verb.
const NAME_MAX_BYTES: usize = 64;
/// The most aliases: more than anybody can remember.
const ALIASES_MAX: usize = 1000;
/// The longest line that an alias stands for, in bytes.
const LINE_MAX_BYTES: usize = 4096;

/// Lines by their short names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aliases(BTreeMap<String, String>);

impl Aliases {
    /// Makes `name` stand for `line`; an empty line takes the alias away.
    ///
    /// # Errors
    /// `bad_request` for a name that cannot be one, that is one of the shell's own words, and for too many or too long ones.
    pub fn define(&mut self, name: &str, line: &str) -> Result<(), Error> {
        let shown = escape(name.as_bytes());
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '?');
        if name.is_empty() || name.len() > NAME_MAX_BYTES || name.starts_with('-') || !name.chars().all(fits) {
            let error = Error::bad_request(format!("`{shown}` cannot be an alias's name"));
            return Err(error.hint("letters, digits and any of `_-.+?`, up to 64 bytes"));
        }
        if OWN.iter().any(|(own, _)| *own == name) {
            return Err(Error::bad_request(format!(
                "`{shown}` is the shell's own word, and no alias can hide it"
            )));
        }
        let line = line.trim();
        if line.len() > LINE_MAX_BYTES || line.contains(['\n', '\0']) {
            return Err(Error::bad_request(format!(
                "the alias `{shown}` is longer than a line can be"
            )));
        }
        if line.is_empty() {
            self.0.remove(name);
            return Ok(());
        }
        if self.0.len() >= ALIASES_MAX && !self.0.contains_key(name) {
            return Err(Error::bad_request(format!("there are {ALIASES_MAX} aliases already")));
        }
        self.0.insert(name.to_owned(), line.to_owned());
        Ok(())
    }

    /// A line with its first word expanded, as often as that is another alias.
    pub fn expand<'l>(&self, line: &'l str) -> Cow<'l, str> {
        let mut expanded = Cow::Borrowed(line.trim_start());
        let mut seen = BTreeSet::new();
        loop {
            let end = expanded.find(char::is_whitespace).unwrap_or(expanded.len());
            let (first, rest) = expanded.split_at(end);
            let Some((name, value)) = self.0.get_key_value(first).filter(|(name, _)| !seen.contains(*name)) else {
                return expanded;
            };
            seen.insert(name);
            expanded = Cow::Owned(format!("{value}{rest}"));
        }
    }

    /// Every alias and its line, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, line)| (name.as_str(), line.as_str()))
    }

    /// What is to be told about aliases that hide a verb.
    pub fn hiding(&self, verbs: &[VerbInfo]) -> Vec<String> {
        let hides = |name: &str| verbs.iter().any(|verb| verb.is_called(name));
        let hiding = self.iter().filter(|(name, _)| hides(name));
        hiding
            .map(|(name, _)| format!("the alias `{name}` hides the server's verb `{name}`; `'{name}'` is the verb"))
            .collect()
    }

    /// Does what `alias [NAME[=LINE]]` asks for: gives the lines that show aliases, or the name that was defined.
    ///
    /// # Errors
    /// As [`Self::define`]; `not_found` for a name that is none.
    pub fn told(&mut self, words: &[Word]) -> Result<Told, Error> {
        let word = match words {
            [] => return Ok(Told::Shown(self.iter().map(shown).collect())),
            [word] => String::from_utf8_lossy(&word.text).into_owned(),
            [first, ..] => {
                let name = String::from_utf8_lossy(&first.text);
                let name = escape(name.split('=').next().unwrap_or_default().as_bytes());
                let error = Error::bad_request("alias: one NAME or NAME=LINE at a time");
                return Err(error.hint(format!("a line of several words stands in quotes: alias {name}='ls -l'")));
            }
        };
        let Some((name, line)) = word.split_once('=') else {
            let found = self.0.get_key_value(&word);
            let found = found.ok_or_else(|| Error::not_found(format!("there is no alias `{}`", escape(word.as_bytes()))))?;
            return Ok(Told::Shown(shown((found.0, found.1))));
        };
        self.define(name, line)?;
        Ok(Told::Defined(name.to_owned()))
    }
}

/// What came of the word `alias`.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// Text to be shown.
    Shown(String),
    /// This one was defined, or taken away.
    Defined(String),
}

fn shown((name, line): (&str, &str)) -> String {
    format!("alias {name}={}\n", quote(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::line::split;

    fn aliases(all: &[(&str, &str)]) -> Aliases {
        let mut aliases = Aliases::default();
        for (name, line) in all {
            aliases.define(name, line).unwrap();
        }
        aliases
    }

    #[test]
    fn only_a_first_word_without_quotes_is_expanded_and_none_twice() {
        let aliases = aliases(&[
            ("ll", "ls -l"),
            ("ls", "ls -a"),
            ("a", "b x"),
            ("b", "a y"),
            ("up", "!uptime"),
        ]);
        for (line, expanded) in [
            ("ll docs", "ls -a -l docs"),
            ("ls", "ls -a"),
            ("'ls'", "'ls'"),
            ("\\ls x", "\\ls x"),
            ("md5 ll", "md5 ll"),
            ("a", "a y x"),
            ("b", "b x y"),
            ("  ll", "ls -a -l"),
            ("up -p", "!uptime -p"),
            ("", ""),
        ] {
            assert_eq!(aliases.expand(line), expanded, "{line}");
        }
    }

    #[test]
    fn aliases_are_defined_shown_and_taken_away() {
        let mut aliases = Aliases::default();
        let mut tell = |line: &str| aliases.told(&split(line).unwrap()[1..]);
        assert_eq!(tell("alias ll='ls -l'").unwrap(), Told::Defined("ll".into()));
        assert_eq!(tell("alias la='ls -a'").unwrap(), Told::Defined("la".into()));
        assert_eq!(
            tell("alias").unwrap(),
            Told::Shown("alias la='ls -a'\nalias ll='ls -l'\n".into())
        );
        assert_eq!(tell("alias ll").unwrap(), Told::Shown("alias ll='ls -l'\n".into()));
        assert_eq!(tell("alias ll=").unwrap(), Told::Defined("ll".into()));
        assert!(tell("alias ll").unwrap_err().message.contains("no alias `ll`"));
        assert!(tell("alias x=ls -l").unwrap_err().hint.unwrap().contains("alias x='ls -l'"));
        for bad in ["alias =ls", "alias '-x=ls'", "alias 'a/b=ls'", "alias exit=ls"] {
            assert!(tell(bad).is_err(), "{bad}");
        }
    }
}
