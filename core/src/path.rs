//! Remote names: what a user wrote ([`RemotePath`]) and what it means inside a home ([`HomePath`]).
//!
//! Names are bytes, as on the file system. On the wire a path is a string when it is UTF-8 and binary otherwise, so that
//! nothing is lost. Only [`RemotePath::resolve`] makes a [`HomePath`], and it never leads above the home.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, Result};
use crate::text::escape;

/// The longest name of one entry, in bytes (NAME_MAX of Linux).
///
/// ```
/// use ferry_core::path::NAME_MAX_BYTES;
/// use ferry_core::{ErrorKind, HomePath};
///
/// let name = vec![b'x'; NAME_MAX_BYTES + 1];
/// assert!(HomePath::root().join(&name[1..]).is_ok());
/// assert_eq!(HomePath::root().join(&name).unwrap_err().kind, ErrorKind::BadPath);
/// ```
pub const NAME_MAX_BYTES: usize = 255;
/// The longest path, in bytes (PATH_MAX of Linux).
///
/// ```
/// use ferry_core::path::PATH_MAX_BYTES;
/// use ferry_core::{ErrorKind, HomePath};
///
/// let long = "/x".repeat(PATH_MAX_BYTES / 2);
/// assert!(HomePath::parse(&long).is_ok());
/// assert_eq!(HomePath::parse(&(long + "/x")).unwrap_err().kind, ErrorKind::BadPath);
/// ```
pub const PATH_MAX_BYTES: usize = 4096;

/// A path as somebody wrote it: absolute or relative to the working folder, any bytes.
///
/// ```
/// use ferry_core::RemotePath;
///
/// let path = RemotePath::from("docs/../a.txt");
/// assert_eq!(path.0, b"docs/../a.txt");
/// let odd = RemotePath(b"caf\xe9\n".to_vec());
/// assert_eq!(odd.to_string(), "caf\\xe9\\n"); // safe to show
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RemotePath(pub Vec<u8>);

impl RemotePath {
    /// Whether the path ends in `/`, which says that it names a folder.
    ///
    /// ```
    /// use ferry_core::RemotePath;
    ///
    /// assert!(RemotePath::from("docs/").names_a_folder());
    /// assert!(!RemotePath::from("docs").names_a_folder());
    /// ```
    pub fn names_a_folder(&self) -> bool {
        self.0.ends_with(b"/")
    }

    /// What the path means to someone whose working folder is `cwd`: `.` and `..` are resolved by name, which is exact
    /// because links are never followed.
    ///
    /// ```
    /// use ferry_core::{ErrorKind, HomePath, RemotePath};
    ///
    /// let cwd = HomePath::parse("/docs")?;
    /// assert_eq!(RemotePath::from("../a.txt").resolve(&cwd)?, HomePath::parse("/a.txt")?);
    /// assert_eq!(RemotePath::from("../../a.txt").resolve(&cwd).unwrap_err().kind, ErrorKind::Denied);
    /// # Ok::<(), ferry_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `denied` when it leads above the home, `bad_path` when it has a NUL, a name of more than 255 bytes or more than
    /// 4096 bytes in all.
    pub fn resolve(&self, cwd: &HomePath) -> Result<HomePath> {
        if self.0.contains(&0) {
            return Err(Error::bad_path(format!("{self}: a name cannot contain NUL")).at(self.clone()));
        }
        let mut path = if self.0.starts_with(b"/") {
            HomePath::root()
        } else {
            cwd.clone()
        };
        for name in self.0.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." if path.is_root() => {
                    return Err(Error::denied(format!("{self}: leads outside your home")).at(self.clone()));
                }
                b".." => path.pop(),
                name => path.push(name)?,
            }
        }
        Ok(path)
    }

    /// The path of `place`, which is `top` or lies below it, in the words of the user, who wrote this one for `top`.
    ///
    /// ```
    /// use ferry_core::{HomePath, RemotePath};
    ///
    /// let written = RemotePath::from("../docs");
    /// let (top, place) = (HomePath::parse("/docs")?, HomePath::parse("/docs/old/a.txt")?);
    /// assert_eq!(written.down_to(&top, &place), RemotePath::from("../docs/old/a.txt"));
    /// assert_eq!(written.down_to(&top, &top), written);
    /// # Ok::<(), ferry_core::Error>(())
    /// ```
    pub fn down_to(&self, top: &HomePath, place: &HomePath) -> Self {
        let mut path = self.0.clone();
        for name in place.names().skip(top.names().count()) {
            if !path.ends_with(b"/") {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        Self(path)
    }
}

impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&escape(&self.0))
    }
}

