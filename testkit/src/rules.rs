//! What holds for every verb: run over a whole registry, so that it covers verbs written later too.

mod calls;
mod cancel;
mod catalog;
mod complete;
mod decode;
mod faults;
mod words;

use std::sync::Arc;

use ferry_core::rt::block_on;
use ferry_core::{Access, Body, Error, ErrorKind, Example, Registry, Result, Spec, VerbInfo};

use crate::harness::Harness;
use crate::output::Output;
use crate::random;

/// What the body of an example is.
const EXAMPLE_BODY: &[u8] = b"Contents of an example.\n";

/// Checks every verb that is linked into the calling test against [`registry_rules`].
///
/// # Panics
/// When one breaks a rule, naming all findings; also when the registry cannot be built.
///
/// ```
/// # use ferry_core::{Access, Context, Reply, Result, Spec, Verb};
/// # ferry_core::args! {
/// #     /// Says hello.
/// #     pub struct Hello {}
/// # }
/// # impl Verb for Hello {
/// #     const SPEC: Spec = Spec::of::<Self>("hello", Access::Public);
/// #     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
/// #         Ok(Reply::text("hello"))
/// #     }
/// # }
/// ferry_core::register!(Hello);
///
/// // In a binary's tests: whatever it links.
/// ferry_testkit::check_linked();
/// ```
#[track_caller]
pub fn check_linked() {
    match Registry::linked() {
        Ok(registry) => {
            assert!(!registry.entries().is_empty(), "no verb is linked into this test");
            let findings = registry_rules(&Arc::new(registry));
            assert!(findings.is_empty(), "\n{}", findings.join("\n"));
        }
        Err(error) => panic!("{error}"),
    }
}

/// Checks every verb of a registry and gives all findings; none is what you want.
///
/// - **What is said of it.** A verb is documented, and so is each argument; its arguments can be told apart and are in an order that a
///   command line can fill; the roles of a transfer are complete. All of it fits into a frame, comes through the wire and through JSON
///   as it was, and its help is plain text.
/// - **Arguments.** One that must be given and is not, one that it does not have, and a value of another type are each refused with
///   `bad_request`, before anything is done.
/// - **Rights.** A verb that writes is refused to those who may only read. What may only read changes nothing.
/// - **Examples.** Every one works in the [standard home](Harness::furnish).
/// - **Completion.** Proposals are words without control characters, not hundreds of them, whatever is typed; asking changes nothing.
/// - **Random calls.** [Whatever arguments come](Harness::random_calls), it does not panic, comes back, stays within the quota and leaves
///   another user's home alone. `FERRY_RANDOM` says how many calls (100), `FERRY_SEED` repeats the choices of a finding.
/// - **Cancelling.** Wherever an example (or the bare verb, when it has none) is cancelled, nothing stays reserved but for an upload that its user can go on with.
/// - **Faults.** Whichever call of the store fails during an example, it does not panic, and does not say that it worked when it did not.
///
/// ```
/// use ferry_core::{Registry, verb::Registration};
/// use ferry_testkit::{example::Write, registry_rules};
///
/// let registry = Registry::of([Registration::of::<Write>("my-crate", "1.0.0", "here")]).unwrap();
/// assert!(registry_rules(&registry.into()).is_empty());
/// ```
pub fn registry_rules(registry: &Arc<Registry>) -> Vec<String> {
    let (calls, seed) = (random::calls(), random::seed());
    let mut findings = Vec::new();
    let harness = || Harness::with(registry.clone());
    for entry in registry.entries() {
        let (verb, spec) = (&entry.info, entry.command.spec());
        let mut find = |finding: String| findings.push(format!("{}: {finding}", verb.name));
        words::check_words(verb, &mut find);
        words::check_order(verb, &mut find);
        words::check_roles(verb, &mut find);
        catalog::check_catalog(verb, &mut find);
        check_access(verb, &harness, &mut find);
        check_examples(verb, spec.examples, &harness, &mut find);
        decode::check_decoding(verb, &harness, &mut find);
        complete::check_completion(verb, &harness, seed, &mut find);
        calls::check_random_calls(verb, spec, &harness, (calls, seed), &mut find);
        cancel::check_cancelling(verb, spec, &harness, &mut find);
        faults::check_faults(verb, spec, &harness, &mut find);
    }
    findings
}

/// What writes is refused to those who may only read, before its arguments are looked at.
fn check_access(verb: &VerbInfo, harness: &dyn Fn() -> Harness, find: &mut dyn FnMut(String)) {
    let harness = match verb.access {
        Access::Write => harness().read_only(),
        // For everybody else an administrator's verb does not exist.
        Access::Admin => harness(),
        Access::Public | Access::Read => return,
    };
    let refused = if verb.access == Access::Admin {
        ErrorKind::UnknownVerb
    } else {
        ErrorKind::Denied
    };
    match block_on(harness.call_raw(&verb.name, &[0x80])) {
        Err(error) if error.kind == refused => {}
        other => find(format!("is not refused to a user without the right: {:?}", other.err())),
    }
}

async fn run_example(verb: &VerbInfo, example: &Example, harness: &Harness) -> Result<Output> {
    match verb.body {
        Body::In => {
            harness
                .run_with_body(example.line, example.body.unwrap_or(EXAMPLE_BODY))
                .await
        }
        Body::Out | Body::None => harness.run(example.line).await,
    }
}

/// Every example works in the standard home.
fn check_examples(verb: &VerbInfo, examples: &[Example], harness: &dyn Fn() -> Harness, find: &mut dyn FnMut(String)) {
    for example in examples {
        let line = example.line;
        match block_on(run_example(verb, example, &harness().furnish().admin())) {
            Ok(output) if output.problems.is_empty() => {}
            Ok(output) => find(format!("the example `{line}` has problems: {}", output.problems[0].message)),
            Err(error) => find(format!("the example `{line}` failed: {}: {error}", error.kind)),
        }
    }
}

/// The examples that work, or the verb's name alone when it has none: what can be cancelled and disturbed. Examples that do not work are
/// found elsewhere.
fn working(verb: &VerbInfo, spec: &Spec, harness: &dyn Fn() -> Harness) -> Vec<Example> {
    let works = |example: &Example| block_on(run_example(verb, example, &harness().furnish().admin())).is_ok();
    let bare = spec.examples.is_empty().then(|| Example::new(spec.name, ""));
    spec.examples.iter().copied().chain(bare).filter(works).collect()
}

/// What a panic said, when this is one: dispatch answers it so, with its text as the cause.
fn panic_of(error: &Error) -> Option<String> {
    let broke_down = error.kind == ErrorKind::Internal && error.message == "the verb broke down";
    broke_down.then(|| error.source.as_ref().map(ToString::to_string).unwrap_or_default())
}
