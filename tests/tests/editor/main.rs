//! The shell's line editor at a real terminal: completion from both sides, hints, history, looks, and that no key waits for the network.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use ferry_tests::delay::Delay;
use ferry_tests::pty::{Pty, Size};
use ferry_tests::{PASSWORD, Server, write};

mod completion;

/// The end of the prompt of a shell that is logged in, in the home's root.
const PROMPT: &str = ":/> ";

/// A server of that program with an account of alice's.
fn server(program: &str) -> Server {
    let server = Server::start_program(program, &[]);
    server.add_user("alice", &["--quota", "1GiB"]);
    server
}

/// A command of alice's without anything of the user's own environment that changes how a shell looks.
fn client(server: &Server) -> Command {
    let mut command = server.client("alice", &["--retry-for", "0", "-q"]);
    for name in [
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "FERRY_KEYS",
        "XDG_STATE_HOME",
        "XDG_CONFIG_HOME",
    ] {
        command.env_remove(name);
    }
    command
}

/// A shell that has shown its first prompt.
fn shell(server: &Server) -> Pty {
    begin(&client(server))
}

fn begin(command: &Command) -> Pty {
    let terminal = Pty::spawn(command);
    terminal.wait_for(PROMPT);
    terminal
}

/// The line that is being typed, without the prompt.
fn typed(screen: &str) -> String {
    let line = screen.lines().rfind(|line| line.contains(PROMPT)).unwrap_or_default();
    line.split_once(PROMPT).map_or("", |(_, typed)| typed).to_owned()
}

/// Waits until the line begins so; what is behind is a hint, or nothing.
#[track_caller]
fn wait_typed(terminal: &Pty, line: &str) -> String {
    terminal.wait_until(line, |screen| typed(&screen.contents()).starts_with(line))
}

/// Waits until the line is exactly this, hint included.
#[track_caller]
fn wait_line(terminal: &Pty, line: &str) -> String {
    terminal.wait_until(line, |screen| typed(&screen.contents()) == line)
}

/// Runs a line and waits for the next prompt.
#[track_caller]
fn run(terminal: &Pty, line: &str) {
    terminal.send(&format!("{line}\r"));
    terminal.wait_until(line, |screen| {
        let text = screen.contents();
        let ran = text.lines().any(|shown| shown.contains(PROMPT) && shown.ends_with(line));
        ran && typed(&text).is_empty()
    });
}

/// Gives the line up and waits for an empty one.
#[track_caller]
fn clear(terminal: &Pty) {
    terminal.send("\x15");
    wait_line(terminal, "");
}

#[test]
fn hints_are_grey_and_only_the_history_can_be_taken_over() {
    let server = server("ferryd");
    let terminal = shell(&server);
    terminal.send("put ");
    terminal.wait_until("a grey hint", |screen| {
        let text = screen.contents();
        let Some((row, line)) = text.lines().enumerate().find(|(_, line)| line.contains("LOCAL...")) else {
            return false;
        };
        let at = u16::try_from(line.find("LOCAL...").unwrap()).unwrap();
        let cell = |column| screen.cell(u16::try_from(row).unwrap(), column).unwrap().clone();
        cell(at).fgcolor() != cell(at - 4).fgcolor() && cell(at).fgcolor() != vt100::Color::Default
    });
    // Cursor right takes nothing over from a hint about arguments.
    terminal.send("\x1b[C\x1b[Ca");
    wait_typed(&terminal, "put a");
    clear(&terminal);
    run(&terminal, "mkdir one");
    terminal.send("mk");
    wait_line(&terminal, "mkdir one");
    terminal.send("\x1b[C\x7fx");
    wait_line(&terminal, "mkdir onx");
    run(&terminal, "");
    assert!(server.ferry("alice", &["ls"]).expect(0).out.contains("onx"));
}

