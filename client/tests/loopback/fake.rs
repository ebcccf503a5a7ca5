//! A server that says what a test tells it to: real frames on a real socket, nothing behind them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ferry_client::connection::Deadlines;
use ferry_client::exit::Failure;
use ferry_client::link::Patience;
use ferry_client::login::Credentials;
use ferry_client::options::Target;
use ferry_client::render::Output;
use ferry_client::run::{self, From};
use ferry_client::session::{Session, Settings};
use ferry_client::trust::Trust;
use ferry_core::args::{LocalPath, Many};
use ferry_core::login::scram;
use ferry_core::store::{FileInfo, Start, Version};
use ferry_core::wire::frame::{HEADER_BYTES, Header, Kind};
use ferry_core::wire::message::{Answer, Begin, Catalog, Challenge, Done, End, Hello, Login, Message, Offer, Request, Welcome};
use ferry_core::wire::{Map, frame};
use ferry_core::{Access, Algorithm, Body, RemotePath, Spec, VerbInfo, line, rt};

ferry_core::args! {
    /// Shows things.
    pub(crate) struct Look {
        /// What.
        paths: Vec<RemotePath>,
    }
}
ferry_core::args! {
    /// Sends things. No server calls it so: what it does follows from its arguments alone.
    pub(crate) struct Push {
        /// What.
        #[arg(role(Source))]
        here: Many<LocalPath>,
        /// Where.
        #[arg(role(Target))]
        there: Option<RemotePath>,
        /// Deeply.
        #[arg(short('d'), role(Recurse))]
        deep: bool,
        /// Carefully.
        #[arg(role(NoClobber))]
        keep: bool,
    }
}
ferry_core::args! {
    /// Fetches things.
    pub(crate) struct Pull {
        /// What.
        #[arg(role(Source))]
        there: Many<RemotePath>,
        /// Where.
        #[arg(role(Target))]
        here: Option<LocalPath>,
        /// Name.
        #[arg(name("name"), option, role(Rename))]
        rename: Option<LocalPath>,
        /// Deeply.
        #[arg(short('d'), role(Recurse))]
        deep: bool,
        /// Carefully.
        #[arg(role(NoClobber))]
        keep: bool,
    }
}

static VERIFIER: LazyLock<scram::Verifier> = LazyLock::new(|| scram::Verifier::new("secret").unwrap());

/// How long a client that was left may take to leave, too.
const LEAVES_WITHIN: Duration = Duration::from_secs(120);

/// The server's end of one connection. Dropping it ends the connection in good order, as [`Peer::leave`] does.
pub(crate) struct Peer(TcpStream);

