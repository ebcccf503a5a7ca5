//! The shipped server. A server of your own is this file with your verbs in it.
#![deny(unused_crate_dependencies)]

use std::process::ExitCode;
use std::sync::Arc;

use ferry_server::Parts;
use ferry_store_local::{LocalStore, Options};
use {
    ferry_download as _, ferry_du as _, ferry_find as _, ferry_fs as _, ferry_mkdir as _, ferry_quota as _, ferry_session as _,
    ferry_tar as _, ferry_upload as _, ferry_verbs as _, ferry_verify as _,
};

fn main() -> ExitCode {
    let parts = Parts {
        store: |data, durability| Ok(Arc::new(LocalStore::open(data, Options { durability })?)),
        shell: ferry_client::shell_on,
    };
    ferry_server::run(std::env::args_os(), &parts).into()
}
