//! Words of a command line: quotes, and which `*`, `?` and `[` are patterns.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::text::escape;

/// A word of a command line.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Word {
    /// What it says, quotes removed.
    pub text: Vec<u8>,
    /// The pattern it is when a `*`, a `?` or a `[..]` stands in it unquoted; everything else that could mean something in a
    /// pattern has a backslash in front.
    pub pattern: Option<Vec<u8>>,
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", escape(&self.text))
    }
}

impl From<&str> for Word {
    /// A word that is taken literally.
    fn from(text: &str) -> Self {
        Self {
            text: text.into(),
            pattern: None,
        }
    }
}

impl Word {
    /// A word that another program has split off already: every `*`, `?` and `[..]` in it counts, unless a backslash stands in
    /// front of it.
    pub fn from_argv(text: Vec<u8>) -> Self {
        let units = units(&text, b"*?[\\");
        let (pattern, any) = pattern(&units);
        let any = any || units.iter().any(|(byte, part)| *part == Part::Escaped && *byte != b'\\');
        Self {
            text,
            pattern: any.then_some(pattern),
        }
    }

    /// The word as text for people.
    pub fn shown(&self) -> String {
        escape(&self.text)
    }
}

/// The characters that begin a pattern.
const PLAIN: [char; 3] = ['*', '?', '['];
/// Where the marks are taken from: plane 15, which is for private use.
const PRIVATE: RangeInclusive<char> = '\u{f0000}'..='\u{ffffd}';

/// Splits a line as a POSIX shell does (2.2 Quoting, 2.6.5), without expansions. A word that starts with `#` begins a comment.
///
/// # Errors
/// `bad_request` for a quote without its end.
pub fn split(line: &str) -> Result<Vec<Word>> {
    // shell_words forgets what was quoted, so pattern characters outside of quotes are marked first, by characters that the
    // line does not have.
    let taken: BTreeSet<char> = line.chars().filter(|c| PRIVATE.contains(c)).collect();
    let mut free = PRIVATE.filter(|c| !taken.contains(c));
    let (Some(star), Some(one), Some(class)) = (free.next(), free.next(), free.next()) else {
        return Err(Error::bad_request("the line is too long"));
    };
    let marks = [star, one, class];
    let no_end = |_| Error::bad_request("a quote has no end").hint("close it, or write a backslash in front of one that is none");
    let words = shell_words::split(&mark(line, marks)).map_err(no_end)?;
    Ok(words.iter().map(|word| unmark(word, marks)).collect())
}

/// The line with a mark for each pattern character that is not quoted. Follows shell_words state by state.
fn mark(line: &str, marks: [char; 3]) -> String {
    let mut marked = String::with_capacity(line.len());
    let (mut single, mut double, mut escaped, mut comment, mut between_words) = (false, false, false, false, true);
    for c in line.chars() {
        let mut shown = c;
        match c {
            _ if comment => comment = c != '\n',
            _ if escaped => {
                escaped = false;
                between_words &= c == '\n';
            }
            '\\' if !single => escaped = true,
            ' ' | '\t' | '\n' if !single && !double => between_words = true,
            '#' if between_words => comment = true,
            _ => {
                between_words = false;
                match (c, PLAIN.iter().position(|plain| *plain == c)) {
                    ('\'', _) if !double => single = !single,
                    ('"', _) if !single => double = !double,
                    (_, Some(index)) if !single && !double => shown = marks[index],
                    _ => {}
                }
            }
        }
        marked.push(shown);
    }
    marked
}

fn unmark(word: &str, marks: [char; 3]) -> Word {
    let mut units = Vec::with_capacity(word.len());
    for c in word.chars() {
        let mark = marks.iter().position(|mark| *mark == c);
        let plain = mark.map_or(c, |index| PLAIN[index]);
        let part = if mark.is_some() { Part::Special } else { Part::Plain };
        units.extend(plain.encode_utf8(&mut [0; 4]).bytes().map(|byte| (byte, part)));
    }
    let (pattern, any) = pattern(&units);
    Word {
        text: units.iter().map(|(byte, _)| *byte).collect(),
        pattern: any.then_some(pattern),
    }
}

/// The longest pattern for one name, in bytes: four times what the longest name has.
pub const PATTERN_MAX_BYTES: usize = 1024;
/// The most that stands in one pair of brackets. A longer one is none.
const CLASS_MAX: usize = 256;

