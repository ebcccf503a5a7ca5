//! SCRAM's arithmetic (RFC 5802, section 3), for either hash.

use ring::{digest, hmac};
use zeroize::Zeroizing;

use crate::digest::Algorithm;

/// Length of MD5's blocks, in bytes (RFC 2104, section 2).
const MD5_BLOCK_BYTES: usize = 64;

/// The hash under a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Md5,
}

impl Hash {
    /// HMAC (RFC 2104).
    pub(super) fn mac(self, key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Sha256 => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec(),
            Self::Md5 => hmac_md5(key, text),
        })
    }

    pub(super) fn digest(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => digest::digest(&digest::SHA256, text).as_ref().to_vec(),
            Self::Md5 => md5(&[text]),
        }
    }
}

/// MD5 of all parts in a row.
fn md5(parts: &[&[u8]]) -> Vec<u8> {
    let mut hasher = Algorithm::Md5.hasher();
    for part in parts {
        hasher.update(part);
    }
    hasher.finish().as_bytes().to_vec()
}

fn hmac_md5(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = Zeroizing::new([0; MD5_BLOCK_BYTES]);
    if key.len() > MD5_BLOCK_BYTES {
        let short = Zeroizing::new(md5(&[key]));
        block[..short.len()].copy_from_slice(&short);
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |pad: u8| Zeroizing::new(block.map(|byte| byte ^ pad));
    let inner = md5(&[pad(0x36).as_slice(), text]);
    md5(&[pad(0x5c).as_slice(), &inner])
}

/// What comes of a secret. A server keeps the last two: neither leads back to the first, which makes the proofs.
pub(super) struct Keys {
    pub(super) client_key: Zeroizing<Vec<u8>>,
    pub(super) stored_key: Vec<u8>,
    pub(super) server_key: Zeroizing<Vec<u8>>,
}

impl Keys {
    /// From the key that was derived from the secret, SCRAM's SaltedPassword.
    pub(super) fn derive(hash: Hash, salted: &[u8]) -> Self {
        let client_key = hash.mac(salted, b"Client Key");
        Self {
            stored_key: hash.digest(&client_key),
            client_key,
            server_key: hash.mac(salted, b"Server Key"),
        }
    }
}

/// Both of one length.
pub(super) fn xor(a: &[u8], b: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(a.iter().zip(b).map(|(a, b)| a ^ b).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 2202, section 2: all seven.
    #[test]
    fn hmac_md5_is_that_of_rfc_2202() {
        let counted: Vec<u8> = (1..=25).collect();
        for (key, text, want) in [
            (&[0x0b; 16][..], &b"Hi There"[..], "9294727a3638bb1c13f48ef8158bfc9d"),
            (b"Jefe", b"what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738"),
            (&[0xaa; 16], &[0xdd; 50], "56be34521d144c88dbb8c733f0e8b3f6"),
            (&counted, &[0xcd; 50], "697eaf0aca3a3aea3a75164746ffaa79"),
            (&[0x0c; 16], b"Test With Truncation", "56461ef2342edc00f9bab995690efd4c"),
            (
                &[0xaa; 80],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
            ),
            (
                &[0xaa; 80],
                b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
                "6f630fad67cda0ee1fb1f562db3aa53e",
            ),
        ] {
            assert_eq!(hex(&Hash::Md5.mac(key, text)), want);
        }
    }

    /// RFC 4231, section 4.3.
    #[test]
    fn hmac_sha256_is_that_of_rfc_4231() {
        assert_eq!(
            hex(&Hash::Sha256.mac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
