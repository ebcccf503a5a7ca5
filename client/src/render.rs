//! What the user sees: the one room that writes to standard output and standard error.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferry_core::reply::{ColumnKind, Value};
use ferry_core::text::escape;
use ferry_core::wire::message::{ColumnInfo, Rows};
use ferry_core::{Error, RemotePath};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde_json::{Map, Value as Json, json};

use crate::exit::{Failure, Result};
use crate::table::Table;
use crate::time::rfc3339;

/// Cells gathered for one layout, those that a row lacks included. More are shown in several goes, whose columns may not stand
/// exactly below each other. A cell is no wider than a name, so this bounds what is laid out at once to 4 MiB.
const GATHERED_CELLS_MAX: usize = 16 * 1024;
/// What the gathered cells may weigh, in bytes.
const GATHERED_MAX_BYTES: usize = 1 << 20;
/// The most columns: as many as one map may have keys, which a row is in JSON.
const COLUMNS_MAX: usize = ferry_core::wire::MAP_MAX_KEYS;
/// Lines are written together up to about so many bytes.
const WRITTEN_BYTES: usize = 64 * 1024;

/// Where things are printed, and how.
pub struct Output {
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    /// The progress bars, which make room for everything that is printed.
    pub bars: MultiProgress,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Whether standard output is a terminal.
    pub is_terminal: bool,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output(json: {}, is_terminal: {})", self.json, self.is_terminal)
    }
}

fn lock<T: ?Sized>(stream: &Mutex<T>) -> MutexGuard<'_, T> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Output {
    /// The process's own streams.
    pub fn standard(json: bool) -> Self {
        Self {
            out: Mutex::new(Box::new(io::stdout())),
            err: Mutex::new(Box::new(io::stderr())),
            bars: MultiProgress::new(),
            json,
            is_terminal: io::stdout().is_terminal(),
        }
    }

    /// Other streams.
    pub fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, json: bool) -> Self {
        Self {
            out: Mutex::new(out),
            err: Mutex::new(err),
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
            json,
            is_terminal: false,
        }
    }

    /// Writes contents to standard output as they are.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn contents(&self, bytes: &[u8]) -> Result<()> {
        let mut out = lock(&self.out);
        let mut write = || out.write_all(bytes).and_then(|()| out.flush());
        let written = if self.is_terminal { self.bars.suspend(write) } else { write() };
        written.map_err(|error| Failure::output(&error))
    }

    /// Writes a JSON object to standard output.
    ///
    /// # Errors
    /// As [`Self::contents`].
    pub fn object(&self, object: &Json) -> Result<()> {
        self.contents(line(object).as_bytes())
    }

    /// Writes a line for people to standard error. Nobody reading there is no failure.
    pub fn note(&self, line: &str) {
        let _ = self.bars.suspend(|| writeln!(lock(&self.err), "{line}"));
    }

    /// Writes what stands in front of a line that the user types.
    pub fn prompt(&self, text: &str) {
        let mut err = lock(&self.err);
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }

    /// Writes text that a verb answered with. Line breaks and tabs stay; everything else that could move a cursor does not.
    ///
    /// # Errors
    /// As [`Self::contents`].
    pub fn text(&self, text: &str) -> Result<()> {
        if self.json {
            return self.object(&json!({"event": "text", "text": text}));
        }
        let mut safe = String::with_capacity(text.len() + 1);
        for line in text.split_inclusive('\n') {
            let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
            let parts: Vec<String> = line.split('\t').map(|part| escape(part.as_bytes())).collect();
            safe.push_str(&parts.join("\t"));
            safe.push_str(end);
        }
        if !safe.ends_with('\n') {
            safe.push('\n');
        }
        self.contents(safe.as_bytes())
    }

    /// Tells an error: as an object on standard output, or as text on standard error.
    ///
    /// # Errors
    /// As [`Self::contents`].
    pub fn error(&self, error: &Error) -> Result<()> {
        if self.json {
            let mut object = Map::new();
            object.insert("event".into(), "error".into());
            object.insert("kind".into(), error.kind.as_str().into());
            object.insert("message".into(), Json::String(error.message.to_string()));
            object.insert(
                "hint".into(),
                error.hint.as_ref().map_or(Json::Null, |hint| hint.to_string().into()),
            );
            insert_path(&mut object, "path", error.path.as_ref());
            return self.object(&Json::Object(object));
        }
        let mut text = format!("ferry: error {}: {}\n", error.kind, error.message);
        if let Some(hint) = &error.hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        let _ = self.bars.suspend(|| lock(&self.err).write_all(text.as_bytes()));
        Ok(())
    }

    /// Tells that the connection was lost, and when it is tried again.
    ///
    /// # Errors
    /// As [`Self::contents`].
    pub fn retry(&self, error: &Error, pause: Duration) -> Result<()> {
        if self.json {
            let after = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            let kind = error.kind.as_str();
            return self.object(&json!({"event": "retry", "kind": kind, "message": error.message, "after_ms": after}));
        }
        let seconds = pause.as_secs_f32();
        self.note(&format!(
            "ferry: connection lost ({}); trying again in {seconds:.1} s",
            error.message
        ));
        Ok(())
    }

    /// Tells a failure that was not told yet.
    ///
    /// # Errors
    /// As [`Self::contents`].
    pub fn failure(&self, failure: &mut Failure) -> Result<()> {
        if std::mem::replace(&mut failure.told, true) {
            return Ok(());
        }
        self.error(&failure.error)
    }

    /// The terminal's width, when standard output is one.
    fn width(&self) -> Option<usize> {
        self.is_terminal.then(|| usize::from(console::Term::stdout().size().1))
    }
}

