//! What is wrong with what is said of a verb, with its arguments and with its completion.

use std::sync::OnceLock;

use ferry_core::args::{ArgKind, ArgSpec};
use ferry_core::serde::de::{Error as _, IgnoredAny};
use ferry_core::serde::{Deserialize, Deserializer};
use ferry_core::{Access, ArgType, Args, Context, Example, GuardedHome, RemotePath, Reply, Result, Spec, Verb};
use ferry_testkit::Harness;

use super::expect;

macro_rules! does_nothing {
    ($type:ident, $spec:expr) => {
        impl Verb for $type {
            const SPEC: Spec = $spec;
            async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
                Ok(Reply::done())
            }
        }
    };
}

/// Takes whatever comes: its arguments were made by hand.
struct Lax;
impl Args for Lax {
    const ARGS: &'static [ArgSpec] = &[ArgSpec::of::<String>("name", "A name.")];
    const DOC: &'static str = "Takes whatever comes.";
}
impl<'de> Deserialize<'de> for Lax {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}
does_nothing!(Lax, Spec::of::<Self>("lax", Access::Public));

#[test]
fn arguments_that_are_not_looked_at_are_found() {
    expect::<Lax>(&[
        "lax: a call without `name` is not refused",
        "lax: an argument that it does not have is not refused",
        "lax: a map for `name` is not refused",
        "lax: a switch for `name` is not refused",
    ]);
}

/// Refuses whatever comes, and does not say why.
struct Silent;
impl Args for Silent {
    const ARGS: &'static [ArgSpec] = &[ArgSpec::of::<String>("name", "A name.")];
    const DOC: &'static str = "Refuses whatever comes.";
}
impl<'de> Deserialize<'de> for Silent {
    fn deserialize<D: Deserializer<'de>>(_: D) -> std::result::Result<Self, D::Error> {
        Err(D::Error::custom("no"))
    }
}
does_nothing!(Silent, Spec::of::<Self>("silent", Access::Public));

#[test]
fn a_refusal_that_does_not_name_what_is_missing_is_found() {
    expect::<Silent>(&["silent: a call without `name` is refused without naming `name`"]);
}

/// An argument's type that trusts what comes.
struct Trusting(u8);
impl<'de> Deserialize<'de> for Trusting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let number: u8 = String::deserialize(deserializer).unwrap().parse().unwrap();
        Ok(Self(number))
    }
}
impl ArgType for Trusting {
    const KIND: ArgKind = ArgKind::Text;
}
impl std::fmt::Debug for Trusting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trusting({})", self.0)
    }
}
impl Clone for Trusting {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}
ferry_core::args! {
    /// Trusts what comes.
    struct Brittle {
        /// Some words.
        words: Vec<Trusting>,
    }
}
does_nothing!(Brittle, Spec::of::<Self>("brittle", Access::Public));

#[test]
fn a_type_that_panics_while_it_is_decoded_is_found() {
    expect::<Brittle>(&[
        "brittle: a map for `words` made it panic",
        "brittle: a switch for `words` made it panic",
        "brittle: random arguments broke it",
    ]);
}

#[allow(clippy::large_const_arrays, reason = "a constant text cannot be made of a static one")]
const LONG_BYTES: [u8; 70_000] = [b'x'; 70_000];
const LONG: &str = match std::str::from_utf8(&LONG_BYTES) {
    Ok(text) => text,
    Err(_) => "",
};
ferry_core::args! {
    /// Is replaced.
    struct Wordy {}
}
does_nothing!(Wordy, {
    let mut spec = Spec::of::<Self>("wordy", Access::Public);
    spec.doc = LONG;
    spec
});
ferry_core::args! {
    #[doc = "Is \u{1b}[31mred."]
    struct Red {}
}
does_nothing!(Red, Spec::of::<Self>("red", Access::Public));

#[test]
fn what_fits_no_frame_and_what_a_terminal_would_act_on_is_found() {
    expect::<Wordy>(&[
        "wordy: its doc comment is no sentence",
        "wordy: its catalogue entry does not come through the wire: too_large",
        "wordy: its help does not come through the wire: too_large",
    ]);
    expect::<Red>(&["red: its help has characters that a terminal would act on: `Is \\x1b[31mred.`"]);
}

ferry_core::args! {
    /// Proposes what it should not.
    struct Chatty {
        /// Proposes too much.
        #[arg(option, dynamic)]
        much: Option<String>,
        /// Proposes what moves the cursor.
        #[arg(option, dynamic)]
        odd: Option<String>,
        /// Breaks.
        #[arg(option, dynamic)]
        sharp: Option<String>,
        /// Does well.
        #[arg(option, dynamic)]
        well: Option<String>,
    }
}
impl Verb for Chatty {
    const SPEC: Spec = Spec::of::<Self>("chatty", Access::Public);
    async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
        Ok(Reply::done())
    }
    async fn complete(arg: &str, word: &str, _ctx: &mut Context<'_>) -> Result<Vec<String>> {
        Ok(match arg {
            "much" => (0..10_000).map(|n| n.to_string()).collect(),
            "odd" => vec!["fine".into(), "not\u{1b}[2J".into()],
            // Fails where nothing is typed yet.
            "sharp" => vec![word[1..].to_owned()],
            _ => vec!["well".into()],
        })
    }
}

#[test]
fn proposals_that_help_nobody_are_found() {
    expect::<Chatty>(&[
        "chatty: completion of `much` behind `` proposes 500 words or more",
        "chatty: completion of `odd` behind `` proposes what a terminal would act on: `not\\x1b[2J`",
        "chatty: completion of `sharp` behind `` panics",
    ]);
}

ferry_core::args! {
    /// Writes down what it is asked.
    struct Noting {
        /// Anything.
        #[arg(dynamic)]
        word: String,
    }
}
/// The home of the call before.
static NOTED: OnceLock<GuardedHome> = OnceLock::new();
impl Verb for Noting {
    const SPEC: Spec = Spec::of::<Self>("noting", Access::Write).examples(&[Example::new("noting a", "keeps the home")]);
    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        NOTED.get_or_init(|| ctx.home().clone());
        Ok(Reply::done())
    }
    async fn complete(_arg: &str, _word: &str, ctx: &mut Context<'_>) -> Result<Vec<String>> {
        let home = NOTED.get().unwrap_or(ctx.home());
        home.make_dir(&ctx.path(&RemotePath::from("noted"))?).await?;
        Ok(Vec::new())
    }
}

#[test]
fn a_home_that_is_handed_to_completion_cannot_be_written() {
    let h = Harness::of::<Noting>();
    let asked = || ferry_core::rt::block_on(h.complete("noting", "word", ""));
    assert_eq!(asked().unwrap_err().kind, ferry_core::ErrorKind::Denied);
    assert!(h.folders().is_empty());
    // It takes a home kept from a call that may write.
    h.ok("noting a");
    asked().unwrap();
    assert_eq!(h.folders(), ["/noted"]);
}
