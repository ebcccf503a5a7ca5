//! What a person sees of answers: columns, colours, bars and help in a real terminal, and plain lines everywhere else.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ferry_tests::looks::{client, screen, server, small};
use ferry_tests::pty::{Pty, Size};
use ferry_tests::{Server, write};

/// A home with one of each kind.
fn kinds() -> (Server, PathBuf) {
    let (server, home) = server();
    fs::create_dir(home.join("docs")).unwrap();
    write(&home, "plain.txt", &[0; 1500]);
    let run = write(&home, "run.sh", b"#!/bin/sh\n");
    fs::set_permissions(run, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("plain.txt", home.join("shortcut")).unwrap();
    (server, home)
}

#[test]
fn names_stand_in_columns_as_wide_as_the_terminal_with_their_marks() {
    let (server, home) = kinds();
    for n in 0..40 {
        write(&home, &format!("file-{n:02}"), b"");
    }
    let narrow = screen(&client(&server, &["ls"]), small());
    let wide = screen(&client(&server, &["ls"]), Size::new(50, 200));
    for (screen, width) in [(&narrow, 80), (&wide, 200)] {
        let widest = screen.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width && widest > width * 3 / 4, "{width}: {screen}");
        let words: Vec<&str> = screen.split_whitespace().collect();
        assert_eq!(words.len(), 44, "{screen}");
        for marked in ["docs/", "plain.txt", "run.sh*", "shortcut@"] {
            assert!(words.contains(&marked), "{marked}: {screen}");
        }
    }
    // Down, then across.
    let first: Vec<&str> = narrow.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(first[..3], ["docs/", "file-00", "file-01"], "{narrow}");
    assert!(wide.lines().count() < narrow.lines().count());
}

#[test]
fn elsewhere_there_is_one_name_a_line_without_marks_and_times_are_in_utc() {
    let (server, _) = kinds();
    let plain = server.ferry("alice", &["ls"]).expect(0).out;
    assert_eq!(plain, "docs\nplain.txt\nrun.sh\nshortcut\n");
    let mut forced = client(&server, &["ls"]);
    forced.env("CLICOLOR_FORCE", "1");
    let forced = String::from_utf8(forced.output().unwrap().stdout).unwrap();
    assert!(forced.contains("\x1b[") && forced.lines().count() == 4, "{forced:?}");
    let long = server.ferry("alice", &["ls", "-l", "plain.txt"]).expect(0).out;
    let words: Vec<&str> = long.split_whitespace().collect();
    assert_eq!((words[0], words[1], words[3]), ("file", "1500", "plain.txt"), "{long}");
    assert!(
        words[2].len() == "2026-11-21T00:15:00Z".len() && words[2].ends_with('Z'),
        "{long}"
    );
    let json = server.ferry_json("alice", &["ls"]).expect(0).json();
    let executable: Vec<bool> = json.iter().map(|row| row["executable"].as_bool().unwrap()).collect();
    assert_eq!(executable, [false, false, true, false]);
}

#[test]
fn a_long_listing_is_aligned_with_short_dates_and_units_when_asked_for() {
    let (server, home) = kinds();
    write(&home, "big.bin", &vec![0; 123_456]);
    let old = fs::File::open(home.join("plain.txt")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
        .unwrap();
    let shown = screen(&client(&server, &["ls", "-l"]), small());
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[2], "file    1500  Nov 14  2023  plain.txt", "{shown}");
    assert!(
        lines[0].starts_with("file  123456  ") && lines[0].ends_with("  big.bin"),
        "{shown}"
    );
    assert!(
        lines[1].starts_with("dir        0  ") && lines[1].ends_with("  docs/"),
        "{shown}"
    );
    let place = |line: &str| line.len() - line.split_whitespace().next_back().unwrap().len();
    assert!(lines.iter().all(|line| place(line) == place(lines[0])), "{shown}");
    let time = lines[0].split_whitespace().nth(4).unwrap();
    assert!(time.len() == 5 && time.contains(':'), "{shown}");
    let human = screen(&client(&server, &["ls", "-lh"]), small());
    assert!(human.contains("120.5 KiB") && human.contains("  1.4 KiB"), "{human}");
}

/// Escape sequences, a line break, a bidirectional override, and bytes that are no UTF-8.
const HOSTILE: [&[u8]; 5] = [
    b"\x1b[2J\x1b]0;owned\x07",
    b"two\nlines",
    "gpj\u{202e}exe.txt".as_bytes(),
    b"caf\xe9\xff",
    "c1\u{9b}31m".as_bytes(),
];

/// All that a program writes to its terminal, as `script` keeps it: the bytes themselves, not the screen.
fn raw(command: &Command, home: &std::path::Path) -> String {
    let kept = home.join("kept");
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        r#"kept=$1; shift; script -q -e -c "$*" "$kept" < /dev/null > /dev/null 2>&1"#,
        "sh",
    ]);
    shell.arg(&kept).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(command.get_current_dir().unwrap());
    let (code, screen) = Pty::spawn_at(&shell, small()).end();
    assert_eq!(code, 0, "{screen}");
    let bytes = fs::read(&kept).unwrap();
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    // What `script` says of itself stands around it.
    let own = |line: &&[u8]| !line.starts_with(b"Script ");
    String::from_utf8(lines.into_iter().filter(own).collect::<Vec<_>>().join(&b'\n')).unwrap()
}

