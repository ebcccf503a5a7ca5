//! Command lines: from what a user types to the arguments of a request, by the catalogue alone.

use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeMap as _, SerializeSeq as _};

use crate::args::ArgKind;
use crate::catalog::{ArgInfo, VerbInfo};
use crate::error::{Error, Result};
use crate::path::serialize_name;
use crate::size::ByteSize;
use crate::text::{did_you_mean, escape};

mod words;

pub use words::{PATTERN_MAX_BYTES, Pattern, Word, quote, split};

/// A verb's arguments as words, by the place of each argument in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The words of each argument; a switch that is given has one.
    pub values: Vec<Vec<Word>>,
}

/// Sorts words into a verb's arguments. Options may stand anywhere before `--`; one-letter switches can be joined. Of several
/// positional arguments the repeated one takes what the others leave, as with `cp FROM... TO`.
///
/// # Errors
/// `bad_request`, naming the word, with the usage or a near option as a hint.
pub fn parse(verb: &VerbInfo, words: &[Word]) -> Result<Call> {
    let mut call = Call {
        values: vec![Vec::new(); verb.args.len()],
    };
    let mut positional: Vec<Word> = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.text.as_slice() {
            b"--" => positional.extend(words.by_ref().cloned()),
            [b'-', b'-', ..] => long_option(verb, word, &mut words, &mut call)?,
            [b'-', _, ..] => short_options(verb, word, &mut words, &mut call)?,
            _ => positional.push(word.clone()),
        }
    }
    place(verb, positional, &mut call)?;
    for (arg, values) in verb.args.iter().zip(&call.values) {
        if arg.required && values.is_empty() {
            return Err(wrong(verb, format!("{} is missing", label(arg))));
        }
        for value in values {
            check_value(verb, arg, value)?;
        }
    }
    Ok(call)
}

fn wrong(verb: &VerbInfo, text: impl fmt::Display) -> Error {
    Error::bad_request(format!("{}: {text}", verb.name)).hint(format!("usage: {}", verb.usage()))
}

fn label(arg: &ArgInfo) -> String {
    if arg.is_option {
        format!("--{}", arg.long())
    } else {
        arg.name.to_uppercase()
    }
}

fn long_option<'w>(verb: &VerbInfo, word: &Word, rest: &mut impl Iterator<Item = &'w Word>, call: &mut Call) -> Result<()> {
    let body = &word.text[2..];
    let cut = body.iter().position(|byte| *byte == b'=');
    let name = String::from_utf8_lossy(&body[..cut.unwrap_or(body.len())]).into_owned();
    let Some(index) = verb.args.iter().position(|arg| arg.is_option && arg.long() == name) else {
        let all: Vec<String> = verb.args.iter().filter(|arg| arg.is_option).map(ArgInfo::long).collect();
        let error = wrong(verb, format!("unknown option `--{}`", escape(name.as_bytes())));
        return Err(match did_you_mean(&name, all.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `--{near}`?")),
            None => error,
        });
    };
    let value = cut.map(|cut| Word {
        text: body[cut + 1..].to_vec(),
        pattern: None,
    });
    give(verb, index, value, rest, call)
}

fn short_options<'w>(verb: &VerbInfo, word: &Word, rest: &mut impl Iterator<Item = &'w Word>, call: &mut Call) -> Result<()> {
    let mut rest_of_word = &word.text[1..];
    while let Some(c) = first_char(rest_of_word) {
        let index = verb.args.iter().position(|arg| arg.short == Some(c));
        let index = index.ok_or_else(|| wrong(verb, format!("unknown option `-{}`", escape(c.to_string().as_bytes()))))?;
        rest_of_word = &rest_of_word[c.len_utf8()..];
        if verb.args[index].kind == ArgKind::Flag {
            give(verb, index, None, rest, call)?;
            continue;
        }
        let value = (!rest_of_word.is_empty()).then(|| Word {
            text: rest_of_word.to_vec(),
            pattern: None,
        });
        return give(verb, index, value, rest, call);
    }
    if !rest_of_word.is_empty() {
        return Err(wrong(verb, format!("unknown option `-{}`", escape(rest_of_word))));
    }
    Ok(())
}

/// The character that some bytes start with; `None` when they are no UTF-8, or none at all.
fn first_char(bytes: &[u8]) -> Option<char> {
    bytes.utf8_chunks().next()?.valid().chars().next()
}

fn give<'w>(
    verb: &VerbInfo,
    index: usize,
    value: Option<Word>,
    rest: &mut impl Iterator<Item = &'w Word>,
    call: &mut Call,
) -> Result<()> {
    let arg = &verb.args[index];
    let values = &mut call.values[index];
    match (arg.kind, value) {
        (ArgKind::Flag, Some(_)) => return Err(wrong(verb, format!("{} takes no value", label(arg)))),
        (ArgKind::Flag, None) => *values = vec![Word::from("true")],
        (_, value) => {
            if !values.is_empty() && !arg.repeated {
                return Err(wrong(verb, format!("{} is given twice", label(arg))));
            }
            let value = value.or_else(|| rest.next().cloned());
            values.push(value.ok_or_else(|| wrong(verb, format!("{} needs a value", label(arg))))?);
        }
    }
    Ok(())
}

