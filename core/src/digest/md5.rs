//! MD5 (RFC 1321), one stream as fast as one core goes, with a state that can be kept and taken up again.
//!
//! A step of MD5 waits for the step before it, so speed is the length of that chain and nothing else. Two things shorten it by
//! an instruction each: the constants come from a table that the compiler cannot see through, or it adds them last, where they
//! are in the way; and the two halves of the second round's function share no bit, so they are added one after the other,
//! the half that waits for nobody first. Together that is 1.3 times the `md5` crate, which is the referee in the tests, and
//! within a few per cent of the assembler of OpenSSL (`cargo bench -p ferry-core --bench digests`). On Intel's processors with
//! AVX-512 the chain is shorter still, see `avx512`.

use std::hint::black_box;

#[cfg(target_arch = "x86_64")]
mod avx512;

/// Bytes that are taken in at once.
const BLOCK_BYTES: usize = 64;

/// RFC 1321, 3.3: the words A, B, C and D before the first block.
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// RFC 1321, 3.4: the integer part of 2^32 times abs(sin(i + 1)), i in radians.
static SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// Which instructions take in the blocks. The words that come out are the same.
#[derive(Debug, Clone, Copy)]
enum Way {
    General,
    #[cfg(target_arch = "x86_64")]
    Avx512(fearless_simd::Avx512),
}

impl Way {
    fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(proof) = avx512::if_faster() {
            return Self::Avx512(proof);
        }
        Self::General
    }

    fn compress(self, words: &mut [u32; 4], blocks: &[[u8; BLOCK_BYTES]]) {
        match self {
            Self::General => compress(words, blocks),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => avx512::compress(proof, words, blocks),
        }
    }
}

/// A computation under way.
#[derive(Clone)]
pub(super) struct Md5 {
    way: Way,
    words: [u32; 4],
    /// Bytes taken in so far.
    len: u64,
    /// The beginning of a block, `len % 64` bytes of it.
    tail: [u8; BLOCK_BYTES],
}

impl Md5 {
    pub(super) fn new() -> Self {
        Self {
            way: Way::fastest(),
            words: START,
            len: 0,
            tail: [0; BLOCK_BYTES],
        }
    }

    pub(super) fn len_bytes(&self) -> u64 {
        self.len
    }

