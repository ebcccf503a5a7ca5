//! Ferry's server. It accepts connections, logs users in, and passes requests to dispatch; it knows no verb and no store by
//! name. A server binary links verbs, names a store and a shell, and calls [`run`].

mod accounts;
mod admin;
mod audit;
mod config;
mod confine;
mod guess;
mod lead;
mod limits;
mod link;
mod listener;
mod lobby;
mod log;
mod login;
mod loopback;
mod manual;
mod meter;
mod new_verb;
mod options;
mod out;
mod reload;
mod requests;
mod saved;
mod server;
mod session;
mod tls;
mod trial;
mod users;
mod watch;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ferry_core::Result;
use ferry_core::fingerprint::Fingerprint;
use ferry_core::store::{Durability, Store};

pub use loopback::{Loopback, loopback};

/// What the server does not bring along: where files are kept, and the shell of `ferryd try`.
#[derive(Clone, Copy)]
pub struct Parts {
    /// Opens the store in the data folder.
    pub store: fn(data: &Path, durability: Durability) -> Result<Arc<dyn Store>>,
    /// Runs our shell against the server at an address with that key, logged in; with standard input not a terminal, the lines it
    /// reads. Gives the exit code.
    pub shell: fn(address: SocketAddr, key: Fingerprint, user: &str, password: &str) -> i32,
}

/// Looks at the text of a config file as a start does.
///
/// # Errors
/// `bad_request`, naming line and key.
pub fn check_config(text: &str) -> Result<()> {
    config::parse(text, Path::new("ferryd.toml")).map(drop)
}

/// Runs the program on its command line. Gives the exit code; only `main` exits.
pub fn run(args: impl IntoIterator<Item = OsString>, parts: &Parts) -> u8 {
    options::run(args, parts)
}
