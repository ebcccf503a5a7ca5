//! What a field of [`args!`](crate::args!) says of its argument, by its type and by `#[arg(...)]`.

use super::{ArgKind, ArgSpec, ArgType, Role};

impl ArgSpec {
    /// The argument that a field of type `T` makes.
    ///
    /// ```
    /// use ferry_core::args::{ArgKind, ArgSpec};
    ///
    /// let times = ArgSpec::of::<Option<u32>>("times", "How often.");
    /// assert_eq!(times.kind, ArgKind::Integer);
    /// assert!(!times.required && !times.is_option);
    /// ```
    pub const fn of<T: ArgType>(name: &'static str, doc: &'static str) -> Self {
        Self {
            name: plain(name),
            doc,
            kind: T::KIND,
            choices: T::CHOICES,
            required: T::REQUIRED,
            repeated: T::REPEATED,
            is_option: matches!(T::KIND, ArgKind::Flag),
            short: None,
            role: Role::Plain,
            dynamic: false,
        }
    }

    /// Gives it another name than the field's, for words that Rust reserves. `#[arg(name("as"))]`
    ///
    /// ```
    /// use ferry_core::Args as _;
    ///
    /// ferry_core::args! {
    ///     /// Does something.
    ///     pub struct Mine {
    ///         /// What it is for.
    ///         #[arg(name("as"), option)]
    ///         rename: Option<String>,
    ///     }
    /// }
    /// assert_eq!(Mine::ARGS[0].name, "as"); // written `--as VALUE`
    /// ```
    #[must_use]
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Gives it a one-letter name. `#[arg(short('r'))]`
    ///
    /// ```
    /// use ferry_core::Args as _;
    ///
    /// ferry_core::args! {
    ///     /// Does something.
    ///     pub struct Mine {
    ///         /// What it is for.
    ///         #[arg(short('n'))]
    ///         times: Option<u32>,
    ///     }
    /// }
    /// assert_eq!(Mine::ARGS[0].short, Some('n')); // written `-n 3` or `--times 3`
    /// ```
    #[must_use]
    pub const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self.is_option = true;
        self
    }

    /// Has it written as `--name VALUE`. `#[arg(option)]`
    ///
    /// ```
    /// use ferry_core::Args as _;
    ///
    /// ferry_core::args! {
    ///     /// Does something.
    ///     pub struct Mine {
    ///         /// What it is for.
    ///         #[arg(option)]
    ///         times: Option<u32>,
    ///     }
    /// }
    /// assert!(Mine::ARGS[0].is_option); // written `--times 3`
    /// ```
    #[must_use]
    pub const fn option(mut self) -> Self {
        self.is_option = true;
        self
    }

    /// Gives it a part in a transfer. `#[arg(role(Source))]`
    ///
    /// ```
    /// use ferry_core::Args as _;
    ///
    /// ferry_core::args! {
    ///     /// Does something.
    ///     pub struct Mine {
    ///         /// What it is for.
    ///         #[arg(role(Source))]
    ///         file: ferry_core::LocalPath,
    ///     }
    /// }
    /// assert_eq!(Mine::ARGS[0].role, ferry_core::Role::Source);
    /// ```
    #[must_use]
    pub const fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Says that the verb proposes values. `#[arg(dynamic)]`
    ///
    /// ```
    /// use ferry_core::{Access, Context, Reply, Result, Spec, Verb};
    ///
    /// ferry_core::args! {
    ///     /// Plays a song.
    ///     pub struct Play {
    ///         /// What to play.
    ///         #[arg(dynamic)]
    ///         song: String,
    ///     }
    /// }
    /// impl Verb for Play {
    ///     const SPEC: Spec = Spec::of::<Self>("play", Access::Public);
    ///     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
    ///         Ok(Reply::text(self.song))
    ///     }
    ///     async fn complete(_arg: &str, _word: &str, _ctx: &mut Context<'_>) -> Result<Vec<String>> {
    ///         Ok(vec!["help".into(), "hey-jude".into(), "yesterday".into()])
    ///     }
    /// }
    /// let harness = ferry_testkit::Harness::of::<Play>();
    /// let proposals = ferry_core::rt::block_on(harness.complete("play", "song", "he")).unwrap();
    /// assert_eq!(proposals, ["help", "hey-jude"]);
    /// ```
    #[must_use]
    pub const fn dynamic(mut self) -> Self {
        self.dynamic = true;
        self
    }
}

/// A field's name without the `r#` of a word that Rust reserves.
const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', plain @ ..] => match std::str::from_utf8(plain) {
            Ok(plain) => plain,
            Err(_) => name,
        },
        _ => name,
    }
}
