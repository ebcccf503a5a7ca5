//! How a line is run: split and parsed by the catalogue, patterns expanded, encoded, checked by the guard, dispatched here or by a
//! server at the other end of a socket.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use ferry_core::args::{ArgKind, Role};
use ferry_core::dispatch::dispatch;
use ferry_core::line::{self, Call, Word};
use ferry_core::rt::block_on;
use ferry_core::wire::Map;
use ferry_core::wire::frame::{HEADER_BYTES, Kind};
use ferry_core::wire::message::{Catalog, Complete, Done, Expand, Fail, Message as _, Offer, Request};
use ferry_core::{Body, Error, HomePath, RemotePath, Result, VerbInfo};

use super::Harness;
use crate::link::{TestLink, cross};
use crate::output::Output;
use crate::sent::Sent;

impl Harness {
    /// Runs a line that is expected to work.
    ///
    /// # Panics
    /// When it fails, with the line and the error.
    ///
    /// ```
    /// use ferry_testkit::{Harness, example::Names};
    ///
    /// let output = Harness::of::<Names>().furnish().ok("names");
    /// assert_eq!(output.texts("name"), ["docs", "hello.txt"]);
    /// ```
    #[track_caller]
    pub fn ok(&self, line: &str) -> Output {
        block_on(self.run(line)).unwrap_or_else(|error| panic!("`{line}` failed: {}: {error}", error.kind))
    }

    /// Runs a line that is expected to fail.
    ///
    /// # Panics
    /// When it works.
    ///
    /// ```
    /// use ferry_core::ErrorKind;
    /// use ferry_testkit::{Harness, example::Names};
    ///
    /// assert_eq!(Harness::of::<Names>().err("names nowhere").kind, ErrorKind::NotFound);
    /// ```
    #[track_caller]
    pub fn err(&self, line: &str) -> Error {
        match block_on(self.run(line)) {
            Ok(output) => panic!("`{line}` worked: {output:?}"),
            Err(error) => error,
        }
    }

    /// Runs a line and gives what a client is told: the output, or all that is said of a failure. Two of them can be compared.
    ///
    /// # Errors
    /// The request's failure, as it is sent.
    ///
    /// ```
    /// use ferry_testkit::{Harness, example::Names};
    ///
    /// let harness = Harness::of::<Names>().furnish();
    /// assert_eq!(harness.answer("names docs"), harness.answer("names /docs"));
    /// assert_ne!(harness.answer("names nowhere"), harness.answer("names elsewhere"));
    /// ```
    pub fn answer(&self, line: &str) -> std::result::Result<Output, Fail> {
        block_on(self.run(line)).map_err(|error| Fail::new(0, &error))
    }

    /// The same with a body.
    ///
    /// # Errors
    /// The request's failure, as it is sent.
    ///
    /// ```
    /// use ferry_testkit::{Harness, Sent, example::Take};
    ///
    /// let answer = Harness::of::<Take>().answer_to("take a.txt", Sent::file("contents").cut_after(3));
    /// assert_eq!(answer.unwrap_err().kind, ferry_core::ErrorKind::Cancelled);
    /// ```
    pub fn answer_to(&self, line: &str, body: impl Into<Sent>) -> std::result::Result<Output, Fail> {
        self.send(line, body).map_err(|error| Fail::new(0, &error))
    }

    /// Runs a line with a body, on this thread.
    ///
    /// # Errors
    /// The request's failure.
    ///
    /// ```
    /// use ferry_testkit::{Harness, example::Take};
    ///
    /// let harness = Harness::of::<Take>();
    /// harness.send("take a.txt", b"contents").unwrap();
    /// assert_eq!(harness.files()["/a.txt"], b"contents");
    /// ```
    pub fn send(&self, line: &str, body: impl Into<Sent>) -> Result<Output> {
        block_on(self.run_with_body(line, body))
    }

    /// Runs a line.
    ///
    /// # Errors
    /// The request's failure.
    ///
    /// ```
    /// use ferry_core::rt::block_on;
    /// use ferry_testkit::{Harness, example::Names};
    ///
    /// let harness = Harness::of::<Names>().furnish();
    /// let output = block_on(harness.run("names docs")).unwrap();
    /// assert_eq!(output.lines(), ["notes.txt"]);
    /// ```
    pub async fn run(&self, line: &str) -> Result<Output> {
        self.run_line(line, None, None).await
    }

    /// Runs a line of a verb that takes a body.
    ///
    /// # Errors
    /// The request's failure; `cancelled` when the body was to be cut off, or the server proved to hold other bytes.
    ///
    /// ```
    /// use ferry_core::rt::block_on;
    /// use ferry_testkit::{Harness, example::Take};
    ///
    /// let harness = Harness::of::<Take>();
    /// let output = block_on(harness.run_with_body("take a.txt", b"contents")).unwrap();
    /// assert_eq!(output.file.unwrap().size, 8);
    /// ```
    pub async fn run_with_body(&self, line: &str, body: impl Into<Sent>) -> Result<Output> {
        let body = body.into();
        self.run_line(line, Some(body.said().clone()), Some(body)).await
    }

