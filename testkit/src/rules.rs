//! What holds for every verb: run over a whole registry, so that it covers verbs written later too.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferry_core::args::{ArgKind, Role};
use ferry_core::catalog::ArgInfo;
use ferry_core::rt::block_on;
use ferry_core::{Access, Body, ErrorKind, Registry, Result, VerbInfo};

use crate::harness::Harness;
use crate::output::Output;
use crate::random::Random;

/// How many random calls each verb gets.
const RANDOM_CALLS: usize = 100;
/// What the body of an example is.
const EXAMPLE_BODY: &[u8] = b"Contents of an example.\n";

/// Checks every verb that is linked into the calling test against [`registry_rules`].
///
/// # Panics
/// When one breaks a rule, naming all findings; also when the registry cannot be built.
#[track_caller]
pub fn check_linked() {
    match Registry::linked() {
        Ok(registry) => {
            assert!(!registry.entries().is_empty(), "no verb is linked into this test");
            let findings = registry_rules(&Arc::new(registry));
            assert!(findings.is_empty(), "\n{}", findings.join("\n"));
        }
        Err(error) => panic!("{error}"),
    }
}

/// Checks every verb of a registry and gives all findings; none is what you want.
///
/// A verb is documented, and so is each argument; its arguments can be told apart and are in an order that a command line can
/// fill; the roles of a transfer are complete; a verb that writes is refused to those who may only read; every example works
/// in the standard home; whatever arguments come, the verb does not panic, and what is declared `Read` changes nothing.
pub fn registry_rules(registry: &Arc<Registry>) -> Vec<String> {
    let mut findings = Vec::new();
    let harness = || Harness::with(registry.clone());
    for entry in registry.entries() {
        let verb = &entry.info;
        let mut find = |finding: String| findings.push(format!("{}: {finding}", verb.name));
        check_words(verb, &mut find);
        check_order(verb, &mut find);
        check_roles(verb, &mut find);
        check_access(verb, &harness, &mut find);
        check_examples(verb, &harness, &mut find);
        check_random_calls(verb, &harness, &mut find);
    }
    findings
}

fn is_sentence(text: &str) -> bool {
    text.ends_with('.') && text.len() > 1
}

/// Names are words, everything is documented.
fn check_words(verb: &VerbInfo, find: &mut dyn FnMut(String)) {
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
fn check_order(verb: &VerbInfo, find: &mut dyn FnMut(String)) {
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
fn check_roles(verb: &VerbInfo, find: &mut dyn FnMut(String)) {
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

/// What writes is refused to those who may only read, before its arguments are looked at.
fn check_access(verb: &VerbInfo, harness: &dyn Fn() -> Harness, find: &mut dyn FnMut(String)) {
    let harness = match verb.access {
        Access::Write => harness().read_only(),
        Access::Admin => harness(),
        Access::Public | Access::Read => return,
    };
    match block_on(harness.call_raw(&verb.name, &[0x80])) {
        Err(error) if error.kind == ErrorKind::Denied => {}
        other => find(format!("is not refused to a user without the right: {:?}", other.err())),
    }
}

fn run_example(verb: &VerbInfo, line: &str, harness: &Harness) -> Result<Output> {
    match verb.body {
        Body::In => harness.send(line, EXAMPLE_BODY),
        Body::Out | Body::None => block_on(harness.run(line)),
    }
}

/// Every example works in the standard home.
fn check_examples(verb: &VerbInfo, harness: &dyn Fn() -> Harness, find: &mut dyn FnMut(String)) {
    for (line, _) in &verb.examples {
        match run_example(verb, line, &harness().furnish().admin()) {
            Ok(output) if output.problems.is_empty() => {}
            Ok(output) => find(format!("the example `{line}` has problems: {}", output.problems[0].message)),
            Err(error) => find(format!("the example `{line}` failed: {}: {error}", error.kind)),
        }
    }
}

/// No arguments make it panic, and reading changes nothing.
fn check_random_calls(verb: &VerbInfo, harness: &dyn Fn() -> Harness, find: &mut dyn FnMut(String)) {
    let harness = harness().furnish().admin();
    let before = (harness.files(), harness.folders());
    let mut random = Random::default();
    for _ in 0..RANDOM_CALLS {
        let args = random.args(verb);
        let called = match verb.body {
            Body::In => block_on(harness.call_raw_with_body(&verb.name, &args, EXAMPLE_BODY)),
            Body::Out | Body::None => block_on(harness.call_raw(&verb.name, &args)),
        };
        match called {
            // Dispatch answers a panic with an internal error; nothing else in a harness gives one.
            Err(error) if error.kind == ErrorKind::Internal => {
                let cause = error.source.map(|source| source.to_string()).unwrap_or_default();
                return find(format!("random arguments broke it: {} {cause} ({args:02x?})", error.message));
            }
            _ => {}
        }
    }
    if matches!(verb.access, Access::Public | Access::Read) && before != (harness.files(), harness.folders()) {
        find("may only read and changed the home".into());
    }
}
