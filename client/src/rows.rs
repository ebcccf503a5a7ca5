//! The rows of one request, printed: as objects for programs, laid out for people.

use ferry_core::reply::{ColumnKind, Value};
use ferry_core::wire::message::{ColumnInfo, Rows};
use serde_json::{Map, Value as Json};

use crate::exit::{Failure, Result};
use crate::render::{Output, insert_bytes, line};
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
        let is_at_once = table.needs_no_gathering(&self.output.look());
        for row in rows.rows {
            let Some(table) = &mut self.table else { break };
            self.gathered_bytes += row.iter().filter_map(Value::as_bytes).map(<[u8]>::len).sum::<usize>();
            table.push(row);
            if table.len() * table.columns().len().max(1) >= GATHERED_CELLS_MAX || self.gathered_bytes > GATHERED_MAX_BYTES {
                self.flush()?;
            }
        }
        if is_at_once { self.flush() } else { Ok(()) }
    }

    /// Prints what was gathered.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn flush(&mut self) -> Result<()> {
        self.gathered_bytes = 0;
        match &mut self.table {
            Some(table) if !table.is_empty() => {
                let text = table.take_text(&self.output.look());
                self.output.contents(text.as_bytes())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::output;
    use ferry_core::reply::Layout;

    fn rows() -> Rows {
        let column = |name: &str, kind, hidden| ColumnInfo {
            name: name.into(),
            kind,
            hidden,
            share: None,
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
    fn rows_without_columns_are_not_understood() {
        let (output, ..) = output(false);
        let rows = Rows { columns: None, ..rows() };
        assert_eq!(
            RowPrinter::new(&output).rows(rows).unwrap_err().exit,
            crate::exit::Exit::Protocol
        );
    }
}