/// A frame that the client sent.
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn is<M: Message>(&self) -> M {
        assert_eq!(self.kind, M::KIND);
        M::decode(&Map::check(&self.payload).unwrap()).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Peer {
    /// Says nothing more, and waits until the client is gone, too. A connection that were closed before all of it was read would be
    /// reset, and what was said last lost with it.
    pub(crate) fn leave(&mut self) {
        // Each may fail because the client was first.
        let _ = self.0.shutdown(Shutdown::Write);
        let _ = self.0.set_read_timeout(Some(LEAVES_WITHIN));
        let _ = std::io::copy(&mut self.0, &mut std::io::sink());
    }

    /// The next frame; `None` when the client is gone.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut header = [0; HEADER_BYTES];
        self.0.read_exact(&mut header).ok()?;
        let header = Header::read(header, frame::Stage::LoggedIn).unwrap();
        let mut payload = vec![0; header.len_bytes];
        self.0.read_exact(&mut payload).ok()?;
        Some(Frame {
            kind: header.kind.unwrap(),
            payload,
        })
    }

    pub(crate) fn hear<M: Message>(&mut self) -> M {
        self.next().unwrap().is()
    }

    pub(crate) fn request(&mut self) -> (u32, Offer) {
        let request: Request = self.hear();
        (request.id, request.body.unwrap_or_default())
    }

    /// The next request, also when earlier ones are cancelled before it comes.
    pub(crate) fn request_past_cancels(&mut self) -> u32 {
        loop {
            let frame = self.next().unwrap();
            if frame.kind != Kind::Cancel {
                return frame.is::<Request>().id;
            }
        }
    }

    /// Takes whatever is sent here, until the client leaves; gives how many files that were.
    pub(crate) fn take_all(&mut self) -> usize {
        let mut files = 0;
        while let Some(frame) = self.next() {
            match frame.kind {
                Kind::Request => {
                    let request: Request = frame.is();
                    if request.body.is_some_and(|offer| offer.folder) {
                        self.made(request.id, "/folder");
                    } else {
                        self.begin(request.id, Start::BEGINNING);
                    }
                }
                Kind::End => {
                    let end: End = frame.is();
                    self.stored(end.id, &end);
                    files += 1;
                }
                _ => {}
            }
        }
        files
    }

    pub(crate) fn say(&mut self, message: &impl Message) {
        let mut frame = Vec::new();
        message.encode(&mut frame).unwrap();
        self.raw(&frame);
    }

    /// Bytes as they are. A client that has left already is for the test to notice at its own end.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    pub(crate) fn data(&mut self, id: u32, bytes: &[u8]) {
        let header = Header::write_data(id, bytes.len());
        self.raw(&[&header[..], bytes].concat());
    }

    pub(crate) fn grant(&mut self, id: u32, bytes: u32) {
        self.raw(&frame::grant(id, bytes));
    }

    pub(crate) fn begin(&mut self, id: u32, start: Start) {
        self.say(&Begin {
            id,
            path: Some("/file".into()),
            ..Begin::new(start)
        });
    }

    /// Takes a body up to its end; gives its contents.
    pub(crate) fn body(&mut self) -> (Vec<u8>, End) {
        let mut contents = Vec::new();
        loop {
            let frame = self.next().unwrap();
            if frame.kind != Kind::Data {
                return (contents, frame.is());
            }
            contents.extend_from_slice(&frame.payload[4..]);
        }
    }

    pub(crate) fn stored(&mut self, id: u32, end: &End) {
        let file = FileInfo {
            path: "/file".into(),
            size: end.size,
            modified: 0,
            executable: false,
            digest: Some(end.digest),
            version: Version(1),
        };
        self.say(&Done {
            id,
            file: Some(file),
            ..Done::default()
        });
    }

    /// Says that a folder is at `path`.
    pub(crate) fn made(&mut self, id: u32, path: &str) {
        let file = FileInfo {
            path: path.into(),
            size: 0,
            modified: 0,
            executable: false,
            digest: None,
            version: Version(1),
        };
        self.say(&Done {
            id,
            file: Some(file),
            ..Done::default()
        });
    }

    /// Sends the end of a body whose whole is `contents`, and of the request.
    pub(crate) fn end(&mut self, id: u32, contents: &[u8]) {
        let digest = Algorithm::Md5.digest(contents);
        self.say(&End {
            id,
            size: contents.len() as u64,
            digest,
        });
        self.say(&Done { id, ..Done::default() });
    }

    fn log_in(&mut self) -> bool {
        self.log_in_as(|_| {})
    }

    /// Takes a login; `change` may have another catalogue.
    pub(crate) fn log_in_as(&mut self, change: impl FnOnce(&mut Vec<VerbInfo>)) -> bool {
        self.welcome(|_, _| {}, change)
    }

    /// Takes a login; `say` may have another welcome, for an answer.
    pub(crate) fn welcome(&mut self, say: impl FnOnce(&Answer, &mut Welcome), change: impl FnOnce(&mut Vec<VerbInfo>)) -> bool {
        self.say(&Hello {
            mechanisms: vec![scram::MECHANISM.into()],
            ..Hello::new("fake")
        });
        let _: Hello = self.hear();
        let login: Login = self.hear();
        let first = scram::ClientFirst::read(&login.data).unwrap();
        let (server, data) = scram::Server::start(&first, VERIFIER.clone()).unwrap();
        self.say(&Challenge { mechanism: None, data });
        let answer: Answer = self.hear();
        match server.finish(&answer.data) {
            Ok(data) => {
                let mut welcome = Welcome {
                    data,
                    user: first.user,
                    notice: None,
                    token: None,
                };
                say(&answer, &mut welcome);
                self.say(&welcome);
            }
            Err(error) => {
                self.say(&ferry_core::wire::message::Fail::new(0, &error));
                return false;
            }
        }
        let info = |spec: &Spec| VerbInfo::new(spec, "fake", "1");
        let mut verbs = vec![
            info(&Spec::of::<Look>("look", Access::Read)),
            info(&Spec::of::<Push>("push", Access::Write).body(Body::In)),
            info(&Spec::of::<Pull>("pull", Access::Read).body(Body::Out)),
        ];
        change(&mut verbs);
        self.say(&Catalog { verbs, last: true });
        true
    }
}

