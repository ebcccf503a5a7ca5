//! Replies: few shapes that every client can show, also for verbs it has never heard of.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::Digest;
use crate::path::{HomePath, RemotePath};
use crate::store::{EntryKind, FileInfo};

/// The longest text of a reply, in bytes: most of a control frame. What may be longer is rows, or a body.
///
/// ```
/// # use ferry_core::{reply::TEXT_MAX_BYTES, *};
/// # args! {
/// #     /// Says a lot.
/// #     pub struct Chat {}
/// # }
/// # impl Verb for Chat {
/// #     const SPEC: Spec = Spec::of::<Self>("chat", Access::Public);
/// async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
///     Ok(Reply::text("bla".repeat(TEXT_MAX_BYTES)))
/// }
/// # }
/// assert_eq!(ferry_testkit::Harness::of::<Chat>().err("chat").kind, ErrorKind::TooLarge);
/// ```
pub const TEXT_MAX_BYTES: usize = 48 * 1024;

/// How a verb ended well. Rows and bodies go through the [`Context`](crate::Context) before it.
///
/// ```
/// use ferry_core::{HomePath, Reply};
///
/// let mut reply = Reply::text("moved you to the root");
/// reply.cwd = Some(HomePath::root());
/// assert_eq!(reply.text.as_deref(), Some("moved you to the root"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// Text for people, as it is to be printed; a client adds a line break at the end where there is none. At most
    /// [`TEXT_MAX_BYTES`], otherwise the request fails with `too_large`.
    pub text: Option<String>,
    /// The working folder from now on. A session holds no place, so the client keeps it and sends it along.
    pub cwd: Option<HomePath>,
    /// The file that was written or read.
    pub file: Option<FileInfo>,
}

impl Reply {
    /// Nothing to say.
    ///
    /// ```
    /// assert_eq!(ferry_core::Reply::done().text, None);
    /// ```
    pub fn done() -> Self {
        Self::default()
    }

    /// A text.
    ///
    /// ```
    /// let reply = ferry_core::Reply::text(format!("{} apples", 3));
    /// assert_eq!(reply.text.as_deref(), Some("3 apples"));
    /// ```
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
            ..Self::default()
        }
    }

    /// A new working folder.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {
    /// #         /// Where to go.
    /// #         folder: RemotePath,
    /// #     }
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Read);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let place = ctx.path(&self.folder)?;
    ///     ctx.home().stat(&place).await?;
    ///     Ok(Reply::cwd(place))
    /// }
    /// # }
    /// let harness = Harness::of::<Mine>();
    /// harness.seed_dir("docs");
    /// harness.ok("mine docs");
    /// assert_eq!(harness.cwd().to_string(), "/docs");
    /// ```
    pub fn cwd(cwd: HomePath) -> Self {
        Self {
            cwd: Some(cwd),
            ..Self::default()
        }
    }

    /// A file that was written or read.
    ///
    /// ```
    /// # use ferry_core::{store::*, *};
    /// # use ferry_testkit::Harness;
    /// # args! {
    /// #     /// Does it.
    /// #     pub struct Mine {}
    /// # }
    /// # impl Verb for Mine {
    /// #     const SPEC: Spec = Spec::of::<Self>("mine", Access::Write);
    /// async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
    ///     let list = ctx.path(&RemotePath::from("list.txt"))?;
    ///     Ok(Reply::file(ctx.home().write_file(&list, b"milk\n").await?))
    /// }
    /// # }
    /// let file = Harness::of::<Mine>().ok("mine").file.unwrap();
    /// assert_eq!((file.path.to_string(), file.size), ("/list.txt".into(), 5));
    /// ```
    pub fn file(file: FileInfo) -> Self {
        Self {
            file: Some(file),
            ..Self::default()
        }
    }
}

