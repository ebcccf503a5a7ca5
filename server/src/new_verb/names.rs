//! The names of a new verb: the word that users type, its crate, and its type.

use ferry_core::{Error, Registry, Result};

/// The longest word, in bytes: it is typed.
const WORD_MAX_BYTES: usize = 24;
/// What crates of Ferry that are no verbs are called behind `ferry-`.
const OURS: &[&str] = &["client", "core", "server", "store-local", "testkit", "tests"];
/// Types that a verb's file may name, so that no verb can be called so. `Fields` is one that `args!` makes.
const TAKEN: &[&str] = &[
    "Access",
    "Body",
    "ByteSize",
    "Chunk",
    "Column",
    "ColumnKind",
    "Context",
    "Error",
    "ErrorKind",
    "Example",
    "Fields",
    "Harness",
    "Layout",
    "LocalPath",
    "Many",
    "Option",
    "RemotePath",
    "Reply",
    "Result",
    "Self",
    "Sent",
    "Some",
    "None",
    "Spec",
    "String",
    "Value",
    "Vec",
    "Verb",
];

/// Words that the client's shell takes itself, so that no verb of such a name could be called there. A test compares them with the shell's
/// (`tests/new_verb.rs`). `help` is not among them: a server may have a verb for it.
const SHELLS: &[&str] = &[
    "alias", "exit", "fg", "jobs", "kill", "lcd", "lls", "lpwd", "quit", "source", "wait",
];

/// All names of a new verb.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// What users type.
    pub(super) word: String,
    /// Its crate.
    pub(super) krate: String,
    /// Its crate in Rust's words.
    pub(super) module: String,
    /// Its type.
    pub(super) ty: String,
}

impl Names {
    /// The names that follow from the word.
    ///
    /// # Errors
    /// `bad_request` when it is no word; `exists` when this server has a verb or a crate of that name, or the shell takes the word itself.
    pub(super) fn new(word: &str, registry: &Registry) -> Result<Self> {
        let is_part =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let is_word = word.starts_with(|c: char| c.is_ascii_lowercase()) && word.split('-').all(is_part);
        if !is_word || word.len() > WORD_MAX_BYTES {
            let shown = ferry_core::text::escape(word.as_bytes());
            return Err(Error::bad_request(format!("`{shown}` cannot be a verb's name")).hint(format!(
                "use 1 to {WORD_MAX_BYTES} of a-z, 0-9 and single '-', starting with a letter"
            )));
        }
        if SHELLS.contains(&word) {
            let error = Error::exists(format!(
                "`{word}` is a word of the shell, which would never ask a server for it"
            ));
            return Err(error.hint(format!("choose another word than {}", SHELLS.join(", "))));
        }
        if let Some(entry) = registry.find(word) {
            let info = &entry.info;
            let text = format!(
                "this server has the verb `{}` already, from {} {}",
                info.name, info.krate, info.version
            );
            let alias = if info.name == word {
                String::new()
            } else {
                format!("; `{word}` is an alias of it")
            };
            return Err(Error::exists(text + &alias).hint("choose another word: two verbs of one name cannot be linked"));
        }
        let krate = format!("ferry-{word}");
        if OURS.contains(&word) || registry.entries().iter().any(|entry| entry.info.krate == krate) {
            return Err(Error::exists(format!("{krate} is a crate of this server already")).hint("choose another word"));
        }
        let mut ty: String = word.split('-').map(capitalised).collect();
        if TAKEN.contains(&ty.as_str()) {
            ty += "Verb";
        }
        Ok(Self {
            word: word.to_owned(),
            module: krate.replace('-', "_"),
            krate,
            ty,
        })
    }
}

fn capitalised(part: &str) -> String {
    let (first, rest) = part.split_at(1);
    first.to_ascii_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::verb::Registration;
    use ferry_core::{Access, Context, ErrorKind, Reply, Spec, Verb};

    ferry_core::args! {
        /// Does nothing.
        pub(crate) struct Nap {}
    }
    impl Verb for Nap {
        const SPEC: Spec = Spec::of::<Self>("nap", Access::Public).aliases(&["doze"]);
        async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
            Ok(Reply::done())
        }
    }

    fn names(word: &str) -> Result<Names> {
        let registry = Registry::of([Registration::of::<Nap>("ferry-sleep", "0.1.0", "here")]).unwrap();
        Names::new(word, &registry)
    }

    #[test]
    fn all_names_follow_from_the_word() {
        let made = names("word-count-2").unwrap();
        assert_eq!(
            [made.krate, made.module, made.ty],
            ["ferry-word-count-2", "ferry_word_count_2", "WordCount2"]
        );
        assert_eq!(names("self").unwrap().ty, "SelfVerb");
        assert_eq!(names("result").unwrap().ty, "ResultVerb");
    }

    #[test]
    fn what_is_no_word_is_refused() {
        for word in [
            "",
            "Hello",
            "2do",
            "-a",
            "a-",
            "a--b",
            "a_b",
            "a b",
            "ä",
            "../a",
            &"a".repeat(25),
        ] {
            assert_eq!(names(word).unwrap_err().kind, ErrorKind::BadRequest, "{word:?}");
        }
    }

    #[test]
    fn what_is_there_already_is_named() {
        for (word, says) in [
            ("nap", "the verb `nap` already, from ferry-sleep 0.1.0"),
            ("doze", "`doze` is an alias"),
            ("sleep", "ferry-sleep is a crate"),
            ("core", "ferry-core is a crate"),
            ("jobs", "`jobs` is a word of the shell"),
        ] {
            let error = names(word).unwrap_err();
            assert!(error.kind == ErrorKind::Exists && error.message.contains(says), "{error}");
        }
    }
}
