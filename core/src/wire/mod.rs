//! The wire: frames, the guard in front of every control frame, and the messages. Pure code but for [`io`], which moves whole
//! frames over any stream; the only room of Ferry that knows bytes. docs/PROTOCOL.md is the law for all of it.

pub mod flow;
pub mod frame;
pub mod guard;
pub mod io;
pub mod message;

pub use frame::{Header, Kind};
pub use guard::Map;
pub use message::Message;

/// The version of the protocol that both sides must share.
pub const PROTOCOL: u32 = 1;
/// The protocol's name in the TLS handshake (RFC 7301), so that a connection meant for another protocol ends there.
pub const ALPN: &[u8] = b"ferry/1";
/// The longest payload of a control frame after login, in bytes.
pub const CONTROL_MAX_BYTES: usize = 64 * 1024;
/// The longest payload of a control frame before login, in bytes.
pub const CONTROL_MAX_BYTES_BEFORE_LOGIN: usize = 4 * 1024;
/// The longest contents of a data frame, in bytes.
pub const DATA_MAX_BYTES: usize = 1024 * 1024;
/// What every side takes in one data frame at least, in bytes (docs/PROTOCOL.md, section 2).
pub const DATA_LEAST_BYTES: usize = 256 * 1024;
/// How deep MessagePack may be nested; the message itself is depth 1.
pub const DEPTH_MAX: usize = 16;
/// The most keys a map may have.
pub const MAP_MAX_KEYS: usize = 256;
/// The most requests in flight on one connection.
pub const REQUESTS_MAX: usize = 64;
/// How many bytes of a body may be under way before the receiver grants more.
pub const WINDOW_BYTES: u32 = 2 * 1024 * 1024;
