//! A ground for tests of rights: a server without TLS, homes with something in them, and for every verb that the server has the
//! requests that could do something there. Nothing here knows a verb by name, so verbs written later are covered, too.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use ferry_core::args::ArgKind;
use ferry_core::line::{self, Call, Word};
use ferry_core::login::Channel;
use ferry_core::wire::frame::{Header, Kind};
use ferry_core::wire::message::{Complete, Done, End, Expand, Fail, Offer, Request};
use ferry_core::{Algorithm, Body, Error, RemotePath, VerbInfo};

use crate::Server;
use crate::peer::{Frame, Peer};

/// What lies in each home: the home that examples of verbs are written for, and a folder that is empty.
const FILES: &[(&str, &str)] = &[
    ("hello.txt", "hello, world\n"),
    ("docs/notes.txt", "some notes\n"),
    ("secret.txt", "what only its owner reads: "),
];
/// What a request with a body sends.
const CONTENTS: &[u8] = b"sent by a test";

/// A server with two users who may do everything, `alice` and `bob`, and what they were told that they may run.
pub struct Ground {
    /// The server.
    pub server: Server,
    /// Every verb that is not for administrators.
    pub verbs: Vec<VerbInfo>,
}

impl Ground {
    /// Starts a server program.
    pub fn new(program: &str) -> io::Result<Self> {
        let server = Server::start_program(program, &["--no-tls"]);
        for user in ["alice", "bob"] {
            server.add_user(user, &[]);
        }
        let ground = Self {
            verbs: Vec::new(),
            server,
        };
        for user in ["alice", "bob"] {
            ground.furnish(user)?;
        }
        let (_, verbs) = ground.log_in("alice")?;
        Ok(Self { verbs, ..ground })
    }

    /// The place of a user's home on the disk.
    pub fn home(&self, user: &str) -> PathBuf {
        self.server.data().join("homes").join(user)
    }

    /// Makes a user's home what it is at first.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn furnish(&self, user: &str) -> io::Result<()> {
        let home = self.home(user);
        std::fs::create_dir_all(&home)?;
        for entry in std::fs::read_dir(&home)? {
            let path = entry?.path();
            match path.is_dir() {
                true => std::fs::remove_dir_all(path)?,
                false => std::fs::remove_file(path)?,
            }
        }
        for folder in ["docs", "empty"] {
            std::fs::create_dir(home.join(folder))?;
        }
        for (name, contents) in FILES {
            std::fs::write(home.join(name), format!("{contents}{user}"))?;
        }
        Ok(())
    }

    /// All that homes and unfinished uploads are made of: places with their contents, and folders without any.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn snapshot(&self) -> io::Result<BTreeMap<PathBuf, Option<Vec<u8>>>> {
        let data = self.server.data();
        let mut found = BTreeMap::new();
        let mut folders = vec![data.join("homes"), data.join("staging")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                let contents = if path.is_dir() {
                    folders.push(path.clone());
                    None
                } else {
                    Some(std::fs::read(&path)?)
                };
                found.insert(path, contents);
            }
        }
        // A user's folder in staging comes with his first request, and holds nothing then.
        found.retain(|path, contents| contents.is_some() || path.parent() != Some(&data.join("staging")));
        Ok(found)
    }

    /// A user's connection, logged in, and the verbs that he was told of.
    ///
    /// # Errors
    /// The server refused.
    pub fn log_in(&self, user: &str) -> io::Result<(Caller, Vec<VerbInfo>)> {
        let mut peer = Peer::connect(self.server.address)?;
        let verbs = peer.log_in(user, Channel::Plain)?.verbs;
        Ok((Caller { peer, last_id: 0 }, verbs))
    }

    /// The names of all verbs that are linked into the server: those for administrators, or the others.
    pub fn linked(&self, for_admins: bool) -> Vec<String> {
        let mut listed = self.server.admin(&["verbs", "--json"], "").expect(0).json();
        listed.retain(|verb| (verb["access"] == "admin") == for_admins);
        let name = |verb: &serde_json::Value| verb["verb"].as_str().unwrap_or_default().to_owned();
        listed.iter().map(name).collect()
    }
}

/// One way to ask for a verb.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The arguments, one MessagePack map.
    pub args: Vec<u8>,
    /// What is said of a body.
    pub offer: Option<Offer>,
    /// For people.
    pub shown: String,
}

impl Attempt {
    /// Without arguments.
    pub fn empty() -> Self {
        Self {
            args: vec![0x80],
            offer: None,
            shown: "no arguments".into(),
        }
    }

    fn of(verb: &VerbInfo, call: &Call) -> ferry_core::Result<Self> {
        let offer = match verb.body {
            Body::None => None,
            Body::Out => Some(Offer::default()),
            Body::In => Some(Offer {
                size: Some(CONTENTS.len() as u64),
                eager: true,
                ..Offer::default()
            }),
        };
        Ok(Self {
            args: call.encode(verb)?,
            offer,
            shown: format!("{:?}", call.values),
        })
    }
}

/// The verb's own examples, and every argument filled with something that is there or could be, without and with all switches.
pub fn attempts(verb: &VerbInfo) -> Vec<Attempt> {
    let mut made: Vec<Attempt> = Vec::new();
    for (example, _) in &verb.examples {
        let attempt = line::split(example)
            .and_then(|words| line::parse(verb, words.get(1..).unwrap_or_default()))
            .and_then(|call| Attempt::of(verb, &call));
        made.push(attempt.unwrap_or_else(|error| panic!("{example}: {error}")));
    }
    for path in ["hello.txt", "docs", "empty", "new"] {
        made.extend(with_paths(verb, path, "other"));
    }
    made
}