impl From<&str> for RemotePath {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<&HomePath> for RemotePath {
    fn from(path: &HomePath) -> Self {
        Self(path.0.clone())
    }
}

/// A place inside a home, absolute and without `.` or `..`: `/` or `/a/b`.
///
/// ```
/// # use ferry_core::{Error, ErrorKind, HomePath};
/// let place = HomePath::parse("/docs")?.join(b"a.txt")?;
/// assert_eq!(place.to_string(), "/docs/a.txt");
/// assert_eq!(place.parent(), Some(HomePath::parse("/docs")?));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HomePath(Vec<u8>);

impl HomePath {
    /// The home itself.
    ///
    /// ```
    /// # use ferry_core::{Error, ErrorKind, HomePath};
    /// assert_eq!(HomePath::root().to_string(), "/");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn root() -> Self {
        Self(b"/".to_vec())
    }

    /// Reads an absolute path.
    ///
    /// ```
    /// # use ferry_core::{Error, ErrorKind, HomePath};
    /// assert_eq!(HomePath::parse("/docs/./inner/..")?.to_string(), "/docs");
    /// assert_eq!(HomePath::parse("/..").unwrap_err().kind, ErrorKind::Denied);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`RemotePath::resolve`].
    pub fn parse(text: &str) -> Result<Self> {
        RemotePath::from(text).resolve(&Self::root())
    }

    /// Whether this is the home itself.
    ///
    /// ```
    /// # use ferry_core::{Error, ErrorKind, HomePath};
    /// assert!(HomePath::parse("/docs/..")?.is_root());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn is_root(&self) -> bool {
        self.0 == b"/"
    }

    /// The bytes, with a leading `/`.
    ///
    /// ```
    /// # use ferry_core::{Error, ErrorKind, HomePath};
    /// assert_eq!(HomePath::parse("/docs")?.as_bytes(), b"/docs");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The names from the home downward.
    ///
    /// ```
    /// # use ferry_core::{Error, ErrorKind, HomePath};
    /// let place = HomePath::parse("/docs/a.txt")?;
    /// assert_eq!(place.names().collect::<Vec<_>>(), [&b"docs"[..], b"a.txt"]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// The last name; `None` for the home itself.
    ///
    /// ```
    /// # use ferry_core::{Error, ErrorKind, HomePath};
    /// assert_eq!(HomePath::parse("/docs/a.txt")?.name(), Some(&b"a.txt"[..]));
    /// assert_eq!(HomePath::root().name(), None);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn name(&self) -> Option<&[u8]> {
        self.names().next_back()
    }

    /// The folder that holds it; `None` for the home itself.
    ///
    /// ```
    /// # use ferry_core::{Error, ErrorKind, HomePath};
    /// assert_eq!(HomePath::parse("/docs/a.txt")?.parent(), Some(HomePath::parse("/docs")?));
    /// assert_eq!(HomePath::root().parent(), None);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn parent(&self) -> Option<Self> {
        let end = self.0.len() - self.name()?.len() - 1;
        Some(Self(self.0[..end.max(1)].to_vec()))
    }

    /// Goes to the folder that holds it; the home itself stays where it is.
    fn pop(&mut self) {
        let slash = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        self.0.truncate(slash.max(1));
    }

    /// The entry called `name` in this folder.
    ///
    /// ```
    /// # use ferry_core::{Error, ErrorKind, HomePath};
    /// let docs = HomePath::parse("/docs")?;
    /// assert_eq!(docs.join(b"a.txt")?.to_string(), "/docs/a.txt");
    /// assert_eq!(docs.join(b"..").unwrap_err().kind, ErrorKind::BadPath); // an entry, not a way
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// `bad_path` when no entry can have that name: empty, `.`, `..`, with `/` or NUL, or too long.
    pub fn join(&self, name: &[u8]) -> Result<Self> {
        let mut path = self.clone();
        path.push(name)?;
        Ok(path)
    }

    /// Goes to the entry called `name`. In place, so that a path is resolved in one pass however many names it has.
    fn push(&mut self, name: &[u8]) -> Result<()> {
        let shown = || escape(name);
        if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
            return Err(Error::bad_path(format!("`{}` cannot be a name", shown())));
        }
        if name.len() > NAME_MAX_BYTES {
            let shown: String = shown().chars().take(40).collect();
            return Err(Error::bad_path(format!(
                "{shown}...: name of {} bytes; at most {NAME_MAX_BYTES} are possible",
                name.len()
            )));
        }
        let slash = usize::from(!self.is_root());
        let len = self.0.len() + slash + name.len();
        if len > PATH_MAX_BYTES {
            return Err(Error::bad_path(format!(
                "path of {len} bytes; at most {PATH_MAX_BYTES} are possible"
            )));
        }
        self.0.extend_from_slice(&b"/"[..slash]);
        self.0.extend_from_slice(name);
        Ok(())
    }

    /// Whether `self` is `folder` or lies somewhere below it.
    ///
    /// ```
    /// # use ferry_core::{Error, ErrorKind, HomePath};
    /// let docs = HomePath::parse("/docs")?;
    /// assert!(HomePath::parse("/docs/a.txt")?.is_within(&docs));
    /// assert!(!HomePath::parse("/docs.txt")?.is_within(&docs));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn is_within(&self, folder: &Self) -> bool {
        let mut names = self.names();
        folder.names().all(|name| names.next() == Some(name))
    }

    /// Refuses names that no new entry should have: those with a control character in them.
    ///
    /// ```
    /// # use ferry_core::{Error, ErrorKind, HomePath};
    /// assert!(HomePath::parse("/a\tb")?.check_new().is_err());
    /// assert!(HomePath::parse("/a b")?.check_new().is_ok());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// `bad_path`, naming the path.
    pub fn check_new(&self) -> Result<()> {
        if self.0.iter().any(|byte| *byte < 0x20 || *byte == 0x7f) {
            return Err(Error::bad_path(format!("{self}: a new name cannot contain control characters")).at(self));
        }
        Ok(())
    }
}

