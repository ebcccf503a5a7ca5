//! Fields of a text line, written as `tracing-subscriber` writes them, and in a third of the time: an audit line has ten of them, and there is one for
//! each request. What needs escaping, and whatever is no plain word or number, is left to it.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, DefaultVisitor, Writer};

/// Writes `name=value` for each field, strings in quotes.
#[derive(Debug)]
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        if writer.has_ansi_escapes() {
            return DefaultFields::new().format_fields(writer, fields);
        }
        let mut plain = Plain {
            writer,
            is_first: true,
            result: Ok(()),
        };
        fields.record(&mut plain);
        plain.result
    }
}

struct Plain<'w> {
    writer: Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

impl Plain<'_> {
    /// Writes a field whose value stands for itself.
    fn field(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let writer = &mut self.writer;
        let mut write = || {
            if !self.is_first {
                writer.write_char(' ')?;
            }
            writer.write_str(field.name())?;
            writer.write_char('=')
        };
        self.result = self.result.and_then(|()| write()).and_then(|()| value(writer));
        self.is_first = false;
    }

    /// Has a field written by the library.
    fn theirs(&mut self, write: impl FnOnce(&mut DefaultVisitor<'_>)) {
        write(&mut DefaultVisitor::new(self.writer.by_ref(), self.is_first));
        self.is_first = false;
    }
}

/// Whether a string is the same in quotes and escaped.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

fn is_special(field: &Field) -> bool {
    // The message has no name, and some names are written otherwise, or not at all.
    field.name() == "message" || ["r#", "log."].iter().any(|start| field.name().starts_with(start))
}

impl Visit for Plain<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if is_special(field) || !is_plain(value) {
            return self.theirs(|theirs| theirs.record_str(field, value));
        }
        self.field(field, |writer| {
            writer.write_char('"')?;
            writer.write_str(value)?;
            writer.write_char('"')
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match is_special(field) {
            true => self.theirs(|theirs| theirs.record_u64(field, value)),
            false => self.field(field, |writer| write!(writer, "{value}")),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.theirs(|theirs| theirs.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.theirs(|theirs| theirs.record_debug(field, value));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `work` logs with our fields, and with those of `tracing-subscriber`.
    fn both(is_ansi: bool, work: impl Fn()) -> [String; 2] {
        let (ours, theirs) = (Sink::default(), Sink::default());
        let (to_ours, to_theirs) = (ours.clone(), theirs.clone());
        let log = || tracing_subscriber::fmt().without_time().with_ansi(is_ansi);
        let log_ours = log().fmt_fields(Fields).with_writer(move || to_ours.clone());
        tracing::subscriber::with_default(log_ours.finish(), &work);
        let log_theirs = log().with_writer(move || to_theirs.clone());
        tracing::subscriber::with_default(log_theirs.finish(), &work);
        [ours, theirs].map(|sink| String::from_utf8(sink.0.lock().unwrap().clone()).unwrap())
    }

    #[test]
    fn lines_are_those_of_the_library() {
        let texts = [
            "", "plain", "a b", "\"", "\\", "'", "\n", "\x1b[2J", "\u{202e}", "\u{9b}", "ä", "\0", "~", "\x7f", "=", "\t",
        ];
        for is_ansi in [false, true] {
            for text in texts {
                let error = io::Error::other(text);
                let [ours, theirs] = both(is_ansi, || {
                    tracing::info!(first = text, second = text);
                    tracing::info!(
                        first = 7_u64,
                        bytes = u64::MAX,
                        id = Some(text),
                        none = None::<&str>,
                        flag = true,
                        "said {text}"
                    );
                    tracing::warn!(%error, debug = ?text, signed = -3, source = &error as &dyn std::error::Error, "{text}");
                    tracing::error!("{text}");
                    tracing::error!(r#type = text, log.line = text, message = text);
                });
                assert_eq!(ours, theirs, "{text:?}");
            }
        }
    }
}
