//! Questions that only a person can answer, on the terminal.

use std::io::IsTerminal as _;

use ferry_core::fingerprint::Fingerprint;
use ferry_core::text::escape;

use crate::exit::{Failure, Result};
use crate::options::Target;
use crate::trust::Trust;

/// Whether there is somebody to ask.
pub(crate) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && console::Term::stderr().is_term()
}

/// Asks for a password, and says first why, when that is not plain. Waits for the user.
///
/// # Errors
/// Exit code 10 for Ctrl-C.
pub(crate) fn password(user: &str, host: &str, why: Option<&str>) -> Result<String> {
    let terminal = console::Term::stderr();
    let name = escape(format!("{user}@{host}").as_bytes());
    let why = why.map(|why| format!("{why}\n")).unwrap_or_default();
    let asked = terminal
        .write_str(&format!("{why}password of {name}: "))
        .and_then(|()| terminal.read_secure_line());
    asked.map_err(|error| match error.kind() {
        std::io::ErrorKind::Interrupted => Failure::interrupted(),
        _ => Failure::local("terminal", error),
    })
}

/// Asks whether a server's key is the right one, and writes it down when it is. Waits for the user.
///
/// # Errors
/// Exit code 3 for anything but yes, 10 for Ctrl-C.
pub(crate) fn about_key(trust: &Trust, target: &Target, key: Fingerprint) -> Result<()> {
    let terminal = console::Term::stderr();
    let host = escape(target.host.as_bytes());
    let question = format!(
        "The key of {host}:{} is not known yet:\n  {key}\nIs it the one that the server printed at its start? Type yes to trust it: ",
        target.port
    );
    let answer = terminal.write_str(&question).and_then(|()| terminal.read_line());
    let answer = answer.map_err(|error| match error.kind() {
        std::io::ErrorKind::Interrupted => Failure::interrupted(),
        _ => Failure::local("terminal", error),
    })?;
    if !answer.trim().eq_ignore_ascii_case("yes") {
        return Err(Failure::login(format!("{host}:{}: its key was not accepted", target.port)));
    }
    trust.learn(target, key)
}
