//! Saved logins and the audit log, with real programs: what is saved, who takes it away, and what is written down.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ferry_tests::{PASSWORD, Ran, Server, run_with_input};

/// As many as an account may have: `LOGINS_MAX` of the server.
const LOGINS_MAX: usize = 32;

fn file(server: &Server) -> PathBuf {
    server.local().join("config/logins")
}

fn saved(server: &Server) -> String {
    std::fs::read_to_string(file(server)).unwrap()
}

/// A client of alice's that has her saved logins, and no password.
fn without_password(server: &Server) -> Command {
    let mut command = server.client("alice", &["--json", "--retry-for", "0"]);
    command.env("FERRY_LOGINS", file(server)).env_remove("FERRY_PASSWORD");
    command
}

fn pwd(server: &Server) -> Ran {
    run_with_input(without_password(server).arg("pwd"), b"")
}

/// Logs in with the password and saves that.
fn save(server: &Server, user: &str) -> Ran {
    let mut command = server.client(user, &["--save-login"]);
    run_with_input(command.env("FERRY_LOGINS", file(server)).arg("pwd"), b"")
}

/// A server with an account of alice's and a saved login of hers.
fn server() -> Server {
    let server = Server::start();
    server.add_user("alice", &[]);
    save(&server, "alice").expect(0);
    server
}

/// The ids that an administrator sees.
fn ids(server: &Server) -> Vec<String> {
    let listed = server.admin(&["user", "logins", "alice", "--json"], "").expect(0).json();
    listed.iter().map(|login| login["id"].as_str().unwrap().to_owned()).collect()
}

/// The client was refused, says so, and has forgotten the login.
#[track_caller]
fn assert_refused(server: &Server) {
    let refused = pwd(server).expect(3);
    let told = refused.json().remove(0);
    assert_eq!(told["kind"], "login_refused", "{told}");
    assert!(told["message"].as_str().unwrap().contains("forgotten"), "{told}");
    assert!(told["hint"].as_str().unwrap().contains("--save-login"), "{told}");
    assert_eq!(saved(server), "");
}

/// The same file of saved logins for the server at its present address, as if that had not changed.
fn follow(server: &Server, before: &str) {
    let address = server.address.to_string();
    std::fs::write(file(server), saved(server).replace(before, &address)).unwrap();
}