/// Deals positional words out to the positional arguments.
fn place(verb: &VerbInfo, words: Vec<Word>, call: &mut Call) -> Result<()> {
    let slots: Vec<usize> = (0..verb.args.len()).filter(|index| !verb.args[*index].is_option).collect();
    let repeated = slots.iter().position(|index| verb.args[*index].repeated);
    let (before, after) = match repeated {
        Some(at) => (&slots[..at], &slots[at + 1..]),
        None => (&slots[..], &slots[..0]),
    };
    let mut words = words.into_iter();
    for index in before {
        call.values[*index].extend(words.next());
    }
    if let Some(at) = repeated {
        let arg = slots[at];
        let mut rest: Vec<Word> = words.by_ref().collect();
        // What follows gets its words from the end: those it requires first, then those that the repeated one can spare.
        let required = after.iter().filter(|index| verb.args[**index].required).count();
        let keep = usize::from(verb.args[arg].required || required < after.len()).min(rest.len());
        let spare = (rest.len() - keep).min(after.len());
        let tail = rest.split_off(rest.len() - spare);
        call.values[arg] = rest;
        // Required ones are served before optional ones, each in its order.
        let mut order: Vec<usize> = after.to_vec();
        order.sort_by_key(|index| !verb.args[*index].required);
        order.truncate(spare);
        order.sort_unstable();
        for (index, word) in order.into_iter().zip(tail) {
            call.values[index].push(word);
        }
    }
    match words.next() {
        None => Ok(()),
        Some(word) => Err(wrong(verb, format!("`{}` is one argument too many", word.shown()))),
    }
}

fn check_value(verb: &VerbInfo, arg: &ArgInfo, word: &Word) -> Result<()> {
    let bad = |what: &str| Err(wrong(verb, format!("{}: `{}` is not {what}", label(arg), word.shown())));
    let text = std::str::from_utf8(&word.text).ok();
    match arg.kind {
        ArgKind::Integer if text.is_none_or(|text| integer(text).is_none()) => bad("a whole number"),
        ArgKind::Size if text.is_none_or(|text| text.parse::<ByteSize>().is_err()) => bad("a size like 10MiB"),
        ArgKind::Choice if text.is_none_or(|text| !arg.choices.iter().any(|choice| choice == text)) => {
            let near = text.and_then(|text| did_you_mean(text, arg.choices.iter().map(String::as_str)));
            match near {
                Some(near) => bad(&format!("possible; did you mean `{near}`?")),
                None => bad(&format!("one of {}", arg.choices.join(", "))),
            }
        }
        ArgKind::Text | ArgKind::Choice if text.is_none() => bad("UTF-8"),
        _ => Ok(()),
    }
}

fn integer(text: &str) -> Option<i128> {
    text.parse::<i128>()
        .ok()
        .filter(|n| *n >= i128::from(i64::MIN) && *n <= i128::from(u64::MAX))
}

impl Call {
    /// The arguments of the request: one MessagePack map, values typed as the catalogue says, arguments not given left out.
    ///
    /// # Errors
    /// `bad_request` when a word is not what its argument takes.
    pub fn encode(&self, verb: &VerbInfo) -> Result<Vec<u8>> {
        for (arg, values) in verb.args.iter().zip(&self.values) {
            for value in values {
                check_value(verb, arg, value)?;
            }
        }
        rmp_serde::to_vec_named(&Encoded { verb, call: self })
            .map_err(|error| Error::internal("arguments cannot be written").caused_by(error))
    }
}

struct Encoded<'a> {
    verb: &'a VerbInfo,
    call: &'a Call,
}

impl Serialize for Encoded<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let given: Vec<_> = self
            .verb
            .args
            .iter()
            .zip(&self.call.values)
            .filter(|(_, values)| !values.is_empty())
            .collect();
        let mut map = serializer.serialize_map(Some(given.len()))?;
        for (arg, values) in given {
            match values.as_slice() {
                [value] if !arg.repeated => map.serialize_entry(&arg.name, &Typed(arg.kind, &value.text))?,
                values => map.serialize_entry(&arg.name, &Several(arg.kind, values))?,
            }
        }
        map.end()
    }
}

struct Several<'a>(ArgKind, &'a [Word]);

impl Serialize for Several<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.1.len()))?;
        for word in self.1 {
            seq.serialize_element(&Typed(self.0, &word.text))?;
        }
        seq.end()
    }
}

struct Typed<'a>(ArgKind, &'a [u8]);

