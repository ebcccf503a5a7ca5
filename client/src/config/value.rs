//! Values of the config file that are written as text, and as numbers where they are numbers.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// The most transfers side by side, as on the command line.
const JOBS_MAX: u8 = 32;

/// How many transfers run side by side: 1 to 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jobs(pub u8);

impl FromStr for Jobs {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let jobs = text.parse().ok().filter(|jobs| (1..=JOBS_MAX).contains(jobs));
        jobs.map(Self).ok_or_else(|| format!("{text} is not in 1..={JOBS_MAX}"))
    }
}

/// An absolute remote folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(pub String);

impl FromStr for Folder {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.starts_with('/') && !text.chars().any(char::is_control) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("`{text}` is no absolute folder; write it like \"/media\"")),
        }
    }
}

/// A value that is read from text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

struct Reader<T>(PhantomData<T>);

impl<T: FromStr<Err: Display>> Visitor<'_> for Reader<T> {
    type Value = Text<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
        text.parse().map(Text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text<T>, E> {
        self.visit_str(&number.to_string())
    }
}

/// A local path of the file at `config`: `~/` is the user's home folder, anything else relative starts at the file's folder.
pub(super) fn resolve(config: &Path, path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), etcetera::home_dir()) {
        (Ok(rest), Ok(home)) => home.join(rest),
        _ => config.parent().unwrap_or(Path::new("")).join(path),
    }
}
