//! The words and the rules of Ferry: what a verb is, how it is found and called, what a store must do, and how all
//! of it looks on the wire.
//!
//! Nothing in this crate opens a socket or a file, and nothing in it knows a verb by name. Those who write verbs need
//! this crate alone; see [`verb`] for a whole verb.

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
pub use {inventory, serde};
