//! Which commands stand on a line, and which of them are to run in the background.

use ferry_core::{Error, Result};

/// One command of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'l> {
    /// What was typed, without the `&`.
    pub text: &'l str,
    /// Whether a `&` stands behind it.
    pub is_background: bool,
}

/// Splits a line at each `&` that ends a word or stands alone. One in quotes, behind a backslash, in a comment or inside of a word
/// is a character like others, and all of a line for the local shell is that shell's.
///
/// # Errors
/// `bad_request` for a `&` with nothing in front of it, and for two of them.
pub fn split(line: &str) -> Result<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut start = 0;
    let (mut single, mut double, mut escaped, mut is_between) = (false, false, false, true);
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if is_between && at >= start && c == '!' && line[start..at].trim().is_empty() {
            // The rest belongs to the local shell.
            break;
        }
        let was_between = std::mem::replace(&mut is_between, false);
        match c {
            _ if escaped => escaped = false,
            '\\' if !single => escaped = true,
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            _ if single || double => {}
            '#' if was_between => break,
            c if c.is_whitespace() => is_between = true,
            '&' => match chars.peek() {
                Some((_, '&')) => {
                    let error = Error::bad_request("`&&` means nothing here");
                    return Err(error.hint("write one command a line; in quotes, `&` is a character"));
                }
                Some((_, next)) if !next.is_whitespace() => {}
                _ => {
                    let text = line[start..at].trim();
                    if text.is_empty() {
                        return Err(Error::bad_request("there is nothing in front of `&`")
                            .hint("`VERB ... &` runs a verb in the background"));
                    }
                    parts.push(Part {
                        text,
                        is_background: true,
                    });
                    (start, is_between) = (at + 1, true);
                }
            },
            _ => {}
        }
    }
    let text = line[start..].trim();
    if !text.is_empty() {
        parts.push(Part {
            text,
            is_background: false,
        });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> Vec<(&str, bool)> {
        let parts = split(line).unwrap();
        parts.into_iter().map(|part| (part.text, part.is_background)).collect()
    }

    #[test]
    fn an_ampersand_at_the_end_is_for_the_background() {
        for line in ["send a &", "send a&", "  send a  &  ", "send a & # and more"] {
            assert_eq!(parts(line).first(), Some(&("send a", true)), "{line}");
        }
        assert_eq!(parts("send a"), [("send a", false)]);
        assert_eq!(parts("send a & jobs"), [("send a", true), ("jobs", false)]);
        assert_eq!(parts("send a & send b&"), [("send a", true), ("send b", true)]);
        assert_eq!(parts(""), []);
    }

    #[test]
    fn elsewhere_it_is_a_character() {
        for line in [
            "send 'a &'",
            "send \"a & b\"",
            "send 'a'\\&",
            "send a\\ \\& b",
            "send R&D",
            "# send a &",
            "send a # &",
            "send 'it\"s' \"&\"",
        ] {
            assert_eq!(parts(line), [(line, false)], "{line}");
        }
        // An escaped quote opens nothing.
        assert_eq!(parts("send \\' &"), [("send \\'", true)]);
        // A quote without its end is for others to complain about.
        assert_eq!(parts("send 'a &"), [("send 'a &", false)]);
    }

    #[test]
    fn what_the_local_shell_runs_is_left_to_it() {
        assert_eq!(parts("!sleep 9 & ls && du &"), [("!sleep 9 & ls && du &", false)]);
        assert_eq!(parts("send a & !ls &"), [("send a", true), ("!ls &", false)]);
        assert_eq!(parts("send a! &"), [("send a!", true)]);
    }

    #[test]
    fn nothing_in_front_and_two_of_them_are_refused() {
        for line in ["&", " & ", "& ls", "send a & &", "send a && ls", "send a &&"] {
            assert_eq!(split(line).unwrap_err().kind, ferry_core::ErrorKind::BadRequest, "{line}");
        }
    }
}
