//! Frames: `u32` big-endian length of the payload, one kind byte, payload.

use super::{CONTROL_MAX_BYTES, CONTROL_MAX_BYTES_BEFORE_LOGIN, DATA_MAX_BYTES};
use crate::error::{Error, ErrorKind, Result};

/// The length of a frame's header, in bytes.
pub const HEADER_BYTES: usize = 5;
/// The length of the request id in front of a data frame's contents, in bytes.
pub const ID_BYTES: usize = 4;

/// What a frame is. Values from 0x80 on are optional: a peer that does not know one skips the frame. Any other unknown value
/// ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// First frame of each side.
    Hello = 0x01,
    /// Client: the first step of a login.
    Login = 0x02,
    /// Server: what the client must answer.
    Challenge = 0x03,
    /// Client: the answer.
    Answer = 0x04,
    /// Server: logged in.
    Welcome = 0x05,
    /// Server: verbs that the user may run.
    Catalog = 0x06,
    /// Client: run a verb.
    Request = 0x10,
    /// Client: stop a request.
    Cancel = 0x11,
    /// Client: propose values for a word.
    Complete = 0x12,
    /// Client: which paths match a pattern.
    Expand = 0x13,
    /// Server: how a body starts.
    Begin = 0x20,
    /// Server: some rows.
    Rows = 0x21,
    /// Server: one of several things went wrong; the request goes on.
    Problem = 0x22,
    /// Server: how far it is.
    Progress = 0x23,
    /// Server: the request ended well.
    Done = 0x24,
    /// Server: the request failed. With id 0: the connection ends, and why.
    Fail = 0x25,
    /// Either: contents of a body. Binary: id, bytes.
    Data = 0x40,
    /// Either: the body is complete.
    End = 0x41,
    /// Either: more contents may be sent. Binary: id, `u32` number of bytes.
    Grant = 0x42,
    /// Either: answer with a pong. Binary: up to 8 bytes.
    Ping = 0x43,
    /// Either: the answer, with the same bytes.
    Pong = 0x44,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 21] = [
        Kind::Hello,
        Kind::Login,
        Kind::Challenge,
        Kind::Answer,
        Kind::Welcome,
        Kind::Catalog,
        Kind::Request,
        Kind::Cancel,
        Kind::Complete,
        Kind::Expand,
        Kind::Begin,
        Kind::Rows,
        Kind::Problem,
        Kind::Progress,
        Kind::Done,
        Kind::Fail,
        Kind::Data,
        Kind::End,
        Kind::Grant,
        Kind::Ping,
        Kind::Pong,
    ];

    /// The kind with that byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether the payload is raw bytes and not a MessagePack map.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Data | Self::Grant | Self::Ping | Self::Pong)
    }
}

/// How far a connection is: decides how long frames may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nobody knows who the peer is.
    BeforeLogin,
    /// Logged in.
    LoggedIn,
}

/// A frame's header, read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is; `None` for an optional kind that is not known: to be skipped.
    pub kind: Option<Kind>,
    /// How many bytes follow.
    pub len_bytes: usize,
}

