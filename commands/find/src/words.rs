//! The types of `find`'s own arguments: what their words look like, and what they mean.

use ferry_core::ArgType;
use ferry_core::args::ArgKind;
use ferry_core::serde::{Deserialize, Deserializer, de::Error as _};
use ferry_core::store::EntryKind;

/// What an entry is: `f` for a file, `d` for a folder, `l` for a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub(crate) EntryKind);

impl ArgType for Kind {
    const KIND: ArgKind = ArgKind::Choice;
    const CHOICES: &'static [&'static str] = &["f", "d", "l"];
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "f" => Ok(Self(EntryKind::File)),
            "d" => Ok(Self(EntryKind::Dir)),
            "l" => Ok(Self(EntryKind::Link)),
            _ => Err(D::Error::custom("a type is f, d or l")),
        }
    }
}

/// A length of time: a whole number and `s`, `m`, `h`, `d` or `w`. Without a letter it is days, as with find's `-mtime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    seconds: u64,
}

impl Age {
    /// In nanoseconds; as many as there can be for what is longer than 292 years.
    pub(crate) fn nanos(self) -> i64 {
        i64::try_from(u128::from(self.seconds) * 1_000_000_000).unwrap_or(i64::MAX)
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" | "" => 86_400,
            "w" => 604_800,
            _ => return None,
        };
        let seconds = number.parse::<u64>().ok()?.checked_mul(unit)?;
        Some(Self { seconds })
    }
}

impl ArgType for Age {
    const KIND: ArgKind = ArgKind::Text;
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("an age is written like 90s, 30m, 12h, 2d or 1w"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_a_number_and_a_letter() {
        for (text, seconds) in [
            ("0", 0),
            ("2", 172_800),
            ("2d", 172_800),
            ("12h", 43_200),
            ("30m", 1800),
            ("90s", 90),
            ("1w", 604_800),
        ] {
            assert_eq!(Age::parse(text), Some(Age { seconds }), "{text}");
        }
        for text in [
            "",
            "d",
            "-1d",
            "1.5h",
            "2 d",
            "1y",
            "1dd",
            "99999999999999999999",
            "18446744073709551615w",
        ] {
            assert_eq!(Age::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_age_of_ages_is_as_long_as_there_is() {
        assert_eq!(Age { seconds: u64::MAX }.nanos(), i64::MAX);
        assert_eq!(Age { seconds: 2 }.nanos(), 2_000_000_000);
    }
}
