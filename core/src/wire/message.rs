//! Messages: what a control frame's map says. Every field is named, and a key that is not known is ignored, so that a
//! field added later breaks nobody.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::frame::{HEADER_BYTES, Header, Kind};
use super::guard::Map;
use super::{CONTROL_MAX_BYTES, DATA_LEAST_BYTES, DATA_MAX_BYTES, DEPTH_MAX, PROTOCOL, REQUESTS_MAX, WINDOW_BYTES};
use crate::catalog::{VerbInfo, is_default};
use crate::digest::{Algorithm, Digest};
use crate::error::{Error, ErrorKind, Result};
use crate::path::{PATH_MAX_BYTES, RemotePath};
use crate::reply::{Column, ColumnKind, Layout, Value};
use crate::store::{FileInfo, Held, Start, Version};

/// A control message.
pub trait Message: Serialize + DeserializeOwned {
    /// The kind of its frame.
    const KIND: Kind;

    /// Decodes a payload that passed the guard.
    ///
    /// # Errors
    /// `bad_request` when a field is missing or of another type.
    fn decode(map: &Map<'_>) -> Result<Self> {
        let mut reader = rmp_serde::Deserializer::from_read_ref(map.bytes());
        reader.set_max_depth(DEPTH_MAX + 1);
        Self::deserialize(&mut reader).map_err(|error| {
            let text = crate::text::escape(error.to_string().as_bytes());
            // It may quote all of the message.
            Error::bad_request(format!("{:?} message: {}", Self::KIND, cut(&text)))
        })
    }

    /// Adds the whole frame to `out`.
    ///
    /// # Errors
    /// `too_large` when the message does not fit into a frame; `out` is as it was.
    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        let result = self.serialize(&mut rmp_serde::Serializer::new(&mut *out).with_struct_map());
        let len = out.len() - start - HEADER_BYTES;
        if let Err(error) = result {
            out.truncate(start);
            return Err(Error::internal("message cannot be written").caused_by(error));
        }
        if len > CONTROL_MAX_BYTES {
            out.truncate(start);
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("message of {len} bytes; at most {CONTROL_MAX_BYTES} are possible"),
            ));
        }
        out[start..start + HEADER_BYTES].copy_from_slice(&Header::write(Self::KIND, len));
        Ok(())
    }
}

macro_rules! messages {
    ($($kind:ident),+) => {$(
        impl Message for $kind {
            const KIND: Kind = Kind::$kind;
        }
    )+};
}
messages!(
    Hello, Login, Challenge, Answer, Welcome, Catalog, Request, Cancel, Complete, Expand, Begin, Rows, Problem, Progress, Done,
    Fail, End
);

/// First frame of each side, sent without waiting for the other's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol's version: [`PROTOCOL`].
    pub proto: u32,
    /// Program and version, for people.
    pub agent: String,
    /// What this side can do beyond version 1.
    #[serde(default)]
    pub features: Vec<String>,
    /// What the other side must be able to do.
    #[serde(default)]
    pub required: Vec<String>,
    /// What this side takes at most.
    #[serde(default)]
    pub limits: Limits,
    /// Server: the ways to log in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mechanisms: Vec<String>,
    /// Server: what its first challenge on this connection adds to the client's nonce. Who knows it needs to wait for no challenge that says
    /// nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

impl Hello {
    /// What this version of Ferry says.
    pub fn new(agent: impl Into<String>) -> Self {
        Self {
            proto: PROTOCOL,
            agent: agent.into(),
            features: Vec::new(),
            required: Vec::new(),
            limits: Limits::default(),
            mechanisms: Vec::new(),
            nonce: None,
        }
    }

    /// Checks whether we can talk to whoever said this.
    ///
    /// # Errors
    /// `unsupported`, saying what is missing.
    pub fn check(&self) -> Result<()> {
        if self.proto != PROTOCOL {
            return Err(Error::unsupported(format!(
                "the other side speaks protocol {}, this one {PROTOCOL}",
                self.proto
            )));
        }
        if let Some(feature) = self.required.first() {
            let feature = crate::text::escape(feature.as_bytes());
            return Err(Error::unsupported(format!(
                "the other side requires `{feature}`, which this one cannot do"
            )));
        }
        let Limits {
            control,
            data,
            depth,
            requests,
            window,
        } = self.limits;
        let least = Limits::default();
        if control < least.control || (data as usize) < DATA_LEAST_BYTES || depth < least.depth || requests == 0 || window == 0 {
            return Err(Error::unsupported(format!(
                "the other side takes less than protocol {PROTOCOL} asks for"
            )));
        }
        Ok(())
    }
}

