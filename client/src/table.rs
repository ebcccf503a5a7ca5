//! Rows as text for people: tables, lists and records. Pure: from values to lines.

use console::measure_text_width;
use ferry_core::ByteSize;
use ferry_core::reply::{ColumnKind, Layout, Value};
use ferry_core::text::escape;
use ferry_core::wire::message::ColumnInfo;

use crate::time::timestamp;

/// What stands between two columns.
const GAP: &str = "  ";
/// The widest that a cell makes its column, in characters: as wide as a name can be. What is longer stands out instead of costing
/// every other row as many blanks.
const CELL_MAX_WIDTH: usize = 255;

/// A value as people read it, harmless on a terminal.
pub fn cell(kind: ColumnKind, value: &Value) -> String {
    match (kind, value) {
        (_, Value::Nil) => "-".to_owned(),
        (ColumnKind::HumanSize, value) if value.as_u64().is_some() => ByteSize(value.as_u64().unwrap_or_default()).to_string(),
        (ColumnKind::Time, value) if value.as_i64().is_some() => timestamp(value.as_i64().unwrap_or_default()),
        (_, Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        (_, Value::Int(n)) => n.to_string(),
        (_, Value::Uint(n)) => n.to_string(),
        (_, Value::Text(text)) => escape(text.as_bytes()),
        (_, Value::Bytes(bytes)) => escape(bytes),
    }
}

fn is_number(kind: ColumnKind) -> bool {
    matches!(kind, ColumnKind::Size | ColumnKind::HumanSize | ColumnKind::Count)
}

/// Lays rows out; widths only ever grow, so that later rows of one listing keep the columns of earlier ones.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<ColumnInfo>,
    layout: Layout,
    widths: Vec<usize>,
    rows: Vec<Vec<Value>>,
    has_printed: bool,
}

impl Table {
    /// A table of those columns.
    pub fn new(columns: Vec<ColumnInfo>, layout: Layout) -> Self {
        Self {
            widths: vec![0; columns.len()],
            columns,
            layout,
            ..Self::default()
        }
    }

    /// The columns, visible or not.
    pub fn columns(&self) -> &[ColumnInfo] {
        &self.columns
    }