    /// Runs a line of a verb that gives a body, of which the client holds something already.
    ///
    /// # Errors
    /// The request's failure.
    ///
    /// ```
    /// use ferry_core::{Algorithm, rt::block_on, wire::message::Offer};
    /// use ferry_testkit::{Harness, example::Give};
    ///
    /// let harness = Harness::of::<Give>().furnish();
    /// let held = Algorithm::Blake3.digest(b"Hello");
    /// let offer = Offer { offset: Some(5), prefix: Some(held), ..Offer::default() };
    /// let output = block_on(harness.run_with_offer("give hello.txt", offer)).unwrap();
    /// assert_eq!(output.body, b", world!\n");
    /// ```
    pub async fn run_with_offer(&self, line: &str, offer: Offer) -> Result<Output> {
        self.run_line(line, Some(offer), None).await
    }

    /// What the client knows of the verb that a name means; `None` when it knows of none, and the server is to say why.
    async fn known(&self, name: &str) -> Result<Option<VerbInfo>> {
        if let Some(socket) = &self.socket {
            return socket.verb(name).await;
        }
        let told = Catalog {
            verbs: vec![self.registry.resolve(name, &self.user)?.info.clone()],
            last: true,
        };
        Ok(cross(&told)?.verbs.pop())
    }

    async fn run_line(&self, line: &str, offer: Option<Offer>, sent: Option<Sent>) -> Result<Output> {
        let words = line::split(line)?;
        let Some((name, words)) = words.split_first() else {
            return Err(Error::bad_request("an empty line"));
        };
        let Some(verb) = self.known(&name.shown()).await? else {
            return self.call_raw(&name.shown(), &[0x80]).await;
        };
        let mut call = line::parse(&verb, words)?;
        self.expand(&verb, &mut call).await?;
        let mut output = Output::default();
        for call in one_source_each(&verb, call) {
            let args = call.encode(&verb)?;
            let next = self.call(&verb.name, &args, offer.clone(), sent.clone()).await?;
            output.rows.extend(next.rows);
            output.body.extend(next.body);
            output.problems.extend(next.problems);
            output = Output {
                rows: output.rows,
                body: output.body,
                problems: output.problems,
                ..next
            };
        }
        Ok(output)
    }

    /// Calls a verb with arguments that no client would send: `args` is the bytes of one MessagePack value.
    ///
    /// # Errors
    /// The request's failure.
    ///
    /// ```
    /// use ferry_core::{ErrorKind, rt::block_on};
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let no_arguments = block_on(Harness::of::<Write>().call_raw("write", &[0x80]));
    /// assert_eq!(no_arguments.unwrap_err().kind, ErrorKind::BadRequest);
    /// ```
    pub async fn call_raw(&self, verb: &str, args: &[u8]) -> Result<Output> {
        self.call(verb, args, None, None).await
    }

    /// The same with a body.
    ///
    /// # Errors
    /// The request's failure.
    ///
    /// ```
    /// use ferry_core::{ErrorKind, rt::block_on};
    /// use ferry_testkit::{Harness, example::Take};
    ///
    /// let no_map = block_on(Harness::of::<Take>().call_raw_with_body("take", &[0xc0], b"contents"));
    /// assert_eq!(no_map.unwrap_err().kind, ErrorKind::BadRequest);
    /// ```
    pub async fn call_raw_with_body(&self, verb: &str, args: &[u8], body: impl Into<Sent>) -> Result<Output> {
        let body = body.into();
        self.call(verb, args, Some(body.said().clone()), Some(body)).await
    }

    async fn call(&self, verb: &str, args: &[u8], offer: Option<Offer>, sent: Option<Sent>) -> Result<Output> {
        let request = Request {
            id: self.next_id(),
            verb: verb.to_owned(),
            cwd: RemotePath::from(&self.cwd()),
            body: offer,
        };
        let mut frame = Vec::new();
        request.encode_with(args, &mut frame)?;
        self.ask(Kind::Request, request.id, frame, sent).await
    }

    /// Asks for values of an argument of which `word` is typed.
    ///
    /// # Errors
    /// The request's failure.
    ///
    /// ```
    /// use ferry_core::rt::block_on;
    /// use ferry_testkit::{Harness, example::Names};
    ///
    /// let harness = Harness::of::<Names>().furnish();
    /// let words = block_on(harness.complete("names", "path", "d")).unwrap();
    /// assert_eq!(words, ["docs/"]);
    /// ```
    pub async fn complete(&self, verb: &str, arg: &str, word: &str) -> Result<Vec<String>> {
        Ok(self.proposals(verb, arg, word.into()).await?.texts("word"))
    }

