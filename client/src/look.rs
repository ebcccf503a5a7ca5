//! How things look where they are printed: as wide as the terminal, with colours and bars, or plain.

use console::Style;

/// How things look. Nothing is told by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// The terminal's width in characters; none where it is not a terminal: then there is one thing a line, and times are in UTC.
    pub width: Option<usize>,
    /// Whether there are colours.
    pub has_colour: bool,
    /// Whether numbers have bars beside them.
    pub has_bars: bool,
    /// The time now, in nanoseconds since 1970-01-01 UTC.
    pub now: i64,
}

/// What a piece of text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// A folder.
    Folder,
    /// A link.
    Link,
    /// A file that can be executed.
    Executable,
    /// The filled part of a bar.
    Bar,
}

/// Whether the terminal can do nothing but print.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// Whether colours are wanted on standard output. `NO_COLOR` with any contents has the last word; `CLICOLOR` and `CLICOLOR_FORCE`
/// are looked at by `console`.
fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && console::colors_enabled()
}

impl Look {
    /// The look of the terminal that standard output is, or of something else.
    pub fn of_standard_output(is_terminal: bool) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            width: is_terminal.then(|| usize::from(console::Term::stdout().size().1)),
            has_colour: wants_colour(),
            has_bars: is_terminal && !is_dumb(),
            now: now.map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)),
        }
    }

    /// The text in its colour, where there are colours. It must have been made harmless before.
    pub fn paint(&self, paint: Option<Paint>, text: &str) -> String {
        let Some(paint) = paint.filter(|_| self.has_colour) else {
            return text.to_owned();
        };
        let style = Style::new().force_styling(true);
        let style = match paint {
            Paint::Folder => style.blue().bold(),
            Paint::Link => style.cyan(),
            Paint::Executable => style.green().bold(),
            Paint::Bar => style.cyan(),
        };
        style.apply_to(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_a_text_stays_as_it_is() {
        let mut look = Look::default();
        assert_eq!(look.paint(Some(Paint::Folder), "docs/"), "docs/");
        look.has_colour = true;
        assert_eq!(look.paint(None, "a"), "a");
        let painted = look.paint(Some(Paint::Folder), "docs/");
        assert!(painted.starts_with("\x1b[") && painted.ends_with("\x1b[0m"), "{painted:?}");
        assert_eq!(console::strip_ansi_codes(&painted), "docs/");
    }
}
