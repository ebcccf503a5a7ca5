//! What the compiler says to an author's mistakes: the word that is wrong and what to write instead.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use ferry_api::{cargo, root};

/// What an author writes instead of the usual, by the name of the mistake; and words that the first error must have.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    (
        "field_without_doc",
        "/// Does. pub struct Mine { /// One. one: String, two: bool }",
        &["argument `two`", "doc comment"],
    ),
    (
        "verb_without_doc",
        "pub struct Mine { /// One. one: String }",
        &["`Mine` needs a doc comment"],
    ),
    (
        "foreign_attribute",
        "/// Does. pub struct Mine { /// One. #[serde(default)] one: String }",
        &["`#[serde(default)]` cannot stand"],
    ),
    (
        "attribute_first",
        "/// Does. pub struct Mine { #[arg(option)] /// One. one: String }",
        &["#[arg(option)]", "a doc comment, then"],
    ),
    (
        "derive",
        "/// Does. #[derive(PartialEq)] pub struct Mine {}",
        &["`#[derive(PartialEq)]` cannot stand", "Debug and Clone"],
    ),
    ("no_braces", "/// Does. pub struct Mine;", &["`struct Mine {}`"]),
    (
        "parameters",
        "/// Does. pub struct Mine<'a> { /// One. one: &'a str }",
        &["`Mine` cannot have parameters"],
    ),
    (
        "pub_field",
        "/// Does. pub struct Mine { /// One. pub one: String }",
        &["without `pub`"],
    ),
    (
        "not_a_struct",
        "/// Does. pub enum Mine { One }",
        &["`args!` takes one struct"],
    ),
    (
        "odd_type",
        "/// Does. pub struct Mine { /// One. one: std::time::Duration }",
        &["`Duration` cannot be the type of an argument"],
    ),
    (
        "odd_option",
        "/// Does. pub struct Mine { /// One. #[arg(shrot('o'))] one: String }",
        &["no method named `shrot`"],
    ),
    (
        "order",
        "/// Does. pub struct Mine { /// One. one: Option<String>, /// Two. two: String }",
        &["mine: `two` must be given and follows `one`"],
    ),
    (
        "same_letter",
        "/// Does. pub struct Mine { /// A. #[arg(short('x'))] a: bool, /// B. #[arg(short('x'))] b: bool }",
        &["`a` and `b` have the same letter"],
    ),
    (
        "upper_case",
        "/// Does. pub struct Mine { /// One. tooLong: String }",
        &["cannot be called `tooLong`", "#[arg(name("],
    ),
];

/// Mistakes outside `args!`: the whole of what follows it.
const VERBS: &[(&str, &str, &[&str])] = &[
    ("bad_name", "VERB(\"Two Words\", );", &["`Two Words` cannot be a verb's name"]),
    (
        "bad_alias",
        "VERB(\"mine\", .aliases(&[\"mine\"]));",
        &["`mine` cannot be an alias of `mine`"],
    ),
    ("not_a_verb", "ferry_core::register!(Mine);", &["`Mine` is not a verb"]),
    ("no_spec", "impl Verb for Mine { RUN }", &["missing: `SPEC`"]),
    (
        "no_args",
        "struct Other; impl Verb for Other { SPEC RUN }",
        &["`Other` is not declared by `args!`"],
    ),
    (
        "not_send",
        "impl Verb for Mine { SPEC async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
            let shared = std::rc::Rc::new(1); ctx.flush().await?; Ok(Reply::text(shared.to_string())) } }",
        &["future cannot be sent between threads safely"],
    ),
];

const RUN: &str = "async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> { Ok(Reply::done()) }";

/// A program with these arguments and what follows them. A doc comment ends at its full stop.
fn program(args: &str, rest: &str) -> String {
    let args = args.replace(". ", ".\n");
    let rest = match rest.strip_prefix("VERB(").and_then(|rest| rest.strip_suffix(");")) {
        Some(spec) => {
            let (name, more) = spec.split_once(", ").unwrap();
            format!(
                "impl Verb for Mine {{ const SPEC: Spec = Spec::of::<Self>({name}, Access::Read){more}; RUN }}\nferry_core::register!(Mine);"
            )
        }
        None => rest.to_owned(),
    };
    let rest = rest.replace("SPEC ", "const SPEC: Spec = Spec::of::<Self>(\"mine\", Access::Read); ");
    let rest = rest.replace("RUN", RUN);
    format!(
        "#![allow(unused)]\nuse ferry_core::{{Access, Context, Reply, Result, Spec, Verb}};\n\
         ferry_core::args! {{\n{args}\n}}\n{rest}\nfn main() {{}}\n"
    )
}

/// The errors of each program, first to last, from one run of cargo.
fn errors(programs: &BTreeMap<String, String>) -> BTreeMap<String, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let bins = folder.path().join("src/bin");
    std::fs::create_dir_all(&bins).unwrap();
    for (name, text) in programs {
        std::fs::write(bins.join(format!("{name}.rs")), text).unwrap();
    }
    // What is in our lock file is known without a network.
    std::fs::copy(root().join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    let core = root().join("core").canonicalize().unwrap();
    let manifest = format!(
        "[package]\nname = \"mistakes\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nferry-core = {{ path = {:?} }}\n",
        core.to_str().unwrap()
    );
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    let exe = std::env::current_exe().unwrap();
    let mut command = cargo(folder.path());
    command.args([
        "check",
        "--bins",
        "--keep-going",
        "--offline",
        "--message-format",
        "short",
        "--color",
        "never",
    ]);
    let output = command
        .arg("--target-dir")
        .arg(exe.ancestors().nth(3).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let mut errors: BTreeMap<String, Vec<String>> = programs.keys().map(|name| (name.clone(), Vec::new())).collect();
    for line in said.lines() {
        // src/bin/NAME.rs:LINE:COLUMN: error: ...
        let found = line.strip_prefix("src/bin/").and_then(|line| line.split_once(".rs:"));
        if let Some((name, text)) = found.filter(|(_, text)| text.contains(": error")) {
            errors.get_mut(name).unwrap().push(text.to_owned());
        }
    }
    assert!(errors.values().any(|errors| !errors.is_empty()), "{said}");
    errors
}

#[test]
fn each_mistake_is_named_by_the_first_error() {
    let right = "/// Does. pub struct Rename { /// One. #[arg(option, role(Rename))] one: Option<String> }";
    let mut programs = BTreeMap::from([(
        "right".to_owned(),
        program(
            right,
            &format!("impl Verb for Rename {{ SPEC {RUN} }} ferry_core::register!(Rename);"),
        ),
    )]);
    for (name, args, _) in MISTAKES {
        programs.insert((*name).to_owned(), program(args, "VERB(\"mine\", );"));
    }
    for (name, rest, _) in VERBS {
        programs.insert((*name).to_owned(), program("/// Does. pub struct Mine {}", rest));
    }
    let errors = errors(&programs);
    let mut findings = Vec::new();
    if !errors["right"].is_empty() {
        findings.push(format!("what is right does not compile: {:?}", errors["right"]));
    }
    for (name, _, parts) in MISTAKES.iter().chain(VERBS) {
        let first = errors[*name].first().map_or("nothing", String::as_str);
        if !parts.iter().all(|part| first.contains(part)) {
            findings.push(format!("{name}: the compiler says {first}, without {parts:?}"));
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}
