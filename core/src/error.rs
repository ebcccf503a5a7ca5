//! The one error type. Its kind decides the code on the wire and the exit code of the client; its text is for people.

use std::borrow::Cow;
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::path::RemotePath;

/// Linux's word for a symbolic link where none may be followed; std has no stable kind for it (errno(3)).
const ELOOP: i32 = 40;

/// What every fallible call of Ferry returns.
///
/// ```
/// use ferry_core::{Error, Result};
///
/// fn half(number: u64) -> Result<u64> {
///     if number % 2 == 0 { Ok(number / 2) } else { Err(Error::bad_request("an odd number has no half")) }
/// }
/// assert_eq!(half(4)?, 2);
/// assert!(half(3).is_err());
/// # Ok::<(), Error>(())
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The closed list of what can go wrong. Tests and scripts compare kinds, never messages.
///
/// ```
/// use ferry_core::{Error, ErrorKind};
///
/// let error = Error::not_found("a.txt: no such file or folder");
/// let text = match error.kind {
///     ErrorKind::NotFound => "not there",
///     ErrorKind::Denied => "not allowed",
///     _ => "something else",
/// };
/// assert_eq!(text, "not there");
/// ```
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
    ///
    /// ```
    /// use ferry_core::ErrorKind;
    ///
    /// let names: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    /// assert_eq!(names[..2], ["bad_request", "unknown_verb"]);
    /// ```
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
    ///
    /// ```
    /// use ferry_core::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::BadRequest.code(), 2001);
    /// assert_eq!(ErrorKind::Internal.code(), 2999);
    /// ```
    pub fn code(self) -> u16 {
        // The discriminants follow the declaration, which only ever grows before `Internal`, whose code is its own.
        match self {
            ErrorKind::Internal => 2999,
            other => 2001 + other as u16,
        }
    }

    /// The kind's name on the wire, in JSON and in scripts.
    ///
    /// ```
    /// assert_eq!(ferry_core::ErrorKind::OverQuota.as_str(), "over_quota");
    /// ```
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
///
/// ```
/// use ferry_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Busy, "songs.db: somebody else is writing").hint("try again in a moment");
/// assert_eq!(error.kind.as_str(), "busy");
/// assert_eq!(error.to_string(), "songs.db: somebody else is writing");
/// assert_eq!(error.hint.as_deref(), Some("try again in a moment"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
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
    ///
    /// ```
    /// use ferry_core::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::TooLarge, "songs.db: larger than 1.0 MiB");
    /// assert_eq!(error.kind, ErrorKind::TooLarge);
    /// ```
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
        ///
        /// ```
        /// let error = ferry_core::Error::bad_request("times must be 1 to 100");
        /// assert_eq!(error.kind, ferry_core::ErrorKind::BadRequest);
        /// ```
        bad_request => BadRequest;
        /// The right is missing, or the path leads outside.
        ///
        /// ```
        /// let error = ferry_core::Error::denied("songs.db: only its owner may change it");
        /// assert_eq!(error.kind, ferry_core::ErrorKind::Denied);
        /// ```
        denied => Denied;
        /// Nothing is there.
        ///
        /// ```
        /// let error = ferry_core::Error::not_found("songs.db: no such file or folder");
        /// assert_eq!(error.kind, ferry_core::ErrorKind::NotFound);
        /// ```
        not_found => NotFound;
        /// Something is there already.
        ///
        /// ```
        /// let error = ferry_core::Error::exists("songs.db: already there");
        /// assert_eq!(error.kind, ferry_core::ErrorKind::Exists);
        /// ```
        exists => Exists;
        /// The name cannot exist.
        ///
        /// ```
        /// let error = ferry_core::Error::bad_path("`a/b` cannot be a name");
        /// assert_eq!(error.kind, ferry_core::ErrorKind::BadPath);
        /// ```
        bad_path => BadPath;
        /// This server or store cannot do it.
        ///
        /// ```
        /// let error = ferry_core::Error::unsupported("this store keeps no versions");
        /// assert_eq!(error.kind, ferry_core::ErrorKind::Unsupported);
        /// ```
        unsupported => Unsupported;
        /// A fault of the server.
        ///
        /// ```
        /// let error = ferry_core::Error::internal("the list of songs is damaged");
        /// assert_eq!(error.kind, ferry_core::ErrorKind::Internal);
        /// ```
        internal => Internal;
    }

    /// Adds the next step to take.
    ///
    /// ```
    /// let error = ferry_core::Error::not_found("no song is called `yesterdya`").hint("did you mean `yesterday`?");
    /// assert_eq!(error.hint.as_deref(), Some("did you mean `yesterday`?"));
    /// ```
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the remote path it is about.
    ///
    /// ```
    /// use ferry_core::{Error, HomePath};
    ///
    /// let place = HomePath::parse("/songs.db")?;
    /// let error = Error::exists(format!("{place}: already there")).at(&place);
    /// assert_eq!(error.path.unwrap().to_string(), "/songs.db");
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn at(mut self, path: impl Into<RemotePath>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Adds the cause for the server's log.
    ///
    /// ```
    /// use std::error::Error as _;
    ///
    /// let cause = "x".parse::<u8>().unwrap_err();
    /// let error = ferry_core::Error::internal("the list of songs is damaged").caused_by(cause);
    /// assert_eq!(error.source().unwrap().to_string(), "invalid digit found in string");
    /// ```
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The one place where an [`io::Error`] becomes a kind. `what` names the remote thing it happened to.
    ///
    /// ```
    /// use ferry_core::{Error, ErrorKind};
    ///
    /// let error = Error::from_io("songs.db", std::io::ErrorKind::StorageFull.into());
    /// assert_eq!(error.kind, ErrorKind::DiskFull);
    /// assert_eq!(error.message, "songs.db: the server's disk is full");
    /// ```
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
