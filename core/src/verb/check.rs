//! What `register!` checks while it is compiled: a command line can fill the verb's arguments in one way only, and its names are
//! names. The testkit's rules check the same and more, also of verbs that are not registered.

use crate::args::{ArgKind, ArgSpec};
use crate::spec::Spec;

/// Ends the compilation with a text made of parts, which a constant cannot format otherwise.
#[track_caller]
const fn wrong(parts: &[&str]) -> ! {
    const LEN: usize = 400;
    let mut text = [b' '; LEN];
    let (mut len, mut part) = (0, 0);
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        let mut at = 0;
        while at < bytes.len() && len < LEN {
            text[len] = bytes[at];
            (len, at) = (len + 1, at + 1);
        }
        part += 1;
    }
    match std::str::from_utf8(text.split_at(len).0) {
        Ok(text) => panic!("{}", text),
        Err(_) => panic!("a verb's names are made of a-z, 0-9 and -"),
    }
}

/// Whether a name starts with one of `a-z` and goes on with `a-z`, `0-9` and `inner`.
const fn is_word(name: &str, inner: u8) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let is_letter = bytes[at].is_ascii_lowercase();
        if !is_letter && (at == 0 || !(bytes[at].is_ascii_digit() || bytes[at] == inner)) {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty()
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// Checks what is said about a verb. Called by [`register!`](crate::register!) in a constant.
///
/// # Panics
/// When a rule is broken, with the verb, the argument and the rule: while compiling.
#[doc(hidden)]
#[track_caller]
pub const fn check(spec: &Spec) {
    if !is_word(spec.name, b'-') {
        wrong(&[
            "`",
            spec.name,
            "` cannot be a verb's name: use a-z, 0-9 and -, and a letter first",
        ]);
    }
    let mut at = 0;
    while at < spec.aliases.len() {
        if !is_word(spec.aliases[at], b'-') || is_same(spec.aliases[at], spec.name) {
            wrong(&[
                "`",
                spec.aliases[at],
                "` cannot be an alias of `",
                spec.name,
                "`: use another name of a-z, 0-9 and -",
            ]);
        }
        at += 1;
    }
    let mut at = 0;
    while at < spec.args.len() {
        argument(spec, at);
        at += 1;
    }
}

/// Checks one argument, alone and against those before it.
#[track_caller]
const fn argument(spec: &Spec, at: usize) {
    let arg: &ArgSpec = &spec.args[at];
    if !is_word(arg.name, b'_') {
        let rule = "`: use a-z, 0-9 and _; #[arg(name(\"...\"))] gives it another name than the field's";
        wrong(&[spec.name, ": an argument cannot be called `", arg.name, rule]);
    }
    if let Some(short) = arg.short
        && !short.is_ascii_alphanumeric()
    {
        wrong(&[
            spec.name,
            ": the one-letter name of `",
            arg.name,
            "` must be a letter or a digit",
        ]);
    }
    if matches!(arg.kind, ArgKind::Choice) && arg.choices.is_empty() {
        wrong(&[
            spec.name,
            ": `",
            arg.name,
            "` is a choice of nothing: its type must name CHOICES",
        ]);
    }
    let mut earlier = 0;
    while earlier < at {
        let before: &ArgSpec = &spec.args[earlier];
        if is_same(arg.name, before.name) {
            wrong(&[spec.name, ": two arguments are called `", arg.name, "`"]);
        }
        if let (Some(one), Some(other)) = (arg.short, before.short)
            && one as u32 == other as u32
        {
            wrong(&[
                spec.name,
                ": the options `",
                before.name,
                "` and `",
                arg.name,
                "` have the same letter",
            ]);
        }
        if !arg.is_option && !before.is_option {
            if arg.repeated && before.repeated {
                let rule = "` both take any number of words; make one an option: #[arg(option)]";
                wrong(&[spec.name, ": `", before.name, "` and `", arg.name, rule]);
            }
            if arg.required && !before.required {
                let rule = "`, which can be left out; put it first, or make the other an option: #[arg(option)]";
                wrong(&[spec.name, ": `", arg.name, "` must be given and follows `", before.name, rule]);
            }
        }
        earlier += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{ArgType, LocalPath, Many};
    use crate::spec::Access;

    #[derive(Debug, Clone, serde::Deserialize)]
    struct Nothing;
    impl ArgType for Nothing {
        const KIND: ArgKind = ArgKind::Choice;
    }

    fn spec(name: &'static str, aliases: &'static [&'static str], args: Vec<ArgSpec>) -> Spec {
        Spec {
            args: args.leak(),
            ..Spec::of::<crate::verb::tests::Plain>(name, Access::Read).aliases(aliases)
        }
    }

    /// What the compiler would say.
    fn said(spec: Spec) -> Option<String> {
        let caught = std::panic::catch_unwind(|| check(&spec)).err()?;
        let text = caught.downcast_ref::<String>().cloned();
        text.or_else(|| caught.downcast_ref::<&str>().map(|text| (*text).to_owned()))
    }

    #[test]
    fn each_fault_is_named_and_what_is_right_passes() {
        let text = |name| ArgSpec::of::<String>(name, "");
        let maybe = |name| ArgSpec::of::<Option<String>>(name, "");
        let many = |name| ArgSpec::of::<Many<LocalPath>>(name, "");
        assert_eq!(
            said(spec("ok-2", &["o2"], vec![text("a"), many("b"), maybe("c_d").short('c')])),
            None
        );
        for (spec, part) in [
            (spec("Two Words", &[], vec![]), "`Two Words` cannot be a verb's name"),
            (spec("", &[], vec![]), "`` cannot be"),
            (spec("2x", &[], vec![]), "`2x` cannot be"),
            (spec("x", &["Y"], vec![]), "`Y` cannot be an alias of `x`"),
            (spec("x", &["x"], vec![]), "`x` cannot be an alias"),
            (
                spec("x", &[], vec![text("tooLong")]),
                "x: an argument cannot be called `tooLong`",
            ),
            (spec("x", &[], vec![text("a").short('-')]), "x: the one-letter name of `a`"),
            (
                spec("x", &[], vec![ArgSpec::of::<Nothing>("a", "")]),
                "x: `a` is a choice of nothing",
            ),
            (spec("x", &[], vec![text("a"), text("a")]), "x: two arguments are called `a`"),
            (
                spec("x", &[], vec![text("a").short('q'), text("b").short('q')]),
                "`a` and `b` have the same letter",
            ),
            (
                spec("x", &[], vec![many("a"), many("b")]),
                "x: `a` and `b` both take any number",
            ),
            (
                spec("x", &[], vec![maybe("a"), text("b")]),
                "x: `b` must be given and follows `a`",
            ),
        ] {
            let said = said(spec).unwrap_or_default();
            assert!(said.contains(part), "{said:?} instead of {part:?}");
        }
    }
}
