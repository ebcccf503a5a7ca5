//! Where the data is, what the server listens on, and how it is kept: from the command line, the environment and a TOML file.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ferry_core::{Error, Result};
use serde::Deserialize;

use crate::limits::Limits;
use crate::{Durability, tls};

/// The file's name in the data folder.
const FILE: &str = "ferryd.toml";

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
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must => return Ok(File::default()),
        text => text.map_err(|error| Error::bad_request(format!("config {}: {error}", path.display())))?,
    };
    let mut file: File = toml::from_str(&text)
        .map_err(|error| Error::bad_request(format!("config {}: {}", path.display(), error.to_string().trim_end())))?;
    file.limits
        .check()
        .map_err(|error| Error::bad_request(format!("config {}: {error}", path.display())))?;
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
/// `internal`, naming the folder and the cause.
pub(crate) fn make_data_folder(data: &Path) -> Result<PathBuf> {
    let failed = |error: std::io::Error| Error::internal(format!("data folder {}: {error}", data.display()));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(failed)?;
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
