//! What rows look like.

use super::*;

/// A terminal without colours and bars.
fn at(width: usize) -> Look {
    Look {
        width: Some(width),
        now: 1_795_219_200_000_000_000, // 2026-11-21 00:00:00Z
        ..Look::default()
    }
}

fn column(name: &str, kind: ColumnKind, hidden: bool) -> ColumnInfo {
    ColumnInfo {
        name: name.into(),
        kind,
        hidden,
        share: None,
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
    assert_eq!(table.take_text(&Look::default()), "   5  file  a\n1234  d     a\\x1b[2Jb\n");
    table.push(vec![Value::Nil, "x".into(), "file".into(), "z".into()]);
    assert_eq!(table.take_text(&Look::default()), "   -  file  z\n");
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
        assert!(table.take_text(&Look::default()).len() < 60_000 + 1000 * 300);
    }
}

#[test]
fn a_row_shorter_than_its_columns_does_no_harm() {
    let mut table = Table::new(
        vec![column("a", ColumnKind::Text, false), column("b", ColumnKind::Size, false)],
        Layout::Table,
    );
    table.push(vec!["x".into()]);
    assert_eq!(table.take_text(&Look::default()), "x  -\n");
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
    assert_eq!(table.take_text(&Look::default()), "one\ntwo\nthree\nfour\nfive\n");
    fill(&mut table);
    assert_eq!(table.take_text(&at(18)), "one  three  five\ntwo  four\n");
    fill(&mut table);
    assert_eq!(table.take_text(&at(3)), "one\ntwo\nthree\nfour\nfive\n");
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
    assert_eq!(
        table.take_text(&Look::default()),
        "limit  1.0 MiB\nuser   al\n\nlimit  -\nuser   bo\n"
    );
}

fn entries(layout: Layout) -> Table {
    let columns = vec![
        column("size", ColumnKind::Size, layout == Layout::List),
        column("name", ColumnKind::Path, false),
        column("kind", ColumnKind::Entry, true),
        column("runs", ColumnKind::Executable, true),
    ];
    let mut table = Table::new(columns, layout);
    for (name, size, kind, runs) in [
        ("docs", 0, "dir", false),
        ("there", 0, "link", false),
        ("run", 5, "file", true),
        ("日本", 12345, "file", false),
        ("a\n\x1b[2J\u{202e}b", 1, "file", false),
    ] {
        table.push(vec![Value::Uint(size), name.into(), kind.into(), runs.into()]);
    }
    table
}

#[test]
fn names_have_marks_on_a_terminal_and_stay_as_they_are_elsewhere() {
    assert_eq!(
        entries(Layout::List).take_text(&Look::default()),
        "docs\nthere\nrun\n日本\na\\n\\x1b[2J\\u{202e}b\n"
    );
    assert_eq!(
        entries(Layout::List).take_text(&at(40)),
        "docs/   run*  a\\n\\x1b[2J\\u{202e}b\nthere@  日本\n"
    );
    assert_eq!(
        entries(Layout::Table).take_text(&at(40)),
        "    0  docs/\n    0  there@\n    5  run*\n12345  日本\n    1  a\\n\\x1b[2J\\u{202e}b\n"
    );
}

#[test]
fn colours_change_nothing_but_the_colour() {
    for layout in [Layout::List, Layout::Table, Layout::Record] {
        let plain = entries(layout).take_text(&at(40));
        let look = Look {
            has_colour: true,
            ..at(40)
        };
        let coloured = entries(layout).take_text(&look);
        assert_ne!(coloured, plain);
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
    }
}

#[test]
fn columns_are_as_wide_as_the_terminal_and_never_wider() {
    for width in [1, 10, 80, 200] {
        let mut table = Table::new(vec![column("name", ColumnKind::Path, false)], Layout::List);
        for n in 0..500 {
            table.push(vec!["日x".repeat(n % 5 + 1).as_str().into()]);
        }
        let text = table.take_text(&at(width));
        let widest = text.lines().map(measure_text_width).max().unwrap();
        assert!(widest <= width.max(15), "{width}: {widest}");
        assert!(width < 20 || widest > width / 2, "{width}: {widest}");
        assert!(text.lines().all(|line| !line.ends_with(' ')));
    }
}

fn sizes(layout: Layout, share: &str) -> Table {
    let mut columns = vec![
        column("limit", ColumnKind::Size, false),
        column("used", ColumnKind::Size, false),
        column("path", ColumnKind::Path, false),
    ];
    columns[1].share = Some(share.to_owned());
    let mut table = Table::new(columns, layout);
    table.push(vec![Value::Uint(100), Value::Uint(40), "a".into()]);
    table.push(vec![Value::Nil, Value::Uint(20), "b".into()]);
    table
}

#[test]
fn a_number_has_a_bar_beside_it_where_its_column_says_of_what() {
    let look = Look {
        has_bars: true,
        ..at(80)
    };
    assert_eq!(
        sizes(Layout::Table, "used").take_text(&look),
        "100  40  ██████████  a\n  -  20  █████░░░░░  b\n"
    );
    assert_eq!(
        sizes(Layout::Table, "limit").take_text(&look),
        "100  40  ████░░░░░░  a\n  -  20              b\n"
    );
    assert_eq!(
        sizes(Layout::Record, "limit").take_text(&look),
        "limit  100\nused   40  ████░░░░░░  40%\npath   a\n\nlimit  -\nused   20\npath   b\n"
    );
    let numbers = "100  40  a\n  -  20  b\n";
    for share in ["used", "nothing"] {
        assert_eq!(sizes(Layout::Table, share).take_text(&at(80)), numbers);
        assert_eq!(sizes(Layout::Table, share).take_text(&Look::default()), numbers);
    }
}

#[test]
fn times_are_short_on_a_terminal_and_in_utc_elsewhere() {
    let mut table = Table::new(vec![column("modified", ColumnKind::Time, false)], Layout::Table);
    let mut shown = |look: &Look| {
        table.push(vec![Value::Uint(1_700_000_000_000_000_000)]);
        table.take_text(look)
    };
    assert_eq!(shown(&Look::default()), "2023-11-14T22:13:20Z\n");
    let local = shown(&at(80));
    assert!(local.starts_with("Nov 1") && local.ends_with("  2023\n"), "{local}");
}
