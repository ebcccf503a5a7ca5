//! Completion, for the arguments of which a verb proposes values itself.

use ferry_core::rt::block_on;
use ferry_core::{RemotePath, Value, VerbInfo};

use super::panic_of;
use crate::harness::Harness;
use crate::random::Random;

/// As many proposals as are ever sent for one word: whoever proposes so many has no bound of his own.
const TOO_MANY: usize = 500;
/// How many random words are tried.
const WORDS: usize = 50;

/// No word makes it panic, proposals are words, and nothing changes.
pub(super) fn check_completion(verb: &VerbInfo, harness: &dyn Fn() -> Harness, seed: u64, find: &mut dyn FnMut(String)) {
    let harness = harness().furnish().admin();
    harness.seed_partial("cut.txt", b"Begun and not finished.\n", 5);
    let before = (harness.state(), harness.usage());
    for arg in verb.args.iter().filter(|arg| arg.dynamic) {
        let mut random = Random::new(seed, &verb.name);
        let words = (0..WORDS).map(|nth| match nth {
            0 => RemotePath::default(),
            nth if nth % 10 == 0 => RemotePath(random.bytes()),
            _ => RemotePath(random.word().into_bytes()),
        });
        for word in words {
            let found = match block_on(harness.proposals(&verb.name, &arg.name, word.clone())) {
                Ok(output) => proposed(&output.column("word")),
                Err(error) => panic_of(&error).map(|text| format!("panics: {text}")),
            };
            if let Some(found) = found {
                find(format!("completion of `{}` behind `{word}` {found}", arg.name));
                break;
            }
        }
    }
    if before != (harness.state(), harness.usage()) {
        find("completion changed the home".into());
    }
}

/// What is wrong with proposals, if something is.
fn proposed(words: &[Value]) -> Option<String> {
    if words.len() >= TOO_MANY {
        return Some(format!("proposes {TOO_MANY} words or more: give the first few"));
    }
    words.iter().find_map(|word| {
        let Value::Text(text) = word else {
            return Some(format!("proposes what is no text: {word:?}"));
        };
        let shown = ferry_core::text::escape(text.as_bytes());
        (shown != *text).then(|| format!("proposes what a terminal would act on: `{shown}`"))
    })
}
