//! Random arguments from a fixed seed, so that a finding is found again.

use ferry_core::VerbInfo;
use ferry_core::args::ArgKind;
use ferry_core::catalog::ArgInfo;

/// Words that are more likely to matter than random letters.
const WORDS: [&str; 12] = [
    "",
    ".",
    "..",
    "/",
    "docs",
    "docs/notes.txt",
    "hello.txt",
    "new",
    "a/b",
    "-",
    "rm",
    "\u{1b}[2J",
];

/// Marsaglia's xorshift64.
pub(crate) struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Random {
    /// A number below `end`, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// A MessagePack map that is sometimes what the verb takes, and sometimes not.
    pub(crate) fn args(&mut self, verb: &VerbInfo) -> Vec<u8> {
        let given: Vec<&ArgInfo> = verb.args.iter().filter(|arg| arg.required || self.below(3) > 0).collect();
        let stranger = self.below(10) == 0;
        let keys = u16::try_from(given.len() + usize::from(stranger)).unwrap_or(u16::MAX);
        let [high, low] = keys.to_be_bytes();
        let mut bytes = vec![0xde, high, low];
        for arg in given {
            text(&mut bytes, &arg.name);
            let wrong = self.below(10) == 0;
            if arg.repeated != wrong {
                let len = small(usize::try_from(self.below(4)).unwrap_or_default());
                bytes.push(0x90 | len);
                (0..len).for_each(|_| self.value(arg, &mut bytes));
            } else {
                self.value(arg, &mut bytes);
            }
        }
        if stranger {
            text(&mut bytes, "stranger");
            bytes.push(0xc0);
        }
        bytes
    }

    fn value(&mut self, arg: &ArgInfo, bytes: &mut Vec<u8>) {
        match (self.below(8), arg.kind) {
            (0, _) => bytes.push(0xc0),
            (1, _) => bytes.extend([0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            (2, _) => bytes.extend([0xc4, 2, 0xff, 0xfe]),
            (_, ArgKind::Flag) => bytes.push(0xc2 | small(usize::from(self.below(2) == 1))),
            (_, ArgKind::Integer | ArgKind::Size) => bytes.push(small(usize::try_from(self.below(100)).unwrap_or_default())),
            (n, ArgKind::Choice) if n > 3 && !arg.choices.is_empty() => text(bytes, &arg.choices[0]),
            _ => {
                let word = usize::try_from(self.below(WORDS.len() as u64)).unwrap_or_default();
                text(bytes, WORDS[word]);
            }
        }
    }
}

/// A number that fits the few bits that MessagePack's short forms have for it.
fn small(n: usize) -> u8 {
    u8::try_from(n).unwrap_or(0x0f)
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend([0xd9, u8::try_from(text.len()).unwrap_or(u8::MAX)]);
    bytes.extend_from_slice(text.as_bytes());
}
