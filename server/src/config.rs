//! Where the data is, what the server listens on, and how it is kept: from the command line, the environment and a TOML file.

use std::fs::Metadata;
use std::io::Read as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ferry_core::store::Durability;
use ferry_core::{Error, Result};
use serde::Deserialize;

use crate::limits::Limits;
use crate::tls;

/// The file's name in the data folder.
pub(crate) const FILE: &str = "ferryd.toml";
/// The longest config file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// What a config file may say. Keys that are options too have the same name, and the option wins. Relative paths start at the file's folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct File {
    /// Host and port.
    pub(crate) listen: Option<String>,
    /// When an upload is acknowledged.
    pub(crate) durability: Option<Durability>,
    /// Text for people or JSON for programs.
    pub(crate) log_format: Option<LogFormat>,
    /// No encryption; only on a loopback address.
    pub(crate) no_tls: Option<bool>,
    /// The server's certificate, with those between it and the root; PEM. Has no option.
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key; PEM, and for its owner alone. Has no option.
    pub(crate) key: Option<PathBuf>,
    /// What peers get. Has no option.
    pub(crate) limits: Limits,
}

/// What log lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Reads the config file: `path`, which must be there, or the one in the data folder, if it is there.
///
/// # Errors
/// `bad_request`, naming file, line and key.
pub(crate) fn read(path: Option<&Path>, data: &Path) -> Result<File> {
    let (path, must) = path.map_or((data.join(FILE), false), |path| (path.to_owned(), true));
    parse(&text(&path, must)?, &path)
}

/// What is in a config file; nothing when there is none and none must be.
///
/// # Errors
/// `bad_request` for a file that cannot be read, or that somebody else than its owner may change.
pub(crate) fn text(path: &Path, must: bool) -> Result<String> {
    let bad = |why: &dyn std::fmt::Display| Error::bad_request(format!("config {}: {why}", path.display()));
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must => return Ok(String::new()),
        file => file.map_err(|error| bad(&error))?,
    };
    let meta = file.metadata().map_err(|error| bad(&error))?;
    check_mode(&meta, &format!("config {}", path.display()))?;
    let mut text = String::new();
    let len = file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text);
    if len.map_err(|error| bad(&error))? as u64 > FILE_MAX_BYTES {
        return Err(bad(&format!("longer than {FILE_MAX_BYTES} bytes")));
    }
    Ok(text)
}

/// Refuses what somebody else than its owner may change, and what belongs to somebody else than root and us.
fn check_mode(meta: &Metadata, what: &str) -> Result<()> {
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        let text = format!("{what}: others than its owner may change it (mode {mode:o})");
        return Err(Error::bad_request(text).hint("chmod go-w takes that from them"));
    }
    let us = rustix::process::geteuid().as_raw();
    if ![0, us].contains(&meta.uid()) && us != 0 {
        return Err(Error::bad_request(format!(
            "{what}: belongs to somebody else (uid {})",
            meta.uid()
        )));
    }
    Ok(())
}