/// What a side takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Payload of a control frame after login, in bytes.
    pub control: u32,
    /// Contents of a data frame, in bytes.
    pub data: u32,
    /// Nesting of MessagePack.
    pub depth: u32,
    /// Requests in flight.
    pub requests: u32,
    /// Contents of one body under way before more is granted, in bytes.
    pub window: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            control: small(CONTROL_MAX_BYTES),
            data: small(DATA_MAX_BYTES),
            depth: small(DEPTH_MAX),
            requests: small(REQUESTS_MAX),
            window: WINDOW_BYTES,
        }
    }
}

/// The first step of a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// One of the server's mechanisms.
    pub mechanism: String,
    /// What the mechanism says.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

/// What the client must answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The account's mechanism, when it is another than the one that the client opened with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// What the mechanism says.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

/// The client's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What the mechanism says.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// Asks for a saved login, once this one by password has succeeded: how it is to be called, such as the machine's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save: Option<String>,
}

/// Logged in. The catalogue follows without being asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The mechanism's last word: the server's proof that it knows the account too.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// The account's name.
    pub user: String,
    /// A line for people, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The saved login that was asked for; absent when the server gives none, for which the notice says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Revealed>,
}

/// The text of a token, see [`Token::reveal`](crate::login::token::Token::reveal). It is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revealed(pub String);

impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Revealed(..)")
    }
}

/// Verbs that the user may run; several frames when they do not fit into one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Some verbs.
    pub verbs: Vec<VerbInfo>,
    /// Whether these were the last.
    pub last: bool,
}

/// Run a verb. On the wire there is a field more, `args`: a map that the verb decodes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The client's number for it: not 0, larger than every one before on this connection.
    pub id: u32,
    /// Name or alias.
    pub verb: String,
    /// The working folder, absolute.
    #[serde(default)]
    pub cwd: RemotePath,
    /// What the client says of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Offer>,
}

impl Request {
    /// Adds the whole frame to `out`, with `args`, the bytes of a MessagePack map.
    ///
    /// # Errors
    /// `too_large`; `out` is as it was.
    pub fn encode_with(&self, args: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        self.encode(out)?;
        // The message is a map of at most four keys, whose first byte holds their number: `args` becomes one more.
        out[start + HEADER_BYTES] += 1;
        out.extend_from_slice(b"\xa4args");
        out.extend_from_slice(args);
        let len = out.len() - start - HEADER_BYTES;
        if len > CONTROL_MAX_BYTES {
            out.truncate(start);
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("request of {len} bytes; at most {CONTROL_MAX_BYTES} are possible"),
            ));
        }
        out[start..start + HEADER_BYTES].copy_from_slice(&Header::write(Kind::Request, len));
        Ok(())
    }
}

/// What the client says of a body that it will send or wants.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Offer {
    /// In: its size in bytes; absent for a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// In: last change of the contents, in nanoseconds since 1970-01-01 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
    /// In: whether its owner may execute it.
    #[serde(skip_serializing_if = "is_default")]
    pub executable: bool,
    /// In: it is a folder, and has no contents.
    #[serde(skip_serializing_if = "is_default")]
    pub folder: bool,
    /// Both: how the transfer is proven.
    pub digest: Algorithm,
    /// In: the digest of all of it, when the client knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Digest>,
    /// In: throw away what an earlier try left.
    #[serde(skip_serializing_if = "is_default")]
    pub fresh: bool,
    /// In: all contents follow at once, before the server has said where to start; at most one window of them. A server that
    /// refuses or knows better drops them.
    #[serde(skip_serializing_if = "is_default")]
    pub eager: bool,
    /// Out: how many bytes the client holds already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Out: the BLAKE3 digest of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Digest>,
}

impl Offer {
    /// What the client holds already of a body that it wants.
    pub fn held(&self) -> Option<Held> {
        Some(Held {
            offset: self.offset?,
            prefix: self.prefix?,
        })
    }
}

/// Stop a request. It still gets its `Done` or `Fail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Which.
    pub id: u32,
}

