//! Help for people at a terminal, made from the catalogue and as wide as the screen. Pure.

use console::measure_text_width;
use ferry_core::line::Word;
use ferry_core::{Access, Body, VerbInfo};

use crate::args::{ArgKind, Role, arg_of};
use crate::exit::Result;
use crate::session::Session;

/// The widest that text runs, in characters: longer lines are hard to read.
const LINE_MAX_WIDTH: usize = 110;
/// The narrowest that it is wrapped to.
const LINE_MIN_WIDTH: usize = 30;
/// The widest label whose text stands beside it; behind a longer one it starts on the next line.
const LABEL_MAX_WIDTH: usize = 26;
const INDENT: &str = "  ";

/// Where a verb stands in the overview.
const GROUPS: [&str; 5] = [
    "transfers",
    "to look at files",
    "to change files",
    "about you",
    "administration",
];

fn group(verb: &VerbInfo) -> &'static str {
    let moves = verb.body == Body::In || (verb.body == Body::Out && arg_of(verb, Role::Target).is_some());
    match verb.access {
        Access::Admin => GROUPS[4],
        _ if moves => GROUPS[0],
        Access::Read => GROUPS[1],
        Access::Write => GROUPS[2],
        Access::Public => GROUPS[3],
    }
}

/// The crate of a verb that is not one of Ferry's own, with its version. Crates of others are called `ferry-cmd-...` or anything else.
fn stranger(verb: &VerbInfo) -> Option<String> {
    let is_ours = verb.krate.is_empty() || (verb.krate.starts_with("ferry-") && !verb.krate.starts_with("ferry-cmd-"));
    (!is_ours).then(|| format!("{} {}", verb.krate, verb.version).trim_end().to_owned())
}

/// Answers a request for help from the catalogue, as wide as the terminal; whether it did. The server is asked where programs read, and
/// about what the catalogue does not have.
///
/// # Errors
/// When standard output is closed or full.
pub async fn show(session: &Session, verbs: &[VerbInfo], words: &[Word], own: &[(&str, &str)]) -> Result<bool> {
    let text = match (session.output.look().width, words) {
        (Some(width), [help]) if help.text == b"help" => Some(overview(verbs, own, width)),
        (Some(width), [help, name]) if help.text == b"help" => {
            let name = std::str::from_utf8(&name.text).unwrap_or_default();
            verbs.iter().find(|info| info.is_called(name)).map(|info| verb(info, width))
        }
        _ => None,
    };
    let Some(text) = text.filter(|_| !session.output.json) else {
        return Ok(false);
    };
    session.output.begin_paging();
    session.output.text(&text)?;
    session.output.end_paging().await?;
    Ok(true)
}

/// All verbs with what they do, in groups, and the client's own words below them.
pub fn overview(verbs: &[VerbInfo], own: &[(&str, &str)], width: usize) -> String {
    let name = |verb: &VerbInfo| {
        let mut names = vec![verb.name.as_str()];
        names.extend(verb.aliases.iter().map(String::as_str));
        names.join(", ")
    };
    let summary = |verb: &VerbInfo| match stranger(verb) {
        Some(from) => format!("{} [from {from}]", verb.summary()),
        None => verb.summary().to_owned(),
    };
    let mut groups: Vec<(&str, Vec<(String, String)>)> = GROUPS.map(|group| (group, Vec::new())).into();
    for verb in verbs {
        if let Some((_, rows)) = groups.iter_mut().find(|(name, _)| *name == group(verb)) {
            rows.push((name(verb), summary(verb)));
        }
    }
    let row = |(name, doc): &(&str, &str)| ((*name).to_owned(), (*doc).to_owned());
    groups.push(("on this machine", own.iter().map(row).collect()));
    groups.retain(|(_, rows)| !rows.is_empty());
    let column = label_width(groups.iter().flat_map(|(_, rows)| rows));
    let mut text = String::new();
    for (name, rows) in &groups {
        text.push_str(name);
        text.push('\n');
        labelled(&mut text, rows, column, width);
    }
    text.push_str("\n`help VERB` explains one of them.\n");
    text
}

