//! What tells one server from another: the SHA-256 of its public key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// What every fingerprint starts with.
const PREFIX: &str = "sha256:";

/// The SHA-256 of a public key in the form in which certificates carry it (SubjectPublicKeyInfo, DER; RFC 5280, 4.1). A renewed
/// certificate of the same key keeps it. Written as `sha256:` and 64 hex digits; read also in base64, as others write it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a public key, which is a SubjectPublicKeyInfo in DER.
    pub fn of(public_key: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, public_key).as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "`{}` is no fingerprint; one is `sha256:` and 64 hex digits",
                crate::text::escape(text.as_bytes())
            )
        };
        let (prefix, digits) = text.split_at_checked(PREFIX.len()).ok_or_else(bad)?;
        if !prefix.eq_ignore_ascii_case(PREFIX) {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        if digits.len() == 2 * bytes.len() {
            for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().as_chunks::<2>().0) {
                let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
                let value = high.zip(low).map(|(high, low)| 16 * high + low);
                *byte = value.and_then(|value| u8::try_from(value).ok()).ok_or_else(bad)?;
            }
        } else {
            let decoded = STANDARD_NO_PAD.decode(digits.trim_end_matches('=')).map_err(|_| bad())?;
            bytes = decoded.try_into().map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_base64_are_the_same_fingerprint() {
        let fingerprint = Fingerprint::of(b"abc");
        // FIPS 180-4, the example of SHA-256.
        let hex = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(fingerprint.to_string(), hex);
        for text in [
            hex,
            "SHA256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
            "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0",
            "sha256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        ] {
            assert_eq!(text.parse(), Ok(fingerprint), "{text}");
        }
        for text in [
            "",
            "sha256:",
            "sha256",
            "md5:00",
            "sha256:zz",
            "sha256:ungWv48Bz",
            "sha256:é",
            &hex[..70],
            &hex.replace('b', "+"),
        ] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