/// An object as a line. What JSON leaves as it is and a terminal would act on is escaped in the way that JSON has for it, so the
/// object stays the same.
fn line(object: &Json) -> String {
    let mut text = object.to_string();
    if escape(text.as_bytes()) != text {
        let mut safe = String::with_capacity(text.len() + 16);
        for c in text.chars() {
            let mut utf8 = [0; 4];
            let own: &str = c.encode_utf8(&mut utf8);
            if escape(own.as_bytes()) == own || c == '\\' {
                safe.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        }
        text = safe;
    }
    text.push('\n');
    text
}

/// Puts a path into an object; null when there is none.
pub fn insert_path(object: &mut Map<String, Json>, key: &str, path: Option<&RemotePath>) {
    match path {
        None => drop(object.insert(key.into(), Json::Null)),
        Some(path) => insert_bytes(object, key, &path.0),
    }
}

/// Puts bytes into an object. JSON has no bytes: those that are no UTF-8 are U+FFFD, and the key `KEY_hex` has all of them.
fn insert_bytes(object: &mut Map<String, Json>, key: &str, bytes: &[u8]) {
    object.insert(key.into(), String::from_utf8_lossy(bytes).into());
    if std::str::from_utf8(bytes).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        object.insert(format!("{key}_hex"), hex.into());
    }
}

/// A row as an object: every column, shown or not.
fn row_object(columns: &[ColumnInfo], row: &[Value]) -> Json {
    let mut object = Map::new();
    for (at, column) in columns.iter().enumerate() {
        let key = column.name.as_str();
        let value = match row.get(at).unwrap_or(&Value::Nil) {
            Value::Nil => Json::Null,
            Value::Bool(yes) => (*yes).into(),
            value if column.kind == ColumnKind::Time && value.as_i64().is_some() => {
                rfc3339(value.as_i64().unwrap_or_default()).into()
            }
            Value::Int(n) => (*n).into(),
            Value::Uint(n) => (*n).into(),
            Value::Text(text) => text.as_str().into(),
            Value::Bytes(bytes) => {
                insert_bytes(&mut object, key, bytes);
                continue;
            }
        };
        object.insert(key.into(), value);
    }
    Json::Object(object)
}

/// Prints the rows of one request.
#[derive(Debug)]
pub struct RowPrinter<'o> {
    output: &'o Output,
    table: Option<Table>,
    /// What the rows weigh that wait.
    gathered_bytes: usize,
}

impl<'o> RowPrinter<'o> {
    /// A printer without rows.
    pub fn new(output: &'o Output) -> Self {
        Self {
            output,
            table: None,
            gathered_bytes: 0,
        }
    }

