//! `ferryd reload`: config, certificate and key anew, for connections that come from then on. Those that are there keep what they have.
//!
//! The running server can open no file outside its data folder, so whoever asks for it reads the files and sends what is in them. Both sides
//! look at it as at a start: what is refused there is refused here, and then nothing is changed.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ferry_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::config::{self, File};
use crate::server::Server;
use crate::tls::{Pem, Tls};

/// How this run of the server began, and the config that holds now.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The data folder.
    data: PathBuf,
    /// The config file that was named; without one it is that of the data folder.
    config: Option<PathBuf>,
    file: Mutex<File>,
}

/// What is to hold from now on, as whoever asks has read it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fresh {
    /// The config file, for messages.
    path: PathBuf,
    /// What is in it; nothing when there is none.
    text: String,
    /// The admin's own certificate and key, if the config names some.
    pem: Option<Pem>,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    /// The key that the server shows from now on.
    pub(crate) key: Option<String>,
    /// Keys of the config that have changed, and count from the next start on only.
    pub(crate) at_next_start: Vec<String>,
}

impl Origin {
    /// A run on a data folder, with the config file that was named and what is in the one that counts.
    pub(crate) fn new(data: &Path, config: Option<&Path>, file: File) -> Self {
        Self {
            data: data.to_owned(),
            // The one who asks may be in another folder.
            config: config.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned())),
            file: Mutex::new(file),
        }
    }

    /// Whether the config file was named, so that it must be there.
    pub(crate) fn is_named(&self) -> bool {
        self.config.is_some()
    }

    /// The config file that counts.
    pub(crate) fn path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| self.data.join(config::FILE))
    }
}

impl Fresh {
    /// Reads the config file and what it names.
    ///
    /// # Errors
    /// As at a start.
    pub(crate) fn read(path: &Path, must: bool) -> Result<Self> {
        let text = config::text(path, must)?;
        let files = config::parse(&text, path)?.tls_files();
        Ok(Self {
            path: path.to_owned(),
            text,
            pem: Pem::of(&files)?,
        })
    }
}

/// Has a running server go by it.
///
/// # Errors
/// As at a start; then everything is as it was.
pub(crate) fn apply(server: &Server, fresh: &Fresh) -> Result<Reloaded> {
    let origin = server.origin.as_ref();
    let origin = origin.ok_or_else(|| Error::bad_request("this server has no config"))?;
    let file = config::parse(&fresh.text, &fresh.path)?;
    let pem = match &fresh.pem {
        Some(pem) => pem.clone(),
        None => Pem::made(&origin.data)?,
    };
    // Made without TLS too: what cannot be used is told now and not at the next start.
    let tls = Tls::new(&pem)?;
    let key = tls.fingerprint;
    let has_tls = server.tls().is_some();
    server.put(file.limits.clone(), has_tls.then_some(tls));
    let mut now = origin.file.lock().unwrap_or_else(PoisonError::into_inner);
    let at_next_start = now.differs_at_start(&file);
    *now = file;
    tracing::info!(%key, "reloaded");
    Ok(Reloaded {
        key: has_tls.then(|| key.to_string()),
        at_next_start,
    })
}