impl fmt::Display for HomePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&escape(&self.0))
    }
}

impl fmt::Debug for HomePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HomePath({self})")
    }
}

/// Writes bytes as a string when they are UTF-8 and as binary otherwise.
pub(crate) fn serialize_name<S: Serializer>(bytes: &[u8], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => serializer.serialize_bytes(bytes),
    }
}

/// Reads what [`serialize_name`] wrote.
pub(crate) fn deserialize_name<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<u8>, D::Error> {
    struct Name;
    impl de::Visitor<'_> for Name {
        type Value = Vec<u8>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a path")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Vec<u8>, E> {
            Ok(text.as_bytes().to_vec())
        }
        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> std::result::Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }
    deserializer.deserialize_any(Name)
}

impl Serialize for RemotePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serialize_name(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for RemotePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserialize_name(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use proptest::prelude::*;

    fn resolve(cwd: &str, path: &str) -> Result<String> {
        Ok(RemotePath::from(path).resolve(&HomePath::parse(cwd)?)?.to_string())
    }

    #[test]
    fn paths_are_resolved_against_the_working_folder() {
        for (cwd, path, want) in [
            ("/", "a", "/a"),
            ("/a", "../b/./c/", "/b/c"),
            ("/a/b", "/", "/"),
            ("/a", "", "/a"),
            ("/a", "..", "/"),
            ("/", "a//b", "/a/b"),
        ] {
            assert_eq!(resolve(cwd, path).unwrap(), want);
        }
    }

    #[test]
    fn nothing_leads_above_the_home() {
        for path in ["..", "/..", "a/../..", "/a/b/../../../c", "../x"] {
            assert_eq!(resolve("/", path).unwrap_err().kind, ErrorKind::Denied, "{path}");
        }
    }

    #[test]
    fn impossible_names_are_refused() {
        for path in ["a\0b".to_owned(), "x".repeat(256), "abc/".repeat(1025)] {
            assert_eq!(resolve("/", &path).unwrap_err().kind, ErrorKind::BadPath);
        }
        assert!(resolve("/", &"x".repeat(255)).is_ok());
        assert_eq!(
            HomePath::parse("/a\nb").unwrap().check_new().unwrap_err().kind,
            ErrorKind::BadPath
        );
    }

    #[test]
    fn within_compares_whole_names() {
        let path = |text| HomePath::parse(text).unwrap();
        assert!(
            path("/a/b").is_within(&path("/a")) && path("/a").is_within(&path("/a")) && path("/a").is_within(&HomePath::root())
        );
        assert!(!path("/ab").is_within(&path("/a")) && !path("/a").is_within(&path("/a/b")));
    }

    #[test]
    fn names_that_are_not_utf8_survive_the_wire() {
        for bytes in [b"plain".to_vec(), b"caf\xe9".to_vec()] {
            let wire = rmp_serde::to_vec_named(&RemotePath(bytes.clone())).unwrap();
            assert_eq!(rmp_serde::from_slice::<RemotePath>(&wire).unwrap().0, bytes);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_resolved_stays_inside(cwd in "[a-c/.]{0,12}", path in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..40)) {
            let cwd = RemotePath::from(cwd.as_str()).resolve(&HomePath::root()).unwrap_or(HomePath::root());
            if let Ok(home) = RemotePath(path).resolve(&cwd) {
                prop_assert!(home.as_bytes().starts_with(b"/"));
                prop_assert!(home.names().all(|name| name != b".." && name != b"." && !name.contains(&0)));
                prop_assert_eq!(RemotePath::from(&home).resolve(&HomePath::root()).unwrap(), home);
            }
        }
    }
}