/// A pattern for a whole name, as `*`, `?` and `[..]` do in arguments; a backslash makes the next one literal. A name that starts with
/// a dot is matched like any other.
///
/// ```
/// use ferry_core::line::Pattern;
/// let texts = Pattern::new(b"*.tx[st]")?;
/// assert!(texts.matches(b"notes.txt") && !texts.matches(b"notes.txt.old"));
/// assert!(!Pattern::new(br"\*")?.matches(b"a"));
/// assert!(Pattern::new(&[b'['; 5000]).is_err());
/// # Ok::<(), ferry_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pattern(Vec<u8>);

impl Pattern {
    /// Reads a pattern. It is read once, however many names it is for.
    ///
    /// # Errors
    /// `bad_request` for one of more than [`PATTERN_MAX_BYTES`].
    pub fn new(text: &[u8]) -> Result<Self> {
        if text.len() > PATTERN_MAX_BYTES {
            return Err(Error::bad_request(format!(
                "a pattern of {} bytes; at most {PATTERN_MAX_BYTES} are possible",
                text.len()
            )));
        }
        Ok(Self(matcher(text)))
    }

    /// Whether it fits a name.
    pub fn matches(&self, name: &[u8]) -> bool {
        fast_glob::glob_match(&self.0, name)
    }
}

/// The name of a pattern from the wire for the matcher, to which braces, a `!` in front and some escapes mean more than the
/// protocol says.
fn matcher(name: &[u8]) -> Vec<u8> {
    let any: Vec<u8> = (0..=u8::MAX).collect();
    pattern(&units(name, &any)).0
}

/// What a byte is to a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Itself; inside of brackets maybe their end, a dash or a negation.
    Plain,
    /// A `*`, a `?` or a `[` that counts.
    Special,
    /// Itself, everywhere.
    Escaped,
}

/// The bytes of a text in which a backslash in front of an `escapable` one makes it literal.
fn units(text: &[u8], escapable: &[u8]) -> Vec<(u8, Part)> {
    let mut units = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        units.push(match bytes.next_if(|next| byte == b'\\' && escapable.contains(next)) {
            Some(next) => (next, Part::Escaped),
            None if b"*?[".contains(&byte) => (byte, Part::Special),
            None => (byte, Part::Plain),
        });
    }
    units
}

/// Writes a pattern; says whether anything in it counts. A `[` without its `]` in the same name does not.
fn pattern(units: &[(u8, Part)]) -> (Vec<u8>, bool) {
    let (mut pattern, mut any, mut at) = (Vec::with_capacity(units.len()), false, 0);
    while let Some((byte, part)) = units.get(at).copied() {
        let class = (byte, part) == (b'[', Part::Special);
        let class = class.then(|| class_len(&units[at..])).flatten();
        for (byte, part) in &units[at..at + class.unwrap_or(0)] {
            let literal = *byte == b'\\' || (*part == Part::Escaped && b"]-!^".contains(byte));
            pattern.extend(literal.then_some(b'\\'));
            pattern.push(*byte);
        }
        if class.is_none() {
            let literal = part != Part::Special || byte == b'[';
            any |= !literal;
            pattern.extend((literal && b"*?[]{}!\\".contains(&byte)).then_some(b'\\'));
            pattern.push(byte);
        }
        any |= class.is_some();
        at += class.unwrap_or(1);
    }
    (pattern, any)
}

/// How long the bracket expression is that starts here; `None` when it does not end soon. A `]` that comes first, also behind `!`
/// or `^`, is one of its characters.
fn class_len(units: &[(u8, Part)]) -> Option<usize> {
    let negated = matches!(units.get(1)?, (b'!' | b'^', Part::Plain));
    let first = 1 + usize::from(negated);
    let ends = |(byte, part): &(u8, Part)| *byte == b'/' || (*byte == b']' && *part != Part::Escaped);
    let end = first + 1 + units.iter().skip(first + 1).take(CLASS_MAX).position(ends)?;
    (units[end].0 == b']' && units[first].0 != b'/').then_some(end + 1)
}

