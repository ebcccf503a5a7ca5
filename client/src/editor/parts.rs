//! The words of a line that is still being typed: where each stands, what it says, and which quote the last one ends inside of.

/// What a character stands inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Quote {
    /// No quote.
    #[default]
    None,
    /// `'`, in which everything is itself.
    Single,
    /// `"`, in which a backslash may mean something.
    Double,
}

/// A word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Part {
    /// Where it starts in the line, in bytes.
    pub start: usize,
    /// Where it ends, in bytes.
    pub end: usize,
    /// What it says, quotes removed.
    pub text: String,
    /// The quote that is open at its end.
    pub open: Quote,
}

/// A line, as far as it is typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Parts {
    /// The words that a blank follows.
    pub before: Vec<Part>,
    /// The word that the line ends in, maybe an empty one.
    pub last: Part,
    /// Whether the line ends in a comment.
    pub is_comment: bool,
}

impl Parts {
    /// All words.
    pub(super) fn all(&self) -> impl Iterator<Item = &Part> {
        self.before
            .iter()
            .chain(Some(&self.last).filter(|last| last.end > last.start))
    }
}

/// Splits a line that may end anywhere, by the rules of [`split`](ferry_core::line::split).
pub(super) fn parts(line: &str) -> Parts {
    let mut found = Parts::default();
    let mut word: Option<Part> = None;
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if found.is_comment {
            found.is_comment = c != '\n';
            continue;
        }
        let is_blank = matches!(c, ' ' | '\t' | '\n');
        if word.is_none() && (is_blank || c == '#') {
            found.is_comment = c == '#';
            continue;
        }
        let part = word.get_or_insert_with(|| Part {
            start: at,
            ..Part::default()
        });
        match (part.open, c) {
            (Quote::None, _) if is_blank => {
                found.before.extend(word.take());
                continue;
            }
            (Quote::None, '\'') => part.open = Quote::Single,
            (Quote::None, '"') => part.open = Quote::Double,
            (Quote::Single, '\'') | (Quote::Double, '"') => part.open = Quote::None,
            (Quote::None, '\\') => part
                .text
                .extend(chars.next().map(|(_, next)| next).filter(|next| *next != '\n')),
            (Quote::Double, '\\') => match chars.next_if(|(_, next)| "$`\"\\\n".contains(*next)) {
                Some((_, next)) => part.text.extend(Some(next).filter(|next| *next != '\n')),
                None => part.text.push(c),
            },
            _ => part.text.push(c),
        }
        part.end = chars.peek().map_or(line.len(), |(next, _)| *next);
    }
    found.last = word.unwrap_or_else(|| Part {
        start: line.len(),
        end: line.len(),
        ..Part::default()
    });
    found
}

/// Whether a character needs no quotes anywhere in a word.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "_-./,:=+@%^{}~".contains(c) || (!c.is_ascii() && !c.is_whitespace())
}

/// Writes a word in the manner in which it was begun, so that it reads back as it is. One that is not complete keeps its quote open.
pub(super) fn write(word: &str, manner: Quote, is_complete: bool) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    match manner {
        Quote::None if word.is_empty() && is_complete => out.push_str("''"),
        Quote::None => {
            for c in word.chars() {
                out.extend((!is_plain(c)).then_some('\\'));
                out.push(c);
            }
        }
        Quote::Single => {
            out.push('\'');
            out.push_str(&word.replace('\'', r"'\''"));
            out.extend(is_complete.then_some('\''));
        }
        Quote::Double => {
            out.push('"');
            for c in word.chars() {
                out.extend("$`\"\\".contains(c).then_some('\\'));
                out.push(c);
            }
            out.extend(is_complete.then_some('"'));
        }
    }
    out
}

/// The lines of a text: each break that stands in no quote ends one. Empty ones are left out.
pub(super) fn lines(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut line = String::new();
    for piece in text.split_inclusive('\n') {
        line.push_str(piece);
        if parts(&line).last.open == Quote::None {
            found.push(std::mem::take(&mut line));
        }
    }
    found.push(line);
    let trimmed = found.into_iter().map(|line| line.trim_end_matches('\n').to_owned());
    trimmed.filter(|line| !line.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::line::split;

    #[test]
    fn the_last_word_is_read_whatever_it_ends_inside_of() {
        for (line, start, text, open) in [
            ("send 'my fi", 5, "my fi", Quote::Single),
            ("send my\\ fi", 5, "my fi", Quote::None),
            ("send my\\ ", 5, "my ", Quote::None),
            ("send my\\", 5, "my", Quote::None),
            ("send \"a b\"c", 5, "a bc", Quote::None),
            ("send \"a \\n \\\"", 5, "a \\n \"", Quote::Double),
            ("send a ", 7, "", Quote::None),
            ("", 0, "", Quote::None),
        ] {
            let last = parts(line).last;
            assert_eq!((last.start, last.text.as_str(), last.open), (start, text, open), "{line}");
        }
        assert!(parts("a # it's").is_comment && !parts("a#b").is_comment);
    }

    #[test]
    fn whole_lines_are_split_as_they_will_be_when_they_run() {
        for line in [
            "a b  c",
            r#"x 'a b' "c\"d" e\ f g'h'"i""#,
            "a # b 'c",
            r#"a "\n" '\n' \n"#,
            "ä\u{a0}b c",
            "a\tb\nc",
        ] {
            let ours: Vec<String> = parts(line).all().map(|part| part.text.clone()).collect();
            let theirs = split(line).unwrap();
            let theirs: Vec<String> = theirs
                .iter()
                .map(|word| String::from_utf8(word.text.clone()).unwrap())
                .collect();
            assert_eq!(ours, theirs, "{line}");
        }
    }

    #[test]
    fn what_is_written_reads_back_as_it_was_in_every_manner() {
        let names = [
            "plain",
            "my file",
            "it's",
            "say \"hi\"",
            "a\\b",
            "*.txt",
            "[x]?",
            "#1",
            "$HOME",
            "`x`",
            "a&b;c|d",
            "grüße 日本",
            "!bang",
            "~a",
            "a\u{a0}b",
            "",
        ];
        for name in names {
            for manner in [Quote::None, Quote::Single, Quote::Double] {
                let written = write(name, manner, true);
                let words = split(&format!("x {written}")).unwrap();
                assert_eq!(words.len(), 2, "{written}");
                assert_eq!(
                    (words[1].text.as_slice(), &words[1].pattern),
                    (name.as_bytes(), &None),
                    "{written}"
                );
                // Not complete, it can be typed on.
                let begun = format!("x {}", write(name, manner, false));
                assert_eq!(parts(&begun).last.text, name, "{begun}");
            }
        }
    }

    #[test]
    fn a_text_falls_into_lines_at_breaks_that_are_not_quoted() {
        assert_eq!(lines("a b\n\nc 'd\ne' f\n"), ["a b", "c 'd\ne' f"]);
        assert_eq!(lines("a"), ["a"]);
        assert_eq!(lines(" \n"), Vec::<String>::new());
    }
}
