//! The harness: a line goes in as a user types it, and comes out as what a client would show.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ferry_core::args::{ArgKind, Role};
use ferry_core::chunk::CHUNK_BYTES;
use ferry_core::dispatch::{Env, dispatch};
use ferry_core::line::{self, Call, Word};
use ferry_core::logins::SavedLogin;
use ferry_core::rt::block_on;
use ferry_core::store::{FileInfo, UploadRequest, Usage};
use ferry_core::verb::Registration;
use ferry_core::wire::Map;
use ferry_core::wire::frame::{HEADER_BYTES, Kind};
use ferry_core::wire::message::{Catalog, Complete, Expand, Message as _, Offer, Request};
use ferry_core::{
    Access, Algorithm, Body, Chunk, Error, ErrorKind, GuardedHome, HomePath, Registry, RemotePath, Result, User, Verb, VerbInfo,
};

use crate::link::{Sent, TestLink, cross};
use crate::logins::MemoryLogins;
use crate::memory::{MemoryHome, MemoryStore};
use crate::output::Output;
use crate::rules::registry_rules;

/// Runs every verb that is linked into the test, in a home of its own in memory.
///
/// A line takes the whole way but the socket: split and parsed by the catalogue, encoded, checked by the guard, dispatched.
///
/// ```
/// use ferry_core::{Access, Context, Reply, Result, Spec, Verb};
/// ferry_core::args! {
///     /// Prints a text back.
///     pub struct Echo {
///         /// Text to print.
///         text: String,
///     }
/// }
/// impl Verb for Echo {
///     const SPEC: Spec = Spec::of::<Self>("echo", Access::Public);
///     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
///         Ok(Reply::text(self.text))
///     }
/// }
/// ferry_core::register!(Echo);
///
/// let output = ferry_testkit::Harness::new().ok("echo 'two words'");
/// assert_eq!(output.text.as_deref(), Some("two words"));
/// ```
pub struct Harness {
    registry: Arc<Registry>,
    user: User,
    home: Arc<MemoryHome>,
    logins: Arc<MemoryLogins>,
    cwd: Mutex<HomePath>,
    ids: AtomicU32,
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Harness {
    /// All linked verbs, the user `alice` with every right but admin's, and an empty home without a limit.
    ///
    /// # Panics
    /// When two linked verbs share a name.
    pub fn new() -> Self {
        let registry = Registry::linked().unwrap_or_else(|error| panic!("{error}"));
        Self::with(Arc::new(registry))
    }

    /// The same with one verb alone, which need not be registered.
    ///
    /// # Panics
    /// When its name is none.
    pub fn of<V: Verb>() -> Self {
        Self::with(registry_of::<V>())
    }

    /// The same with the verbs of a registry.
    pub fn with(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            user: User::named("alice"),
            home: MemoryStore::default().open("alice", None),
            logins: Arc::default(),
            cwd: Mutex::new(HomePath::root()),
            ids: AtomicU32::new(1),
        }
    }

    /// All linked verbs in the [standard home](Self::furnish).
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn standard() -> Self {
        Self::new().furnish()
    }

    /// Puts into the home what examples are written for: the folder `docs` with `docs/notes.txt`, and `hello.txt`.
    #[must_use]
    pub fn furnish(self) -> Self {
        self.seed("docs/notes.txt", b"Some notes.\n");
        self.seed("hello.txt", b"Hello, world!\n");
        self
    }

    /// Checks one verb, which need not be registered, against the [rules that every verb keeps](crate::registry_rules).
    ///
    /// # Panics
    /// When it breaks one, naming all findings.
    #[track_caller]
    pub fn check<V: Verb>() {
        let findings = registry_rules(&registry_of::<V>());
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }

    /// Makes the user one who may only read.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.user.read_only = true;
        self
    }

    /// Makes the user an administrator.
    #[must_use]
    pub fn admin(mut self) -> Self {
        self.user.admin = true;
        self
    }

    /// Makes it another user. The home stays.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.user = user;
        self
    }

    /// Limits the home to so many bytes.
    #[must_use]
    pub fn quota(self, bytes: u64) -> Self {
        self.home.limit(Some(bytes));
        self
    }

    /// The home.
    pub fn home(&self) -> &Arc<MemoryHome> {
        &self.home
    }

    /// The working folder.
    pub fn cwd(&self) -> HomePath {
        self.cwd.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every file with its contents, by absolute path.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.home.files()
    }

    /// Every folder but the home itself, by absolute path.
    pub fn folders(&self) -> Vec<String> {
        self.home.folders()
    }

    /// Limit, used and reserved bytes.
    pub fn usage(&self) -> Usage {
        self.home.usage_now()
    }

    /// Puts a file there through the store, as an upload with MD5 would, and the folders above it.
    ///
    /// # Panics
    /// When the store refuses it.
    pub fn seed(&self, path: &str, bytes: &[u8]) {
        let stored = self.store(path, bytes, bytes.len());
        stored.unwrap_or_else(|error| panic!("{path} cannot be put there: {error}"));
    }

    /// Begins an upload of `bytes` that stops after the first `held` of them.
    ///
    /// # Panics
    /// When the store refuses it, or `held` is not less than all.
    pub fn seed_partial(&self, path: &str, bytes: &[u8], held: usize) {
        match self.store(path, bytes, held) {
            Err(error) if error.kind == ErrorKind::OffsetMismatch => {}
            other => panic!("{path} cannot be begun: {other:?}"),
        }
    }

    fn store(&self, path: &str, bytes: &[u8], held: usize) -> Result<FileInfo> {
        let home = GuardedHome::new(self.home.clone(), Access::Write);
        let path = HomePath::parse(path)?;
        let request = UploadRequest {
            path: path.clone(),
            size: Some(bytes.len() as u64),
            modified: None,
            executable: false,
            algorithm: Algorithm::Md5,
            expected: None,
            no_clobber: false,
            fresh: true,
        };
        block_on(async {
            if let Some(parent) = path.parent() {
                home.make_dirs(&parent).await?;
            }
            let mut upload = home.upload(request).await?;
            for part in bytes[..held].chunks(CHUNK_BYTES) {
                upload.write(Chunk::from(part)).await?;
            }
            upload.commit(Algorithm::Md5.digest(bytes)).await
        })
    }

    /// Gives the user a saved login of that id.
    pub fn seed_login(&self, login: SavedLogin) {
        self.logins.add(login);
    }

    /// Makes a folder and those above it.
    ///
    /// # Panics
    /// When the store refuses it.
    pub fn seed_dir(&self, path: &str) {
        let home = GuardedHome::new(self.home.clone(), Access::Write);
        let made = HomePath::parse(path).and_then(|path| block_on(home.make_dirs(&path)));
        made.unwrap_or_else(|error| panic!("{path} cannot be made: {error}"));
    }

    /// Plants a symbolic link, as somebody on the server's machine might do.
    ///
    /// # Panics
    /// When something is there already.
    pub fn plant_link(&self, path: &str) {
        let planted = HomePath::parse(path).and_then(|path| self.home.plant_link(&path));
        planted.unwrap_or_else(|error| panic!("{path} cannot be planted: {error}"));
    }

    /// Runs a line that is expected to work.
    ///
    /// # Panics
    /// When it fails, with the line and the error.
    pub fn ok(&self, line: &str) -> Output {
        block_on(self.run(line)).unwrap_or_else(|error| panic!("`{line}` failed: {}: {error}", error.kind))
    }

    /// Runs a line that is expected to fail.
    ///
    /// # Panics
    /// When it works.
    pub fn err(&self, line: &str) -> Error {
        match block_on(self.run(line)) {
            Ok(output) => panic!("`{line}` worked: {output:?}"),
            Err(error) => error,
        }
    }

    /// Runs a line with a body, on this thread.
    ///
    /// # Errors
    /// The request's failure.
    pub fn send(&self, line: &str, body: impl Into<Sent>) -> Result<Output> {
        block_on(self.run_with_body(line, body))
    }

    /// Runs a line.
    ///
    /// # Errors
    /// The request's failure.
    pub async fn run(&self, line: &str) -> Result<Output> {
        self.run_line(line, None, None).await
    }

    /// Runs a line of a verb that takes a body.
    ///
    /// # Errors
    /// The request's failure; `cancelled` when the body was to be cut off, or the server proved to hold other bytes.
    pub async fn run_with_body(&self, line: &str, body: impl Into<Sent>) -> Result<Output> {
        let body = body.into();
        self.run_line(line, Some(body.said().clone()), Some(body)).await
    }

    /// Runs a line of a verb that gives a body, of which the client holds something already.
    ///
    /// # Errors
    /// The request's failure.
    pub async fn run_with_offer(&self, line: &str, offer: Offer) -> Result<Output> {
        self.run_line(line, Some(offer), None).await
    }

    async fn run_line(&self, line: &str, offer: Option<Offer>, sent: Option<Sent>) -> Result<Output> {
        let words = line::split(line)?;
        let Some((name, words)) = words.split_first() else {
            return Err(Error::bad_request("an empty line"));
        };
        let info = self.registry.resolve(&name.shown(), &self.user)?.info.clone();
        let told = Catalog {
            verbs: vec![info],
            last: true,
        };
        let Some(verb) = cross(&told)?.verbs.pop() else {
            return Err(Error::internal("the catalogue lost a verb"));
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
    pub async fn call_raw(&self, verb: &str, args: &[u8]) -> Result<Output> {
        self.call(verb, args, None, None).await
    }

    /// The same with a body.
    ///
    /// # Errors
    /// The request's failure.
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
        self.dispatch(Kind::Request, &frame, sent).await
    }

    /// Asks for values of an argument of which `word` is typed.
    ///
    /// # Errors
    /// The request's failure.
    pub async fn complete(&self, verb: &str, arg: &str, word: &str) -> Result<Vec<String>> {
        let ask = Complete {
            id: self.next_id(),
            verb: verb.to_owned(),
            arg: arg.to_owned(),
            word: word.into(),
            cwd: RemotePath::from(&self.cwd()),
        };
        let mut frame = Vec::new();
        ask.encode(&mut frame)?;
        Ok(self.dispatch(Kind::Complete, &frame, None).await?.texts("word"))
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
                let found = self.dispatch(Kind::Expand, &frame, None).await?.texts("path");
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

    /// The one way into dispatch: a frame through the guard, events through the wire.
    async fn dispatch(&self, kind: Kind, frame: &[u8], sent: Option<Sent>) -> Result<Output> {
        let map = Map::check(&frame[HEADER_BYTES..])?;
        let env = Env {
            registry: self.registry.clone(),
            user: Arc::new(self.user.clone()),
            home: self.home.clone(),
            logins: self.logins.clone(),
        };
        let mut link = TestLink::new(sent);
        let done = cross(&dispatch(&env, kind, &map, &mut link).await?)?;
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
}

/// A registry of one verb.
fn registry_of<V: Verb>() -> Arc<Registry> {
    let registry = Registry::of([Registration::of::<V>("the crate under test", "0.0.0", "the test")]);
    Arc::new(registry.unwrap_or_else(|error| panic!("{error}")))
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
