//! Arguments by their part in a transfer.

use ferry_core::VerbInfo;
pub use ferry_core::args::{ArgKind, Role};
use ferry_core::line::{Call, Word};

/// The place of the verb's argument with that part.
pub fn arg_of(verb: &VerbInfo, role: Role) -> Option<usize> {
    verb.args.iter().position(|arg| arg.role == role)
}

/// The words given for the argument with that part.
pub fn words_of<'c>(verb: &VerbInfo, call: &'c Call, role: Role) -> &'c [Word] {
    arg_of(verb, role).map_or(&[], |at| call.values[at].as_slice())
}

/// The first word given for the argument with that part.
pub fn word_of<'c>(verb: &VerbInfo, call: &'c Call, role: Role) -> Option<&'c Word> {
    words_of(verb, call, role).first()
}

/// Whether the switch with that part is given.
pub fn is_given(verb: &VerbInfo, call: &Call, role: Role) -> bool {
    word_of(verb, call, role).is_some()
}

/// Replaces the words of the argument with that part, when the verb has one.
pub fn set(verb: &VerbInfo, call: &mut Call, role: Role, words: Vec<Word>) {
    if let Some(at) = arg_of(verb, role) {
        call.values[at] = words;
    }
}

/// A word that is taken as it is.
pub fn literal(text: impl Into<Vec<u8>>) -> Word {
    Word {
        text: text.into(),
        pattern: None,
    }
}
