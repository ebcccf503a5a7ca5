//! Random arguments, the nastier the better, from a seed that is told with each finding, so that it is found again.

use ferry_core::VerbInfo;
use ferry_core::args::ArgKind;
use ferry_core::catalog::ArgInfo;

use crate::pack;
use crate::sent::Sent;

/// How many random calls each verb gets when `FERRY_RANDOM` says nothing.
const CALLS: usize = 100;
/// The longest random text, in bytes: more than a path may have.
const LONG_BYTES: u64 = 6000;
/// The deepest random value: more than the wire allows.
const DEEP: u64 = 20;

/// Words that are more likely to matter than random letters: what is there, ways out of the home, patterns, what a terminal or a
/// C program would act on.
const WORDS: &[&str] = &[
    "",
    ".",
    "..",
    "/",
    "//",
    "docs",
    "docs/",
    "/docs/notes.txt",
    "docs/notes.txt",
    "hello.txt",
    "hello.txt/",
    "new",
    "new/",
    "a/b",
    "docs/new",
    "../bob",
    "../bob/hello.txt",
    "/../bob/hello.txt",
    "docs/../../bob/hello.txt",
    "docs/../../../../../../etc/passwd",
    "/etc/passwd",
    "/..",
    "/../../..",
    "./../",
    "....//....//",
    "..\\..\\bob",
    "..%2fbob",
    "%2e%2e/bob",
    "..\u{0}/bob",
    "..;/bob",
    "\u{ff0e}\u{ff0e}/bob",
    "~",
    "~bob",
    "$HOME",
    "docs\u{0}",
    "\u{0}",
    "*",
    "**",
    "d*/*",
    "[",
    "[!a]*",
    "?????.txt",
    "{hello,docs}",
    "\\*",
    "-",
    "--",
    "-rf",
    "--as",
    "rm",
    "none",
    "\u{1b}[2J",
    "a\nb",
    "a\r",
    "\u{7f}",
    "\u{202e}txt.exe",
    "%s%n",
    "' OR 1=1",
    "e\u{301}",
    "10MiB",
    "-1",
    "0",
    "1e400",
    "18446744073709551616",
    "NaN",
];

/// Numbers at the edges of types.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    7,
    127,
    255,
    256,
    65_535,
    65_536,
    u32::MAX as u64,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// How many random calls each verb gets: `FERRY_RANDOM`, or 100.
pub(crate) fn calls() -> usize {
    given("FERRY_RANDOM").map_or(CALLS, |calls| usize::try_from(calls).unwrap_or(usize::MAX))
}

/// Where random choices begin: `FERRY_SEED`, or this moment.
pub(crate) fn seed() -> u64 {
    let now = || {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
    };
    given("FERRY_SEED").unwrap_or_else(|| u64::from(now().subsec_nanos()) ^ now().as_secs())
}

/// Marsaglia's xorshift64.
pub(crate) struct Random(u64);