/// Propose values for a word of an argument; answered by rows of one column, `word`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complete {
    /// The client's number for it, from the same count as requests.
    pub id: u32,
    /// The verb's name.
    pub verb: String,
    /// The argument's name.
    pub arg: String,
    /// What is typed of the word.
    pub word: RemotePath,
    /// The working folder, absolute.
    #[serde(default)]
    pub cwd: RemotePath,
}

/// Which paths match a pattern of `*`, `?` and `[..]`; a backslash makes the next character literal. Answered by rows of one
/// column, `path`, as the pattern was written: relative to the working folder or absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expand {
    /// The client's number for it, from the same count as requests.
    pub id: u32,
    /// The pattern.
    pub pattern: RemotePath,
    /// The working folder, absolute.
    #[serde(default)]
    pub cwd: RemotePath,
}

/// How a body starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The request.
    pub id: u32,
    /// 1001, 1002 or 1003.
    pub code: u16,
    /// Where the contents go on.
    pub offset: u64,
    /// The BLAKE3 digest of the contents before `offset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Digest>,
    /// In: the unfinished upload's name in `partials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
    /// Where the file is or will be, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<RemotePath>,
    /// Out: the size of all of it, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Out: last change of the contents, in nanoseconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
    /// Out: whether its owner may execute it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub executable: bool,
    /// Out: which version of the file it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
}

impl Begin {
    /// A start without anything known of a file.
    pub fn new(start: Start) -> Self {
        Self {
            id: 0,
            code: start.code,
            offset: start.offset,
            prefix: start.prefix,
            upload: None,
            path: None,
            size: None,
            modified: None,
            executable: false,
            version: None,
        }
    }

    /// The start that it tells.
    pub fn start(&self) -> Start {
        Start {
            code: self.code,
            offset: self.offset,
            prefix: self.prefix,
        }
    }
}

/// A column, as told to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnInfo {
    /// Its name, which is the key in JSON.
    pub name: String,
    /// What its values are.
    pub kind: ColumnKind,
    /// Whether it is only for programs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hidden: bool,
    /// The column that its numbers are a part of; its own name stands for the largest number of all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
}

impl From<&Column> for ColumnInfo {
    fn from(column: &Column) -> Self {
        Self {
            name: column.name.to_owned(),
            kind: column.kind,
            hidden: column.hidden,
            share: column.share.map(str::to_owned),
        }
    }
}

/// Some rows. The first message of a request that has any says their columns; a later one may change them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// The request.
    pub id: u32,
    /// The columns, when they are new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<ColumnInfo>>,
    /// How the rows are shown, when the columns are new.
    #[serde(default)]
    pub layout: Layout,
    /// One value a column.
    pub rows: Vec<Vec<Value>>,
}

/// The longest message and the longest hint of a failure, in bytes: both fit into a frame before login.
const FAILURE_TEXT_MAX_BYTES: usize = 1024;

/// The beginning of a text that is too long for a failure, which may quote what a peer sent.
fn cut(text: &str) -> String {
    if text.len() <= FAILURE_TEXT_MAX_BYTES {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(FAILURE_TEXT_MAX_BYTES - 3)])
}

macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident),+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            /// The request; 0 for the connection.
            pub id: u32,
            /// The kind's number.
            pub code: u16,
            /// What went wrong, from a closed list.
            pub kind: ErrorKind,
            /// For people.
            pub message: String,
            /// The next step, when there is one.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub hint: Option<String>,
            /// The path it is about, when there is one.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub path: Option<RemotePath>,
        }

        impl $name {
            /// What the peer is told of an error: everything but its source.
            ///
            /// It always fits into a frame: long texts are cut, and a path too long to be one is left out.
            pub fn new(id: u32, error: &Error) -> Self {
                let fits = |path: &&RemotePath| path.0.len() <= PATH_MAX_BYTES;
                Self {
                    id,
                    code: error.kind.code(),
                    kind: error.kind,
                    message: cut(&error.message),
                    hint: error.hint.as_deref().map(cut),
                    path: error.path.as_ref().filter(fits).cloned(),
                }
            }

            /// The error that the peer told, its text made safe to show.
            pub fn into_error(self) -> Error {
                let clean = |text: String| crate::text::escape(text.as_bytes());
                let hint = self.hint.map(|hint| clean(hint).into());
                Error { kind: self.kind, message: clean(self.message).into(), hint, path: self.path, source: None }
            }
        }
    )+};
}
failures! {
    /// One of several things went wrong; the request goes on.
    Problem,
    /// The request failed.
    Fail
}

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The request.
    pub id: u32,
    /// What is done.
    pub done: u64,
    /// Of how much, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What is being done, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// The request ended well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Done {
    /// The request.
    pub id: u32,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The working folder from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<RemotePath>,
    /// The file that was written or read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileInfo>,
    /// How many things went wrong on the way; each was told as a `Problem`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub problems: u64,
}

