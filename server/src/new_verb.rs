//! `ferryd new-verb`: writes the crate of a verb, and if wanted a server around it. What is written compiles and passes its tests as it is.

mod ferry;
mod manifest;
mod names;
mod plan;
mod server;

use std::path::{Path, PathBuf};

use ferry_core::{Error, Registry, Result};
use toml_edit::DocumentMut;

use self::ferry::Ferry;
use self::manifest::failed;
use self::names::Names;
use self::plan::Plan;
use self::server::Server;
use crate::out;

/// The lints of a crate that is in no workspace.
const LINTS: &str = "[lints.rust]\nunsafe_code = \"forbid\"\nmissing_docs = \"warn\"";
/// What cargo makes and nobody keeps.
const IGNORED: &str = "/target\n/ferry-data\n";

/// What is wanted.
#[derive(clap::Args)]
pub(crate) struct Wish {
    /// The word that users will type
    name: String,
    /// Folder that the crate's folder is written into
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// What the verb does to begin with
    #[arg(long, value_enum, default_value_t)]
    shape: Shape,
    /// Where ferry-core comes from: a folder with Ferry's sources, a version, or a git repository with #TAG [default: what the workspace
    /// says that it is written into, otherwise the sources that this program was built from]
    #[arg(long, value_name = "PATH|VERSION|GIT")]
    core: Option<String>,
    /// Server crate that is to have the verb; one is written where there is none
    #[arg(long, value_name = "SERVER_CRATE")]
    into: Option<PathBuf>,
}

/// What a new verb does to begin with.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Shape {
    /// Answers with a text
    #[default]
    Reply,
    /// Lists things, as rows
    Rows,
    /// Changes the home
    Write,
    /// Takes contents
    BodyIn,
    /// Gives contents
    BodyOut,
}

impl Shape {
    /// The verb and its tests.
    fn templates(self) -> [&'static str; 2] {
        macro_rules! both {
            ($name:literal) => {
                [
                    include_str!(concat!("new_verb/templates/", $name, ".rs.in")),
                    include_str!(concat!("new_verb/templates/", $name, ".tests.rs.in")),
                ]
            };
        }
        match self {
            Self::Reply => both!("reply"),
            Self::Rows => both!("rows"),
            Self::Write => both!("write"),
            Self::BodyIn => both!("body-in"),
            Self::BodyOut => both!("body-out"),
        }
    }
}

/// Puts values in the place of `{{name}}`.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let fill_one = |text: String, (name, value): &(&str, &str)| text.replace(&format!("{{{{{name}}}}}"), value);
    values.iter().fold(template.to_owned(), fill_one)
}

/// What is around the new crate, and where Ferry comes from there.
struct Ground {
    /// The workspace that the crate will be in.
    workspace: Option<(PathBuf, DocumentMut)>,
    /// What `--core` says.
    said: Option<Ferry>,
}

impl Ground {
    fn workspace(&self) -> Option<&DocumentMut> {
        self.workspace.as_ref().map(|(_, manifest)| manifest)
    }

    /// The line below `[dependencies]` for a crate of ours in the manifest of `folder`.
    fn line(&self, name: &str, folder: &Path) -> Result<String> {
        let is_shared = self
            .workspace()
            .is_some_and(|workspace| manifest::has_dependency(workspace, name));
        match &self.said {
            Some(ferry) => ferry.line(name, folder),
            None if is_shared => Ok(format!("{name}.workspace = true")),
            None => Ferry::built_from()?.line(name, folder),
        }
    }

    fn lines<'a>(&self, names: impl IntoIterator<Item = &'a str>, folder: &Path) -> Result<String> {
        let lines: Result<Vec<String>> = names.into_iter().map(|name| self.line(name, folder)).collect();
        lines.map(|lines| lines.join("\n"))
    }

    fn lints(&self) -> &'static str {
        if self.workspace().is_some_and(manifest::has_lints) {
            "[lints]\nworkspace = true"
        } else {
            LINTS
        }
    }
}

