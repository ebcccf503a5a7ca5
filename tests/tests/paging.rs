//! Answers that are longer than the screen: the pager, who leaves it, and a hundred thousand names.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ferry_tests::looks::{client, many, screen, server, small};
use ferry_tests::pty::Pty;
use ferry_tests::{PATIENCE, skipped, try_run, write};

/// Whether the usual pager is here; says so when it is not.
fn has_less(test: &str) -> bool {
    let found = try_run("less", &["--version"]);
    if let Err(why) = &found {
        skipped(test, why);
    }
    found.is_ok()
}

#[test]
fn what_is_longer_than_the_screen_goes_through_the_pager_as_it_comes() {
    if !has_less("what_is_longer_than_the_screen_goes_through_the_pager_as_it_comes") {
        return;
    }
    let (server, home) = server();
    many(&home, 3000);
    let mut paged = client(&server, &["ls", "-l", "many"]);
    paged.env_remove("FERRY_PAGER").env("PAGER", "less");
    let pager = Pty::spawn_at(&paged, small());
    let first = pager.wait_for("file-0000022");
    assert!(first.contains("file-0000000") && !first.contains("file-0000023"), "{first}");
    pager.send("G");
    pager.wait_for("file-0002999");
    pager.send("q");
    let (code, text) = pager.end();
    assert_eq!(code, 0, "{text}");
    // What fits is printed and left there.
    paged = client(&server, &["ls", "-l"]);
    paged.env_remove("FERRY_PAGER").env("PAGER", "exec false");
    assert!(screen(&paged, small()).ends_with("many/"));
    // Neither an empty pager nor a dumb terminal has one.
    for (name, value, pager) in [("FERRY_PAGER", "", "echo paged"), ("TERM", "dumb", "echo paged")] {
        let mut plain = client(&server, &["ls", "-l", "many"]);
        plain.env_remove("FERRY_PAGER").env("PAGER", pager).env(name, value);
        let text = screen(&plain, small());
        assert!(text.ends_with("file-0002999") && !text.contains("paged"), "{name}: {text}");
    }
    // One that is not there is told.
    paged = client(&server, &["ls", "-l", "many"]);
    paged.env("FERRY_PAGER", "/no/such/pager");
    let text = screen(&paged, small());
    assert!(text.contains("the pager could not be run"), "{text}");
}

/// A pager that says when it has something and when it hears a Ctrl-C, and ends at Enter.
const PATIENT: &str = "trap 'echo heard it' INT; head -n 3; echo has something; until read key < /dev/tty; do :; done";

#[test]
fn leaving_the_pager_ends_the_listing_and_the_shell_goes_on() {
    if !has_less("leaving_the_pager_ends_the_listing_and_the_shell_goes_on") {
        return;
    }
    let (server, home) = server();
    many(&home, 20_000);
    // More than the client keeps for a pager: the server cannot have sent it all.
    write(&home, "text", &b"a line of many that are alike\n".repeat(1 << 20));
    let is_ready = |terminal: &Pty| {
        terminal.wait_until("the prompt", |screen| screen.contents().trim_end().ends_with(":/>"));
    };
    let is_running = |verb: &str| server.admin(&["who"], "").expect(0).out.contains(verb);
    let is_cancelled = |verb: &str| {
        let started = Instant::now();
        while is_running(verb) {
            assert!(started.elapsed() < PATIENCE, "{verb} still runs");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    for (line, verb, seen) in [
        ("ls -l many\r", "ls", "  file-0"),
        ("cat text\r", "cat", "many that are alike"),
    ] {
        let mut shell = client(&server, &[]);
        shell.env("FERRY_PAGER", "less -X");
        let terminal = Pty::spawn_at(&shell, small());
        is_ready(&terminal);
        terminal.send(line);
        terminal.wait_until("a page", |screen| {
            let shown = screen.contents();
            shown.contains(seen) && shown.trim_end().ends_with(':')
        });
        assert!(verb == "ls" || is_running(verb));
        terminal.send("q");
        is_ready(&terminal);
        is_cancelled(verb);
        terminal.send("quota\r");
        terminal.wait_for("reserved");
        terminal.send("exit\r");
        assert_eq!(terminal.end().0, 0);

        shell.env("FERRY_PAGER", PATIENT);
        let terminal = Pty::spawn_at(&shell, small());
        is_ready(&terminal);
        terminal.send(line);
        terminal.wait_for("has something");
        assert!(verb == "ls" || is_running(verb));
        terminal.send("\x03");
        terminal.wait_for("heard it");
        // The pager still has the terminal, and the listing is over.
        is_cancelled(verb);
        terminal.send("\r");
        is_ready(&terminal);
        terminal.send("quota\r");
        let shown = terminal.wait_for("reserved");
        assert!(verb == "ls" || shown.contains("interrupted"), "{shown}");
        terminal.send("exit\r");
        assert_eq!(terminal.end().0, 0);
    }
}

/// The most memory that a process ever had resident, in bytes.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// How much more memory a listing of a hundred thousand may take than one of ten, in bytes.
const GROWTH_MAX_BYTES: u64 = 32 << 20;
/// How much later its first line may come.
const LATER_MAX: Duration = Duration::from_secs(2);

#[test]
fn a_hundred_thousand_names_start_at_once_and_stay_small() {
    if !has_less("a_hundred_thousand_names_start_at_once_and_stay_small") {
        return;
    }
    let (server, home) = server();
    write(&home, "one", b"");
    many(&home, 100_000);
    // Until the first line is there, and the peak when all but the end has been read: the client still waits to write that.
    let listed = |folder: &str, bytes: u64| {
        let started = Instant::now();
        let mut child = client(&server, &["ls", folder])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let first = started.elapsed();
        std::io::copy(&mut (&mut out).take(bytes), &mut std::io::sink()).unwrap();
        let peak = if bytes > 0 { peak(child.id()) } else { 0 };
        let lines = out.lines().count();
        assert!(child.wait().unwrap().success());
        (first, peak, lines)
    };
    let best = |folder: &str| (0..3).map(|_| listed(folder, 0).0).min().unwrap();
    let (few, all) = (best("one"), best("many"));
    let piped = listed("many", 1_000_000);
    assert!(piped.2 > 10_000, "{piped:?}");
    // The pager keeps the client until the user leaves.
    let peak_paged = |folder: &str, last: &str| {
        let mut paged = client(&server, &["ls", folder]);
        paged.env("FERRY_PAGER", "less -X");
        let terminal = Pty::spawn_at(&paged, small());
        terminal.send("G");
        terminal.wait_for(last);
        let peak = peak(terminal.pid());
        terminal.send("q");
        assert_eq!(terminal.end().0, 0);
        peak
    };
    fs::create_dir(home.join("few")).unwrap();
    for n in 0..500 {
        fs::File::create(home.join(format!("few/{n:03}"))).unwrap();
    }
    let small = peak_paged("few", "499");
    let paged = peak_paged("many", "(END)");
    println!(
        "first line after {few:?} of one and {all:?} of many; peak {} KiB piped, {} KiB paged, {} KiB of few",
        piped.1 >> 10,
        paged >> 10,
        small >> 10
    );
    assert!(all < few + LATER_MAX, "{few:?}, {all:?}");
    assert!(piped.1 < small + GROWTH_MAX_BYTES, "{} and {}", piped.1, small);
    assert!(paged < small + GROWTH_MAX_BYTES, "{paged} and {small}");
}