    /// Adds a row. One that does not fit the columns is a mistake of the server: what is missing is shown as absent.
    pub fn push(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    /// How many rows wait to be laid out.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row waits.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The waiting rows as lines, each with its line break. `width` is the terminal's, when there is one.
    pub fn take_text(&mut self, width: Option<usize>) -> String {
        let rows = std::mem::take(&mut self.rows);
        let visible: Vec<usize> = (0..self.columns.len()).filter(|at| !self.columns[*at].hidden).collect();
        let cells = |row: &Vec<Value>| -> Vec<String> {
            let one = |at: &usize| cell(self.columns[*at].kind, row.get(*at).unwrap_or(&Value::Nil));
            visible.iter().map(one).collect()
        };
        let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
        let text = match self.layout {
            Layout::Table => self.table(&visible, &rows),
            Layout::List => list(&rows, width),
            Layout::Record => self.record(&visible, &rows),
        };
        self.has_printed |= !rows.is_empty();
        text
    }

    fn table(&mut self, visible: &[usize], rows: &[Vec<String>]) -> String {
        for row in rows {
            for (at, text) in visible.iter().zip(row) {
                self.widths[*at] = self.widths[*at].max(measure_text_width(text).min(CELL_MAX_WIDTH));
            }
        }
        let mut out = String::new();
        for row in rows {
            for (place, (at, text)) in visible.iter().zip(row).enumerate() {
                let is_last = place + 1 == row.len();
                let fill = self.widths[*at].saturating_sub(measure_text_width(text));
                if is_number(self.columns[*at].kind) {
                    out.extend(std::iter::repeat_n(' ', fill));
                    out.push_str(text);
                } else {
                    out.push_str(text);
                    out.extend(std::iter::repeat_n(' ', if is_last { 0 } else { fill }));
                }
                out.push_str(if is_last { "\n" } else { GAP });
            }
        }
        out
    }

    fn record(&self, visible: &[usize], rows: &[Vec<String>]) -> String {
        let name = |at: usize| escape(self.columns[at].name.as_bytes());
        let widths = visible.iter().map(|at| measure_text_width(&name(*at)).min(CELL_MAX_WIDTH));
        let width = widths.max().unwrap_or(0);
        let mut out = String::new();
        for (number, row) in rows.iter().enumerate() {
            if number > 0 || self.has_printed {
                out.push('\n');
            }
            for (at, text) in visible.iter().zip(row) {
                let name = name(*at);
                out.push_str(&name);
                out.extend(std::iter::repeat_n(' ', width.saturating_sub(measure_text_width(&name))));
                out.push_str(GAP);
                out.push_str(text);
                out.push('\n');
            }
        }
        out
    }
}

/// One value a line, or on a terminal as many side by side as fit, read downward as `ls` does it.
fn list(rows: &[Vec<String>], width: Option<usize>) -> String {
    let words: Vec<String> = rows.iter().map(|row| row.join(GAP)).collect();
    let lengths: Vec<usize> = words.iter().map(|word| measure_text_width(word)).collect();
    let lines = width.map_or(words.len(), |width| lines_needed(&lengths, width));
    let mut out = String::new();
    for line in 0..lines {
        let mut at = line;
        while at < words.len() {
            out.push_str(&words[at]);
            let next = at + lines;
            if next < words.len() {
                let column = &lengths[at - line..(at - line + lines).min(lengths.len())];
                let column = column.iter().copied().max().unwrap_or(0);
                out.extend(std::iter::repeat_n(' ', column - lengths[at] + GAP.len()));
            }
            at = next;
        }
        out.push('\n');
    }
    out
}

/// The fewest lines whose columns fit the terminal.
fn lines_needed(lengths: &[usize], width: usize) -> usize {
    let fits = |lines: usize| {
        let columns = lengths.chunks(lines);
        let gaps = GAP.len() * columns.len().saturating_sub(1);
        columns.map(|column| column.iter().copied().max().unwrap_or(0)).sum::<usize>() + gaps <= width
    };
    // A terminal of `width` holds no more than so many columns, so fewer lines than this need no try.
    let least = lengths.len().div_ceil(width / (GAP.len() + 1) + 1).max(1);
    (least..lengths.len()).find(|lines| fits(*lines)).unwrap_or(lengths.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: ColumnKind, hidden: bool) -> ColumnInfo {
        ColumnInfo {
            name: name.into(),
            kind,
            hidden,
        }
    }

    #[test]
    fn numbers_stand_right_and_the_last_column_is_not_padded() {
        let columns = vec![
            column("size", ColumnKind::Size, false),
            column("secret", ColumnKind::Text, true),
            column("kind", ColumnKind::Text, false),
            column("name", ColumnKind::Path, false),
        ];
        let mut table = Table::new(columns, Layout::Table);
        table.push(vec![Value::Uint(5), "x".into(), "file".into(), "a".into()]);
        table.push(vec![Value::Uint(1234), "x".into(), "d".into(), "a\x1b[2Jb".into()]);
        assert_eq!(table.take_text(None), "   5  file  a\n1234  d     a\\x1b[2Jb\n");
        table.push(vec![Value::Nil, "x".into(), "file".into(), "z".into()]);
        assert_eq!(table.take_text(None), "   -  file  z\n");
    }

    #[test]
    fn one_endless_cell_does_not_widen_all_others() {
        let columns = || vec![column("a", ColumnKind::Text, false), column("b", ColumnKind::Size, false)];
        for layout in [Layout::Table, Layout::List, Layout::Record] {
            let mut table = Table::new(columns(), layout);
            table.push(vec!["x".repeat(60_000).as_str().into(), Value::Uint(1)]);
            for _ in 0..1000 {
                table.push(vec!["y".into(), Value::Uint(2)]);
            }
            assert!(table.take_text(None).len() < 60_000 + 1000 * 300);
        }
    }

    #[test]
    fn a_row_shorter_than_its_columns_does_no_harm() {
        let mut table = Table::new(
            vec![column("a", ColumnKind::Text, false), column("b", ColumnKind::Size, false)],
            Layout::Table,
        );
        table.push(vec!["x".into()]);
        assert_eq!(table.take_text(None), "x  -\n");
    }

    #[test]
    fn a_list_fills_the_terminal_and_is_one_a_line_elsewhere() {
        let mut table = Table::new(vec![column("name", ColumnKind::Path, false)], Layout::List);
        let fill = |table: &mut Table| {
            for name in ["one", "two", "three", "four", "five"] {
                table.push(vec![name.into()]);
            }
        };
        fill(&mut table);
        assert_eq!(table.take_text(None), "one\ntwo\nthree\nfour\nfive\n");
        fill(&mut table);
        assert_eq!(table.take_text(Some(18)), "one  three  five\ntwo  four\n");
        fill(&mut table);
        assert_eq!(table.take_text(Some(3)), "one\ntwo\nthree\nfour\nfive\n");
    }

    #[test]
    fn records_name_their_values() {
        let columns = vec![
            column("limit", ColumnKind::HumanSize, false),
            column("user", ColumnKind::Text, false),
        ];
        let mut table = Table::new(columns, Layout::Record);
        table.push(vec![Value::Uint(1 << 20), "al".into()]);
        table.push(vec![Value::Nil, "bo".into()]);
        assert_eq!(table.take_text(None), "limit  1.0 MiB\nuser   al\n\nlimit  -\nuser   bo\n");
    }
}
