//! The prompt: who is logged in where, in which folder, and whether there is a connection.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use nu_ansi_term::Color;
use reedline::{Prompt, PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus, PromptViMode};

use super::style::Styles;
use super::{Place, ahead, lock};

/// What stands between the prompt and the line.
pub(super) const INDICATOR: &str = "> ";
/// The same where keys are commands.
const COMMANDS: &str = ": ";
/// The narrowest that a folder is made, in columns.
const FOLDER_MIN: usize = 12;

pub(super) struct Ask {
    place: Arc<Mutex<Place>>,
    ahead: ahead::Shared,
    styles: Styles,
}

impl Ask {
    pub(super) fn new(place: Arc<Mutex<Place>>, ahead: ahead::Shared, styles: Styles) -> Self {
        Self { place, ahead, styles }
    }
}

/// The prompt without the indicator, for a terminal of so many columns.
pub(super) fn text(place: &Place, columns: usize) -> String {
    let state = if place.open().is_some() { "" } else { " (not connected)" };
    let folder = ferry_core::text::escape(&place.cwd.0);
    // The line itself has the larger part.
    let taken = console::measure_text_width(&place.name) + state.len() + 1;
    let most = (columns / 2).saturating_sub(taken).max(FOLDER_MIN);
    format!("{}:{}{state}", place.name, shortened(&folder, most))
}

/// The end of a folder's path, `most` columns at most: whole names where they fit.
fn shortened(folder: &str, most: usize) -> Cow<'_, str> {
    if console::measure_text_width(folder) <= most {
        return Cow::Borrowed(folder);
    }
    let mut slashes = folder.match_indices('/').map(|(at, _)| at);
    let fits = |at: &usize| console::measure_text_width(&folder[*at..]) < most;
    if let Some(at) = slashes.clone().find(fits).filter(|at| at + 1 < folder.len()) {
        return Cow::Owned(format!("…{}", &folder[at..]));
    }
    let last = slashes.next_back().map_or(folder, |at| &folder[at + 1..]);
    Cow::Owned(format!("…/{}", console::truncate_str(last, most.saturating_sub(2), "…")))
}

impl Prompt for Ask {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        lock(&self.ahead).painted();
        let columns = usize::from(console::Term::stdout().size().1);
        Cow::Owned(text(&lock(&self.place), columns))
    }
    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn render_prompt_indicator(&self, mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed(match mode {
            PromptEditMode::Vi(PromptViMode::Normal | PromptViMode::Visual) => COMMANDS,
            _ => INDICATOR,
        })
    }
    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed(INDICATOR)
    }
    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "failing ",
        };
        Cow::Owned(format!(" ({failing}search: {}) ", search.term))
    }
    fn get_prompt_color(&self) -> Color {
        let is_connected = lock(&self.place).open().is_some();
        if is_connected { self.styles.prompt } else { self.styles.alarm }
    }
    fn get_indicator_color(&self) -> Color {
        self.get_prompt_color()
    }
    fn get_prompt_multiline_color(&self) -> Color {
        self.styles.prompt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::RemotePath;

    #[test]
    fn a_prompt_says_who_where_and_that_nobody_is_there() {
        let place = Place {
            name: "al@host".into(),
            cwd: RemotePath::from("/a/b"),
            ..Place::default()
        };
        assert_eq!(text(&place, 80), "al@host:/a/b (not connected)");
    }

    #[test]
    fn a_long_folder_is_shortened_from_its_start() {
        for (folder, most, want) in [
            ("/", 12, "/"),
            ("/photos/2026", 12, "/photos/2026"),
            ("/photos/2026/november", 16, "…/2026/november"),
            ("/photos/2026/november", 14, "…/november"),
            ("/a-very-long-name-of-a-folder", 12, "…/a-very-lo…"),
            ("/日本日本日本日本/日本", 12, "…/日本"),
        ] {
            let short = shortened(folder, most);
            assert_eq!(short, want);
            assert!(console::measure_text_width(&short) <= most, "{short}");
        }
    }
}
