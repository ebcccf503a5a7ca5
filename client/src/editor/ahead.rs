//! What was typed while a line ran. The terminal hands it over in one go, and reedline takes no more of it than the first line: the rest is
//! kept here, and typed again.

use std::sync::{Arc, Mutex};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use reedline::{EditMode, PromptEditMode, ReedlineEvent, ReedlineRawEvent};

use super::lock;

/// The most characters that are kept: more than anybody types meanwhile.
const KEPT_MAX: usize = 4096;

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Whether a line ended since the last painting: what comes now came with it.
    has_ended: bool,
    text: String,
}

pub(super) type Shared = Arc<Mutex<Ahead>>;

impl Ahead {
    /// The line was painted: keys that come from now on come one by one.
    pub(super) fn painted(&mut self) {
        self.has_ended = false;
    }

    /// The lines that were typed, and the beginning of one more.
    pub(super) fn take(&mut self) -> (Vec<String>, String) {
        let text = std::mem::take(&mut self.text);
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let begun = lines.pop().unwrap_or_default();
        (lines, begun)
    }

    /// Takes note of a key; gives whether it was kept.
    fn keep(&mut self, key: KeyEvent) -> bool {
        let is_end = is_typed_end(key);
        if !self.has_ended {
            // A line that went on after its end, as in a search, had what is kept already.
            self.text.clear();
            self.has_ended = is_end;
            return false;
        }
        match key.code {
            _ if self.text.len() >= KEPT_MAX => {}
            // Enter itself comes where the terminal was the editor's again already.
            code if is_end || code == KeyCode::Enter => self.text.push('\n'),
            KeyCode::Char(c) if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => self.text.push(c),
            KeyCode::Backspace => drop(self.text.pop()),
            _ => {}
        }
        true
    }
}

/// Whether a key is what the terminal makes of Enter while a line runs.
fn is_typed_end(key: KeyEvent) -> bool {
    (key.code, key.modifiers) == (KeyCode::Char('j'), KeyModifiers::CONTROL)
}

/// Keys of some kind, from which those are kept that came together with the end of a line.
pub(super) struct Keeping {
    keys: Box<dyn EditMode>,
    ahead: Shared,
}

impl Keeping {
    pub(super) fn new(keys: Box<dyn EditMode>, ahead: Shared) -> Self {
        Self { keys, ahead }
    }
}

impl EditMode for Keeping {
    fn parse_event(&mut self, event: ReedlineRawEvent) -> ReedlineEvent {
        let event = Event::from(event);
        if let Event::Key(key) = event
            && lock(&self.ahead).keep(key)
        {
            return ReedlineEvent::None;
        }
        ReedlineRawEvent::try_from(event).map_or(ReedlineEvent::None, |event| self.keys.parse_event(event))
    }

    fn edit_mode(&self) -> PromptEditMode {
        self.keys.edit_mode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_behind_the_end_of_a_line_is_kept_until_the_next_painting() {
        let mut ahead = Ahead::default();
        let key = |c| match c {
            '\n' => KeyEvent::new(KeyCode::Char('j'), KeyModifiers::CONTROL),
            '\r' => KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE),
            '\x08' => KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE),
            c => KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE),
        };
        let kept: Vec<bool> = "a\nbx\x08c\n\rü".chars().map(|c| ahead.keep(key(c))).collect();
        assert_eq!(kept, [false, false, true, true, true, true, true, true, true]);
        ahead.painted();
        assert_eq!(ahead.take(), (vec!["bc".to_owned(), String::new()], "ü".to_owned()));
        assert!(!ahead.keep(key('d')));
        assert_eq!(ahead.take(), (vec![], String::new()));
    }
}
