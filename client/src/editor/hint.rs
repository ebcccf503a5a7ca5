//! What stands in grey behind the cursor: how the line went on last time, or what the next argument is. Only the first can be taken over.

use std::sync::{Arc, Mutex};

use ferry_core::text::{did_you_mean, escape};
use ferry_core::{VerbInfo, catalog::ArgInfo};
use nu_ansi_term::Style;
use reedline::{Hinter, History, SearchQuery};

use super::completion::Told;
use super::parts::{Parts, Quote, parts};
use super::sources::{given, slots};
use super::{Place, lock};
use crate::args::ArgKind;
use crate::words;

/// The most options that are named.
const OPTIONS_MAX: usize = 4;

pub(super) struct Hints {
    place: Arc<Mutex<Place>>,
    told: Told,
    style: Style,
    /// How the line went on last time.
    rest: String,
}

impl Hints {
    pub(super) fn new(place: Arc<Mutex<Place>>, told: Told, style: Style) -> Self {
        Self {
            place,
            told,
            style,
            rest: String::new(),
        }
    }

    fn text(&self, line: &str) -> String {
        if let Some((about, what)) = &*lock(&self.told)
            && about == line
        {
            return format!(" {what}");
        }
        if !self.rest.is_empty() {
            return self.rest.clone();
        }
        let verbs = lock(&self.place).verbs.clone();
        next_argument(&verbs, line)
    }
}

/// How a line of the history goes on that begins with this one.
fn rest_of(history: &dyn History, line: &str) -> String {
    if line.is_empty() || line.starts_with(' ') {
        return String::new();
    }
    let query = SearchQuery::last_with_prefix(line.to_owned(), history.session());
    let found = history.search(query).unwrap_or_default();
    let rest = found.first().and_then(|entry| entry.command_line.get(line.len()..));
    rest.filter(|rest| escape(rest.as_bytes()) == *rest)
        .unwrap_or_default()
        .to_owned()
}

/// What comes next in a verb's line.
fn next_argument(verbs: &[VerbInfo], line: &str) -> String {
    let parts = parts(line);
    let Some(name) = parts.all().next().map(|part| part.text.as_str()) else {
        return String::new();
    };
    if parts.is_comment || parts.last.open != Quote::None || name.starts_with('!') {
        return String::new();
    }
    let is_new_word = parts.last.text.is_empty();
    let Some(verb) = verbs.iter().find(|verb| verb.is_called(name)) else {
        let is_known = verbs.is_empty() || words::OWN.iter().any(|(word, _)| *word == name);
        let is_alone = is_new_word && parts.before.len() == 1;
        return if is_known || !is_alone {
            String::new()
        } else {
            unknown(verbs, name)
        };
    };
    let text = match is_new_word {
        true => rest_of_call(verb, &parts),
        false if parts.before.is_empty() => format!(" {}", rest_of_call(verb, &parts)),
        false => String::new(),
    };
    text.trim_end().to_owned()
}

fn unknown(verbs: &[VerbInfo], name: &str) -> String {
    let names = verbs.iter().flat_map(|verb| std::iter::once(&verb.name).chain(&verb.aliases));
    match did_you_mean(name, names.map(String::as_str)) {
        Some(near) => format!("(no such verb; did you mean {near}?)"),
        None => "(no such verb)".to_owned(),
    }
}

