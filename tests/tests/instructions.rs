//! How many instructions a request takes in process, counted by valgrind: not a matter of load or speed, and nearly the same on every machine with the
//! same compiler. Only nearly, for libc and ring choose code by the processor. `FERRY_BLESS=1` writes down what is counted; with another compiler than
//! that of `instructions.json` these are skipped, by name.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::path::PathBuf;
use std::process::Command;

use ferry_tests::{program, skipped, try_run};
use serde_json::{Value, json};

fn record() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/instructions.json"))
}

/// Compiler, target and kind of build: what a count holds for.
fn bound_to() -> String {
    let said = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let line = |start: &str| {
        said.lines()
            .find_map(|line| line.strip_prefix(start))
            .unwrap_or_default()
            .to_owned()
    };
    let build = if cfg!(debug_assertions) { "dev" } else { "release" };
    format!("rustc {} {} {build}", line("release: "), line("host: "))
}

/// All instructions of one run.
fn run(what: &str, times: u32) -> u64 {
    let out = tempfile::NamedTempFile::new().unwrap();
    let mut valgrind = Command::new("valgrind");
    let file = format!("--callgrind-out-file={}", out.path().display());
    valgrind.args(["--tool=callgrind", &file]);
    let ran = ferry_tests::run_with_input(valgrind.arg(program("steps")).args([what, &times.to_string()]), b"").expect(0);
    let collected = ran.err.lines().find_map(|line| line.split("Collected : ").nth(1));
    collected
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or_else(|| panic!("{}", ran.err))
}

/// Those of one step: what more steps take more, so that the start of the program does not count.
fn of_one(what: &str, few: u32, many: u32) -> u64 {
    (run(what, many) - run(what, few)) / u64::from(many - few)
}

fn check(test: &str, what: &str, steps: (u32, u32), within: f64) {
    if let Err(why) = try_run("valgrind", &["-q", "true"]) {
        return skipped(test, &why);
    }
    let mut kept: Value = std::fs::read(record())
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    let is_bless = std::env::var_os("FERRY_BLESS").is_some();
    if !is_bless && kept["bound_to"] != json!(bound_to()) {
        return skipped(test, &format!("counted with {}, not {}", kept["bound_to"], bound_to()));
    }
    let counted = of_one(what, steps.0, steps.1);
    println!("{what}: {counted} instructions");
    if is_bless {
        if kept["bound_to"] != json!(bound_to()) {
            kept = json!({"bound_to": bound_to()});
        }
        kept[what] = json!(counted);
        std::fs::write(record(), format!("{kept:#}\n")).unwrap();
        return;
    }
    let expected = kept[what].as_f64().unwrap();
    let ratio = counted as f64 / expected;
    assert!(
        (1.0 - within..=1.0 + within).contains(&ratio),
        "{what}: {counted} instructions, {ratio:.3} times what is recorded; if that is meant: FERRY_BLESS=1 cargo test -p ferry-tests --test instructions -- --test-threads 1"
    );
}

#[test]
fn a_request_that_does_nothing_takes_as_many_instructions_as_recorded() {
    let test = "a_request_that_does_nothing_takes_as_many_instructions_as_recorded";
    check(test, "nothing", (100, 1100), 0.05);
}

#[test]
fn a_small_file_takes_as_many_instructions_as_recorded() {
    let test = "a_small_file_takes_as_many_instructions_as_recorded";
    check(test, "file", (20, 120), 0.05);
}
