//! The client of Ferry: connection, transfers, shell, rendering. It knows no remote verb by name: names, arguments and the
//! way that contents flow come with the catalogue that the server sends at login.

pub mod args;
mod ask;
pub mod catalogue;
pub mod complete;
pub mod connection;
pub mod digests;
pub mod download;
pub mod exit;
pub mod expand;
pub mod link;
pub mod local;
pub mod login;
pub mod manifest;
pub mod options;
pub mod part;
pub mod place;
pub mod pool;
pub mod program;
pub mod progress;
mod reading;
pub mod render;
pub mod request;
pub mod run;
pub mod saved;
pub mod script;
pub mod session;
pub mod shell;
pub mod source;
pub mod table;
pub mod tally;
pub mod time;
mod tls;
pub mod transfer;
pub mod transport;
pub mod trust;
pub mod upload;
pub mod words;

pub use program::{Input, run_cli, session, shell_on};
pub use session::Login;