#[test]
fn hostile_names_and_contents_reach_no_terminal_raw() {
    let (server, home) = server();
    for name in HOSTILE {
        fs::write(home.join(OsStr::from_bytes(name)), b"x").unwrap();
    }
    write(&home, "text", b"\x1b[2Jclaws\x1b]0;owned\x07\r\n\ttab\n");
    for args in [
        &["ls"][..],
        &["ls", "-l"],
        &["ls", "-R"],
        &["du"],
        &["cat", "text"],
        &["stat", "text"],
    ] {
        for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let text = raw(client(&server, args).env(name, value), &server.local());
            let is_wild = |c: char| (c.is_control() && !['\r', '\n', '\t'].contains(&c)) || c == '\u{202e}';
            assert!(!text.contains(is_wild), "{args:?} {name}: {text:?}");
            if args[0] == "ls" {
                assert!(
                    text.contains("\\x1b[2J") && text.contains("two\\nlines") && text.contains("\\u{202e}"),
                    "{text}"
                );
            }
            if args[0] == "cat" {
                assert_eq!(text.trim_end(), "\\x1b[2Jclaws\\x1b]0;owned\\x07\r\n\ttab", "{text:?}");
            }
        }
        // With colours there is nothing but colours.
        let text = raw(&client(&server, args), &server.local());
        let text = console_free(&text);
        assert!(!text.contains(['\x1b', '\u{202e}', '\u{9b}']), "{args:?}: {text:?}");
    }
}

/// The text without colours.
fn console_free(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(0);
        match part[end..].strip_prefix('m') {
            Some(rest) => out.push_str(rest),
            None => out.push_str(&format!("\x1b[{part}")),
        }
    }
    out
}

#[test]
fn colours_follow_what_the_user_asked_for() {
    let (server, _) = kinds();
    let local = server.local();
    let sgr = |name: &str, value: &str| raw(client(&server, &["ls", "-l"]).env(name, value), &local).contains('\x1b');
    assert!(sgr("CLICOLOR", "1"));
    assert!(!sgr("NO_COLOR", "1"));
    assert!(!sgr("CLICOLOR", "0"));
    assert!(!sgr("TERM", "dumb"));
    let mut both = client(&server, &["ls", "-l"]);
    both.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "1");
    assert!(!raw(&both, &local).contains('\x1b'));
}

#[test]
fn sizes_have_bars_where_the_terminal_can_show_them_and_numbers_everywhere() {
    let (server, _) = server();
    for (name, size) in [("large", 400_000), ("small", 40_000)] {
        write(&server.local(), "f", &vec![0; size]);
        server.ferry("alice", &["mkdir", name]).expect(0);
        server.ferry("alice", &["upload", "f", &format!("{name}/")]).expect(0);
    }
    let du = screen(&client(&server, &["du", "-s", "large", "small"]), small());
    assert_eq!(du, "400000  ██████████  large\n 40000  █░░░░░░░░░  small");
    let wide = screen(&client(&server, &["du", "-sh", "large"]), Size::new(50, 200));
    assert_eq!(wide, format!("390.6 KiB  {}  large", "█".repeat(25)));
    let quota = screen(&client(&server, &["quota"]), small());
    assert!(quota.contains("used      429.6 KiB  ████░░░░░░  41%"), "{quota}");
    let numbers = "400000  large\n 40000  small";
    assert_eq!(
        screen(client(&server, &["du", "-s", "large", "small"]).env("TERM", "dumb"), small()),
        numbers
    );
    assert_eq!(
        server
            .ferry("alice", &["du", "-s", "large", "small"])
            .expect(0)
            .out
            .trim_end(),
        numbers
    );
}

#[test]
fn help_is_grouped_and_as_wide_as_the_terminal() {
    let (server, _) = server();
    for size in [small(), Size::new(80, 200)] {
        let columns = usize::from(size.columns.get());
        let text = screen(&client(&server, &["help", "upload"]), Size::new(80, size.columns.get()));
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns && widest > 60, "{widest}: {text}");
        for part in [
            "usage: upload LOCAL...",
            "arguments\n",
            "also called: put",
            "rights: ",
            "comes from: ferry-upload",
            "examples\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let text = screen(&client(&server, &["help"]), Size::new(50, 200));
    assert!(text.starts_with("transfers\n") && text.contains("download, get"), "{text}");
    // What the catalogue does not have, the server answers for.
    let (code, text) = Pty::spawn(&client(&server, &["help", "uplaod"])).end();
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("did you mean `upload`"), "{text}");
    let piped = server.ferry("alice", &["help"]).expect(0).out;
    assert!(piped.lines().any(|line| line.starts_with("whoami ")), "{piped}");
}
