//! Arguments of a verb: declared once as a struct, known to everyone as data.
//!
//! [`args!`](crate::args!) turns a struct into its own decoder and a constant list of [`ArgSpec`]s. The list makes help,
//! completion and the command line's parser; the decoder checks types on the server, whatever a client sent.

mod build;
mod declare;
#[doc(hidden)]
pub mod decode;
mod wrong;

use std::ops::Deref;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::path::RemotePath;
use crate::size::ByteSize;

/// A verb's arguments as a type. Made by [`args!`](crate::args!), not by hand.
///
/// ```
/// use ferry_core::Args as _;
///
/// ferry_core::args! {
///     /// Greets somebody.
///     pub struct Greet {
///         /// Whom to greet.
///         name: String,
///     }
/// }
/// assert_eq!(Greet::DOC.trim(), "Greets somebody.");
/// assert_eq!(Greet::ARGS[0].name, "name");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not declared by `args!`",
    label = "not the arguments of a verb",
    note = "write `ferry_core::args! {{ /// What it does. pub struct ... {{ ... }} }}` around the struct"
)]
pub trait Args: DeserializeOwned + Send {
    /// Every argument, positional ones in their order.
    const ARGS: &'static [ArgSpec];
    /// The struct's doc comment: what the verb does. Its first line is the summary.
    const DOC: &'static str;
}

/// What a value of an argument is; says how a command line is read and how a word is completed.
///
/// ```
/// use ferry_core::args::{ArgKind, ArgType};
/// use ferry_core::{ByteSize, RemotePath};
///
/// assert_eq!(<RemotePath as ArgType>::KIND, ArgKind::RemotePath);
/// assert_eq!(<Option<ByteSize> as ArgType>::KIND, ArgKind::Size);
/// assert_eq!(<Vec<u32> as ArgType>::KIND, ArgKind::Integer);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ArgKind {
    /// `true` or `false`; a switch without a value.
    Flag,
    /// A whole number.
    Integer,
    /// A number of bytes, written like `10MiB`.
    Size,
    /// A path inside the home; completed by the server.
    RemotePath,
    /// A path on the client's machine; completed there, and never sent as it is.
    LocalPath,
    /// One of a few words.
    Choice,
    /// Any text. Also what a client makes of a kind it does not know.
    #[serde(other)]
    Text,
}

/// The part that an argument plays in a transfer. The client drives every verb with a body by these, so it needs no
/// verb's name.
///
/// ```
/// use ferry_core::{Args as _, LocalPath, Many, RemotePath, Role};
///
/// ferry_core::args! {
///     /// Stores files.
///     pub struct Keep {
///         /// Files to store.
///         #[arg(role(Source))]
///         local: Many<LocalPath>,
///         /// Folder that they go to.
///         #[arg(role(Target))]
///         to: Option<RemotePath>,
///     }
/// }
/// assert_eq!(Keep::ARGS[0].role, Role::Source);
/// assert_eq!(Keep::ARGS[1].role, Role::Target);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Where the bytes come from. Several sources are sent one by one.
    Source,
    /// The folder or the name they go to.
    Target,
    /// The name that the one source gets instead of its own; `-` is standard input or output.
    Rename,
    /// Takes folders with all that is in them.
    Recurse,
    /// Leaves alone what is there already.
    NoClobber,
    /// Compares digests where size and time would have done.
    Checksum,
    /// None of these: an argument that is sent as it is.
    #[default]
    #[serde(other)]
    Plain,
}

/// One argument, as data.
///
/// ```
/// use ferry_core::Args as _;
///
/// ferry_core::args! {
///     /// Rolls dice.
///     pub struct Roll {
///         /// How many sides they have; 6 when absent.
///         #[arg(short('s'))]
///         sides: Option<u32>,
///     }
/// }
/// let sides = &Roll::ARGS[0];
/// assert_eq!((sides.name, sides.short), ("sides", Some('s')));
/// assert!(sides.is_option && !sides.required);
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ArgSpec {
    /// The field's name; the option's long name with `-` for `_`.
    pub name: &'static str,
    /// The doc comment.
    pub doc: &'static str,
    /// What its value is.
    pub kind: ArgKind,
    /// The words a [`ArgKind::Choice`] takes.
    pub choices: &'static [&'static str],
    /// Whether it must be given.
    pub required: bool,
    /// Whether it takes several values.
    pub repeated: bool,
    /// Whether it is written as `--name` (all switches are) and not by its place.
    pub is_option: bool,
    /// A one-letter name: `-r`.
    pub short: Option<char>,
    /// Its part in a transfer.
    pub role: Role,
    /// Whether the verb itself proposes values ([`Verb::complete`](crate::Verb::complete)).
    pub dynamic: bool,
}

