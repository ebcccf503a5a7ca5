//! Requests inside one process, so many times over: `steps nothing 1000`, `steps file 100`. For `tests/tests/instructions.rs`, which counts what
//! one of them takes (valgrind), and for whoever wants to see where that goes: `valgrind --tool=callgrind target/debug/steps nothing 1000`.
//!
//! `nothing` is a verb that does nothing: header, guard, decode, find, rights, arguments, run, encode. `file` is the upload of a file of 4 KiB,
//! digest checked, into a home in memory: what a store does is measured elsewhere (`cargo bench -p ferry-store-local`), and valgrind knows no openat2.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a program for a developer's terminal; a failure ends it"
)]

use std::process::ExitCode;
use std::sync::Arc;

use ferry_core::context::{Event, Inbound, Link};
use ferry_core::dispatch::{Env, dispatch};
use ferry_core::logins::{Logins, SavedLogin};
use ferry_core::verb::{BoxFuture, Registration};
use ferry_core::wire::frame::{HEADER_BYTES, Header, Stage};
use ferry_core::wire::guard::Map;
use ferry_core::wire::message::{End, Message as _, Offer, Request};
use ferry_core::{Access, Algorithm, Chunk, Context, Error, Registry, RemotePath, Reply, Result, Spec, User, Verb};
use ferry_testkit::MemoryStore;
use ferry_tests::wire::upload_args;

ferry_core::args! {
    /// Does nothing.
    pub(crate) struct Nothing {}
}

impl Verb for Nothing {
    const SPEC: Spec = Spec::of::<Self>("nothing", Access::Public);
    async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
        Ok(Reply::done())
    }
}

/// A body that is there already, and nobody who listens.
struct Body(Vec<Inbound>);

impl Link for Body {
    fn emit(&mut self, _event: Event) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn receive(&mut self) -> BoxFuture<'_, Result<Inbound>> {
        Box::pin(async { self.0.pop().ok_or_else(|| Error::bad_request("the body has ended")) })
    }
}

struct NoLogins;

impl Logins for NoLogins {
    fn list(&self) -> BoxFuture<'_, Result<Vec<SavedLogin>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn revoke<'a>(&'a self, _id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Err(Error::not_found("no such login")) })
    }
}

/// What the server does with a frame, from its header to the answer's last byte.
async fn answer(env: &Env, frame: &[u8], body: Vec<Inbound>, out: &mut Vec<u8>) {
    let (header, payload) = frame.split_first_chunk::<HEADER_BYTES>().unwrap();
    let header = Header::read(*header, Stage::LoggedIn).unwrap();
    let map = Map::check(payload).unwrap();
    let done = dispatch(env, header.kind.unwrap(), &map, &mut Body(body)).await.unwrap();
    out.clear();
    done.encode(out).unwrap();
}

/// Runs work that waits for nothing, without a runtime whose own instructions would count.
fn at_once(work: impl Future<Output = ()>) {
    let poll = std::pin::pin!(work).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(poll.is_ready(), "nothing here waits");
}

fn frame(verb: &str, args: &[u8], body: Option<Offer>) -> Vec<u8> {
    let request = Request {
        id: 70_000,
        verb: verb.into(),
        cwd: RemotePath::from("/"),
        body,
    };
    let mut frame = Vec::new();
    request.encode_with(args, &mut frame).unwrap();
    frame
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, times] = &words[..] else {
        eprintln!("usage: steps nothing|file TIMES");
        return ExitCode::from(2);
    };
    let times: u32 = times.parse().unwrap();
    let verbs = match what.as_str() {
        "file" => ferry_tests::verbs::every().unwrap(),
        _ => Arc::new(Registry::of([Registration::of::<Nothing>("steps", "0.0.0", "here")]).unwrap()),
    };
    let env = Env {
        registry: verbs,
        user: Arc::new(User::named("alice")),
        home: MemoryStore::default().open("alice", None),
        logins: Arc::new(NoLogins),
    };
    let mut out = Vec::with_capacity(1024);
    let contents = ferry_tests::noise(4096, 1);
    let digest = Algorithm::Md5.digest(&contents);
    for number in 0..times {
        if what == "nothing" {
            at_once(answer(&env, &frame("nothing", b"\x80", None), Vec::new(), &mut out));
            continue;
        }
        let offer = Offer {
            size: Some(4096),
            modified: Some(1_700_000_000_000_000_000),
            fresh: true,
            eager: true,
            ..Offer::default()
        };
        let args = rmp_serde::to_vec_named(&upload_args(&format!("file-{number:06}"))).unwrap();
        let end = End {
            id: 0,
            size: 4096,
            digest,
        };
        let body = vec![Inbound::End(end), Inbound::Data(Chunk::from(&contents[..]))];
        at_once(answer(&env, &frame("upload", &args, Some(offer)), body, &mut out));
    }
    ExitCode::SUCCESS
}