    /// The same with any bytes as the word, and the proposals as they are sent.
    pub(crate) async fn proposals(&self, verb: &str, arg: &str, word: RemotePath) -> Result<Output> {
        let ask = Complete {
            id: self.next_id(),
            verb: verb.to_owned(),
            arg: arg.to_owned(),
            word,
            cwd: RemotePath::from(&self.cwd()),
        };
        let mut frame = Vec::new();
        ask.encode(&mut frame)?;
        self.ask(Kind::Complete, ask.id, frame, None).await
    }

    /// Puts the paths that patterns match in their place.
    async fn expand(&self, verb: &VerbInfo, call: &mut Call) -> Result<()> {
        for (arg, values) in verb.args.iter().zip(&mut call.values) {
            if arg.kind != ArgKind::RemotePath || values.iter().all(|word| word.pattern.is_none()) {
                continue;
            }
            let mut expanded = Vec::new();
            for word in std::mem::take(values) {
                let Some(pattern) = word.pattern.clone() else {
                    expanded.push(word);
                    continue;
                };
                let ask = Expand {
                    id: self.next_id(),
                    pattern: RemotePath(pattern),
                    cwd: RemotePath::from(&self.cwd()),
                };
                let mut frame = Vec::new();
                ask.encode(&mut frame)?;
                let found = self.ask(Kind::Expand, ask.id, frame, None).await?.texts("path");
                if found.is_empty() {
                    return Err(Error::not_found(format!("{}: matches nothing", word.shown())));
                }
                expanded.extend(found.iter().map(|path| Word::from(path.as_str())));
            }
            *values = expanded;
        }
        Ok(())
    }

    fn next_id(&self) -> u32 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The one way to a verb: a frame through the guard into dispatch and events through the wire, or all of it over the socket.
    async fn ask(&self, kind: Kind, id: u32, frame: Vec<u8>, sent: Option<Sent>) -> Result<Output> {
        let mut link = TestLink::new(sent);
        let done = match &self.socket {
            Some(socket) => socket.ask(id, frame, &mut link).await,
            None => self.ask_here(kind, &frame, &mut link).await,
        };
        if let Some(error) = link.gave_up {
            return Err(error);
        }
        let done = done?;
        if let Some(cwd) = &done.cwd {
            *self.cwd.lock().unwrap_or_else(PoisonError::into_inner) = cwd.resolve(&HomePath::root())?;
        }
        Ok(Output {
            layout: link.layout,
            columns: link.columns,
            rows: link.rows,
            text: done.text,
            problems: link.problems,
            begin: link.begin,
            body: link.body,
            end: link.end,
            file: done.file,
            cwd: done.cwd,
        })
    }

    async fn ask_here(&self, kind: Kind, frame: &[u8], link: &mut TestLink) -> Result<Done> {
        link.pauses = self.faults.plan().pauses;
        let map = Map::check(&frame[HEADER_BYTES..])?;
        match dispatch(&self.env(), kind, &map, link).await {
            Ok(done) => cross(&done),
            // As a client is told, but with the cause, which a server's log would have.
            Err(error) => {
                let mut told = cross(&Fail::new(0, &error))?.into_error();
                told.source = error.source;
                Err(told)
            }
        }
    }
}

/// The requests that a client makes of a transfer of several sources: one each. A local source is sent by its last name
/// alone, a target that several share is named as a folder, and where contents go on the client's machine is not sent.
fn one_source_each(verb: &VerbInfo, mut call: Call) -> Vec<Call> {
    let place = |role| verb.args.iter().position(|arg| arg.role == role);
    let (Some(source), true) = (place(Role::Source), verb.body != Body::None) else {
        return vec![call];
    };
    let sources = std::mem::take(&mut call.values[source]);
    if verb.body == Body::Out {
        for mine in [place(Role::Target), place(Role::Rename)].into_iter().flatten() {
            call.values[mine].clear();
        }
    } else if sources.len() > 1
        && let Some(target) = place(Role::Target)
    {
        for word in call.values[target].iter_mut().filter(|word| !word.text.ends_with(b"/")) {
            word.text.push(b'/');
        }
    }
    if !verb.makes.is_empty() {
        call.values[source] = sources;
        return vec![call];
    }
    let one = |mut word: Word| {
        if verb.body == Body::In {
            let slash = word.text.iter().rposition(|byte| *byte == b'/');
            word.text.drain(..slash.map_or(0, |slash| slash + 1));
        }
        let mut call = call.clone();
        call.values[source] = vec![word];
        call
    };
    sources.into_iter().map(one).collect()
}
