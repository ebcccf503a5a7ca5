//! Faults: whichever call of the store fails, a verb neither panics nor says that it worked when it did not.

use std::io;

use ferry_core::rt::block_on;
use ferry_core::store::EntryKind;
use ferry_core::{HomePath, Spec, VerbInfo};

use super::{panic_of, run_example, working};
use crate::harness::Harness;
use crate::output::Output;

/// At how many calls of the store, one after the other, a fault is tried.
const CALLS: u64 = 60;
/// What goes wrong. Neither is one that a verb may take for an answer, such as that nothing is there.
const FAULTS: [io::ErrorKind; 2] = [io::ErrorKind::StorageFull, io::ErrorKind::PermissionDenied];

/// Lets each of the first calls of each example fail.
pub(super) fn check_faults(verb: &VerbInfo, spec: &Spec, harness: &dyn Fn() -> Harness, find: &mut dyn FnMut(String)) {
    for example in &working(verb, spec, harness) {
        let line = example.line;
        let sound = harness().furnish().admin();
        let _ = block_on(run_example(verb, example, &sound));
        let (calls, should_be) = (sound.store_calls(), sound.state());
        'faults: for nth in 1..=calls.min(CALLS) {
            for kind in FAULTS {
                let harness = harness().furnish().admin().store_fails_at(nth, kind);
                let found = match block_on(run_example(verb, example, &harness)) {
                    Err(error) => panic_of(&error).map(|text| format!("it panics: {text}")),
                    Ok(output) if !output.problems.is_empty() => None,
                    Ok(output) => missing(&output, &harness)
                        .or_else(|| (harness.state() != should_be).then(|| "it says that it worked, and it did not".to_owned())),
                };
                if let Some(found) = found {
                    find(format!("`{line}`: when call {nth} of the store fails ({kind:?}), {found}"));
                    break 'faults;
                }
            }
        }
    }
}

/// A file that was acknowledged and is not there.
fn missing(output: &Output, harness: &Harness) -> Option<String> {
    let file = output.file.as_ref()?;
    let place = file.path.resolve(&HomePath::root()).ok()?;
    let there = block_on(harness.guarded().stat(&place));
    match there {
        Ok(entry) if entry.kind != EntryKind::File || entry.size == file.size => None,
        _ => Some(format!("it acknowledges {place}, which is not there as it says")),
    }
}
