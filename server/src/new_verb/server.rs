//! The server crate that is to have a new verb: one that is there, or one that is written.

use std::path::{Path, PathBuf};

use ferry_core::{Error, Registry, Result};
use toml_edit::DocumentMut;

use super::ferry::Ferry;
use super::manifest::{self, failed, relative};
use super::names::Names;
use super::plan::Plan;
use super::{Ground, fill, made};

/// What a server is made of beside verbs.
pub(super) const PARTS: &[&str] = &["ferry-client", "ferry-server", "ferry-store-local"];

/// The server that is to have the verb.
pub(super) struct Server {
    pub(super) place: PathBuf,
    pub(super) name: String,
    pub(super) is_new: bool,
    /// The crates of the verbs that this server has, for one that is new.
    pub(super) standard: Vec<String>,
}

impl Server {
    /// The one in a folder, or one to be written there.
    ///
    /// # Errors
    /// `bad_request` for a name that none can have; `internal` for what is there and no crate.
    pub(super) fn find(path: &Path, registry: &Registry) -> Result<Self> {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let place = match path.canonicalize() {
            Ok(place) => place,
            Err(_) => {
                let name = path.file_name().ok_or_else(|| failed(path, "not the name of a folder"))?;
                made(parent)?.join(name)
            }
        };
        let manifest = place.join("Cargo.toml");
        let is_new = !manifest.exists();
        let name = if is_new {
            let name = place
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default()
                .to_owned();
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_name) {
                let text = format!("`{}` cannot be a server's name", path.display());
                return Err(Error::bad_request(text).hint("use a-z, 0-9 and '-', starting with a letter"));
            }
            name
        } else {
            let manifest = manifest::read(&manifest)?;
            let name = manifest.get("package").and_then(|package| package.get("name")?.as_str());
            name.ok_or_else(|| failed(&place, "no crate")).map(str::to_owned)?
        };
        let mut standard: Vec<String> = registry.entries().iter().map(|entry| entry.info.krate.clone()).collect();
        standard.sort();
        standard.dedup();
        Ok(Self {
            place,
            name,
            is_new,
            standard,
        })
    }

    /// Adds the verb, and before that all of the server if it is new.
    ///
    /// # Errors
    /// What is there cannot be read, or has such a dependency already.
    pub(super) fn add(&self, names: &Names, verb: &Path, ground: &Ground, plan: &mut Plan) -> Result<()> {
        let (manifest, main) = (self.place.join("Cargo.toml"), self.place.join("src/main.rs"));
        let [manifest_text, main_text] = if self.is_new {
            self.fresh(ground)?
        } else {
            let main = std::fs::read_to_string(&main).map_err(|error| failed(&main, error))?;
            [manifest::read(&manifest)?.to_string(), main]
        };
        let mut document: DocumentMut = manifest_text.parse().map_err(|error| failed(&manifest, error))?;
        let way = relative(&self.place, verb);
        let way = way.to_str().ok_or_else(|| failed(verb, "not a name in UTF-8"))?;
        manifest::add_dependency(&mut document, &names.krate, way)?;
        plan.edit(manifest, document.to_string());
        plan.edit(main, manifest::add_use(&main_text, &names.module));
        Ok(())
    }

    /// The manifest and the `main.rs` of a new server.
    fn fresh(&self, ground: &Ground) -> Result<[String; 2]> {
        let ferry = ground.said.clone().or_else(|| Ferry::built_from().ok());
        let shared = |name: &str| {
            ground
                .workspace()
                .is_some_and(|workspace| manifest::has_dependency(workspace, name))
        };
        let can = |name: &&str| shared(name) || ferry.as_ref().is_some_and(|ferry| ferry.has(name));
        let standard: Vec<&str> = self.standard.iter().map(String::as_str).filter(can).collect();
        let uses: Vec<String> = standard
            .iter()
            .map(|name| format!("use {} as _;", name.replace('-', "_")))
            .collect();
        let values = [
            ("server", self.name.as_str()),
            ("parts", &ground.lines(PARTS.iter().copied(), &self.place)?),
            ("verbs", &ground.lines(standard, &self.place)?),
            ("lints", ground.lints()),
            ("uses", &uses.join("\n")),
        ];
        Ok([
            fill(include_str!("templates/server.toml.in"), &values),
            fill(include_str!("templates/server.rs.in"), &values),
        ])
    }
}