/// The verb with its first path, and its others, without and with all switches; nothing when it takes no path.
pub fn with_paths(verb: &VerbInfo, first: &str, others: &str) -> Vec<Attempt> {
    let is_path = |kind| matches!(kind, ArgKind::RemotePath | ArgKind::LocalPath);
    let mut made = Vec::new();
    if !verb.args.iter().any(|arg| is_path(arg.kind)) {
        return made;
    }
    for switches in [false, true] {
        let mut paths = std::iter::once(first).chain(std::iter::repeat(others));
        let value = |arg: &ferry_core::catalog::ArgInfo| match arg.kind {
            ArgKind::Flag => switches.then(|| Word::from("true")),
            // An option with a path gives a new name.
            kind if is_path(kind) && arg.is_option => None,
            kind if is_path(kind) => paths.next().map(Word::from),
            _ if !arg.required => None,
            ArgKind::Integer | ArgKind::Size => Some(Word::from("1")),
            ArgKind::Choice => arg.choices.first().map(|choice| Word::from(choice.as_str())),
            _ => Some(Word::from("word")),
        };
        let values = verb.args.iter().map(value).map(|value| value.into_iter().collect());
        let call = Call {
            values: values.collect(),
        };
        made.push(Attempt::of(verb, &call).unwrap_or_else(|error| panic!("{}: {error}", verb.name)));
    }
    made
}

/// What the server said to a request: the frames before its end, and the end.
#[derive(Debug)]
pub struct Answered {
    /// Rows, contents and the like, and the last frame.
    pub frames: Vec<Frame>,
    /// How it ended.
    pub end: Result<Done, Error>,
}

impl Answered {
    /// The failure.
    #[track_caller]
    pub fn refused(self) -> Error {
        match self.end {
            Err(error) => error,
            Ok(done) => panic!("not refused: {done:?} behind {:?}", self.frames),
        }
    }

    /// Whether it failed, or said that it did for some of what it was asked.
    pub fn has_failed(&self) -> bool {
        self.end.as_ref().map_or(true, |done| done.problems > 0)
    }

    /// Whether these bytes were in anything that was said.
    pub fn tells(&self, what: &[u8]) -> bool {
        let is_in = |frame: &Frame| frame.payload.windows(what.len()).any(|part| part == what);
        self.frames.iter().any(is_in)
    }
}

/// A connection that is logged in, and asks one thing after another.
#[derive(Debug)]
pub struct Caller {
    peer: Peer<TcpStream>,
    last_id: u32,
}

/// The frames of a request, its body included.
///
/// # Errors
/// It does not fit into a frame.
pub fn request(id: u32, verb: &str, cwd: &str, attempt: &Attempt) -> io::Result<Vec<u8>> {
    let message = Request {
        id,
        verb: verb.into(),
        cwd: cwd.into(),
        body: attempt.offer.clone(),
    };
    let mut bytes = Vec::new();
    message.encode_with(&attempt.args, &mut bytes).map_err(io::Error::other)?;
    if attempt.offer.as_ref().is_some_and(|offer| offer.eager) {
        bytes.extend_from_slice(&Header::write_data(id, CONTENTS.len()));
        bytes.extend_from_slice(CONTENTS);
        let end = Frame::of(&End {
            id,
            size: CONTENTS.len() as u64,
            digest: Algorithm::Md5.digest(CONTENTS),
        })?;
        bytes.extend_from_slice(&Header::write(end.kind, end.payload.len()));
        bytes.extend_from_slice(&end.payload);
    }
    Ok(bytes)
}

impl Caller {
    fn id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    /// Runs a verb to its end.
    ///
    /// # Errors
    /// The connection ended.
    pub fn call(&mut self, verb: &str, cwd: &str, attempt: &Attempt) -> io::Result<Answered> {
        let id = self.id();
        self.peer.stream.write_all(&request(id, verb, cwd, attempt)?)?;
        self.answer(id)
    }

    /// Asks for values of an argument.
    ///
    /// # Errors
    /// The connection ended.
    pub fn complete(&mut self, verb: &str, arg: &str, word: &str) -> io::Result<Answered> {
        let id = self.id();
        let ask = Complete {
            id,
            verb: verb.into(),
            arg: arg.into(),
            word: word.into(),
            cwd: RemotePath::from("/"),
        };
        self.peer.say(&ask)?;
        self.answer(id)
    }

    /// Asks what matches a pattern.
    ///
    /// # Errors
    /// The connection ended.
    pub fn expand(&mut self, pattern: &str) -> io::Result<Answered> {
        let id = self.id();
        let ask = Expand {
            id,
            pattern: pattern.into(),
            cwd: RemotePath::from("/"),
        };
        self.peer.say(&ask)?;
        self.answer(id)
    }

    fn answer(&mut self, id: u32) -> io::Result<Answered> {
        let mut frames = Vec::new();
        loop {
            let frame = self.peer.frame()?;
            let end = match frame.kind {
                Kind::Done => Some(Ok(frame.read::<Done>()?)),
                Kind::Fail => {
                    let fail: Fail = frame.read()?;
                    if fail.id != id {
                        return Err(io::Error::other(fail.into_error()));
                    }
                    Some(Err(fail.into_error()))
                }
                _ => None,
            };
            frames.push(frame);
            if let Some(end) = end {
                return Ok(Answered { frames, end });
            }
        }
    }
}

/// Whether a place lies in a folder.
pub fn is_below(place: &Path, folder: &Path) -> bool {
    place != folder && place.starts_with(folder)
}
