//! Verbs that break one rule each: every rule can fail, and what it says names the fault. None is registered.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

mod arguments;
mod store;

use ferry_core::verb::Registration;
use ferry_core::{Registry, Verb};
use ferry_testkit::registry_rules;

/// Everything that is wrong with a verb.
fn findings<V: Verb>() -> Vec<String> {
    let registry = Registry::of([Registration::of::<V>("breakers", "0.0.0", "here")]).unwrap();
    registry_rules(&registry.into())
}

/// Fails unless each finding begins with one of the texts, and each text begins one.
#[track_caller]
fn expect<V: Verb>(texts: &[&str]) {
    let found = findings::<V>();
    for text in texts {
        assert!(found.iter().any(|finding| finding.starts_with(text)), "{text}: {found:#?}");
    }
    for finding in &found {
        assert!(texts.iter().any(|text| finding.starts_with(text)), "not expected: {finding}");
    }
}