    fn tail_len(&self) -> usize {
        usize::try_from(self.len % BLOCK_BYTES as u64).unwrap_or_default()
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        let held = self.tail_len();
        self.len = self.len.wrapping_add(bytes.len() as u64);
        if held > 0 {
            let (first, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - held));
            self.tail[held..held + first.len()].copy_from_slice(first);
            if held + first.len() < BLOCK_BYTES {
                return;
            }
            self.way.compress(&mut self.words, &[self.tail]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks();
        self.way.compress(&mut self.words, blocks);
        self.tail[..rest.len()].copy_from_slice(rest);
    }

    pub(super) fn finish(&self) -> [u8; 16] {
        let (mut words, held) = (self.words, self.tail_len());
        let mut last = [[0; BLOCK_BYTES]; 2];
        last[0][..held].copy_from_slice(&self.tail[..held]);
        last[0][held] = 0x80;
        // The length in bits, modulo 2^64, ends the last block; where it has no room, there is one more.
        let blocks = if held < BLOCK_BYTES - 8 { 1 } else { 2 };
        let bits = self.len.wrapping_mul(8).to_le_bytes();
        last[blocks - 1][BLOCK_BYTES - 8..].copy_from_slice(&bits);
        self.way.compress(&mut words, &last[..blocks]);
        words_to_bytes(words)
    }

    /// All that is needed to go on later: length, words and the rest of a block; 24 to 87 bytes.
    pub(super) fn save(&self) -> Vec<u8> {
        let mut saved = self.len.to_le_bytes().to_vec();
        saved.extend(words_to_bytes(self.words));
        saved.extend(&self.tail[..self.tail_len()]);
        saved
    }

    /// What [`Md5::save`] gave; `None` for anything else.
    pub(super) fn restore(saved: &[u8]) -> Option<Self> {
        let (len, rest) = saved.split_first_chunk()?;
        let (words, tail) = rest.split_first_chunk::<16>()?;
        let mut restored = Self::new();
        restored.len = u64::from_le_bytes(*len);
        for (word, bytes) in restored.words.iter_mut().zip(words.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        if tail.len() != restored.tail_len() {
            return None;
        }
        restored.tail[..tail.len()].copy_from_slice(tail);
        Some(restored)
    }
}

fn words_to_bytes(words: [u32; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

/// Takes in whole blocks. Not inlined, so that the table stays opaque once a call and not once a block.
#[inline(never)]
fn compress(words: &mut [u32; 4], blocks: &[[u8; BLOCK_BYTES]]) {
    let sines: &[u32; 64] = black_box(&SINES);
    let [mut a, mut b, mut c, mut d] = *words;
    for block in blocks {
        let mut x = [0_u32; 16];
        for (x, bytes) in x.iter_mut().zip(block.as_chunks().0) {
            *x = u32::from_le_bytes(*bytes);
        }
        let before = [a, b, c, d];
        // Four steps a turn, so that the words come back to their places. A round has a function, says which word of the block
        // its step i takes (factor * i + start, modulo 16), and has four shifts.
        macro_rules! round {
            ($round:literal, $step:ident, $factor:literal, $start:literal, [$s0:literal, $s1:literal, $s2:literal, $s3:literal]) => {
                for i in [0, 4, 8, 12] {
                    let add = |i: usize| x[($factor * i + $start) % 16].wrapping_add(sines[16 * $round + i]);
                    a = $step::<$s0>([a, b, c, d], add(i));
                    d = $step::<$s1>([d, a, b, c], add(i + 1));
                    c = $step::<$s2>([c, d, a, b], add(i + 2));
                    b = $step::<$s3>([b, c, d, a], add(i + 3));
                }
            };
        }
        round!(0, f, 1, 0, [7, 12, 17, 22]);
        round!(1, g, 5, 1, [5, 9, 14, 20]);
        round!(2, h, 3, 5, [4, 11, 16, 23]);
        round!(3, i, 7, 0, [6, 10, 15, 21]);
        for (word, before) in [&mut a, &mut b, &mut c, &mut d].into_iter().zip(before) {
            *word = word.wrapping_add(before);
        }
    }
    *words = [a, b, c, d];
}

// The steps of the four rounds, RFC 1321, 3.4. `b` is the word that was made last: whatever can be done without it comes first.

#[inline(always)]
fn f<const SHIFT: u32>([a, b, c, d]: [u32; 4], add: u32) -> u32 {
    let sum = a.wrapping_add(add);
    sum.wrapping_add(d ^ (b & (c ^ d))).rotate_left(SHIFT).wrapping_add(b)
}

#[inline(always)]
fn g<const SHIFT: u32>([a, b, c, d]: [u32; 4], add: u32) -> u32 {
    let sum = a.wrapping_add(add).wrapping_add(c & !d);
    sum.wrapping_add(b & d).rotate_left(SHIFT).wrapping_add(b)
}

#[inline(always)]
fn h<const SHIFT: u32>([a, b, c, d]: [u32; 4], add: u32) -> u32 {
    let sum = a.wrapping_add(add);
    sum.wrapping_add((c ^ d) ^ b).rotate_left(SHIFT).wrapping_add(b)
}

#[inline(always)]
fn i<const SHIFT: u32>([a, b, c, d]: [u32; 4], add: u32) -> u32 {
    let sum = a.wrapping_add(add);
    sum.wrapping_add(c ^ (b | !d)).rotate_left(SHIFT).wrapping_add(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(bytes: [u8; 16]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Every way that this processor knows, the fastest or not.
    fn ways() -> Vec<Way> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, reason = "there is one way"))]
        let mut ways = vec![Way::General];
        #[cfg(target_arch = "x86_64")]
        ways.extend(avx512::if_there().map(Way::Avx512));
        ways
    }

    fn by(way: Way, md5: Md5) -> Md5 {
        Md5 { way, ..md5 }
    }

    #[test]
    fn the_vectors_of_rfc_1321_hold() {
        // RFC 1321, A.5.
        let digits = "1234567890".repeat(8);
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        for (text, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            (letters, "d174ab98d277d9f5a5611c2c9f419d9f"),
            (&digits, "57edf4a22be3c955ac49da2e2107b67a"),
        ] {
            for way in ways() {
                let mut md5 = by(way, Md5::new());
                md5.update(text.as_bytes());
                assert_eq!(hex(md5.finish()), digest, "{text} by {way:?}");
            }
        }
    }

    #[test]
    fn the_constants_are_those_of_the_sine() {
        for (at, sine) in SINES.iter().enumerate() {
            let exact = (f64::from(u32::try_from(at).unwrap() + 1).sin().abs() * 4_294_967_296.0).floor();
            assert_eq!(f64::from(*sine), exact, "{at}");
        }
    }

    #[test]
    fn every_length_around_a_block_is_as_the_referee_says() {
        let bytes: Vec<u8> = (0..=255).cycle().take(300).collect();
        for len in 0..bytes.len() {
            for way in ways() {
                let mut md5 = by(way, Md5::new());
                md5.update(&bytes[..len]);
                assert_eq!(md5.finish(), md5::compute(&bytes[..len]).0, "{len} by {way:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_as_the_referee_says(bytes in prop::collection::vec(any::<u8>(), 0..2000), cuts in prop::collection::vec(0_usize..2000, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            for way in ways() {
                let mut md5 = by(way, Md5::new());
                let mut at = 0;
                for &cut in &cuts {
                    md5.update(&bytes[at..cut]);
                    // Every piece by another computation, which takes up where the one before it was.
                    md5 = by(way, Md5::restore(&md5.save()).unwrap());
                    prop_assert_eq!(md5.len_bytes(), cut as u64);
                    at = cut;
                }
                md5.update(&bytes[at..]);
                prop_assert_eq!(md5.finish(), md5::compute(&bytes).0, "by {:?}", way);
            }
        }

        #[test]
        fn what_one_way_saved_another_takes_up(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in 0_usize..2000) {
            let cut = cut.min(bytes.len());
            for (first, second) in ways().into_iter().zip(ways().into_iter().rev()) {
                let mut md5 = by(first, Md5::new());
                md5.update(&bytes[..cut]);
                let mut md5 = by(second, Md5::restore(&md5.save()).unwrap());
                md5.update(&bytes[cut..]);
                prop_assert_eq!(md5.finish(), md5::compute(&bytes).0, "by {:?}, then {:?}", first, second);
            }
        }

        #[test]
        fn only_what_was_saved_is_restored(saved in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(md5) = Md5::restore(&saved) {
                prop_assert_eq!(md5.save(), saved);
            }
        }
    }
}