/// Writes the crate; says what is to be done next.
///
/// # Errors
/// `bad_request` for what makes no sense, `exists` for a verb or a folder that is there; nothing has been written then. `internal` when files
/// cannot be written.
pub(crate) fn run(wish: &Wish, registry: &Registry) -> Result<()> {
    let names = Names::new(&wish.name, registry)?;
    let said = wish.core.as_deref().map(Ferry::parse).transpose()?;
    let folder = made(&wish.folder)?;
    let place = folder.join(&names.word);
    if place.symlink_metadata().is_ok() {
        return Err(Error::exists(format!("{} is there already", place.display()))
            .hint("nothing is ever overwritten; --in names another folder"));
    }
    let workspace = manifest::workspace_above(&place)?;
    let mut ground = Ground { workspace, said };
    let mut plan = Plan::default();
    let server = wish
        .into
        .as_deref()
        .map(|server| Server::find(server, registry))
        .transpose()?;
    let is_alone = ground.workspace.is_none();
    if let Some(server) = server
        .as_ref()
        .filter(|server| server.is_new && is_alone && server.place.parent() == Some(&folder))
    {
        lay_out(&folder, server, &mut ground, &mut plan)?;
    }
    add_verb(&names, wish.shape, &place, &ground, &mut plan)?;
    if let Some(server) = &server {
        server.add(&names, &place, &ground, &mut plan)?;
    }
    if let Some((root, workspace)) = &mut ground.workspace {
        let is_new = plan.is_new(&root.join("Cargo.toml"));
        let places = [
            Some(&place),
            server.as_ref().filter(|server| server.is_new).map(|server| &server.place),
        ];
        let members = places
            .into_iter()
            .flatten()
            .filter_map(|place| place.strip_prefix(&*root).ok()?.to_str());
        // All are to be added, so no `any`.
        let added = members.filter(|member| manifest::add_member(workspace, member)).count();
        if added > 0 || is_new {
            plan.edit(root.join("Cargo.toml"), workspace.to_string());
        }
    } else {
        let ferry = ground.said.clone().map_or_else(Ferry::built_from, Ok)?;
        plan.add(place.join(".gitignore"), IGNORED.to_owned());
        plan.copy(ferry.lock(), place.join("Cargo.lock"));
    }
    plan.carry_out()?;
    tell(&names, &place, server.as_ref(), &ground, &plan);
    Ok(())
}

/// A folder, made if it is missing.
fn made(folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    folder.canonicalize().map_err(|error| failed(folder, error))
}

/// Lays out a workspace for verbs and a server.
fn lay_out(root: &Path, server: &Server, ground: &mut Ground, plan: &mut Plan) -> Result<()> {
    let ferry = ground.said.take().map_or_else(Ferry::built_from, Ok)?;
    let all = ["ferry-core", "ferry-testkit"]
        .into_iter()
        .chain(server::PARTS.iter().copied());
    let all = all
        .chain(server.standard.iter().map(String::as_str))
        .filter(|name| ferry.has(name));
    let lines: Vec<String> = all.map(|name| ferry.line(name, root)).collect::<Result<_>>()?;
    let text = fill(
        include_str!("new_verb/templates/workspace.toml.in"),
        &[("ferry", &lines.join("\n"))],
    );
    let path = root.join("Cargo.toml");
    let workspace = text.parse().map_err(|error| failed(&path, error))?;
    plan.add(path, text);
    plan.add(root.join(".gitignore"), IGNORED.to_owned());
    plan.copy(ferry.lock(), root.join("Cargo.lock"));
    ground.workspace = Some((root.to_owned(), workspace));
    Ok(())
}

fn add_verb(names: &Names, shape: Shape, place: &Path, ground: &Ground, plan: &mut Plan) -> Result<()> {
    let (core, testkit) = (ground.line("ferry-core", place)?, ground.line("ferry-testkit", place)?);
    let values = [
        ("name", names.word.as_str()),
        ("krate", &names.krate),
        ("module", &names.module),
        ("Type", &names.ty),
        ("core", &core),
        ("testkit", &testkit),
        ("lints", ground.lints()),
    ];
    let [verb, tests] = shape.templates();
    for (file, template) in [
        ("Cargo.toml", include_str!("new_verb/templates/verb.toml.in")),
        ("README.md", include_str!("new_verb/templates/README.md.in")),
        ("src/lib.rs", verb),
        ("tests/verb.rs", tests),
    ] {
        plan.add(place.join(file), fill(template, &values));
    }
    Ok(())
}

/// Says what was written and what is to be done next.
fn tell(names: &Names, place: &Path, server: Option<&Server>, ground: &Ground, plan: &Plan) {
    let here = std::env::current_dir()
        .and_then(|here| here.canonicalize())
        .unwrap_or_default();
    let shown = |path: &Path| path.strip_prefix(&here).unwrap_or(path).display().to_string();
    let Names { word, krate, module, .. } = names;
    out::line(format_args!(
        "wrote {}: the verb is src/lib.rs, its tests are tests/verb.rs",
        shown(place)
    ));
    for edited in plan.edited() {
        out::line(format_args!("changed {}", shown(edited)));
    }
    match server {
        Some(server) => {
            let flag = |name: &str| {
                if ground.workspace.is_some() {
                    format!(" -p {name}")
                } else {
                    String::new()
                }
            };
            let way = |folder: &Path| {
                if ground.workspace.is_some() {
                    String::new()
                } else {
                    format!("cd {} && ", shown(folder))
                }
            };
            out::line(format_args!("next: {}cargo test{}", way(place), flag(krate)));
            out::line(format_args!(
                "then: {}cargo run{} -- try",
                way(&server.place),
                flag(&server.name)
            ));
            out::line(format_args!("and there, in the shell: help {word}"));
        }
        None => {
            out::line(format_args!("next: cd {} && cargo test", shown(place)));
            out::line("then, in the crate of your server (or --into SERVER_CRATE does it):");
            let line = format!(
                "{krate} = {{ path = {} }}",
                toml_edit::Value::from(place.display().to_string())
            );
            out::line(format_args!("  Cargo.toml, below [dependencies]: {line}"));
            out::line(format_args!("  src/main.rs: use {module} as _;"));
        }
    }
}
