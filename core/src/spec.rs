//! What is said about a verb in one place: name, arguments, access, body, examples.

use serde::{Deserialize, Serialize};

use crate::args::{ArgSpec, Args};

/// What a verb may touch. There is no default: every verb says it.
///
/// ```
/// use ferry_core::{Access, User};
///
/// let mut alice = User::named("alice");
/// alice.read_only = true;
/// assert!(alice.may_run("list", Access::Read));
/// assert!(!alice.may_run("remove", Access::Write));
/// assert!(!alice.may_run("shutdown", Access::Admin));
/// ```
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
///
/// ```
/// # use ferry_core::{store::*, *};
/// # use ferry_testkit::Harness;
/// # args! {
/// #     /// Does it.
/// #     pub struct Mine {}
/// # }
/// # impl Verb for Mine {
/// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read).body(Body::Out);
/// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
///     ctx.send(Chunk::from(&b"a,b\n1,2\n"[..])).await?;
///     Ok(Reply::done())
/// }
/// # }
/// assert_eq!(Harness::of::<Mine>().ok("mine").body, b"a,b\n1,2\n"); // `ferry ... mine > table.csv`
/// ```
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
///
/// ```
/// use ferry_core::Example;
///
/// const EXAMPLES: &[Example] = &[Example::new("shout hello", "prints HELLO")];
/// assert_eq!(EXAMPLES[0].line, "shout hello");
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Example {
    /// What a user types.
    pub line: &'static str,
    /// What it does, in a few words.
    pub doc: &'static str,
    /// What the test sends where the verb takes a body; any bytes will do when it is absent.
    pub body: Option<&'static [u8]>,
}

impl Example {
    /// The line, and what it does.
    ///
    /// ```
    /// let example = ferry_core::Example::new("shout --loud hello", "prints HELLO!");
    /// assert_eq!(example.doc, "prints HELLO!");
    /// ```
    pub const fn new(line: &'static str, doc: &'static str) -> Self {
        Self { line, doc, body: None }
    }

    /// Has the test send these contents, for verbs that do not take any.
    ///
    /// ```
    /// let example = ferry_core::Example::new("untar empty.tar", "unpacks nothing").sends(&[0; 1024]);
    /// assert_eq!(example.body.map(<[u8]>::len), Some(1024));
    /// ```
    #[must_use]
    pub const fn sends(mut self, body: &'static [u8]) -> Self {
        self.body = Some(body);
        self
    }
}

/// Everything there is to know about a verb; made from one declaration.
///
/// ```
/// # use ferry_core::{Access, Body, Context, Example, Reply, Result, Spec, Verb};
/// ferry_core::args! {
///     /// Says hello.
///     pub struct Hello {}
/// }
/// impl Verb for Hello {
///     const SPEC: Spec = Spec::of::<Self>("hello", Access::Public)
///         .aliases(&["hi"])
///         .since("1.2.0")
///         .examples(&[Example::new("hello", "says it")]);
///     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
///         Ok(Reply::text("hello"))
///     }
/// }
/// ferry_testkit::Harness::check::<Hello>();
/// assert_eq!(Hello::SPEC.doc.trim(), "Says hello.");
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
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
    /// What the name of the one body ends in that all sources together make; empty when each makes its own.
    pub makes: &'static str,
    /// The version of its crate that had it first.
    pub since: &'static str,
    /// Lines to learn from; a test runs each.
    pub examples: &'static [Example],
}

impl Spec {
    /// The spec of a verb whose arguments are `A`.
    ///
    /// ```
    /// # use ferry_core::{Access, Body, Context, Example, Reply, Result, Spec, Verb};
    /// # ferry_core::args! {
    /// #     /// Says hello.
    /// #     pub struct Hello {}
    /// # }
    /// # impl Verb for Hello {
    /// const SPEC: Spec = Spec::of::<Self>("hello", Access::Public);
    /// #     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
    /// #         Ok(Reply::text("hello"))
    /// #     }
    /// # }
    /// assert_eq!((Hello::SPEC.name, Hello::SPEC.args.len()), ("hello", 0));
    /// ```
    pub const fn of<A: Args>(name: &'static str, access: Access) -> Self {
        Self {
            name,
            aliases: &[],
            doc: A::DOC,
            args: A::ARGS,
            access,
            body: Body::None,
            makes: "",
            since: "0.1.0",
            examples: &[],
        }
    }

