//! What the tests of the wire share: hex, MessagePack as JSON, and any message by its kind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "each test takes what it needs")]

use std::fmt;

use ferry_core::Result;
use ferry_core::wire::frame::Kind;
use ferry_core::wire::guard::Map;
use ferry_core::wire::message::{
    Answer, Begin, Cancel, Catalog, Challenge, Complete, Done, End, Expand, Fail, Hello, Login, Message as _, Problem, Progress,
    Request, Rows, Welcome,
};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

/// Bytes from hex.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd hex");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// MessagePack as JSON; binary is `{"$bin": hex}`.
pub(crate) fn json(bytes: &[u8]) -> Value {
    rmp_serde::from_slice::<Json>(bytes).unwrap().0
}

/// Decodes a message of that kind and encodes it again, the whole frame.
pub(crate) fn understood(kind: Kind, map: &Map<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    macro_rules! again {
        ($($name:ident),+) => {
            match kind {
                $(Kind::$name => $name::decode(map)?.encode(&mut out)?,)+
                Kind::Request => {
                    let args = map.raw("args").unwrap_or(&[0x80]);
                    Request::decode(map)?.encode_with(args, &mut out)?;
                }
                Kind::Data | Kind::Grant | Kind::Ping | Kind::Pong => panic!("{kind:?} is no message"),
            }
        };
    }
    again!(
        Hello, Login, Challenge, Answer, Welcome, Catalog, Cancel, Complete, Expand, Begin, Rows, Problem, Progress, Done, Fail,
        End
    );
    Ok(out)
}

struct Json(Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Visit).map(Self)
    }
}

struct Visit;

macro_rules! visit {
    ($($method:ident($ty:ty) => |$v:ident| $value:expr;)+) => {$(
        fn $method<E>(self, $v: $ty) -> std::result::Result<Value, E> {
            Ok($value)
        }
    )+};
}

impl<'de> Visitor<'de> for Visit {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    visit! {
        visit_bool(bool) => |v| v.into();
        visit_i64(i64) => |v| v.into();
        visit_u64(u64) => |v| v.into();
        visit_f64(f64) => |v| v.into();
        visit_str(&str) => |v| v.into();
        visit_bytes(&[u8]) => |v| json!({"$bin": v.iter().map(|byte| format!("{byte:02x}")).collect::<String>()});
    }
    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Json(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        let mut values = serde_json::Map::new();
        while let Some((key, Json(value))) = map.next_entry::<String, Json>()? {
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}