/// The body is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The request.
    pub id: u32,
    /// The size of all of it, from its first byte.
    pub size: u64,
    /// The digest of all of it, from its first byte.
    pub digest: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(frame: &[u8]) -> Map<'_> {
        Map::check(&frame[HEADER_BYTES..]).unwrap()
    }

    #[test]
    fn a_request_carries_its_arguments_undecoded() {
        let request = Request {
            id: 3,
            verb: "ls".into(),
            cwd: "/a".into(),
            body: Some(Offer::default()),
        };
        let mut frame = Vec::new();
        request.encode_with(&[0x81, 0xa1, b'x', 0x01], &mut frame).unwrap();
        let map = payload(&frame);
        assert_eq!(map.raw("args"), Some(&[0x81, 0xa1, b'x', 0x01][..]));
        assert_eq!(Request::decode(&map).unwrap(), request);
    }

    #[test]
    fn fields_of_a_newer_peer_are_ignored_and_missing_ones_have_defaults() {
        let bytes = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("id", 5), ("colour", 7)])).unwrap();
        assert_eq!(
            Done::decode(&Map::check(&bytes).unwrap()).unwrap(),
            Done {
                id: 5,
                ..Done::default()
            }
        );
    }

    #[test]
    fn an_array_is_no_message() {
        assert!(Map::check(&[0x91, 0x05]).is_err());
    }

    #[test]
    fn a_message_that_does_not_fit_leaves_the_buffer_alone() {
        let rows = Rows {
            id: 1,
            columns: None,
            layout: Layout::Table,
            rows: vec![vec![Value::Text("x".repeat(CONTROL_MAX_BYTES))]],
        };
        let mut out = vec![1, 2, 3];
        assert_eq!(rows.encode(&mut out).unwrap_err().kind, ErrorKind::TooLarge);
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn an_error_crosses_the_wire_without_its_source_and_arrives_harmless() {
        let error = Error::not_found("a\x1b[2J: no such file")
            .hint("look")
            .at("a\x1b")
            .caused_by("secret");
        let mut out = Vec::new();
        Fail::new(9, &error).encode(&mut out).unwrap();
        assert!(!out.windows(6).any(|window| window == b"secret"));
        let back = Fail::decode(&payload(&out)).unwrap().into_error();
        assert_eq!(
            (back.kind, back.message.as_ref()),
            (ErrorKind::NotFound, "a\\x1b[2J: no such file")
        );
    }

    #[test]
    fn an_error_about_a_message_does_not_repeat_all_of_it() {
        let verb = "\u{1}".repeat(60_000);
        let bytes = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("id", &verb)])).unwrap();
        let error = Cancel::decode(&Map::check(&bytes).unwrap()).unwrap_err();
        assert!(error.message.len() < 2 * FAILURE_TEXT_MAX_BYTES, "{}", error.message.len());
    }

    #[test]
    fn a_failure_fits_into_a_frame_whatever_it_quotes() {
        let path = RemotePath("\u{1}é".repeat(20_000).into_bytes());
        let error = path.resolve(&crate::HomePath::root()).unwrap_err();
        let error = error.hint("x".repeat(100_000)).at(path);
        let mut out = Vec::new();
        Fail::new(1, &error).encode(&mut out).unwrap();
        assert!(out.len() <= crate::wire::CONTROL_MAX_BYTES_BEFORE_LOGIN, "{}", out.len());
    }

    #[test]
    fn a_hello_that_requires_the_unknown_is_refused() {
        let mut hello = Hello::new("test");
        assert!(hello.check().is_ok());
        hello.required.push("telepathy".into());
        assert_eq!(hello.check().unwrap_err().kind, ErrorKind::Unsupported);
        for narrow in [
            Limits {
                window: 0,
                ..Limits::default()
            },
            Limits {
                control: 1,
                ..Limits::default()
            },
        ] {
            assert!(
                Hello {
                    limits: narrow,
                    ..Hello::new("test")
                }
                .check()
                .is_err()
            );
        }
        hello = Hello {
            proto: 2,
            ..Hello::new("test")
        };
        assert!(hello.check().is_err());
    }
}
