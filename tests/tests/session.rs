//! The main job: accounts, files there and back, and what every line of CLI.md promises about it.

use ferry_tests::{Server, files_below, noise, write};

#[test]
fn the_server_says_where_it_listens_and_stops_when_told() {
    let server = Server::start();
    assert!(server.address.ip().is_loopback());
    let (code, log) = server.stop();
    assert_eq!(code, 0, "{log}");
}

#[test]
fn a_wrong_command_line_or_config_is_exit_2_and_names_the_cause() {
    let server = Server::start();
    for args in [
        &["serve", "--listen", "0.0.0.0:0", "--no-tls"][..],
        &["serve", "--listne", "x"],
        &["user", "add", "Bad/Name", "--password-stdin"],
    ] {
        let ran = server.admin(args, "secret\n").expect(2);
        assert!(!ran.err.trim().is_empty() && ran.out.is_empty(), "{ran:?}");
    }
    let config = write(&server.local(), "c.toml", b"lisen = 1\n");
    let ran = server.admin(&["serve", "--config", config.to_str().unwrap()], "").expect(2);
    assert!(ran.err.contains("lisen"), "{}", ran.err);
    let ran = server.admin(&["serve", "--allow-root"], "").expect(1);
    assert!(ran.err.contains("another ferryd"), "{}", ran.err);
}

