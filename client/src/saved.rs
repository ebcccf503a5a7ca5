//! Saved logins: tokens that stand in for the password, one for each user at each server.
//!
//! The file has a line for each: `USER@HOST:PORT KEY TOKEN`. KEY is the server's, and a token is used with that key alone: whoever
//! comes with another one learns nothing of it. Lines that start with `#` are comments. Nobody but its owner may read the file, and
//! one that others may read is not used.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ferry_core::fingerprint::Fingerprint;
use ferry_core::login::token::Token;

use crate::exit::{Failure, Result, plain};
use crate::local::{shown, small_text, spare_devices};
use crate::options::Target;
use crate::trust::{config_file, lines, who};

/// The variable that names the file.
const VARIABLE: &str = "FERRY_LOGINS";
/// The rights of others, none of which the file may give.
const OTHERS: u32 = 0o077;

/// The file of saved logins.
#[derive(Debug, Clone, Default)]
pub struct SavedLogins {
    /// Where it is; without one nothing is saved and nothing found.
    pub file: Option<PathBuf>,
}

/// A saved login.
#[derive(Debug, Clone)]
pub struct Saved {
    /// The key of the server that it is for.
    pub key: Fingerprint,
    /// What logs in.
    pub token: Token,
}

impl SavedLogins {
    /// Those of the user who runs the program.
    pub fn of_user() -> Self {
        Self {
            file: config_file(VARIABLE, "logins"),
        }
    }

    /// The saved login of a user at a server. Reads a file, so it blocks.
    ///
    /// # Errors
    /// Exit code 3 when others may read the file, when it cannot be read, and when the line cannot be understood.
    pub fn find(&self, target: &Target, user: &str) -> Result<Option<Saved>> {
        let (text, who) = (self.read()?, who(target, user));
        for mut words in lines(&text) {
            if words.next() != Some(&who) {
                continue;
            }
            let key = words
                .next()
                .unwrap_or_default()
                .parse()
                .map_err(|error| self.damaged(&who, error))?;
            let token = words.next().unwrap_or_default().parse::<Token>();
            let token = token.map_err(|error| self.damaged(&who, error.message))?;
            return Ok(Some(Saved { key, token }));
        }
        Ok(None)
    }

    /// Where logins are saved for, as targets. Reads a file, so it blocks.
    ///
    /// # Errors
    /// As [`SavedLogins::find`], but for lines, which are not looked at.
    pub fn places(&self) -> Result<Vec<String>> {
        let text = self.read()?;
        Ok(lines(&text).filter_map(|mut words| words.next().map(str::to_owned)).collect())
    }

    /// Writes a saved login down, in place of another one of this user at this server. Blocks.
    ///
    /// # Errors
    /// As [`SavedLogins::find`], and as the operating system says.
    pub fn keep(&self, target: &Target, user: &str, saved: &Saved) -> Result<()> {
        let who = who(target, user);
        let line = format!("{who} {} {}", saved.key, *saved.token.reveal());
        self.change(|words| words.next() == Some(&who), Some(&line))
    }

    /// Forgets a saved login: that one, and not one that another program has put in its place. Blocks.
    ///
    /// # Errors
    /// As [`SavedLogins::keep`].
    pub fn forget(&self, target: &Target, user: &str, token: &Token) -> Result<()> {
        let (who, shown) = (who(target, user), token.reveal());
        let is_it =
            |words: &mut std::str::SplitWhitespace<'_>| words.next() == Some(&who) && words.nth(1) == Some(shown.as_str());
        self.change(is_it, None)
    }

    /// Makes sure that a login can be saved, before one is asked for. Blocks.
    ///
    /// # Errors
    /// As [`SavedLogins::keep`]; exit code 1 when there is no place for the file.
    pub fn check(&self) -> Result<()> {
        let Some(path) = &self.file else {
            let none = ferry_core::Error::internal("there is no folder to save a login in").hint("name a file with FERRY_LOGINS");
            return Err(none.into());
        };
        self.read()?;
        lock(path).map(drop).map_err(|error| Failure::local(shown(path), error))
    }

    fn damaged(&self, who: &str, why: impl std::fmt::Display) -> Failure {
        let file = self.file.as_deref().map(shown).unwrap_or_default();
        let mut failure = Failure::login(format!("{file}: the saved login of {who} cannot be read: {why}"));
        failure.error = failure
            .error
            .hint("remove its line, or log in with the password and --save-login");
        failure
    }

    fn read(&self) -> Result<String> {
        let Some(path) = &self.file else {
            return Ok(String::new());
        };
        let failed = |why: String| Failure::login(format!("{}: {why}", shown(path)));
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            Err(error) => return Err(failed(plain(&error))),
        };
        // Of the file that was opened, not of what has its name by now.
        let mode = file.metadata().map_err(|error| failed(plain(&error)))?.mode();
        if mode & OTHERS != 0 {
            let mut failure = failed(format!("others may read or change it (mode {:03o})", mode & 0o777));
            let hint = format!(
                "`chmod 600 {}`; if others did read it, have its logins taken away on the server",
                shown(path)
            );
            failure.error = failure.error.hint(hint);
            return Err(failure);
        }
        small_text(file).map_err(failed)
    }

    /// Writes the file anew: without the lines that go, and with one more. Whoever reads meanwhile sees the old file or the new one.
    fn change(&self, goes: impl Fn(&mut std::str::SplitWhitespace<'_>) -> bool, more: Option<&str>) -> Result<()> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let failed = |error| Failure::local(shown(path), error);
        // So that of two programs at the same time neither writes over what the other one added.
        let lock = lock(path).map_err(failed)?;
        let old = self.read()?;
        let kept = old.lines().filter(|line| !goes(&mut line.split_whitespace()));
        let text: String = kept.chain(more).flat_map(|line| [line, "\n"]).collect();
        replace(path, text.as_bytes()).map_err(failed)?;
        drop(lock);
        Ok(())
    }
}

