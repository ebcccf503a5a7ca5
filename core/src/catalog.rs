//! The catalogue: verbs as a client sees them, sent by the server at login. Help, completion and command lines are
//! made from it alone.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::args::{ArgKind, ArgSpec, Role};
use crate::spec::{Access, Body, Spec};

/// A verb, as told to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerbInfo {
    /// The word that users type.
    pub name: String,
    /// Other names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What it does; the first line is the summary.
    pub doc: String,
    /// Its arguments, positional ones in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<ArgInfo>,
    /// What it may touch.
    pub access: Access,
    /// Which way contents flow.
    #[serde(default, skip_serializing_if = "is_default")]
    pub body: Body,
    /// What the name of the one body ends in that all sources together make; empty when each makes its own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub makes: String,
    /// The version of its crate that had it first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub since: String,
    /// Lines to learn from, each with what it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<(String, String)>,
    /// The crate that supplies it.
    #[serde(rename = "crate", default, skip_serializing_if = "String::is_empty")]
    pub krate: String,
    /// That crate's version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// An argument, as told to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgInfo {
    /// Its key in a request; `--name` with `-` for `_` when it is an option.
    pub name: String,
    /// What it is for.
    pub doc: String,
    /// What its value is.
    pub kind: ArgKind,
    /// The words that it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Whether it must be given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub required: bool,
    /// Whether it takes several values.
    #[serde(default, skip_serializing_if = "is_default")]
    pub repeated: bool,
    /// Whether it is written as `--name` and not by its place.
    #[serde(default, rename = "option", skip_serializing_if = "is_default")]
    pub is_option: bool,
    /// A one-letter name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<char>,
    /// Its part in a transfer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub role: Role,
    /// Whether the server proposes values for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dynamic: bool,
}

/// Whether a value is the one that the other side takes for granted, and so need not be sent. With all of them, the catalogue of the standard verbs is more
/// than a connection may send before the first acknowledgement (RFC 6928), and a login takes a round trip longer.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Doc comments come with a blank before each line; help shows them without.
fn tidy(doc: &str) -> String {
    let lines: Vec<&str> = doc
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect();
    lines.join("\n").trim().to_owned()
}

impl From<&ArgSpec> for ArgInfo {
    fn from(spec: &ArgSpec) -> Self {
        Self {
            name: spec.name.to_owned(),
            doc: tidy(spec.doc),
            kind: spec.kind,
            choices: spec.choices.iter().map(|word| (*word).to_owned()).collect(),
            required: spec.required,
            repeated: spec.repeated,
            is_option: spec.is_option,
            short: spec.short,
            role: spec.role,
            dynamic: spec.dynamic,
        }
    }
}

impl VerbInfo {
    /// What `spec` tells, with the crate that supplies it.
    pub fn new(spec: &Spec, krate: &str, version: &str) -> Self {
        Self {
            name: spec.name.to_owned(),
            aliases: spec.aliases.iter().map(|name| (*name).to_owned()).collect(),
            doc: tidy(spec.doc),
            args: spec.args.iter().map(ArgInfo::from).collect(),
            access: spec.access,
            body: spec.body,
            makes: spec.makes.to_owned(),
            since: spec.since.to_owned(),
            examples: spec.examples.iter().map(|e| (e.line.to_owned(), e.doc.to_owned())).collect(),
            krate: krate.to_owned(),
            version: version.to_owned(),
        }
    }

    /// The first line of what it does.
    pub fn summary(&self) -> &str {
        self.doc.lines().next().unwrap_or_default()
    }

    /// Whether it goes by `name`.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// The argument with that part in a transfer.
    pub fn by_role(&self, role: Role) -> Option<&ArgInfo> {
        self.args.iter().find(|arg| arg.role == role)
    }

    /// The line that shows how it is written: `upload LOCAL... [REMOTE] [-r] [--as NAME]`.
    pub fn usage(&self) -> String {
        let mut line = self.name.clone();
        for arg in self
            .args
            .iter()
            .filter(|arg| !arg.is_option)
            .chain(self.args.iter().filter(|arg| arg.is_option))
        {
            let word = arg.usage();
            let _ = if arg.required {
                write!(line, " {word}")
            } else {
                write!(line, " [{word}]")
            };
        }
        line
    }

    /// Usage, what it does, each argument, examples: plain text, several lines, without a last line break.
    pub fn help(&self) -> String {
        let mut text = format!("usage: {}\n\n{}\n", self.usage(), self.doc);
        let rows: Vec<(String, &ArgInfo)> = self.args.iter().map(|arg| (arg.label(), arg)).collect();
        let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        if !rows.is_empty() {
            text.push('\n');
        }
        for (label, arg) in rows {
            let doc = arg.doc.replace('\n', " ");
            let _ = write!(text, "  {label:width$}  {doc}");
            if !arg.choices.is_empty() {
                let _ = write!(text, " (one of: {})", arg.choices.join(", "));
            }
            text.push('\n');
        }
        if !self.aliases.is_empty() {
            let _ = write!(text, "\nalso called: {}\n", self.aliases.join(", "));
        }
        if !self.examples.is_empty() {
            text.push_str("\nexamples:\n");
            let width = self.examples.iter().map(|(line, _)| line.len()).max().unwrap_or(0);
            for (line, doc) in &self.examples {
                let _ = writeln!(text, "  {line:width$}  {doc}");
            }
        }
        text.trim_end().to_owned()
    }
}

impl ArgInfo {
    /// The long option's name, without the dashes.
    pub fn long(&self) -> String {
        self.name.replace('_', "-")
    }

    /// What stands for its value: `PATH`, `N`, `SIZE`, or its own name.
    pub fn value_name(&self) -> String {
        if self.is_option {
            return match self.kind {
                ArgKind::Integer => "N".into(),
                ArgKind::Size => "SIZE".into(),
                _ if self.role == Role::Rename => "NAME".into(),
                ArgKind::RemotePath | ArgKind::LocalPath => "PATH".into(),
                _ => "VALUE".into(),
            };
        }
        let name = self.name.to_uppercase();
        if self.repeated { format!("{name}...") } else { name }
    }

    /// How it is written on a command line: `LOCAL...`, `-r`, `--as NAME`.
    pub fn usage(&self) -> String {
        match (self.is_option, self.kind, self.short) {
            (false, ..) => self.value_name(),
            (true, ArgKind::Flag, Some(short)) => format!("-{short}"),
            (true, ArgKind::Flag, None) => format!("--{}", self.long()),
            (true, ..) => format!("--{} {}", self.long(), self.value_name()),
        }
    }

    /// How help names it: `PATH...`, `-l, --long`, `    --as NAME`.
    pub fn label(&self) -> String {
        if !self.is_option {
            return self.value_name();
        }
        let short = self.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
        let value = if self.kind == ArgKind::Flag {
            String::new()
        } else {
            format!(" {}", self.value_name())
        };
        format!("{short}--{}{value}", self.long())
    }
}
