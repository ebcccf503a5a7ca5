//! Runs any verb in process, without a socket, and says what is wrong with it.
//!
//! A verb's own tests use [`Harness`]; a binary's tests check all that is linked into it with [`registry_rules`]; whoever
//! writes a store checks it with [`suite`].

mod harness;
mod link;
mod logins;
mod memory;
mod output;
mod random;
mod rules;
pub mod suite;

pub use harness::Harness;
pub use link::Sent;
pub use memory::{MemoryHome, MemoryStore};
pub use output::Output;
pub use rules::{check_linked, registry_rules};
