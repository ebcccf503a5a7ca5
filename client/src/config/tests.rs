//! What a config file may say, and what it is told when it says something else.

use super::*;

fn parse(text: &str) -> Result<Config, Error> {
    Config::parse(text, Path::new("/etc/ferry/config.toml"))
}

const WHOLE: &str = r#"
[defaults]
user = "bob"
jobs = 2
keys = "vi"
pager = "less -R"

[profiles.work]
server = "files.example:7272"
user = "alice"
ca = "ca.pem"
known-hosts = "/k"
digest = "blake3"
jobs = 8
limit-rate = "10MiB"
folder = "/start"

[profiles.home]
server = "[::1]"
limit-rate = 1000

[aliases]
ll = "ls -l"
"#;

#[test]
fn a_profile_wins_over_the_defaults_and_over_a_host() {
    let config = parse(WHOLE).unwrap();
    let (target, section) = config.choose("work").unwrap();
    let expected = Target {
        user: Some("alice".into()),
        host: "files.example".into(),
        port: 7272,
    };
    assert_eq!(target, expected);
    assert_eq!((section.jobs, section.limit_rate), (Some(8), Some(ByteSize(10 << 20))));
    assert_eq!((section.digest, section.keys), (Some(Algorithm::Blake3), Some(Keys::Vi)));
    assert_eq!(
        (section.folder.as_deref(), section.pager.as_deref()),
        (Some("/start"), Some("less -R"))
    );
    assert_eq!(
        (section.ca.unwrap(), section.known_hosts.unwrap()),
        ("/etc/ferry/ca.pem".into(), "/k".into())
    );
    let (target, section) = config.choose("home").unwrap();
    assert_eq!(
        (target.user.as_deref(), target.host.as_str(), target.port),
        (Some("bob"), "::1", 7171)
    );
    assert_eq!((section.jobs, section.limit_rate), (Some(2), Some(ByteSize(1000))));
    assert_eq!(config.aliases.expand("ll x"), "ls -l x");
}

#[test]
fn anything_else_is_a_host_for_which_the_defaults_count() {
    let config = parse(WHOLE).unwrap();
    for (text, user, host) in [("files.example", "bob", "files.example"), ("carol@work", "carol", "work")] {
        let (target, section) = config.choose(text).unwrap();
        assert_eq!((target.user.as_deref(), target.host.as_str()), (Some(user), host));
        assert_eq!((section.jobs, section.folder), (Some(2), None));
    }
    let failure = config.choose("wrok:").unwrap_err();
    assert_eq!(failure.error.hint.as_deref(), Some("did you mean the profile `work`?"));
}

#[test]
fn what_is_not_understood_names_file_line_and_key() {
    for (text, line, key, why) in [
        ("\n[profiles.work]\nsrver = \"x\"\n", 3, "srver", "unknown field"),
        ("[defaults]\nserver = \"x\"\n", 2, "server", "belongs into a profile"),
        ("[defaults]\npin = \"sha256:x\"\n", 2, "pin", "sha256"),
        ("jobs = 3\n", 1, "jobs", "unknown field"),
        ("[defaults]\njobs = 33\n", 2, "jobs", "1..=32"),
        ("[defaults]\njobs = \"many\"\n", 2, "jobs", "1..=32"),
        ("[defaults]\n\nlimit-rate = \"fast\"\n", 3, "limit-rate", "is not a size"),
        ("[defaults]\ndigest = \"md4\"\n", 2, "digest", "md4"),
        ("[defaults]\nkeys = \"nano\"\n", 2, "keys", "emacs"),
        ("[defaults]\nfolder = \"media\"\n", 2, "folder", "absolute"),
        ("[profiles.work]\nuser = \"x\"\n", 1, "[profiles.work]", "has no `server`"),
        ("[profiles.work]\nserver = \"al@host\"\n", 2, "server", "`user`"),
        ("[profiles.work]\nserver = \"host:port\"\n", 2, "server", "not a target"),
        (
            "[profiles.\"a.b\"]\nserver = \"host\"\n",
            1,
            "[profiles.\"a.b\"]",
            "cannot be a profile",
        ),
        ("[aliases]\n\"a b\" = \"ls\"\n", 2, "\"a b\"", "cannot be"),
        ("[aliases]\nexit = \"ls\"\n", 2, "exit", "own word"),
        ("[aliases]\nll = 3\n", 2, "ll", "string"),
        ("[defaults\n", 1, "[defaults", "table"),
        ("[defaults]\njobs = 1\njobs = 2\n", 3, "jobs", "duplicate"),
    ] {
        let error = parse(text).unwrap_err();
        let start = format!("config /etc/ferry/config.toml, line {line}, `{key}`: ");
        assert!(
            error.message.starts_with(&start) && error.message.contains(why),
            "{text}: {error}"
        );
        assert_eq!(error.message.lines().count(), 1, "{error}");
    }
    let hint = parse("[profiles.x]\nserver = \"a\"\nusr = \"b\"\n").unwrap_err().hint;
    assert_eq!(hint.as_deref(), Some("did you mean `user`?"));
}

#[test]
fn a_file_that_others_may_change_is_refused_and_one_that_is_named_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    assert!(Config::read(&path, false).is_ok());
    let failure = Config::read(&path, true).unwrap_err();
    assert!(failure.exit == crate::exit::Exit::Usage && failure.error.message.contains("config.toml"));
    std::fs::write(&path, WHOLE).unwrap();
    for (mode, is_fine) in [(0o600, true), (0o644, true), (0o664, false), (0o602, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Config::read(&path, true).is_ok(), is_fine, "{mode:o}");
    }
}
