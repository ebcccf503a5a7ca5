//! Exit codes, and the one error of the client: what went wrong, and with which code the program ends.

use std::borrow::Cow;
use std::io;

use ferry_core::{Error, ErrorKind};

/// How the program ends. The numbers are part of the contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Any other failure.
    Failed = 1,
    /// Wrong command line, unknown verb, bad arguments.
    Usage = 2,
    /// Login refused, or a server that is not trusted.
    Login = 3,
    /// Nothing of that name.
    NotFound = 4,
    /// The right is missing, or the path leads outside the home.
    Denied = 5,
    /// Over quota, or a full disk.
    Full = 6,
    /// Digest mismatch, or the source changed while it was sent.
    Mismatch = 7,
    /// Network or server gone; worth a retry.
    Network = 8,
    /// Conflict: exists, not empty, busy.
    Conflict = 9,
    /// Interrupted; running it again resumes.
    Interrupted = 10,
    /// Some of several items failed.
    Partly = 11,
    /// The answer could not be understood.
    Protocol = 12,
}

impl Exit {
    /// The number that the program ends with.
    pub fn code(self) -> i32 {
        i32::from(self as u8)
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            // A folder where a file was needed is a line that lacks its `-r`.
            ErrorKind::BadRequest | ErrorKind::UnknownVerb | ErrorKind::BadPath | ErrorKind::IsDirectory => Self::Usage,
            ErrorKind::LoginRefused => Self::Login,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::OverQuota | ErrorKind::DiskFull => Self::Full,
            ErrorKind::DigestMismatch | ErrorKind::OffsetMismatch | ErrorKind::Changed => Self::Mismatch,
            ErrorKind::Timeout | ErrorKind::Unreachable => Self::Network,
            ErrorKind::Exists | ErrorKind::NotEmpty | ErrorKind::Busy | ErrorKind::LeaseLost => Self::Conflict,
            ErrorKind::Cancelled => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

/// The next step when the server is gone.
const AGAIN: &str = "try again; a transfer goes on where it stopped";

/// The next step when the server's answer makes no sense.
const VERSIONS: &str = "is it a Ferry server, and of a version that fits? `ferry --version` says ours";

/// Why a command did not end well.
#[derive(Debug)]
pub struct Failure {
    /// What is told.
    pub error: Error,
    /// The code that the program ends with.
    pub exit: Exit,
    /// Whether it has been told already, item by item.
    pub told: bool,
}

/// What every fallible call of the client returns.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            exit: error.kind.into(),
            error,
            told: false,
        }
    }
}

impl Failure {
    /// The server cannot be reached, or is gone.
    pub fn unreachable(message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(ErrorKind::Unreachable, message).hint(AGAIN).into()
    }

    /// The server is silent.
    pub fn timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(ErrorKind::Timeout, message).hint(AGAIN).into()
    }

    /// What went wrong on the wire: the connection is gone, nothing moves, or what came over it makes no sense.
    pub fn wire(error: Error) -> Self {
        let cause = error.source.as_ref().and_then(|source| source.downcast_ref::<io::Error>());
        match (error.kind, cause) {
            (ErrorKind::Unreachable, Some(cause)) => Self::unreachable(format!("{error}: {}", plain(cause))),
            (ErrorKind::Unreachable, None) => Self::unreachable(error.message),
            (ErrorKind::Timeout, _) => Self::timeout(error.message),
            _ => Self::protocol(error),
        }
    }

    /// The other side said something that makes no sense, or speaks another version.
    pub fn protocol(mut error: Error) -> Self {
        error.hint = error.hint.or(Some(VERSIONS.into()));
        Self {
            error,
            exit: Exit::Protocol,
            told: false,
        }
    }

    /// An answer that is not one to what was asked.
    pub fn unexpected(what: &str) -> Self {
        Self::protocol(Error::unsupported(format!(
            "the server's answer cannot be understood: {what}"
        )))
    }

    /// The same with another next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.error = self.error.hint(hint);
        self
    }

    /// The server is not trusted, or there is no password to log in with.
    pub fn login(message: impl Into<String>) -> Self {
        Self {
            error: Error::new(ErrorKind::LoginRefused, message.into()),
            exit: Exit::Login,
            told: false,
        }
    }

    /// The user stopped it.
    pub fn interrupted() -> Self {
        Self {
            error: Error::new(ErrorKind::Cancelled, "interrupted"),
            exit: Exit::Interrupted,
            told: false,
        }
    }

    /// Some of several items failed; each was told by itself.
    pub fn partly(problems: u64) -> Self {
        Self {
            error: Error::new(ErrorKind::Internal, format!("{problems} failed")),
            exit: Exit::Partly,
            told: true,
        }
    }

    /// Standard output is gone or full. A reader who left has seen enough: that is no failure to tell.
    pub fn output(error: &io::Error) -> Self {
        let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
        Self {
            error: Error::internal(format!("standard output: {error}")),
            exit: if is_closed { Exit::Done } else { Exit::Failed },
            told: is_closed,
        }
    }

    /// A local file could not be read or written. `what` is its name, made safe to show.
    pub fn local(what: impl std::fmt::Display, error: io::Error) -> Self {
        let said = match error.kind() {
            io::ErrorKind::StorageFull => Some("the local disk is full".to_owned()),
            _ => error.raw_os_error().map(|_| plain(&error)),
        };
        let mut local = Error::from_io(&what, error);
        if let (true, Some(said)) = (matches!(local.kind, ErrorKind::Internal | ErrorKind::DiskFull), said) {
            local.message = format!("{what}: {said}").into();
        }
        local.into()
    }

    /// Whether nothing more can come over this connection.
    pub fn ends_connection(&self) -> bool {
        matches!(self.exit, Exit::Network | Exit::Protocol)
    }

    /// Whether going on with the next of several items makes no sense.
    pub fn ends_command(&self) -> bool {
        self.ends_connection() || self.exit == Exit::Interrupted || (self.told && self.exit == Exit::Done)
    }
}

/// What the operating system says, without its number.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_exit_code_of_the_contract() {
        let code = |kind| Exit::from(kind).code();
        for kind in ErrorKind::ALL {
            let expected = match kind.as_str() {
                "bad_request" | "unknown_verb" | "bad_path" | "is_directory" => 2,
                "login_refused" => 3,
                "not_found" => 4,
                "denied" => 5,
                "over_quota" | "disk_full" => 6,
                "digest_mismatch" | "offset_mismatch" | "changed" => 7,
                "timeout" | "unreachable" => 8,
                "exists" | "not_empty" | "busy" | "lease_lost" => 9,
                "cancelled" => 10,
                _ => 1,
            };
            assert_eq!(code(kind), expected, "{kind}");
        }
    }

    #[test]
    fn a_reader_who_left_is_no_failure() {
        let failure = Failure::output(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.told && failure.exit == Exit::Done && failure.ends_command());
        assert_eq!(
            Failure::output(&io::Error::from(io::ErrorKind::StorageFull)).exit,
            Exit::Failed
        );
    }
}