#[test]
fn without_colours_hints_are_dim_and_unknown_verbs_underlined() {
    let server = server("ferryd");
    for has_colours in [true, false] {
        let mut command = client(&server);
        if !has_colours {
            command.env("NO_COLOR", "1");
        }
        let terminal = begin(&command);
        terminal.send("ls");
        wait_typed(&terminal, "ls");
        terminal.send("x");
        terminal.wait_until("an unknown verb", |screen| {
            let (row, column) = screen.cursor_position();
            let cell = screen.cell(row, column - 1).unwrap();
            cell.contents() == "x" && cell.underline() && (cell.fgcolor() != vt100::Color::Default) == has_colours
        });
        terminal.send(" ");
        terminal.wait_for("no such verb; did you mean ls?");
        clear(&terminal);
        terminal.send("ls");
        terminal.wait_until("a known verb", |screen| {
            let (row, column) = screen.cursor_position();
            let cell = screen.cell(row, column - 1).unwrap();
            cell.contents() == "s" && cell.bold() && !cell.underline()
        });
    }
}

#[test]
fn history_outlives_the_shell_is_searched_and_private() {
    let server = server("ferryd");
    let file = server.local().parent().unwrap().join(".local/state/ferry/history");
    let terminal = shell(&server);
    let lines = ["mkdir älpha", "mkdir beta", " mkdir secret", "ls"];
    for line in lines {
        run(&terminal, line);
    }
    // Another shell has them while this one runs on.
    let other = shell(&server);
    other.send("\x1b[A");
    wait_line(&other, "ls");
    clear(&other);
    other.send("\x12älp");
    other.wait_for("(search: älp)");
    other.wait_for("mkdir älpha");
    // Enter takes it into the line, where it can be changed.
    other.send("\r");
    wait_line(&other, "mkdir älpha");
    run(&other, "2");
    run(&other, "ls");
    other.wait_for("älpha2");
    other.send("exit\r");
    assert_eq!(other.end().0, 0);
    terminal.send("exit\r");
    assert_eq!(terminal.end().0, 0);
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains("mkdir älpha\nmkdir beta\nls\n"), "{kept}");
    assert!(!kept.contains("secret"), "{kept}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn vi_keys_for_those_who_ask_for_them() {
    let server = server("ferryd");
    let mut command = client(&server);
    command.env("FERRY_KEYS", "vi");
    let terminal = begin(&command);
    terminal.send("mkdir two");
    wait_typed(&terminal, "mkdir two");
    terminal.send("\x1b");
    terminal.wait_for(":/: mkdir two");
    terminal.send("bcwthree\r");
    terminal.send("ls\r");
    terminal.wait_for("\nthree");
    drop(terminal);
    command.env("FERRY_KEYS", "nano");
    begin(&command).wait_for("`nano` is no set of keys");
}

#[test]
fn a_line_outlives_a_change_of_the_terminals_size() {
    let server = server("ferryd");
    let terminal = Pty::spawn_at(&client(&server), Size::new(24, 80));
    terminal.wait_for(PROMPT);
    let long = "x".repeat(70);
    terminal.send(&format!("mkdir {long}"));
    terminal.wait_until("a broken line", |screen| screen.contents().replace('\n', "").contains(&long));
    terminal.resize(Size::new(50, 200));
    terminal.send("yz");
    let line = format!("mkdir {long}yz");
    wait_line(&terminal, &line);
    terminal.send("\rls\r");
    terminal.wait_for(&format!("\n{long}yz"));
}

#[test]
fn a_pasted_line_break_runs_nothing_until_enter_and_then_one_after_the_other() {
    let server = server("ferryd");
    let terminal = shell(&server);
    terminal.send("\x1b[200~mkdir one\nmkdir two\nrmdir three\nmkdir four\n\x1b[201~");
    terminal.wait_for("mkdir four");
    assert_eq!(server.ferry("alice", &["ls"]).expect(0).out, "");
    terminal.send("\r");
    // The third fails, so the fourth is not run.
    let screen = terminal.wait_for("the lines behind it were not run: 1");
    assert!(screen.contains("not_found"), "{screen}");
    let out = server.ferry("alice", &["ls"]).expect(0).out;
    assert!(out.contains("one") && out.contains("two") && !out.contains("four"), "{out}");
}

