//! Arguments that are too few, too many or of another type are refused, and nothing is done.

use std::collections::BTreeMap;

use ferry_core::args::ArgKind;
use ferry_core::catalog::ArgInfo;
use ferry_core::rt::block_on;
use ferry_core::wire::Map;
use ferry_core::{ErrorKind, VerbInfo, line};

use super::panic_of;
use crate::harness::Harness;
use crate::pack;

/// An argument's name that no verb has.
const STRANGER: &str = "no-such-argument";
/// A word that is no choice of any verb.
const NO_CHOICE: &str = "none of these";

/// Each call is wrong in one way, so it must be refused with `bad_request`.
pub(super) fn check_decoding(verb: &VerbInfo, harness: &dyn Fn() -> Harness, find: &mut dyn FnMut(String)) {
    let right = right_values(verb);
    let harness = harness().furnish().admin();
    let before = harness.state();
    let mut refused = |what: String, named: Option<&str>, args: &[(&str, &[u8])]| {
        let mut bytes = Vec::new();
        pack::map(&mut bytes, args.len());
        for (name, value) in args {
            pack::text(&mut bytes, name);
            bytes.extend_from_slice(value);
        }
        match block_on(harness.call_raw(&verb.name, &bytes)) {
            Err(error) if error.kind == ErrorKind::BadRequest => {
                if let Some(name) = named.filter(|name| !error.message.contains(*name)) {
                    find(format!("{what} is refused without naming `{name}`: {error}"));
                }
            }
            Err(error) => match panic_of(&error) {
                Some(text) => find(format!("{what} made it panic: {text}")),
                None => find(format!(
                    "{what} is answered with {} and not with bad_request: {error}",
                    error.kind
                )),
            },
            Ok(_) => find(format!("{what} is not refused")),
        }
    };
    let needed = |but: &str| -> Vec<(&str, &[u8])> {
        let required = verb.args.iter().filter(|arg| arg.required && arg.name != but);
        required.map(|arg| (arg.name.as_str(), right[&arg.name].as_slice())).collect()
    };
    for arg in verb.args.iter().filter(|arg| arg.required) {
        refused(format!("a call without `{}`", arg.name), Some(&arg.name), &needed(&arg.name));
    }
    let mut too_many = needed(STRANGER);
    too_many.push((STRANGER, &[0xc0]));
    refused("an argument that it does not have".into(), None, &too_many);
    for arg in &verb.args {
        for (what, value) in wrong_values(arg) {
            let mut args = needed(&arg.name);
            args.push((&arg.name, &value));
            refused(format!("{what} for `{}`", arg.name), None, &args);
        }
    }
    if harness.state() != before {
        find("did something for a call with wrong arguments".into());
    }
}

/// A value for each argument that must be given: from an example where one has it, otherwise made up by its kind.
fn right_values(verb: &VerbInfo) -> BTreeMap<String, Vec<u8>> {
    let mut right = BTreeMap::new();
    for arg in verb.args.iter().filter(|arg| arg.required) {
        right.insert(arg.name.clone(), made_up(arg));
    }
    for (example, _) in &verb.examples {
        let call = line::split(example).and_then(|words| line::parse(verb, words.get(1..).unwrap_or_default()));
        let Ok(bytes) = call.and_then(|call| call.encode(verb)) else {
            continue;
        };
        if let Ok(map) = Map::check(&bytes) {
            for (name, value) in &mut right {
                *value = map.raw(name).map_or_else(|| std::mem::take(value), <[u8]>::to_vec);
            }
        }
    }
    right
}

fn made_up(arg: &ArgInfo) -> Vec<u8> {
    let mut out = Vec::new();
    if arg.repeated {
        pack::array(&mut out, 1);
    }
    match arg.kind {
        ArgKind::Flag => pack::flag(&mut out, true),
        ArgKind::Integer | ArgKind::Size => pack::number(&mut out, 1),
        ArgKind::Choice => pack::text(&mut out, arg.choices.first().map_or("", String::as_str)),
        _ => pack::text(&mut out, "hello.txt"),
    }
    out
}

/// Values that an argument of this kind cannot have, whatever its type is.
fn wrong_values(arg: &ArgInfo) -> Vec<(&'static str, Vec<u8>)> {
    let packed = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        if arg.repeated {
            pack::array(&mut out, 1);
        }
        write(&mut out);
        out
    };
    let map = |out: &mut Vec<u8>| {
        pack::map(out, 1);
        pack::text(out, "key");
        pack::nil(out);
    };
    let mut wrong = vec![("a map", packed(&map))];
    match arg.kind {
        ArgKind::Flag => wrong.push(("a text", packed(&|out| pack::text(out, "yes")))),
        ArgKind::Integer | ArgKind::Size => {
            wrong.push(("a switch", packed(&|out| pack::flag(out, true))));
            wrong.push(("a text that is no number", packed(&|out| pack::text(out, NO_CHOICE))));
        }
        ArgKind::Choice => wrong.push(("a word that is no choice", packed(&|out| pack::text(out, NO_CHOICE)))),
        _ => wrong.push(("a switch", packed(&|out| pack::flag(out, true)))),
    }
    wrong
}
