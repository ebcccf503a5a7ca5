//! The way between a verb and whoever asked: what goes out while it runs, and what comes in.

use crate::chunk::Chunk;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::verb::BoxFuture;
use crate::wire::message::{Begin, End, Problem, Progress, Rows};

/// What a verb sends while it runs.
///
/// ```
/// use ferry_core::Chunk;
/// use ferry_core::context::Event;
///
/// /// What a gateway without rows and progress has to pass on.
/// fn contents(event: &Event) -> Option<&[u8]> {
///     match event {
///         Event::Data(chunk) => Some(chunk),
///         Event::Begin(_) | Event::Rows(_) | Event::Problem(_) | Event::Progress(_) | Event::End(_) => None,
///     }
/// }
/// assert_eq!(contents(&Event::Data(Chunk::from(&b"abc"[..]))), Some(&b"abc"[..]));
/// ```
#[derive(Debug)]
pub enum Event {
    /// How the body starts.
    Begin(Begin),
    /// Some rows.
    Rows(Rows),
    /// One of several things went wrong.
    Problem(Problem),
    /// How far it is.
    Progress(Progress),
    /// Contents.
    Data(Chunk),
    /// The body is complete.
    End(End),
}

/// What a verb receives while it runs.
///
/// ```
/// use ferry_core::context::Inbound;
/// use ferry_core::wire::message::End;
/// use ferry_core::{Algorithm, Chunk};
///
/// let body = b"abc";
/// let end = End { id: 0, size: 3, digest: Algorithm::Md5.digest(body) };
/// let sent = [Inbound::Data(Chunk::from(&body[..])), Inbound::End(end)];
/// let is_end = |inbound: &Inbound| matches!(inbound, Inbound::End(_));
/// assert!(!is_end(&sent[0]) && is_end(&sent[1]), "a body is any number of chunks, and its end");
/// ```
#[derive(Debug)]
pub enum Inbound {
    /// Contents.
    Data(Chunk),
    /// The body is complete.
    End(End),
}

/// The way to whoever asked: a connection, or a test. Ids in events are filled in on the other side.
///
/// ```
/// use std::sync::Arc;
///
/// use ferry_core::context::{Event, Inbound, Link};
/// use ferry_core::dispatch::Env;
/// use ferry_core::logins::{Logins, SavedLogin};
/// use ferry_core::verb::{BoxFuture, Registration};
/// use ferry_core::wire::Map;
/// use ferry_core::wire::frame::{HEADER_BYTES, Kind};
/// use ferry_core::wire::message::Request;
/// use ferry_core::{Access, Context, Error, RemotePath, Registry, Reply, Result, Spec, User, Verb, dispatch, rt};
///
/// /// A gateway that passes nothing on but the last word.
/// struct Nowhere;
/// impl Link for Nowhere {
///     fn emit(&mut self, _event: Event) -> BoxFuture<'_, Result<()>> {
///         Box::pin(async { Ok(()) })
///     }
///     fn receive(&mut self) -> BoxFuture<'_, Result<Inbound>> {
///         Box::pin(async { Err(Error::unsupported("no body comes this way")) })
///     }
/// }
/// # struct NoLogins;
/// # impl Logins for NoLogins {
/// #     fn list(&self) -> BoxFuture<'_, Result<Vec<SavedLogin>>> {
/// #         Box::pin(async { Ok(Vec::new()) })
/// #     }
/// #     fn revoke<'a>(&'a self, _id: &'a str) -> BoxFuture<'a, Result<()>> {
/// #         Box::pin(async { Err(Error::not_found("no such login")) })
/// #     }
/// # }
/// # ferry_core::args! {
/// #     /// Says hello.
/// #     pub struct Hello {}
/// # }
/// # impl Verb for Hello {
/// #     const SPEC: Spec = Spec::of::<Self>("hello", Access::Public);
/// #     async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
/// #         Ok(Reply::text(format!("hello, {}", ctx.user().name)))
/// #     }
/// # }
///
/// let env = Env {
///     registry: Arc::new(Registry::of([Registration::of::<Hello>("ferry-hello", "1.0.0", "here")])?),
///     user: Arc::new(User::named("alice")),
///     home: ferry_testkit::MemoryStore::default().open("alice", None),
///     logins: Arc::new(NoLogins),
/// };
/// let request = Request { id: 1, verb: "hello".into(), cwd: RemotePath::from("/"), body: None };
/// let mut frame = Vec::new();
/// request.encode_with(&[0x80], &mut frame)?; // no arguments: an empty map
/// let map = Map::check(&frame[HEADER_BYTES..])?;
/// let done = rt::block_on(dispatch(&env, Kind::Request, &map, &mut Nowhere))?;
/// assert_eq!(done.text.as_deref(), Some("hello, alice"));
/// # Ok::<(), Error>(())
/// ```
pub trait Link: Send + Sync {
    /// Sends an event; waits while the other side has no room.
    fn emit(&mut self, event: Event) -> BoxFuture<'_, Result<()>>;

    /// Sends the last event of a verb that has ended well, whose answer follows at once: a link may keep it, and send both together.
    fn emit_last(&mut self, event: Event) -> BoxFuture<'_, Result<()>> {
        self.emit(event)
    }

    /// Waits for what comes next.
    fn receive(&mut self) -> BoxFuture<'_, Result<Inbound>>;
}

/// Checks the sender's last word against what came.
///
/// ```
/// use ferry_core::Algorithm;
/// use ferry_core::context::check_end;
/// use ferry_core::wire::message::End;
///
/// let md5 = |bytes: &[u8]| Algorithm::Md5.digest(bytes);
/// let end = End { id: 0, size: 3, digest: md5(b"abc") };
/// assert!(check_end(&end, 3, md5(b"abc")).is_ok());
/// assert!(check_end(&end, 3, md5(b"abd")).is_err());
/// ```
///
/// # Errors
/// `digest_mismatch`.
pub fn check_end(end: &End, size: u64, digest: Digest) -> Result<()> {
    if end.size == size && end.digest == digest {
        return Ok(());
    }
    let text = format!(
        "the contents are not what was sent: {size} bytes with {digest}, announced {} with {}",
        end.size, end.digest
    );
    Err(Error::new(ErrorKind::DigestMismatch, text).hint("try again; what fails again is damaged where it comes from"))
}
