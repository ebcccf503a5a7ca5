//! What is said of a verb: names, documentation, the order of its arguments, the roles of a transfer.

use std::collections::BTreeSet;

use ferry_core::args::{ArgKind, Role};
use ferry_core::catalog::ArgInfo;
use ferry_core::{Body, VerbInfo};

fn is_sentence(text: &str) -> bool {
    text.ends_with('.') && text.len() > 1
}

/// Names are words, everything is documented.
pub(super) fn check_words(verb: &VerbInfo, find: &mut dyn FnMut(String)) {
    let is_word = |name: &str| {
        let first = name.starts_with(|c: char| c.is_ascii_lowercase());
        first && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    for name in std::iter::once(&verb.name).chain(&verb.aliases).filter(|name| !is_word(name)) {
        find(format!("`{name}` is no word of a-z, 0-9 and -"));
    }
    if !is_sentence(verb.summary()) || !is_sentence(&verb.doc) {
        find("its doc comment is no sentence with a full stop".into());
    }
    for arg in verb.args.iter().filter(|arg| !is_sentence(&arg.doc)) {
        find(format!("the doc comment of `{}` is no sentence with a full stop", arg.name));
    }
    for (line, doc) in &verb.examples {
        let name = line.split(' ').next().unwrap_or_default();
        if !verb.is_called(name) || doc.is_empty() {
            find(format!("the example `{line}` is one of another verb, or says nothing"));
        }
    }
}

/// A command line can fill the arguments in one way only.
pub(super) fn check_order(verb: &VerbInfo, find: &mut dyn FnMut(String)) {
    let mut names = BTreeSet::new();
    let mut shorts = BTreeSet::new();
    for arg in &verb.args {
        if !names.insert(arg.long()) {
            find(format!("two arguments are called `{}`", arg.name));
        }
        if let Some(short) = arg.short.filter(|short| !shorts.insert(*short)) {
            find(format!("two options are called `-{short}`"));
        }
        if arg.kind == ArgKind::Choice && arg.choices.is_empty() {
            find(format!("`{}` is a choice of nothing", arg.name));
        }
    }
    let positional: Vec<&ArgInfo> = verb.args.iter().filter(|arg| !arg.is_option).collect();
    if positional.iter().filter(|arg| arg.repeated).count() > 1 {
        find("two arguments in a row of words take any number of them".into());
    }
    if positional.windows(2).any(|pair| !pair[0].required && pair[1].required) {
        find("an argument that must be given follows one that can be left out".into());
    }
}

/// The client can drive the transfer by roles alone.
pub(super) fn check_roles(verb: &VerbInfo, find: &mut dyn FnMut(String)) {
    let (source, target) = match verb.body {
        Body::In => (ArgKind::LocalPath, ArgKind::RemotePath),
        Body::Out => (ArgKind::RemotePath, ArgKind::LocalPath),
        Body::None => (ArgKind::Text, ArgKind::Text),
    };
    let mut roles: Vec<Role> = Vec::new();
    for arg in verb.args.iter().filter(|arg| arg.role != Role::Plain) {
        if roles.contains(&arg.role) {
            find(format!("two arguments have the role {:?}", arg.role));
        }
        roles.push(arg.role);
        let fits = match arg.role {
            Role::Source => arg.kind == source,
            Role::Target => arg.kind == target,
            Role::Rename => arg.is_option && matches!(arg.kind, ArgKind::Text | ArgKind::RemotePath | ArgKind::LocalPath),
            _ => arg.kind == ArgKind::Flag,
        };
        if !fits || verb.body == Body::None {
            find(format!("`{}` cannot have the role {:?}", arg.name, arg.role));
        }
    }
    if verb.body == Body::In && !roles.contains(&Role::Source) {
        find("takes a body, and no argument has the role Source".into());
    }
    if !verb.makes.is_empty() && (verb.body != Body::Out || !verb.makes.starts_with('.')) {
        find(format!("`{}` is no end of the name of a body that it gives", verb.makes));
    }
    if !roles.is_empty() && !roles.contains(&Role::Source) {
        find("has roles of a transfer, and no argument has the role Source".into());
    }
    for arg in verb
        .args
        .iter()
        .filter(|arg| arg.kind == ArgKind::LocalPath && arg.role == Role::Plain)
    {
        find(format!("`{}` is a local path that no role explains", arg.name));
    }
}
