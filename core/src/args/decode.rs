//! What the decoders that [`args!`](crate::args!) writes have in common. Not for direct use.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::{ArgSpec, ArgType};

/// Reads a map by handing each key to `take`, which decodes the value of a key it knows.
pub trait Fields<'de>: Default {
    type Out;
    fn take<M: de::MapAccess<'de>>(&mut self, key: &str, map: &mut M) -> Result<bool, M::Error>;
    fn finish<E: de::Error>(self) -> Result<Self::Out, E>;
}

pub fn map<'de, D: Deserializer<'de>, F: Fields<'de>>(deserializer: D) -> Result<F::Out, D::Error> {
    struct Visit<F>(F);
    impl<'de, F: Fields<'de>> de::Visitor<'de> for Visit<F> {
        type Value = F::Out;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of arguments")
        }
        fn visit_map<M: de::MapAccess<'de>>(mut self, mut map: M) -> Result<F::Out, M::Error> {
            while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                if !self.0.take(&key, &mut map)? {
                    let key = crate::text::escape(key.as_bytes());
                    return Err(de::Error::custom(format!("no argument is called `{key}`")));
                }
            }
            self.0.finish()
        }
    }
    deserializer.deserialize_map(Visit(F::default()))
}

pub fn value<'de, T: Deserialize<'de>, M: de::MapAccess<'de>>(spec: &ArgSpec, map: &mut M) -> Result<Option<T>, M::Error> {
    map.next_value()
        .map(Some)
        .map_err(|error| de::Error::custom(format!("argument `{}`: {error}", spec.name)))
}

pub fn finish<T: ArgType, E: de::Error>(spec: &ArgSpec, value: Option<T>) -> Result<T, E> {
    value
        .or_else(T::absent)
        .ok_or_else(|| E::custom(format!("argument `{}` is missing", spec.name)))
}
