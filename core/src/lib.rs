//! The words and the rules of Ferry: what a verb is, how it is found and called, what a store must do, and how all
//! of it looks on the wire.
//!
//! Nothing in this crate opens a socket or a file, and nothing in it knows a verb by name. Those who write verbs need
//! this crate alone; see [`verb`] for a whole verb. What most verbs need stands at the root: `use ferry_core::{...}`.
//!
//! The interface is kept as text in `docs/api/ferry-core.txt`; CONTRIBUTING.md says what counts as a change that breaks others.
//! Each part of it is for somebody:
//!
//! # For authors of verbs
//! - [`verb`], [`mod@args`], [`spec`]: what a verb is: its arguments, and what is said about it
//! - [`context`], [`home`], [`logins`]: what it may touch while it runs
//! - [`reply`], [`error`]: how it ends, well or not
//! - [`path`], [`size`], [`digest`], [`chunk`], [`user`]: the words that it speaks in
//! - [`rt`], [`text`]: waiting, blocking work, and names that are safe to show
//!
//! # For authors of stores
//! - [`store`]: homes, files, uploads and usage; `ferry_testkit::suite` checks a store
//!
//! # For clients, servers and gateways
//! - [`registry`], [`mod@dispatch`]: from a request to a verb
//! - [`catalog`], [`mod@line`]: verbs as a client sees them, and command lines by it
//! - [`wire`], [`login`], [`fingerprint`]: frames, messages, and who is who
//!
//! Authors of verbs and stores can leave the last part alone: it changes when the protocol does.

pub mod args;
pub mod catalog;
pub mod chunk;
pub mod context;
pub mod digest;
pub mod dispatch;
pub mod error;
pub mod fingerprint;
pub mod home;
pub mod line;
pub mod login;
pub mod logins;
pub mod path;
pub mod registry;
pub mod reply;
pub mod rt;
pub mod size;
pub mod spec;
pub mod store;
pub mod text;
pub mod user;
pub mod verb;
pub mod wire;

pub use args::{ArgType, Args, LocalPath, Many, Role};
pub use catalog::VerbInfo;
pub use chunk::Chunk;
pub use context::Context;
pub use digest::{Algorithm, Digest, Hasher};
pub use dispatch::dispatch;
pub use error::{Error, ErrorKind, Result};
pub use home::GuardedHome;
pub use path::{HomePath, RemotePath};
pub use registry::Registry;
pub use reply::{Column, ColumnKind, Layout, Reply, Value};
pub use size::ByteSize;
pub use spec::{Access, Body, Example, Spec};
pub use user::User;
pub use verb::{Command, Verb};

#[doc(hidden)]
pub use inventory;
/// What arguments are decoded with, for [types of your own](ArgType): so that a verb needs no dependency but this one.
pub use serde;
