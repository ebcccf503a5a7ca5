//! Rows as text for people: tables, lists and records. Pure: from values to lines.

use console::measure_text_width;
use ferry_core::ByteSize;
use ferry_core::reply::{ColumnKind, Layout, Value};
use ferry_core::text::escape;
use ferry_core::wire::message::ColumnInfo;

use crate::bar;
use crate::look::{Look, Paint};
use crate::time::{short, timestamp};

/// What stands between two columns.
const GAP: &str = "  ";
/// The widest that a cell makes its column, in characters: as wide as a name can be. What is longer stands out instead of costing
/// every other row as many blanks.
const CELL_MAX_WIDTH: usize = 255;

/// A value as people read it, harmless on a terminal.
fn shown(kind: ColumnKind, value: &Value, look: &Look) -> String {
    match (kind, value) {
        (_, Value::Nil) => "-".to_owned(),
        (ColumnKind::HumanSize, value) if value.as_u64().is_some() => ByteSize(value.as_u64().unwrap_or_default()).to_string(),
        (ColumnKind::Time, value) if value.as_i64().is_some() => {
            let nanos = value.as_i64().unwrap_or_default();
            match look.width {
                Some(_) => short(nanos, look.now, &chrono::Local),
                None => timestamp(nanos),
            }
        }
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

/// One value, ready to be laid out.
#[derive(Debug, Default)]
struct Cell {
    text: String,
    /// How many characters of the terminal it takes.
    width: usize,
    is_right: bool,
    paint: Option<Paint>,
    /// The bar beside it. An empty one keeps its place where there is nothing to compare.
    bar: Option<Bar>,
}

/// A bar, and in percent what it shows.
#[derive(Debug, Default)]
struct Bar {
    text: String,
    percent: String,
}

/// Lays rows out; widths only ever grow, so that later rows of one listing keep the columns of earlier ones.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<ColumnInfo>,
    layout: Layout,
    widths: Vec<usize>,
    rows: Vec<Vec<Value>>,
    has_printed: bool,
    /// The largest number of each column so far.
    largest: Vec<u64>,
}

impl Table {
    /// A table of those columns.
    pub fn new(columns: Vec<ColumnInfo>, layout: Layout) -> Self {
        Self {
            widths: vec![0; columns.len()],
            largest: vec![0; columns.len()],
            columns,
            layout,
            ..Self::default()
        }
    }

    /// The columns, visible or not.
    pub fn columns(&self) -> &[ColumnInfo] {
        &self.columns
    }

    /// Whether each row is a line by itself there, so that nothing is gained by gathering them.
    pub fn needs_no_gathering(&self, look: &Look) -> bool {
        self.layout == Layout::List && look.width.is_none()
    }

    /// Adds a row. One that does not fit the columns is a mistake of the server: what is missing is shown as absent.
    pub fn push(&mut self, row: Vec<Value>) {
        for (largest, value) in self.largest.iter_mut().zip(&row) {
            *largest = (*largest).max(value.as_u64().unwrap_or_default());
        }
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

    /// The waiting rows as lines, each with its line break.
    pub fn take_text(&mut self, look: &Look) -> String {
        let rows = std::mem::take(&mut self.rows);
        let visible: Vec<usize> = (0..self.columns.len()).filter(|at| !self.columns[*at].hidden).collect();
        let cells: Vec<Vec<Cell>> = rows.iter().map(|row| self.cells(&visible, row, look)).collect();
        drop(rows);
        let text = match self.layout {
            Layout::List => list(&cells, look),
            Layout::Record => self.record(&visible, &cells, look),
            // A table, and what a newer core may bring.
            _ => self.table(&visible, &cells, look),
        };
        self.has_printed |= !cells.is_empty();
        text
    }

    fn cells(&self, visible: &[usize], row: &[Value], look: &Look) -> Vec<Cell> {
        let paint = self.paint(row);
        let length = bar::length(look);
        let one = |at: &usize| {
            let column = &self.columns[*at];
            let value = row.get(*at).unwrap_or(&Value::Nil);
            let mut text = shown(column.kind, value, look);
            let is_path = column.kind == ColumnKind::Path;
            if is_path && look.width.is_some() && !text.ends_with('/') {
                text.push_str(paint.map_or("", mark));
            }
            Cell {
                width: measure_text_width(&text),
                text,
                is_right: is_number(column.kind),
                paint: paint.filter(|_| is_path),
                bar: length
                    .filter(|_| column.share.is_some())
                    .map(|length| self.bar(*at, row, length, look)),
            }
        };
        visible.iter().map(one).collect()
    }

    /// What the row's name stands for, where the columns tell it.
    fn paint(&self, row: &[Value]) -> Option<Paint> {
        let value = |kind| {
            let at = self.columns.iter().position(|column| column.kind == kind)?;
            row.get(at)
        };
        match value(ColumnKind::Entry)?.as_bytes()? {
            b"dir" => Some(Paint::Folder),
            b"link" => Some(Paint::Link),
            _ => matches!(value(ColumnKind::Executable), Some(Value::Bool(true))).then_some(Paint::Executable),
        }
    }

    /// The bar of a column that tells what it is a part of; an empty one where there is no such number.
    fn bar(&self, at: usize, row: &[Value], length: usize, look: &Look) -> Bar {
        let number = |at: usize| row.get(at).and_then(Value::as_u64);
        let share = self.columns[at].share.as_deref();
        let whole = match self.columns.iter().position(|column| Some(column.name.as_str()) == share) {
            Some(of) if of == at => Some(self.largest[at]),
            Some(of) => number(of),
            None => None,
        };
        match number(at).zip(whole) {
            Some((part, whole)) => Bar {
                text: bar::bar(look, part, whole, length),
                percent: bar::percent(part, whole).unwrap_or_default(),
            },
            None => Bar {
                text: " ".repeat(length),
                percent: String::new(),
            },
        }
    }

    fn table(&mut self, visible: &[usize], rows: &[Vec<Cell>], look: &Look) -> String {
        for row in rows {
            for (at, cell) in visible.iter().zip(row) {
                self.widths[*at] = self.widths[*at].max(cell.width.min(CELL_MAX_WIDTH));
            }
        }
        let mut out = String::new();
        for row in rows {
            for (place, (at, cell)) in visible.iter().zip(row).enumerate() {
                let is_last = place + 1 == row.len();
                let fill = self.widths[*at].saturating_sub(cell.width);
                if cell.is_right {
                    blanks(&mut out, fill);
                }
                out.push_str(&look.paint(cell.paint, &cell.text));
                if let Some(bar) = &cell.bar {
                    out.push_str(GAP);
                    out.push_str(&bar.text);
                }
                if !cell.is_right && !is_last {
                    blanks(&mut out, fill);
                }
                out.push_str(if is_last { "\n" } else { GAP });
            }
        }
        out
    }

    fn record(&self, visible: &[usize], rows: &[Vec<Cell>], look: &Look) -> String {
        let name = |at: usize| escape(self.columns[at].name.as_bytes());
        let widths = visible.iter().map(|at| measure_text_width(&name(*at)).min(CELL_MAX_WIDTH));
        let width = widths.max().unwrap_or(0);
        let mut out = String::new();
        for (number, row) in rows.iter().enumerate() {
            if number > 0 || self.has_printed {
                out.push('\n');
            }
            for (at, cell) in visible.iter().zip(row) {
                let name = name(*at);
                out.push_str(&name);
                blanks(&mut out, width.saturating_sub(measure_text_width(&name)));
                out.push_str(GAP);
                out.push_str(&look.paint(cell.paint, &cell.text));
                if let Some(bar) = cell.bar.as_ref().filter(|bar| !bar.percent.is_empty()) {
                    out.push_str(GAP);
                    out.push_str(&format!("{}{GAP}{}", bar.text, bar.percent));
                }
                out.push('\n');
            }
        }
        out
    }
}

/// What stands behind a name, for those who see no colours.
fn mark(paint: Paint) -> &'static str {
    match paint {
        Paint::Folder => "/",
        Paint::Link => "@",
        Paint::Executable => "*",
        Paint::Bar => "",
    }
}

fn blanks(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}

/// One value a line, or on a terminal as many side by side as fit, read downward as `ls` does it.
fn list(rows: &[Vec<Cell>], look: &Look) -> String {
    let length = |row: &Vec<Cell>| row.iter().map(|cell| cell.width).sum::<usize>() + GAP.len() * row.len().saturating_sub(1);
    let lengths: Vec<usize> = rows.iter().map(length).collect();
    let lines = look.width.map_or(rows.len(), |width| lines_needed(&lengths, width));
    let mut out = String::new();
    for line in 0..lines {
        let mut at = line;
        while at < rows.len() {
            for (place, cell) in rows[at].iter().enumerate() {
                out.push_str(if place == 0 { "" } else { GAP });
                out.push_str(&look.paint(cell.paint, &cell.text));
            }
            let next = at + lines;
            if next < rows.len() {
                let column = &lengths[at - line..(at - line + lines).min(lengths.len())];
                let column = column.iter().copied().max().unwrap_or(0);
                blanks(&mut out, column - lengths[at] + GAP.len());
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
mod tests;
