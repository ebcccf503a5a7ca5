//! Digests of contents: MD5 (RFC 1321), the default and what `md5sum` shows, and BLAKE3, which also proves prefixes.
//!
//! MD5 tells accidents from intact files; two files with one MD5 are easily made. Whatever is *skipped* because both
//! sides hold it already is therefore proven by BLAKE3, whichever algorithm the transfer itself uses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use self::md5::Md5;

mod md5;

/// How a transfer is proven.
///
/// ```
/// use ferry_core::Algorithm;
///
/// let algorithm: Algorithm = "blake3".parse()?;
/// assert_eq!(algorithm, Algorithm::Blake3);
/// assert_eq!(Algorithm::default(), Algorithm::Md5);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Algorithm {
    /// RFC 1321; 16 bytes; the default.
    #[default]
    Md5,
    /// BLAKE3; 32 bytes; against someone hostile, and on links faster than MD5.
    Blake3,
}

impl Algorithm {
    /// Its name on the wire and the command line.
    ///
    /// ```
    /// assert_eq!(ferry_core::Algorithm::Md5.as_str(), "md5");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Blake3 => "blake3",
        }
    }

    /// The length of its digests, in bytes.
    ///
    /// ```
    /// assert_eq!(ferry_core::Algorithm::Md5.len_bytes(), 16);
    /// ```
    pub fn len_bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Blake3 => 32,
        }
    }

    /// A fresh computation.
    ///
    /// ```
    /// let mut hasher = ferry_core::Algorithm::Md5.hasher();
    /// hasher.update(b"a");
    /// hasher.update(b"bc");
    /// assert_eq!(hasher.finish().hex(), "900150983cd24fb0d6963f7d28e17f72");
    /// ```
    pub fn hasher(self) -> Hasher {
        match self {
            Self::Md5 => Hasher(State::Md5(Md5::new())),
            Self::Blake3 => Hasher(State::Blake3(Box::new(blake3::Hasher::new()))),
        }
    }

    /// The digest of bytes in memory.
    ///
    /// ```
    /// let digest = ferry_core::Algorithm::Md5.digest(b"abc");
    /// assert_eq!(digest.to_string(), "md5:900150983cd24fb0d6963f7d28e17f72");
    /// ```
    pub fn digest(self, bytes: &[u8]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finish()
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "md5" => Ok(Self::Md5),
            "blake3" => Ok(Self::Blake3),
            other => Err(format!("`{other}` is not a digest; choose md5 or blake3")),
        }
    }
}

/// A digest with its algorithm; on the wire and in text `md5:` or `blake3:` and lower-case hex.
///
/// ```
/// use ferry_core::{Algorithm, Digest};
///
/// let digest: Digest = "md5:900150983cd24fb0d6963f7d28e17f72".parse()?;
/// assert_eq!(digest, Algorithm::Md5.digest(b"abc"));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: [u8; 32],
}

