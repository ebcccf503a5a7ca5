//! A client on a raw socket: each frame of the protocol by hand, so that a test decides what is sent and when.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::sync::{LazyLock, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ferry_core::wire::frame::{HEADER_BYTES, Header, Kind, Stage, read_grant};
use ferry_core::wire::guard::Map;
use ferry_core::wire::message::{
    Answer, Begin, Cancel, Challenge, Done, End, Fail, Hello, Login, Message, Offer, Request, Rows, Welcome,
};
use ferry_core::{Digest, Error};
use ring::{digest, hmac, pbkdf2};
use serde_json::{Value, json};

use crate::{PASSWORD, PATIENCE};

/// The most contents of one data frame that are sent here, in bytes.
const DATA_BYTES: usize = 256 * 1024;

/// What the server said to a request. The outer error means that the connection is gone.
pub type Said<T> = io::Result<ferry_core::Result<T>>;

/// One row of an answer by column.
pub type Row = BTreeMap<String, Value>;

/// A frame that concerns a request.
#[derive(Debug)]
pub enum Heard {
    /// The body may start.
    Begin(Begin),
    /// So many bytes more may be sent.
    Grant(u64),
    /// Rows.
    Rows(Rows),
    /// It ended well.
    Done(Done),
    /// It failed.
    Fail(Error),
}

/// A connection that is logged in.
pub struct Wire {
    stream: TcpStream,
    last_id: u32,
    window: u64,
    /// What may still be sent, by request.
    open: HashMap<u32, u64>,
    /// How requests ended that nobody asked for yet.
    ended: HashMap<u32, Heard>,
}

impl Wire {
    /// The socket, for what no client would say.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// The socket, and the last number that a request had.
    pub fn into_parts(self) -> (TcpStream, u32) {
        (self.stream, self.last_id)
    }

    /// Connects and logs in with [`PASSWORD`].
    ///
    /// # Errors
    /// The connection broke or the server refused.
    pub fn login(address: SocketAddr, user: &str) -> io::Result<Self> {
        Self::login_as(address, user, PASSWORD)
    }

    /// The same with another password.
    ///
    /// # Errors
    /// The connection broke or the server refused.
    pub fn login_as(address: SocketAddr, user: &str, password: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut wire = Self {
            stream,
            last_id: 0,
            window: 0,
            open: HashMap::new(),
            ended: HashMap::new(),
        };
        wire.say(&Hello::new("ferry-tests"))?;
        let hello: Hello = wire.hear()?;
        wire.window = hello.limits.window.into();
        let first = format!("n={user},r=ferry-tests-nonce");
        wire.say(&Login {
            mechanism: "SCRAM-SHA-256".into(),
            data: format!("n,,{first}").into_bytes(),
        })?;
        let challenge: Challenge = wire.hear()?;
        let data = scram_answer(&first, &challenge.data, password).ok_or_else(|| odd("the challenge"))?;
        wire.say(&Answer { data, save: None })?;
        wire.hear::<Welcome>()?;
        Ok(wire)
    }

    /// Starts a request; gives its number.
    ///
    /// # Errors
    /// The connection broke.
    pub fn start(&mut self, verb: &str, args: &Value, body: Option<Offer>) -> io::Result<u32> {
        self.last_id += 1;
        let id = self.last_id;
        let eager = body.as_ref().is_some_and(|offer| offer.eager);
        let request = Request {
            id,
            verb: verb.into(),
            cwd: ferry_core::RemotePath(b"/".to_vec()),
            body,
        };
        let mut frame = Vec::new();
        let args = rmp_serde::to_vec_named(args).map_err(io::Error::other)?;
        request.encode_with(&args, &mut frame).map_err(io::Error::other)?;
        self.stream.write_all(&frame)?;
        if eager {
            self.open.insert(id, self.window);
        }
        Ok(id)
    }

    /// Runs a verb without a body; gives its rows.
    ///
    /// # Errors
    /// The connection broke.
    pub fn call(&mut self, verb: &str, args: &Value) -> Said<Vec<Row>> {
        let id = self.start(verb, args, None)?;
        let (mut names, mut rows) = (Vec::new(), Vec::new());
        loop {
            match self.next(id)? {
                Heard::Rows(more) => {
                    if let Some(columns) = more.columns {
                        names = columns.into_iter().map(|column| column.name).collect();
                    }
                    for row in more.rows {
                        let values = row.into_iter().map(|value| serde_json::to_value(value).unwrap_or_default());
                        rows.push(names.iter().cloned().zip(values).collect());
                    }
                }
                Heard::Done(_) => return Ok(Ok(rows)),
                Heard::Fail(error) => return Ok(Err(error)),
                other => return Err(odd(&format!("{other:?}"))),
            }
        }
    }

