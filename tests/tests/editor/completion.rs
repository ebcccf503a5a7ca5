//! Completion: each word by the side that knows it, quoted as it was begun, and no key that waits for it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ferry_tests::delay::Delay;
use ferry_tests::{Server, write};

use super::{PROMPT, begin, clear, client_to, server, shell, wait_line, wait_typed};

#[test]
fn a_verb_that_only_this_server_has_is_completed_hinted_and_run() {
    let server = server("astray");
    let terminal = shell(&server);
    terminal.send("sho\t");
    wait_line(&terminal, "shout TEXT [PATH]");
    terminal.send("grüße --m\t");
    wait_line(&terminal, "shout grüße --mood happy|gloomy");
    terminal.send("\t");
    terminal.wait_until("both moods", |screen| {
        let below: String = screen
            .contents()
            .lines()
            .skip_while(|line| !line.contains(PROMPT))
            .skip(1)
            .collect();
        below.contains("happy") && below.contains("gloomy")
    });
    terminal.send("h\t");
    wait_typed(&terminal, "shout grüße --mood happy ");
    terminal.send("\r");
    terminal.wait_for("GRÜSSE!");
    // The same behind an equals sign.
    terminal.send("shout x --mood=gl\t\r");
    terminal.wait_for("X...");
    terminal.send("exit\r");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn each_argument_is_completed_by_the_side_that_knows_it_and_quoted_as_it_was_begun() {
    let server = server("ferryd");
    for name in ["my video.mkv", "it's \"here\".txt", "bück\\slash*.txt"] {
        write(&server.local(), name, b"x");
    }
    std::fs::create_dir(server.local().join("some folder")).unwrap();
    let terminal = shell(&server);
    // Here.
    terminal.send("put my\t");
    wait_line(&terminal, r"put my\ video.mkv [REMOTE]");
    terminal.send("\r");
    wait_line(&terminal, "");
    for (begun, becomes) in [
        ("put it\t", r#"put it\'s\ \"here\".txt "#),
        ("put \"it\t", r#"put "it's \"here\".txt" "#),
        ("put 'bü\t", r"put 'bück\slash*.txt' "),
    ] {
        terminal.send(begun);
        wait_typed(&terminal, becomes);
        terminal.send("\r");
        wait_line(&terminal, "");
    }
    let names = ["my video.mkv", "it's \"here\".txt", "bück\\slash*.txt"];
    terminal.send("mkdir 'far away'\r");
    // There. Of what is typed while a line runs only the text is kept, so its end is waited for.
    wait_line(&terminal, "");
    terminal.send("ls my\t");
    wait_typed(&terminal, r"ls my\ video.mkv ");
    clear(&terminal);
    terminal.send("mv 'it\t'far\t");
    wait_typed(&terminal, r#"mv 'it'\''s "here".txt' 'far away/"#);
    terminal.send("'\r");
    wait_line(&terminal, "");
    terminal.send("ls \"far away/\t");
    wait_typed(&terminal, r#"ls "far away/it's \"here\".txt" "#);
    clear(&terminal);
    // A folder of this machine, and only folders.
    terminal.send("lcd \t");
    wait_line(&terminal, r"lcd some\ folder/");
    clear(&terminal);
    // What a name is on its way to the server, it is there.
    terminal.send("exit\r");
    assert_eq!(terminal.end().0, 0);
    let rows = server.ferry_json("alice", &["ls", "/", "/far away"]).expect(0).json();
    let found: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert!(names.iter().all(|name| found.contains(name)), "{found:?}");
}

#[test]
fn values_that_a_verb_offers_and_options_with_what_they_mean_are_proposed() {
    let server = server("ferryd");
    let terminal = shell(&server);
    terminal.send("put --no\t");
    wait_typed(&terminal, "put --no-clobber ");
    clear(&terminal);
    terminal.send("ls --\t");
    let help = server.ferry("alice", &["help", "ls"]).expect(0).out;
    let option = help.lines().find(|line| line.contains("--")).unwrap();
    let about = option.split("  ").filter(|part| !part.is_empty()).nth(1).unwrap().trim();
    terminal.wait_for(&about.chars().take(20).collect::<String>());
    clear(&terminal);
    terminal.send("partials \t");
    wait_typed(&terminal, "partials rm ");
    // Nothing to propose: the line says so and goes on.
    terminal.send("\t");
    terminal.wait_for("(nothing fits)");
    terminal.send("x");
    wait_line(&terminal, "partials rm x");
}

/// Alice's home on the server's disk.
fn home(server: &Server) -> PathBuf {
    let home = server.data().join("homes/alice");
    server.ferry("alice", &["mkdir", "mark"]).expect(0);
    std::fs::remove_dir(home.join("mark")).unwrap();
    home
}

#[test]
fn names_that_would_play_tricks_are_not_proposed() {
    let server = server("ferryd");
    let home = home(&server);
    for name in ["evil\x1b[2J\x1b[1;1Hx", "evil\u{202e}gpj.exe", "evil\nls", "evil-but-honest"] {
        // The server takes no such name; one that is there already it has to tell of.
        write(&home, name, b"x");
        write(&server.local(), name, b"x");
    }
    let terminal = shell(&server);
    for verb in ["ls", "lls", "put"] {
        terminal.send(&format!("{verb} ev\t"));
        let screen = wait_typed(&terminal, &format!("{verb} evil-but-honest "));
        assert!(screen.contains("verbs for you"), "{screen}");
        clear(&terminal);
    }
    assert_eq!(server.ferry_json("alice", &["ls"]).expect(0).json().len(), 4);
}

#[test]
fn no_key_waits_for_a_completion_that_is_on_its_way() {
    const EACH_WAY: Duration = Duration::from_millis(100);
    let server = server("ferryd");
    for n in 0..9 {
        server
            .ferry("alice", &["mkdir", "-p", &format!("d{n}/some-name/other-name")])
            .expect(0);
    }
    let delay = Delay::to(server.address, EACH_WAY);
    let terminal = begin(&client_to(&server, delay.address));
    let (mut echoes, mut menus) = (Vec::new(), Vec::new());
    for n in 0..9 {
        // A folder of its own each time, so that nothing is known of it.
        let line = format!("ls d{n}/");
        terminal.send(&line);
        wait_typed(&terminal, &line);
        let asked = Instant::now();
        terminal.send("\t");
        let typing = Instant::now();
        terminal.send("s");
        wait_typed(&terminal, &format!("{line}s"));
        echoes.push(typing.elapsed());
        // The menu opens by itself, for what the line is by now.
        terminal.wait_until("a menu", |screen| {
            let text = screen.contents();
            text.lines()
                .skip_while(|shown| !shown.contains(&line))
                .skip(1)
                .any(|shown| shown.contains("some-name"))
        });
        menus.push(asked.elapsed());
        clear(&terminal);
        // While the line stays as it is, the answer is put into it.
        let line = format!("ls d{n}/some-name/");
        terminal.send(&format!("{line}\t"));
        wait_typed(&terminal, &format!("{line}other-name/"));
        clear(&terminal);
    }
    echoes.sort();
    menus.sort();
    // The lower quartile: a busy machine may hold the others up, by less than an answer takes.
    let (echo, most, first_menu) = (echoes[echoes.len() / 4], echoes[echoes.len() / 2], menus[0]);
    // The control: each answer was still on its way when the key was shown, and one who waits for it would be this late.
    assert!(first_menu >= EACH_WAY * 2, "{menus:?}");
    assert!(echo < Duration::from_millis(30) && most < EACH_WAY, "{echoes:?}");
}