/// What a config file's text says; `path` is where relative paths in it start, and is named in errors.
///
/// # Errors
/// `bad_request`, naming file, line and key.
pub(crate) fn parse(text: &str, path: &Path) -> Result<File> {
    let bad = |why: &dyn std::fmt::Display| Error::bad_request(format!("config {}: {why}", path.display()));
    let mut file: File = toml::from_str(text).map_err(|error| bad(&error.to_string().trim_end()))?;
    file.limits.check().map_err(|error| bad(&error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for named in [&mut file.certificate, &mut file.key].into_iter().flatten() {
        *named = folder.join(&named);
    }
    Ok(file)
}

impl File {
    /// The admin's own key and certificate, if he has some.
    pub(crate) fn tls_files(&self) -> tls::Files {
        tls::Files {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        }
    }

    /// The keys of which `other` says something else, and which count at a start only.
    pub(crate) fn differs_at_start(&self, other: &Self) -> Vec<String> {
        let keys = [
            ("listen", self.listen != other.listen),
            ("durability", self.durability != other.durability),
            ("log-format", self.log_format != other.log_format),
            ("no-tls", self.no_tls != other.no_tls),
        ];
        keys.into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(key, _)| key.to_owned())
            .collect()
    }
}

/// The address that a `HOST:PORT` means. Without TLS, only loopback addresses are taken.
///
/// # Errors
/// `bad_request`, naming what is wrong.
pub(crate) fn listen_address(text: &str, has_tls: bool) -> Result<SocketAddr> {
    let bad =
        |why: &dyn std::fmt::Display| Error::bad_request(format!("--listen {text}: {why}")).hint("write it like 127.0.0.1:7171");
    let address = text.to_socket_addrs().map_err(|error| bad(&error))?.next();
    let address = address.ok_or_else(|| bad(&"no address"))?;
    if !has_tls && !address.ip().is_loopback() {
        return Err(bad(&"without TLS only loopback addresses are listened on"));
    }
    Ok(address)
}

/// Makes the data folder, readable by its owner alone, when it is not there.
///
/// # Errors
/// `internal`, naming the folder and the cause; `bad_request` when others may write into it.
pub(crate) fn make_data_folder(data: &Path) -> Result<PathBuf> {
    let failed = |error: std::io::Error| Error::internal(format!("data folder {}: {error}", data.display()));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(failed)?;
    check_mode(&data.metadata().map_err(failed)?, &format!("data folder {}", data.display()))?;
    data.canonicalize().map_err(failed)
}

/// Takes everybody's rights but the owner's from a file.
///
/// # Errors
/// `internal`, naming the file and the cause.
pub(crate) fn make_private(path: &Path) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| Error::internal(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(None, folder.path()).unwrap(), File::default());
        let path = folder.path().join(FILE);
        std::fs::write(&path, "listen = \"127.0.0.1:0\"\nlisten-adress = 1\n").unwrap();
        assert!(read(None, folder.path()).unwrap_err().message.contains("listen-adress"));
        std::fs::write(&path, "durability = \"relaxed\"").unwrap();
        assert_eq!(
            read(Some(&path), folder.path()).unwrap().durability,
            Some(Durability::Relaxed)
        );
        assert!(read(Some(&folder.path().join("none.toml")), folder.path()).is_err());
        for (text, named) in [("requests = 0", "limits.requests"), ("reqests = 1", "reqests")] {
            std::fs::write(&path, format!("[limits]\n{text}\n")).unwrap();
            let message = read(None, folder.path()).unwrap_err().message;
            assert!(message.contains(named), "{message}");
        }
        std::fs::write(&path, "[limits]\nidle-seconds = 5\n").unwrap();
        let limits = read(None, folder.path()).unwrap().limits;
        assert_eq!((limits.idle_seconds, limits.requests), (5, 64));
    }

    #[test]
    fn what_others_may_change_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, "").unwrap();
        for (mode, is_fine) in [(0o600, true), (0o644, true), (0o664, false), (0o602, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match read(None, folder.path()) {
                Ok(_) => assert!(is_fine, "{mode:o}"),
                Err(error) => assert!(!is_fine && error.message.contains(FILE), "{mode:o}: {error}"),
            }
        }
        let data = folder.path().join("data");
        make_data_folder(&data).unwrap();
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o770)).unwrap();
        let error = make_data_folder(&data).unwrap_err();
        assert!(
            error.kind == ferry_core::ErrorKind::BadRequest && error.message.contains("data folder"),
            "{error}"
        );
    }

    #[test]
    fn only_loopback_is_listened_on_without_tls() {
        assert!(listen_address("127.0.0.1:0", false).is_ok() && listen_address("[::1]:7171", false).is_ok());
        for text in ["0.0.0.0:7171", "192.0.2.1:1"] {
            assert!(
                listen_address(text, false).is_err() && listen_address(text, true).is_ok(),
                "{text}"
            );
        }
        for text in ["7171", "127.0.0.1:99999", ""] {
            assert!(listen_address(text, true).is_err(), "{text}");
        }
    }
}