/// A type that a field of a verb's arguments can have. Authors bring their own by implementing it, usually with
/// [`ArgKind::Text`] or [`ArgKind::Choice`] and a `Deserialize` that checks.
///
/// One of a few words:
/// ```
/// use ferry_core::args::{ArgKind, ArgType};
/// use ferry_core::serde::Deserialize;
/// use ferry_core::{Access, Context, Reply, Result, Spec, Verb};
///
/// #[derive(Debug, Clone, Copy, Deserialize)]
/// #[serde(crate = "ferry_core::serde", rename_all = "lowercase")]
/// pub enum Mood {
///     Happy,
///     Gloomy,
/// }
/// impl ArgType for Mood {
///     const KIND: ArgKind = ArgKind::Choice;
///     const CHOICES: &'static [&'static str] = &["happy", "gloomy"];
/// }
///
/// ferry_core::args! {
///     /// Greets.
///     pub struct Greet {
///         /// In which mood.
///         mood: Mood,
///     }
/// }
/// impl Verb for Greet {
///     const SPEC: Spec = Spec::of::<Self>("greet", Access::Public);
///     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
///         Ok(Reply::text(match self.mood {
///             Mood::Happy => "hello!",
///             Mood::Gloomy => "oh, you",
///         }))
///     }
/// }
/// let harness = ferry_testkit::Harness::of::<Greet>();
/// assert_eq!(harness.ok("greet happy").text.as_deref(), Some("hello!"));
/// let refused = harness.err("greet hapy");
/// assert_eq!(refused.message, "greet: MOOD: `hapy` is not possible; did you mean `happy`?");
/// ```
///
/// Anything else:
/// ```
/// use ferry_core::args::{ArgKind, ArgType};
/// use ferry_core::serde::{Deserialize, Deserializer, de};
/// use ferry_core::{Access, Context, ErrorKind, Reply, Result, Spec, Verb};
///
/// /// A colour like `#ff8000`.
/// #[derive(Debug, Clone)]
/// pub struct Colour(u32);
///
/// impl ArgType for Colour {
///     const KIND: ArgKind = ArgKind::Text;
/// }
/// impl<'de> Deserialize<'de> for Colour {
///     fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
///         let text = String::deserialize(deserializer)?;
///         let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
///         let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
///         value.map(Self).ok_or_else(|| de::Error::custom("a colour is # and six hex digits"))
///     }
/// }
///
/// ferry_core::args! {
///     /// Paints the town.
///     pub struct Paint {
///         /// The colour to paint it in.
///         colour: Colour,
///     }
/// }
/// impl Verb for Paint {
///     const SPEC: Spec = Spec::of::<Self>("paint", Access::Public);
///     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
///         Ok(Reply::text(format!("{} parts of red", self.colour.0 >> 16)))
///     }
/// }
/// let harness = ferry_testkit::Harness::of::<Paint>();
/// assert_eq!(harness.ok("paint '#ff8000'").text.as_deref(), Some("255 parts of red"));
/// let refused = harness.err("paint red");
/// assert_eq!(refused.kind, ErrorKind::BadRequest);
/// assert!(refused.message.contains("argument `colour`: a colour is # and six hex digits"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of an argument",
    label = "no type of an argument",
    note = "arguments are `String`, `bool`, whole numbers (`u8` to `u64`, `i8` to `i64`), `ByteSize`, `RemotePath` or `LocalPath`, alone or in `Option`, `Vec` or `Many`",
    note = "a type of your own becomes one by `impl ferry_core::ArgType` and serde's `Deserialize`"
)]
pub trait ArgType: DeserializeOwned {
    /// What its values are.
    const KIND: ArgKind;
    /// The words that a [`ArgKind::Choice`] takes.
    const CHOICES: &'static [&'static str] = &[];
    /// Whether leaving it out is an error.
    const REQUIRED: bool = true;
    /// Whether it takes several values.
    const REPEATED: bool = false;
    /// What it is when left out; `None` when it must not be.
    fn absent() -> Option<Self> {
        None
    }
}

