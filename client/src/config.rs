//! The client's config file: profiles of servers, defaults for all of them, and aliases. TOML, `config.toml` in the user's config folder, or the file
//! that `FERRY_CONFIG` names.
//!
//! It fails closed: what is not understood is an error that names file, line and key, and nothing is run. A name without `.`, `:` and `@` that is a
//! profile's wins over a host of that name. Options on the command line win over a profile, and a profile over the defaults.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ferry_core::fingerprint::Fingerprint;
use ferry_core::text::{did_you_mean, escape};
use ferry_core::{Algorithm, ByteSize, Error};
use serde::Deserialize;
use toml::Spanned;

use crate::aliases::Aliases;
use crate::editor::Keys;
use crate::exit::{Failure, Result, plain};
use crate::local::{shown, small_text};
use crate::options::Target;
use crate::trust::config_file;

mod value;

use value::Text;
pub use value::{Folder, Jobs};

/// The variable that names the file.
const VARIABLE: &str = "FERRY_CONFIG";

/// What the user has written down.
#[derive(Debug, Clone, Default)]
pub struct Config {
    defaults: Section,
    profiles: BTreeMap<String, (Target, Section)>,
    /// Short names for lines.
    pub aliases: Aliases,
}

/// How one server, or every server, is dealt with. Nothing is said about what is `None`.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// The account's name.
    pub user: Option<String>,
    /// The one key that is trusted.
    pub pin: Option<Fingerprint>,
    /// The certificates of an authority that vouches for servers.
    pub ca: Option<PathBuf>,
    /// The file of known keys.
    pub known_hosts: Option<PathBuf>,
    /// Which digest proves a transfer.
    pub digest: Option<Algorithm>,
    /// Transfers side by side.
    pub jobs: Option<u8>,
    /// Bytes a second, at most.
    pub limit_rate: Option<ByteSize>,
    /// The remote folder that a session starts in, absolute.
    pub folder: Option<String>,
    /// Which keys edit a line.
    pub keys: Option<Keys>,
    /// The command that long answers go through.
    pub pager: Option<String>,
}

/// A section as it stands in the file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    server: Option<Spanned<Text<Target>>>,
    user: Option<String>,
    pin: Option<Spanned<Text<Fingerprint>>>,
    ca: Option<PathBuf>,
    known_hosts: Option<PathBuf>,
    digest: Option<Text<Algorithm>>,
    jobs: Option<Text<Jobs>>,
    limit_rate: Option<Text<ByteSize>>,
    folder: Option<Text<Folder>>,
    keys: Option<Text<Keys>>,
    pager: Option<String>,
}

/// The file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    defaults: Raw,
    profiles: BTreeMap<Spanned<String>, Raw>,
    aliases: BTreeMap<Spanned<String>, String>,
}

impl Config {
    /// That of the user who runs the program; an empty one where there is no file. Blocks.
    ///
    /// # Errors
    /// `bad_request` for a file that cannot be read or understood, that others may change, and that `FERRY_CONFIG` names and that is not there.
    pub fn of_user() -> Result<Self> {
        let must = std::env::var_os(VARIABLE).is_some_and(|file| !file.is_empty());
        match config_file(VARIABLE, "config.toml") {
            Some(path) => Self::read(&path, must),
            None => Ok(Self::default()),
        }
    }

