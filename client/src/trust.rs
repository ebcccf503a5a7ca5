//! Which servers are trusted, as with ssh: the key seen first is written down, and another one at the same place is a hard stop.
//!
//! The file has a line for each place: `HOST:PORT sha256:...`. Lines that start with `#` are comments. A second kind of line,
//! `@login USER@HOST:PORT METHOD`, says how a user logged in there, so that nobody can talk us into another way.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use etcetera::BaseStrategy as _;
use ferry_core::fingerprint::Fingerprint;
use ferry_core::login::Method;
use ferry_core::text::escape;

use crate::exit::{Failure, Result};
use crate::local::{shown, small_text};
use crate::options::Target;

/// The variable that names the file.
const VARIABLE: &str = "FERRY_KNOWN_HOSTS";
/// The first word of a line about a login.
const LOGIN: &str = "@login";

/// What is done with a key that is seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstSight {
    /// The connection is refused: there is nobody to ask.
    Refuse,
    /// The user is asked, on the terminal.
    Ask,
    /// It is written down.
    Accept,
}

/// Which servers are trusted.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Whether there is encryption at all; without it, only this machine is talked to.
    pub tls: bool,
    /// The one key that is trusted, when it is known beforehand.
    pub pin: Option<Fingerprint>,
    /// The certificates of an authority that vouches for servers' names; PEM.
    pub authority: Option<PathBuf>,
    /// The file of known keys; without one every key is seen for the first time.
    pub file: Option<PathBuf>,
    /// What is done with a key that is seen for the first time.
    pub first_sight: FirstSight,
}

impl Trust {
    /// No encryption, for servers on this machine.
    pub fn plain() -> Self {
        Self {
            tls: false,
            pin: None,
            authority: None,
            file: None,
            first_sight: FirstSight::Refuse,
        }
    }

    /// This key alone.
    pub fn pinned(key: Fingerprint) -> Self {
        Self {
            tls: true,
            pin: Some(key),
            ..Self::plain()
        }
    }

    /// Whether a server at `target` may go on with the `key` that it proved to have. When the user has to be asked first, `false`:
    /// after [`Trust::learn`] it is trusted. Reads a file, so it blocks.
    ///
    /// # Errors
    /// Exit code 3 for another key than the known one, and for an unknown one where nobody can be asked.
    pub fn check(&self, target: &Target, key: Fingerprint, is_vouched_for: bool) -> Result<bool> {
        let place = place(target);
        if let Some(pin) = self.pin {
            return if pin == key {
                Ok(true)
            } else {
                Err(wrong_key(&place, key, &[pin], "--pin"))
            };
        }
        let text = self.read()?;
        let known = keys_of(&text, &place)?;
        if known.contains(&key) {
            return Ok(true);
        }
        if !known.is_empty() {
            let file = self.file.as_deref().map(shown).unwrap_or_default();
            return Err(wrong_key(&place, key, &known, &file));
        }
        if is_vouched_for {
            return Ok(true);
        }
        let first_sight = match (&self.file, self.first_sight) {
            // A yes could not be written down, so nobody is asked.
            (None, FirstSight::Ask) => FirstSight::Refuse,
            (_, first_sight) => first_sight,
        };
        match first_sight {
            FirstSight::Ask => Ok(false),
            FirstSight::Accept => self.learn(target, key).map(|()| true),
            FirstSight::Refuse => {
                let mut failure = Failure::login(format!("{place}: its key is not known: {key}"));
                let hint = "compare it with what the server printed at its start, then use --accept-new once, or --pin";
                failure.error = failure.error.hint(hint);
                Err(failure)
            }
        }
    }

