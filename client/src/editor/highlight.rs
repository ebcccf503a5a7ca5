//! How the line looks while it is typed: a verb that there is, one that there is not, options, quoted words, comments.

use std::sync::{Arc, Mutex};

use ferry_core::VerbInfo;
use nu_ansi_term::Style;
use reedline::{Highlighter, StyledText};

use super::parts::parts;
use super::style::Styles;
use super::{Place, lock};
use crate::words;

pub(super) struct Paint {
    place: Arc<Mutex<Place>>,
    styles: Styles,
}

impl Paint {
    pub(super) fn new(place: Arc<Mutex<Place>>, styles: Styles) -> Self {
        Self { place, styles }
    }

    fn verb(&self, verbs: &[VerbInfo], word: &str, is_finished: bool) -> Style {
        let names = verbs.iter().flat_map(|verb| std::iter::once(&verb.name).chain(&verb.aliases));
        let mut names = names.map(String::as_str).chain(words::OWN.iter().map(|(word, _)| *word));
        let is_known = names.clone().any(|name| name == word);
        // Before a login nothing is known, and as long as it is typed it may become one.
        let may_be = verbs.is_empty() || (!is_finished && names.any(|name| name.starts_with(word)));
        match is_known {
            true => self.styles.verb,
            false if may_be => self.styles.plain,
            false => self.styles.unknown,
        }
    }

    /// Spans of the line with their looks, in their order.
    fn spans(&self, verbs: &[VerbInfo], line: &str) -> Vec<(usize, usize, Style)> {
        let parts = parts(line);
        let finished = parts.before.len();
        let mut spans = Vec::new();
        let mut are_options_over = false;
        for (at, part) in parts.all().enumerate() {
            let raw = line.get(part.start..part.end).unwrap_or_default();
            let style = match raw.chars().next() {
                Some('!') if at == 0 => return spans,
                _ if at == 0 => self.verb(verbs, &part.text, finished > 0),
                Some('\'' | '"') => self.styles.quoted,
                Some('-') if !are_options_over && raw.len() > 1 => self.styles.option,
                _ => self.styles.plain,
            };
            are_options_over |= part.text == "--";
            spans.push((part.start, part.end, style));
        }
        if parts.is_comment {
            let from = parts.all().last().map_or(0, |part| part.end);
            spans.push((from, line.len(), self.styles.comment));
        }
        spans
    }
}

impl Highlighter for Paint {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        let verbs = lock(&self.place).verbs.clone();
        let mut styled = StyledText::new();
        let mut at = 0;
        for (start, end, style) in self.spans(&verbs, line) {
            styled.push((self.styles.plain, line[at..start].to_owned()));
            styled.push((style, line[start..end].to_owned()));
            at = end;
        }
        styled.push((self.styles.plain, line[at..].to_owned()));
        styled
    }
}

#[cfg(test)]
mod tests {
    use super::super::sources::tests::verbs;
    use super::*;

    #[test]
    fn words_look_as_what_they_are() {
        let styles = Styles::new(true);
        let paint = Paint::new(Arc::default(), styles);
        let looks = |line: &str| -> Vec<Style> { paint.spans(&verbs(), line).into_iter().map(|span| span.2).collect() };
        assert_eq!(
            looks("send -d 'a b' c"),
            [styles.verb, styles.option, styles.quoted, styles.plain]
        );
        assert_eq!(looks("send -- -d"), [styles.verb, styles.option, styles.plain]);
        assert_eq!(looks("lcd"), [styles.verb]);
        assert_eq!((looks("se"), looks("se ")), (vec![styles.plain], vec![styles.unknown]));
        assert_eq!(looks("sx"), [styles.unknown]);
        assert_eq!(looks("send # x"), [styles.verb, styles.comment]);
        assert_eq!(looks("!ls -l"), []);
    }

    #[test]
    fn nothing_of_the_line_is_lost() {
        let place = Place {
            verbs: Arc::new(verbs()),
            ..Place::default()
        };
        let paint = Paint::new(Arc::new(Mutex::new(place)), Styles::new(false));
        for line in ["", " send  'ä b' # c", "se\\", "!x 'y", "send \"日本"] {
            let text: String = paint.highlight(line, 0).buffer.into_iter().map(|(_, text)| text).collect();
            assert_eq!(text, line);
        }
    }

    #[test]
    fn known_and_unknown_differ_without_colours_too() {
        let styles = Styles::new(false);
        let all = [styles.verb, styles.unknown, styles.plain];
        assert!(all.iter().all(|style| style.foreground.is_none()));
        assert!(styles.verb != styles.unknown && styles.unknown != styles.plain && styles.hint != styles.plain);
    }
}
