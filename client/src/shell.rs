//! The interactive shell: prompt, history, completion, and a plain reader where the terminal cannot do more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferry_core::rt;
use futures_lite::{FutureExt as _, future};
use reedline::ExternalPrinter;

use crate::ask;
use crate::editor::{self, Editor, Keys, Line, Place};
use crate::exit::{Exit, Failure, Result};
use crate::jobs::{self, Jobs};
use crate::link::Link;
use crate::script::{self, Lines};
use crate::session::{Interrupts, Session};
use crate::words::Next;

/// How many texts of jobs may wait for the editor to show them.
const PRINTED_MAX: usize = 64;
/// How often it is looked whether a job has begun to move contents.
const BESIDE_EVERY: Duration = Duration::from_millis(100);

/// Runs the shell until the user leaves it.
///
/// # Errors
/// Only when the first login fails, or when nothing can be printed any more.
pub async fn run(session: &mut Session, interrupts: &Interrupts) -> Result<()> {
    greet(session, interrupts).await?;
    session.jobs.be_shell();
    let interrupts = &interrupts.and_suspends()?;
    // As much as an editor has to show at once; more of it waits.
    let printer = ExternalPrinter::new(PRINTED_MAX);
    let prints = printer.sender();
    let place = Arc::new(Mutex::new(Place::default()));
    lock(&place).see(session);
    let mut input = Input::new(session, place.clone(), printer).await;
    loop {
        lock(&place).see(session);
        interrupts.clear();
        match input {
            Input::Editor(_) => session.jobs.screen().editor(prints.clone()),
            Input::Plain(_) => session.jobs.screen().hold(),
        }
        let line;
        let beside = beside(&session.jobs, &session.link, &place);
        (input, line) = input.next(session, interrupts, &place).or(beside).await?;
        session.jobs.screen().front(None);
        let line = match line {
            Line::Text(line) => line,
            Line::Nothing | Line::Broken => continue,
            Line::End => match input.leaves(session, interrupts).await? {
                None => return Ok(()),
                Some(stays) => {
                    input = stays;
                    continue;
                }
            },
        };
        let result = script::one(session, interrupts, line.trim()).await;
        lock(&place).ran(&line);
        match result {
            Ok(Next::Go) => {}
            Ok(Next::Leave) => match input.leaves(session, interrupts).await? {
                None => return Ok(()),
                Some(stays) => input = stays,
            },
            Err(mut failure) => {
                let is_closed = failure.exit == Exit::Done;
                editor::add_near_name(session, line.trim(), &mut failure).await;
                session.output.failure(&mut failure)?;
                if is_closed {
                    return Err(failure);
                }
                input.forget_waiting(session);
            }
        }
    }
}

/// As long as the prompt is there, has a connection for the editor beside the transfers that run, so that its completion does not
/// queue behind them. Never ends.
async fn beside(jobs: &Jobs, link: &Link, place: &Mutex<Place>) -> Result<(Input, Line)> {
    while jobs.running() > 0 {
        if link.is_busy()
            && let Some(first) = link.connected()
        {
            let connection = link.aside(first).await;
            lock(place).connection = Some(connection);
        }
        rt::sleep(BESIDE_EVERY).await;
    }
    // The one that is closed now is nobody's any more.
    lock(place).connection = link.connected();
    link.close_second().await;
    future::pending().await
}

async fn greet(session: &mut Session, interrupts: &Interrupts) -> Result<()> {
    let connection = interrupts.or_stop(session.connect()).await?;
    if let Some(notice) = &connection.notice {
        session.output.note(&ferry_core::text::escape(notice.as_bytes()));
    }
    for note in session.aliases.hiding(&connection.verbs) {
        session.output.note(&note);
    }
    let count = connection.verbs.len();
    session
        .output
        .note(&format!("{}: {count} verbs for you, `help` lists them", session.name()));
    Ok(())
}

/// Where lines come from.
enum Input {
    Editor(Box<Editor>),
    Plain(Lines),
}

impl Input {
    /// The editor, where the terminal can do what it needs.
    async fn new(session: &Session, place: Arc<Mutex<Place>>, printer: ExternalPrinter<String>) -> Self {
        let keys = Keys::from_env().unwrap_or_else(|error| {
            session.output.note(&format!("ferry: {error}"));
            None
        });
        let keys = keys.unwrap_or(session.taste.keys);
        if session.output.is_terminal && Editor::is_possible().await {
            return Self::Editor(Box::new(Editor::new(place, keys, printer)));
        }
        Self::plain()
    }

    fn plain() -> Self {
        Self::Plain(Lines::typed())
    }

    async fn next(self, session: &Session, interrupts: &Interrupts, place: &Mutex<Place>) -> Result<(Self, Line)> {
        match self {
            Self::Plain(lines) => {
                session.output.prompt(&lock(place).prompt());
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
                if let Some(line) = editor.next_waiting() {
                    let shown = ferry_core::text::escape(line.as_bytes());
                    session.output.note(&format!("{}{shown}", lock(place).prompt()));
                    return Ok((Self::Editor(editor), Line::Text(line)));
                }
                // The editor blocks: it runs where that is fine.
                let (editor, line) = rt::unblock(move || {
                    let line = editor.read();
                    (editor, line)
                })
                .await;
                match line {
                    Line::Broken => Ok((Self::plain(), line)),
                    line => Ok((Self::Editor(editor), line)),
                }
            }
        }
    }

    /// Whether the user leaves, who is asked when jobs run: they are stopped then. Gives the input back when he stays.
    async fn leaves(self, session: &Session, interrupts: &Interrupts) -> Result<Option<Self>> {
        let Some(question) = jobs::may_leave(session) else {
            return Ok(None);
        };
        interrupts.clear();
        session.jobs.screen().hold();
        let (input, is_yes) = match self {
            Self::Editor(editor) => {
                let no = async {
                    interrupts.next().await;
                    Ok(false)
                };
                let is_yes = ask::yes(&question).or(no).await?;
                (Self::Editor(editor), is_yes)
            }
            Self::Plain(lines) => {
                session.output.prompt(&question);
                // An end of the input was one of its own: who ends it twice leaves.
                let lines = match lines.is_over() {
                    true => Lines::typed(),
                    false => lines,
                };
                let no = async {
                    interrupts.next().await;
                    Ok(Some(String::new()))
                };
                let answer = lines.next().or(no).await?;
                (Self::Plain(lines), answer.is_none_or(|answer| ask::is_yes(&answer)))
            }
        };
        session.jobs.screen().front(None);
        if !is_yes {
            return Ok(Some(input));
        }
        session.jobs.stop_all().await;
        Ok(None)
    }

    /// Gives up the lines that came together with one that failed.
    fn forget_waiting(&mut self, session: &Session) {
        if let Self::Editor(editor) = self {
            match editor.forget_waiting() {
                0 => {}
                count => session.output.note(&format!("the lines behind it were not run: {count}")),
            }
        }
    }
}

fn lock(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