/// One verb: how it is written, what it does, each argument, other names, rights, where it comes from, and examples.
pub fn verb(verb: &VerbInfo, width: usize) -> String {
    let mut text = String::new();
    wrap(&mut text, "usage: ", &verb.usage(), 7 + INDENT.len(), width);
    for part in verb.doc.split("\n\n") {
        text.push('\n');
        wrap(&mut text, "", &part.replace('\n', " "), 0, width);
    }
    let rows: Vec<(String, String)> = verb.args.iter().map(|arg| (arg.label(), meaning(arg))).collect();
    if !rows.is_empty() {
        text.push_str("\narguments\n");
        labelled(&mut text, &rows, label_width(&rows), width);
    }
    let mut facts = vec![("rights", rights(verb.access).to_owned())];
    if !verb.aliases.is_empty() {
        facts.insert(0, ("also called", verb.aliases.join(", ")));
    }
    if !verb.krate.is_empty() {
        let since = if verb.since.is_empty() || verb.since == verb.version {
            String::new()
        } else {
            format!(", there since {}", verb.since)
        };
        facts.push(("comes from", format!("{} {}{since}", verb.krate, verb.version)));
    }
    text.push('\n');
    for (name, fact) in facts {
        wrap(&mut text, &format!("{name}: "), &fact, INDENT.len(), width);
    }
    if !verb.examples.is_empty() {
        text.push_str("\nexamples\n");
        labelled(&mut text, &verb.examples, label_width(&verb.examples), width);
    }
    text
}

/// What an argument is for, with what it takes.
fn meaning(arg: &ferry_core::catalog::ArgInfo) -> String {
    let kind = match arg.kind {
        ArgKind::Flag => None,
        _ if !arg.choices.is_empty() => Some(format!("one of: {}", arg.choices.join(", "))),
        ArgKind::RemotePath => Some("a path on the server".to_owned()),
        ArgKind::LocalPath => Some("a path on this machine".to_owned()),
        ArgKind::Integer => Some("a whole number".to_owned()),
        ArgKind::Size => Some("a size, as 1048576 or 10MiB".to_owned()),
        _ => Some("a word".to_owned()),
    };
    let doc = arg.doc.replace('\n', " ");
    match kind {
        Some(kind) => format!("{doc} ({kind})"),
        None => doc,
    }
}

fn rights(access: Access) -> &'static str {
    match access {
        Access::Public => "none needed; it looks at nothing in your home",
        Access::Read => "it reads your home and changes nothing",
        Access::Write => "it changes your home; who may only read may not run it",
        Access::Admin => "only for administrators",
    }
}

fn label_width<'a>(rows: impl IntoIterator<Item = &'a (String, String)>) -> usize {
    let widths = rows.into_iter().map(|(label, _)| measure_text_width(label));
    widths.filter(|width| *width <= LABEL_MAX_WIDTH).max().unwrap_or(0)
}

/// A line for each row: its label, and its text behind it or below it.
fn labelled(out: &mut String, rows: &[(String, String)], column: usize, width: usize) {
    for (label, text) in rows {
        let used = measure_text_width(label);
        let hang = INDENT.len() + column + INDENT.len();
        if used > column {
            out.push_str(&format!("{INDENT}{label}\n"));
            wrap(out, &" ".repeat(hang), text, hang, width);
        } else {
            wrap(
                out,
                &format!("{INDENT}{label}{}{INDENT}", " ".repeat(column - used)),
                text,
                hang,
                width,
            );
        }
    }
}

