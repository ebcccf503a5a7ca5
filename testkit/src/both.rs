//! One test, run in two ways that must answer alike.

use std::fmt::Debug;

use crate::harness::Harness;

/// Runs `body` twice, each time on a harness that `make` made new: once as it is, in process, and once as `other` changes it, most often
/// over a socket. What the body gives must be the same, and so must files, folders and usage of the home be afterwards. Gives what the
/// body gave.
///
/// [`Harness::answer`] gives outputs and failures that can be compared.
///
/// # Panics
/// When they differ, with both.
///
/// ```
/// use std::sync::Arc;
/// use ferry_testkit::{Harness, MemoryStore, both, example::Write};
///
/// // `|harness| harness.over(ferry_server::loopback)` is the other way that finds most.
/// let elsewhere = |harness: Harness| harness.on(Arc::new(MemoryStore::default()));
/// let answers = both(Harness::of::<Write>, elsewhere, |harness| {
///     (harness.answer("write a.txt text"), harness.answer("write ../b.txt text"))
/// });
/// assert!(answers.0.is_ok() && answers.1.is_err());
/// ```
#[track_caller]
pub fn both<T: PartialEq + Debug>(
    make: impl Fn() -> Harness,
    other: impl FnOnce(Harness) -> Harness,
    body: impl Fn(&Harness) -> T,
) -> T {
    let (here, there) = (make(), other(make()));
    let (given, given_there) = (body(&here), body(&there));
    assert!(
        given == given_there,
        "answers differ\nin process: {given:#?}\nthe other way: {given_there:#?}"
    );
    let (left, left_there) = ((here.state(), here.usage()), (there.state(), there.usage()));
    assert!(
        left == left_there,
        "homes differ\nin process: {left:#?}\nthe other way: {left_there:#?}"
    );
    given
}
