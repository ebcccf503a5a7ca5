//! The one error type. Its kind decides the code on the wire and the exit code of the client; its text is for people.

use std::borrow::Cow;
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::path::RemotePath;

/// Linux's word for a symbolic link where none may be followed; std has no stable kind for it (errno(3)).
const ELOOP: i32 = 40;

/// What every fallible call of Ferry returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The closed list of what can go wrong. Tests and scripts compare kinds, never messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request or the command line makes no sense.
    BadRequest,
    /// No verb of that name is there for this user.
    UnknownVerb,
    /// Name, password or account state did not allow the login.
    LoginRefused,
    /// The right is missing, or the path leads outside the home.
    Denied,
    /// Nothing of that name is there.
    NotFound,
    /// Something of that name is there already.
    Exists,
    /// A folder was needed and something else is there.
    NotDirectory,
    /// A file was needed and a folder is there.
    IsDirectory,
    /// The folder still has entries.
    NotEmpty,
    /// The name cannot exist: too long, a NUL or a control character in it.
    BadPath,
    /// The account's quota does not allow it.
    OverQuota,
    /// The server's disk is full.
    DiskFull,
    /// The bytes that arrived are not those that were announced.
    DigestMismatch,
    /// The transfer was continued at another place than the one agreed on.
    OffsetMismatch,
    /// The source changed while it was being sent.
    Changed,
    /// A newer connection of the same user took the upload over.
    LeaseLost,
    /// A limit of the wire or of the server is exceeded.
    TooLarge,
    /// Somebody else is using it, or too much is going on at once.
    Busy,
    /// The client asked to stop.
    Cancelled,
    /// A deadline passed.
    Timeout,
    /// This server or this store cannot do it.
    Unsupported,
    /// The server cannot be reached, or the connection broke. A client says so to its user; no server sends it.
    Unreachable,
    /// A fault of the server; its log says more.
    #[serde(other)]
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of their codes.
    pub const ALL: [ErrorKind; 23] = [
        ErrorKind::BadRequest,
        ErrorKind::UnknownVerb,
        ErrorKind::LoginRefused,
        ErrorKind::Denied,
        ErrorKind::NotFound,
        ErrorKind::Exists,
        ErrorKind::NotDirectory,
        ErrorKind::IsDirectory,
        ErrorKind::NotEmpty,
        ErrorKind::BadPath,
        ErrorKind::OverQuota,
        ErrorKind::DiskFull,
        ErrorKind::DigestMismatch,
        ErrorKind::OffsetMismatch,
        ErrorKind::Changed,
        ErrorKind::LeaseLost,
        ErrorKind::TooLarge,
        ErrorKind::Busy,
        ErrorKind::Cancelled,
        ErrorKind::Timeout,
        ErrorKind::Unsupported,
        ErrorKind::Unreachable,
        ErrorKind::Internal,
    ];

    /// The kind's number on the wire: 2001 and up, stable for ever. Transfer codes are 1001 to 1003.
    pub fn code(self) -> u16 {
        // The discriminants follow the declaration, which only ever grows before `Internal`, whose code is its own.
        match self {
            ErrorKind::Internal => 2999,
            other => 2001 + other as u16,
        }
    }

    /// The kind's name on the wire, in JSON and in scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::BadRequest => "bad_request",
            ErrorKind::UnknownVerb => "unknown_verb",
            ErrorKind::LoginRefused => "login_refused",
            ErrorKind::Denied => "denied",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Exists => "exists",
            ErrorKind::NotDirectory => "not_directory",
            ErrorKind::IsDirectory => "is_directory",
            ErrorKind::NotEmpty => "not_empty",
            ErrorKind::BadPath => "bad_path",
            ErrorKind::OverQuota => "over_quota",
            ErrorKind::DiskFull => "disk_full",
            ErrorKind::DigestMismatch => "digest_mismatch",
            ErrorKind::OffsetMismatch => "offset_mismatch",
            ErrorKind::Changed => "changed",
            ErrorKind::LeaseLost => "lease_lost",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::Busy => "busy",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that went wrong, told for a program (`kind`), for a person (`message`, `hint`) and for the log (`source`).
