//! Sizes in bytes as people write them: `1048576`, `10MiB`, `1GB`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes. Parsed with decimal (`kB`, `MB`, `GB`, `TB`) and binary (`KiB`, `MiB`, `GiB`, `TiB`) units of
/// IEC 80000-13; a bare letter (`K`, `M`, `G`, `T`) is binary, as with coreutils. Shown in binary units.
///
/// ```
/// use ferry_core::ByteSize;
///
/// assert_eq!("10MiB".parse(), Ok(ByteSize(10 << 20)));
/// assert_eq!(ByteSize(1536).to_string(), "1.5 KiB");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 4] = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40)];

impl FromStr for ByteSize {
    type Err = String;

    /// # Errors
    /// A sentence for people when the text is no size, or one beyond 2^64 - 1 bytes.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a size; write it like 1048576, 10MiB or 1GB");
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return Err(bad()),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        // Nine digits of fraction are more than any unit can show, and keep the product below 2^128.
        if whole.is_empty() || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
            return Err(bad());
        }
        let whole: u128 = whole.parse().map_err(|_| bad())?;
        let part: u128 = if fraction.is_empty() {
            0
        } else {
            fraction.parse().map_err(|_| bad())?
        };
        let scale = 10u128.pow(u32::try_from(fraction.len()).map_err(|_| bad())?);
        let bytes = whole
            .checked_mul(u128::from(factor))
            .and_then(|w| w.checked_add(part * u128::from(factor) / scale));
        bytes.and_then(|b| u64::try_from(b).ok()).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match UNITS.iter().rev().find(|(_, unit)| self.0 >= *unit) {
            None => format!("{} B", self.0),
            Some((name, unit)) => {
                // Tenths in whole numbers, rounded down, so that a file just below a limit never shows as the limit.
                let tenths = u128::from(self.0) * 10 / u128::from(*unit);
                format!("{}.{} {name}B", tenths / 10, tenths % 10)
            }
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_both_kinds_of_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("10MiB", 10 << 20),
            ("1GB", 1_000_000_000),
            ("1.5k", 1536),
            ("2 gib", 2 << 30),
            ("7B", 7),
        ] {
            assert_eq!(text.parse::<ByteSize>(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.",
            "1..2",
            "10 parsecs",
            "99999999999999999999",
            "99999999999TiB",
            "340282366920938463463374607431768211.999kB",
            "1e3",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        assert_eq!(ByteSize(999).to_string(), "999 B");
        assert_eq!(ByteSize(1 << 20).to_string(), "1.0 MiB");
        assert_eq!(ByteSize((1 << 30) - 1).to_string(), "1023.9 MiB");
        assert_eq!(ByteSize(u64::MAX).to_string(), "16777215.9 TiB");
    }
}