/// Writes a word so that [`split`] reads it back as it is.
pub fn quote(text: &str) -> String {
    shell_words::quote(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn patterns(words: &[Word]) -> Vec<Option<&str>> {
        words
            .iter()
            .map(|w| w.pattern.as_deref().map(|p| std::str::from_utf8(p).unwrap()))
            .collect()
    }

    #[test]
    fn only_unquoted_stars_are_patterns() {
        let words = split(r#"*.txt '*.txt' "a?" \*b a'*'? # no"#).unwrap();
        assert_eq!(patterns(&words), [Some("*.txt"), None, None, None, Some(r"a\*?")]);
        assert_eq!(words[1].text, b"*.txt");
        // What stands in a comment quotes nothing behind it.
        assert_eq!(patterns(&split("a # it's\n'*' * #").unwrap()), [None, None, Some("*")]);
    }

    #[test]
    fn nothing_but_the_three_is_ever_syntax() {
        // A `!` in front would turn the pattern round, and braces would be alternatives: `rm` of the wrong files.
        for (line, want) in [
            ("!a*", Some(r"\!a*")),
            ("!x[ab]", Some(r"\!x[ab]")),
            ("{a,b}*", Some(r"\{a,b\}*")),
            ("[!ab]]*", Some(r"[!ab]\]*")),
            ("[]a]", Some("[]a]")),
            ("[a*]b", Some("[a*]b")),
            ("a[b", None),
            ("[a/b]", None),
            ("[a*", Some(r"\[a*")),
        ] {
            assert_eq!(patterns(&split(line).unwrap()), [want], "{line}");
            assert_eq!(patterns(&[Word::from_argv(line.into())]), [want], "argv {line}");
        }
        assert_eq!(patterns(&[Word::from_argv(r"a\*b".into())]), [Some(r"a\*b")]);
        assert_eq!(patterns(&[Word::from_argv(r"a\b*\".into())]), [Some(r"a\\b*\\")]);
        assert_eq!(patterns(&[Word::from_argv(r"a\\b".into())]), [None]);
    }

    #[test]
    fn a_pattern_matches_what_a_shell_would_match() {
        for (line, name, want) in [
            ("!a*", "!abc", true),
            ("!a*", "b", false),
            ("[!a]*", "b", true),
            ("[!a]*", "abc", false),
            ("{x}*", "{x}y", true),
            (r"'*'?", "*a", true),
            (r"[\\]*", "\\n", true),
            ("[]a]x", "]x", true),
        ] {
            let words = split(line).unwrap();
            let pattern = words[0].pattern.as_deref().unwrap();
            assert_eq!(fast_glob::glob_match(pattern, name), want, "{line} {name}");
        }
    }

    #[test]
    fn a_pattern_from_the_wire_means_what_the_protocol_says() {
        for (pattern, name, want) in [
            ("!a", "b", false),
            ("!a", "!a", true),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
            (r"\n*", "name", true),
            (r"\n*", "\n", false),
            (r"\*", "a", false),
            (r"\*", "*", true),
            (r"[a\]b]", "]", true),
            (r"[a\-c]", "b", false),
            ("[a-c]", "b", true),
            ("[!a]", "b", true),
            ("[^a]", "a", false),
            ("[", "[", true),
            ("a\\", "a\\", true),
            ("**", "ab", true),
        ] {
            assert_eq!(
                fast_glob::glob_match(matcher(pattern.as_bytes()), name),
                want,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn brackets_that_do_not_end_soon_are_none() {
        let class = |len: usize| format!("[{}]", "a".repeat(len));
        let matches = |text: &str| Pattern::new(text.as_bytes()).unwrap().matches(b"a");
        assert!(matches(&class(1)) && matches(&class(CLASS_MAX)));
        assert!(!matches(&class(CLASS_MAX + 1)));
    }

    proptest! {
        #[test]
        fn a_quoted_word_comes_back_as_it_was(text in "([^\\PC]|[\u{f0000}-\u{f0003}]|[\u{f8f0}-\u{f8f2}]|\\PC){0,20}") {
            let words = split(&format!("x {}", quote(&text))).unwrap();
            prop_assert_eq!(words.len(), 2);
            prop_assert_eq!(&words[1], &Word::from(text.as_str()));
        }

        #[test]
        fn a_pattern_matches_its_own_literal_text(text in "[ab*?{}!\\\\]{1,12}") {
            // Every quoted character matches itself, so with a star behind it the pattern matches the text.
            let words = split(&format!("{}*", quote(&text))).unwrap();
            prop_assert!(fast_glob::glob_match(words[0].pattern.as_deref().unwrap(), &text));
        }

        #[test]
        fn no_line_and_no_word_ever_panics(text in "[-a*?\\[\\]{}!^/\\\\'\"# \n\u{f0000}é]{0,24}") {
            let _ = split(&text);
            let _ = fast_glob::glob_match(matcher(text.as_bytes()), &text);
            let _ = Word::from_argv(text.into_bytes());
        }
    }
}
