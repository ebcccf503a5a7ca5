//! What stands in front of each file and folder of an archive: its header, and records for what finds no room in it (POSIX pax,
//! "pax Interchange Format").

use ferry_core::path::PATH_MAX_BYTES;
use ferry_core::text::escape;
use ferry_core::{Error, ErrorKind, Result};
use tar::{EntryType, Header};

use crate::{BLOCK_BYTES, padding};

/// The longest name that a header has room for.
const NAME_BYTES: usize = 100;
/// The longest name that a member may have, in bytes: twice as long as a path can be, for `./` and `//` in it.
pub(crate) const PATH_BYTES: usize = 2 * PATH_MAX_BYTES;
/// The largest number in a header of POSIX: eleven octal digits.
const OCTAL_MAX: u64 = (1 << 33) - 1;
const NANOS: u64 = 1_000_000_000;

/// A file or a folder as an archive tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its name, which may be anything. One of more than [`PATH_BYTES`] has lost its end, and is to be refused.
    pub(crate) path: Vec<u8>,
    /// What it is.
    pub(crate) kind: EntryType,
    /// How many bytes follow.
    pub(crate) size: u64,
    /// Last change, in nanoseconds since 1970-01-01 UTC.
    pub(crate) modified: Option<i64>,
    /// Whether its owner may execute it.
    pub(crate) executable: bool,
}

impl Member {
    /// Its name, safe to show and not too long.
    pub(crate) fn shown(&self) -> String {
        escape(&self.path).chars().take(200).collect()
    }

    /// Its header, with records in front of it where they are needed.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let records = self.records();
        if !records.is_empty() {
            let name = [b"PaxHeaders/", &*self.path].concat();
            let size = records.len() as u64;
            bytes.extend(header(&name, EntryType::XHeader, (size, 0), false));
            bytes.extend_from_slice(&records);
            bytes.resize(bytes.len() + padding(size), 0);
        }
        let seconds = self.modified.unwrap_or_default().div_euclid(NANOS.cast_signed());
        let seconds = u64::try_from(seconds).unwrap_or_default();
        bytes.extend(header(&self.path, self.kind, (self.size, seconds), self.executable));
        bytes
    }

    fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        if self.path.len() > NAME_BYTES {
            if std::str::from_utf8(&self.path).is_err() {
                record(&mut records, "hdrcharset", b"BINARY");
            }
            record(&mut records, "path", &self.path);
        }
        if self.size > OCTAL_MAX {
            record(&mut records, "size", self.size.to_string().as_bytes());
        }
        let modified = self.modified.unwrap_or_default();
        let (sign, since) = (if modified < 0 { "-" } else { "" }, modified.unsigned_abs());
        if modified < 0 || !since.is_multiple_of(NANOS) || since / NANOS > OCTAL_MAX {
            let time = format!("{sign}{}.{:09}", since / NANOS, since % NANOS);
            record(&mut records, "mtime", time.as_bytes());
        }
        records
    }
}

