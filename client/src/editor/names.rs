//! Names that must be asked for, of the server or of the file system: asked beside the typing, with a deadline, and kept for a moment.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_channel::Sender;
use ferry_core::text::escape;
use ferry_core::wire::message::Complete;
use ferry_core::{RemotePath, rt};
use futures_lite::FutureExt as _;

use super::completion::split;
use crate::connection::Connection;
use crate::local;
use crate::request::Request;

/// How long an answer may take before nobody waits for it any more.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long an answer is good for: as long as somebody types one word.
const KEPT: Duration = Duration::from_secs(4);
/// The same for one that did not come.
const KEPT_EMPTY: Duration = Duration::from_secs(1);
/// The most answers that are kept.
const ANSWERS_MAX: usize = 64;
/// A server of ours sends so many words at most, so there may be more than these.
const FULL: usize = 500;
/// What is here already, or comes within this time, is shown without the detour of a wait. Short enough that no key is late for it.
const AT_ONCE: Duration = Duration::from_millis(10);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// What the server proposes for an argument.
    Server {
        /// The verb's name.
        verb: String,
        /// The argument's name.
        arg: String,
        /// The remote working folder.
        cwd: RemotePath,
        /// What the words begin with.
        word: String,
    },
    /// What is in a local folder.
    Local(PathBuf),
}

struct Answer {
    words: Arc<Vec<String>>,
    until: Instant,
}

struct Flight {
    keys: Vec<Key>,
    number: u64,
    /// Closed when nobody waits any more.
    _stop: Sender<()>,
}

#[derive(Default)]
struct State {
    connection: Weak<Connection>,
    changes: u64,
    answers: HashMap<Key, Answer>,
    flight: Option<Flight>,
    last_number: u64,
    has_landed: bool,
}

/// The names that are known, and those that are on their way.
#[derive(Default)]
pub(super) struct Names {
    state: Mutex<State>,
    landed: Condvar,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Names({} answers)", self.state().answers.len())
    }
}

/// How asking stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// Nothing is asked.
    Idle,
    /// An answer is on its way.
    Asking,
    /// One came since this was looked at last.
    Landed,
}

impl Names {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything when it is another connection than before, or something was changed since.
    pub(super) fn see(&self, connection: Option<&Arc<Connection>>, changes: u64) {
        let weak = connection.map_or_else(Weak::new, Arc::downgrade);
        let mut state = self.state();
        if state.changes != changes || !Weak::ptr_eq(&state.connection, &weak) {
            (state.connection, state.changes) = (weak, changes);
            state.answers.clear();
            state.flight = None;
        }
    }

    /// The words that are known for `key`, when they are.
    pub(super) fn known(&self, key: &Key) -> Option<Arc<Vec<String>>> {
        let state = self.state();
        let answer = state.answers.get(key).filter(|answer| answer.until > Instant::now());
        answer.map(|answer| answer.words.clone())
    }

    /// The words for paths that go on from `typed`: those of its folder, which serve for all that is typed of a name; of a folder with too
    /// many those that fit exactly. Otherwise what is to be asked.
    pub(super) fn paths(&self, key: impl Fn(String) -> Key, typed: &str) -> Result<Arc<Vec<String>>, Key> {
        let (folder, start) = split(typed);
        let dot = if start.starts_with('.') { "." } else { "" };
        let wide = key(format!("{folder}{dot}"));
        match self.known(&wide) {
            None => Err(wide),
            Some(words) if words.len() < FULL || start == dot => Ok(words),
            Some(_) => {
                let exact = key(typed.to_owned());
                self.known(&exact).ok_or(exact)
            }
        }
    }

    /// How asking stands; an answer is told of once.
    pub(super) fn stand(&self) -> Stand {
        let mut state = self.state();
        match (std::mem::take(&mut state.has_landed), &state.flight) {
            (true, _) => Stand::Landed,
            (false, Some(_)) => Stand::Asking,
            (false, None) => Stand::Idle,
        }
    }

    /// Nothing is waited for any more.
    pub(super) fn drop_flight(&self) {
        self.state().flight = None;
    }

    /// Asks, unless that is under way, and for nothing else any more. Gives whether the answer is there already.
    pub(super) fn ask(self: &Arc<Self>, keys: Vec<Key>, connection: Option<Arc<Connection>>) -> bool {
        let mut state = self.state();
        if state.flight.as_ref().is_some_and(|flight| flight.keys == keys) {
            return false;
        }
        let (stop, stopped) = async_channel::bounded::<()>(1);
        state.last_number += 1;
        let number = state.last_number;
        state.flight = Some(Flight {
            keys: keys.clone(),
            number,
            _stop: stop,
        });
        let names = self.clone();
        drop(rt::spawn(async move {
            let work = async {
                let mut found = Vec::new();
                for key in &keys {
                    found.push(fetch(key, connection.as_ref()).await);
                }
                Some(found)
            };
            let given_up = async {
                let _ = stopped.recv().await;
                None
            };
            let found = rt::timeout(DEADLINE, work.or(given_up)).await.ok().flatten();
            names.land(number, keys, found.unwrap_or_default());
        }));
        let waits = |state: &mut State| state.flight.as_ref().is_some_and(|flight| flight.number == number);
        let waited = self.landed.wait_timeout_while(state, AT_ONCE, waits);
        let (mut state, wait) = waited.unwrap_or_else(PoisonError::into_inner);
        // What is shown at once needs no second telling.
        state.has_landed &= wait.timed_out();
        !wait.timed_out()
    }

