//! Edits of manifests and of a server's `main.rs`, which leave alone all that is there.

use std::fmt::Display;
use std::path::{Component, Path, PathBuf};

use ferry_core::{Error, Result};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

/// A failure about a file of the machine that this runs on.
pub(super) fn failed(path: &Path, why: impl Display) -> Error {
    Error::internal(format!("{}: {why}", path.display()))
}

/// Reads a manifest.
///
/// # Errors
/// It cannot be read, or is no TOML.
pub(super) fn read(path: &Path) -> Result<DocumentMut> {
    let text = std::fs::read_to_string(path).map_err(|error| failed(path, error))?;
    text.parse().map_err(|error| failed(path, error))
}

/// The workspace that a crate in `folder` would belong to: its folder, and its manifest.
///
/// # Errors
/// A manifest on the way up cannot be read.
pub(super) fn workspace_above(folder: &Path) -> Result<Option<(PathBuf, DocumentMut)>> {
    for above in folder.ancestors().skip(1) {
        let path = above.join("Cargo.toml");
        if !path.is_file() {
            continue;
        }
        let manifest = read(&path)?;
        let Some(workspace) = manifest.get("workspace") else {
            continue;
        };
        let excluded = workspace.get("exclude").and_then(Item::as_array);
        let is_in = |place: &Value| place.as_str().is_some_and(|place| folder.starts_with(above.join(place)));
        let is_excluded = excluded.is_some_and(|all| all.iter().any(is_in));
        return Ok((!is_excluded).then(|| (above.to_owned(), manifest)));
    }
    Ok(None)
}

/// Whether a workspace says where a crate comes from.
pub(super) fn has_dependency(workspace: &DocumentMut, name: &str) -> bool {
    let section = workspace.get("workspace").and_then(|table| table.get("dependencies"));
    section.and_then(|section| section.get(name)).is_some()
}

/// Whether a workspace has lints for its members.
pub(super) fn has_lints(workspace: &DocumentMut) -> bool {
    workspace.get("workspace").is_some_and(|table| table.get("lints").is_some())
}

/// Makes `member` one of the workspace's, unless it is; gives whether it was not.
pub(super) fn add_member(workspace: &mut DocumentMut, member: &str) -> bool {
    let members = workspace["workspace"].as_table_like_mut().map(|table| table.entry("members"));
    let Some(Item::Value(Value::Array(members))) = members.map(|entry| entry.or_insert(Item::Value(Array::new().into()))) else {
        return false;
    };
    let parent = Path::new(member).parent().unwrap_or(Path::new(""));
    let covers = |known: &str| known == member || known.strip_suffix('*').is_some_and(|known| Path::new(known) == parent);
    if members.iter().filter_map(Value::as_str).any(covers) {
        return false;
    }
    let is_list = members.iter().any(|value| {
        value
            .decor()
            .prefix()
            .and_then(|text| text.as_str())
            .is_some_and(|text| text.contains('\n'))
    });
    members.push(member);
    if is_list {
        if let Some(last) = members.iter_mut().last() {
            last.decor_mut().set_prefix("\n    ");
        }
        members.set_trailing_comma(true);
        members.set_trailing("\n");
    }
    true
}

/// Adds a dependency by path.
///
/// # Errors
/// `exists` when there is one of that name.
pub(super) fn add_dependency(manifest: &mut DocumentMut, name: &str, path: &str) -> Result<()> {
    let section = manifest.entry("dependencies").or_insert(Item::Table(Table::new()));
    let section = section
        .as_table_like_mut()
        .ok_or_else(|| Error::bad_request("[dependencies] is no table"))?;
    if section.contains_key(name) {
        return Err(Error::exists(format!("{name} is a dependency already")));
    }
    let mut value = InlineTable::new();
    value.insert("path", path.into());
    section.insert(name, Item::Value(Value::InlineTable(value)));
    Ok(())
}

