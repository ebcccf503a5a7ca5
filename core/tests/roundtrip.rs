//! Messages of any content come back from the wire as they went out, and no bytes bring a decoder down.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::understood;
use ferry_core::store::{FileInfo, Version};
use ferry_core::wire::frame::{HEADER_BYTES, Header, Kind, Stage};
use ferry_core::wire::guard::Map;
use ferry_core::wire::message::{
    Begin, Catalog, ColumnInfo, Complete, Done, End, Expand, Fail, Hello, Limits, Login, Message, Offer, Progress, Request, Rows,
};
use ferry_core::{Algorithm, ColumnKind, Digest, Error, ErrorKind, Layout, RemotePath, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = RemotePath> {
    prop_oneof![vec(any::<u8>(), 0..300), ".{0,40}".prop_map(String::into_bytes)].prop_map(RemotePath)
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop_oneof![Just(Algorithm::Md5), Just(Algorithm::Blake3)]
}

fn digest() -> impl Strategy<Value = Digest> {
    (algorithm(), any::<[u8; 4]>()).prop_map(|(algorithm, bytes)| algorithm.digest(&bytes))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<u64>().prop_map(Value::Uint),
        (i64::MIN..0).prop_map(Value::Int),
        ".{0,40}".prop_map(Value::Text),
        vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
    ]
}

prop_compose! {
    fn offer()(
        size in any::<Option<u64>>(), modified in any::<Option<i64>>(), flags in any::<[bool; 4]>(), digest in algorithm(),
        expected in option::of(digest()), offset in any::<Option<u64>>(), prefix in option::of(digest()),
    ) -> Offer {
        let [executable, folder, fresh, eager] = flags;
        Offer { size, modified, executable, folder, digest, expected, fresh, eager, offset, prefix }
    }
}

prop_compose! {
    fn file()(
        path in name(), size in any::<u64>(), modified in any::<i64>(), executable in any::<bool>(), digest in option::of(digest()),
        version in any::<u128>(),
    ) -> FileInfo {
        FileInfo { path, size, modified, executable, digest, version: Version(version) }
    }
}

fn kind() -> impl Strategy<Value = ErrorKind> {
    proptest::sample::select(ErrorKind::ALL.to_vec())
}

/// The whole way: frame, header, guard, message.
fn back<M: Message>(frame: &[u8]) -> M {
    let (header, payload) = frame.split_first_chunk::<HEADER_BYTES>().unwrap();
    let header = Header::read(*header, Stage::LoggedIn).unwrap();
    assert_eq!((header.kind, header.len_bytes), (Some(M::KIND), payload.len()));
    M::decode(&Map::check(payload).unwrap()).unwrap()
}

fn there_and_back<M: Message + PartialEq + std::fmt::Debug>(message: M) -> Result<(), TestCaseError> {
    let mut frame = Vec::new();
    message.encode(&mut frame).unwrap();
    let again: M = back(&frame);
    prop_assert_eq!(again, message);
    Ok(())
}

proptest! {
    #[test]
    fn hellos_and_logins(agent in ".{0,40}", features in vec(".{0,9}", 0..4), window in any::<u32>(), data in vec(any::<u8>(), 0..300)) {
        let limits = Limits { window, ..Limits::default() };
        there_and_back(Hello { features: features.clone(), required: features.clone(), mechanisms: features, limits, ..Hello::new(agent.clone()) })?;
        there_and_back(Login { mechanism: agent, data })?;
    }

    #[test]
    fn requests(id in any::<u32>(), verb in ".{0,20}", cwd in name(), body in option::of(offer()), number in any::<u64>()) {
        let args = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("n", number)])).unwrap();
        let request = Request { id, verb: verb.clone(), cwd: cwd.clone(), body };
        let mut frame = Vec::new();
        request.encode_with(&args, &mut frame).unwrap();
        prop_assert_eq!(Map::check(&frame[HEADER_BYTES..]).unwrap().raw("args"), Some(&args[..]));
        prop_assert_eq!(back::<Request>(&frame), request);
        there_and_back(Complete { id, verb: verb.clone(), arg: verb, word: cwd.clone(), cwd: cwd.clone() })?;
        there_and_back(Expand { id, pattern: cwd.clone(), cwd })?;
    }

    #[test]
    fn bodies(
        id in any::<u32>(), code in any::<u16>(), offset in any::<u64>(), prefix in option::of(digest()), file in file(), text in ".{0,20}",
    ) {
        there_and_back(Begin {
            id, code, offset, prefix, upload: Some(text), path: Some(file.path.clone()), size: Some(file.size), modified: Some(file.modified),
            executable: file.executable, version: Some(file.version),
        })?;
        there_and_back(End { id, size: offset, digest: prefix.unwrap_or(Algorithm::Md5.digest(b"")) })?;
    }

    #[test]
    fn answers(
        id in any::<u32>(), rows in vec(vec(value(), 0..5), 0..5), text in ".{0,99}", cwd in option::of(name()), file in option::of(file()),
        problems in any::<u64>(), named in any::<bool>(),
    ) {
        let column = ColumnInfo { name: text.clone(), kind: ColumnKind::HumanSize, hidden: named, share: named.then(|| text.clone()) };
        there_and_back(Rows { id, columns: named.then(|| vec![column]), layout: Layout::Record, rows })?;
        there_and_back(Progress { id, done: problems, total: Some(problems), text: text.clone() })?;
        there_and_back(Done { id, text: named.then_some(text), cwd, file, problems })?;
    }

    #[test]
    fn failures(id in any::<u32>(), kind in kind(), message in ".{0,1200}", hint in option::of(".{0,1200}"), path in option::of(name())) {
        let mut error = Error::new(kind, message);
        error.hint = hint.map(Into::into);
        error.path = path;
        there_and_back(Fail::new(id, &error))?;
    }

    #[test]
    fn no_bytes_bring_a_decoder_down(bytes in vec(prop_oneof![
        Just(b"\xa2id\x01".to_vec()), Just(b"\xa4verb\xa2ls".to_vec()), Just(b"\xa4body\x81\xa4size".to_vec()), Just(b"\xa4rows\x91\x92".to_vec()),
        Just(b"\xa6limits\x95".to_vec()), Just(b"\xa4kind".to_vec()), Just(b"\xa4args\x80".to_vec()), vec(any::<u8>(), 1..6),
    ], 1..8), len in 1u8..8) {
        let payload = [vec![0x80 | len], bytes.concat()].concat();
        if let Ok(map) = Map::check(&payload) {
            for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_binary()) {
                // What is understood can be written, and is then understood as the same.
                if let Ok(frame) = understood(kind, &map) {
                    let again = understood(kind, &Map::check(&frame[HEADER_BYTES..]).unwrap()).unwrap();
                    prop_assert_eq!(again, frame);
                }
            }
        }
    }
}

#[test]
fn a_catalogue_of_nothing_is_a_catalogue() {
    there_and_back(Catalog {
        verbs: Vec::new(),
        last: true,
    })
    .unwrap();
}