#[derive(Debug)]
pub struct Error {
    /// Decides code and exit code.
    pub kind: ErrorKind,
    /// Lower case, no full stop, names the thing; remote paths only.
    pub message: Cow<'static, str>,
    /// The next step to take, when there is one.
    pub hint: Option<Cow<'static, str>>,
    /// The remote path it is about, when there is one.
    pub path: Option<RemotePath>,
    /// The cause; stays in the server's log and is never sent.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)+) => {$(
        $(#[$doc])*
        pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
            Self::new(ErrorKind::$kind, message)
        }
    )+};
}

impl Error {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            path: None,
            source: None,
        }
    }

    constructors! {
        /// The request makes no sense.
        bad_request => BadRequest;
        /// The right is missing, or the path leads outside.
        denied => Denied;
        /// Nothing is there.
        not_found => NotFound;
        /// Something is there already.
        exists => Exists;
        /// The name cannot exist.
        bad_path => BadPath;
        /// This server or store cannot do it.
        unsupported => Unsupported;
        /// A fault of the server.
        internal => Internal;
    }

    /// Adds the next step to take.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the remote path it is about.
    #[must_use]
    pub fn at(mut self, path: impl Into<RemotePath>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Adds the cause for the server's log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The one place where an [`io::Error`] becomes a kind. `what` names the remote thing it happened to.
    pub fn from_io(what: impl fmt::Display, error: io::Error) -> Self {
        use io::ErrorKind as Io;
        let (kind, text) = match error.kind() {
            Io::NotFound => (ErrorKind::NotFound, "no such file or folder"),
            Io::AlreadyExists => (ErrorKind::Exists, "already there"),
            Io::PermissionDenied | Io::ReadOnlyFilesystem => (ErrorKind::Denied, "permission denied"),
            Io::NotADirectory => (ErrorKind::NotDirectory, "not a folder"),
            Io::IsADirectory => (ErrorKind::IsDirectory, "is a folder"),
            Io::DirectoryNotEmpty => (ErrorKind::NotEmpty, "folder is not empty"),
            Io::StorageFull | Io::QuotaExceeded => (ErrorKind::DiskFull, "the server's disk is full"),
            Io::FileTooLarge => (ErrorKind::TooLarge, "too large"),
            Io::InvalidFilename => (ErrorKind::BadPath, "name too long"),
            Io::ResourceBusy | Io::ExecutableFileBusy => (ErrorKind::Busy, "busy"),
            Io::TimedOut => (ErrorKind::Timeout, "timed out"),
            Io::Unsupported | Io::CrossesDevices => (ErrorKind::Unsupported, "not supported here"),
            _ if error.raw_os_error() == Some(ELOOP) => (ErrorKind::Denied, "is a link; links are not followed"),
            _ => (ErrorKind::Internal, "the server could not do it"),
        };
        Self::new(kind, format!("{what}: {text}")).caused_by(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_survive_the_wire() {
        let mut codes = std::collections::BTreeSet::new();
        for kind in ErrorKind::ALL {
            assert!(codes.insert(kind.code()), "{kind} shares its code");
            let bytes = rmp_serde::to_vec_named(&kind).unwrap();
            assert_eq!(&bytes[1 + usize::from(bytes[0] == 0xd9)..], kind.as_str().as_bytes());
            assert_eq!(rmp_serde::from_slice::<ErrorKind>(&bytes).unwrap(), kind);
        }
    }

    #[test]
    fn a_kind_from_a_newer_server_reads_as_internal() {
        let bytes = rmp_serde::to_vec_named("quantum_flux").unwrap();
        assert_eq!(rmp_serde::from_slice::<ErrorKind>(&bytes).unwrap(), ErrorKind::Internal);
    }

    #[test]
    fn a_full_disk_is_told_apart_from_a_quota() {
        let error = Error::from_io("a.bin", io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(error.kind, ErrorKind::DiskFull);
        assert!(error.message.starts_with("a.bin: "));
    }
}
