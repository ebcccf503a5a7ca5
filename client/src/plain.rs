//! Contents as text on a terminal: lines and tabs stay, everything else that could move a cursor is escaped.

use ferry_core::text::escape;

/// The longest beginning of a character whose end is still to come, in bytes, and as long as that of a line break.
const TAIL_MAX_BYTES: usize = 3;

/// Text whose line breaks and tabs stay, and nothing else that a terminal would act on.
pub fn lines(bytes: &[u8]) -> String {
    let mut safe = String::with_capacity(bytes.len() + 1);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (line, end) = line.strip_suffix(b"\n").map_or((line, ""), |line| (line, "\n"));
        for (at, part) in line.split(|byte| *byte == b'\t').enumerate() {
            safe.push_str(if at == 0 { "" } else { "\t" });
            safe.push_str(&escape(part));
        }
        safe.push_str(end);
    }
    safe
}

/// Contents that come in pieces, which may end within a character.
#[derive(Debug, Default)]
pub struct Plain {
    tail: Vec<u8>,
}

impl Plain {
    /// The next piece as text. Line breaks of Windows become ours.
    pub fn take(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.tail);
        bytes.extend_from_slice(piece);
        self.tail = bytes.split_off(bytes.len() - unfinished(&bytes));
        shown(&bytes)
    }

    /// What is left at the end.
    pub fn end(&mut self) -> String {
        shown(&std::mem::take(&mut self.tail))
    }
}

fn shown(bytes: &[u8]) -> String {
    let ours: Vec<u8> = bytes
        .iter()
        .enumerate()
        .filter(|(at, byte)| !(**byte == b'\r' && bytes.get(at + 1) == Some(&b'\n')))
        .map(|(_, byte)| *byte)
        .collect();
    lines(&ours)
}

/// How many bytes at the end may be the beginning of something longer.
fn unfinished(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    let most = bytes.len().min(TAIL_MAX_BYTES);
    let is_begun = |len: &usize| {
        let end = std::str::from_utf8(&bytes[bytes.len() - len..]);
        end.is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=most).find(is_begun).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_tabs_stay_and_claws_do_not() {
        assert_eq!(lines(b"a\tb\n\x1b[2Jc\xff\n\n"), "a\tb\n\\x1b[2Jc\\xff\n\n");
    }

    #[test]
    fn it_does_not_matter_where_contents_are_cut() {
        let contents = "grüße\r\n日本\t🚢 x\r\r\n\u{202e}\x1b]0;t\x07 \\ end".as_bytes();
        let whole = {
            let mut plain = Plain::default();
            plain.take(contents) + &plain.end()
        };
        assert_eq!(whole, "grüße\n日本\t🚢 x\\r\n\\u{202e}\\x1b]0;t\\x07 \\\\ end");
        let quiet = &contents["grüße\r\n".len()..];
        for at in 0..=quiet.len() {
            let mut plain = Plain::default();
            let text = plain.take(&quiet[..at]) + &plain.take(&quiet[at..]) + &plain.end();
            // A backslash is doubled only beside what was escaped, which may have come in another piece.
            assert_eq!(
                text.replace("\\\\", "\\"),
                whole["grüße\n".len()..].replace("\\\\", "\\"),
                "{at}"
            );
        }
    }

    #[test]
    fn what_is_no_character_at_the_end_is_shown_too() {
        let mut plain = Plain::default();
        assert_eq!(plain.take(b"a\xe6\x97") + &plain.end(), "a\\xe6\\x97");
        assert_eq!(plain.take(b"\r") + &plain.end(), "\\r");
    }
}
