//! A verb: typed where it is written ([`Verb`]), erased where it is found ([`Command`]).
//!
//! A whole verb:
//! ```
//! use ferry_core::{Access, Context, Reply, Result, Spec, Verb};
//!
//! ferry_core::args! {
//!     /// Prints a text back in capitals.
//!     pub struct Shout {
//!         /// Text to print.
//!         text: String,
//!         /// Times to print it; 1 when absent.
//!         times: Option<u32>,
//!         /// Ends the text with an exclamation mark.
//!         loud: bool,
//!     }
//! }
//!
//! impl Verb for Shout {
//!     const SPEC: Spec = Spec::of::<Self>("shout", Access::Public);
//!     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
//!         let end = if self.loud { "!" } else { "" };
//!         let line = format!("{}{end}\n", self.text.to_uppercase());
//!         Ok(Reply::text(line.repeat(self.times.unwrap_or(1).min(100) as usize)))
//!     }
//! }
//!
//! ferry_core::register!(Shout);
//! assert!(ferry_core::Registry::linked().unwrap().find("shout").is_some());
//! ```

#[doc(hidden)]
pub mod check;

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use crate::args::Args;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::reply::Reply;
use crate::spec::Spec;

/// A verb, as its author writes it: the struct is its arguments.
///
/// ```
/// use ferry_core::{Access, Context, Reply, Result, Spec, Verb};
///
/// ferry_core::args! {
///     /// Counts the files below the working folder.
///     pub struct CountFiles {}
/// }
/// impl Verb for CountFiles {
///     const SPEC: Spec = Spec::of::<Self>("count-files", Access::Read);
///     async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
///         let mut scan = ctx.home().scan(ctx.cwd()).await?;
///         let mut files = 0;
///         while let Some((_place, entry, _depth)) = scan.next().await? {
///             files += u32::from(entry.kind == ferry_core::store::EntryKind::File);
///         }
///         Ok(Reply::text(format!("{files} files")))
///     }
/// }
/// let harness = ferry_testkit::Harness::of::<CountFiles>().furnish();
/// assert_eq!(harness.ok("count-files").text.as_deref(), Some("2 files"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a verb",
    label = "not a verb",
    note = "`impl ferry_core::Verb for {Self}` says its `SPEC` and what it does when it is run"
)]
pub trait Verb: Args + Sized + 'static {
    /// What is said about it.
    const SPEC: Spec;

    /// Does it. Everything it may touch comes through `ctx`; what it returns is the reply.
    ///
    /// The call is dropped at its next `.await` when the client cancels or leaves. Long work without an `.await` belongs
    /// into [`rt::unblock`](crate::rt::unblock).
    ///
    /// # Errors
    /// Whatever the verb says, by kind. A panic is answered as `internal` and costs this request alone.
    fn run(self, ctx: &mut Context<'_>) -> impl Future<Output = Result<Reply>> + Send;

    /// Proposes values for the argument `arg` of which `word` is typed already. Only asked for arguments marked
    /// `#[arg(dynamic)]`; proposals that do not start with `word` are left out.
    ///
    /// # Errors
    /// Whatever the verb says; a client shows no proposals then.
    fn complete(_arg: &str, _word: &str, _ctx: &mut Context<'_>) -> impl Future<Output = Result<Vec<String>>> + Send {
        async { Ok(Vec::new()) }
    }
}

/// A future as the registry's objects return it.
///
/// ```
/// use ferry_core::rt::block_on;
/// use ferry_core::verb::BoxFuture;
///
/// fn later<'a>(word: &'a str) -> BoxFuture<'a, usize> {
///     Box::pin(async move { word.len() })
/// }
/// assert_eq!(block_on(later("four")), 4);
/// ```
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A verb without its type: what the registry holds and dispatch calls. Made by [`register!`](crate::register!).
///
/// ```
/// use ferry_core::verb::{Command, Erased};
/// use ferry_core::{Access, Context, Reply, Result, Spec, Verb};
///
/// # ferry_core::args! {
/// #     /// Says hello.
/// #     pub struct Hello {}
/// # }
/// # impl Verb for Hello {
/// #     const SPEC: Spec = Spec::of::<Self>("hello", Access::Public);
/// #     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
/// #         Ok(Reply::text("hello"))
/// #     }
/// # }
/// let command: &dyn Command = &Erased::<Hello>::NEW; // `Hello` is a verb
/// assert_eq!(command.spec().name, "hello");
/// ```
pub trait Command: Send + Sync {
    /// What is said about the verb.
    fn spec(&self) -> &'static Spec;

    /// Decodes `args`, one MessagePack map that has passed the guard, and runs the verb.
    fn run<'a>(&self, args: &'a [u8], ctx: &'a mut Context<'_>) -> BoxFuture<'a, Result<Reply>>;

    /// Asks the verb for values of one argument.
    fn complete<'a>(&self, arg: &'a str, word: &'a str, ctx: &'a mut Context<'_>) -> BoxFuture<'a, Result<Vec<String>>>;
}

