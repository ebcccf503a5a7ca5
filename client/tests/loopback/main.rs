//! The client against a server that follows a script: transfers, resuming, and what happens when the other side is hostile,
//! broken or gone. The verbs have made-up names, because the client knows none.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod beside;
mod connection;
mod download;
mod fake;
mod hostile;
mod meeting;
mod present;
mod race;
mod retry;
mod saving;
mod side_by_side;
mod upload;

use std::fs;

use ferry_core::Algorithm;
use ferry_core::store::Start;

pub(crate) const CONTENTS: &[u8] = b"whatever is in the file, byte by byte";

pub(crate) fn folder_with(name: &str, contents: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), contents).unwrap();
    folder
}

pub(crate) fn held(code: u16, offset: usize, of: &[u8]) -> Start {
    Start {
        code,
        offset: offset as u64,
        prefix: Some(Algorithm::Blake3.digest(of)),
    }
}
