//! Which items for authors have no example.

use std::collections::BTreeMap;

use rustdoc_types::{Crate, Id, Item, ItemEnum, ItemKind, Visibility};

/// For whom each module is, by the sections of the crate's own documentation.
pub type Sections = BTreeMap<String, Vec<String>>;

/// The modules that each section (`# For ...`) of the crate's documentation names as [`name`](crate-path), in lists.
fn sections(docs: &str) -> Sections {
    let mut sections = Sections::new();
    let mut section = None;
    for line in docs.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            section = Some(title.to_owned());
        } else if let (Some(title), Some(entry)) = (&section, line.strip_prefix("- ")) {
            // `- [`a`], [`b`]: what they are`
            let named = entry.split(": ").next().unwrap_or_default();
            let names = named.split("[`").skip(1).filter_map(|rest| rest.split_once("`]"));
            let modules = sections.entry(title.clone()).or_default();
            modules.extend(names.map(|(name, _)| name.trim_start_matches("mod@").to_owned()));
        }
    }
    sections
}

/// The public items of the sections whose title `is_for_authors` and that have no example, by path; and all sections, with the
/// modules that no section names under an empty title.
pub fn without_example(krate: &Crate, is_for_authors: impl Fn(&str) -> bool) -> (Vec<String>, Sections) {
    let mut look = Look {
        krate,
        found: Vec::new(),
    };
    let Some((root, module)) = krate.index.get(&krate.root).and_then(|item| Some((item, inner(item)?))) else {
        return (vec!["the crate has no root".into()], Sections::new());
    };
    let mut sections = sections(root.docs.as_deref().unwrap_or_default());
    for id in module {
        let Some(item) = krate.index.get(id) else { continue };
        let Some(name) = &item.name else { continue };
        match &item.inner {
            ItemEnum::Module(_) => {
                let of = sections
                    .iter()
                    .find(|(_, names)| names.contains(name))
                    .map(|(title, _)| title.clone());
                match of {
                    Some(title) if is_for_authors(&title) => look.module(item, name),
                    Some(_) => {}
                    None => sections.entry(String::new()).or_default().push(name.clone()),
                }
            }
            ItemEnum::Macro(_) => look.item(item, &format!("{name}!")),
            _ => {}
        }
    }
    look.found.sort();
    (look.found, sections)
}

fn inner(item: &Item) -> Option<&[Id]> {
    match &item.inner {
        ItemEnum::Module(module) => Some(&module.items),
        _ => None,
    }
}

struct Look<'c> {
    krate: &'c Crate,
    found: Vec<String>,
}

impl Look<'_> {
    fn items<'a>(&'a self, ids: &'a [Id]) -> impl Iterator<Item = &'a Item> {
        ids.iter().filter_map(|id| self.krate.index.get(id))
    }

    fn item(&mut self, item: &Item, path: &str) {
        if !has_example(item.docs.as_deref().unwrap_or_default()) {
            self.found.push(path.to_owned());
        }
    }

    /// Everything in a module that can be named. Fields, variants and a trait's methods are shown by the example of what they
    /// belong to.
    fn module(&mut self, module: &Item, path: &str) {
        let krate = self.krate;
        let ids = inner(module).unwrap_or_default();
        for item in ids.iter().filter_map(|id| krate.index.get(id)) {
            // What is named here and written in a private module.
            let item = match &item.inner {
                ItemEnum::Use(it) => it.id.and_then(|id| krate.index.get(&id)).unwrap_or(item),
                _ => item,
            };
            let Some(name) = &item.name else { continue };
            let path = format!("{path}::{name}");
            let impls = match &item.inner {
                ItemEnum::Module(_) => {
                    self.module(item, &path);
                    continue;
                }
                ItemEnum::Struct(it) => it.impls.as_slice(),
                ItemEnum::Enum(it) => &it.impls,
                _ => &[],
            };
            self.item(item, &path);
            let own: Vec<&Item> = self
                .items(impls)
                .filter_map(|item| match &item.inner {
                    ItemEnum::Impl(it) if it.trait_.is_none() => Some(&it.items),
                    _ => None,
                })
                .flat_map(|ids| ids.iter().filter_map(|id| krate.index.get(id)))
                .filter(|item| item.visibility == Visibility::Public)
                .collect();
            for item in own {
                if let (Some(name), ItemKind::Function) = (&item.name, kind(item)) {
                    self.item(item, &format!("{path}::{name}"));
                }
            }
        }
    }
}

fn kind(item: &Item) -> ItemKind {
    item.inner.item_kind()
}

/// Whether some documentation has a code block that is run, or shown not to compile.
fn has_example(docs: &str) -> bool {
    let mut fences = docs
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("```"))
        .step_by(2);
    fences.any(|fence| {
        let words = fence.trim_start_matches('`');
        words
            .split(',')
            .all(|word| ["", "rust", "no_run", "compile_fail", "should_panic"].contains(&word.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_name_their_modules() {
        let docs = "Words.\n\n# For some\n- [`a`], [`b`]: with [`c`]\n\n# For others\n- [`mod@d`]: x\n";
        let found = sections(docs);
        assert_eq!(
            (&found["For some"], &found["For others"]),
            (&vec!["a".into(), "b".into()], &vec!["d".into()])
        );
    }

    #[test]
    fn only_code_that_runs_is_an_example() {
        assert!(has_example("Does.\n\n```\nassert!(true);\n```\n"));
        assert!(has_example("Does.\n```text\nno\n```\n```\nassert!(true);\n```\n"));
        assert!(!has_example("Does.\n```text\nno\n```\nand more"));
        assert!(!has_example("Does.\n```ignore\nno\n```\n"));
    }
}
