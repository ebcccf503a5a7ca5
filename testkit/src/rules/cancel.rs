//! Cancelling: a call that is dropped wherever it waits leaves nothing behind that its user cannot see.

use ferry_core::rt::block_on;
use ferry_core::{Access, Body, Spec, VerbInfo};
use futures_lite::future::poll_once;

use super::{run_example, working};
use crate::harness::Harness;

/// At how many pauses, one after the other, each example is cancelled.
const PAUSES: u32 = 60;

/// Drops each example at each of its first pauses. There is one before each call of the store and each event.
pub(super) fn check_cancelling(verb: &VerbInfo, spec: &Spec, harness: &dyn Fn() -> Harness, find: &mut dyn FnMut(String)) {
    for example in &working(verb, spec, harness) {
        let line = example.line;
        for pause in 1..=PAUSES {
            let harness = harness().furnish().admin();
            let before = harness.state();
            harness.faults().plan().pauses = true;
            let is_done = block_on(async {
                let mut call = Box::pin(run_example(verb, example, &harness));
                for _ in 0..pause {
                    if poll_once(&mut call).await.is_some() {
                        return true;
                    }
                }
                false
            });
            if let Some(found) = left_behind(verb, &harness, (!is_done).then_some(&before)) {
                let when = if is_done {
                    "done".to_owned()
                } else {
                    format!("cancelled at pause {pause}")
                };
                find(format!("`{line}`, {when}, {found}"));
                break;
            }
            if is_done {
                break;
            }
        }
    }
}

/// What is not as it should be after a call; `before` is the home's state, when nothing was to be done.
fn left_behind(verb: &VerbInfo, harness: &Harness, before: Option<&State>) -> Option<String> {
    let partials = block_on(harness.guarded().partials()).unwrap_or_default();
    // What its sender can go on with is what he asked for. Nobody can go on with what a verb without a body began.
    let resumable: u64 = match verb.body {
        Body::In => partials.iter().filter_map(|partial| partial.size).sum(),
        Body::Out | Body::None => 0,
    };
    let usage = harness.usage();
    if usage.reserved != resumable {
        let left = usage.reserved.abs_diff(resumable);
        return Some(format!(
            "leaves {left} bytes reserved by an upload that nobody can go on with"
        ));
    }
    match block_on(harness.store().check(harness.owner(), false)) {
        Ok(check) if !check.is_right() => return Some(format!("leaves a wrong count: {check:?}")),
        _ => {}
    }
    let may_only_read = matches!(verb.access, Access::Public | Access::Read);
    (may_only_read && before.is_some_and(|before| *before != harness.state())).then(|| "changes the home".to_owned())
}

/// Files and folders.
type State = (std::collections::BTreeMap<String, Vec<u8>>, Vec<String>);
