//! One command line, from its words to its end. Which way contents flow and what arguments mean comes from the catalogue.

use std::sync::Arc;

use ferry_core::line::{self, Call, Word};
use ferry_core::text::did_you_mean;
use ferry_core::wire::message::{Complete, Offer};
use ferry_core::{Body, Error, ErrorKind, RemotePath, VerbInfo};

use crate::args::{Role, arg_of};
use crate::catalogue::is_verb_name;
use crate::connection::{Connection, Event};
use crate::exit::{Failure, Result};
use crate::plain::Plain;
use crate::progress::Meter;
use crate::request::{Request, Step};
use crate::rows::RowPrinter;
use crate::session::{Interrupts, Session};
use crate::{download, expand, help, upload};

/// Who split the line into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Another shell, which has expanded local patterns already.
    Argv,
    /// We.
    Line,
}

/// Runs a line until it ends or the user stops it. A stopped transfer says how to go on.
///
/// # Errors
/// Why it did not end well; exit code 10 when it was stopped.
pub async fn until_interrupted(session: &mut Session, interrupts: &Interrupts, words: &[Word], from: From) -> Result<()> {
    interrupts.clear();
    let result = interrupts.or_stop(run(session, words, from)).await;
    session.tally.hide(session);
    let result = end_paging(session, result).await;
    if let Err(failure) = &result
        && let Some(stopped) = session.paused.take()
        && failure.exit == crate::exit::Exit::Interrupted
    {
        session.output.note(&stopped);
    }
    result
}

/// Prints what was kept for the pager, or waits until the user has left it, after a Ctrl-C too: what is on the screen is for him to
/// leave. Doing so early is no failure.
///
/// # Errors
/// What the line said, or that nothing can be printed.
pub(crate) async fn end_paging(session: &Session, result: Result<()>) -> Result<()> {
    match (result, session.output.end_paging().await) {
        (Err(failure), Ok(true)) if failure.told && failure.exit == crate::exit::Exit::Done => Ok(()),
        (Ok(()), Err(failure)) => Err(failure),
        (result, _) => result,
    }
}

/// Runs a line.
///
/// # Errors
/// Why it did not end well.
pub async fn run(session: &mut Session, words: &[Word], from: From) -> Result<()> {
    let Some((name, rest)) = words.split_first() else {
        return Ok(());
    };
    let connection = session.connect().await?;
    if from == From::Argv && help::show(session, &connection.verbs, words, &[]).await? {
        return Ok(());
    }
    let has_verb = |connection: &Arc<Connection>| find(&connection.verbs, name).is_some();
    let connection = match session.link.free().filter(has_verb) {
        _ if has_verb(&connection) => connection,
        Some(free) => free,
        None => with_verb(session, connection, name).await?,
    };
    let verb = find(&connection.verbs, name).ok_or_else(|| unknown(&connection.verbs, name))?;
    let mut call = line::parse(verb, rest)?;
    let is_transfer = verb.body == Body::In || (verb.body == Body::Out && arg_of(verb, Role::Target).is_some());
    // What moves little does not queue behind what moves much.
    let asked = match is_transfer {
        true => connection.clone(),
        false => session.link.aside(connection.clone()).await,
    };
    expand::remote(session, &asked, verb, &mut call).await?;
    if from == From::Line {
        expand::local(session, verb, &mut call).await?;
    }
    match verb.body {
        Body::In => upload::run(session, verb, &call).await,
        Body::Out if arg_of(verb, Role::Target).is_some() => download::run(session, verb, &call).await,
        _ => show(session, &asked, verb, &call).await,
    }
}

fn find<'v>(verbs: &'v [VerbInfo], name: &Word) -> Option<&'v VerbInfo> {
    let name = std::str::from_utf8(&name.text).ok()?;
    verbs.iter().find(|verb| verb.is_called(name))
}

/// A connection on which a verb can be run that the catalogue of this one does not have. Only the server knows why it does
/// not: there is none, the user may not run it, or it came after the login, and then a new login brings it.
async fn with_verb(session: &mut Session, connection: Arc<Connection>, name: &Word) -> Result<Arc<Connection>> {
    let verb = String::from_utf8_lossy(&name.text);
    if !is_verb_name(&verb) {
        return Err(unknown(&connection.verbs, name).into());
    }
    // No argument has an empty name: the verb and the rights to it are looked at, and nothing is run.
    let ask = Complete {
        id: 0,
        verb: verb.into_owned(),
        arg: String::new(),
        word: RemotePath::default(),
        cwd: session.cwd.clone(),
    };
    let answer = async { Request::complete(&connection, ask).await?.words().await };
    match answer.await {
        Err(failure) if failure.error.kind != ErrorKind::BadRequest => Err(failure),
        // Not under the transfers that run.
        _ if session.link.is_busy() => session.link.renew_second().await,
        _ => {
            session.close().await;
            session.connect().await
        }
    }
}

/// The error for a verb that is not there. A real name is a better proposal than another name for something.
fn unknown(verbs: &[VerbInfo], name: &Word) -> Error {
    let text = String::from_utf8_lossy(&name.text);
    let aliases = || verbs.iter().flat_map(|verb| &verb.aliases).map(String::as_str);
    let near = did_you_mean(&text, verbs.iter().map(|verb| verb.name.as_str())).or_else(|| did_you_mean(&text, aliases()));
    let error = Error::new(ErrorKind::UnknownVerb, format!("there is no verb `{}` for you", name.shown()));
    match near {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`help` lists the verbs"),
    }
}

/// Runs a verb whose answer is rows, text, or contents for standard output.
async fn show(session: &mut Session, connection: &Connection, verb: &VerbInfo, call: &Call) -> Result<()> {
    let offer = (verb.body == Body::Out).then(|| Offer {
        digest: session.settings.digest,
        ..Offer::default()
    });
    let mut request = Request::start(connection, verb, call, &session.cwd, offer).await?;
    let mut printer = RowPrinter::new(&session.output);
    let mut meter = Meter::status(session);
    let mut plain = Plain::default();
    session.output.begin_paging();
    let mut contents = session.settings.digest.hasher();
    let done = loop {
        session.output.pager.room().await;
        let event = match request.race(session.output.pager.left()).await {
            Ok(Step::Event(event)) => event,
            Ok(Step::Work(())) => return Err(Failure::output(&std::io::ErrorKind::BrokenPipe.into())),
            Err(failure) => {
                printer.flush()?;
                return Err(failure);
            }
        };
        match event {
            Event::Rows(rows) => printer.rows(rows)?,
            Event::Problem(error) => {
                printer.flush()?;
                session.output.error(&error)?;
            }
            Event::Progress(progress) => meter.tell(&progress)?,
            Event::Data(chunk) => {
                contents.update(&chunk);
                if session.output.is_terminal && !session.output.json {
                    session.output.contents(plain.take(&chunk).as_bytes())?;
                } else {
                    session.output.contents(&chunk)?;
                }
                request.taken(chunk.len()).await?;
            }
            Event::End(end) => ferry_core::context::check_end(&end, contents.len_bytes(), contents.finish())?,
            Event::Done(done) => break done,
            _ => {}
        }
    };
    drop(meter);
    printer.flush()?;
    session.output.contents(plain.end().as_bytes())?;
    if let Some(text) = &done.text {
        session.output.text(text)?;
    }
    if let Some(cwd) = done.cwd {
        session.cwd = cwd;
    }
    if done.problems > 0 {
        return Err(Failure::partly(done.problems));
    }
    Ok(())
}
