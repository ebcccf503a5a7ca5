//! What a verb gets besides its arguments: the user, his home, his working folder, and ways to send rows and contents.

mod body;
mod link;
mod rows;

use std::fmt;

use crate::catalog::VerbInfo;
use crate::digest::{Digest, Hasher};
use crate::dispatch::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::home::GuardedHome;
use crate::logins::Logins;
use crate::path::{HomePath, RemotePath};
use crate::registry::Registry;
use crate::spec::{Body, Spec};
use crate::store::{EntryKind, Start};
use crate::user::User;
use crate::wire::message::{Begin, End, Offer};

pub use link::{Event, Inbound, Link, check_end};
use rows::RowBuffer;

/// Everything that one request may touch.
///
/// ```
/// # use ferry_core::{store::*, *};
/// # use ferry_testkit::Harness;
/// # args! {
/// #     /// Does it.
/// #     pub struct Mine {}
/// # }
/// # impl Verb for Mine {
/// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
/// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
///     let place = ctx.path(&RemotePath::from("hello.txt"))?;
///     let entry = ctx.home().stat(&place).await?;
///     Ok(Reply::text(format!("{} has a file of {} bytes", ctx.user().name, entry.size)))
/// }
/// # }
/// let harness = Harness::of::<Mine>();
/// harness.seed("hello.txt", b"Hello!");
/// assert_eq!(harness.ok("mine").text.as_deref(), Some("alice has a file of 6 bytes"));
/// ```
pub struct Context<'c> {
    user: &'c User,
    registry: &'c Registry,
    spec: &'static Spec,
    home: GuardedHome,
    logins: &'c dyn Logins,
    cwd: HomePath,
    offer: Offer,
    link: &'c mut dyn Link,
    rows: RowBuffer,
    problems: u64,
    begun: bool,
    /// Whether contents go out chunk by chunk, so that their end is still to be told.
    sending: bool,
    received: Hasher,
    sent: Hasher,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} in {} for {})", self.spec.name, self.cwd, self.user.name)
    }
}

impl<'c> Context<'c> {
    /// The context of one request. Only dispatch makes one.
    pub(crate) fn new(env: &'c Env, spec: &'static Spec, (cwd, offer): (HomePath, Offer), link: &'c mut dyn Link) -> Self {
        let hasher = offer.digest.hasher();
        Self {
            user: &env.user,
            registry: &env.registry,
            spec,
            home: GuardedHome::new(env.home.clone(), spec.access),
            logins: &*env.logins,
            cwd,
            link,
            rows: RowBuffer::default(),
            problems: 0,
            begun: false,
            sending: false,
            received: hasher.clone(),
            sent: hasher,
            offer,
        }
    }

    /// The same with a home that cannot be written, whatever the verb declared: proposing values changes nothing.
    pub(crate) fn reading(self) -> Self {
        let home = self.home.reading();
        Self { home, ..self }
    }

    /// Who asks.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     Ok(Reply::text(format!("hello, {}", ctx.user().name)))
    /// }
    /// # }
    /// assert_eq!(Harness::of::<Mine>().ok("mine").text.as_deref(), Some("hello, alice"));
    /// ```
    pub fn user(&self) -> &User {
        self.user
    }

    /// His home, with the rights that the verb declared. Cheap to clone.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let names = ctx.home().entries(ctx.cwd()).await?;
    ///     Ok(Reply::text(format!("{} things here", names.len())))
    /// }
    /// # }
    /// let harness = Harness::of::<Mine>();
    /// harness.seed_dir("docs");
    /// assert_eq!(harness.ok("mine").text.as_deref(), Some("1 things here"));
    /// ```
    pub fn home(&self) -> &GuardedHome {
        &self.home
    }

