//! The server's config file: whatever is in it, it is understood or refused, and what is refused has a reason that a log can show.
#![no_main]

use ferry_core::ErrorKind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = ferry_server::check_config(text) {
        assert_eq!(error.kind, ErrorKind::BadRequest);
        assert!(error.message.starts_with("config ferryd.toml: "), "{error}");
    }
});
