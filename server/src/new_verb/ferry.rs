//! Where a stranger's crates take Ferry from: a folder with its sources, a git repository, or a registry.

use std::path::{Path, PathBuf};

use ferry_core::{Error, Result};
use toml_edit::{DocumentMut, Value};

use super::manifest::{failed, relative};

/// Where the sources of this program were when it was built, if they are still there.
const BUILT_FROM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Where Ferry comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ferry {
    /// From a folder with the sources; written as it was given, absolute or relative.
    Folder { root: PathBuf, is_relative: bool },
    /// From a git repository, at a tag if there is one.
    Git { url: String, tag: Option<String> },
    /// From a registry.
    Version(String),
}

impl Ferry {
    /// What `--core` says.
    ///
    /// # Errors
    /// `bad_request` when it is neither a folder with the sources, nor a version, nor a repository.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if let Some(root) = root_of(Path::new(text)) {
            let is_relative = Path::new(text).is_relative();
            return Ok(Self::Folder { root, is_relative });
        }
        if text.contains("://") || text.starts_with("git@") {
            let (url, tag) = text
                .split_once('#')
                .map_or((text, None), |(url, tag)| (url, Some(tag.to_owned())));
            return Ok(Self::Git {
                url: url.to_owned(),
                tag,
            });
        }
        let number = text.trim_start_matches(['^', '~', '=', '>', '<', ' ']);
        if number.starts_with(|c: char| c.is_ascii_digit()) && !text.contains('/') {
            return Ok(Self::Version(text.to_owned()));
        }
        Err(Error::bad_request(format!(
            "--core {text}: neither a folder with Ferry's sources, nor a version, nor a repository"
        ))
        .hint("a folder has core/Cargo.toml in it; a repository is https://... with #TAG behind it if you like"))
    }

    /// The sources that this program was built from.
    ///
    /// # Errors
    /// `bad_request` when they are not there any more.
    pub(super) fn built_from() -> Result<Self> {
        let root = root_of(Path::new(BUILT_FROM)).ok_or_else(|| {
            Error::bad_request("the sources that this program was built from are not there any more")
                .hint("say with --core where ferry-core is: a folder, a version or a git repository")
        })?;
        Ok(Self::Folder {
            root,
            is_relative: false,
        })
    }

    /// Whether it has a crate of that name, as far as that can be told.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Folder { root, .. } => folder_of(root, name).is_ok(),
            _ => true,
        }
    }

    /// The line below `[dependencies]` for one of our crates, in the manifest of `folder`.
    ///
    /// # Errors
    /// `not_found` when the sources have no such crate.
    pub(super) fn line(&self, name: &str, folder: &Path) -> Result<String> {
        let quoted = |text: &str| Value::from(text).to_string();
        Ok(match self {
            Self::Version(version) => format!("{name} = {}", quoted(version)),
            Self::Git { url, tag } => {
                let tag = tag
                    .as_deref()
                    .map(|tag| format!(", tag = {}", quoted(tag)))
                    .unwrap_or_default();
                format!("{name} = {{ git = {}{tag} }}", quoted(url))
            }
            Self::Folder { root, is_relative } => {
                let place = folder_of(root, name)?;
                let place = if *is_relative { relative(folder, &place) } else { place };
                let place = place
                    .to_str()
                    .ok_or_else(|| Error::bad_request(format!("{}: not a name in UTF-8", place.display())))?;
                format!("{name} = {{ path = {} }}", quoted(place))
            }
        })
    }

    /// The versions that Ferry itself is tested with, where its sources are.
    pub(super) fn lock(&self) -> Option<PathBuf> {
        let Self::Folder { root, .. } = self else { return None };
        Some(root.join("Cargo.lock")).filter(|lock| lock.is_file())
    }
}

/// The name of the package in a folder.
fn package(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let manifest: DocumentMut = text.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

/// The folder of Ferry's sources, when `folder` is that or the one of ferry-core in it.
fn root_of(folder: &Path) -> Option<PathBuf> {
    let is_core = |folder: &Path| package(folder).as_deref() == Some("ferry-core");
    let root = match () {
        () if is_core(&folder.join("core")) => folder.to_owned(),
        () if is_core(folder) => folder.join(".."),
        () => return None,
    };
    root.canonicalize().ok()
}

/// The folder of one of our crates: they lie in the first or second level of the sources.
fn folder_of(root: &Path, name: &str) -> Result<PathBuf> {
    let short = name.trim_start_matches("ferry-");
    let likely = [
        short.to_owned(),
        format!("commands/{short}"),
        short.replace("store-", "stores/"),
    ];
    let found = likely
        .iter()
        .map(|place| root.join(place))
        .find(|place| package(place).as_deref() == Some(name));
    found.ok_or_else(|| failed(root, format!("{name} is not there")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_origin_is_told_from_the_others() {
        let root = Path::new(BUILT_FROM).canonicalize().unwrap();
        let folder = Ferry::Folder {
            root: root.clone(),
            is_relative: false,
        };
        for place in [root.clone(), root.join("core")] {
            assert_eq!(Ferry::parse(place.to_str().unwrap()).unwrap(), folder);
        }
        assert_eq!(Ferry::parse("0.1").unwrap(), Ferry::Version("0.1".into()));
        assert_eq!(Ferry::parse("=1.2.3").unwrap(), Ferry::Version("=1.2.3".into()));
        let git = Ferry::parse("https://example.org/ferry.git#v1").unwrap();
        assert_eq!(
            git.line("ferry-fs", &root).unwrap(),
            r#"ferry-fs = { git = "https://example.org/ferry.git", tag = "v1" }"#
        );
        for nonsense in ["", "core2", "/nowhere", "tests/src"] {
            assert!(Ferry::parse(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_folder_is_written_as_it_was_given() {
        let root = Path::new(BUILT_FROM).canonicalize().unwrap();
        let line = |is_relative, name| {
            Ferry::Folder {
                root: root.clone(),
                is_relative,
            }
            .line(name, &root.join("a/b"))
            .unwrap()
        };
        assert_eq!(
            line(true, "ferry-store-local"),
            r#"ferry-store-local = { path = "../../stores/local" }"#
        );
        assert_eq!(line(true, "ferry-fs"), r#"ferry-fs = { path = "../../commands/fs" }"#);
        assert_eq!(
            line(false, "ferry-core"),
            format!(r#"ferry-core = {{ path = "{}" }}"#, root.join("core").display())
        );
    }
}