#[test]
fn a_saved_login_stands_in_for_the_password_until_its_user_takes_it_away() {
    let server = server();
    let path = file(&server);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let line = saved(&server);
    let start = format!("alice@{} {} ferry-token-v1:", server.address, server.key);
    assert!(line.starts_with(&start) && line.lines().count() == 1, "{line}");
    assert_eq!(pwd(&server).expect(0).json()[0]["path"], "/");
    let listed = run_with_input(without_password(&server).arg("logins"), b"").expect(0).json();
    let id = listed[0]["id"].as_str().unwrap();
    assert!(line.contains(id) && listed.len() == 1);
    assert!(listed[0]["created"].is_string() && listed[0]["used"].as_str().unwrap().ends_with("T00:00:00Z"));
    run_with_input(without_password(&server).args(["logins", "rm", "0000000000000000"]), b"").expect(4);
    run_with_input(without_password(&server).args(["logins", "rm", id]), b"").expect(0);
    assert_refused(&server);
    let none = pwd(&server).expect(3);
    assert!(none.json()[0]["message"].as_str().unwrap().contains("no password"));
    let log = server.stop().1;
    let secret = line.trim().rsplit(':').next().unwrap();
    assert!(
        !log.contains(secret) && log.contains(&format!(r#"by="saved login" id="{id}""#)),
        "{log}"
    );
}

#[test]
fn a_saved_login_outlives_a_restart_and_an_administrator_ends_it() {
    let server = server();
    let before = server.address.to_string();
    let server = server.restart();
    follow(&server, &before);
    pwd(&server).expect(0);
    save(&server, "alice").expect(0);
    let ids = ids(&server);
    assert_eq!(ids.len(), 2);
    // A session that began by the one that goes.
    let mut command = server.client("alice", &["--json", "-b", "-"]);
    let command = command.env("FERRY_LOGINS", file(&server)).env_remove("FERRY_PASSWORD");
    let mut session = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(session.stdout.take().unwrap()).lines();
    let mut ask = |line: &str| {
        session.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        lines.next().unwrap().unwrap()
    };
    assert_eq!(ask("pwd\n"), r#"{"path":"/"}"#);
    server.admin(&["user", "logout", "alice", "nonesuch"], "").expect(1);
    server.admin(&["user", "logout", "alice"], "").expect(0);
    assert_eq!(ask("pwd\n"), r#"{"path":"/"}"#);
    drop(session.stdin.take());
    assert!(session.wait().unwrap().success());
    assert_refused(&server);
    assert!(self::ids(&server).is_empty());
    server.admin(&["user", "logout", "nobody"], "").expect(1);
}

#[test]
fn an_administrator_ends_one_and_leaves_the_others() {
    let server = server();
    let mine = ids(&server).remove(0);
    let own = saved(&server);
    save(&server, "alice").expect(0);
    std::fs::write(file(&server), own).unwrap();
    let other = ids(&server).into_iter().find(|id| *id != mine).unwrap();
    server.admin(&["user", "logout", "alice", &other], "").expect(0);
    pwd(&server).expect(0);
    let listed = server.admin(&["user", "logins", "alice"], "").expect(0).out;
    assert!(listed.contains(&mine) && listed.contains("used today"), "{listed}");
}

#[test]
fn a_disabled_account_and_a_new_password_end_saved_logins() {
    let server = server();
    let line = saved(&server);
    server.admin(&["user", "disable", "alice"], "").expect(0);
    assert_refused(&server);
    // It was forgotten by the client, and holds again for whoever still has it.
    server.admin(&["user", "enable", "alice"], "").expect(0);
    std::fs::write(file(&server), &line).unwrap();
    pwd(&server).expect(0);
    let passwd = ["user", "passwd", "alice", "--password-stdin"];
    server.admin(&passwd, &format!("{PASSWORD}\n")).expect(0);
    assert_refused(&server);
    assert!(ids(&server).is_empty());
}

#[test]
fn a_saved_login_is_not_used_with_another_key() {
    let server = server();
    let before = server.address.to_string();
    std::fs::remove_file(server.data().join("key.pem")).unwrap();
    let server = server.restart();
    follow(&server, &before);
    let line = saved(&server);
    // The client pins the new key; only the saved login knows the old one.
    let refused = pwd(&server).expect(3);
    assert!(refused.out.contains("another key"), "{}", refused.out);
    assert_eq!(saved(&server), line);
    server.ferry("alice", &["pwd"]).expect(0);
    assert!(!server.stop().1.contains(r#"by="saved login""#));
}

#[test]
fn a_file_that_others_may_read_is_not_used() {
    let server = server();
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(file(&server), readable).unwrap();
    let refused = pwd(&server).expect(3);
    assert!(refused.out.contains("chmod 600"), "{}", refused.out);
    // Nor is one added to it; without it, the password is as good as ever.
    save(&server, "alice").expect(3);
    server.ferry("alice", &["pwd"]).expect(0);
    assert_eq!(ids(&server).len(), 1);
}

#[test]
fn an_account_has_so_many_saved_logins_and_logs_in_all_the_same() {
    let server = server();
    for _ in 1..LOGINS_MAX {
        save(&server, "alice").expect(0);
    }
    let more = save(&server, "alice").expect(0);
    assert!(
        more.err.contains("not saved: 32") && more.err.contains("take one away"),
        "{}",
        more.err
    );
    assert_eq!(ids(&server).len(), LOGINS_MAX);
    // The one that was saved last is still good.
    pwd(&server).expect(0);
}

#[test]
fn a_password_that_is_given_counts_and_a_saved_login_is_one_users() {
    let server = server();
    server.add_user("bob", &[]);
    save(&server, "bob").expect(0);
    let mut wrong = without_password(&server);
    run_with_input(wrong.arg("pwd").env("FERRY_PASSWORD", "wrong"), b"").expect(3);
    pwd(&server).expect(0);
    // Somebody moved bob's to alice's line.
    let text = saved(&server);
    let token = |user: &str| {
        text.lines()
            .find(|line| line.starts_with(user))
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
    };
    std::fs::write(file(&server), text.replace(token("alice"), token("bob"))).unwrap();
    let refused = pwd(&server).expect(3);
    assert!(refused.out.contains("another user"), "{}", refused.out);
}

#[test]
fn nothing_is_saved_without_tls() {
    let server = Server::start_plain();
    server.add_user("alice", &[]);
    let refused = save(&server, "alice").expect(2);
    assert!(refused.err.contains("--no-tls"), "{}", refused.err);
    server.ferry("alice", &["pwd"]).expect(0);
}

/// The lines of the audit log in JSON, as maps of their fields.
fn audit(log: &str) -> Vec<serde_json::Value> {
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let fields = lines.map(|line| line["fields"].clone());
    fields.filter(|fields| fields["audit"].is_string()).collect()
}

#[test]
fn every_request_login_and_change_is_one_line_that_nobody_breaks() {
    const NAME: &str = "a\nb\x1b[2J\" result=\"ok\" \u{202e}";
    for format in ["json", "text"] {
        let server = Server::start_program("ferryd", &["--log-format", format]);
        server.add_user("alice", &["--quota", "1MiB"]);
        std::fs::write(server.local().join("some"), b"0123456789").unwrap();
        server.ferry("alice", &["mkdir", NAME]).expect(2);
        server.ferry("alice", &["rmdir", &format!("{NAME}/none")]).expect(4);
        server.ferry("alice", &["put", "some", "docs"]).expect(0);
        server.ferry("alice", &["get", "docs", "back"]).expect(0);
        let name = format!("x\" result=\"ok\" {}", "y".repeat(80));
        server.ferry(&name, &["pwd"]).expect(3);
        server.admin(&["user", "set", "alice", "--read-only"], "").expect(0);
        server.admin(&["user", "disable", NAME], "").expect(1);
        let (_, log) = server.stop();
        assert!(log.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{log}");
        assert!(!log.contains(PASSWORD), "{log}");
        if format == "text" {
            // A quote inside a value is escaped, so it ends none and begins no other field.
            assert!(log.lines().filter(|line| line.contains("audit=")).count() >= 10, "{log}");
            assert!(log.contains(r#"\" result=\"ok\""#), "{log}");
            continue;
        }
        let lines = audit(&log);
        let of = |audit: &str, key: &str, value: &str| {
            let found: Vec<_> = lines
                .iter()
                .filter(|line| line["audit"] == audit && line[key] == value)
                .collect();
            assert_eq!(found.len(), 1, "{audit} {key}={value}: {lines:#?}");
            found[0].clone()
        };
        let shown = "a\\nb\\x1b[2J\" result=\"ok\" \\u{202e}";
        let made = of("request", "verb", "mkdir");
        assert_eq!(
            (made["path"].as_str(), made["result"].as_str()),
            (Some(shown), Some("bad_path"))
        );
        assert_eq!((made["user"].as_str(), made["cwd"].as_str()), (Some("alice"), Some("/")));
        assert!(made["address"].as_str().unwrap().starts_with("127.0.0.1:") && made["ms"].is_u64());
        assert_eq!(of("request", "verb", "rmdir")["result"], "not_found");
        for (verb, path) in [("upload", "docs"), ("download", "docs")] {
            let moved = of("request", "verb", verb);
            assert_eq!(
                (moved["path"].as_str(), moved["bytes"].as_u64()),
                (Some(path), Some(10)),
                "{moved}"
            );
        }
        let logins = lines.iter().filter(|line| line["audit"] == "login");
        let (good, bad): (Vec<_>, Vec<_>) = logins.partition(|line| line["result"] == "ok");
        assert!(good.len() == 4 && good.iter().all(|line| line["user"] == "alice" && line["by"] == "password"));
        assert_eq!((bad.len(), bad[0]["result"].as_str()), (1, Some("login_refused")));
        let cut: String = name.chars().take(64).collect();
        assert_eq!(bad[0]["user"], cut.as_str());
        assert_eq!(of("account", "change", "add")["user"], "alice");
        assert_eq!(of("account", "change", "set")["result"], "ok");
        assert_eq!(of("account", "change", "disable")["user"], shown);
        assert_eq!(of("account", "change", "disable")["result"], "not_found");
    }
}
