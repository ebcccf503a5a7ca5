//! One command line, from its words to its end. Which way contents flow and what arguments mean comes from the catalogue.

use ferry_core::line::{self, Call, Word};
use ferry_core::text::did_you_mean;
use ferry_core::wire::message::Offer;
use ferry_core::{Body, Error, ErrorKind, VerbInfo};
use futures_lite::FutureExt as _;

use crate::args::{Role, arg_of};
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
    let stop = async {
        interrupts.next().await;
        Err(Failure::interrupted())
    };
    let result = run(session, words, from).or(stop).await;
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
    let verb = find(&connection.verbs, name)?;
    let mut call = line::parse(verb, rest)?;
    expand::remote(session, &connection, verb, &mut call).await?;
    if from == From::Line {
        expand::local(session, verb, &mut call).await?;
    }
    match verb.body {
        Body::In => upload::run(session, &connection, verb, &call).await,
        Body::Out if arg_of(verb, Role::Target).is_some() => download::run(session, &connection, verb, &call).await,
        _ => show(session, &connection, verb, &call).await,
    }
}

fn find<'v>(verbs: &'v [VerbInfo], name: &Word) -> Result<&'v VerbInfo> {
    let text = String::from_utf8_lossy(&name.text);
    if let Some(verb) = verbs.iter().find(|verb| verb.is_called(&text)) {
        return Ok(verb);
    }
    let error = Error::new(
        ErrorKind::UnknownVerb,
        format!("the server has no verb `{}` for you", name.shown()),
    );
    let names = verbs.iter().flat_map(|verb| verb.aliases.iter().chain([&verb.name]));
    Err(match did_you_mean(&text, names.map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")).into(),
        None => error.into(),
    })
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
