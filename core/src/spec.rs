//! What is said about a verb in one place: name, arguments, access, body, examples.

use serde::{Deserialize, Serialize};

use crate::args::{ArgSpec, Args};

/// What a verb may touch. There is no default: every verb says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Looks at nothing in the home. It gets a home that cannot be written.
    Public,
    /// Looks at the home. It gets a home that cannot be written.
    Read,
    /// Changes the home; refused to read-only users.
    Write,
    /// Only for administrators; may change the home. Also what an older client makes of an access it does not know.
    #[serde(other)]
    Admin,
}

/// Which way contents flow beside request and reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// From the client.
    In,
    /// To the client.
    Out,
    /// Neither.
    #[default]
    #[serde(other)]
    None,
}

/// A command line and what it is for. Shown as help and run as a test.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// What a user types.
    pub line: &'static str,
    /// What it does, in a few words.
    pub doc: &'static str,
}

impl Example {
    /// The line, and what it does.
    pub const fn new(line: &'static str, doc: &'static str) -> Self {
        Self { line, doc }
    }
}

/// Everything there is to know about a verb; made from one declaration.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// The word that users type: lower-case letters, digits and `-`.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// What it does; the first line is the summary.
    pub doc: &'static str,
    /// Its arguments.
    pub args: &'static [ArgSpec],
    /// What it may touch.
    pub access: Access,
    /// Which way contents flow.
    pub body: Body,
    /// The version of its crate that had it first.
    pub since: &'static str,
    /// Lines to learn from; a test runs each.
    pub examples: &'static [Example],
}

impl Spec {
    /// The spec of a verb whose arguments are `A`.
    pub const fn of<A: Args>(name: &'static str, access: Access) -> Self {
        Self {
            name,
            aliases: &[],
            doc: A::DOC,
            args: A::ARGS,
            access,
            body: Body::None,
            since: "0.1.0",
            examples: &[],
        }
    }

    /// Adds other names.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Says which way contents flow.
    #[must_use]
    pub const fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Says since which version of its crate the verb is there.
    #[must_use]
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = version;
        self
    }

    /// Adds lines to learn from. Each is run as a test against a home that has the folder `docs` with the file
    /// `docs/notes.txt`, and the file `hello.txt`.
    #[must_use]
    pub const fn examples(mut self, examples: &'static [Example]) -> Self {
        self.examples = examples;
        self
    }
}
