//! The audit log: one structured line, under the target and with the field `audit`, for each request, each login, each login that
//! failed and each change of an account through the admin socket.
//!
//! Whatever comes from outside is escaped, cut, and written as a quoted string, in text as in JSON: no name breaks a line, looks
//! like another field or moves a cursor, not even once the line was taken apart again. Of a request's arguments only the path is
//! told: what else they say may be a secret.

use std::borrow::Cow;
use std::collections::HashMap;

use ferry_core::args::{ArgKind, ArgSpec};
use ferry_core::dispatch::Ask;
use ferry_core::path::PATH_MAX_BYTES;
use ferry_core::text::escape;
use ferry_core::{ErrorKind, Registry, RemotePath, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The target of the lines, for filters such as `RUST_LOG=warn,audit=info`.
const TARGET: &str = "audit";
/// The most characters that are written of a name of a user or a verb that may be none.
const NAME_MAX_CHARS: usize = 64;

/// The start of a text, of at most so many bytes, that ends between two characters.
pub(crate) fn cut(text: &str, most_bytes: usize) -> String {
    let mut end = most_bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// A name from outside as it may be shown: cut and escaped.
pub(crate) fn name(text: &str) -> String {
    // Cut before it is escaped, so that a long one costs no more than a short one, and no escape is cut in two.
    let start: String = text.chars().take(NAME_MAX_CHARS).collect();
    escape(start.as_bytes())
}

fn path(path: &RemotePath) -> String {
    escape(&path.0[..path.0.len().min(PATH_MAX_BYTES)])
}

fn outcome<T>(result: &Result<T>) -> &'static str {
    result.as_ref().err().map_or("ok", |error| error.kind.as_str())
}

/// What a request asks for, as far as it is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    verb: Cow<'static, str>,
    cwd: String,
    path: String,
}

/// A value of an argument, of which nothing but paths is kept.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    One(RemotePath),
    Several(Vec<RemotePath>),
    Other(IgnoredAny),
}

impl Given {
    fn first(&self) -> Option<&RemotePath> {
        match self {
            Self::One(path) => Some(path),
            Self::Several(paths) => paths.first(),
            Self::Other(_) => None,
        }
    }
}

impl Asked {
    /// What a message asks for; `args` are a request's, undecoded.
    pub(crate) fn of(registry: &Registry, ask: &Ask, args: Option<&[u8]>) -> Self {
        let (verb, cwd, asked) = match ask {
            Ask::Request(request) => match registry.find(&request.verb) {
                // Under its own name, whatever alias was used, so that a search finds it.
                Some(entry) => {
                    let spec = entry.command.spec();
                    let first = args.and_then(|args| first_path(spec.args, args));
                    (Cow::Borrowed(spec.name), &request.cwd, first.as_ref().map(path))
                }
                None => (Cow::Owned(name(&request.verb)), &request.cwd, None),
            },
            Ask::Complete(ask) => (Cow::Borrowed("complete"), &ask.cwd, None),
            Ask::Expand(ask) => (Cow::Borrowed("expand"), &ask.cwd, Some(path(&ask.pattern))),
        };
        Self {
            verb,
            cwd: path(cwd),
            path: asked.unwrap_or_default(),
        }
    }
}

/// The first path of the server's that a request names, in the order of the verb's arguments.
fn first_path(specs: &[ArgSpec], args: &[u8]) -> Option<RemotePath> {
    if specs.iter().all(|arg| arg.kind != ArgKind::RemotePath) {
        return None;
    }
    let given: HashMap<&str, Given> = rmp_serde::from_slice(args).ok()?;
    let mut paths = specs.iter().filter(|arg| arg.kind == ArgKind::RemotePath);
    paths.find_map(|arg| given.get(arg.name)?.first().cloned())
}

/// Who asked, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'w> {
    /// The account's name.
    pub(crate) user: &'w str,
    /// The address of his end.
    pub(crate) address: &'w str,
}

/// Whether anybody keeps these lines; looking for a request's path is of no use otherwise.
pub(crate) fn is_kept() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::INFO)
}

/// Tells of a request that was answered. `bytes` of contents were moved, in either direction.
pub(crate) fn request<T>(who: Who<'_>, asked: &Asked, bytes: u64, result: &Result<T>, ms: u64) {
    let Who { user, address } = who;
    let Asked { verb, cwd, path } = asked;
    let verb = &**verb;
    let result = outcome(result);
    tracing::info!(target: TARGET, audit = "request", user, address, verb, cwd, path, bytes, result, ms);
}

/// Tells of a login, and why it failed if it did. `id` is that of the saved login that it was tried by. The name of one that failed may be
/// anything, a password among others that was typed in its place.
pub(crate) fn login(who: Who<'_>, id: Option<&str>, failure: Option<ErrorKind>) {
    let user = name(who.user);
    let by = if id.is_some() { "saved login" } else { "password" };
    let result = failure.map_or("ok", ErrorKind::as_str);
    tracing::info!(target: TARGET, audit = "login", user, address = who.address, by, id, result);
}

/// Tells of a saved login that was made, or refused.
pub(crate) fn login_saved<T>(who: Who<'_>, id: &str, result: &Result<T>) {
    let (user, result) = (name(who.user), outcome(result));
    tracing::info!(target: TARGET, audit = "login saved", user, address = who.address, id, result);
}

