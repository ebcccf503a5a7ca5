//! The verbs of the shipped server, for tests of every verb. What is tested is what `ferryd` has: a test in `tests/registry.rs` compares.

use std::sync::Arc;

use ferry_core::{Registry, Result};
use {
    ferry_download as _, ferry_du as _, ferry_find as _, ferry_fs as _, ferry_mkdir as _, ferry_quota as _, ferry_session as _,
    ferry_tar as _, ferry_upload as _, ferry_verbs as _, ferry_verify as _,
};

/// All of them. A test that calls this links them, and so has them in [`Registry::linked`] too.
///
/// # Errors
/// What [`Registry::linked`] says.
pub fn every() -> Result<Arc<Registry>> {
    Registry::linked().map(Arc::new)
}
