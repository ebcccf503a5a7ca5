//! PROTOCOL.md against the code: its tables of kinds, limits and failures, its fields, and its worked session.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{understood, unhex};
use ferry_core::ErrorKind;
use ferry_core::wire::frame::{HEADER_BYTES, Header, ID_BYTES, Kind, Stage};
use ferry_core::wire::guard::Map;
use ferry_core::wire::{self, flow};

const PROTOCOL: &str = include_str!("../../docs/PROTOCOL.md");

/// The rows of the table that starts with that heading, as cells.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = PROTOCOL.split_once(&format!("\n| {heading} |")).unwrap();
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

#[test]
fn its_kinds_are_those_of_the_code() {
    let written: Vec<(String, String, bool)> = table("byte")
        .into_iter()
        .map(|row| (row[0].to_owned(), row[1].to_owned(), row[3] != "map"))
        .collect();
    let known = Kind::ALL.map(|kind| {
        (
            format!("0x{:02x}", kind as u8),
            format!("{kind:?}").to_lowercase(),
            kind.is_binary(),
        )
    });
    assert_eq!(written, known);
}

#[test]
fn its_failures_are_those_of_the_code() {
    let written: Vec<(u16, &str)> = table("code")
        .into_iter()
        .map(|row| (row[0].parse().unwrap(), row[1]))
        .collect();
    let known = ErrorKind::ALL.map(|kind| (kind.code(), kind.as_str()));
    assert_eq!(written, known);
}

#[test]
fn its_limits_are_those_of_the_code() {
    let written: Vec<usize> = table("limit").into_iter().map(|row| row[1].parse().unwrap()).collect();
    let known = [
        wire::CONTROL_MAX_BYTES_BEFORE_LOGIN,
        wire::CONTROL_MAX_BYTES,
        wire::DATA_MAX_BYTES,
        8,
        wire::DEPTH_MAX,
        wire::MAP_MAX_KEYS,
        wire::REQUESTS_MAX,
        wire::WINDOW_BYTES as usize,
        flow::WAITING_FRAMES_MAX as usize,
    ];
    assert_eq!(written, known);
}

#[test]
fn every_field_that_the_vectors_show_is_explained() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../docs/vectors/messages.json")).unwrap();
    let mut missing = Vec::new();
    for vector in vectors["vectors"].as_array().unwrap() {
        let message = vector["message"].as_str().unwrap();
        let fields = vector["accept"].as_object().into_iter().flatten();
        for (field, value) in fields.filter(|(field, _)| !is_explained(message, field)) {
            missing.push(format!("{message}.{field} = {value}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Whether a row names the field, in a table of the message or in one of the tables that have no column of messages.
fn is_explained(message: &str, field: &str) -> bool {
    let name = format!("`{field}`");
    PROTOCOL.lines().filter(|line| line.starts_with('|')).any(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        cells[0].contains(&name) || (cells[0] == message && cells[1].contains(&name))
    })
}

#[test]
fn its_session_is_read_to_the_last_byte_and_in_order() {
    let (_, session) = PROTOCOL.split_once("```session\n").unwrap();
    let (session, _) = session.split_once("```").unwrap();
    let (mut kinds, mut stage) = (Vec::new(), Stage::BeforeLogin);
    for step in session.split(" # ").skip(1) {
        let hex: String = step.lines().skip(1).filter_map(|line| line.get(2..)).collect();
        let bytes = unhex(&hex);
        let mut rest = &bytes[..];
        while let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
            let header = Header::read(*header, stage).unwrap();
            let (payload, behind) = behind.split_at(header.len_bytes);
            let kind = header.kind.unwrap();
            if !kind.is_binary() {
                understood(kind, &Map::check(payload).unwrap()).unwrap();
            } else if kind == Kind::Data {
                assert_eq!(&payload[ID_BYTES..], b"abc");
            }
            if kind == Kind::Welcome {
                stage = Stage::LoggedIn;
            }
            kinds.push(kind);
            rest = behind;
        }
        assert!(rest.is_empty(), "bytes left over in: {step}");
    }
    use Kind::{Answer, Begin, Catalog, Challenge, Data, Done, End, Fail, Hello, Login, Ping, Pong, Request, Welcome};
    assert_eq!(
        kinds,
        [
            Hello, Hello, Login, Challenge, Answer, Welcome, Catalog, Request, Begin, Data, End, Done, Request, Ping, Pong, Done,
            Request, Fail
        ]
    );
}