/// The path with something behind its last name.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Waits until no other program changes the file. The lock is a file beside it, for the file itself is replaced.
fn lock(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(beside(path, ".lock"))?;
    file.lock()?;
    Ok(file)
}

/// Puts a draft in the file's place. Whoever calls this has the lock, so a draft that is there is a crashed program's.
fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    spare_devices(path).map_err(|failure| io::Error::other(failure.error.message))?;
    let draft = beside(path, ".draft");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| std::fs::rename(&draft, path));
    if placed.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    placed
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::exit::Exit;

    fn saved(number: u8) -> Saved {
        Saved {
            key: Fingerprint::of(&[number]),
            token: Token::with([number; 8], [number; 32]),
        }
    }

    fn logins(folder: &tempfile::TempDir) -> SavedLogins {
        SavedLogins {
            file: Some(folder.path().join("deep/logins")),
        }
    }

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    fn id(logins: &SavedLogins, at: &str, user: &str) -> Option<String> {
        let found = logins.find(&target(at), user).unwrap();
        found.map(|saved| saved.token.id().to_owned())
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(replace(&path, b"x").unwrap_err().to_string().contains("is no file"));
        assert!(!path.symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn a_login_is_kept_for_its_user_and_server_and_replaced_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let logins = logins(&folder);
        assert_eq!(id(&logins, "h", "al"), None);
        for (at, user, number) in [("h", "al", 1), ("h", "bo", 2), ("H:9", "al", 3), ("h", "al", 4)] {
            logins.keep(&target(at), user, &saved(number)).unwrap();
        }
        let found = logins.find(&target("H"), "al").unwrap().unwrap();
        assert_eq!((found.key, found.token.id()), (saved(4).key, saved(4).token.id()));
        assert_eq!(id(&logins, "h", "bo").as_deref(), Some(saved(2).token.id()));
        let path = logins.file.clone().unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
        assert!(!beside(&path, ".draft").exists());
    }

    #[test]
    fn only_the_login_that_is_meant_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let logins = logins(&folder);
        logins.keep(&target("h"), "al", &saved(1)).unwrap();
        logins.keep(&target("h"), "bo", &saved(2)).unwrap();
        // Another program has saved a newer one meanwhile.
        logins.forget(&target("h"), "al", &saved(9).token).unwrap();
        assert!(id(&logins, "h", "al").is_some());
        logins.forget(&target("h"), "al", &saved(1).token).unwrap();
        assert_eq!((id(&logins, "h", "al"), id(&logins, "h", "bo").is_some()), (None, true));
    }

    #[test]
    fn a_file_that_others_may_read_is_neither_used_nor_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let logins = logins(&folder);
        logins.keep(&target("h"), "al", &saved(1)).unwrap();
        let path = logins.file.clone().unwrap();
        for open in [0o640, 0o604, 0o620, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(open)).unwrap();
            let failures = [
                logins.find(&target("h"), "al").unwrap_err(),
                logins.keep(&target("h"), "bo", &saved(2)).unwrap_err(),
                logins.check().unwrap_err(),
            ];
            for failure in failures {
                assert_eq!(failure.exit, Exit::Login, "{open:o}");
                assert!(failure.error.hint.unwrap().contains("chmod 600"));
            }
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!((id(&logins, "h", "al").is_some(), id(&logins, "h", "bo")), (true, None));
    }

    #[test]
    fn a_damaged_line_stops_its_own_login_only_and_its_token_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let logins = logins(&folder);
        logins.keep(&target("h"), "al", &saved(1)).unwrap();
        logins.keep(&target("h"), "bo", &saved(2)).unwrap();
        let path = logins.file.clone().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let secret = saved(1).token.reveal()[32..60].to_owned();
        std::fs::write(
            &path,
            format!("# mine\n\n{}", text.replacen(&*saved(1).token.reveal(), &secret, 1)),
        )
        .unwrap();
        let failure = logins.find(&target("h"), "al").unwrap_err();
        assert_eq!(failure.exit, Exit::Login);
        assert!(!failure.error.message.contains(&secret));
        assert!(id(&logins, "h", "bo").is_some());
        // A new one mends it, and leaves the rest as it is.
        logins.keep(&target("h"), "al", &saved(3)).unwrap();
        assert!(id(&logins, "h", "al").is_some() && std::fs::read_to_string(&path).unwrap().starts_with("# mine\n\n"));
    }

    #[test]
    fn programs_that_save_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let logins = logins(&folder);
        std::thread::scope(|scope| {
            for number in 0..16 {
                let logins = &logins;
                scope.spawn(move || logins.keep(&target("h"), &format!("user{number}"), &saved(number)).unwrap());
            }
        });
        for number in 0..16 {
            assert!(id(&logins, "h", &format!("user{number}")).is_some(), "{number}");
        }
    }
}