#[test]
fn a_file_goes_up_and_comes_back_the_same() {
    let server = Server::start();
    server.add_user("alice", &["--quota", "10MiB"]);
    let bytes = noise(3_000_001, 1);
    write(&server.local(), "a.bin", &bytes);
    server.ferry("alice", &["mkdir", "-p", "docs/deep"]).expect(0);
    let up = server.ferry_json("alice", &["upload", "a.bin", "docs/"]).expect(0);
    let events = up.json();
    assert_eq!(
        events
            .first()
            .map(|e| (e["event"].as_str(), e["code"].as_u64(), e["offset"].as_u64())),
        Some((Some("open"), Some(1001), Some(0)))
    );
    let done = events.last().unwrap();
    let md5 = ferry_core::Algorithm::Md5.digest(&bytes).hex();
    assert_eq!(
        (
            done["event"].as_str(),
            done["md5"].as_str(),
            done["size"].as_u64(),
            done["verified"].as_bool()
        ),
        (Some("done"), Some(md5.as_str()), Some(3_000_001), Some(true))
    );
    assert_eq!(done["sent"].as_u64(), Some(3_000_001));

    let line = server.ferry("alice", &["md5", "docs/a.bin"]).expect(0).out;
    assert_eq!(line, format!("{md5}  docs/a.bin\n"));
    server.ferry("alice", &["download", "docs/a.bin", "b.bin"]).expect(0);
    assert_eq!(std::fs::read(server.local().join("b.bin")).unwrap(), bytes);
    let cat = server
        .client("alice", &[])
        .args(["download", "docs/a.bin", "--as", "-"])
        .output()
        .unwrap();
    assert_eq!(cat.stdout, bytes);
    assert_eq!(std::fs::read(server.data().join("homes/alice/docs/a.bin")).unwrap(), bytes);

    let ls = server.ferry_json("alice", &["ls", "-l", "docs"]).expect(0).json();
    let names: Vec<_> = ls
        .iter()
        .map(|row| {
            (
                row["name"].as_str().unwrap(),
                row["kind"].as_str().unwrap(),
                row["size"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(names, [("a.bin", "file", 3_000_001), ("deep", "dir", 0)]);
    let du = server.ferry_json("alice", &["du", "-s", "/"]).expect(0).json();
    let quota = server.ferry_json("alice", &["quota"]).expect(0).json();
    assert_eq!(du[0]["bytes"], quota[0]["used"]);
    assert_eq!(
        quota[0],
        serde_json::json!({"limit": 10 << 20, "used": 3_000_001, "reserved": 0, "free": (10 << 20) - 3_000_001})
    );

    server.ferry("alice", &["mv", "docs/a.bin", "moved.bin"]).expect(0);
    server.ferry("alice", &["cp", "moved.bin", "docs"]).expect(0);
    server.ferry("alice", &["rm", "moved.bin", "docs/moved.bin"]).expect(0);
    server.ferry("alice", &["rmdir", "docs/deep", "docs"]).expect(0);
    assert!(files_below(&server.data().join("homes/alice")).is_empty());
    assert_eq!(server.ferry_json("alice", &["quota"]).expect(0).json()[0]["used"], 0);
}

#[test]
fn the_same_upload_again_sends_nothing() {
    let server = Server::start();
    server.add_user("alice", &[]);
    write(&server.local(), "a.bin", &noise(500_000, 2));
    server.ferry("alice", &["upload", "a.bin"]).expect(0);
    let again = server.ferry_json("alice", &["upload", "a.bin"]).expect(0).json();
    assert_eq!(
        (again[0]["code"].as_u64(), again.last().unwrap()["sent"].as_u64()),
        (Some(1003), Some(0))
    );
}

#[test]
fn every_failure_has_its_exit_code() {
    let server = Server::start();
    server.add_user("alice", &["--quota", "1MiB"]);
    server.add_user("bob", &["--read-only"]);
    let big = write(&server.local(), "big.bin", &noise(2 << 20, 3));
    write(&server.local(), "small.txt", b"small");
    let big = big.to_str().unwrap();
    server.ferry("alice", &["upload", "small.txt"]).expect(0);
    server.ferry("alice", &["mkdir", "full"]).expect(0);
    server.ferry("alice", &["upload", "small.txt", "full/"]).expect(0);
    let long = "x".repeat(256);
    let cases: &[(&str, &[&str], i32, &str)] = &[
        ("alice", &["frobnicate"], 2, "unknown_verb"),
        ("alice", &["mkdri", "x"], 2, "mkdir"),
        ("alice", &["ls", "--colour"], 2, "bad_request"),
        ("alice", &["mkdir"], 2, "PATH"),
        ("alice", &["ls", "nothing"], 4, "not_found"),
        ("alice", &["cat", "nothing"], 4, "not_found"),
        ("alice", &["ls", "../x"], 5, "denied"),
        ("alice", &["upload", "small.txt", "--as", "../../x"], 5, "denied"),
        ("alice", &["upload", "small.txt", "--as", "full/.."], 2, "is_directory"),
        ("alice", &["upload", "small.txt", "--as", "full/"], 2, "is_directory"),
        ("bob", &["mkdir", "x"], 5, "denied"),
        ("alice", &["upload", big], 6, "over_quota"),
        ("alice", &["rmdir", "full"], 9, "not_empty"),
        ("alice", &["mkdir", "full"], 9, "exists"),
        ("alice", &["upload", "small.txt", "--no-clobber"], 9, "exists"),
        ("alice", &["rm", "full"], 2, "is_directory"),
        ("alice", &["rm", "small.txt", "nothing"], 11, "not_found"),
        ("alice", &["mkdir", &long], 2, "bad_path"),
        ("alice", &["mkdir", "a\u{1}b"], 2, "bad_path"),
        ("alice", &["upload", "no-such-local-file"], 4, "no-such-local-file"),
        ("nobody", &["ls"], 3, "login_refused"),
    ];
    for (user, args, code, word) in cases {
        let ran = server.ferry(user, args).expect(*code);
        assert!(ran.err.contains(word), "{args:?} should say {word}: {}", ran.err);
    }
    assert_eq!(server.ferry_json("alice", &["quota"]).expect(0).json()[0]["reserved"], 0);
}

#[test]
fn an_upload_over_quota_sends_no_byte() {
    let server = Server::start();
    server.add_user("alice", &["--quota", "1MiB"]);
    write(&server.local(), "big.bin", &noise(2 << 20, 4));
    let ran = server.ferry_json("alice", &["upload", "big.bin"]).expect(6);
    let events = ran.json();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(
        (events[0]["event"].as_str(), events[0]["kind"].as_str()),
        (Some("error"), Some("over_quota"))
    );
    assert!(files_below(&server.data().join("homes")).is_empty() && files_below(&server.data().join("staging")).is_empty());
}

#[test]
fn a_script_stops_at_the_first_failure_unless_told_to_go_on() {
    let server = Server::start();
    server.add_user("alice", &[]);
    write(&server.local(), "a.txt", b"hello");
    let script = |text: &str| server.script("alice", text);
    script("# a comment\nmkdir 'two words'\n\ncd 'two words'\nput a.txt\n-rm nothing\nmd5 a.txt\npwd\n").expect(0);
    assert_eq!(
        std::fs::read(server.data().join("homes/alice/two words/a.txt")).unwrap(),
        b"hello"
    );
    let ran = script("mkdir one\nrm nothing\nmkdir two\n").expect(4);
    assert!(ran.err.contains("nothing"));
    script("mkdir one2\nfrobnicate\n").expect(2);
    let home = server.data().join("homes/alice");
    assert!(home.join("one").is_dir() && !home.join("two").exists());
}

#[test]
fn patterns_are_expanded_by_the_server_and_quotes_stop_it() {
    let server = Server::start();
    server.add_user("alice", &[]);
    for name in ["a.txt", "b.txt", "c.bin", "star*.txt"] {
        write(&server.local(), name, name.as_bytes());
        server.ferry("alice", &["put", name]).expect(0);
    }
    let ran = server.ferry("alice", &["rm", "[ab].txt"]).expect(0);
    assert!(ran.err.is_empty(), "{}", ran.err);
    let left = |names: &[&str]| {
        assert_eq!(
            files_below(&server.data().join("homes/alice")),
            names.iter().map(Into::into).collect::<Vec<std::path::PathBuf>>()
        )
    };
    left(&["c.bin", "star*.txt"]);
    server.ferry("alice", &["rm", "*.bin"]).expect(0);
    left(&["star*.txt"]);
}

#[test]
fn accounts_are_kept_while_the_server_runs() {
    let server = Server::start();
    server.add_user("alice", &["--quota", "1GB", "--deny", "rm,mv"]);
    let show = server.admin(&["user", "show", "alice", "--json"], "").expect(0).json();
    assert_eq!(
        (show[0]["quota"].as_u64(), show[0]["deny"][1].as_str()),
        (Some(1_000_000_000), Some("mv"))
    );
    // As if it did not exist.
    server.ferry("alice", &["rm", "x"]).expect(2);
    let help = server.ferry("alice", &["help"]).expect(0).out;
    assert!(
        help.contains("rmdir") && !help.lines().any(|line| line.trim_start().starts_with("rm ")),
        "{help}"
    );
    server
        .admin(&["user", "set", "alice", "--deny", "", "--quota", "none"], "")
        .expect(0);
    server.ferry("alice", &["rm", "x"]).expect(4);
    assert!(server.ferry_json("alice", &["quota"]).expect(0).json()[0]["limit"].is_null());
    server.admin(&["user", "disable", "alice"], "").expect(0);
    server.ferry("alice", &["ls"]).expect(3);
    server.admin(&["user", "enable", "alice"], "").expect(0);
    server
        .admin(&["user", "passwd", "alice", "--password-stdin"], "another\n")
        .expect(0);
    server.ferry("alice", &["ls"]).expect(3);
    server.admin(&["user", "remove", "alice"], "").expect(0);
    server.admin(&["user", "show", "alice"], "").expect(1);
    server.admin(&["user", "add", "bob", "--password-stdin"], "\n").expect(2);
}

#[test]
fn no_password_is_kept_or_logged_anywhere() {
    let server = Server::start();
    server.add_user("alice", &[]);
    server.ferry("alice", &["ls"]).expect(0);
    let data = server.data();
    for file in files_below(&data) {
        let bytes = std::fs::read(data.join(&file)).unwrap_or_default();
        assert!(
            !bytes
                .windows(ferry_tests::PASSWORD.len())
                .any(|w| w == ferry_tests::PASSWORD.as_bytes()),
            "{}",
            file.display()
        );
    }
    let (_, log) = server.stop();
    assert!(!log.contains(ferry_tests::PASSWORD));
}

#[test]
fn a_restart_keeps_files_accounts_and_usage() {
    for kill in [false, true] {
        let server = Server::start();
        server.add_user("alice", &["--quota", "1MiB"]);
        write(&server.local(), "a.bin", &noise(600_000, 5));
        server.ferry("alice", &["upload", "a.bin"]).expect(0);
        let server = if kill { server.kill_and_restart() } else { server.restart() };
        assert_eq!(server.ferry_json("alice", &["quota"]).expect(0).json()[0]["used"], 600_000);
        write(&server.local(), "b.bin", &noise(600_000, 6));
        server.ferry("alice", &["upload", "b.bin"]).expect(6);
    }
}

#[test]
fn a_link_that_points_out_of_the_home_leads_nowhere() {
    let server = Server::start();
    server.add_user("alice", &[]);
    server.ferry("alice", &["mkdir", "d"]).expect(0);
    let secret = write(&server.local(), "secret", b"secret");
    let home = server.data().join("homes/alice");
    std::os::unix::fs::symlink(&secret, home.join("link")).unwrap();
    std::os::unix::fs::symlink("/", home.join("root")).unwrap();
    write(&server.local(), "small.txt", b"small");
    for args in [
        &["cat", "link"][..],
        &["download", "link"],
        &["md5", "link"],
        &["ls", "root/etc"],
        &["cat", "root/etc/passwd"],
        &["cd", "root"],
        &["mkdir", "root/tmp/x"],
        &["put", "small.txt", "root/tmp/"],
        &["cp", "link", "copy"],
        &["rm", "-r", "root/tmp"],
    ] {
        let ran = server.ferry("alice", args);
        assert!(matches!(ran.code, 1 | 2 | 5), "{args:?}: {ran:?}");
        assert!(
            !ran.out.contains("secret") && !ran.out.contains("root:"),
            "{args:?}: {}",
            ran.out
        );
    }
    server.ferry("alice", &["rm", "link", "root"]).expect(0);
    assert_eq!(std::fs::read(secret).unwrap(), b"secret");
}

#[test]
fn a_new_name_may_lie_elsewhere() {
    let server = Server::start();
    server.add_user("alice", &[]);
    write(&server.local(), "a.txt", b"hello");
    server.ferry("alice", &["mkdir", "docs"]).expect(0);
    let absolute = server.local().join("a.txt");
    server
        .ferry("alice", &["upload", absolute.to_str().unwrap(), "--as", "docs/b.txt"])
        .expect(0);
    let elsewhere = server.local().join("sub");
    std::fs::create_dir(&elsewhere).unwrap();
    server
        .ferry("alice", &["download", "docs/b.txt", "--as", "sub/c.txt"])
        .expect(0);
    server
        .ferry(
            "alice",
            &["download", "docs/b.txt", "--as", elsewhere.join("d.txt").to_str().unwrap()],
        )
        .expect(0);
    for name in ["c.txt", "d.txt"] {
        assert_eq!(std::fs::read(elsewhere.join(name)).unwrap(), b"hello");
    }
    server
        .ferry("alice", &["download", "docs/b.txt", "--as", "none/c.txt"])
        .expect(4);
}

#[test]
fn a_check_finds_what_changed_behind_the_servers_back_and_repairs_it() {
    let server = Server::start();
    server.add_user("alice", &[]);
    write(&server.local(), "a.txt", b"hello");
    server.ferry("alice", &["upload", "a.txt"]).expect(0);
    server.admin(&["check"], "").expect(0);
    write(&server.data().join("homes/alice"), "planted", &[0; 1000]);
    let off = server.admin(&["check", "--json"], "").expect(1).json();
    assert_eq!(
        (off[0]["ok"].as_bool(), off[0]["used"].as_u64(), off[0]["counted"].as_u64()),
        (Some(false), Some(5), Some(1005))
    );
    assert_eq!(server.ferry_json("alice", &["quota"]).expect(0).json()[0]["used"], 5);
    server.admin(&["check", "--repair"], "").expect(1);
    server.admin(&["check"], "").expect(0);
    assert_eq!(server.ferry_json("alice", &["quota"]).expect(0).json()[0]["used"], 1005);
}

#[test]
fn a_removed_users_home_stays_unless_it_is_purged() {
    let server = Server::start();
    for (user, purge) in [("alice", false), ("bob", true)] {
        server.add_user(user, &[]);
        write(&server.local(), "a.txt", b"hello");
        server.ferry(user, &["upload", "a.txt"]).expect(0);
        let args = ["user", "remove", user, "--purge"];
        server.admin(&args[..if purge { 4 } else { 3 }], "").expect(0);
        server.ferry(user, &["ls"]).expect(3);
        assert_eq!(server.data().join("homes").join(user).exists(), !purge);
    }
}
