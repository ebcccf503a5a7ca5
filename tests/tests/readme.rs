//! The session in README.md is replayed at a terminal, so that it is never stale. `FERRY_BLESS=1` writes down what is seen in its place.
//!
//! What differs from run to run is compared by its form: dates, times, ids of partial uploads, and blanks in a row, for numbers have widths.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use ferry_core::wire::message::Offer;
use ferry_tests::pty::{Pty, Size};
use ferry_tests::wire::Wire;
use ferry_tests::{PATIENCE, Server, noise, write};

/// The heading that the session stands below.
const HEADING: &str = "\nA session of a later day";
/// What a block begins and ends with.
const FENCE: &str = "```\n";
/// What stands in front of every line that is typed, up to the working folder.
const PROMPT: &str = "you@127.0.0.1:/";
/// Size of the file that is sent, in bytes, and what the server has of it already.
const SIZE: usize = 40_000_000;
const HELD: usize = 16_000_000;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")
}

/// What is in front of the session's block, the block, and what is behind it.
fn parts(text: &str) -> [&str; 3] {
    let heading = text.find(HEADING).unwrap();
    let start = heading + text[heading..].find(&format!("\n{FENCE}")).unwrap() + 1 + FENCE.len();
    let end = start + text[start..].find(FENCE).unwrap();
    [&text[..start], &text[start..end], &text[end..]]
}

/// The lines that are typed in a block.
fn typed(block: &str) -> Vec<&str> {
    let prompts = block.lines().filter(|line| line.starts_with(PROMPT));
    prompts
        .filter_map(|line| line.split_once("> "))
        .map(|(_, typed)| typed)
        .collect()
}

/// A word without what differs from run to run.
fn form(word: &str) -> String {
    let is = |shape: &str, word: &str| {
        let fits = |(a, b): (char, char)| a == b || (a == '0' && b.is_ascii_digit());
        word.len() == shape.len() && shape.chars().zip(word.chars()).all(fits)
    };
    let is_hex = |len: usize| word.len() == len && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    match word {
        _ if is("0000-00-00", word) => "DATE".to_owned(),
        _ if is("00:00:00Z", word) || is("00:00:00", word) || is("00:00", word) => "TIME".to_owned(),
        _ if is_hex(16) || is_hex(8) => "ID".to_owned(),
        _ => word.to_owned(),
    }
}

/// What two sessions are compared by.
fn forms(block: &str) -> Vec<String> {
    let words = |line: &str| {
        let mut forms: Vec<String> = line.split_whitespace().map(form).collect();
        // A date as people read it: `Nov 21 00:15`, or with the year.
        while let Some(at) = forms.windows(3).position(is_date) {
            forms.splice(at..at + 3, ["DATE".to_owned()]);
        }
        forms.join(" ")
    };
    block.lines().map(words).collect()
}

fn is_date(words: &[String]) -> bool {
    const MONTHS: &str = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let is_number = |word: &str, most: usize| word.len() <= most && word.bytes().all(|byte| byte.is_ascii_digit());
    let [month, day, last] = words else { return false };
    let is_month = month.len() == 3 && MONTHS.split(' ').any(|name| name == month);
    is_month && is_number(day, 2) && (last == "TIME" || is_number(last, 4))
}

/// A server with an account that has part of a file, as if the upload had been cut off there, and the folder that the file is in.
fn scene() -> Server {
    let server = Server::start_plain();
    server.add_user("you", &["--quota", "100MiB"]);
    let bytes = noise(SIZE, 7);
    let file = write(&server.local(), "video.mkv", &bytes);
    let backup = std::fs::File::create(server.local().join("backup.tar")).unwrap();
    backup.set_len(120 << 20).unwrap();
    let changed = std::fs::metadata(file).unwrap().modified().unwrap();
    let since = changed.duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut wire = Wire::login(server.address, "you").unwrap();
    let offer = Offer {
        size: Some(SIZE as u64),
        modified: Some(i64::try_from(since.as_nanos()).unwrap()),
        ..Offer::default()
    };
    let (id, _) = wire.open("video.mkv", offer).unwrap().unwrap();
    wire.send(id, &bytes[..HELD]).unwrap().unwrap();
    let held = |partials: &[ferry_tests::wire::Row]| partials.first().and_then(|partial| partial["received"].as_u64());
    let start = Instant::now();
    let mut other = Wire::login(server.address, "you").unwrap();
    while held(&other.partials().unwrap()) != Some(HELD as u64) {
        assert!(start.elapsed() < PATIENCE, "what was sent arrives");
    }
    drop(wire);
    server
}

/// Types the lines, each when the answer to the one before is complete; gives what is seen at the end.
fn replay(server: &Server, lines: &[&str]) -> String {
    let mut client = server.client("you", &[]);
    client
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("FERRY_CONFIG");
    let pty = Pty::spawn_at(&client, Size::new(200, 120));
    for (number, line) in lines.iter().enumerate() {
        pty.wait_until("the prompt", |screen| {
            let shown = screen.contents();
            let prompts = shown.lines().filter(|line| line.starts_with(PROMPT)).count();
            let is_empty = shown
                .lines()
                .last()
                .is_some_and(|line| line.starts_with(PROMPT) && line.trim_end().ends_with('>'));
            prompts == number + 1 && is_empty
        });
        pty.send(&format!("{line}\r"));
    }
    let (code, shown) = pty.end();
    assert_eq!(code, 0, "{shown}");
    let lines = shown.trim_end().lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

#[test]
fn the_session_in_the_readme_is_what_is_seen() {
    let text = std::fs::read_to_string(path()).unwrap();
    let [before, block, behind] = parts(&text);
    let lines = typed(block);
    assert!(lines.len() > 5 && lines.last() == Some(&"exit"), "{lines:?}");
    let seen = replay(&scene(), &lines);
    if std::env::var_os("FERRY_BLESS").is_some() {
        std::fs::write(path(), format!("{before}{seen}{behind}")).unwrap();
        return;
    }
    assert_eq!(
        forms(block),
        forms(&seen),
        "README.md is stale; see the top of this test:\n{seen}"
    );
}

#[test]
fn only_what_differs_from_run_to_run_is_compared_by_its_form() {
    assert_eq!(forms("a  2026-11-20 19:41:02Z  b"), forms("a 2027-01-02  00:00:00Z b"));
    assert_eq!(forms("0123456789abcdef x"), forms("fedcba9876543210  x"));
    assert_eq!(forms("a Nov 21 02:43 b"), forms("a  Dec  1  2027 b"));
    assert_ne!(forms("Nov 21 kittens"), forms("Nov 22 kittens"));
    assert_ne!(forms("15.3 MiB"), forms("15.4 MiB"));
    assert_ne!(forms("a\nb"), forms("a b"));
}
