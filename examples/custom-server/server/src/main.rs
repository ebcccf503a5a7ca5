//! A Ferry server with verbs of its own beside the standard ones. A verb that is a dependency and has no `use` line is an error.
#![deny(unused_crate_dependencies)]

use std::process::ExitCode;
use std::sync::Arc;

use ferry_server::Parts;
use ferry_store_local::{LocalStore, Options};

// The standard verbs.
use ferry_download as _;
use ferry_du as _;
use ferry_find as _;
use ferry_fs as _;
use ferry_mkdir as _;
use ferry_quota as _;
use ferry_session as _;
use ferry_tar as _;
use ferry_upload as _;
use ferry_verbs as _;
use ferry_verify as _;

// Your own.
use ferry_endings as _;
use ferry_shout as _;

fn main() -> ExitCode {
    let parts = Parts {
        store: |data, durability| Ok(Arc::new(LocalStore::open(data, Options { durability })?)),
        shell: ferry_client::shell_on,
    };
    ferry_server::run(std::env::args_os(), &parts).into()
}
