//! Patterns from the wire: what they match, and that none of them costs more than it should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferry_core::context::{Event, Inbound, Link};
use ferry_core::dispatch::{Env, dispatch};
use ferry_core::logins::{Logins, SavedLogin};
use ferry_core::store::{Entry, EntryKind, Home, Listing, Partial, ReadRequest, Source, Upload, UploadRequest, Usage, Version};
use ferry_core::verb::BoxFuture;
use ferry_core::wire::frame::{HEADER_BYTES, Kind};
use ferry_core::wire::guard::Map;
use ferry_core::wire::message::{Expand, Message as _};
use ferry_core::{Error, ErrorKind, HomePath, Registry, RemotePath, Result, User, Value, rt};

/// A home in which every folder has the same folders.
struct Mirrors {
    names: Vec<String>,
    lists: Arc<AtomicUsize>,
}

struct Once(Vec<Entry>);

impl Listing for Once {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>>> {
        Box::pin(async { Ok(std::mem::take(&mut self.0)) })
    }
}

fn folder(name: &[u8]) -> Entry {
    Entry {
        name: name.to_vec(),
        kind: EntryKind::Dir,
        size: 0,
        modified: 0,
        executable: false,
        version: Version::default(),
        digest: None,
    }
}

fn no<T: Send>() -> BoxFuture<'static, Result<T>> {
    Box::pin(async { Err(Error::unsupported("only looked at here")) })
}

struct NoLogins;

impl Logins for NoLogins {
    fn list(&self) -> BoxFuture<'_, Result<Vec<SavedLogin>>> {
        no()
    }
    fn revoke<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<()>> {
        no()
    }
}

impl Home for Mirrors {
    fn stat<'a>(&'a self, path: &'a HomePath) -> BoxFuture<'a, Result<Entry>> {
        Box::pin(async { Ok(folder(path.name().unwrap_or_default())) })
    }
    fn list<'a>(&'a self, _: &'a HomePath) -> BoxFuture<'a, Result<Box<dyn Listing>>> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let entries = self.names.iter().map(|name| folder(name.as_bytes())).collect();
        Box::pin(async { Ok(Box::new(Once(entries)) as Box<dyn Listing>) })
    }
    fn make_dir<'a>(&'a self, _: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        no()
    }
    fn remove_file<'a>(&'a self, _: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        no()
    }
    fn remove_dir<'a>(&'a self, _: &'a HomePath) -> BoxFuture<'a, Result<()>> {
        no()
    }
    fn rename<'a>(&'a self, _: &'a HomePath, _: &'a HomePath, _: bool) -> BoxFuture<'a, Result<()>> {
        no()
    }
    fn open(&self, _: ReadRequest) -> BoxFuture<'_, Result<Box<dyn Source>>> {
        no()
    }
    fn upload(&self, _: UploadRequest) -> BoxFuture<'_, Result<Box<dyn Upload>>> {
        no()
    }
    fn partials(&self) -> BoxFuture<'_, Result<Vec<Partial>>> {
        no()
    }
    fn remove_partial<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<()>> {
        no()
    }
    fn usage(&self) -> BoxFuture<'_, Result<Usage>> {
        no()
    }
}

#[derive(Default)]
struct Rows(Vec<String>);

impl Link for Rows {
    fn emit(&mut self, event: Event) -> BoxFuture<'_, Result<()>> {
        if let Event::Rows(rows) = event {
            let texts = rows.rows.into_iter().flatten().map(|value| match value {
                Value::Text(text) => text,
                other => panic!("{other:?} is no path"),
            });
            self.0.extend(texts);
        }
        Box::pin(async { Ok(()) })
    }
    fn receive(&mut self) -> BoxFuture<'_, Result<Inbound>> {
        no()
    }
}

/// What a pattern expands to in a home of such folders, and how many were listed.
fn expand(names: &[&str], pattern: &str) -> (Result<Vec<String>>, usize) {
    let lists = Arc::new(AtomicUsize::new(0));
    let home = Mirrors {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        lists: lists.clone(),
    };
    let env = Env {
        registry: Arc::new(Registry::linked().unwrap()),
        user: Arc::new(User::named("alice")),
        home: Arc::new(home),
        logins: Arc::new(NoLogins),
    };
    let ask = Expand {
        id: 1,
        pattern: pattern.into(),
        cwd: RemotePath::default(),
    };
    let mut frame = Vec::new();
    ask.encode(&mut frame).unwrap();
    let mut rows = Rows::default();
    let done = rt::block_on(dispatch(
        &env,
        Kind::Expand,
        &Map::check(&frame[HEADER_BYTES..]).unwrap(),
        &mut rows,
    ));
    (done.map(|_| rows.0), lists.load(Ordering::Relaxed))
}

#[test]
fn only_stars_marks_and_brackets_are_patterns() {
    let names = ["a", "b", "!a", "{a,b}", ".hidden"];
    for (pattern, want) in [
        ("*", vec!["!a", "a", "b", "{a,b}"]),
        ("!a", vec!["!a"]),
        ("{a,b}", vec!["{a,b}"]),
        ("[!a]/?", vec!["b/a", "b/b"]),
        (".*", vec![".hidden"]),
        ("/[ab]/../a", vec!["/a/../a", "/b/../a"]),
        ("nothing*", vec![]),
    ] {
        assert_eq!(expand(&names, pattern).0.unwrap(), want, "{pattern}");
    }
    assert_eq!(expand(&names, "../*").0.unwrap_err().kind, ErrorKind::Denied);
}

#[test]
fn a_pattern_that_matches_too_much_ends_before_it_is_gathered() {
    let names: Vec<String> = (0..5_000).map(|n| format!("folder-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (result, lists) = expand(&names, "*/*");
    assert_eq!(result.unwrap_err().kind, ErrorKind::TooLarge);
    assert!(lists < 10, "{lists} folders were listed to find out");
}

#[test]
fn a_pattern_that_goes_round_in_circles_does_not_grow_without_end() {
    let (result, lists) = expand(&[&"x".repeat(255)], &"*/../".repeat(10_000));
    assert_eq!(result.unwrap_err().kind, ErrorKind::BadPath);
    assert!(lists < 100, "{lists} folders were listed to find out");
}
