//! Runs any verb in process, without a socket, and says what is wrong with it.
//!
//! A verb's own tests use [`Harness`]; a binary's tests check all that is linked into it with [`check_linked`]; a test that is to hold
//! over a real connection too is run [both ways](both); whoever writes a store checks it with [`suite`].
//!
//! ```
//! use ferry_testkit::{Harness, example::Write};
//!
//! Harness::check::<Write>();
//! let harness = Harness::of::<Write>().quota(100);
//! harness.ok("write a.txt 'some text'");
//! assert_eq!(harness.files()["/a.txt"], b"some text");
//! ```

mod both;
pub mod example;
mod faults;
mod harness;
mod link;
mod logins;
mod memory;
mod output;
mod pack;
mod random;
mod rules;
mod sent;
mod socket;
pub mod suite;

pub use both::both;
pub use harness::Harness;
pub use memory::{MemoryHome, MemoryStore};
pub use output::Output;
pub use rules::{check_linked, registry_rules};
pub use sent::Sent;
