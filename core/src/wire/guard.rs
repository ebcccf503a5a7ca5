//! The guard: one pass over a control frame before serde sees a byte of it, so that strangers' decoders are covered too.
//!
//! It allows exactly one MessagePack map with string keys, nested at most [`DEPTH_MAX`] deep, without duplicate keys, extension
//! types, strings that are no UTF-8, lengths beyond the frame, or bytes behind the map.

use super::{DEPTH_MAX, MAP_MAX_KEYS};
use crate::error::{Error, ErrorKind, Result};

/// A control frame's payload that passed, with the places of its values.
#[derive(Debug)]
pub struct Map<'a> {
    bytes: &'a [u8],
    entries: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Map<'a> {
    /// Checks a payload.
    ///
    /// # Errors
    /// `bad_request` or, for depth and number of keys, `too_large`. Either ends the connection: whoever sends such a frame is
    /// broken or hostile, and what follows cannot be trusted.
    pub fn check(bytes: &'a [u8]) -> Result<Self> {
        let mut scan = Scan {
            bytes,
            at: 0,
            depth: 0,
            keys: Vec::new(),
        };
        let mut entries = Vec::new();
        let Item::Map(len) = scan.head()? else {
            return Err(Error::bad_request("a message is one map"));
        };
        scan.map(len, Some(&mut entries))?;
        if scan.at != bytes.len() {
            return Err(Error::bad_request("bytes behind the message"));
        }
        Ok(Self { bytes, entries })
    }

    /// The undecoded value of a key.
    pub fn raw(&self, key: &str) -> Option<&'a [u8]> {
        self.entries
            .iter()
            .find(|(name, _)| *name == key.as_bytes())
            .map(|(_, value)| *value)
    }

    /// Where the undecoded value of a key lies in the payload, for who keeps that and not this.
    pub fn place(&self, key: &str) -> Option<std::ops::Range<usize>> {
        let start = self.raw(key)?.as_ptr().addr() - self.bytes.as_ptr().addr();
        Some(start..start + self.raw(key)?.len())
    }

    /// All of it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// What a value's first byte says: nothing inside, or so many values inside.
enum Item {
    Leaf,
    Array(usize),
    Map(usize),
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    /// The keys of the maps that are open, those of the innermost last.
    keys: Vec<&'a [u8]>,
}

