//! What a person at a terminal is asked before the login: about a key that is not known, and then for the password. Real programs, a real
//! terminal.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::path::PathBuf;
use std::process::Command;

use ferry_tests::pty::Pty;
use ferry_tests::{PASSWORD, Server, program};

/// The end of the question about a key.
const ABOUT_KEY: &str = "Type yes to trust it:";
/// The question for the password.
const PASSWORD_OF: &str = "password of alice@127.0.0.1:";
/// A key that no server has.
const OTHER_KEY: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn known_hosts(server: &Server) -> PathBuf {
    server.local().join("config/known_hosts")
}

/// The keys that are known by now.
fn known(server: &Server) -> String {
    std::fs::read_to_string(known_hosts(server)).unwrap_or_default()
}

/// A server with an account of alice's.
fn server() -> Server {
    let server = Server::start();
    server.add_user("alice", &[]);
    server
}

/// A client of alice's that knows no key and no password, with options.
fn client(server: &Server, options: &[&str]) -> Command {
    let mut command = Command::new(program("ferry"));
    command
        .env("HOME", server.local())
        .env("FERRY_KNOWN_HOSTS", known_hosts(server))
        .env("FERRY_LOGINS", server.local().join("config/logins"))
        .env_remove("FERRY_PASSWORD")
        .current_dir(server.local())
        .args(["--retry-for", "0"])
        .args(options)
        .arg(format!("alice@{}", server.address));
    command
}

fn pwd(server: &Server, options: &[&str]) -> Command {
    let mut command = client(server, options);
    command.arg("pwd");
    command
}

/// The same command below a shell that lives on, and then shows whether what is typed would be seen.
fn then_stty(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap : INT; "$@"; code=$?; stty -a; exit $code"#, "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(command.get_current_dir().unwrap());
    shell
}

fn echoes(screen: &str) -> bool {
    let words = || screen.split_whitespace();
    assert!(words().any(|word| word == "icanon"), "{screen}");
    !words().any(|word| word == "-echo")
}

/// Makes the server's key known.
fn trust(server: &Server) {
    std::fs::create_dir_all(known_hosts(server).parent().unwrap()).unwrap();
    std::fs::write(known_hosts(server), format!("{} {}\n", server.address, server.key)).unwrap();
}

#[test]
fn an_unknown_key_is_asked_about_before_the_password_and_yes_writes_it_down() {
    let server = server();
    let terminal = Pty::spawn(&pwd(&server, &[]));
    let asked = terminal.wait_for(ABOUT_KEY);
    assert!(asked.contains(&server.key), "{asked}");
    assert!(!asked.contains("password of"), "{asked}");
    assert_eq!(known(&server), "");
    terminal.send("yes\r");
    terminal.wait_for(PASSWORD_OF);
    assert_eq!(known(&server), format!("{} {}\n", server.address, server.key));
    terminal.send(&format!("{PASSWORD}\r"));
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(screen.lines().last(), Some("/"), "{screen}");
    assert!(!screen.contains(PASSWORD), "{screen}");
    assert_eq!(
        (screen.matches(ABOUT_KEY).count(), screen.matches("password of").count()),
        (1, 1),
        "{screen}"
    );
    // From now on only the password is asked for.
    let terminal = Pty::spawn(&pwd(&server, &[]));
    terminal.wait_for(PASSWORD_OF);
    terminal.send(&format!("{PASSWORD}\r"));
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains(ABOUT_KEY), "{screen}");
}

#[test]
fn anything_but_yes_is_a_refused_login_and_writes_nothing_down() {
    let server = server();
    for answer in ["no\r", "\r", "y\r", "yes please\r", "\x04"] {
        let terminal = Pty::spawn(&pwd(&server, &[]));
        terminal.wait_for(ABOUT_KEY);
        terminal.send(answer);
        let (code, screen) = terminal.end();
        assert_eq!(code, 3, "{answer:?}: {screen}");
        assert!(
            screen.contains("not accepted") && !screen.contains("password of"),
            "{answer:?}: {screen}"
        );
        assert_eq!(known(&server), "", "{answer:?}");
    }
}

