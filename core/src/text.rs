//! Makes text from the other side safe to show: escapes for names, did-you-mean for words.

use std::fmt::Write as _;

/// Escapes everything in `bytes` that could move a cursor, forge a line or is no UTF-8, as `\n`, `\x1b` or `\u{202e}`;
/// a backslash itself is doubled only where something else was escaped, so ordinary names stay as they are.
///
/// The result has no control character, no bidirectional override and no line break.
///
/// ```
/// use ferry_core::text::escape;
///
/// assert_eq!(escape("grüße".as_bytes()), "grüße");
/// assert_eq!(escape(b"a\x1b[2J\n"), "a\\x1b[2J\\n");
/// ```
pub fn escape(bytes: &[u8]) -> String {
    let clean = |c: char| !c.is_control() && !is_invisible(c);
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.chars().all(clean)
    {
        return text.to_owned();
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    for part in bytes.utf8_chunks() {
        for c in part.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if clean(c) => out.push(c),
                c if c.is_ascii() => {
                    let _ = write!(out, "\\x{:02x}", u32::from(c));
                }
                c => {
                    let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
                }
            }
        }
        for byte in part.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Line and paragraph separators, zero-width characters and the bidirectional controls of UAX #9 ("Trojan Source").
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{fff9}'..='\u{fffb}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// The candidate nearest to `word`, when it is near enough to be what was meant.
///
/// Near is an optimal-string-alignment distance (Damerau: a swap of neighbours counts one) of at most a third of the
/// word's length, rounded up.
///
/// ```
/// use ferry_core::text::did_you_mean;
///
/// assert_eq!(did_you_mean("yesterdya", ["help", "yesterday"]), Some("yesterday"));
/// assert_eq!(did_you_mean("imagine", ["help", "yesterday"]), None);
/// ```
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let len = word.chars().count();
    let limit = len.div_ceil(3);
    candidates
        .into_iter()
        // Lengths that differ by more cannot be near; so a very long word costs nothing.
        .filter(|candidate| candidate.chars().count().abs_diff(len) <= limit)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, candidate)| (*distance, candidate.len()))
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_are_escaped_and_plain_ones_left_alone() {
        assert_eq!(escape("grüße \\ 日本".as_bytes()), "grüße \\ 日本");
        assert_eq!(escape(b"a\x1b[2Jb\n"), "a\\x1b[2Jb\\n");
        assert_eq!(escape("a\u{202e}gpj.exe".as_bytes()), "a\\u{202e}gpj.exe");
        assert_eq!(escape(b"\xff\\x"), "\\xff\\\\x");
        assert_eq!(escape("\u{9b}31m".as_bytes()), "\\u{9b}31m");
        assert_eq!(escape("\u{61c}a".as_bytes()), "\\u{61c}a");
    }

    #[test]
    fn near_words_are_proposed_and_far_ones_are_not() {
        let verbs = ["du", "download", "mkdir", "rm", "rmdir"];
        assert_eq!(did_you_mean("dcu", verbs), Some("du"));
        assert_eq!(did_you_mean("mkdri", verbs), Some("mkdir"));
        assert_eq!(did_you_mean("frobnicate", verbs), None);
    }

    proptest! {
        #[test]
        fn nothing_escaped_can_move_a_cursor(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(escape(&bytes).chars().all(|c| !c.is_control() && !is_invisible(c)));
        }
    }
}
