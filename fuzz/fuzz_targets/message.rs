//! The payload of each control frame: what is understood can be written again, and then reads as the same.
#![no_main]

use ferry_core::wire::frame::HEADER_BYTES;
use ferry_core::wire::guard::Map;
use ferry_core::wire::message::{
    Answer, Begin, Cancel, Catalog, Challenge, Complete, Done, End, Expand, Fail, Hello, Login, Message, Problem, Progress, Request,
    Rows, Welcome,
};
use libfuzzer_sys::fuzz_target;

fn again<M: Message + PartialEq + std::fmt::Debug>(map: &Map<'_>) {
    let Ok(message) = M::decode(map) else { return };
    let mut frame = Vec::new();
    if message.encode(&mut frame).is_err() {
        // Longer in our words than a frame may be.
        return;
    }
    let map = Map::check(&frame[HEADER_BYTES..]).unwrap_or_else(|error| panic!("we write what we do not read: {error}"));
    let read = M::decode(&map).unwrap_or_else(|error| panic!("we write what we do not understand: {error}"));
    assert_eq!(message, read);
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, payload)) = input.split_first() else { return };
    let Ok(map) = Map::check(payload) else { return };
    match kind % 18 {
        0 => again::<Hello>(&map),
        1 => again::<Login>(&map),
        2 => again::<Challenge>(&map),
        3 => again::<Answer>(&map),
        4 => again::<Welcome>(&map),
        5 => again::<Catalog>(&map),
        6 => drop(Request::decode(&map)),
        7 => again::<Cancel>(&map),
        8 => again::<Complete>(&map),
        9 => again::<Expand>(&map),
        10 => again::<Begin>(&map),
        11 => again::<Rows>(&map),
        12 => again::<Problem>(&map),
        13 => again::<Progress>(&map),
        14 => again::<Done>(&map),
        15 => again::<Fail>(&map),
        16 => again::<End>(&map),
        _ => {
            if let Ok(hello) = Hello::decode(&map) {
                let _ = hello.check();
            }
        }
    }
});