/// A header whose name is cut where it finds no room.
fn header(path: &[u8], kind: EntryType, (size, seconds): (u64, u64), executable: bool) -> [u8; BLOCK_BYTES] {
    let mut header = Header::new_ustar();
    let len = path.len().min(NAME_BYTES);
    header.as_old_mut().name[..len].copy_from_slice(&path[..len]);
    header.set_entry_type(kind);
    header.set_mode(if executable || kind.is_dir() { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(seconds);
    header.set_cksum();
    *header.as_bytes()
}

/// Adds `LENGTH KEY=VALUE` and a line break; the length counts itself.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    records.extend_from_slice(format!("{len} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// What records say of the member behind them, and what GNU tar's long names do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<i64>,
    is_sparse: bool,
}

impl Extra {
    /// Takes a name. Of one that is too long no more is kept than shows that it is: members wait in memory.
    pub(crate) fn name(&mut self, path: &[u8]) {
        self.path = Some(path[..path.len().min(PATH_BYTES + 1)].to_vec());
    }

    /// Takes some records. Values are bytes of any kind, line breaks too, so that lengths alone say where one ends.
    ///
    /// # Errors
    /// `bad_request` for what are no records.
    pub(crate) fn read(&mut self, mut records: &[u8]) -> Result<()> {
        while !records.is_empty() {
            let (key, value, rest) = split_record(records).ok_or_else(|| broken("has records that make no sense"))?;
            let number = || std::str::from_utf8(value).ok();
            match key {
                b"path" => self.name(value),
                b"size" => {
                    let size = number().and_then(|text| text.parse().ok());
                    self.size = Some(size.ok_or_else(|| broken("has a size that is no number"))?);
                }
                // A time that is none is as good as no time.
                b"mtime" => self.modified = number().and_then(nanos),
                key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }

    /// The member that a header and these records tell of.
    ///
    /// # Errors
    /// `bad_request` for a size that is none.
    pub(crate) fn member(self, header: &Header) -> Result<Member> {
        let size = match self.size {
            Some(size) => size,
            None => header.entry_size().map_err(|_| broken("has a size that is no number"))?,
        };
        let seconds = header.mtime().ok().map(u64::cast_signed);
        let path = self.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = match header.entry_type() {
            _ if self.is_sparse => EntryType::GNUSparse,
            // Before there was a letter for folders.
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => EntryType::Directory,
            kind => kind,
        };
        Ok(Member {
            // The second name of a file is told with the size of the first one, and nothing follows.
            size: if kind.is_hard_link() { 0 } else { size },
            modified: self.modified.or_else(|| seconds?.checked_mul(NANOS.cast_signed())),
            executable: header.mode().is_ok_and(|mode| mode & 0o100 != 0),
            path,
            kind,
        })
    }
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let len: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
    let line = bytes.get(blank + 1..len)?.strip_suffix(b"\n")?;
    let equals = line.iter().position(|byte| *byte == b'=')?;
    Some((&line[..equals], &line[equals + 1..], &bytes[len..]))
}

/// Nanoseconds of a decimal number of seconds; digits beyond the ninth are left out.
fn nanos(text: &str) -> Option<i64> {
    let (digits, sign) = text.strip_prefix('-').map_or((text, 1), |rest| (rest, -1));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let whole = whole.parse::<u64>().ok()?;
    let nanos = i128::from(whole) * i128::from(NANOS) + fraction.parse::<i128>().ok()?;
    i64::try_from(sign * nanos).ok()
}

/// Checks a header's sum, unsigned as POSIX has it or signed as some old programs wrote it.
///
/// # Errors
/// `bad_request`, with a hint for what looks compressed.
pub(crate) fn checked(block: &[u8; BLOCK_BYTES]) -> Result<&Header> {
    let header = Header::from_byte_slice(block);
    let sum = |of: fn(u8) -> i64| {
        let own = 148..156;
        let value = |(at, byte): (usize, &u8)| if own.contains(&at) { 32 } else { of(*byte) };
        block.iter().enumerate().map(value).sum::<i64>()
    };
    let told = header.cksum().ok().map(i64::from);
    if told == Some(sum(i64::from)) || told == Some(sum(|byte| i64::from(byte.cast_signed()))) {
        return Ok(header);
    }
    let error = broken("is none, or is damaged here");
    Err(match block {
        [0x1f, 0x8b, ..] => error.hint("it looks like gzip: `gunzip -c FILE | ferry HOST untar -`"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => error.hint("it looks like zstd: `zstd -dc FILE | ferry HOST untar -`"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => error.hint("it looks like xz: `xz -dc FILE | ferry HOST untar -`"),
        [b'B', b'Z', b'h', ..] => error.hint("it looks like bzip2: `bzip2 -dc FILE | ferry HOST untar -`"),
        _ => error,
    })
}

/// The refusal of an archive.
pub(crate) fn broken(what: &str) -> Error {
    Error::new(ErrorKind::BadRequest, format!("the archive {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of what was written.
    fn again(member: &Member) -> Member {
        let bytes = member.to_bytes();
        let (last, before) = (bytes.len() - BLOCK_BYTES, bytes.len().saturating_sub(BLOCK_BYTES));
        let mut extra = Extra::default();
        if before > 0 {
            let first: [u8; BLOCK_BYTES] = bytes[..BLOCK_BYTES].try_into().unwrap();
            let size = usize::try_from(checked(&first).unwrap().entry_size().unwrap()).unwrap();
            extra.read(&bytes[BLOCK_BYTES..BLOCK_BYTES + size]).unwrap();
        }
        let header: [u8; BLOCK_BYTES] = bytes[last..].try_into().unwrap();
        extra.member(checked(&header).unwrap()).unwrap()
    }

    fn member(path: &[u8], size: u64, modified: i64) -> Member {
        Member {
            path: path.to_vec(),
            kind: EntryType::Regular,
            size,
            modified: Some(modified),
            executable: true,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for one in [
            member(b"a", 0, 0),
            member(b"a\xff", 1, 1_700_000_000_123_456_789),
            member(&[b'x'; 100], OCTAL_MAX, -1_500_000_000),
            member(&[b'x'; 101], OCTAL_MAX + 1, 1_000_000_000),
            member(&[&[b'/'; 2000][..], b"\xff\n=", &[b'y'; 2000]].concat(), u64::MAX, i64::MAX),
            member("ä\n5 a=b\n".repeat(30).as_bytes(), 5, i64::MIN + 1),
        ] {
            assert_eq!(again(&one), one);
        }
        assert_eq!(
            member(b"a", 0, 0).to_bytes().len(),
            BLOCK_BYTES,
            "nothing more than is needed"
        );
    }

    #[test]
    fn of_a_name_without_end_little_is_kept() {
        let long = member(&b"./".repeat(500_000), 0, 0);
        let kept = again(&long).path;
        assert_eq!((kept.len(), kept.capacity()), (PATH_BYTES + 1, PATH_BYTES + 1));
        let longest = member(&[b'x'; PATH_BYTES], 0, 0);
        assert_eq!(again(&longest), longest);
    }

    #[test]
    fn times_are_decimal_numbers() {
        for (text, want) in [
            ("0", Some(0)),
            ("1.5", Some(1_500_000_000)),
            ("-1.000000001", Some(-1_000_000_001)),
            ("1.0000000019", Some(1_000_000_001)),
            ("1.", Some(1_000_000_000)),
            ("", None),
            (".5", None),
            ("1.x", None),
            ("--1", None),
            ("1e9", None),
            ("99999999999999999999", None),
            ("9999999999999", None),
        ] {
            assert_eq!(nanos(text), want, "{text}");
        }
    }

    #[test]
    fn records_that_lie_about_their_length_are_refused() {
        for bytes in [
            &b"x"[..],
            b"6 a=b\n",
            b"5 a=b\n",
            b"7 a=b\n",
            b"99999999999999999999999 a=b\n",
            b"-6 a=b\n",
            b"0 a=b\n",
            b"3 a=b\n",
            b"6 a b\n",
            b"18446744073709551615 a=b\n",
        ] {
            let is_right = bytes == b"6 a=b\n";
            assert_eq!(Extra::default().read(bytes).is_ok(), is_right, "{bytes:?}");
        }
        assert!(Extra::default().read(b"9 size=x\n").is_err());
    }
}
