//! The line editor of the shell: reedline, with our completion, hints, looks, keys, prompt and history.
//!
//! It blocks a thread and knows no task; what has to be asked of somebody is asked beside it, so no key ever waits for the network.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferry_core::{Access, RemotePath, VerbInfo, rt};
use reedline::{EditCommand, ExternalPrinter, Reedline, ReedlineMenu, Signal};

use crate::connection::Connection;
use crate::look::is_dumb;
use crate::session::Session;

mod ahead;
mod completion;
mod highlight;
mod hint;
mod history;
mod keys;
mod meant;
mod menu;
mod names;
mod once;
mod parts;
mod prompt;
mod sources;
mod style;

pub use keys::Keys;
pub use meant::add_near_name;
pub(crate) use once::{found, last_word};
use style::Styles;

/// How often the editor may fail in a row before the plain reader takes over.
const FAILURES_MAX: u32 = 3;
/// How often it is looked whether an answer has come, while one is waited for.
const POLL: Duration = Duration::from_millis(5);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the editor needs of a session; the shell keeps it up to date.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// `user@host`, made safe to show.
    pub name: String,
    /// The connection, when there is one.
    pub connection: Option<Arc<Connection>>,
    /// The verbs of the last connection.
    pub verbs: Arc<Vec<VerbInfo>>,
    /// The remote working folder.
    pub cwd: RemotePath,
    /// The local working folder.
    pub local: PathBuf,
    /// How many lines were run.
    pub lines: u64,
    /// How many lines were run that may have changed what is there.
    pub changes: u64,
}

impl Place {
    /// The connection, when something can be asked over it.
    fn open(&self) -> Option<Arc<Connection>> {
        self.connection.clone().filter(|connection| !connection.is_lost())
    }

    /// Takes note of where a session is.
    pub fn see(&mut self, session: &Session) {
        self.connection = session.link.free();
        if let Some(connection) = &self.connection {
            self.verbs = connection.verbs.clone();
        }
        self.name = session.name();
        self.cwd = session.cwd.clone();
        self.local = session.local.clone();
    }

    /// Takes note of a line that was run. One whose verb is not known to read only may have changed something.
    pub fn ran(&mut self, line: &str) {
        self.lines += 1;
        let name = parts::parts(line)
            .all()
            .next()
            .map(|part| part.text.clone())
            .unwrap_or_default();
        let verb = self.verbs.iter().find(|verb| verb.is_called(&name));
        if verb.is_none_or(|verb| verb.access == Access::Write) {
            self.changes += 1;
        }
    }

    /// The prompt for a terminal that can do no more than show it.
    pub fn prompt(&self) -> String {
        format!("{}{}", prompt::text(self, usize::MAX), prompt::INDICATOR)
    }
}

/// What came of asking for a line.
#[derive(Debug)]
pub enum Line {
    /// A line to run.
    Text(String),
    /// Nothing to run: the line was given up.
    Nothing,
    /// The end.
    End,
    /// The editor does not work here.
    Broken,
}

/// The editor.
pub struct Editor {
    place: Arc<Mutex<Place>>,
    reedline: Reedline,
    styles: Styles,
    ahead: ahead::Shared,
    history: Option<PathBuf>,
    failures: u32,
    /// Lines that came together with the last one.
    waiting: VecDeque<String>,
}

impl std::fmt::Debug for Editor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Editor({} waiting)", self.waiting.len())
    }
}

impl Editor {
    /// An editor for the session that keeps `place` up to date. What goes to `printer` is shown above the line.
    pub fn new(place: Arc<Mutex<Place>>, keys: Keys, printer: ExternalPrinter<String>) -> Self {
        let styles = Styles::new(console::colors_enabled());
        let told = completion::Told::default();
        let ahead = ahead::Shared::default();
        let menu = Box::new(menu::Quiet::new(&styles, prompt::INDICATOR));
        let mut reedline = Reedline::create()
            .with_completer(Box::new(completion::Completion::new(place.clone(), told.clone())))
            .with_external_printer(printer)
            .with_menu(ReedlineMenu::EngineCompleter(menu))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_poll_interval(POLL)
            .with_hinter(Box::new(hint::Hints::new(place.clone(), told, styles.hint)))
            .with_highlighter(Box::new(highlight::Paint::new(place.clone(), styles)))
            .with_history_exclusion_prefix(Some(history::FORGOTTEN.to_owned()))
            .use_bracketed_paste(true)
            .with_edit_mode(Box::new(ahead::Keeping::new(keys.mode(), ahead.clone())));
        let mut file = None;
        if let Some((history, of_user)) = history::of_user() {
            reedline = reedline.with_history(Box::new(history));
            file = Some(of_user);
        }
        Self {
            place,
            reedline,
            styles,
            ahead,
            history: file,
            failures: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Whether the terminal tells where its cursor is, without which no line can be edited. Takes two seconds when it does not.
    pub async fn is_possible() -> bool {
        !is_dumb() && rt::unblock(|| crossterm::cursor::position().is_ok()).await
    }

    /// The next line. Blocks until the user has typed it.
    pub fn read(&mut self) -> Line {
        let ask = prompt::Ask::new(self.place.clone(), self.ahead.clone(), self.styles);
        let signal = self.reedline.read_line(&ask);
        if signal.is_ok() {
            self.failures = 0;
        }
        match signal {
            Ok(Signal::Success(text)) => {
                self.save();
                // What was pasted may be several lines.
                let mut lines = parts::lines(&text).into_iter();
                let first = lines.next();
                self.waiting = lines.collect();
                // And what was typed while another one ran.
                let (typed, begun) = lock(&self.ahead).take();
                self.waiting.extend(typed.into_iter().filter(|line| !line.trim().is_empty()));
                if !begun.is_empty() {
                    self.reedline.run_edit_commands(&[EditCommand::InsertString(begun)]);
                }
                first.map_or(Line::Nothing, Line::Text)
            }
            Ok(Signal::CtrlD) => Line::End,
            Ok(_) => Line::Nothing,
            Err(_) if self.failures + 1 < FAILURES_MAX => {
                self.failures += 1;
                Line::Nothing
            }
            Err(_) => Line::Broken,
        }
    }

    /// Writes down what was typed, so that another shell has it too. A history that cannot be kept is no reason to stop.
    fn save(&mut self) {
        if let Some(file) = &self.history {
            let _ = history::keep_private(file).and_then(|()| self.reedline.sync_history());
        }
    }

    /// A line that came together with the last one, when there is one.
    pub fn next_waiting(&mut self) -> Option<String> {
        self.waiting.pop_front()
    }

    /// Forgets the lines that came together with the last one; gives how many.
    pub fn forget_waiting(&mut self) -> usize {
        std::mem::take(&mut self.waiting).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_changed_something_is_told_from_what_only_looked() {
        let mut place = Place {
            verbs: Arc::new(sources::tests::verbs()),
            ..Place::default()
        };
        place.ran("send x");
        assert_eq!((place.lines, place.changes), (1, 1));
        let mut verbs = sources::tests::verbs();
        verbs[0].access = Access::Read;
        place.verbs = Arc::new(verbs);
        place.ran("tx 'x y'");
        assert_eq!((place.lines, place.changes), (2, 1));
        place.ran("!touch x");
        assert_eq!((place.lines, place.changes), (3, 2));
    }
}