impl Digest {
    /// Which algorithm made it.
    ///
    /// ```
    /// use ferry_core::Algorithm;
    ///
    /// assert_eq!(Algorithm::Blake3.digest(b"abc").algorithm(), Algorithm::Blake3);
    /// ```
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its bytes: 16 for MD5, 32 for BLAKE3.
    ///
    /// ```
    /// assert_eq!(ferry_core::Algorithm::Md5.digest(b"abc").as_bytes()[..2], [0x90, 0x01]);
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.len_bytes()]
    }

    /// Lower-case hex alone, as `md5sum` prints it.
    ///
    /// ```
    /// assert_eq!(ferry_core::Algorithm::Md5.digest(b"abc").hex(), "900150983cd24fb0d6963f7d28e17f72");
    /// ```
    pub fn hex(&self) -> String {
        self.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "a digest is written `md5:` or `blake3:` and lower-case hex".to_owned();
        let (name, hex) = text.split_once(':').ok_or_else(bad)?;
        let algorithm: Algorithm = name.parse()?;
        let mut bytes = [0; 32];
        if hex.len() != algorithm.len_bytes() * 2 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad());
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self { algorithm, bytes })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A digest being computed. Clones carry on from the same place.
///
/// ```
/// use ferry_core::Algorithm;
///
/// let mut hasher = Algorithm::Md5.hasher();
/// hasher.update(b"a");
/// let mut other = hasher.clone();
/// hasher.update(b"b");
/// other.update(b"c");
/// assert_eq!(hasher.finish(), Algorithm::Md5.digest(b"ab"));
/// assert_eq!(other.finish(), Algorithm::Md5.digest(b"ac"));
/// ```
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Md5(Md5),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// Takes in the next bytes.
    ///
    /// ```
    /// let mut hasher = ferry_core::Algorithm::Blake3.hasher();
    /// hasher.update(b"ab");
    /// hasher.update(b"c");
    /// assert_eq!(hasher.finish(), ferry_core::Algorithm::Blake3.digest(b"abc"));
    /// ```
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Md5(hasher) => hasher.update(bytes),
            State::Blake3(hasher) => {
                hasher.update(bytes);
            }
        }
    }

    /// How many bytes were taken in.
    ///
    /// ```
    /// let mut hasher = ferry_core::Algorithm::Md5.hasher();
    /// hasher.update(b"abc");
    /// assert_eq!(hasher.len_bytes(), 3);
    /// ```
    pub fn len_bytes(&self) -> u64 {
        match &self.0 {
            State::Md5(hasher) => hasher.len_bytes(),
            State::Blake3(hasher) => hasher.count(),
        }
    }

    /// All that is needed to go on later, at most 87 bytes; `None` for BLAKE3, whose state is never small and whose bytes are read
    /// again faster than a disk gives them.
    ///
    /// ```
    /// use ferry_core::Algorithm;
    ///
    /// let mut hasher = Algorithm::Md5.hasher();
    /// hasher.update(b"the first half");
    /// assert!(hasher.save().is_some_and(|saved| saved.len() <= 87));
    /// assert_eq!(Algorithm::Blake3.hasher().save(), None);
    /// ```
    pub fn save(&self) -> Option<Vec<u8>> {
        match &self.0 {
            State::Md5(hasher) => Some(hasher.save()),
            State::Blake3(_) => None,
        }
    }

    /// Goes on with an MD5 computation from what [`Hasher::save`] gave; `None` for anything else.
    ///
    /// ```
    /// use ferry_core::{Algorithm, Hasher};
    ///
    /// let mut hasher = Algorithm::Md5.hasher();
    /// hasher.update(b"ab");
    /// let saved = hasher.save().unwrap();
    /// let mut later = Hasher::restore(&saved).unwrap();
    /// later.update(b"c");
    /// assert_eq!(later.finish(), Algorithm::Md5.digest(b"abc"));
    /// ```
    pub fn restore(saved: &[u8]) -> Option<Self> {
        Md5::restore(saved).map(|hasher| Self(State::Md5(hasher)))
    }

    /// How these bytes are digested.
    ///
    /// ```
    /// use ferry_core::Algorithm;
    ///
    /// assert_eq!(Algorithm::Md5.hasher().algorithm(), Algorithm::Md5);
    /// ```
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            State::Md5(_) => Algorithm::Md5,
            State::Blake3(_) => Algorithm::Blake3,
        }
    }

    /// The digest of all bytes so far.
    ///
    /// ```
    /// use ferry_core::Algorithm;
    ///
    /// let mut hasher = Algorithm::Md5.hasher();
    /// hasher.update(b"ab");
    /// assert_eq!(hasher.finish(), Algorithm::Md5.digest(b"ab"));
    /// hasher.update(b"c"); // a computation goes on after a look at it
    /// assert_eq!(hasher.finish(), Algorithm::Md5.digest(b"abc"));
    /// ```
    pub fn finish(&self) -> Digest {
        let mut bytes = [0; 32];
        let algorithm = match &self.0 {
            State::Md5(hasher) => {
                bytes[..16].copy_from_slice(&hasher.finish());
                Algorithm::Md5
            }
            State::Blake3(hasher) => {
                bytes = *hasher.finalize().as_bytes();
                Algorithm::Blake3
            }
        };
        Digest { algorithm, bytes }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hasher({:?} after {} bytes)", self.algorithm(), self.len_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_match_their_published_vectors() {
        // RFC 1321, appendix A.5; BLAKE3 test vector for the empty input.
        assert_eq!(
            Algorithm::Md5.digest(b"abc").to_string(),
            "md5:900150983cd24fb0d6963f7d28e17f72"
        );
        assert_eq!(
            Algorithm::Blake3.digest(b"").hex(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn text_and_digest_are_the_same_thing() {
        for algorithm in [Algorithm::Md5, Algorithm::Blake3] {
            let digest = algorithm.digest(b"ferry");
            assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        }
        for bad in [
            "",
            "md5",
            "md5:",
            "md5:zz",
            "sha1:00",
            "md5:900150983CD24FB0D6963F7D28E17F72",
            "blake3:900150983cd24fb0d6963f7d28e17f72",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
