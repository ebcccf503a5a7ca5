//! The interactive shell: prompt, history, completion, and a plain reader where the terminal cannot do more.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use etcetera::BaseStrategy as _;
use ferry_core::rt;
use futures_lite::FutureExt as _;
use reedline::{
    ColumnarMenu, DefaultHinter, Emacs, FileBackedHistory, KeyCode, KeyModifiers, MenuBuilder as _, Prompt, PromptEditMode,
    PromptHistorySearch, PromptHistorySearchStatus, Reedline, ReedlineEvent, ReedlineMenu, Signal, default_emacs_keybindings,
};

use crate::complete::{Place, Words};
use crate::exit::{Exit, Failure, Result};
use crate::script::{self, Lines};
use crate::session::{Interrupts, Session};
use crate::words::Next;

/// How many lines are remembered.
const HISTORY_LINES: usize = 10_000;
/// How often the editor may fail in a row before the plain reader takes over.
const EDITOR_FAILURES_MAX: u32 = 3;
const MENU: &str = "words";

/// Runs the shell until the user leaves it.
///
/// # Errors
/// Only when the first login fails, or when nothing can be printed any more.
pub async fn run(session: &mut Session, interrupts: &Interrupts) -> Result<()> {
    greet(session, interrupts).await?;
    let place = Arc::new(Mutex::new(Place::default()));
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let mut input = if is_dumb || !session.output.is_terminal {
        Input::plain()
    } else {
        Input::Editor(Box::new(editor(place.clone())))
    };
    loop {
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Place {
            connection: session.link.connected(),
            cwd: session.cwd.clone(),
            local: session.local.clone(),
        };
        interrupts.clear();
        let line;
        (input, line) = input.next(session, interrupts).await?;
        let line = match line {
            Line::Text(line) => line,
            Line::Nothing => continue,
            Line::End => return Ok(()),
        };
        match script::one(session, interrupts, line.trim()).await {
            Ok(Next::Go) => {}
            Ok(Next::Leave) => return Ok(()),
            Err(mut failure) => {
                let is_closed = failure.exit == Exit::Done;
                session.output.failure(&mut failure)?;
                if is_closed {
                    return Err(failure);
                }
            }
        }
    }
}

async fn greet(session: &mut Session, interrupts: &Interrupts) -> Result<()> {
    let connection = interrupts.or_stop(session.connect()).await?;
    if let Some(notice) = &connection.notice {
        session.output.note(&ferry_core::text::escape(notice.as_bytes()));
    }
    let count = connection.verbs.len();
    session
        .output
        .note(&format!("{}: {count} verbs for you, `help` lists them", session.name()));
    Ok(())
}

enum Line {
    Text(String),
    /// Nothing to run: the line was given up.
    Nothing,
    End,
}

/// Where lines come from.
enum Input {
    Editor(Box<Editor>),
    Plain(Lines),
}

struct Editor {
    reedline: Reedline,
    failures: u32,
}

impl Input {
    fn plain() -> Self {
        Self::Plain(Lines::new(Box::new(std::io::BufReader::new(std::io::stdin()))))
    }

    async fn next(self, session: &Session, interrupts: &Interrupts) -> Result<(Self, Line)> {
        let prompt = format!("{}:{}> ", session.name(), session.cwd);
        match self {
            Self::Plain(lines) => {
                session.output.prompt(&prompt);
                let given_up = async {
                    interrupts.next().await;
                    session.output.note("");
                    Ok(Line::Nothing)
                };
                let read = async {
                    let line = lines.next().await?;
                    Ok::<Line, Failure>(line.map_or(Line::End, Line::Text))
                };
                let line = read.or(given_up).await?;
                Ok((Self::Plain(lines), line))
            }
            Self::Editor(mut editor) => {
                // The editor blocks, and so does its completion: it runs where that is fine.
                let (editor, signal) = rt::unblock(move || {
                    let signal = editor.reedline.read_line(&Text(prompt));
                    (editor, signal)
                })
                .await;
                Ok(Self::after(editor, signal))
            }
        }
    }

    fn after(mut editor: Box<Editor>, signal: std::io::Result<Signal>) -> (Self, Line) {
        let line = match signal {
            Ok(Signal::Success(line)) => Line::Text(line),
            Ok(Signal::CtrlD) => Line::End,
            Ok(_) => Line::Nothing,
            Err(_) if editor.failures + 1 < EDITOR_FAILURES_MAX => {
                editor.failures += 1;
                return (Self::Editor(editor), Line::Nothing);
            }
            Err(_) => return (Self::plain(), Line::Nothing),
        };
        editor.failures = 0;
        (Self::Editor(editor), line)
    }
}

fn editor(place: Arc<Mutex<Place>>) -> Editor {
    let mut keys = default_emacs_keybindings();
    let complete = vec![ReedlineEvent::Menu(MENU.to_owned()), ReedlineEvent::MenuNext];
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
    let menu = ColumnarMenu::default().with_name(MENU);
    let mut reedline = Reedline::create()
        .with_completer(Box::new(Words::new(place)))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_hinter(Box::new(DefaultHinter::default()))
        .with_edit_mode(Box::new(Emacs::new(keys)));
    // Without a file the history lasts as long as the shell.
    if let Some(history) = history_file().and_then(|file| FileBackedHistory::with_file(HISTORY_LINES, file).ok()) {
        reedline = reedline.with_history(Box::new(history));
    }
    Editor { reedline, failures: 0 }
}

fn history_file() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    let state = folders.state_dir().unwrap_or_else(|| folders.data_dir());
    let folder = state.join("ferry");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

struct Text(String);

impl Prompt for Text {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }
    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }
    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "failing ",
        };
        Cow::Owned(format!("({failing}search: {}) ", search.term))
    }
}
