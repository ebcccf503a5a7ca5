//! Random calls: whatever arguments come, a verb does not panic, comes back, and stays where it belongs.

use std::sync::Arc;
use std::time::Duration;

use ferry_core::rt::{block_on, timeout};
use ferry_core::{Access, Body, Spec, User, VerbInfo};

use super::{panic_of, run_example};
use crate::harness::Harness;
use crate::memory::MemoryStore;
use crate::random::Random;

/// How long one call may take, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is left of the quota beside what is in the home at first, in bytes.
const LEFT_BYTES: u64 = 200;
/// How many calls the neighbour makes first.
const NEIGHBOURS_CALLS: usize = 10;

impl Harness {
    /// Calls a verb so many times with random arguments, and gives what is wrong with it: that it panics or does not come back, takes
    /// the home past its quota, or changes something though it may only read. Nothing is what you want.
    ///
    /// Arguments are sometimes what the verb takes and sometimes not: paths that lead out of the home in many spellings, NUL and control
    /// characters, what is no UTF-8, patterns, long texts, numbers at the edges of types, values inside values. They follow from `seed`
    /// and the verb's name alone, and a finding tells the seed.
    ///
    /// # Panics
    /// When there is no such verb.
    ///
    /// ```
    /// use ferry_testkit::{Harness, example::Write};
    ///
    /// let harness = Harness::of::<Write>().furnish();
    /// assert!(harness.random_calls("write", 100, 7).is_empty());
    /// ```
    #[track_caller]
    pub fn random_calls(&self, verb: &str, calls: usize, seed: u64) -> Vec<String> {
        let env = self.env();
        let Some(verb) = env.registry.find(verb).map(|entry| &entry.info) else {
            panic!("no verb is called `{verb}`");
        };
        let is_read = matches!(verb.access, Access::Public | Access::Read);
        let before = is_read.then(|| self.state());
        let mut random = Random::new(seed, &verb.name);
        for call in 1..=calls {
            let again = || format!("(call {call}; FERRY_SEED={seed} FERRY_RANDOM={calls} repeats it)");
            let args = random.args(verb);
            let called = block_on(timeout(PATIENCE, async {
                match verb.body {
                    Body::In => self.call_raw_with_body(&verb.name, &args, random.body()).await,
                    Body::Out | Body::None => self.call_raw(&verb.name, &args).await,
                }
            }));
            let Ok(called) = called else {
                return vec![format!("did not come back for {PATIENCE:?} {}", again())];
            };
            if let Some(text) = called.err().as_ref().and_then(panic_of) {
                return vec![format!("random arguments broke it: {text} {}", again())];
            }
            let usage = self.usage();
            let taken = usage.used.saturating_add(usage.reserved);
            if let Some(limit) = usage.limit.filter(|limit| taken > *limit) {
                return vec![format!("took the home past its quota: {taken} bytes of {limit} {}", again())];
            }
        }
        match before {
            Some(before) if before != self.state() => {
                vec![format!(
                    "may only read and changed the home (FERRY_SEED={seed} FERRY_RANDOM={calls} repeats it)"
                )]
            }
            _ => Vec::new(),
        }
    }
}

/// Random calls in a home of a small quota, beside a neighbour's who used the verb before.
pub(super) fn check_random_calls(
    verb: &VerbInfo,
    spec: &Spec,
    harness: &dyn Fn() -> Harness,
    (calls, seed): (usize, u64),
    find: &mut dyn FnMut(String),
) {
    let store = Arc::new(MemoryStore::default());
    let bob = harness().user(User::named("bob")).on(store.clone()).furnish().admin();
    for example in spec.examples {
        // Whether it works is another rule's business.
        let _ = block_on(run_example(verb, example, &bob));
    }
    let found = bob.random_calls(&verb.name, NEIGHBOURS_CALLS, seed.wrapping_add(1));
    if !found.is_empty() {
        return found.into_iter().for_each(find);
    }
    let before = (bob.state(), bob.usage());
    let alice = harness().on(store).furnish().admin();
    let limit = alice.usage().used + LEFT_BYTES;
    let alice = alice.quota(limit);
    alice.random_calls(&verb.name, calls, seed).into_iter().for_each(&mut *find);
    if before != (bob.state(), bob.usage()) {
        find(format!(
            "reached into another user's home (FERRY_SEED={seed} FERRY_RANDOM={calls} repeats it)"
        ));
    }
}
