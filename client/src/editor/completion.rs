//! What the editor proposes for the word at the cursor. It never waits for the network: what is not known is asked for beside the typing,
//! and the menu opens when the answer comes and the line is still the same.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferry_core::text::escape;
use reedline::{Completer, CompletionResult, CompletionStatus, Partial, Span, Suggestion};

use super::names::{Key, Names, Stand};
use super::parts::write;
use super::sources::{Asked, Source, ask};
use super::{Place, lock};

/// The most words that are shown.
const SHOWN_MAX: usize = 500;
/// An answer that is on the screen stays the answer for this long after it was looked at last, so that choosing from it is no race.
const PINNED: Duration = Duration::from_secs(30);

/// How often the next thing may be asked in a row.
const ROUNDS: usize = 3;

/// What is to be told about a completion, for the line that it is about.
pub(super) type Told = Arc<Mutex<Option<(String, &'static str)>>>;

/// An answer is on its way.
const ASKING: &str = "…";
/// There is no word that goes on from what is typed.
const NOTHING: &str = "(nothing fits)";

/// Completes lines of the shell.
#[derive(Debug)]
pub(super) struct Completion {
    place: Arc<Mutex<Place>>,
    names: Arc<Names>,
    told: Told,
    pinned: Option<Pinned>,
}

#[derive(Debug)]
struct Pinned {
    line: String,
    lines: u64,
    looked_at: Instant,
    result: CompletionResult,
}

/// A word that may stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposal {
    pub word: String,
    about: String,
    /// What is shown of it.
    shown: String,
    is_complete: bool,
}

impl Completion {
    /// Completion for the session that keeps `place` up to date.
    pub(super) fn new(place: Arc<Mutex<Place>>, told: Told) -> Self {
        Self {
            place,
            names: Arc::default(),
            told,
            pinned: None,
        }
    }

    /// What is known, or what has to be asked for.
    fn look(&self, place: &Place, asked: &Asked) -> Result<Vec<Proposal>, Vec<Key>> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        let is_mixed = asked.sources.len() > 1;
        for source in &asked.sources {
            match self.of_source(place, source, &asked.typed, is_mixed) {
                Ok(proposals) => found.extend(proposals),
                Err(key) => missing.push(key),
            }
        }
        found.truncate(SHOWN_MAX);
        if missing.is_empty() { Ok(found) } else { Err(missing) }
    }

    fn of_source(&self, place: &Place, source: &Source, typed: &str, is_mixed: bool) -> Result<Vec<Proposal>, Key> {
        let about = |side: &'static str| if is_mixed { side } else { "" };
        match source {
            Source::Words(words) => {
                let fitting = words.iter().filter(|(word, _)| word.starts_with(typed));
                let proposal = |(word, about): &(String, String)| Proposal {
                    word: word.clone(),
                    about: about.clone(),
                    shown: escape(word.as_bytes()),
                    is_complete: true,
                };
                Ok(fitting.map(proposal).collect())
            }
            Source::Local { folders_only } => {
                let (folder, _) = split(typed);
                let key = Key::Local(place.local.join(folder));
                let names = self.names.known(&key).ok_or(key)?;
                let words = names.iter().filter(|name| !folders_only || name.ends_with('/'));
                Ok(paths(words.map(|name| format!("{folder}{name}")), typed, about("here")))
            }
            Source::Server { .. } if place.open().is_none() => Ok(Vec::new()),
            Source::Server { verb, arg, is_path } => {
                let key = |word: String| Key::Server {
                    verb: verb.clone(),
                    arg: arg.clone(),
                    cwd: place.cwd.clone(),
                    word,
                };
                let words = match is_path {
                    true => self.names.paths(key, typed)?,
                    false => {
                        let key = key(typed.to_owned());
                        self.names.known(&key).ok_or(key)?
                    }
                };
                Ok(paths(words.iter().cloned(), typed, about("on the server")))
            }
        }
    }

    fn tell(&self, line: &str, what: Option<&'static str>) {
        *lock(&self.told) = what.map(|what| (line.to_owned(), what));
    }

    fn answer(&mut self, place: &Place, before: &str) -> CompletionResult {
        let asked = ask(&place.verbs, before);
        let open = place.open();
        let mut looked = self.look(place, &asked);
        // What comes at once may tell that something else has to be asked.
        for _ in 0..ROUNDS {
            match &looked {
                Err(missing) if self.names.ask(missing.clone(), open.clone()) => looked = self.look(place, &asked),
                _ => break,
            }
        }
        let proposals = looked.ok();
        if proposals.is_some() {
            self.names.drop_flight();
        }
        let Some(proposals) = proposals else {
            self.tell(before, Some(ASKING));
            return CompletionResult::Pending;
        };
        self.tell(before, proposals.is_empty().then_some(NOTHING));
        result(&asked, proposals, before)
    }
}

/// The folder that stands in a path, and the name behind it.
pub(super) fn split(typed: &str) -> (&str, &str) {
    typed.split_at(typed.rfind('/').map_or(0, |slash| slash + 1))
}

/// Paths as proposals. One that looks like an option is written so that it is none.
pub(super) fn paths(words: impl Iterator<Item = String>, typed: &str, about: &str) -> Vec<Proposal> {
    let (folder, start) = split(typed);
    let is_hidden = |word: &str| word[folder.len()..].starts_with('.') && !start.starts_with('.');
    let fitting = words.filter(|word| word.starts_with(typed) && !is_hidden(word));
    let proposal = |word: String| Proposal {
        shown: word[folder.len()..].to_owned(),
        is_complete: !word.ends_with('/'),
        word: if typed.is_empty() && word.starts_with('-') {
            format!("./{word}")
        } else {
            word
        },
        about: about.to_owned(),
    };
    fitting.map(proposal).collect()
}