    /// Writes down the key of a server. Blocks.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn learn(&self, target: &Target, key: Fingerprint) -> Result<()> {
        self.append(&format!("{} {key}", place(target)))
    }

    /// How this user logged in to this server before. Blocks.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn method(&self, target: &Target, user: &str) -> Result<Option<Method>> {
        let who = who(target, user);
        let text = self.read()?;
        let found = lines(&text).filter_map(|mut words| match (words.next(), words.next(), words.next()) {
            (Some(LOGIN), Some(name), Some(method)) if name == who => Some(method.parse::<Method>()),
            _ => None,
        });
        // A user may have been given another method, so the last one counts. One that cannot be read counts as the strictest.
        Ok(found.last().map(|method| method.unwrap_or(Method::Scram)))
    }

    /// Writes down how a user logged in. Blocks.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn learn_method(&self, target: &Target, user: &str, method: Method) -> Result<()> {
        if self.file.is_none() || self.method(target, user)? == Some(method) {
            return Ok(());
        }
        self.append(&format!("{LOGIN} {} {method}", who(target, user)))
    }

    fn read(&self) -> Result<String> {
        let Some(path) = &self.file else {
            return Ok(String::new());
        };
        let text = match std::fs::File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
            Err(error) => Err(crate::exit::plain(&error)),
            Ok(file) => small_text(file),
        };
        // What cannot be read cannot be trusted.
        text.map_err(|why| Failure::login(format!("{}: {why}", shown(path))))
    }

    /// Adds a line. One write each, so that two programs do not mix theirs.
    fn append(&self, line: &str) -> Result<()> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let add = || {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let mut file = std::fs::OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path)?;
            let text = if ends_inside_a_line(&file)? {
                format!("\n{line}\n")
            } else {
                format!("{line}\n")
            };
            file.write_all(text.as_bytes())
        };
        add().map_err(|error| Failure::local(shown(path), error))
    }
}

fn ends_inside_a_line(file: &std::fs::File) -> std::io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let len = file.metadata()?.len();
    let mut last = [b'\n'];
    if len > 0 {
        file.read_exact_at(&mut last, len - 1)?;
    }
    Ok(last != [b'\n'])
}

/// The file where the user's known keys are when nothing else is said; none when he has no folder for such things.
pub fn default_file() -> Option<PathBuf> {
    config_file(VARIABLE, "known_hosts")
}

/// The file of known keys that the variable names.
pub(crate) fn file_of_environment() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from)
}

/// The file that the variable names, or else the one of that name in the user's config folder.
pub(crate) fn config_file(variable: &str, name: &str) -> Option<PathBuf> {
    match std::env::var_os(variable).filter(|file| !file.is_empty()) {
        Some(file) => Some(PathBuf::from(file)),
        None => etcetera::choose_base_strategy()
            .ok()
            .map(|folders| folders.config_dir().join("ferry").join(name)),
    }
}

/// How a server is written in the file: always with its port, IPv6 addresses in brackets, nothing that could end a word.
fn place(target: &Target) -> String {
    let host = target.host.to_ascii_lowercase();
    let host = escape(host.as_bytes()).replace(' ', "\\x20");
    if host.contains(':') {
        format!("[{host}]:{}", target.port)
    } else {
        format!("{host}:{}", target.port)
    }
}

/// How a user of a server is written in a file.
pub(crate) fn who(target: &Target, user: &str) -> String {
    format!("{}@{}", escape(user.as_bytes()).replace(' ', "\\x20"), place(target))
}

/// The words of each line that says something.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = std::str::SplitWhitespace<'_>> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(str::split_whitespace)
}

/// The keys that are known of a place. What is said of it and cannot be read is an error; other places do not matter.
fn keys_of(text: &str, place: &str) -> Result<Vec<Fingerprint>> {
    let mut keys = Vec::new();
    for mut words in lines(text) {
        if words.next() == Some(place) {
            let key = words.next().unwrap_or_default().parse();
            let damaged = |error| Failure::login(format!("known key of {place}: {error}"));
            let hint = "correct or remove that line in the file of known keys";
            keys.push(key.map_err(|error| damaged(error).hint(hint))?);
        }
    }
    Ok(keys)
}