    /// Opens an upload of `name`; gives its number and how it begins.
    ///
    /// # Errors
    /// The connection broke.
    pub fn open(&mut self, name: &str, offer: Offer) -> Said<(u32, Begin)> {
        let id = self.start("upload", &upload_args(name), Some(offer))?;
        match self.next(id)? {
            Heard::Begin(begin) => Ok(Ok((id, begin))),
            Heard::Fail(error) => Ok(Err(error)),
            other => Err(odd(&format!("{other:?}"))),
        }
    }

    /// Sends contents within the window. An inner error is the server's refusal: nothing more may be sent.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send(&mut self, id: u32, mut bytes: &[u8]) -> Said<()> {
        while !bytes.is_empty() {
            let open = self.open.get(&id).copied().unwrap_or(0);
            let len = bytes.len().min(DATA_BYTES).min(usize::try_from(open).unwrap_or(usize::MAX));
            if len == 0 {
                match self.next(id)? {
                    Heard::Fail(error) => return Ok(Err(error)),
                    Heard::Begin(_) | Heard::Grant(_) => continue,
                    other => return Err(odd(&format!("{other:?}"))),
                }
            }
            let (now, later) = bytes.split_at(len);
            self.stream.write_all(&[&Header::write_data(id, len)[..], now].concat())?;
            self.open.insert(id, open - len as u64);
            bytes = later;
        }
        Ok(Ok(()))
    }

    /// Says that the contents are complete.
    ///
    /// # Errors
    /// The connection broke.
    pub fn end(&mut self, id: u32, size: u64, digest: Digest) -> io::Result<()> {
        self.say(&End { id, size, digest })
    }

    /// Asks a request to stop.
    ///
    /// # Errors
    /// The connection broke.
    pub fn cancel(&mut self, id: u32) -> io::Result<()> {
        self.say(&Cancel { id })
    }

    /// How a request ended; what comes for it before that is passed over.
    ///
    /// # Errors
    /// The connection broke.
    pub fn answer(&mut self, id: u32) -> Said<Done> {
        loop {
            match self.next(id)? {
                Heard::Done(done) => return Ok(Ok(done)),
                Heard::Fail(error) => return Ok(Err(error)),
                _ => {}
            }
        }
    }

    /// Uploads contents by the protocol's rules: what the server holds is gone on with when it is a prefix of these, and
    /// thrown away when it is not.
    ///
    /// # Errors
    /// The connection broke.
    pub fn upload(&mut self, name: &str, bytes: &[u8], offer: &Offer) -> Said<Done> {
        let offer = Offer {
            size: Some(bytes.len() as u64),
            ..offer.clone()
        };
        let opened = match self.open(name, offer.clone())? {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        let (mut id, mut begin) = opened;
        if !is_prefix(&begin, bytes) {
            self.cancel(id)?;
            let _ = self.answer(id)?;
            (id, begin) = match self.open(
                name,
                Offer {
                    fresh: true,
                    ..offer.clone()
                },
            )? {
                Ok(opened) => opened,
                Err(error) => return Ok(Err(error)),
            };
        }
        let offset = usize::try_from(begin.offset).map_err(io::Error::other)?;
        if let Err(error) = self.send(id, &bytes[offset..])? {
            return Ok(Err(error));
        }
        self.end(id, bytes.len() as u64, offer.digest.digest(bytes))?;
        self.answer(id)
    }

    /// The home's used and reserved bytes, as the server says them.
    ///
    /// # Errors
    /// The connection broke.
    pub fn quota(&mut self) -> io::Result<(u64, u64)> {
        let rows = self.call("quota", &json!({}))?.map_err(io::Error::other)?;
        let number = |name: &str| rows.first().and_then(|row| row.get(name)?.as_u64());
        number("used").zip(number("reserved")).ok_or_else(|| odd("quota"))
    }

    /// The unfinished uploads.
    ///
    /// # Errors
    /// The connection broke.
    pub fn partials(&mut self) -> io::Result<Vec<Row>> {
        self.call("partials", &json!({}))?.map_err(io::Error::other)
    }

    fn say(&mut self, message: &impl Message) -> io::Result<()> {
        let mut frame = Vec::new();
        message.encode(&mut frame).map_err(io::Error::other)?;
        self.stream.write_all(&frame)
    }

    fn frame(&mut self) -> io::Result<(Option<Kind>, Vec<u8>)> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header)?;
        let header = Header::read(header, Stage::LoggedIn).map_err(io::Error::other)?;
        let mut payload = vec![0; header.len_bytes];
        self.stream.read_exact(&mut payload)?;
        Ok((header.kind, payload))
    }

    /// The next message, which must be an `M`.
    fn hear<M: Message>(&mut self) -> io::Result<M> {
        match self.frame()? {
            (Some(kind), payload) if kind == M::KIND => decode(&payload),
            (kind, _) => Err(odd(&format!("{kind:?} instead of {:?}", M::KIND))),
        }
    }

    /// The next frame for request `id`. How others end is kept until it is asked for; what else comes for them is dropped.
    ///
    /// # Errors
    /// The connection broke, or the server ended it.
    pub fn next(&mut self, id: u32) -> io::Result<Heard> {
        if let Some(ended) = self.ended.remove(&id) {
            return Ok(ended);
        }
        loop {
            let (kind, payload) = self.frame()?;
            let (of, heard) = match kind {
                Some(Kind::Grant) => {
                    let (of, bytes) = read_grant(&payload).map_err(io::Error::other)?;
                    *self.open.entry(of).or_default() += u64::from(bytes);
                    (of, Heard::Grant(bytes.into()))
                }
                Some(Kind::Begin) => {
                    let begin: Begin = decode(&payload)?;
                    self.open.entry(begin.id).or_insert(self.window);
                    (begin.id, Heard::Begin(begin))
                }
                Some(Kind::Rows) => {
                    let rows: Rows = decode(&payload)?;
                    (rows.id, Heard::Rows(rows))
                }
                Some(Kind::Done) => {
                    let done: Done = decode(&payload)?;
                    (done.id, Heard::Done(done))
                }
                Some(Kind::Fail) => {
                    let fail: Fail = decode(&payload)?;
                    (fail.id, Heard::Fail(fail.into_error()))
                }
                _ => continue,
            };
            match heard {
                Heard::Fail(error) if of == 0 => return Err(io::Error::other(error)),
                heard if of == id => return Ok(heard),
                heard @ (Heard::Done(_) | Heard::Fail(_)) => drop(self.ended.insert(of, heard)),
                _ => {}
            }
        }
    }
}

