//! One end of a connection over any stream, frame by frame: for tests that stand in between, that are the server, or that say what
//! no client says.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use ferry_core::VerbInfo;
use ferry_core::login::{Channel, ClientLogin, Methods, Secret};
use ferry_core::wire::frame::{HEADER_BYTES, Header, Kind, Stage};
use ferry_core::wire::guard::Map;
use ferry_core::wire::message::{Answer, Catalog, Challenge, Fail, Hello, Login, Message, Welcome};

use crate::{PASSWORD, PATIENCE};

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The frame of a message.
    ///
    /// # Errors
    /// The message does not fit into one.
    pub fn of(message: &impl Message) -> io::Result<Self> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes).map_err(io::Error::other)?;
        Ok(Self {
            kind: Kind::from_byte(bytes[HEADER_BYTES - 1]).ok_or_else(|| odd("a kind"))?,
            payload: bytes.split_off(HEADER_BYTES),
        })
    }

    /// What it says.
    ///
    /// # Errors
    /// It is of another kind, and what a failure in its place says.
    pub fn read<M: Message>(&self) -> io::Result<M> {
        let map = Map::check(&self.payload).map_err(io::Error::other)?;
        if self.kind == M::KIND {
            return M::decode(&map).map_err(io::Error::other);
        }
        match self.kind {
            Kind::Fail => Err(io::Error::other(Fail::decode(&map).map_err(io::Error::other)?.into_error())),
            kind => Err(odd(&format!("{kind:?} instead of {:?}", M::KIND))),
        }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Peer<S> {
    /// What lies under it.
    pub stream: S,
}

impl Peer<TcpStream> {
    /// Connects without TLS.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream })
    }
}

/// A login as it went over the wire.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The client's first message.
    pub login: Login,
    /// Its proof.
    pub answer: Answer,
    /// The verbs that the user was told of.
    pub verbs: Vec<VerbInfo>,
}

impl<S: Read + Write> Peer<S> {
    /// The next frame.
    ///
    /// # Errors
    /// The connection ended, or it is no frame.
    pub fn frame(&mut self) -> io::Result<Frame> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header)?;
        let header = Header::read(header, Stage::LoggedIn).map_err(io::Error::other)?;
        let mut payload = vec![0; header.len_bytes];
        self.stream.read_exact(&mut payload)?;
        let kind = header.kind.ok_or_else(|| odd("an optional frame"))?;
        Ok(Frame { kind, payload })
    }

    /// Sends a frame as it is.
    ///
    /// # Errors
    /// The connection ended.
    pub fn pass(&mut self, frame: &Frame) -> io::Result<()> {
        let header = Header::write(frame.kind, frame.payload.len());
        self.stream.write_all(&[&header[..], &frame.payload].concat())?;
        self.stream.flush()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The connection ended.
    pub fn say(&mut self, message: &impl Message) -> io::Result<()> {
        self.pass(&Frame::of(message)?)
    }

    /// The next message, which must be an `M`.
    ///
    /// # Errors
    /// As [`Frame::read`].
    pub fn hear<M: Message>(&mut self) -> io::Result<M> {
        self.frame()?.read()
    }

    /// What comes until the other side closes.
    ///
    /// # Errors
    /// It does not close, or breaks off in a frame.
    pub fn rest(&mut self) -> io::Result<Vec<Frame>> {
        let mut frames = Vec::new();
        loop {
            match self.frame() {
                Ok(frame) => frames.push(frame),
                Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                    return Ok(frames);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Logs in with [`PASSWORD`], as a client on that channel does, and takes the catalogue.
    ///
    /// # Errors
    /// The connection ended, or what the server refused.
    pub fn log_in(&mut self, user: &str, channel: Channel) -> io::Result<LoggedIn> {
        let secret = Secret::Password {
            user: user.to_owned(),
            password: PASSWORD.to_owned().into(),
            allowed: Methods::for_password(None),
        };
        self.log_in_with(secret, channel)
    }

    /// The same with any secret. Where the server's hello foretells the challenge, the answer goes before it comes.
    ///
    /// # Errors
    /// As [`Self::log_in`].
    pub fn log_in_with(&mut self, secret: Secret, channel: Channel) -> io::Result<LoggedIn> {
        self.say(&Hello::new("ferry-tests"))?;
        let hello: Hello = self.hear()?;
        let (client, step) = ClientLogin::start(secret, channel).map_err(io::Error::other)?;
        let login = Login {
            mechanism: step.mechanism.to_owned(),
            data: step.data,
        };
        self.say(&login)?;
        let foreseen = hello.nonce.and_then(|nonce| client.foreseen(&nonce));
        let challenge = match &foreseen {
            Some(data) => Challenge {
                mechanism: None,
                data: data.clone(),
            },
            None => self.hear()?,
        };
        let answer = client.answer(challenge.mechanism.as_deref(), &challenge.data);
        let (finish, data) = answer.map_err(io::Error::other)?;
        let answer = answer_of(data);
        self.say(&answer)?;
        if foreseen.is_some() && self.hear::<Challenge>()? != challenge {
            return Err(io::Error::other("another challenge than the one that the hello foretold"));
        }
        finish.check(&self.hear::<Welcome>()?.data).map_err(io::Error::other)?;
        let mut verbs = Vec::new();
        loop {
            let part: Catalog = self.hear()?;
            verbs.extend(part.verbs);
            if part.last {
                return Ok(LoggedIn { login, answer, verbs });
            }
        }
    }
}

/// An answer that says nothing but `data`.
pub fn answer_of(data: Vec<u8>) -> Answer {
    Answer { data, save: None }
}

/// A welcome that says nothing but `data` and the user's name.
pub fn welcome_of(data: &[u8], user: &str) -> Welcome {
    Welcome {
        data: data.to_vec(),
        user: user.to_owned(),
        notice: None,
        token: None,
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not to be expected: {what}"))
}