/// How rows are shown to people. Programs get one object a row whatever it says.
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
///     ctx.columns(Layout::Record, [Column::new("name", ColumnKind::Text), Column::new("age", ColumnKind::Count)]);
///     ctx.row(["Ada".into(), Value::from(36_u64)]).await?;
///     Ok(Reply::done())
/// }
/// # }
/// assert_eq!(Harness::of::<Mine>().ok("mine").layout, Layout::Record);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layout {
    /// The visible values alone, as many side by side as fit the terminal.
    List,
    /// One line a value, with its name in front.
    Record,
    /// One line a row, columns aligned two blanks apart. Also what a client makes of a layout it does not know.
    #[default]
    #[serde(other)]
    Table,
}

/// What the values of a column are; decides how they are shown.
///
/// ```
/// use ferry_core::{Column, ColumnKind};
///
/// // The same number, for programs and for people: 1048576, and 1.0 MiB.
/// const SIZES: &[Column] = &[Column::new("bytes", ColumnKind::Size), Column::new("size", ColumnKind::HumanSize)];
/// assert_ne!(SIZES[0].kind, SIZES[1].kind);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ColumnKind {
    /// A name or a path.
    Path,
    /// A number of bytes.
    Size,
    /// A number of bytes, shown to people with a unit.
    HumanSize,
    /// A number of things.
    Count,
    /// Nanoseconds since 1970-01-01 UTC; RFC 3339 for programs.
    Time,
    /// Yes or no.
    Flag,
    /// What the row's name stands for: `file`, `dir`, `link` or `other`.
    Entry,
    /// Yes or no: whether the row's name is a file that can be executed.
    Executable,
    /// Any text. Also what a client makes of a kind it does not know.
    #[serde(other)]
    Text,
}

/// A column of rows.
///
/// ```
/// use ferry_core::{Column, ColumnKind};
///
/// const COLUMNS: &[Column] = &[
///     Column::new("path", ColumnKind::Path),
///     Column::new("size", ColumnKind::HumanSize),
///     Column::new("version", ColumnKind::Text).visible(false),
/// ];
/// assert_eq!(COLUMNS.iter().filter(|column| !column.hidden).count(), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// Its name, which is the key in JSON.
    pub name: &'static str,
    /// What its values are.
    pub kind: ColumnKind,
    /// Whether it is only for programs.
    pub hidden: bool,
    /// The column that its numbers are a part of, as [`Self::share_of`] says.
    pub share: Option<&'static str>,
}

impl Column {
    /// A column that everyone sees.
    ///
    /// ```
    /// use ferry_core::{Column, ColumnKind};
    ///
    /// const NAME: Column = Column::new("name", ColumnKind::Path);
    /// assert!(!NAME.hidden);
    /// ```
    pub const fn new(name: &'static str, kind: ColumnKind) -> Self {
        Self {
            name,
            kind,
            hidden: false,
            share: None,
        }
    }

    /// The same column, shown to people only if `visible`.
    ///
    /// ```
    /// use ferry_core::{Column, ColumnKind};
    ///
    /// const ID: Column = Column::new("id", ColumnKind::Text).visible(false);
    /// assert!(ID.hidden); // in JSON, and on no screen
    /// ```
    #[must_use]
    pub const fn visible(mut self, visible: bool) -> Self {
        self.hidden = !visible;
        self
    }

    /// The same column, whose numbers are a part of those in the column `whole` of the same row; with its own name, of the largest
    /// one of all rows. A hint for people: a client may draw a bar beside the number.
    ///
    /// ```
    /// use ferry_core::{Column, ColumnKind};
    ///
    /// const COLUMNS: &[Column] =
    ///     &[Column::new("limit", ColumnKind::HumanSize), Column::new("used", ColumnKind::HumanSize).share_of("limit")];
    /// assert_eq!(COLUMNS[1].share, Some("limit"));
    /// ```
    #[must_use]
    pub const fn share_of(mut self, whole: &'static str) -> Self {
        self.share = Some(whole);
        self
    }
}

