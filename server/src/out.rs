//! The one place that writes for people and scripts: results to standard output, failures to standard error. A closed pipe is
//! nobody's failure.

use std::fmt::Display;
use std::io::Write as _;

use ferry_core::Error;

/// Writes a line to standard output.
pub(crate) fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes a failure to standard error: one line that names the cause, and one with the next step.
pub(crate) fn failure(error: &Error) {
    let cause = error.source.as_ref().map(|source| format!(" ({source})")).unwrap_or_default();
    note(format_args!("ferryd: {error}{cause}"));
    if let Some(hint) = &error.hint {
        note(format_args!("hint: {hint}"));
    }
}
