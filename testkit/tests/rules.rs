//! The rules find what is wrong with a verb: each verb below breaks some.

use std::sync::atomic::{AtomicU32, Ordering};

use ferry_core::store::CODE_START;
use ferry_core::{Access, Body, Context, ErrorKind, Example, LocalPath, Many, Registry, RemotePath, Reply, Result, Spec, Verb};
use ferry_testkit::{Harness, Sent, registry_rules};

ferry_core::args! {
    /// Does what it should.
    pub struct Good {
        /// What to store.
        #[arg(role(Source))]
        local: Many<LocalPath>,
    }
}
impl Verb for Good {
    const SPEC: Spec = Spec::of::<Self>("good", Access::Write)
        .body(Body::In)
        .examples(&[Example::new("good a", "counts the bytes of a file")]);
    async fn run(self, ctx: &mut Context<'_>) -> Result<Reply> {
        let mut bytes = 0;
        while let Some(chunk) = ctx.receive().await? {
            bytes += chunk.len();
        }
        let names: Vec<String> = self.local.iter().map(|path| path.to_remote().to_string()).collect();
        Ok(Reply::text(format!("{}: {bytes} bytes", names.join(" "))))
    }
}
ferry_core::register!(Good);

ferry_core::args! {
    /// Has a doc comment that does not end
    pub struct Wordy {
        /// says little
        #[arg(short('x'))]
        one: Option<String>,
        /// Has the same letter.
        #[arg(short('x'))]
        two: Option<String>,
        /// Can be left out.
        three: Option<String>,
        /// Cannot, and has a role without a body.
        #[arg(role(Target))]
        four: RemotePath,
        /// Takes many.
        five: Vec<String>,
        /// Takes many too.
        six: Vec<String>,
        /// Is local for no reason.
        #[arg(option)]
        seven: Option<LocalPath>,
    }
}
impl Verb for Wordy {
    const SPEC: Spec = Spec::of::<Self>("wordy", Access::Read).examples(&[
        Example::new("good", "is another verb's"),
        Example::new("wordy --none", "has no such option"),
    ]);
    async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
        Ok(Reply::done())
    }
}
// Not by `register!`, which would refuse to compile it.
ferry_core::inventory::submit! {
    ferry_core::verb::Registration::of::<Wordy>("ferry-testkit", "0.1.0", "rules.rs")
}

ferry_core::args! {
    /// Panics at the third call.
    pub struct Fragile {}
}
static CALLS: AtomicU32 = AtomicU32::new(1);
impl Verb for Fragile {
    const SPEC: Spec = Spec::of::<Self>("fragile", Access::Public).body(Body::In);
    async fn run(self, _ctx: &mut Context<'_>) -> Result<Reply> {
        assert!(CALLS.fetch_add(1, Ordering::Relaxed) != 3, "the third call");
        Ok(Reply::done())
    }
}
ferry_core::register!(Fragile);

#[test]
fn every_fault_is_found_and_nothing_else() {
    let findings = registry_rules(&Registry::linked().unwrap().into());
    for part in [
        "fragile: takes a body, and no argument has the role Source",
        "fragile: random arguments broke it: the third call",
        "wordy: its doc comment is no sentence",
        "wordy: the doc comment of `one` is no sentence",
        "wordy: two options are called `-x`",
        "wordy: an argument that must be given follows one that can be left out",
        "wordy: two arguments in a row of words take any number of them",
        "wordy: `four` cannot have the role Target",
        "wordy: has roles of a transfer, and no argument has the role Source",
        "wordy: `seven` is a local path that no role explains",
        "wordy: the example `good` is one of another verb",
        "wordy: the example `good` failed: bad_request",
        "wordy: the example `wordy --none` failed: bad_request",
    ] {
        let found = findings.iter().filter(|finding| finding.starts_with(part)).count();
        assert_eq!(found, 1, "{part}: {findings:#?}");
    }
    assert_eq!(findings.len(), 13, "{findings:#?}");
}

#[test]
fn a_body_goes_the_way_of_a_clients() {
    let h = Harness::new();
    let output = h.send("good some/local/file", b"twelve bytes").unwrap();
    assert_eq!(
        output.text.as_deref(),
        Some("file: 12 bytes"),
        "only the last name leaves the client"
    );
    assert_eq!(output.begin.unwrap().code, CODE_START);
    let kind = |body: Sent| h.send("good a", body).unwrap_err().kind;
    assert_eq!(kind(Sent::file(b"twelve bytes").wrong_digest()), ErrorKind::DigestMismatch);
    assert_eq!(kind(Sent::file(b"twelve bytes").cut_after(5)), ErrorKind::Cancelled);
}

#[test]
fn lines_that_no_verb_takes_are_refused() {
    let h = Harness::new().read_only();
    for (line, kind) in [
        ("", ErrorKind::BadRequest),
        ("'", ErrorKind::BadRequest),
        ("goood", ErrorKind::UnknownVerb),
        ("good a", ErrorKind::Denied),
        ("wordy a *", ErrorKind::NotFound),
    ] {
        assert_eq!(h.err(line).kind, kind, "{line}");
    }
}

#[test]
fn one_verb_is_checked_without_the_others() {
    Harness::check::<Good>();
    let caught = std::panic::catch_unwind(Harness::check::<Wordy>);
    let message = *caught.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("wordy: two options are called `-x`"), "{message}");
    assert!(!message.contains("\ngood:"), "{message}");
    assert_eq!(Harness::of::<Good>().err("wordy a").kind, ErrorKind::UnknownVerb);
}
