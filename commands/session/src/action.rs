//! What verbs of lists do with the entries that are named: `VERB rm ID...`.

use ferry_core::args::{ArgKind, ArgType};
use ferry_core::serde;

/// What to do with them.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(crate = "ferry_core::serde", rename_all = "lowercase")]
pub(crate) enum Action {
    /// Take them away.
    Rm,
}

impl ArgType for Action {
    const KIND: ArgKind = ArgKind::Choice;
    const CHOICES: &'static [&'static str] = &["rm"];
}