impl<'a> Scan<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| Error::bad_request("message ends in the middle of a value"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A big-endian number of `width` bytes, at most 8.
    fn number(&mut self, width: usize) -> Result<usize> {
        let value = self.take(width)?.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        usize::try_from(value).map_err(|_| Error::bad_request("length beyond any message"))
    }

    fn text(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map_err(|_| Error::bad_request("string that is not UTF-8"))?;
        Ok(bytes)
    }

    /// Reads what stands in front of a value, and the value itself when nothing is inside (MessagePack, "formats").
    fn head(&mut self) -> Result<Item> {
        let byte = self.take(1)?[0];
        let skip = match byte {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 0,
            0x80..=0x8f => return Ok(Item::Map(usize::from(byte & 0x0f))),
            0x90..=0x9f => return Ok(Item::Array(usize::from(byte & 0x0f))),
            0xa0..=0xbf => return self.text(usize::from(byte & 0x1f)).map(|_| Item::Leaf),
            0xc4 => self.number(1)?,
            0xc5 => self.number(2)?,
            0xc6 => self.number(4)?,
            0xcc | 0xd0 => 1,
            0xcd | 0xd1 => 2,
            0xca | 0xce | 0xd2 => 4,
            0xcb | 0xcf | 0xd3 => 8,
            0xd9..=0xdb => {
                let len = self.number(1 << (byte - 0xd9))?;
                return self.text(len).map(|_| Item::Leaf);
            }
            0xdc => return Ok(Item::Array(self.number(2)?)),
            0xdd => return Ok(Item::Array(self.number(4)?)),
            0xde => return Ok(Item::Map(self.number(2)?)),
            0xdf => return Ok(Item::Map(self.number(4)?)),
            0xc1 => return Err(Error::bad_request("0xc1 is no value")),
            0xc7..=0xc9 | 0xd4..=0xd8 => return Err(Error::bad_request("extension types are not used here")),
        };
        self.take(skip)?;
        Ok(Item::Leaf)
    }

    fn value(&mut self) -> Result<()> {
        match self.head()? {
            Item::Leaf => Ok(()),
            Item::Map(len) => self.map(len, None),
            Item::Array(len) => {
                self.enter(len)?;
                for _ in 0..len {
                    self.value()?;
                }
                self.depth -= 1;
                Ok(())
            }
        }
    }

    /// Goes one level down to `len` values, each of at least one byte.
    fn enter(&mut self, len: usize) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("message nested deeper than {DEPTH_MAX}"),
            ));
        }
        if len > self.bytes.len() - self.at {
            return Err(Error::bad_request("message announces more values than it has bytes"));
        }
        Ok(())
    }

    /// Scans the entries of a map; the outermost ones are kept in `entries`. Its recursion ends at [`DEPTH_MAX`].
    fn map(&mut self, len: usize, mut entries: Option<&mut Vec<(&'a [u8], &'a [u8])>>) -> Result<()> {
        if len > MAP_MAX_KEYS {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("map of {len} keys; at most {MAP_MAX_KEYS} are possible"),
            ));
        }
        self.enter(len)?;
        let first = self.keys.len();
        self.keys.reserve(len);
        if let Some(entries) = &mut entries {
            entries.reserve_exact(len);
        }
        for _ in 0..len {
            let key = self.key()?;
            let start = self.at;
            self.value()?;
            self.keys.push(key);
            if let Some(entries) = &mut entries {
                entries.push((key, &self.bytes[start..self.at]));
            }
        }
        let keys = &mut self.keys[first..];
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::bad_request("a key stands twice in one map"));
        }
        self.keys.truncate(first);
        self.depth -= 1;
        Ok(())
    }

    fn key(&mut self) -> Result<&'a [u8]> {
        let byte = self.take(1)?[0];
        let len = match byte {
            0xa0..=0xbf => usize::from(byte & 0x1f),
            0xd9..=0xdb => self.number(1 << (byte - 0xd9))?,
            _ => return Err(Error::bad_request("a key that is no string")),
        };
        self.text(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn twenty_thousand_levels_are_refused_without_falling_over() {
        for opener in [0x91u8, 0x81] {
            let mut bytes = vec![0x81, 0xa1, b'x'];
            for _ in 0..20_000 {
                bytes.push(opener);
                if opener == 0x81 {
                    bytes.extend([0xa1, b'x']);
                }
            }
            bytes.push(0xc0);
            assert_eq!(Map::check(&bytes).unwrap_err().kind, ErrorKind::TooLarge);
        }
    }

    #[test]
    fn raw_values_are_the_bytes_of_the_value() {
        let bytes = [0x82, 0xa2, b'i', b'd', 0x07, 0xa1, b'v', 0x92, 0x01, 0xc0];
        let map = Map::check(&bytes).unwrap();
        assert_eq!(
            (map.raw("id"), map.raw("v"), map.raw("x")),
            (Some(&[7][..]), Some(&[0x92, 0x01, 0xc0][..]), None)
        );
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Map::check(&bytes);
        }

        #[test]
        fn whatever_passes_is_read_to_its_last_byte(mut bytes in proptest::collection::vec(prop_oneof![0x80..0x84u8, 0x90..0x94u8, 0xa0..0xa3u8, any::<u8>()], 1..60)) {
            if Map::check(&bytes).is_ok() {
                bytes.push(0xc0);
                prop_assert!(Map::check(&bytes).is_err());
            }
        }
    }
}