fn wrong_key(place: &str, key: Fingerprint, known: &[Fingerprint], from: &str) -> Failure {
    let mut text = format!("{place} shows another key than the one that is known: somebody may be in between\n  shown  {key}");
    for known in known {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  known  {known} ({from})");
    }
    let mut failure = Failure::login(text);
    let hint = "ask the server's admin; when the key did change, remove the line of this server from the file of known keys";
    failure.error = failure.error.hint(hint);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn trust(folder: &tempfile::TempDir, first_sight: FirstSight) -> Trust {
        Trust {
            tls: true,
            file: Some(folder.path().join("deep/known_hosts")),
            first_sight,
            ..Trust::plain()
        }
    }

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn the_key_seen_first_is_kept_and_another_one_is_a_hard_stop() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (Fingerprint::of(b"ours"), Fingerprint::of(b"theirs"));
        let at = target("al@files.example:7171");
        let careful = trust(&folder, FirstSight::Refuse);
        assert_eq!(careful.check(&at, ours, false).unwrap_err().exit, Exit::Login);
        assert!(!trust(&folder, FirstSight::Ask).check(&at, ours, false).unwrap());
        assert!(trust(&folder, FirstSight::Accept).check(&at, ours, false).unwrap());
        assert!(careful.check(&at, ours, false).unwrap());
        // The same server, however its name is written, and no other.
        assert!(careful.check(&target("bo@FILES.example"), ours, false).unwrap());
        assert!(careful.check(&target("files.example:7172"), ours, false).is_err());
        for first_sight in [FirstSight::Refuse, FirstSight::Ask, FirstSight::Accept] {
            let failure = trust(&folder, first_sight).check(&at, theirs, true).unwrap_err();
            assert_eq!(failure.exit, Exit::Login);
            assert!(failure.error.message.contains(&ours.to_string()) && failure.error.message.contains(&theirs.to_string()));
        }
    }

    #[test]
    fn a_pin_is_the_only_key() {
        let (ours, theirs) = (Fingerprint::of(b"ours"), Fingerprint::of(b"theirs"));
        let pinned = Trust::pinned(ours);
        assert!(pinned.check(&target("h"), ours, false).unwrap());
        assert_eq!(pinned.check(&target("h"), theirs, true).unwrap_err().exit, Exit::Login);
    }

    #[test]
    fn a_server_that_an_authority_vouches_for_needs_no_known_key() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            trust(&folder, FirstSight::Refuse)
                .check(&target("h"), Fingerprint::of(b"k"), true)
                .unwrap()
        );
    }

    #[test]
    fn a_damaged_line_stops_its_own_server_only() {
        let folder = tempfile::tempdir().unwrap();
        let trust = trust(&folder, FirstSight::Accept);
        let key = Fingerprint::of(b"k");
        trust.learn(&target("good"), key).unwrap();
        let path = trust.file.clone().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("# comment\n\nbad:7171 sha256:zz\n{}", text.trim_end())).unwrap();
        assert!(trust.check(&target("good"), key, false).unwrap());
        assert_eq!(trust.check(&target("bad"), key, false).unwrap_err().exit, Exit::Login);
        // A line is never added to the end of another one.
        assert!(trust.check(&target("new"), key, false).unwrap() && trust.check(&target("new"), key, false).unwrap());
    }

    #[test]
    fn a_login_is_remembered_by_user_and_server() {
        let folder = tempfile::tempdir().unwrap();
        let trust = trust(&folder, FirstSight::Accept);
        let (here, there) = (target("[::1]:9"), target("[::1]:10"));
        trust.learn_method(&here, "al bert", Method::HmacMd5).unwrap();
        trust.learn_method(&here, "al", Method::Scram).unwrap();
        assert_eq!(trust.method(&here, "al bert").unwrap(), Some(Method::HmacMd5));
        assert_eq!(trust.method(&here, "al").unwrap(), Some(Method::Scram));
        assert_eq!(
            (trust.method(&there, "al").unwrap(), trust.method(&here, "bo").unwrap()),
            (None, None)
        );
    }
}
