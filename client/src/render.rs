//! What the user sees: the one room that writes to standard output and standard error.

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferry_core::text::escape;
use ferry_core::{Error, RemotePath};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde_json::{Map, Value as Json, json};

use crate::exit::{Failure, Result};
use crate::look::{Look, is_dumb};
use crate::pager::{Pager, Taken};
use crate::plain;
pub use crate::rows::RowPrinter;

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
    /// Where long answers go.
    pub pager: Pager,
    /// Whether what is printed has the terminal to itself: false for a job in the background.
    front: Arc<AtomicBool>,
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
            pager: Pager::default(),
            front: Arc::new(AtomicBool::new(true)),
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
            pager: Pager::default(),
            front: Arc::new(AtomicBool::new(true)),
        }
    }

    /// The same for a job, which is in `front` or not.
    pub(crate) fn for_job(
        &self,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        bars: MultiProgress,
        front: Arc<AtomicBool>,
    ) -> Self {
        Self {
            out: Mutex::new(out),
            err: Mutex::new(err),
            bars,
            json: self.json,
            is_terminal: self.is_terminal,
            pager: self.pager.again(),
            front,
        }
    }

    /// Whether what is printed has the terminal to itself: false for a job in the background.
    pub fn is_in_front(&self) -> bool {
        self.front.load(Ordering::Acquire)
    }

    /// Writes contents to standard output as they are.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn contents(&self, bytes: &[u8]) -> Result<()> {
        match self.pager.write(bytes) {
            Taken::Kept => Ok(()),
            Taken::Started => {
                // The terminal is the pager's now.
                let _ = self.bars.clear();
                self.bars.set_draw_target(ProgressDrawTarget::hidden());
                Ok(())
            }
            Taken::Print(bytes) => self.print(&bytes),
            Taken::Left => Err(Failure::output(&io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// A person types the commands: long answers are paged, where the terminal can do it.
    pub fn allow_pager(&self) {
        if self.is_terminal && !self.json && !is_dumb() && io::stdin().is_terminal() {
            self.pager.allow();
        }
    }

    /// What is printed from here to [`Self::end_paging`] may be paged.
    pub fn begin_paging(&self) {
        if self.is_in_front() && self.pager.is_allowed() {
            self.pager.begin(console::Term::stdout().size());
        }
    }

    /// A command is over: prints what was kept, or waits until the user has left the pager. Gives whether he left it early.
    ///
    /// # Errors
    /// As [`Self::contents`].
    pub async fn end_paging(&self) -> Result<bool> {
        let ended = self.pager.end().await;
        if ended.was_running {
            self.bars.set_draw_target(ProgressDrawTarget::stderr());
        }
        let printed = if ended.text.is_empty() {
            Ok(())
        } else {
            self.print(&ended.text)
        };
        for line in &ended.held {
            self.note(line);
        }
        printed.map(|()| ended.has_left)
    }

    fn print(&self, bytes: &[u8]) -> Result<()> {
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
        if self.pager.hold(line) {
            return;
        }
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
        let mut safe = plain::lines(text.as_bytes());
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
        self.note(&format!("ferry: error {}: {}", error.kind, error.message));
        if let Some(hint) = &error.hint {
            self.note(&format!("hint: {hint}"));
        }
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

    /// How things look on standard output.
    pub fn look(&self) -> Look {
        Look::of_standard_output(self.is_terminal)
    }
}

/// An object as a line. What JSON leaves as it is and a terminal would act on is escaped in the way that JSON has for it, so the
/// object stays the same.
pub(crate) fn line(object: &Json) -> String {
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
pub(crate) fn insert_bytes(object: &mut Map<String, Json>, key: &str, bytes: &[u8]) {
    object.insert(key.into(), String::from_utf8_lossy(bytes).into());
    if std::str::from_utf8(bytes).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        object.insert(format!("{key}_hex"), hex.into());
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ferry_core::ErrorKind;
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
}
