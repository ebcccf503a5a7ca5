//! The file of known keys: whatever is in it, a key is trusted only where its fingerprint stands on the server's line.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use ferry_client::trust::{FirstSight, Trust};
use ferry_core::fingerprint::Fingerprint;
use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| std::env::temp_dir().join(format!("ferry-fuzz-{}", std::process::id())));

fuzz_target!(|text: &[u8]| {
    std::fs::write(&*FILE, text).unwrap();
    let trust = Trust {
        tls: true,
        file: Some(FILE.clone()),
        first_sight: FirstSight::Ask,
        ..Trust::plain()
    };
    let target = "h".parse().unwrap();
    let key = Fingerprint::of(b"key");
    if let Ok(true) = trust.check(&target, key, false) {
        let text = String::from_utf8_lossy(text).to_lowercase();
        assert!(text.contains("h:7171"), "trusted without a line");
    }
    let _ = trust.method(&target, "alice");
});