    fn read(path: &Path, must: bool) -> Result<Self> {
        let bad = |why: &dyn Display| Error::bad_request(format!("config {}: {why}", shown(path)));
        let file = match std::fs::File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must => return Ok(Self::default()),
            file => file.map_err(|error| bad(&plain(&error)))?,
        };
        let mode = file.metadata().map_err(|error| bad(&plain(&error)))?.permissions().mode();
        // Whoever can change it says which keys are trusted, and which commands a word means.
        if mode & 0o022 != 0 {
            let error = bad(&format!("others than its owner may change it (mode {:o})", mode & 0o777));
            return Err(error.hint("chmod go-w takes that from them").into());
        }
        let text = small_text(file).map_err(|why| bad(&why))?;
        Ok(Self::parse(&text, path)?)
    }

    /// What a config file's text says; `path` is where relative paths in it start, and is named in errors.
    ///
    /// # Errors
    /// `bad_request`, naming file, line and key.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let place = Source { text, path };
        let file: File = toml::from_str(text).map_err(|error| place.toml(&error))?;
        let own = |what: &str| format!("`{what}` is about one server: it belongs into a profile");
        if let Some(server) = &file.defaults.server {
            return Err(place.error(&server.span(), own("server")));
        }
        if let Some(pin) = &file.defaults.pin {
            return Err(place.error(&pin.span(), own("pin")));
        }
        let mut profiles = BTreeMap::new();
        for (name, mut raw) in file.profiles {
            let (span, name) = (name.span(), name.into_inner());
            if name.is_empty() || name.contains(['.', ':', '@', '/']) || name.starts_with('-') {
                let why = format!(
                    "`{}` cannot be a profile's name: a host could be called so",
                    escape(name.as_bytes())
                );
                return Err(place.error(&span, why));
            }
            let Some(server) = raw.server.take() else {
                return Err(place.error(&span, format!("the profile `{}` has no `server`", escape(name.as_bytes()))));
            };
            let (at, target) = (server.span(), server.into_inner().0);
            if target.user.is_some() {
                return Err(place.error(&at, "the account's name is a key of its own: `user`"));
            }
            profiles.insert(name, (target, raw.into_section(path)));
        }
        let mut aliases = Aliases::default();
        for (name, line) in file.aliases {
            let (span, name) = (name.span(), name.into_inner());
            let defined = aliases.define(&name, &line);
            defined.map_err(|error| place.error(&span, error.message))?;
        }
        Ok(Self {
            defaults: file.defaults.into_section(path),
            profiles,
            aliases,
        })
    }

    /// The server that a target on the command line means, and how it is dealt with. The target has a user when anything but the environment names one.
    ///
    /// # Errors
    /// `bad_request` when it is neither a profile nor a target.
    pub fn choose(&self, text: &str) -> Result<(Target, Section)> {
        let (mut target, section) = match self.profiles.get(text) {
            Some((target, section)) => (target.clone(), section.clone().or(&self.defaults)),
            None => {
                let target = text.parse::<Target>().map_err(|error| self.no_target(text, error))?;
                (target, self.defaults.clone())
            }
        };
        target.user = target.user.or_else(|| section.user.clone());
        Ok((target, section))
    }

    fn no_target(&self, text: &str, error: String) -> Failure {
        let error = Error::bad_request(error);
        match did_you_mean(text, self.profiles()) {
            Some(near) => error.hint(format!("did you mean the profile `{near}`?")).into(),
            None => error.into(),
        }
    }

    /// The names of all profiles.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }
}

impl Raw {
    fn into_section(self, config: &Path) -> Section {
        let file = |path: Option<PathBuf>| path.map(|path| value::resolve(config, path));
        Section {
            user: self.user.filter(|user| !user.is_empty()),
            pin: self.pin.map(|pin| pin.into_inner().0),
            ca: file(self.ca),
            known_hosts: file(self.known_hosts),
            digest: self.digest.map(|text| text.0),
            jobs: self.jobs.map(|text| text.0.0),
            limit_rate: self.limit_rate.map(|text| text.0),
            folder: self.folder.map(|text| text.0.0),
            keys: self.keys.map(|text| text.0),
            pager: self.pager,
        }
    }
}

impl Section {
    /// This, and what it leaves open as the other says.
    fn or(self, other: &Self) -> Self {
        let other = other.clone();
        Self {
            user: self.user.or(other.user),
            pin: self.pin.or(other.pin),
            ca: self.ca.or(other.ca),
            known_hosts: self.known_hosts.or(other.known_hosts),
            digest: self.digest.or(other.digest),
            jobs: self.jobs.or(other.jobs),
            limit_rate: self.limit_rate.or(other.limit_rate),
            folder: self.folder.or(other.folder),
            keys: self.keys.or(other.keys),
            pager: self.pager.or(other.pager),
        }
    }
}

/// What errors point into.
struct Source<'s> {
    text: &'s str,
    path: &'s Path,
}

impl Source<'_> {
    fn error(&self, span: &Range<usize>, why: impl Display) -> Error {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let number = before.matches('\n').count() + 1;
        let line = self.text.lines().nth(number - 1).unwrap_or_default().trim();
        let key = match line.split_once('=') {
            Some((key, _)) if !line.starts_with('[') => key.trim_end(),
            _ => line,
        };
        let (file, key) = (shown(self.path), escape(key.as_bytes()));
        let error = Error::bad_request(format!("config {file}, line {number}, `{key}`: {why}"));
        error.hint(format!("correct that line, or name another file with {VARIABLE}"))
    }

    fn toml(&self, error: &toml::de::Error) -> Error {
        let message = error.message().replace('\n', ", ");
        let end = self.text.len()..self.text.len();
        let told = self.error(&error.span().unwrap_or(end), escape(message.as_bytes()));
        // serde's words: unknown field `x`, expected one of `y`, `z`.
        let mut named = message.split('`').skip(1).step_by(2);
        let near = match named.next() {
            Some(unknown) if message.starts_with("unknown field") => did_you_mean(unknown, named),
            _ => None,
        };
        match near {
            Some(near) => told.hint(format!("did you mean `{near}`?")),
            None => told,
        }
    }
}

#[cfg(test)]
mod tests;