    /// His saved logins.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let logins = ctx.logins().list().await?;
    ///     Ok(Reply::text(format!("{} saved logins", logins.len())))
    /// }
    /// # }
    /// assert_eq!(Harness::of::<Mine>().ok("mine").text.as_deref(), Some("0 saved logins"));
    /// ```
    pub fn logins(&self) -> &'c dyn Logins {
        self.logins
    }

    /// The working folder.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     Ok(Reply::text(ctx.cwd().to_string()))
    /// }
    /// # }
    /// assert_eq!(Harness::of::<Mine>().ok("mine").text.as_deref(), Some("/"));
    /// ```
    pub fn cwd(&self) -> &HomePath {
        &self.cwd
    }

    /// What the client said of the body.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// File to send.
    /// #         #[arg(role(Source))]
    /// #         file: LocalPath,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read).body(Body::In);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let said = ctx.offer().size.map_or("nothing".into(), |size| size.to_string());
    ///     while ctx.receive().await?.is_some() {}
    ///     Ok(Reply::text(format!("{said} bytes were announced")))
    /// }
    /// # }
    /// let output = Harness::of::<Mine>().send("mine a.txt", b"abc").unwrap();
    /// assert_eq!(output.text.as_deref(), Some("3 bytes were announced"));
    /// ```
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// The place that a path means.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// What to look at.
    /// #         path: RemotePath,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let place = ctx.path(&self.path)?;
    ///     Ok(Reply::text(format!("{} means {place}", self.path)))
    /// }
    /// # }
    /// let harness = Harness::of::<Mine>();
    /// assert_eq!(harness.ok("mine a/../b").text.as_deref(), Some("a/../b means /b"));
    /// assert_eq!(harness.err("mine ../b").kind, ErrorKind::Denied);
    /// ```
    ///
    /// # Errors
    /// `denied` above the home, `bad_path`.
    pub fn path(&self, path: &RemotePath) -> Result<HomePath> {
        path.resolve(&self.cwd)
    }

    /// The places that some paths mean; the working folder when there are none.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// What to look at; the working folder when absent.
    /// #         paths: Vec<RemotePath>,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let mut text = String::new();
    ///     for (written, place) in ctx.paths_or_cwd(&self.paths)? {
    ///         text.push_str(&format!("{written} is {place}\n"));
    ///     }
    ///     Ok(Reply::text(text))
    /// }
    /// # }
    /// let harness = Harness::of::<Mine>();
    /// assert_eq!(harness.ok("mine a b/c").text.as_deref(), Some("a is /a\nb/c is /b/c\n"));
    /// assert_eq!(harness.ok("mine").text.as_deref(), Some(". is /\n"));
    /// ```
    ///
    /// # Errors
    /// As [`Self::path`].
    pub fn paths_or_cwd(&self, paths: &[RemotePath]) -> Result<Vec<(RemotePath, HomePath)>> {
        if paths.is_empty() {
            return Ok(vec![(RemotePath::from("."), self.cwd.clone())]);
        }
        paths.iter().map(|path| Ok((path.clone(), self.path(path)?))).collect()
    }

    /// Where something called `name` goes when the target is `to`, as with `cp`: into it when it ends in `/` or is a folder,
    /// otherwise `to` is the new name.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// What goes there.
    /// #         from: RemotePath,
    /// #         /// Where it goes.
    /// #         to: RemotePath,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let from = ctx.path(&self.from)?;
    ///     let name = from.name().unwrap_or_default().to_vec();
    ///     let to = ctx.target(&self.to, &name, false).await?;
    ///     Ok(Reply::text(to.to_string()))
    /// }
    /// # }
    /// let harness = Harness::of::<Mine>();
    /// harness.seed_dir("docs");
    /// assert_eq!(harness.ok("mine a.txt docs").text.as_deref(), Some("/docs/a.txt"));
    /// assert_eq!(harness.ok("mine a.txt b.txt").text.as_deref(), Some("/b.txt"));
    /// assert_eq!(harness.err("mine a.txt missing/").kind, ErrorKind::NotFound);
    /// ```
    ///
    /// # Errors
    /// `not_directory` when `to` must be a folder (`several`, or it ends in `/`) and is something else, `not_found` when it is
    /// nothing.
    pub async fn target(&mut self, to: &RemotePath, name: &[u8], several: bool) -> Result<HomePath> {
        let place = self.path(to)?;
        match self.home.kind(&place).await? {
            Some(EntryKind::Dir) => place.join(name),
            found if several || to.names_a_folder() => {
                let (kind, text) = if found.is_some() {
                    (ErrorKind::NotDirectory, "not a folder")
                } else {
                    (ErrorKind::NotFound, "no such folder")
                };
                Err(Error::new(kind, format!("{to}: {text}")).at(to.clone()))
            }
            _ => Ok(place),
        }
    }

    /// The verbs that the user may run, by name.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let names: Vec<&str> = ctx.verbs().map(|verb| verb.name.as_str()).collect();
    ///     Ok(Reply::text(names.join(" ")))
    /// }
    /// # }
    /// assert_eq!(Harness::of::<Mine>().ok("mine").text.as_deref(), Some("mine"));
    /// ```
    pub fn verbs(&self) -> impl Iterator<Item = &VerbInfo> {
        self.registry.visible(self.user).map(|entry| &entry.info)
    }

    /// Every verb that the server has, by name; those too that lists keep from the user.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     Ok(Reply::text(format!("{} verbs", ctx.all_verbs()?.count())))
    /// }
    /// # }
    /// assert_eq!(Harness::of::<Mine>().admin().ok("mine").text.as_deref(), Some("1 verbs"));
    /// assert_eq!(Harness::of::<Mine>().err("mine").kind, ErrorKind::Denied);
    /// ```
    ///
    /// # Errors
    /// `denied` unless he is an administrator.
    pub fn all_verbs(&self) -> Result<impl Iterator<Item = &VerbInfo>> {
        if !self.user.admin {
            return Err(Error::denied("only administrators see every verb"));
        }
        Ok(self.registry.entries().iter().map(|entry| &entry.info))
    }

    /// The verb that the user means by a name or an alias.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// The verb to explain.
    /// #         verb: String,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     Ok(Reply::text(ctx.verb(&self.verb)?.usage()))
    /// }
    /// # }
    /// let harness = Harness::of::<Mine>();
    /// assert_eq!(harness.ok("mine mine").text.as_deref(), Some("mine VERB"));
    /// assert_eq!(harness.err("mine yours").kind, ErrorKind::UnknownVerb);
    /// ```
    ///
    /// # Errors
    /// `unknown_verb`, `denied`.
    pub fn verb(&self, name: &str) -> Result<&VerbInfo> {
        self.registry.resolve(name, self.user).map(|entry| &entry.info)
    }

    /// Sends what is left when the verb has ended well; gives the number of problems.
    pub(crate) async fn finish(&mut self) -> Result<u64> {
        if self.spec.body != Body::Out && self.rows.earlier.is_empty() {
            if let Some(rows) = self.rows.take() {
                self.link.emit_last(Event::Rows(rows)).await?;
            }
            return Ok(self.problems);
        }
        self.flush().await?;
        // Whoever declares a body and sends neither contents nor rows has sent an empty one: a client that waits for a file gets it.
        if self.spec.body == Body::Out && !self.begun && self.rows.is_unused() {
            self.begin(Begin::new(Start::BEGINNING)).await?;
            self.sending = true;
        }
        if self.sending {
            let (size, digest): (u64, Digest) = (self.sent.len_bytes(), self.sent.finish());
            self.link.emit(Event::End(End { id: 0, size, digest })).await?;
        }
        Ok(self.problems)
    }
}