impl Header {
    /// Reads a header. Nothing may be allocated for a frame before this said yes.
    ///
    /// # Errors
    /// `too_large` for a payload beyond its kind's limit, `bad_request` for an unknown kind, a binary frame that is too short,
    /// or one before login. Either ends the connection.
    pub fn read(bytes: [u8; HEADER_BYTES], stage: Stage) -> Result<Self> {
        let [a, b, c, d, kind_byte] = bytes;
        let len_bytes = u32::from_be_bytes([a, b, c, d]) as usize;
        let kind = Kind::from_byte(kind_byte);
        if kind.is_none() && kind_byte < 0x80 {
            return Err(Error::bad_request(format!("frame of unknown kind 0x{kind_byte:02x}")));
        }
        let control = match stage {
            Stage::BeforeLogin => CONTROL_MAX_BYTES_BEFORE_LOGIN,
            Stage::LoggedIn => CONTROL_MAX_BYTES,
        };
        let (min, max) = match kind {
            Some(Kind::Data) => (ID_BYTES, ID_BYTES + DATA_MAX_BYTES),
            Some(Kind::Grant) => (8, 8),
            Some(Kind::Ping | Kind::Pong) => (0, 8),
            _ => (0, control),
        };
        if stage == Stage::BeforeLogin && matches!(kind, Some(Kind::Data | Kind::Grant)) {
            return Err(Error::bad_request("data before login"));
        }
        if len_bytes > max {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("frame of {len_bytes} bytes; at most {max} are possible here"),
            ));
        }
        if len_bytes < min {
            return Err(Error::bad_request(format!(
                "frame of {len_bytes} bytes; at least {min} are needed"
            )));
        }
        Ok(Self { kind, len_bytes })
    }

    /// The bytes of a header. `len_bytes` must be within the kind's limit.
    pub fn write(kind: Kind, len_bytes: usize) -> [u8; HEADER_BYTES] {
        let [a, b, c, d] = u32::try_from(len_bytes).unwrap_or(u32::MAX).to_be_bytes();
        [a, b, c, d, kind as u8]
    }

    /// The bytes in front of the contents of a data frame.
    pub fn write_data(id: u32, len_bytes: usize) -> [u8; HEADER_BYTES + ID_BYTES] {
        let mut bytes = [0; HEADER_BYTES + ID_BYTES];
        bytes[..HEADER_BYTES].copy_from_slice(&Self::write(Kind::Data, ID_BYTES + len_bytes));
        bytes[HEADER_BYTES..].copy_from_slice(&id.to_be_bytes());
        bytes
    }
}

/// A whole grant frame.
pub fn grant(id: u32, bytes: u32) -> [u8; HEADER_BYTES + 8] {
    let mut frame = [0; HEADER_BYTES + 8];
    frame[..HEADER_BYTES].copy_from_slice(&Header::write(Kind::Grant, 8));
    frame[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&id.to_be_bytes());
    frame[HEADER_BYTES + 4..].copy_from_slice(&bytes.to_be_bytes());
    frame
}

/// Reads the payload of a grant frame: id, bytes.
///
/// # Errors
/// `bad_request` when it is not 8 bytes.
pub fn read_grant(payload: &[u8]) -> Result<(u32, u32)> {
    let [a, b, c, d, e, f, g, h] = *payload else {
        return Err(Error::bad_request("a grant has 8 bytes"));
    };
    Ok((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_byte_and_survives_the_wire() {
        for kind in Kind::ALL {
            let header = Header::read(Header::write(kind, 8), Stage::LoggedIn).unwrap();
            assert_eq!((header.kind, header.len_bytes), (Some(kind), 8));
        }
    }

    #[test]
    fn a_frame_of_four_gigabytes_is_refused_by_its_header() {
        for kind in Kind::ALL {
            let error = Header::read([0xff, 0xff, 0xff, 0xff, kind as u8], Stage::LoggedIn).unwrap_err();
            assert_eq!(error.kind, ErrorKind::TooLarge);
        }
    }

    #[test]
    fn limits_are_narrow_before_login() {
        assert!(Header::read(Header::write(Kind::Login, 4096), Stage::BeforeLogin).is_ok());
        assert!(Header::read(Header::write(Kind::Login, 4097), Stage::BeforeLogin).is_err());
        assert!(Header::read(Header::write(Kind::Data, 8), Stage::BeforeLogin).is_err());
    }

    #[test]
    fn unknown_kinds_are_skipped_only_when_optional() {
        assert_eq!(Header::read([0, 0, 0, 3, 0x99], Stage::LoggedIn).unwrap().kind, None);
        assert!(Header::read([0, 0, 0, 3, 0x7f], Stage::LoggedIn).is_err());
    }

    #[test]
    fn grants_survive_the_wire() {
        assert_eq!(read_grant(&grant(7, 1 << 20)[HEADER_BYTES..]).unwrap(), (7, 1 << 20));
        assert!(read_grant(&[0; 7]).is_err());
    }
}
