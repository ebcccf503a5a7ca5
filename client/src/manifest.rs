//! The list of what is in a remote folder: rows of known columns, kept until the files are asked for.

use ferry_core::path::PATH_MAX_BYTES;
use ferry_core::reply::Value;
use ferry_core::wire::message::{ColumnInfo, Rows};
use ferry_core::{Error, ErrorKind};

use crate::exit::{Failure, Result};

/// The most entries of one folder tree.
const ENTRIES_MAX: usize = 1_000_000;
/// The most bytes of all their paths and kinds: 268 for each of so many entries. A million of the longest paths would be 4 GiB.
const TEXTS_MAX_BYTES: usize = 256 << 20;

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
#[derive(Debug)]
pub struct Manifest {
    columns: Vec<ColumnInfo>,
    entries: Vec<Entry>,
    /// How many bytes of paths and kinds it may still take in.
    room_bytes: usize,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            entries: Vec::new(),
            room_bytes: TEXTS_MAX_BYTES,
        }
    }
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
            return Err(too_large(format!("the folder has more than {ENTRIES_MAX} entries")));
        }
        for row in &rows.rows {
            let bytes = |at: usize| row.get(at).and_then(Value::as_bytes);
            let (Some(path), Some(kind)) = (bytes(path), bytes(kind)) else {
                return Err(Failure::unexpected("an entry without a path"));
            };
            if path.len() > PATH_MAX_BYTES {
                return Err(Failure::unexpected(&format!("a path of {} bytes", path.len())));
            }
            let left = self.room_bytes.checked_sub(path.len() + kind.len());
            self.room_bytes = left.ok_or_else(|| too_large("the names in the folder are too long altogether".to_owned()))?;
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

fn too_large(text: String) -> Failure {
    Error::new(ErrorKind::TooLarge, text)
        .hint("fetch the folders in it one by one")
        .into()
}

#[cfg(test)]
mod tests {
    use ferry_core::reply::{Column, ColumnKind, Layout};

    use super::*;

    fn rows(paths: &[&[u8]]) -> Rows {
        let columns = ["path", "kind", "size"].map(|name| Column::new(name, ColumnKind::Text));
        let row = |path: &&[u8]| vec![Value::from(*path), "file".into(), Value::Uint(1)];
        Rows {
            id: 1,
            columns: Some(columns.iter().map(Into::into).collect()),
            layout: Layout::Table,
            rows: paths.iter().map(row).collect(),
        }
    }

    #[test]
    fn a_list_is_bounded_in_bytes_as_well_as_in_entries() {
        let mut manifest = Manifest {
            room_bytes: 3 * 14,
            ..Manifest::default()
        };
        manifest.add(rows(&[b"0123456789", b"0123456789"])).unwrap();
        manifest.add(rows(&[b"0123456789"])).unwrap();
        assert_eq!(manifest.add(rows(&[b""])).unwrap_err().error.kind, ErrorKind::TooLarge);
        assert_eq!(manifest.into_entries().len(), 3);
        let mut manifest = Manifest::default();
        let longest = vec![b'x'; PATH_MAX_BYTES];
        manifest.add(rows(&[&longest])).unwrap();
        let failure = manifest.add(rows(&[&[&longest[..], b"x"].concat()])).unwrap_err();
        assert_eq!(failure.exit.code(), 12);
    }
}