    /// Takes some rows; prints them at once where their layout allows.
    ///
    /// # Errors
    /// When standard output is closed or full; exit code 12 for rows without columns.
    pub fn rows(&mut self, rows: Rows) -> Result<()> {
        if let Some(columns) = rows.columns {
            self.flush()?;
            if columns.len() > COLUMNS_MAX {
                return Err(Failure::unexpected(&format!("rows of {} columns", columns.len())));
            }
            self.table = Some(Table::new(columns, rows.layout));
        }
        let Some(table) = &mut self.table else {
            return Err(Failure::unexpected("rows without columns"));
        };
        if self.output.json {
            let mut lines = String::new();
            for row in &rows.rows {
                lines.push_str(&line(&row_object(table.columns(), row)));
                // A row of nothing is one byte, and a line with all names of its columns.
                if lines.len() > WRITTEN_BYTES {
                    self.output.contents(std::mem::take(&mut lines).as_bytes())?;
                }
            }
            return self.output.contents(lines.as_bytes());
        }
        for row in rows.rows {
            let Some(table) = &mut self.table else { break };
            self.gathered_bytes += row.iter().filter_map(Value::as_bytes).map(<[u8]>::len).sum::<usize>();
            table.push(row);
            if table.len() * table.columns().len().max(1) >= GATHERED_CELLS_MAX || self.gathered_bytes > GATHERED_MAX_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Prints what was gathered.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn flush(&mut self) -> Result<()> {
        self.gathered_bytes = 0;
        match &mut self.table {
            Some(table) if !table.is_empty() => {
                let text = table.take_text(self.output.width());
                self.output.contents(text.as_bytes())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ferry_core::ErrorKind;
    use ferry_core::reply::Layout;
    use std::sync::Arc;

    /// A stream that a test can read.
    #[derive(Clone, Default)]
    pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(lock(&self.0).clone()).unwrap()
        }
    }

    pub(crate) fn output(json: bool) -> (Output, Shared, Shared) {
        let (out, err) = (Shared::default(), Shared::default());
        (Output::to(Box::new(out.clone()), Box::new(err.clone()), json), out, err)
    }

    fn rows() -> Rows {
        let column = |name: &str, kind, hidden| ColumnInfo {
            name: name.into(),
            kind,
            hidden,
        };
        Rows {
            id: 1,
            columns: Some(vec![
                column("name", ColumnKind::Path, false),
                column("modified", ColumnKind::Time, true),
            ]),
            layout: Layout::List,
            rows: vec![
                vec![Value::Bytes(b"a\xff".to_vec()), Value::Uint(0)],
                vec!["b".into(), Value::Nil],
            ],
        }
    }

    #[test]
    fn programs_get_every_column_and_every_byte() {
        let (output, out, _) = output(true);
        RowPrinter::new(&output).rows(rows()).unwrap();
        assert_eq!(
            out.text(),
            "{\"modified\":\"1970-01-01T00:00:00Z\",\"name\":\"a\u{fffd}\",\"name_hex\":\"61ff\"}\n{\"modified\":null,\"name\":\"b\"}\n"
        );
    }

    #[test]
    fn people_get_what_is_visible() {
        let (output, out, _) = output(false);
        let mut printer = RowPrinter::new(&output);
        printer.rows(rows()).unwrap();
        printer.flush().unwrap();
        assert_eq!(out.text(), "a\\xff\nb\n");
    }

    #[test]
    fn errors_are_text_on_standard_error_or_objects_on_standard_output() {
        let error = || {
            Error::new(ErrorKind::OverQuota, "a: too much")
                .hint("remove something")
                .at("a")
        };
        let (text, out, err) = output(false);
        text.error(&error()).unwrap();
        assert_eq!(
            (out.text().as_str(), err.text().as_str()),
            ("", "ferry: error over_quota: a: too much\nhint: remove something\n")
        );
        let (text, out, err) = output(true);
        text.error(&error()).unwrap();
        assert_eq!(err.text(), "");
        let object: Json = serde_json::from_str(&out.text()).unwrap();
        assert_eq!(
            object,
            json!({"event": "error", "kind": "over_quota", "message": "a: too much", "hint": "remove something", "path": "a"})
        );
    }

    #[test]
    fn a_text_keeps_its_lines_and_loses_its_claws() {
        let (output, out, _) = output(false);
        output.text("a\tb\n\x1b[2Jc").unwrap();
        assert_eq!(out.text(), "a\tb\n\\x1b[2Jc\n");
    }

    #[test]
    fn rows_without_columns_are_not_understood() {
        let (output, ..) = output(false);
        let rows = Rows { columns: None, ..rows() };
        assert_eq!(
            RowPrinter::new(&output).rows(rows).unwrap_err().exit,
            crate::exit::Exit::Protocol
        );
    }
}
