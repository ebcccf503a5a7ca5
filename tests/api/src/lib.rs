//! What our libraries show to others, as rustdoc tells it in JSON: for tests that a name does not change unnoticed, that no runtime
//! stands in a signature, and that every item for authors has an example.
//!
//! The JSON is made by the toolchain at hand. Its format changes with the toolchain, so there is [`Shown::Unreadable`].

mod examples;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustdoc_types::Crate;

pub use examples::{Sections, without_example};

/// The libraries that are looked at. The others are programs, or verbs, of which only the spec is seen.
pub const PACKAGES: &[&str] = &["ferry-core", "ferry-testkit", "ferry-server", "ferry-client"];

/// Types that stand in front of `::` without being a crate, as implementations are shown.
const PRIMITIVES: &[&str] = &[
    "bool", "char", "i16", "i32", "i64", "i8", "isize", "slice", "str", "u16", "u32", "u64", "u8", "usize",
];

/// What rustdoc told of the [`PACKAGES`].
pub enum Shown {
    /// The folder with a JSON file for each.
    Readable(PathBuf),
    /// The toolchain writes another format than we read; the text says which.
    Unreadable(String),
}

/// Our workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A call of cargo as a user would make it in `folder`: without what cargo itself tells to tests, by which build scripts would take
/// their results for stale.
pub fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let of_test = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ];
        if text == "OUT_DIR" || of_test.iter().any(|start| text.starts_with(start)) {
            command.env_remove(&name);
        }
    }
    command.current_dir(folder);
    command
}

/// Has rustdoc describe the [`PACKAGES`], into the target folder that this test was built in.
///
/// # Errors
/// What cargo said, when they do not compile.
pub fn describe() -> Result<Shown, String> {
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    // TARGET/PROFILE/deps/EXE
    let target = exe.ancestors().nth(3).ok_or("this test lies in no target folder")?.to_owned();
    let mut command = cargo(&root());
    command.args([
        "doc",
        "--lib",
        "--no-deps",
        "--locked",
        "--offline",
        "--quiet",
        "--target-dir",
    ]);
    command.arg(&target);
    for package in PACKAGES {
        command.args(["-p", package]);
    }
    // JSON is unstable. The wrapper lets rustdoc alone have it: for all of cargo, it would make build scripts run anew.
    command.env("RUSTDOC", root().join("tests/api/rustdoc.sh"));
    command.env("RUSTDOCFLAGS", "-Z unstable-options --output-format json");
    let output = command.output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let folder = target.join("doc");
    let text = read(&folder, PACKAGES[0])?;
    let found: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let (found, known) = (&found["format_version"], rustdoc_types::FORMAT_VERSION);
    if found.as_u64() == Some(u64::from(known)) {
        Ok(Shown::Readable(folder))
    } else {
        let why = format!("this toolchain's rustdoc writes format {found} and tests/api reads {known}");
        Ok(Shown::Unreadable(why))
    }
}

fn file(folder: &Path, package: &str) -> PathBuf {
    folder.join(format!("{}.json", package.replace('-', "_")))
}

fn read(folder: &Path, package: &str) -> Result<String, String> {
    let path = file(folder, package);
    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// All that rustdoc told of a package.
///
/// # Errors
/// It told nothing, or cannot be understood.
pub fn items(folder: &Path, package: &str) -> Result<Crate, String> {
    serde_json::from_str(&read(folder, package)?).map_err(|error| format!("{package}: {error}"))
}

/// A package's interface as text: one line for each thing that others can name, sorted. Of what is derived, that it is there.
///
/// # Errors
/// As [`items`].
pub fn interface(folder: &Path, package: &str) -> Result<String, String> {
    let lines = |without_derived: bool| {
        let builder = public_api::Builder::from_rustdoc_json(file(folder, package))
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true)
            .omit_auto_derived_impls(without_derived);
        let api = builder.build().map_err(|error| format!("{package}: {error}"))?;
        Ok::<_, String>(api.items().map(ToString::to_string).collect::<Vec<_>>())
    };
    let mut written = lines(true)?.into_iter().peekable();
    let mut text = String::new();
    // Both lists have the same order, and the longer one has all of the shorter one.
    for line in lines(false)? {
        let is_written = written.next_if_eq(&line).is_some();
        if is_written || line.starts_with("impl") {
            text.push_str(&line);
            text.push('\n');
        }
    }
    match written.next() {
        Some(line) => Err(format!("{package}: `{line}` is out of order")),
        None => Ok(text),
    }
}

/// What differs between two interfaces: a line with `-` for what is gone, one with `+` for what is new.
pub fn difference(before: &str, after: &str) -> Vec<String> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (before, after) = (lines(before), lines(after));
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    let new = after.difference(&before).map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

/// The crates that an interface names, by the first word of each path.
pub fn crates(interface: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let paths = interface.split(|c: char| !word(c)).filter_map(|path| path.split_once("::"));
    let first = paths.map(|(first, _)| first);
    // `u64::try_from` is no crate's.
    let is_crate = |name: &&str| name.starts_with(|c: char| c.is_ascii_lowercase()) && !PRIMITIVES.contains(name);
    first.filter(is_crate).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_line_by_line() {
        assert_eq!(difference("a\nb\n", "b\nc\n"), ["- a", "+ c"]);
        assert!(difference("a\n", "a\n").is_empty());
    }

    #[test]
    fn crates_are_found_in_signatures() {
        let found = crates("pub fn a::b(c: &async_std::net::TcpStream, Self::D) -> core::option::Option<x::Y>");
        assert_eq!(
            found.iter().map(String::as_str).collect::<Vec<_>>(),
            ["a", "async_std", "core", "x"]
        );
    }
}
