//! The order of the rows: an argument type of one's own. All it takes is a `Deserialize` that checks, and what its words are.

use ferry_core::args::{ArgKind, ArgType};
use ferry_core::serde;

/// What the rows are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(crate = "ferry_core::serde", rename_all = "lowercase")]
pub enum Order {
    /// The sum of the sizes.
    #[default]
    Bytes,
    /// The number of files.
    Files,
}

impl ArgType for Order {
    const KIND: ArgKind = ArgKind::Choice;
    const CHOICES: &'static [&'static str] = &["bytes", "files"];
}

impl Order {
    /// The number that decides.
    pub fn of(self, files: u64, bytes: u64) -> u64 {
        match self {
            Self::Bytes => bytes,
            Self::Files => files,
        }
    }
}
