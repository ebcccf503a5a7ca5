//! What is to be written: settled before the first file, so that what is refused leaves nothing behind.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ferry_core::Result;

use super::manifest::failed;

/// Files to write and to change.
#[derive(Debug, Default)]
pub(super) struct Plan {
    new: Vec<(PathBuf, String)>,
    changed: Vec<(PathBuf, String)>,
    copied: Option<(PathBuf, PathBuf)>,
}

impl Plan {
    /// Adds a file that must not be there yet.
    pub(super) fn add(&mut self, path: PathBuf, text: String) {
        self.new.push((path, text));
    }

    /// Changes what a file is to hold: one that is added, or one that is there.
    pub(super) fn edit(&mut self, path: PathBuf, text: String) {
        if let Some((_, old)) = self.new.iter_mut().find(|(new, _)| *new == path) {
            *old = text;
        } else if path.exists() {
            self.changed.push((path, text));
        } else {
            self.new.push((path, text));
        }
    }

    /// Adds a copy of a file, unless one is there.
    pub(super) fn copy(&mut self, from: Option<PathBuf>, to: PathBuf) {
        self.copied = from.filter(|_| !to.exists()).map(|from| (from, to));
    }

    /// Whether a file is one of those that are added.
    pub(super) fn is_new(&self, path: &Path) -> bool {
        self.new.iter().any(|(new, _)| new == path)
    }

    /// The files that were there and are changed.
    pub(super) fn edited(&self) -> impl Iterator<Item = &Path> {
        self.changed.iter().map(|(path, _)| path.as_path())
    }

    /// Writes everything; what is new is formatted as its folder wants it, where rustfmt is there.
    ///
    /// # Errors
    /// `internal`, naming the file that is there already or cannot be written.
    pub(super) fn carry_out(&self) -> Result<()> {
        if let Some((path, _)) = self.new.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
            return Err(failed(path, "there already").hint("nothing is ever overwritten"));
        }
        for (path, text) in &self.new {
            let folder = path.parent().unwrap_or(path);
            std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
            let written = std::fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|error| failed(path, error))?;
        }
        for (path, text) in &self.changed {
            std::fs::write(path, text).map_err(|error| failed(path, error))?;
        }
        if let Some((from, to)) = &self.copied {
            std::fs::copy(from, to).map_err(|error| failed(to, error))?;
        }
        let rust = self
            .new
            .iter()
            .map(|(path, _)| path)
            .filter(|path| path.extension().is_some_and(|end| end == "rs"));
        let mut format = Command::new("rustfmt");
        format.args(["--edition", "2024"]).args(rust);
        // Without rustfmt it is as formatted as the templates are.
        let _ = format
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        Ok(())
    }
}