impl Serialize for Typed<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let text = std::str::from_utf8(self.1).unwrap_or_default();
        match self.0 {
            ArgKind::Flag => serializer.serialize_bool(true),
            ArgKind::Size => serializer.serialize_u64(text.parse::<ByteSize>().unwrap_or_default().0),
            ArgKind::Integer => match integer(text).unwrap_or_default() {
                n if n < 0 => serializer.serialize_i64(i64::try_from(n).unwrap_or(i64::MIN)),
                n => serializer.serialize_u64(u64::try_from(n).unwrap_or(u64::MAX)),
            },
            _ => serialize_name(self.1, serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args as _, Many};
    use crate::{Access, RemotePath, Spec};

    crate::args! {
        /// Copies.
        pub(crate) struct Copy {
            /// From.
            from: Many<RemotePath>,
            /// To.
            to: RemotePath,
            /// Times.
            #[arg(short('n'))]
            times: Option<u32>,
            /// Recursively.
            #[arg(short('r'))]
            recursive: bool,
            /// Long.
            #[arg(short('l'))]
            no_clobber: bool,
        }
    }
    crate::args! {
        /// Sends.
        pub(crate) struct Send {
            /// From.
            local: Vec<String>,
            /// To.
            remote: Option<RemotePath>,
        }
    }

    fn copy() -> VerbInfo {
        VerbInfo::new(&Spec::of::<Copy>("copy", Access::Write), "test", "1")
    }

    fn texts(call: &Call, index: usize) -> Vec<String> {
        call.values[index].iter().map(Word::shown).collect()
    }

    fn parsed(verb: &VerbInfo, line: &str) -> Result<Call> {
        parse(verb, &split(line).unwrap())
    }

    #[test]
    fn words_go_where_cp_would_put_them() {
        let verb = copy();
        let call = parsed(&verb, "a -rl 'b c' --times=3 -- -d").unwrap();
        assert_eq!(
            (texts(&call, 0), texts(&call, 1)),
            (vec!["a".into(), "b c".into()], vec!["-d".to_owned()])
        );
        assert_eq!(
            (texts(&call, 2), texts(&call, 3), texts(&call, 4)),
            (vec!["3".into()], vec!["true".into()], vec!["true".to_owned()])
        );
        let send = VerbInfo::new(&Spec::of::<Send>("send", Access::Write), "test", "1");
        let words = |line| {
            parsed(&send, line)
                .map(|call| (texts(&call, 0).len(), texts(&call, 1).len()))
                .unwrap()
        };
        assert_eq!(
            (words("a"), words("a b"), words("a b c"), words("")),
            ((1, 0), (1, 1), (2, 1), (0, 0))
        );
    }

    #[test]
    fn wrong_lines_say_what_is_wrong() {
        let verb = copy();
        for (line, want) in [
            ("a", "TO is missing"),
            ("", "FROM is missing"),
            ("a b --tims 3", "did you mean `--times`"),
            ("a b -n", "needs a value"),
            ("a b -n x", "whole number"),
            ("a b -x", "unknown option `-x`"),
            ("a b --recursive=1", "takes no value"),
            ("a b -n 1 -n 2", "given twice"),
        ] {
            let error = parsed(&verb, line).unwrap_err();
            let text = format!("{error} {}", error.hint.as_deref().unwrap_or_default());
            assert!(text.contains(want), "{line}: {text}");
        }
        assert!(split("a 'b").is_err());
    }

    #[test]
    fn what_is_parsed_here_is_decoded_there() {
        let verb = copy();
        let bytes = parsed(&verb, "a b c -n 7 -r").unwrap().encode(&verb).unwrap();
        let copy: Copy = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(
            (copy.from.len(), copy.to, copy.times, copy.recursive, copy.no_clobber),
            (2, RemotePath::from("c"), Some(7), true, false)
        );
        assert_eq!(Copy::ARGS.len(), verb.args.len());
        let send = VerbInfo::new(&Spec::of::<Send>("send", Access::Write), "test", "1");
        let bytes = parsed(&send, "a b c").unwrap().encode(&send).unwrap();
        let Send { local, remote } = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!((local, remote), (vec!["a".to_owned(), "b".to_owned()], Some("c".into())));
    }

    #[test]
    fn a_value_behind_its_letter_keeps_its_bytes() {
        let verb = copy();
        let word = |text: &[u8]| Word {
            text: text.to_vec(),
            pattern: None,
        };
        let call = parse(&verb, &[word(b"a"), word(b"b"), word(b"-rn7")]).unwrap();
        assert_eq!(
            (texts(&call, 2), texts(&call, 3)),
            (vec!["7".to_owned()], vec!["true".to_owned()])
        );
        assert_eq!(
            parse(&verb, &[word(b"a"), word(b"b"), word(b"-n\xff")]).unwrap_err().message,
            "copy: --times: `\\xff` is not a whole number"
        );
        assert!(parse(&verb, &[word(b"a"), word(b"b"), word(b"-r\xff")]).is_err());
    }
}