/// What a stream got.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sink {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A session with a server that does what `script` says on its one connection.
pub(crate) struct Stage {
    pub(crate) session: Session,
    pub(crate) out: Sink,
    server: JoinHandle<()>,
    /// Says that no more connections are expected, where there may be any number of them.
    is_over: Arc<AtomicBool>,
}

impl Stage {
    pub(crate) fn new(folder: &Path, script: impl FnOnce(&mut Peer) + Send + 'static) -> Self {
        Self::with(folder, "secret", move |peer| {
            if peer.log_in() {
                script(peer);
            }
        })
    }

    /// A session whose password the server does not take.
    pub(crate) fn wrong_password(folder: &Path) -> Self {
        Self::with(folder, "wrong", |peer| assert!(!peer.log_in()))
    }

    /// As [`Self::new`], where `script` says hello itself.
    pub(crate) fn with(folder: &Path, password: &str, script: impl FnOnce(&mut Peer) + Send + 'static) -> Self {
        Self::listening(folder, password, move |listener| {
            script(&mut Peer(listener.accept().unwrap().0))
        })
    }

    /// A session that logs in twice.
    pub(crate) fn twice(
        folder: &Path,
        first: impl FnOnce(&mut Peer) + Send + 'static,
        second: impl FnOnce(&mut Peer) + Send + 'static,
    ) -> Self {
        Self::listening(folder, "secret", move |listener| {
            first(&mut Peer(listener.accept().unwrap().0));
            second(&mut Peer(listener.accept().unwrap().0));
        })
    }

    /// A session with any number of connections at once: `script` gets the number of each, the first one being 0, and says hello
    /// itself. Gives how many there were.
    pub(crate) fn crowd(folder: &Path, script: impl Fn(usize, &mut Peer) + Send + Sync + 'static) -> (Self, Arc<AtomicUsize>) {
        let (count, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, over) = (count.clone(), is_over.clone());
        let stage = Self::listening(folder, "secret", move |listener| {
            std::thread::scope(|scope| {
                while let Ok((stream, _)) = listener.accept() {
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                    let number = counted.fetch_add(1, Ordering::SeqCst);
                    let script = &script;
                    scope.spawn(move || script(number, &mut Peer(stream)));
                }
            });
        });
        (Self { is_over, ..stage }, count)
    }

    fn listening(folder: &Path, password: &str, script: impl FnOnce(TcpListener) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || script(listener));
        let out = Sink::default();
        let target = Target {
            user: None,
            host: "127.0.0.1".into(),
            port,
        };
        let who = Credentials::new("alice", password);
        let output = Output::to(Box::new(out.clone()), Box::new(Sink::default()), true);
        let mut session = Session::new(target, Trust::plain(), who, output, Settings::default());
        session.local = folder.to_owned();
        // A machine that is busy with other things is no slow server.
        let link = Arc::get_mut(&mut session.link).unwrap();
        link.deadlines.further = LEAVES_WITHIN;
        link.patience = Patience {
            first: Duration::from_millis(2),
            most: Duration::from_millis(8),
            total: Duration::from_millis(100),
        };
        Self {
            session,
            out,
            server,
            is_over: Arc::default(),
        }
    }

    pub(crate) fn deadlines(mut self, deadlines: Deadlines) -> Self {
        Arc::get_mut(&mut self.session.link).unwrap().deadlines = deadlines;
        self
    }

    /// Runs a line and ends the connection; the server's script must have come to its end, too.
    pub(crate) fn run(&mut self, line: &str) -> Result<(), Failure> {
        let words = line::split(line).unwrap();
        rt::block_on(run::run(&mut self.session, &words, From::Line))
    }

    pub(crate) fn end(self) -> String {
        rt::block_on(self.session.close());
        let port = self.session.link.target.port;
        drop(self.session);
        self.is_over.store(true, Ordering::SeqCst);
        // Whoever still listens is woken up by this.
        let _ = TcpStream::connect(("127.0.0.1", port));
        self.server.join().expect("the server saw what it expected");
        self.out.text()
    }
}