#[test]
fn what_is_typed_while_a_line_runs_is_not_lost() {
    let server = server("ferryd");
    let terminal = shell(&server);
    terminal.send("!echo runs; read line; echo got $line\r");
    terminal.wait_for("\nruns");
    terminal.send("it\rmkdir one\rmkdir two\rmkdir thr");
    terminal.wait_for("got it");
    wait_typed(&terminal, "mkdir thr");
    terminal.wait_until("the last of them", |screen| {
        screen
            .contents()
            .lines()
            .last()
            .is_some_and(|line| line.ends_with("> mkdir thr"))
    });
    terminal.send("ee\r");
    terminal.send("exit\r");
    assert_eq!(terminal.end().0, 0);
    let out = server.ferry("alice", &["ls"]).expect(0).out;
    assert!(["one", "two", "three"].iter().all(|name| out.contains(name)), "{out}");
}

#[test]
fn a_dumb_terminal_has_a_plain_shell() {
    let server = server("ferryd");
    let mut command = client(&server);
    command.env("TERM", "dumb");
    let terminal = begin(&command);
    terminal.send("mkdir plain\nls\n");
    terminal.wait_for("> plain");
    terminal.send("exit\n");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn a_lost_connection_is_in_the_prompt_and_the_next_line_makes_another() {
    let server = server("ferryd");
    server.ferry("alice", &["mkdir", "there"]).expect(0);
    // A place that stays the same when the server's port does not.
    let delay = Delay::switched(server.address);
    let terminal = begin(&client_to(&server, delay.address));
    let server = server.restart();
    terminal.wait_until("a broken connection", |screen| {
        // Each key paints the line, and the prompt says how things stand.
        terminal.send("\x15");
        screen.contents().contains(":/ (not connected)> ")
    });
    delay.switch(server.address);
    terminal.send("ls\r");
    terminal.wait_for("\nthere");
    terminal.wait_until("a connected prompt", |screen| {
        let text = screen.contents();
        text.lines().last().is_some_and(|line| line.contains(PROMPT))
    });
    terminal.send("exit\r");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn a_near_name_is_proposed_for_one_that_is_not_there() {
    let server = server("ferryd");
    server.ferry("alice", &["mkdir", "-p", "media/holiday pictures"]).expect(0);
    write(&server.local(), "letter.txt", b"x");
    let terminal = shell(&server);
    terminal.send("ls 'media/holidya pictures'\r");
    terminal.wait_for("did you mean `'media/holiday pictures'`?");
    terminal.send("put lettre.txt\r");
    terminal.wait_for("did you mean `letter.txt`?");
    // A script is told what it was told before, and nothing is asked.
    let ran = server.ferry("alice", &["ls", "meida"]);
    assert!(ran.code == 4 && !ran.err.contains("did you mean"), "{ran:?}");
}

#[test]
fn what_the_home_holds_is_told_at_login() {
    let server = server("ferryd");
    let path = write(&server.local(), "f", &vec![7; 3 << 19]);
    server.ferry("alice", &["put".as_ref(), path.as_os_str()]).expect(0);
    let terminal = shell(&server);
    terminal.wait_for("1.5 MiB of 1.0 GiB used (0 %) · no unfinished uploads");
    // It is for people: a single command says nothing of it.
    let ran = server.ferry("alice", &["pwd"]).expect(0);
    assert!(!ran.err.contains("used"), "{ran:?}");
}

/// The shell's command, with another way to the server.
fn client_to(server: &Server, address: std::net::SocketAddr) -> Command {
    let usual = client(server);
    let mut command = Command::new(usual.get_program());
    let own = format!("alice@{}", server.address);
    let target = format!("alice@{address}");
    command.args(
        usual
            .get_args()
            .map(|arg| if arg == own.as_str() { target.as_ref() } else { arg }),
    );
    for (name, value) in usual.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("FERRY_PASSWORD", PASSWORD).current_dir(server.local());
    command
}