/// Tells of a change that an administrator made.
pub(crate) fn account<T>(change: &str, user: &str, result: &Result<T>) {
    let (user, result) = (name(user), outcome(result));
    tracing::info!(target: TARGET, audit = "account", change, user, result);
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use ferry_core::wire::message::Request;
    use ferry_core::{Access, Context, Error, Reply, Spec, Verb};

    use super::*;

    ferry_core::args! {
        /// Hides something somewhere.
        pub(crate) struct Hide {
            /// What nobody else may know.
            secret: String,
            /// Where.
            places: Vec<RemotePath>,
        }
    }

    impl Verb for Hide {
        const SPEC: Spec = Spec::of::<Self>("hide", Access::Public).aliases(&["h"]);
        async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
            Ok(Reply::done())
        }
    }

    ferry_core::register!(Hide);

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What `work` logs, as text and as JSON.
    fn logged(work: impl Fn()) -> [String; 2] {
        let (text, json) = (Sink::default(), Sink::default());
        let (to_text, to_json) = (text.clone(), json.clone());
        let log = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || to_text.clone());
        tracing::subscriber::with_default(log.finish(), &work);
        let log = tracing_subscriber::fmt().json().with_writer(move || to_json.clone());
        tracing::subscriber::with_default(log.finish(), &work);
        [text, json].map(|sink| String::from_utf8(sink.0.lock().unwrap().clone()).unwrap())
    }

    /// The bytes of a MessagePack map of these arguments.
    fn asked(verb: &str, args: &impl serde::Serialize) -> Asked {
        let request = Request {
            id: 1,
            verb: verb.to_owned(),
            cwd: "/in".into(),
            body: None,
        };
        let args = rmp_serde::to_vec_named(args).unwrap();
        Asked::of(&Registry::linked().unwrap(), &Ask::Request(request), Some(&args))
    }

    const HOSTILE: &str = "a\n2030-01-01T00:00:00Z  INFO audit: \x1b[2J\" result=\"ok\" \u{202e}\r\u{9b}x";

    #[test]
    fn a_name_from_outside_breaks_no_line_and_forges_no_field() {
        let who = Who {
            user: HOSTILE,
            address: "192.0.2.1:5",
        };
        let refused = Err::<(), _>(Error::denied("no"));
        let lines = 4;
        let [text, json] = logged(|| {
            login(who, None, Some(ErrorKind::LoginRefused));
            account("password", HOSTILE, &refused);
            login_saved(who, "", &refused);
            let args = HashMap::from([("places", vec![HOSTILE])]);
            let who = Who { user: "alice", ..who };
            request(who, &asked("hide", &args), 0, &refused, 1);
        });
        assert_eq!((text.lines().count(), json.lines().count()), (lines, lines), "{text}{json}");
        for line in text.lines().chain(json.lines()) {
            assert!(line.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{line:?}");
            // The quote that would end the value is escaped, so what follows is inside it.
            assert!(
                !line.contains(r#" result="ok""#) && line.contains(r#"\" result=\"ok\""#),
                "{line}"
            );
        }
        for line in json.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let fields = line["fields"].as_object().unwrap();
            assert!(fields["result"] != "ok", "{line}");
            assert_eq!(line["target"], TARGET);
            let shown = fields.values().filter_map(|value| value.as_str());
            assert!(shown.flat_map(str::chars).all(|c| !c.is_control()), "{line}");
        }
    }

    #[test]
    fn a_request_is_told_with_its_path_and_without_its_secrets() {
        #[derive(serde::Serialize)]
        struct Args {
            secret: &'static str,
            places: Vec<&'static str>,
        }
        let args = Args {
            secret: "hunter2",
            places: vec!["one", "two"],
        };
        let who = Who {
            user: "alice",
            address: "127.0.0.1:9",
        };
        let [text, json] = logged(|| request(who, &asked("h", &args), 7, &Ok(()), 12));
        assert!(!text.contains("hunter2") && !json.contains("hunter2"));
        let line: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!({
            "audit": "request", "user": "alice", "address": "127.0.0.1:9", "verb": "hide", "cwd": "/in", "path": "one", "bytes": 7,
            "result": "ok", "ms": 12,
        });
        assert_eq!(line["fields"], expected);
        let fields =
            r#"audit="request" user="alice" address="127.0.0.1:9" verb="hide" cwd="/in" path="one" bytes=7 result="ok" ms=12"#;
        assert!(text.trim_end().ends_with(fields), "{text}");
    }

    #[test]
    fn what_cannot_be_read_is_told_as_far_as_it_goes() {
        let long = "v".repeat(70) + "\n";
        assert_eq!(asked(&long, &HashMap::<&str, u8>::new()).verb, "v".repeat(NAME_MAX_CHARS));
        let odd = HashMap::from([("places", 7)]);
        assert_eq!((&*asked("hide", &odd).verb, asked("hide", &odd).path.as_str()), ("hide", ""));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(
            (cut("a\u{e4}b", 2).as_str(), cut("ab", 9).as_str(), cut("", 0).as_str()),
            ("a", "ab", "")
        );
    }
}