/// A `main.rs` with one `use CRATE as _;` more: among those that are there, in their order, or in front of the first `use`.
pub(super) fn add_use(text: &str, module: &str) -> String {
    let line = format!("use {module} as _;");
    let mut lines: Vec<&str> = text.lines().collect();
    let is_such = |line: &str| {
        line.strip_prefix("use ")
            .and_then(|rest| rest.strip_suffix(" as _;"))
            .is_some_and(|name| !name.contains(' '))
    };
    // The last run of them is the one that verbs of one's own are in.
    if let Some(last) = lines.iter().rposition(|line| is_such(line)) {
        let first = lines[..last].iter().rposition(|line| !is_such(line)).map_or(0, |at| at + 1);
        let at = lines[first..=last]
            .iter()
            .position(|other| *other > line.as_str())
            .map_or(last + 1, |at| first + at);
        lines.insert(at, &line);
    } else {
        let at = lines
            .iter()
            .position(|line| line.starts_with("use ") || line.starts_with("fn "))
            .unwrap_or(lines.len());
        lines.splice(at..at, [line.as_str(), ""]);
    }
    lines.join("\n") + "\n"
}

/// The way from one folder to another place, both absolute.
pub(super) fn relative(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = from.iter().skip(common).map(|_| Component::ParentDir);
    up.chain(to.iter().skip(common).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_added_once_and_the_list_stays_as_it_is_written() {
        for (before, after) in [
            ("[workspace]\nmembers = []\n", "[workspace]\nmembers = [\"x/new\"]\n"),
            ("[workspace]\n", "[workspace]\nmembers = [\"x/new\"]\n"),
            (
                "[workspace]\nmembers = [ # all\n    \"a\",\n    \"b\",\n]\n",
                "[workspace]\nmembers = [ # all\n    \"a\",\n    \"b\",\n    \"x/new\",\n]\n",
            ),
            (
                "[workspace]\nmembers = [\"a\", \"b\"]\n",
                "[workspace]\nmembers = [\"a\", \"b\", \"x/new\"]\n",
            ),
            ("[workspace]\nmembers = [\"x/*\"]\n", "[workspace]\nmembers = [\"x/*\"]\n"),
        ] {
            let mut manifest: DocumentMut = before.parse().unwrap();
            assert_eq!(add_member(&mut manifest, "x/new"), before != after);
            assert!(!add_member(&mut manifest, "x/new"));
            assert_eq!(manifest.to_string(), after);
        }
    }

    #[test]
    fn a_dependency_goes_below_the_others_and_is_never_replaced() {
        let before = "[package]\nname = \"s\" # mine\n\n[dependencies]\na = \"1\" # why\n\n[lints]\nworkspace = true\n";
        let mut manifest: DocumentMut = before.parse().unwrap();
        add_dependency(&mut manifest, "ferry-x", "../x").unwrap();
        assert_eq!(
            manifest.to_string(),
            before.replace("# why\n", "# why\nferry-x = { path = \"../x\" }\n")
        );
        assert!(add_dependency(&mut manifest, "ferry-x", "../y").is_err());
    }

    #[test]
    fn a_use_line_goes_among_its_like_or_to_the_top() {
        let text = "//! Doc.\n\nuse std::x;\n\nuse ferry_a as _;\nuse ferry_c as _;\n\nfn main() {}\n";
        assert_eq!(
            add_use(text, "ferry_b"),
            text.replace("use ferry_c", "use ferry_b as _;\nuse ferry_c")
        );
        assert_eq!(
            add_use(text, "ferry_d"),
            text.replace("_c as _;", "_c as _;\nuse ferry_d as _;")
        );
        let text = "//! Doc.\n\nuse {\n    a as _,\n};\nuse std::x;\n\nfn main() {}\n";
        assert_eq!(add_use(text, "ferry_b"), text.replace("use {", "use ferry_b as _;\n\nuse {"));
        assert_eq!(add_use("fn main() {}\n", "ferry_b"), "use ferry_b as _;\n\nfn main() {}\n");
    }

    #[test]
    fn a_way_leads_from_one_folder_to_another() {
        for (from, to, way) in [("/a/b", "/a/c/d", "../c/d"), ("/a", "/a/b", "b"), ("/a/b", "/", "../..")] {
            assert_eq!(relative(Path::new(from), Path::new(to)), Path::new(way));
        }
    }
}