impl Random {
    /// The choices for something of that name, which do not depend on what else is tried.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a, 64 bits.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self((hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The high bits are the better ones.
        (self.0 >> 11) % end
    }

    fn len(&mut self, end: u64) -> usize {
        usize::try_from(self.below(end)).unwrap_or_default()
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.len(all.len() as u64)]
    }

    /// A word: one that matters, two of them behind each other, a name that is too long, or letters.
    pub(crate) fn word(&mut self) -> String {
        match self.below(10) {
            0 => format!("{}/{}", self.pick(WORDS), self.pick(WORDS)),
            1 => {
                let piece = *self.pick(&["x", "a/", "../", "é", "\u{1}", "*"]);
                let len = *self.pick(&[254, 255, 256, 4095, 4096, LONG_BYTES]);
                piece.repeat(usize::try_from(len).unwrap_or_default() / piece.len())
            }
            2 => {
                let len = self.len(12);
                (0..len)
                    .filter_map(|_| char::from_u32(u32::try_from(self.below(0x300)).unwrap_or_default()))
                    .collect()
            }
            _ => (*self.pick(WORDS)).to_owned(),
        }
    }

    /// Bytes that are no UTF-8.
    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = self.word().into_bytes();
        bytes.truncate(self.len(40));
        bytes.push(0xff);
        bytes
    }

    /// A MessagePack map that is sometimes what the verb takes, and sometimes not.
    pub(crate) fn args(&mut self, verb: &VerbInfo) -> Vec<u8> {
        let given: Vec<&ArgInfo> = verb
            .args
            .iter()
            .filter(|arg| self.below(if arg.required { 20 } else { 3 }) > 0)
            .collect();
        let stranger = self.below(20) == 0;
        let mut bytes = Vec::new();
        pack::map(&mut bytes, given.len() + usize::from(stranger));
        for arg in given {
            pack::text(&mut bytes, &arg.name);
            let wrong = self.below(20) == 0;
            if arg.repeated != wrong {
                let len = self.len(4);
                pack::array(&mut bytes, len);
                (0..len).for_each(|_| self.value(arg, &mut bytes));
            } else {
                self.value(arg, &mut bytes);
            }
        }
        if stranger {
            pack::text(&mut bytes, "stranger");
            self.odd(&mut bytes);
        }
        bytes
    }

    fn value(&mut self, arg: &ArgInfo, out: &mut Vec<u8>) {
        if self.below(12) == 0 {
            return self.odd(out);
        }
        match arg.kind {
            ArgKind::Flag => pack::flag(out, self.below(2) == 1),
            ArgKind::Integer | ArgKind::Size => match self.below(4) {
                0 => pack::number(out, *self.pick(NUMBERS)),
                1 => pack::text(out, &self.word()),
                _ => pack::number(out, self.below(100)),
            },
            ArgKind::Choice if self.below(6) > 0 && !arg.choices.is_empty() => pack::text(out, self.pick::<String>(&arg.choices)),
            ArgKind::RemotePath | ArgKind::LocalPath if self.below(6) == 0 => pack::bytes(out, &self.bytes()),
            _ => pack::text(out, &self.word()),
        }
    }

    /// A value that hardly anything expects.
    fn odd(&mut self, out: &mut Vec<u8>) {
        match self.below(9) {
            0 => pack::nil(out),
            1 => pack::number(out, *self.pick(NUMBERS)),
            2 => pack::negative(out, *self.pick(&[-1, -128, i64::from(i32::MIN), i64::MIN])),
            3 => pack::bytes(out, &self.bytes()),
            4 => pack::float(out, *self.pick(&[f64::NAN, f64::INFINITY, -0.0, 1e308])),
            5 => {
                // One value inside another.
                (0..self.below(DEEP)).for_each(|_| pack::array(out, 1));
                pack::nil(out);
            }
            6 => {
                pack::map(out, 1);
                pack::text(out, &self.word());
                pack::nil(out);
            }
            7 => pack::flag(out, true),
            _ => pack::text(out, &"x".repeat(self.len(LONG_BYTES))),
        }
    }

    /// A body, sound or not.
    pub(crate) fn body(&mut self) -> Sent {
        let len = *self.pick(&[0, 1, 24, 300]);
        let bytes = vec![b'x'; len];
        let sent = match self.below(8) {
            0 => Sent::stream(bytes),
            1 => Sent::folder(),
            2 => Sent::file(bytes).offer(|offer| offer.size = Some(u64::MAX)),
            3 => Sent::file(bytes).offer(|offer| (offer.fresh, offer.executable) = (true, true)),
            4 => Sent::file(bytes).offer(|offer| offer.modified = Some(i64::MIN)),
            _ => Sent::file(bytes),
        };
        match self.below(8) {
            0 => sent.wrong_digest(),
            1 => sent.cut_after(self.len(400)),
            2 => sent.stall_after(self.len(400)),
            _ => sent,
        }
    }
}