fn result(asked: &Asked, proposals: Vec<Proposal>, before: &str) -> CompletionResult {
    let span = Span::new(asked.start.min(before.len()), before.len());
    let shared = proposals.iter().map(|proposal| proposal.word.as_str()).reduce(|one, other| {
        let same = one.char_indices().zip(other.chars()).find(|((_, a), b)| a != b);
        &one[..same.map_or(one.len().min(other.len()), |((at, _), _)| at)]
    });
    // The part that all share goes into the line in the manner in which the word was begun; without one the line stays as it is.
    let insert = match shared {
        Some(shared) if shared.len() > asked.typed.len() && shared.starts_with(&asked.typed) => {
            write(shared, asked.manner, false)
        }
        _ => before[span.start..].to_owned(),
    };
    let suggest = |proposal: Proposal| Suggestion {
        value: write(&proposal.word, asked.manner, proposal.is_complete),
        display_override: Some(proposal.shown),
        description: Some(escape(proposal.about.as_bytes())).filter(|about| !about.is_empty()),
        span,
        append_whitespace: proposal.is_complete,
        ..Suggestion::default()
    };
    let suggestions: Vec<Suggestion> = proposals.into_iter().map(suggest).collect();
    CompletionResult::fresh(suggestions).with_partial(Some(Partial { span, insert }))
}

impl Completer for Completion {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let before = line.get(..pos).unwrap_or(line);
        let place = lock(&self.place).clone();
        if let Some(pinned) = &mut self.pinned
            && (pinned.line.as_str(), pinned.lines) == (before, place.lines)
            && pinned.looked_at.elapsed() < PINNED
        {
            pinned.looked_at = Instant::now();
            return pinned.result.clone();
        }
        self.names.see(place.open().as_ref(), place.changes);
        let result = self.answer(&place, before);
        self.pinned = (!result.suggestions().is_empty()).then(|| Pinned {
            line: before.to_owned(),
            lines: place.lines,
            looked_at: Instant::now(),
            result: result.clone(),
        });
        result
    }

    fn poll_completion(&mut self) -> CompletionStatus {
        match self.names.stand() {
            Stand::Idle => CompletionStatus::Idle,
            Stand::Asking => CompletionStatus::Pending,
            Stand::Landed => CompletionStatus::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sources::tests::verbs;
    use super::*;

    fn completion(local: &std::path::Path) -> Completion {
        let place = Place {
            verbs: Arc::new(verbs()),
            local: local.to_owned(),
            ..Place::default()
        };
        Completion::new(Arc::new(Mutex::new(place)), Told::default())
    }

    /// What a line becomes, and what is proposed, once the answer is there.
    fn completed(completion: &mut Completion, line: &str) -> (String, Vec<String>) {
        let start = Instant::now();
        loop {
            match completion.complete(line, line.len()) {
                CompletionResult::Pending => assert!(start.elapsed() < Duration::from_secs(30)),
                result => {
                    let partial = result.partial().unwrap();
                    let words = result.suggestions().iter().map(|s| s.value.clone()).collect();
                    return (format!("{}{}", &line[..partial.span.start], partial.insert), words);
                }
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_all_share_is_written_in_the_quotes_that_were_begun() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["my one", "my other", "it's"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("a dir")).unwrap();
        let mut completion = completion(folder.path());
        let mut of = |line: &str| completed(&mut completion, line);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(of("send m"), ("send my\\ o".into(), words(&["my\\ one", "my\\ other"])));
        assert_eq!(of("send 'm"), ("send 'my o".into(), words(&["'my one'", "'my other'"])));
        assert_eq!(
            of("send \"my o"),
            ("send \"my o".into(), words(&["\"my one\"", "\"my other\""]))
        );
        assert_eq!(of("send i").1, ["it\\'s"]);
        assert_eq!(of("send 'it").1, [r"'it'\''s'"]);
        // A folder is gone on from, so its quote stays open.
        assert_eq!(of("send 'a").1, ["'a dir/"]);
        assert_eq!(of("send 'a dir/").1, Vec::<String>::new());
        assert_eq!(lock(&completion.told).as_ref().map(|told| told.1), Some(NOTHING));
        assert_eq!(completed(&mut completion, "lcd ").1, ["a\\ dir/"]);
    }

    #[test]
    fn what_looks_like_an_option_or_is_hidden_is_handled_with_care() {
        let proposals = |typed| -> Vec<String> {
            let words = ["-dash", ".dot", "data"].map(str::to_owned).into_iter();
            paths(words, typed, "").into_iter().map(|proposal| proposal.word).collect()
        };
        assert_eq!(proposals(""), ["./-dash", "data"]);
        assert_eq!(proposals("."), [".dot"]);
        let below = paths(["d/.x".to_owned(), "d/y".to_owned()].into_iter(), "d/", "");
        assert_eq!((below.len(), below[0].shown.as_str()), (1, "y"));
    }

    #[test]
    fn without_a_connection_the_server_is_not_asked() {
        let folder = tempfile::tempdir().unwrap();
        let mut completion = completion(folder.path());
        assert_eq!(
            completed(&mut completion, "send --rename x"),
            ("send --rename x".into(), vec![])
        );
        assert_eq!(completed(&mut completion, "sen").0, "send");
    }
}