    fn land(&self, number: u64, keys: Vec<Key>, found: Vec<Option<Vec<String>>>) {
        let mut state = self.state();
        if state.flight.as_ref().is_none_or(|flight| flight.number != number) {
            return;
        }
        let now = Instant::now();
        if state.answers.len() >= ANSWERS_MAX {
            state.answers.clear();
        }
        let mut found = found.into_iter();
        for key in keys {
            let words = found.next().flatten();
            let until = now + if words.is_some() { KEPT } else { KEPT_EMPTY };
            let words = Arc::new(words.unwrap_or_default());
            state.answers.insert(key, Answer { words, until });
        }
        state.flight = None;
        state.has_landed = true;
        drop(state);
        self.landed.notify_all();
    }
}

pub(super) async fn fetch(key: &Key, connection: Option<&Arc<Connection>>) -> Option<Vec<String>> {
    match key {
        Key::Local(folder) => {
            let folder = folder.clone();
            rt::unblock(move || local_names(&folder)).await
        }
        Key::Server { verb, arg, cwd, word } => {
            let ask = Complete {
                id: 0,
                verb: verb.clone(),
                arg: arg.clone(),
                word: RemotePath::from(word.as_str()),
                cwd: cwd.clone(),
            };
            remote_names(connection?, ask).await
        }
    }
}

/// What the server proposes, of which only what can be typed and shown as it is.
pub(super) async fn remote_names(connection: &Connection, ask: Complete) -> Option<Vec<String>> {
    let words = Request::complete(connection, ask).await.ok()?.words().await.ok()?;
    let words = words.into_iter().filter_map(|word| String::from_utf8(word).ok());
    Some(words.filter(|word| is_fit(word)).collect())
}

/// What is in a local folder, by name; folders end in `/`.
pub(super) fn local_names(folder: &Path) -> Option<Vec<String>> {
    let entries = local::entries(folder).ok()?;
    let shown = |(name, kind): (std::ffi::OsString, std::fs::FileType)| {
        let name = name.to_str().filter(|name| is_fit(name))?;
        let is_folder = kind.is_dir() || (kind.is_symlink() && folder.join(OsStr::from_bytes(name.as_bytes())).is_dir());
        Some(format!("{name}{}", if is_folder { "/" } else { "" }))
    };
    Some(entries.into_iter().filter_map(shown).collect())
}

/// Whether a name can stand in the line as it is: nothing in it is invisible, moves the cursor or turns the text round.
fn is_fit(name: &str) -> bool {
    escape(name.as_bytes()) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names_are_found_and_those_that_would_play_tricks_are_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dir one")).unwrap();
        for name in [
            "data",
            ".dot",
            "-dash",
            "a\x1b[2Jb",
            "x\u{202e}gpj.exe",
            "zero\u{200b}width",
            "line\nbreak",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("dir one", folder.path().join("link")).unwrap();
        let found = local_names(folder.path()).unwrap();
        assert_eq!(found, ["-dash", ".dot", "data", "dir one/", "link/"]);
        assert_eq!(local_names(&folder.path().join("nothing")), None);
    }

    #[test]
    fn an_answer_serves_for_its_folder_until_something_is_changed() {
        let names = Arc::new(Names::default());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let key = || Key::Local(folder.path().to_owned());
        assert_eq!(names.known(&key()), None);
        names.ask(vec![key()], None);
        let start = Instant::now();
        while names.known(&key()).is_none() {
            assert!(start.elapsed() < Duration::from_secs(30));
            std::thread::yield_now();
        }
        let path = |typed: &str| names.paths(|_| key(), typed).map(|words| words.to_vec());
        assert_eq!(path("fi"), Ok(vec!["file".to_owned()]));
        names.see(None, 1);
        assert_eq!(path("fi"), Err(key()));
    }

    #[test]
    fn an_answer_to_what_nobody_asks_any_more_is_thrown_away() {
        let names = Names::default();
        let key = Key::Local("/".into());
        names.state().flight = Some(Flight {
            keys: vec![key.clone()],
            number: 2,
            _stop: async_channel::bounded(1).0,
        });
        names.land(1, vec![key.clone()], vec![Some(vec!["old".to_owned()])]);
        assert_eq!((names.known(&key), names.stand()), (None, Stand::Asking));
        names.land(2, vec![key.clone()], vec![Some(vec!["new".to_owned()])]);
        assert_eq!(names.known(&key).unwrap().to_vec(), ["new"]);
        assert_eq!((names.stand(), names.stand()), (Stand::Landed, Stand::Idle));
    }

    #[test]
    fn of_a_folder_with_too_many_names_those_that_fit_are_asked_for() {
        let names = Names::default();
        let key = |word: String| Key::Server {
            verb: "v".into(),
            arg: "a".into(),
            cwd: RemotePath::from("/"),
            word,
        };
        let put = |word: &str, words: Vec<String>| {
            let until = Instant::now() + Duration::from_secs(600);
            let words = Arc::new(words);
            names.state().answers.insert(key(word.into()), Answer { words, until });
        };
        assert_eq!(names.paths(key, "d/na").unwrap_err(), key("d/".into()));
        assert_eq!(names.paths(key, "d/.na").unwrap_err(), key("d/.".into()));
        put("d/", vec!["d/x".to_owned(); FULL]);
        assert_eq!(names.paths(key, "d/na").unwrap_err(), key("d/na".into()));
        assert_eq!(names.paths(key, "d/").unwrap().len(), FULL);
        put("d/na", vec!["d/name".to_owned()]);
        assert_eq!(names.paths(key, "d/na").unwrap().to_vec(), ["d/name"]);
    }
}
