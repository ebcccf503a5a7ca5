//! What came of a line, as a program and as a person would see it.

use std::collections::BTreeMap;

use ferry_core::store::FileInfo;
use ferry_core::wire::message::{Begin, ColumnInfo, End, Problem};
use ferry_core::{Layout, RemotePath, Value};

/// What came of a line. Two can be compared: which request they were of is left out.
///
/// ```
/// use ferry_testkit::{Harness, example::Names};
///
/// let output = Harness::of::<Names>().furnish().ok("names");
/// assert_eq!(output.columns[0].name, "name");
/// assert_eq!(output.rows.len(), 2);
/// assert!(output.problems.is_empty() && output.text.is_none());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// How the rows are shown.
    pub layout: Layout,
    /// What the rows are made of.
    pub columns: Vec<ColumnInfo>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
    /// Text for people.
    pub text: Option<String>,
    /// What went wrong on the way.
    pub problems: Vec<Problem>,
    /// How the body started.
    pub begin: Option<Begin>,
    /// The body that the verb sent.
    pub body: Vec<u8>,
    /// How the body that the verb sent ended.
    pub end: Option<End>,
    /// The file that was written or read.
    pub file: Option<FileInfo>,
    /// The working folder from now on, when it is a new one.
    pub cwd: Option<RemotePath>,
}

impl Output {
    /// The rows as a program sees them: values by column.
    ///
    /// ```
    /// # use ferry_testkit::{Harness, example::Names};
    /// let output = Harness::of::<Names>().furnish().ok("names docs");
    /// assert_eq!(output.maps()[0]["size"], &ferry_core::Value::Uint(12));
    /// ```
    pub fn maps(&self) -> Vec<BTreeMap<&str, &Value>> {
        let names = || self.columns.iter().map(|column| column.name.as_str());
        self.rows.iter().map(|row| names().zip(row).collect()).collect()
    }

    /// The values of one column; empty when there is no such column.
    ///
    /// ```
    /// # use ferry_testkit::{Harness, example::Names};
    /// let output = Harness::of::<Names>().furnish().ok("names docs");
    /// assert_eq!(output.column("size"), [ferry_core::Value::Uint(12)]);
    /// assert!(output.column("colour").is_empty());
    /// ```
    pub fn column(&self, name: &str) -> Vec<Value> {
        let at = self.columns.iter().position(|column| column.name == name);
        at.map_or_else(Vec::new, |at| self.rows.iter().map(|row| row[at].clone()).collect())
    }

    /// The values of one column as text: numbers in decimal, names as they are, nothing as `-`.
    ///
    /// ```
    /// # use ferry_testkit::{Harness, example::Names};
    /// let output = Harness::of::<Names>().furnish().ok("names");
    /// assert_eq!(output.texts("name"), ["docs", "hello.txt"]);
    /// ```
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.column(name).iter().map(text).collect()
    }

    /// What people see of the rows: one line each, visible values two blanks apart.
    ///
    /// ```
    /// # use ferry_testkit::{Harness, example::Names};
    /// let output = Harness::of::<Names>().furnish().ok("names");
    /// assert_eq!(output.lines(), ["docs", "hello.txt"], "the size is for programs");
    /// ```
    pub fn lines(&self) -> Vec<String> {
        let visible = |row: &Vec<Value>| {
            let shown = row.iter().zip(&self.columns).filter(|(_, column)| !column.hidden);
            shown.map(|(value, _)| text(value)).collect::<Vec<_>>().join("  ")
        };
        self.rows.iter().map(visible).collect()
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Nil => "-".to_owned(),
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Uint(v) => v.to_string(),
        Value::Text(v) => v.clone(),
        Value::Bytes(v) => ferry_core::text::escape(v),
    }
}
