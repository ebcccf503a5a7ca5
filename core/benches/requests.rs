//! What a request costs inside a process, step by step: `cargo bench -p ferry-core --bench requests`.
#![allow(clippy::unwrap_used, reason = "a program for a developer's terminal; a failure ends it")]

use std::sync::Arc;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use ferry_core::context::{Event, Inbound, Link};
use ferry_core::dispatch::{Ask, Env};
use ferry_core::logins::{Logins, SavedLogin};
use ferry_core::verb::{BoxFuture, Registration};
use ferry_core::wire::frame::{HEADER_BYTES, Header, Kind, Stage};
use ferry_core::wire::guard::Map;
use ferry_core::wire::message::{Done, Message as _, Request};
use ferry_core::{Access, Algorithm, Context, Error, HomePath, Registry, RemotePath, Reply, Result, Spec, User, Verb, dispatch};
use ferry_testkit::MemoryStore;

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

ferry_core::args! {
    /// Does nothing with what it is given.
    pub(crate) struct Several {
        /// Some paths.
        paths: Vec<RemotePath>,
        /// A number.
        depth: Option<u32>,
        /// A switch.
        all: bool,
    }
}

impl Verb for Several {
    const SPEC: Spec = Spec::of::<Self>("several", Access::Public);
    async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
        black_box((self.paths, self.depth, self.all));
        Ok(Reply::done())
    }
}

/// The maps that requests for the two have as their arguments: `{}` and `{paths: [docs/a.txt, b], depth: 3, all: true}`.
const NOTHING: (&str, &[u8]) = ("nothing", b"\x80");
const SEVERAL: (&str, &[u8]) = ("several", b"\x83\xa5paths\x92\xaadocs/a.txt\xa1b\xa5depth\x03\xa3all\xc3");

struct Nowhere;

impl Link for Nowhere {
    fn emit(&mut self, _event: Event) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn receive(&mut self) -> BoxFuture<'_, Result<Inbound>> {
        Box::pin(async { Err(Error::unsupported("no body comes this way")) })
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

fn env() -> Env {
    let verbs = [
        Registration::of::<Nothing>("bench", "0.0.0", "here"),
        Registration::of::<Several>("bench", "0.0.0", "here"),
    ];
    Env {
        registry: Arc::new(Registry::of(verbs).unwrap()),
        user: Arc::new(User::named("alice")),
        home: MemoryStore::default().open("alice", None),
        logins: Arc::new(NoLogins),
    }
}

fn frame((verb, args): (&str, &[u8])) -> Vec<u8> {
    let request = Request {
        id: 70_000,
        verb: verb.into(),
        cwd: RemotePath::from("/"),
        body: None,
    };
    let mut frame = Vec::new();
    request.encode_with(args, &mut frame).unwrap();
    frame
}

/// The result of work that waits for nothing.
fn now_or_never<T>(work: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(work).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => None,
    }
}

fn main() {
    divan::main();
}

/// All of it: header, guard, decode, find, rights, arguments, run, encode.
#[divan::bench(args = [NOTHING, SEVERAL])]
fn request(bencher: Bencher<'_, '_>, asked: (&str, &[u8])) {
    let (env, frame, mut out) = (env(), frame(asked), Vec::with_capacity(1024));
    bencher.bench_local(move || {
        now_or_never(async {
            let (header, payload) = black_box(&frame).split_first_chunk::<HEADER_BYTES>().unwrap();
            let header = Header::read(*header, Stage::LoggedIn).unwrap();
            let map = Map::check(payload).unwrap();
            let done = dispatch(&env, header.kind.unwrap(), &map, &mut Nowhere).await.unwrap();
            out.clear();
            done.encode(&mut out).unwrap();
        })
        .unwrap();
    });
}

#[divan::bench(args = [NOTHING, SEVERAL])]
fn guard(bencher: Bencher<'_, '_>, asked: (&str, &[u8])) {
    let frame = frame(asked);
    bencher.bench(|| Map::check(black_box(&frame[HEADER_BYTES..])).unwrap());
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let frame = frame(NOTHING);
    let map = Map::check(&frame[HEADER_BYTES..]).unwrap();
    bencher.bench(|| Ask::decode(Kind::Request, black_box(&map)).unwrap());
}

#[divan::bench(args = [NOTHING, SEVERAL])]
fn dispatch_alone(bencher: Bencher<'_, '_>, asked: (&str, &[u8])) {
    let (env, frame) = (env(), frame(asked));
    let map = Map::check(&frame[HEADER_BYTES..]).unwrap();
    bencher.bench_local(|| {
        now_or_never(dispatch(&env, Kind::Request, &map, &mut Nowhere))
            .unwrap()
            .unwrap()
    });
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let (done, mut out) = (
        Done {
            id: 70_000,
            ..Done::default()
        },
        Vec::with_capacity(1024),
    );
    bencher.bench_local(move || {
        out.clear();
        black_box(&done).encode(&mut out).unwrap();
    });
}

#[divan::bench]
fn find(bencher: Bencher<'_, '_>) {
    let env = env();
    bencher.bench(|| {
        env.registry
            .resolve(black_box("nothing"), &env.user)
            .map(|entry| entry.info.name.len())
    });
}

#[divan::bench]
fn resolve_path(bencher: Bencher<'_, '_>) {
    let (cwd, path) = (HomePath::parse("/docs/2026").unwrap(), RemotePath::from("../photos/a.jpg"));
    bencher.bench(|| black_box(&path).resolve(&cwd).unwrap());
}

#[divan::bench(args = [Algorithm::Md5, Algorithm::Blake3])]
fn digest_of_a_kibibyte(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let bytes = [7; 1024];
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench(|| algorithm.digest(black_box(&bytes)));
}
