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
use crate::progress::Meter;
use crate::render::RowPrinter;
use crate::request::Request;
use crate::session::{Interrupts, Session};
use crate::{download, expand, upload};

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
    if let Err(failure) = &result
        && let Some(stopped) = session.paused.take()
        && failure.exit == crate::exit::Exit::Interrupted
    {
        session.output.note(&stopped);
    }
    result
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
    let connection = if find(&connection.verbs, name).is_some() {
        connection
    } else {
        with_verb(session, connection, name).await?
    };
    let verb = find(&connection.verbs, name).ok_or_else(|| unknown(&connection.verbs, name))?;
    let mut call = line::parse(verb, rest)?;
    expand::remote(session, &connection, verb, &mut call).await?;
    if from == From::Line {
        expand::local(session, verb, &mut call).await?;
    }
    match verb.body {
        Body::In => upload::run(session, verb, &call).await,
        Body::Out if arg_of(verb, Role::Target).is_some() => download::run(session, verb, &call).await,
        _ => show(session, &connection, verb, &call).await,
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
    let mut contents = session.settings.digest.hasher();
    let done = loop {
        let event = match request.next().await {
            Ok(event) => event,
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
            Event::Progress(progress) => meter.tell(&progress),
            Event::Data(chunk) => {
                contents.update(&chunk);
                session.output.contents(&chunk)?;
                request.taken(chunk.len()).await?;
            }
            Event::End(end) => ferry_core::context::check_end(&end, contents.len_bytes(), contents.finish())?,
            Event::Done(done) => break done,
            _ => {}
        }
    };
    drop(meter);
    printer.flush()?;
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