/// Whether what the server holds is a prefix of these bytes: by BLAKE3, never by name or size.
pub fn is_prefix(begin: &Begin, bytes: &[u8]) -> bool {
    let held = usize::try_from(begin.offset).ok().and_then(|offset| bytes.get(..offset));
    held.is_some_and(|held| held.is_empty() || begin.prefix == Some(ferry_core::Algorithm::Blake3.digest(held)))
}

/// The arguments of an upload whose place is `name`.
pub fn upload_args(name: &str) -> Value {
    json!({"local": ["-"], "as": name})
}

fn decode<M: Message>(payload: &[u8]) -> io::Result<M> {
    Map::check(payload).and_then(|map| M::decode(&map)).map_err(io::Error::other)
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not to be expected: {what}"))
}

/// RFC 5802, section 3: the client's proof. The salted password is kept for the next login, as section 3 allows: deriving it is
/// slow on purpose.
fn scram_answer(first: &str, challenge: &[u8], password: &str) -> Option<Vec<u8>> {
    static SALTED: LazyLock<Mutex<HashMap<String, [u8; 32]>>> = LazyLock::new(Mutex::default);
    let challenge = std::str::from_utf8(challenge).ok()?;
    let mut parts = challenge.split(',');
    let nonce = parts.next()?.strip_prefix("r=")?;
    let salt = parts.next()?.strip_prefix("s=")?;
    let rounds: NonZeroU32 = parts.next()?.strip_prefix("i=")?.parse().ok()?;
    let key = format!("{salt},{rounds},{password}");
    let known = SALTED.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
    let salted = match known {
        Some(salted) => salted,
        None => {
            let mut salted = [0; 32];
            let salt = BASE64.decode(salt).ok()?;
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
            SALTED.lock().unwrap_or_else(PoisonError::into_inner).insert(key, salted);
            salted
        }
    };
    let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    let client_key = mac(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let last = format!("c=biws,r={nonce}");
    let signature = mac(stored_key.as_ref(), format!("{first},{challenge},{last}").as_bytes());
    let pairs = client_key.as_ref().iter().zip(signature.as_ref());
    let proof: Vec<u8> = pairs.map(|(key, sign)| key ^ sign).collect();
    Some(format!("{last},p={}", BASE64.encode(proof)).into_bytes())
}
