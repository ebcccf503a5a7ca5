//! The bench beside peers (`bench/run`) runs and judges rightly. Its figures are for quiet machines; here it is only kept from rotting.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use ferry_tests::{Ran, program, run_with_input, skipped, try_run, write};
use serde_json::{Value, json};

fn bench() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/run")
}

/// Runs the bench with words; `None`, and said by name, where it cannot be run.
fn run(test: &str, words: &[&str]) -> Option<Ran> {
    // 3.11 is what its README asks for.
    let needed = "import sys; sys.exit(sys.version_info < (3, 11))";
    if let Err(why) = try_run("python3", &["-c", needed]) {
        skipped(test, &format!("python3 of version 3.11: {why}"));
        return None;
    }
    // Without it Python would write beside the sources.
    let mut command = Command::new("python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(bench()).args(words);
    let ran = run_with_input(&mut command, b"");
    // What the machine lacks, a program or a right; where it is our server that fails, the test fails.
    if let Some(why) = ran.err.lines().find_map(|line| line.strip_prefix("cannot start: "))
        && !why.contains("ferryd")
    {
        skipped(test, why);
        return None;
    }
    Some(ran)
}

#[test]
fn a_quick_run_without_peers_measures_and_prints_every_goal_of_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results.jsonl");
    let ferry = program("ferry");
    let words = [
        "--quick",
        "--rows",
        "F1,F4,F12",
        "--peers",
        "none",
        "--size",
        "1M",
        "--files",
        "60",
        "--ferry",
        ferry.parent().unwrap().to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let Some(ran) = run("a_quick_run_without_peers", &words) else {
        return;
    };
    let ran = ran.expect(0);
    let records: Vec<Value> = std::fs::read_to_string(&out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let left_out: Vec<&Value> = records.iter().filter(|record| record.get("why").is_some()).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    for (row, op, name) in [
        ("F1", "up", "ferry"),
        ("F1", "down", "ferry"),
        ("F1", "up", "md5sum"),
        ("F4", "up", "ferry-relaxed"),
        ("F4", "down", "ferry"),
        ("F4", "on disk, up", "fsync-loop"),
        ("F12", "empty server", "ferry"),
    ] {
        let is_it = |record: &&Value| record["row"] == row && record["op"] == op && record["name"] == name;
        let found = records.iter().find(is_it);
        assert!(
            found.is_some_and(|record| record["value"].as_f64() > Some(0.0)),
            "{row} {op} {name}: {found:?}"
        );
    }
    assert!(ran.out.contains("at most 1.35 x md5sum alone"), "{}", ran.out);
    assert!(ran.out.contains("strict: at least 5 x an fsync for each"), "{}", ran.out);
}

#[test]
fn goals_are_judged_by_the_medians_of_each_run() {
    let folder = tempfile::tempdir().unwrap();
    let figure = |run: u32, row: &str, op: &str, name: &str, value: f64| json!({"run": run, "row": row, "op": op, "name": name, "value": value, "unit": "s"});
    let mut records = vec![
        // One run of three is slow: the median is not.
        figure(1, "F1", "up", "ferry", 2.0),
        figure(1, "F1", "up", "ferry", 9.0),
        figure(1, "F1", "up", "ferry", 1.8),
        figure(1, "F1", "up", "nginx-tls", 4.0),
        figure(1, "F1", "up", "md5sum", 1.0),
        // The limit of the machine is no peer to be ahead of.
        figure(1, "F1", "up", "limit-tls", 0.5),
        figure(1, "F3", "up", "ferry", 1.0),
        figure(1, "F3", "up", "rsyncd", 2.0),
        // A second run, in which the goal is missed.
        figure(2, "F3", "up", "ferry", 1.0),
        figure(2, "F3", "up", "rsyncd", 1.0),
    ];
    for (op, verdict) in [("same source", "right"), ("changed source", "corrupt")] {
        let mut record = figure(1, "F9", op, "ferry", 0.0);
        record["verdict"] = verdict.into();
        records.push(record);
    }
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    let path = write(folder.path(), "results.jsonl", lines.join("\n").as_bytes());
    let Some(ran) = run("goals_are_judged", &["--report", path.to_str().unwrap()]) else {
        return;
    };
    let out = ran.expect(0).out;
    for line in [
        "| F1 | up | 2 s | nginx-tls 4 | at most 0.95 x the best of them | 0.50 x nginx-tls | met |",
        "| F1 | up | 2 s | nginx-tls 4 | at most 1.35 x md5sum alone | 2.00 x md5sum | **missed** |",
        "| F3 | up | 1 s | rsyncd 1 | at most 0.9 x rsync's daemon | 1.00 x rsyncd | **missed** |",
        "| F9 | same source | 0 s | - | never a corrupt result | right | met |",
        "| F9 | changed source | 0 s | - | never a corrupt result | corrupt | **missed** |",
        "| F1 | down | - | - | at most 1.35 x md5sum alone | not measured |  |",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
}