/// One value of a row.
///
/// ```
/// use ferry_core::{HomePath, Value};
///
/// assert_eq!(Value::from(3_u64), Value::Uint(3));
/// assert_eq!(Value::from("three"), Value::Text("three".into()));
/// assert_eq!(Value::from(None::<bool>), Value::Nil);
/// assert_eq!(Value::from(&HomePath::root()), Value::Text("/".into()));
/// assert_eq!(Value::from(&b"caf\xe9"[..]), Value::Bytes(b"caf\xe9".to_vec())); // a name that is no UTF-8
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// None there, or not known.
    Nil,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is not negative.
    Uint(u64),
    /// A text, or a name that is UTF-8.
    Text(String),
    /// A name that is not UTF-8.
    Bytes(Vec<u8>),
}

macro_rules! value_from {
    ($($ty:ty => |$v:ident| $make:expr),+ $(,)?) => {$(
        impl From<$ty> for Value {
            fn from($v: $ty) -> Self {
                $make
            }
        }
    )+};
}
value_from! {
    bool => |v| Self::Bool(v),
    i64 => |v| Self::Int(v),
    u64 => |v| Self::Uint(v),
    u32 => |v| Self::Uint(v.into()),
    u16 => |v| Self::Uint(v.into()),
    u8 => |v| Self::Uint(v.into()),
    // No machine counts further than that.
    usize => |v| Self::Uint(u64::try_from(v).unwrap_or(u64::MAX)),
    i32 => |v| Self::Int(v.into()),
    String => |v| Self::Text(v),
    &str => |v| Self::Text(v.to_owned()),
    &[u8] => |v| match std::str::from_utf8(v) {
        Ok(text) => Self::Text(text.to_owned()),
        Err(_) => Self::Bytes(v.to_vec()),
    },
    &RemotePath => |v| Self::from(v.0.as_slice()),
    &HomePath => |v| Self::from(v.as_bytes()),
    EntryKind => |v| Self::from(v.as_str()),
    Digest => |v| Self::Text(v.hex()),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nil, Into::into)
    }
}

impl Value {
    /// The bytes of a text or a name; `None` for everything else.
    ///
    /// ```
    /// use ferry_core::Value;
    ///
    /// assert_eq!(Value::from("abc").as_bytes(), Some(&b"abc"[..]));
    /// assert_eq!(Value::from(3_u64).as_bytes(), None);
    /// ```
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The number, when it is one and not negative.
    ///
    /// ```
    /// use ferry_core::Value;
    ///
    /// assert_eq!(Value::from(3_i64).as_u64(), Some(3));
    /// assert_eq!(Value::from(-3_i64).as_u64(), None);
    /// ```
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Uint(n) => Some(*n),
            Self::Int(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The number, when it is one and fits.
    ///
    /// ```
    /// use ferry_core::Value;
    ///
    /// assert_eq!(Value::from(-3_i64).as_i64(), Some(-3));
    /// assert_eq!(Value::from(u64::MAX).as_i64(), None);
    /// ```
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Uint(n) => i64::try_from(*n).ok(),
            Self::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// About how many bytes it takes on the wire.
    pub(crate) fn weight(&self) -> usize {
        9 + self.as_bytes().map_or(0, <[u8]>::len)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_unit(),
            Self::Bool(v) => serializer.serialize_bool(*v),
            Self::Int(v) => serializer.serialize_i64(*v),
            Self::Uint(v) => serializer.serialize_u64(*v),
            Self::Text(v) => serializer.serialize_str(v),
            Self::Bytes(v) => serializer.serialize_bytes(v),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl de::Visitor<'_> for Visit {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nil, a boolean, a whole number, a string or binary")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
                Ok(Value::Nil)
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Value, E> {
                Ok(Value::Bool(v))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Value, E> {
                Ok(u64::try_from(v).map_or(Value::Int(v), Value::Uint))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Value, E> {
                Ok(Value::Uint(v))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Value, E> {
                Ok(Value::Text(v.to_owned()))
            }
            fn visit_bytes<E: de::Error>(self, v: &[u8]) -> Result<Value, E> {
                Ok(Value::Bytes(v.to_vec()))
            }
        }
        deserializer.deserialize_any(Visit)
    }
}
