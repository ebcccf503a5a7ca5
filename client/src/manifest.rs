//! The list of what is in a remote folder: rows of known columns, kept until the files are asked for.

use ferry_core::reply::Value;
use ferry_core::wire::message::{ColumnInfo, Rows};
use ferry_core::{Error, ErrorKind};

use crate::exit::{Failure, Result};

/// The most entries of one folder tree.
const ENTRIES_MAX: usize = 1_000_000;

/// Something in a remote folder. Its path is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the folder.
    pub path: Vec<u8>,
    /// `file`, `dir`, or something that is not fetched.
    pub kind: String,
    /// Bytes.
    pub size: u64,
    /// Last change of the contents, in nanoseconds since 1970-01-01 UTC.
    pub modified: Option<i64>,
}

/// A list being received.
#[derive(Debug, Default)]
pub struct Manifest {
    columns: Vec<ColumnInfo>,
    entries: Vec<Entry>,
}

impl Manifest {
    /// Takes some rows in.
    ///
    /// # Errors
    /// `too_large` for more entries than any folder should have; exit code 12 for rows that are no list.
    pub fn add(&mut self, rows: Rows) -> Result<()> {
        if let Some(columns) = rows.columns {
            self.columns = columns;
        }
        let column = |name: &str| self.columns.iter().position(|column| column.name == name);
        let (Some(path), Some(kind), Some(size), modified) = (column("path"), column("kind"), column("size"), column("modified"))
        else {
            return Err(Failure::unexpected("rows that are no list of a folder"));
        };
        if self.entries.len() + rows.rows.len() > ENTRIES_MAX {
            let text = format!("the folder has more than {ENTRIES_MAX} entries");
            return Err(Error::new(ErrorKind::TooLarge, text)
                .hint("fetch the folders in it one by one")
                .into());
        }
        for row in &rows.rows {
            let bytes = |at: usize| row.get(at).and_then(Value::as_bytes);
            let (Some(path), Some(kind)) = (bytes(path), bytes(kind)) else {
                return Err(Failure::unexpected("an entry without a path"));
            };
            self.entries.push(Entry {
                path: path.to_vec(),
                kind: String::from_utf8_lossy(kind).into_owned(),
                size: row.get(size).and_then(Value::as_u64).unwrap_or_default(),
                modified: modified.and_then(|at| row.get(at)).and_then(Value::as_i64),
            });
        }
        Ok(())
    }

    /// The entries in the order in which the server told them.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}