macro_rules! arg_types {
    ($($ty:ty => $kind:ident),+ $(,)?) => {$(
        impl ArgType for $ty {
            const KIND: ArgKind = ArgKind::$kind;
        }
    )+};
}
arg_types!(String => Text, ByteSize => Size, RemotePath => RemotePath, LocalPath => LocalPath);
arg_types!(u8 => Integer, u16 => Integer, u32 => Integer, u64 => Integer, usize => Integer);
arg_types!(i8 => Integer, i16 => Integer, i32 => Integer, i64 => Integer, isize => Integer);

impl ArgType for bool {
    const KIND: ArgKind = ArgKind::Flag;
    const REQUIRED: bool = false;
    fn absent() -> Option<Self> {
        Some(false)
    }
}

impl<T: ArgType> ArgType for Option<T> {
    const KIND: ArgKind = T::KIND;
    const CHOICES: &'static [&'static str] = T::CHOICES;
    const REQUIRED: bool = false;
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: ArgType> ArgType for Vec<T> {
    const KIND: ArgKind = T::KIND;
    const CHOICES: &'static [&'static str] = T::CHOICES;
    const REQUIRED: bool = false;
    const REPEATED: bool = true;
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

/// One or more values: a `Vec` that is never empty.
///
/// ```
/// use ferry_core::{Access, Context, ErrorKind, Many, Reply, Result, Spec, Verb};
///
/// ferry_core::args! {
///     /// Finds the longest word.
///     pub struct Longest {
///         /// Words to compare.
///         words: Many<String>,
///     }
/// }
/// impl Verb for Longest {
///     const SPEC: Spec = Spec::of::<Self>("longest", Access::Public);
///     async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
///         let longest = self.words.iter().max_by_key(|word| word.len());
///         Ok(Reply::text(longest.map_or("", String::as_str)))
///     }
/// }
/// let harness = ferry_testkit::Harness::of::<Longest>();
/// assert_eq!(harness.ok("longest a bbb cc").text.as_deref(), Some("bbb"));
/// assert_eq!(harness.err("longest").kind, ErrorKind::BadRequest);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Many<T>(Vec<T>);

impl<T: ArgType> ArgType for Many<T> {
    const KIND: ArgKind = T::KIND;
    const CHOICES: &'static [&'static str] = T::CHOICES;
    const REPEATED: bool = true;
}

impl<T> Deref for Many<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T> IntoIterator for &'a Many<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T> IntoIterator for Many<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = Vec::deserialize(deserializer)?;
        if values.is_empty() {
            Err(de::Error::custom("needs at least one value"))
        } else {
            Ok(Self(values))
        }
    }
}

/// A path on the client's machine. Only its last name ever reaches the server.
///
/// ```
/// let path = ferry_core::LocalPath("holiday/beach.jpg".into());
/// assert_eq!(path.0.file_name().unwrap(), "beach.jpg");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPath(pub PathBuf);

impl<'de> Deserialize<'de> for LocalPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use std::os::unix::ffi::OsStringExt as _;
        let bytes = crate::path::deserialize_name(deserializer)?;
        Ok(Self(std::ffi::OsString::from_vec(bytes).into()))
    }
}

impl LocalPath {
    /// The path as a remote one of the same bytes.
    ///
    /// ```
    /// use ferry_core::{HomePath, LocalPath};
    ///
    /// let name = LocalPath("beach.jpg".into()).to_remote();
    /// assert_eq!(name.resolve(&HomePath::parse("/photos")?)?.to_string(), "/photos/beach.jpg");
    /// # Ok::<(), ferry_core::Error>(())
    /// ```
    pub fn to_remote(&self) -> RemotePath {
        use std::os::unix::ffi::OsStrExt as _;
        RemotePath(self.0.as_os_str().as_bytes().to_vec())
    }
}