fn rest_of_call(verb: &VerbInfo, parts: &Parts) -> String {
    let before: Vec<&str> = parts.before.iter().skip(1).map(|part| part.text.as_str()).collect();
    let given = given(verb, &before);
    if let Some(arg) = given.waiting {
        return value(arg);
    }
    let places: Vec<&ArgInfo> = verb.args.iter().filter(|arg| !arg.is_option).collect();
    let first = slots(verb, given.positional).first().map(|first| &first.name);
    let coming = places.iter().enumerate().skip_while(|(_, arg)| Some(&arg.name) != first);
    let mut next: Vec<String> = Vec::new();
    for (at, arg) in coming {
        // Of many there is one already.
        let is_begun = arg.repeated && given.positional > at;
        let word = value(arg);
        match is_begun {
            true if at + 1 < places.len() => {}
            false if arg.required => next.push(word),
            _ => next.push(format!("[{word}]")),
        }
    }
    if next.is_empty() && !given.are_over {
        let is_new = |arg: &&ArgInfo| arg.is_option && !given.options.contains(&arg.name.as_str());
        let options = verb.args.iter().filter(is_new).take(OPTIONS_MAX);
        next.extend(options.map(|arg| format!("[{}]", arg.usage())));
    }
    next.join(" ")
}

/// What stands for an argument's value; its words, when there are few.
fn value(arg: &ArgInfo) -> String {
    match arg.kind {
        ArgKind::Choice if !arg.choices.is_empty() && arg.choices.len() <= OPTIONS_MAX => arg.choices.join("|"),
        _ => arg.value_name(),
    }
}

impl Hinter for Hints {
    fn handle(&mut self, line: &str, pos: usize, history: &dyn History, use_ansi_coloring: bool, _cwd: &str) -> String {
        self.rest.clear();
        if pos != line.len() || line.contains('\n') {
            return String::new();
        }
        self.rest = rest_of(history, line);
        let text = self.text(line);
        match use_ansi_coloring && !text.is_empty() {
            true => self.style.paint(text).to_string(),
            false => text,
        }
    }

    fn complete_hint(&self) -> String {
        self.rest.clone()
    }

    fn next_hint_token(&self) -> String {
        let end = self
            .rest
            .trim_start()
            .find(' ')
            .map(|at| at + self.rest.len() - self.rest.trim_start().len());
        self.rest[..end.unwrap_or(self.rest.len())].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sources::tests::verbs;
    use super::*;
    use reedline::{FileBackedHistory, HistoryItem};

    fn hints() -> Hints {
        let place = Place {
            verbs: Arc::new(verbs()),
            ..Place::default()
        };
        Hints::new(Arc::new(Mutex::new(place)), Told::default(), Style::new())
    }

    #[test]
    fn the_next_argument_is_shown() {
        let next = |line| next_argument(&verbs(), line);
        assert_eq!(next("send "), "HERE... [THERE]");
        assert_eq!(next("send"), " HERE... [THERE]");
        assert_eq!(next("send a "), "[THERE]");
        assert_eq!(next("send -d a "), "[THERE]");
        assert_eq!(next("send -n "), "PATH");
        for nothing in ["", "sen", "send a", "send 'a ", "send a # b ", "!ls ", "lcd "] {
            assert_eq!(next(nothing), "", "{nothing}");
        }
        assert_eq!(next("sned "), "(no such verb; did you mean send?)");
        assert_eq!(next("frobnicate "), "(no such verb)");
    }

    #[test]
    fn the_history_comes_first_and_is_all_that_can_be_taken_over() {
        let mut history = FileBackedHistory::new(10).unwrap();
        history.save(HistoryItem::from_command_line("send a.txt there")).unwrap();
        history.save(HistoryItem::from_command_line("send b\x1b[2J")).unwrap();
        let mut hints = hints();
        let mut of = |line: &str| {
            let shown = hints.handle(line, line.len(), &history, false, "");
            (shown, hints.complete_hint(), hints.next_hint_token())
        };
        assert_eq!(of("send a"), (".txt there".into(), ".txt there".into(), ".txt".into()));
        assert_eq!(of("send x "), ("[THERE]".into(), String::new(), String::new()));
        // What would move the cursor is not shown, whoever wrote it into the file.
        assert_eq!(of("send b"), (String::new(), String::new(), String::new()));
        assert_eq!(hints.handle("send a", 2, &history, false, ""), "");
    }
}
