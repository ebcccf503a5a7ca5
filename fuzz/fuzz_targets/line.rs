//! Command lines: splitting never panics, and what is quoted comes back as it was.
#![no_main]

use ferry_core::line::{quote, split};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = split(text);
    let words = split(&quote(text)).unwrap_or_else(|error| panic!("quoted, and not one word: {error}"));
    assert_eq!(words.len(), 1);
    assert_eq!(words[0].text, text.as_bytes());
});