/// Adds `text` behind `start`, broken between words; further lines are indented by `hang`.
fn wrap(out: &mut String, start: &str, text: &str, hang: usize, width: usize) {
    let width = width.clamp(LINE_MIN_WIDTH, LINE_MAX_WIDTH);
    // Beside a wide label on a narrow terminal there would be room for nothing.
    let hang = hang.min(width / 2);
    out.push_str(start);
    let mut at = measure_text_width(start);
    let mut is_first = true;
    for word in text.split_whitespace() {
        let wide = measure_text_width(word);
        if !is_first && at + 1 + wide > width {
            out.push('\n');
            out.push_str(&" ".repeat(hang));
            at = hang;
        } else if !is_first {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        at += wide;
        is_first = false;
    }
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::{Example, RemotePath, Spec};

    ferry_core::args! {
        /// Looks for files whose names have a word in them, in all folders below.
        ///
        /// What is found is told as it is found, one file a line, and folders that cannot be read are told at the end of it all.
        struct Look {
            /// Where to look; the working folder when absent.
            path: Vec<RemotePath>,
            /// The most files to find.
            #[arg(option)]
            limit: Option<u64>,
            /// Takes capital letters for small ones.
            #[arg(short('i'))]
            ignore_case: bool,
        }
    }

    const EXAMPLES: &[Example] = &[Example::new("look -i docs", "looks in one folder")];

    fn info(krate: &str) -> VerbInfo {
        let spec = Spec::of::<Look>("look", Access::Read)
            .aliases(&["find"])
            .since("0.2.0")
            .examples(EXAMPLES);
        VerbInfo::new(&spec, krate, "1.0.0")
    }

    fn widest(text: &str) -> usize {
        text.lines().map(measure_text_width).max().unwrap()
    }

    #[test]
    fn a_verb_is_explained_as_wide_as_the_terminal() {
        let text = verb(&info("ferry-cmd-look"), 60);
        assert_eq!(
            text,
            "usage: look [PATH...] [--limit N] [-i]\n\
             \n\
             Looks for files whose names have a word in them, in all\nfolders below.\n\
             \n\
             What is found is told as it is found, one file a line, and\nfolders that cannot be read are told at the end of it all.\n\
             \n\
             arguments\n\
             \x20 PATH...            Where to look; the working folder when\n\
             \x20                    absent. (a path on the server)\n\
             \x20     --limit N      The most files to find. (a whole\n\
             \x20                    number)\n\
             \x20 -i, --ignore-case  Takes capital letters for small ones.\n\
             \n\
             also called: find\n\
             rights: it reads your home and changes nothing\n\
             comes from: ferry-cmd-look 1.0.0, there since 0.2.0\n\
             \n\
             examples\n\
             \x20 look -i docs  looks in one folder\n"
        );
        assert!(widest(&verb(&info(""), 1)) <= 40 && widest(&verb(&info(""), 4000)) <= LINE_MAX_WIDTH);
    }

    #[test]
    fn the_overview_has_groups_and_says_what_others_supply() {
        let ours = VerbInfo {
            access: Access::Write,
            name: "burn".into(),
            aliases: Vec::new(),
            ..info("ferry-fs")
        };
        let text = overview(&[ours, info("look-lib")], &[("lcd", "changes the local working folder")], 200);
        assert_eq!(
            text,
            "to look at files\n\
             \x20 look, find  Looks for files whose names have a word in them, in all folders below. [from look-lib 1.0.0]\n\
             to change files\n\
             \x20 burn        Looks for files whose names have a word in them, in all folders below.\n\
             on this machine\n\
             \x20 lcd         changes the local working folder\n\
             \n`help VERB` explains one of them.\n"
        );
        assert!(widest(&overview(&[info("look-lib")], &[], 40)) <= 40);
    }

    #[test]
    fn a_word_longer_than_the_line_stands_alone() {
        let mut text = String::new();
        wrap(&mut text, "  a  ", &format!("b {} c", "x".repeat(60)), 5, 40);
        assert_eq!(text, format!("  a  b\n     {}\n     c\n", "x".repeat(60)));
    }
}