    /// Adds other names.
    ///
    /// ```
    /// # use ferry_core::{Access, Body, Context, Example, Reply, Result, Spec, Verb};
    /// # ferry_core::args! {
    /// #     /// Says hello.
    /// #     pub struct Hello {}
    /// # }
    /// # impl Verb for Hello {
    /// const SPEC: Spec = Spec::of::<Self>("hello", Access::Public).aliases(&["hi"]);
    /// #     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
    /// #         Ok(Reply::text("hello"))
    /// #     }
    /// # }
    /// assert_eq!(ferry_testkit::Harness::of::<Hello>().ok("hi").text.as_deref(), Some("hello"));
    /// ```
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Says which way contents flow.
    ///
    /// ```
    /// # use ferry_core::{Access, Body, Context, Example, Reply, Result, Spec, Verb};
    /// # ferry_core::args! {
    /// #     /// Says hello.
    /// #     pub struct Hello {}
    /// # }
    /// # impl Verb for Hello {
    /// const SPEC: Spec = Spec::of::<Self>("hello", Access::Public).body(Body::Out);
    /// #     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
    /// #         Ok(Reply::text("hello"))
    /// #     }
    /// # }
    /// assert_eq!(Hello::SPEC.body, Body::Out);
    /// ```
    #[must_use]
    pub const fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Says that all sources together make one body, for verbs with [`Body::Out`]: a client sends them in one request, and calls
    /// what comes like the first source with `suffix` behind it, unless the user names it.
    ///
    /// ```
    /// # use ferry_core::*;
    /// # args! {
    /// #     /// Packs things.
    /// #     pub struct Pack {
    /// #         /// What to pack.
    /// #         #[arg(role(Source))]
    /// #         path: Many<RemotePath>,
    /// #     }
    /// # }
    /// const SPEC: Spec = Spec::of::<Pack>("pack", Access::Read).body(Body::Out).makes(".tar");
    /// assert_eq!(SPEC.makes, ".tar");
    /// ```
    #[must_use]
    pub const fn makes(mut self, suffix: &'static str) -> Self {
        self.makes = suffix;
        self
    }

    /// Says since which version of its crate the verb is there.
    ///
    /// ```
    /// # use ferry_core::{Access, Body, Context, Example, Reply, Result, Spec, Verb};
    /// # ferry_core::args! {
    /// #     /// Says hello.
    /// #     pub struct Hello {}
    /// # }
    /// # impl Verb for Hello {
    /// const SPEC: Spec = Spec::of::<Self>("hello", Access::Public).since("1.2.0");
    /// #     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
    /// #         Ok(Reply::text("hello"))
    /// #     }
    /// # }
    /// assert_eq!(Hello::SPEC.since, "1.2.0");
    /// ```
    #[must_use]
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = version;
        self
    }

    /// Adds lines to learn from. Each is run as a test against a home that has the folder `docs` with the file
    /// `docs/notes.txt`, and the file `hello.txt`.
    ///
    /// ```
    /// # use ferry_core::{Access, Body, Context, Example, Reply, Result, Spec, Verb};
    /// # ferry_core::args! {
    /// #     /// Says hello.
    /// #     pub struct Hello {}
    /// # }
    /// # impl Verb for Hello {
    /// const SPEC: Spec = Spec::of::<Self>("hello", Access::Public).examples(&[Example::new("hello", "says it")]);
    /// #     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
    /// #         Ok(Reply::text("hello"))
    /// #     }
    /// # }
    /// ferry_testkit::Harness::check::<Hello>(); // runs them
    /// ```
    #[must_use]
    pub const fn examples(mut self, examples: &'static [Example]) -> Self {
        self.examples = examples;
        self
    }
}
