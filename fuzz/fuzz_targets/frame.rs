//! A stream of frames, before and after login: whatever comes, the reader gives frames or ends, and holds no more than it may.
#![no_main]

use std::time::Duration;

use ferry_core::rt::block_on;
use ferry_core::wire::frame::Stage;
use ferry_core::wire::guard::Map;
use ferry_core::wire::io::{FrameReader, Incoming};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else { return };
    let stage = if first & 1 == 0 { Stage::BeforeLogin } else { Stage::LoggedIn };
    block_on(async {
        let mut reader = FrameReader::with_buffer(bytes, usize::from(*first).max(1));
        let mut given = 0;
        while let Ok(Some(incoming)) = reader.next(stage, Duration::from_secs(1)).await {
            given += match &incoming {
                Incoming::Control(_, payload) => {
                    let _ = Map::check(payload);
                    payload.len()
                }
                Incoming::Data(_, chunk) => chunk.len(),
                Incoming::Echo(_, bytes) => bytes.len(),
                Incoming::Grant(..) => 8,
            };
            assert!(given <= bytes.len(), "more came out than went in");
        }
    });
});