#[test]
fn with_another_key_than_the_known_one_nothing_is_asked_at_all() {
    let server = server();
    trust(&server);
    let known_before = known(&server).replace(&server.key, OTHER_KEY);
    std::fs::write(known_hosts(&server), &known_before).unwrap();
    for options in [&[][..], &["--pin", OTHER_KEY], &["--accept-new"]] {
        let (code, screen) = Pty::spawn(&pwd(&server, options)).end();
        assert_eq!(code, 3, "{screen}");
        assert!(screen.contains("another key") && screen.contains(&server.key), "{screen}");
        assert!(!screen.contains("Type yes") && !screen.contains("password of"), "{screen}");
        assert_eq!(known(&server), known_before);
    }
}

#[test]
fn ctrl_c_at_either_question_is_an_interruption_and_leaves_the_terminal_as_it_was() {
    let server = server();
    let (shell, one) = (client(&server, &[]), pwd(&server, &[]));
    let script = client(&server, &["-b", "/dev/null"]);
    for question in [ABOUT_KEY, PASSWORD_OF] {
        if question == PASSWORD_OF {
            trust(&server);
        }
        for command in [&shell, &one, &script] {
            let terminal = Pty::spawn(&then_stty(command));
            terminal.wait_for(question);
            terminal.send("\x03");
            let (code, screen) = terminal.end();
            assert_eq!(code, 10, "{command:?}: {screen}");
            assert!(echoes(&screen), "{command:?}: {screen}");
        }
        assert_eq!(known(&server).is_empty(), question == ABOUT_KEY);
    }
}

#[test]
fn a_wrong_password_is_asked_for_once_and_an_empty_answer_is_not_tried() {
    let server = server();
    trust(&server);
    for (answer, said) in [("wrong\r", "error"), ("\x04", "no password was given")] {
        let terminal = Pty::spawn(&then_stty(&pwd(&server, &[])));
        terminal.wait_for(PASSWORD_OF);
        terminal.send(answer);
        let (code, screen) = terminal.end();
        assert_eq!(code, 3, "{screen}");
        assert!(screen.contains(said) && !screen.contains("wrong\n"), "{screen}");
        assert_eq!(screen.matches("password of").count(), 1, "{screen}");
        assert!(echoes(&screen), "{screen}");
    }
}

#[test]
fn a_server_that_is_not_there_costs_nobody_a_password() {
    let server = server();
    trust(&server);
    let command = pwd(&server, &[]);
    let _launch = server.kill();
    let (code, screen) = Pty::spawn(&command).end();
    assert_eq!(code, 8, "{screen}");
    assert!(!screen.contains("password of"), "{screen}");
}

#[test]
fn a_saved_login_is_used_unasked_and_a_new_one_is_saved_for_the_password() {
    let server = server();
    trust(&server);
    // The second one is asked for though there is one.
    for _ in 0..2 {
        let terminal = Pty::spawn(&pwd(&server, &["--save-login"]));
        terminal.wait_for(PASSWORD_OF);
        terminal.send(&format!("{PASSWORD}\r"));
        let (code, screen) = terminal.end();
        assert_eq!(code, 0, "{screen}");
        assert!(screen.contains("the login was saved"), "{screen}");
    }
    let (code, screen) = Pty::spawn(&pwd(&server, &[])).end();
    assert_eq!((code, screen.trim()), (0, "/"));
    // Taken away on the server: the user is told why he is asked.
    server.admin(&["user", "logout", "alice"], "").expect(0);
    let terminal = Pty::spawn(&pwd(&server, &[]));
    let asked = terminal.wait_for(PASSWORD_OF);
    assert!(asked.contains("does not take the saved login any more"), "{asked}");
    terminal.send(&format!("{PASSWORD}\r"));
    assert_eq!(terminal.end().0, 0);
}