/// Turns a [`Verb`] into a [`Command`]; has no size and no state.
///
/// ```
/// use ferry_core::verb::{Command, Erased};
/// use ferry_core::{Access, Context, Reply, Result, Spec, Verb};
///
/// # ferry_core::args! {
/// #     /// Says hello.
/// #     pub struct Hello {}
/// # }
/// # impl Verb for Hello {
/// #     const SPEC: Spec = Spec::of::<Self>("hello", Access::Public);
/// #     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
/// #         Ok(Reply::text("hello"))
/// #     }
/// # }
/// let commands: [&dyn Command; 1] = [&Erased::<Hello>::NEW]; // verbs of many types in one list
/// assert_eq!(commands[0].spec().access, Access::Public);
/// ```
#[derive(Debug)]
pub struct Erased<V>(PhantomData<fn() -> V>);

impl<V: Verb> Erased<V> {
    /// The only value.
    ///
    /// ```
    /// use ferry_core::verb::{Command, Erased};
    /// use ferry_core::{Access, Context, Reply, Result, Spec, Verb};
    ///
    /// # ferry_core::args! {
    /// #     /// Says hello.
    /// #     pub struct Hello {}
    /// # }
    /// # impl Verb for Hello {
    /// #     const SPEC: Spec = Spec::of::<Self>("hello", Access::Public);
    /// #     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
    /// #         Ok(Reply::text("hello"))
    /// #     }
    /// # }
    /// assert_eq!(Erased::<Hello>::NEW.spec().name, "hello");
    /// ```
    pub const NEW: Self = Self(PhantomData);
}

impl<V: Verb> Command for Erased<V> {
    fn spec(&self) -> &'static Spec {
        &V::SPEC
    }

    fn run<'a>(&self, args: &'a [u8], ctx: &'a mut Context<'_>) -> BoxFuture<'a, Result<Reply>> {
        let verb: Result<V> = rmp_serde::from_slice(args).map_err(|error| {
            let text = crate::text::escape(error.to_string().as_bytes());
            Error::bad_request(format!("{}: {text}", V::SPEC.name)).hint(format!("`help {}` shows how it is used", V::SPEC.name))
        });
        Box::pin(async move { verb?.run(ctx).await })
    }

    fn complete<'a>(&self, arg: &'a str, word: &'a str, ctx: &'a mut Context<'_>) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(V::complete(arg, word, ctx))
    }
}

/// One verb's entry in the link-time collection.
///
/// ```
/// use ferry_core::verb::Registration;
/// use ferry_core::{Access, Context, Registry, Reply, Result, Spec, Verb};
///
/// # ferry_core::args! {
/// #     /// Says hello.
/// #     pub struct Hello {}
/// # }
/// # impl Verb for Hello {
/// #     const SPEC: Spec = Spec::of::<Self>("hello", Access::Public);
/// #     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
/// #         Ok(Reply::text("hello"))
/// #     }
/// # }
/// let registry = Registry::of([Registration::of::<Hello>("ferry-hello", "1.0.0", "src/lib.rs:1")])?;
/// assert_eq!(registry.entries()[0].info.krate, "ferry-hello");
/// # Ok::<(), ferry_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Registration {
    pub(crate) command: &'static dyn Command,
    pub(crate) krate: &'static str,
    pub(crate) version: &'static str,
    pub(crate) place: &'static str,
}

impl Registration {
    /// The verb `V` of that version of a crate. `place` is where it was registered, for messages: `file:line`.
    ///
    /// ```
    /// use ferry_core::verb::Registration;
    /// use ferry_core::{Access, Context, Registry, Reply, Result, Spec, Verb};
    ///
    /// # ferry_core::args! {
    /// #     /// Says hello.
    /// #     pub struct Hello {}
    /// # }
    /// # impl Verb for Hello {
    /// #     const SPEC: Spec = Spec::of::<Self>("hello", Access::Public);
    /// #     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
    /// #         Ok(Reply::text("hello"))
    /// #     }
    /// # }
    /// let hello = || Registration::of::<Hello>("ferry-hello", "1.0.0", "src/lib.rs:1");
    /// assert!(Registry::of([hello()]).is_ok());
    /// let twice = Registry::of([hello(), hello()]).err().unwrap();
    /// assert!(twice.message.starts_with("verb `hello` is registered twice"));
    /// ```
    pub const fn of<V: Verb>(krate: &'static str, version: &'static str, place: &'static str) -> Self {
        Self {
            command: &Erased::<V>::NEW,
            krate,
            version,
            place,
        }
    }
}

inventory::collect!(Registration);

/// Puts a verb into every binary that links its crate and names it: `use my_verb as _;`.
///
/// ```
/// use ferry_core::{Access, Context, Registry, Reply, Result, Spec, Verb};
///
/// ferry_core::args! {
///     /// Waves.
///     pub struct Wave {}
/// }
/// impl Verb for Wave {
///     const SPEC: Spec = Spec::of::<Self>("wave", Access::Public);
///     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
///         Ok(Reply::text("o/"))
///     }
/// }
/// ferry_core::register!(Wave);
///
/// assert!(Registry::linked()?.find("wave").is_some());
/// # Ok::<(), ferry_core::Error>(())
/// ```
#[macro_export]
macro_rules! register {
    ($verb:ty) => {
        const _: () = $crate::verb::check::check(&<$verb as $crate::Verb>::SPEC);
        $crate::inventory::submit! {
            $crate::verb::Registration::of::<$verb>(
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION"),
                concat!(file!(), ":", line!()),
            )
        }
    };
}

#[cfg(test)]
pub(crate) mod tests {
    crate::args! {
        /// Has no arguments.
        pub(crate) struct Plain {}
    }
}
