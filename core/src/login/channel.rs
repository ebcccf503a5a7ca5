//! What ties a login to the connection that it happens on (RFC 9266).

use std::fmt;

/// The label under which TLS exports the bytes (RFC 9266, section 4.2). The context is empty.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
/// How many bytes TLS is asked for (RFC 9266, section 4.2).
pub const EXPORTER_BYTES: usize = 32;

/// The header of a client that binds (RFC 5802, section 7).
const BOUND: &str = "p=tls-exporter,,";
/// The header of a client that uses no channel binding.
const UNBOUND: &str = "n,,";

/// The connection under a login, as both ends see it. Whoever stands between them has two connections, whose bytes differ.
#[derive(Clone, PartialEq, Eq)]
pub enum Channel {
    /// No TLS: only for connections that do not leave the machine.
    Plain,
    /// TLS 1.3, with the bytes exported by both ends under [`EXPORTER_LABEL`]. Then both sides insist on binding.
    TlsExporter([u8; EXPORTER_BYTES]),
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::TlsExporter(_) => "TlsExporter(..)",
        })
    }
}

impl Channel {
    /// Whether there is something to bind to.
    pub fn is_bound(&self) -> bool {
        matches!(self, Self::TlsExporter(_))
    }

    /// How a client's first message starts here.
    pub(super) fn header(&self) -> &'static str {
        if self.is_bound() { BOUND } else { UNBOUND }
    }

    /// What goes into `c=` behind the header.
    pub(super) fn data(&self) -> &[u8] {
        match self {
            Self::Plain => &[],
            Self::TlsExporter(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exported_bytes_are_not_shown() {
        assert_eq!(format!("{:?}", Channel::TlsExporter([7; 32])), "TlsExporter(..)");
    }
}
