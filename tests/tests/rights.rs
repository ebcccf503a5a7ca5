//! Every verb that a server has, those of the test server that goes astray and of a stranger's server among them, against everybody who may not run it: who is
//! not logged in, who means somebody else's home, who may only read, and whom a list keeps from it. All are refused, and nothing
//! happens on the disk.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::collections::BTreeSet;
use std::io::Write as _;

use ferry_core::login::{Channel, ClientLogin, Methods, Secret};
use ferry_core::wire::message::{Challenge, Complete, Fail, Hello, Login, Message};
use ferry_core::{Access, Body, Error, ErrorKind, VerbInfo};
use ferry_tests::ground::{Attempt, Caller, Ground, attempts, is_below, request, with_paths};
use ferry_tests::peer::Peer;
use ferry_tests::{PASSWORD, Server, custom};

/// The servers of ours whose verbs are tried, beside the stranger's of `examples/custom-server`.
const PROGRAMS: [&str; 2] = ["ferryd", "astray"];
/// A verb that no server has. It resembles none, so that no name is near it.
const NOBODYS: &str = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";

fn grounds() -> impl Iterator<Item = Ground> {
    let programs = PROGRAMS.into_iter().map(str::to_owned).chain([custom::server()]);
    programs.map(|program| Ground::new(&program).unwrap())
}

fn names(verbs: &[VerbInfo]) -> BTreeSet<String> {
    verbs.iter().map(|verb| verb.name.clone()).collect()
}

#[test]
fn a_user_with_every_right_is_told_of_every_verb() {
    for ground in grounds() {
        let linked: BTreeSet<String> = ground.linked(false).into_iter().collect();
        assert_eq!(names(&ground.verbs), linked);
        assert!(linked.len() > 5, "{linked:?}");
    }
}

#[test]
fn verbs_for_administrators_do_not_exist_for_anybody_else() {
    for ground in grounds() {
        ground.server.add_user("root", &["--admin"]);
        let (mut alice, _) = ground.log_in("alice").unwrap();
        let (_, seen) = ground.log_in("root").unwrap();
        let nobodys = alice.call(NOBODYS, "/", &Attempt::empty()).unwrap().refused();
        let allowed = names(&ground.verbs);
        for name in ground.linked(true) {
            let verb = seen.iter().find(|verb| verb.name == name).unwrap();
            for attempt in attempts(verb).iter().chain([&Attempt::empty()]) {
                let error = alice.call(&name, "/", attempt).unwrap().refused();
                is_as_if_it_did_not_exist(&error, &name, &nobodys, &allowed);
            }
            for arg in verb.args.iter().map(|arg| arg.name.as_str()).chain([""]) {
                let error = alice.complete(&name, arg, "").unwrap().refused();
                is_as_if_it_did_not_exist(&error, &name, &nobodys, &allowed);
            }
        }
        assert_eq!(names(&seen).len(), ground.linked(true).len() + ground.linked(false).len());
    }
}

/// How far somebody comes who does not log in.
#[derive(Debug, Clone, Copy)]
enum Far {
    Hello,
    Challenge,
}

/// The server's last word to somebody who asks for a verb before he is logged in.
fn too_early(server: &Server, far: Far, bytes: &[u8]) -> Error {
    let mut peer = Peer::connect(server.address).unwrap();
    peer.say(&Hello::new("ferry-tests")).unwrap();
    peer.hear::<Hello>().unwrap();
    if let Far::Challenge = far {
        let secret = Secret::Password {
            user: "alice".into(),
            password: PASSWORD.to_owned().into(),
            allowed: Methods::for_password(None),
        };
        let (_, step) = ClientLogin::start(secret, Channel::Plain).unwrap();
        peer.say(&Login {
            mechanism: step.mechanism.to_owned(),
            data: step.data,
        })
        .unwrap();
        peer.hear::<Challenge>().unwrap();
    }
    peer.stream.write_all(bytes).unwrap();
    let said = peer.rest().unwrap();
    let [last] = &said[..] else { panic!("{said:?}") };
    let fail: Fail = last.read().unwrap();
    assert_eq!(fail.id, 0, "it ends the connection");
    fail.into_error()
}

#[test]
fn who_is_not_logged_in_runs_nothing_and_learns_nothing() {
    for ground in grounds() {
        let before = ground.snapshot().unwrap();
        for far in [Far::Hello, Far::Challenge] {
            let nobodys = too_early(&ground.server, far, &request(1, NOBODYS, "/", &Attempt::empty()).unwrap());
            assert_eq!(nobodys.kind, ErrorKind::Denied, "{far:?}");
            let told = |error: Error| (error.kind, error.message, error.hint);
            let nobodys = told(nobodys);
            for verb in &ground.verbs {
                let tried = attempts(verb);
                for attempt in tried.iter().chain([&Attempt::empty()]) {
                    let error = too_early(&ground.server, far, &request(1, &verb.name, "/", attempt).unwrap());
                    assert_eq!(told(error), nobodys, "{} {attempt:?}", verb.name);
                }
                let asked = |name: &str| told(too_early(&ground.server, far, &completion(name)));
                assert_eq!(asked(&verb.name), asked(NOBODYS));
            }
        }
        assert_eq!(ground.snapshot().unwrap(), before);
    }
}

/// The frame that asks for values of no argument of a verb.
fn completion(verb: &str) -> Vec<u8> {
    let ask = Complete {
        id: 1,
        verb: verb.into(),
        arg: String::new(),
        word: "".into(),
        cwd: "/".into(),
    };
    let mut bytes = Vec::new();
    ask.encode(&mut bytes).unwrap();
    bytes
}

/// Ways to say where somebody else's home is.
fn ways_out(ground: &Ground) -> Vec<String> {
    let real = ground.home("bob");
    let mut ways = vec![real.to_string_lossy().into_owned()];
    for way in [
        "../bob",
        "/../bob",
        "docs/../../bob",
        "..",
        "/..",
        "../../homes/bob",
        "docs/../../../staging/bob",
    ] {
        ways.push(way.into());
    }
    let below: Vec<String> = ways.iter().map(|way| format!("{way}/secret.txt")).collect();
    ways.extend(below);
    ways
}

#[test]
fn nobody_reaches_another_ones_home() {
    for ground in grounds() {
        let (mut alice, _) = ground.log_in("alice").unwrap();
        let (own, secret) = (ground.home("alice"), b"what only its owner reads: bob");
        let others = |ground: &Ground| {
            let mut all = ground.snapshot().unwrap();
            all.retain(|place, _| !is_below(place, &own));
            all
        };
        let before = others(&ground);
        for verb in &ground.verbs {
            // The working folder is looked at before the verb is run.
            for cwd in ["/../bob", "..", "/docs/../../bob"] {
                let error = alice.call(&verb.name, cwd, &Attempt::empty()).unwrap().refused();
                assert_eq!(error.kind, ErrorKind::Denied, "{} in {cwd}", verb.name);
            }
            for way in ways_out(&ground) {
                let tried = [with_paths(verb, &way, "docs"), with_paths(verb, "hello.txt", &way)];
                for attempt in tried.concat() {
                    let answered = alice.call(&verb.name, "/", &attempt).unwrap();
                    assert!(!answered.tells(secret), "{} {attempt:?}", verb.name);
                    assert_eq!(others(&ground), before, "{} {attempt:?}", verb.name);
                }
                // A verb that looks at its first path says that it leads out. Of a local path only the last name counts.
                let looks = matches!(verb.access, Access::Read | Access::Write) && verb.body != Body::In;
                if looks && way.contains("..") {
                    for attempt in with_paths(verb, &way, "docs") {
                        let answered = alice.call(&verb.name, "/", &attempt).unwrap();
                        assert!(answered.has_failed(), "{} {attempt:?}: {answered:?}", verb.name);
                    }
                }
            }
            ground.furnish("alice").unwrap();
            // What is asked stands in a refusal, so nothing that would tell is asked.
            for way in ways_out(&ground).iter().filter(|way| !way.ends_with("secret.txt")) {
                for arg in &verb.args {
                    let proposed = alice.complete(&verb.name, &arg.name, &format!("{way}/")).unwrap();
                    assert!(!proposed.tells(b"secret.txt"), "{} {}: {proposed:?}", verb.name, arg.name);
                }
                let found = alice.expand(&format!("{way}/sec*")).unwrap();
                assert!(!found.tells(b"secret.txt"), "{found:?}");
            }
        }
        assert_eq!(others(&ground), before);
    }
}

#[test]
fn who_may_only_read_is_told_so_and_changes_nothing() {
    for ground in grounds() {
        ground.server.add_user("reader", &["--read-only"]);
        ground.furnish("reader").unwrap();
        let (mut reader, told) = ground.log_in("reader").unwrap();
        let (writing, reading): (Vec<&VerbInfo>, Vec<&VerbInfo>) =
            ground.verbs.iter().partition(|verb| verb.access == Access::Write);
        let reading: BTreeSet<String> = reading.iter().map(|verb| verb.name.clone()).collect();
        assert_eq!(names(&told), reading, "the catalogue holds what he may run and nothing else");
        let before = ground.snapshot().unwrap();
        for verb in &writing {
            for name in std::iter::once(&verb.name).chain(&verb.aliases) {
                for attempt in attempts(verb).iter().chain([&Attempt::empty()]) {
                    let error = reader.call(name, "/", attempt).unwrap().refused();
                    assert_eq!(error.kind, ErrorKind::Denied, "{name} {attempt:?}: {error}");
                    assert_eq!(error.message, format!("{}: you may only read here", verb.name));
                }
                for arg in &verb.args {
                    let error = reader.complete(name, &arg.name, "").unwrap().refused();
                    assert_eq!(error.kind, ErrorKind::Denied, "{name} {}", arg.name);
                }
            }
        }
        assert_eq!(ground.snapshot().unwrap(), before);
        // What was refused does something where it is allowed: otherwise nothing was shown above.
        let (mut alice, _) = ground.log_in("alice").unwrap();
        for verb in writing.iter().filter(|verb| !with_paths(verb, "x", "x").is_empty()) {
            let changes = |attempt: &Attempt, alice: &mut Caller| {
                ground.furnish("alice").unwrap();
                let before = ground.snapshot().unwrap();
                alice.call(&verb.name, "/", attempt).unwrap();
                ground.snapshot().unwrap() != before
            };
            let changed = attempts(verb).iter().filter(|attempt| changes(attempt, &mut alice)).count();
            assert!(changed > 0, "{} changes nothing, whatever it is asked", verb.name);
        }
    }
}

/// The refusal of `name` is the refusal of a verb that nobody has, and proposes nothing but what may be run.
#[track_caller]
fn is_as_if_it_did_not_exist(error: &Error, name: &str, nobodys: &Error, allowed: &BTreeSet<String>) {
    assert_eq!(error.kind, ErrorKind::UnknownVerb, "{name}: {error}");
    assert_eq!(error.message.replace(name, NOBODYS), nobodys.message, "{name}");
    assert_eq!(error.path, nobodys.path, "{name}");
    if error.hint != nobodys.hint {
        let hint = error.hint.as_deref().unwrap_or_default();
        let near = hint.strip_prefix("did you mean `").and_then(|rest| rest.strip_suffix("`?"));
        assert!(near.is_some_and(|near| allowed.contains(near)), "{name}: {hint}");
    }
}

#[test]
fn a_verb_that_a_list_keeps_from_a_user_does_not_exist_for_him() {
    for ground in grounds() {
        ground.server.add_user("lister", &[]);
        ground.furnish("lister").unwrap();
        let (mut lister, _) = ground.log_in("lister").unwrap();
        let all = names(&ground.verbs);
        let before = ground.snapshot().unwrap();
        for (at, verb) in ground.verbs.iter().enumerate() {
            let other = &ground.verbs[(at + 1) % ground.verbs.len()].name;
            let mut rest = all.clone();
            rest.remove(&verb.name);
            let only = BTreeSet::from([other.clone()]);
            for (deny, allow, allowed) in [(verb.name.as_str(), "", &rest), ("", other.as_str(), &only)] {
                // The connection stays: a change counts from the next request on.
                let set = ["user", "set", "lister", "--deny", deny, "--allow", allow];
                ground.server.admin(&set, "").expect(0);
                let nobodys = lister.call(NOBODYS, "/", &Attempt::empty()).unwrap().refused();
                assert_eq!(nobodys.kind, ErrorKind::UnknownVerb);
                for name in std::iter::once(&verb.name).chain(&verb.aliases) {
                    for attempt in attempts(verb).iter().chain([&Attempt::empty()]) {
                        let error = lister.call(name, "/", attempt).unwrap().refused();
                        is_as_if_it_did_not_exist(&error, name, &nobodys, allowed);
                        // Not even a working folder that leads out is looked at before that.
                        let error = lister.call(name, "/../bob", attempt).unwrap().refused();
                        is_as_if_it_did_not_exist(&error, name, &nobodys, allowed);
                    }
                    for arg in verb.args.iter().map(|arg| arg.name.as_str()).chain([""]) {
                        let error = lister.complete(name, arg, "").unwrap().refused();
                        is_as_if_it_did_not_exist(&error, name, &nobodys, allowed);
                    }
                }
            }
        }
        assert_eq!(ground.snapshot().unwrap(), before);
    }
}

#[test]
fn the_catalogue_holds_exactly_what_a_user_may_run() {
    for ground in grounds() {
        let all: Vec<String> = names(&ground.verbs).into_iter().collect();
        let (even, odd): (Vec<_>, Vec<_>) = all.iter().enumerate().partition(|(at, _)| at % 2 == 0);
        let list = |half: &[(usize, &String)]| half.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(",");
        let (even, odd) = (list(&even), list(&odd));
        let of = |list: &str| list.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
        ground.server.add_user("denied", &["--deny", &even]);
        ground.server.add_user("allowed", &["--allow", &even]);
        ground.server.add_user("both", &["--allow", &even, "--deny", &even]);
        assert_eq!(names(&ground.log_in("denied").unwrap().1), of(&odd));
        assert_eq!(names(&ground.log_in("allowed").unwrap().1), of(&even));
        assert_eq!(names(&ground.log_in("both").unwrap().1), BTreeSet::new());
        // Nor does anything proposed for an argument name what is kept from him.
        let (mut allowed, verbs) = ground.log_in("allowed").unwrap();
        for verb in &verbs {
            for arg in &verb.args {
                let proposed = allowed.complete(&verb.name, &arg.name, "").unwrap();
                for hidden in of(&odd) {
                    // A value of a row, as MessagePack has it.
                    let cell = rmp_serde::to_vec(&hidden).unwrap();
                    assert!(!proposed.tells(&cell), "{} proposes {hidden}", verb.name);
                }
            }
        }
    }
}

#[test]
fn the_client_says_what_the_server_says() {
    let server = Server::start_plain();
    server.add_user("reader", &["--read-only"]);
    server.add_user("denied", &["--deny", "mkdir"]);
    server.add_user("allowed", &["--allow", "pwd,ls"]);
    // Who may only read is told so, and the hint says who can change it.
    let ran = server.ferry("reader", &["mkdir", "x"]).expect(5);
    assert!(
        ran.err.contains("mkdir: you may only read here") && ran.err.contains("hint:"),
        "{}",
        ran.err
    );
    let ran = server.ferry_json("reader", &["put", "x"]).expect(5);
    assert_eq!(ran.json()[0]["kind"], "denied");
    // For the others there is no such verb.
    for (user, verb) in [
        ("denied", "mkdir"),
        ("allowed", "mkdir"),
        ("allowed", "put"),
        ("allowed", "du"),
    ] {
        let refused = server.ferry(user, &[verb, "x"]).expect(2);
        let nobodys = server.ferry(user, &[NOBODYS, "x"]).expect(2);
        let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        assert_eq!(first(&refused.err).replace(verb, NOBODYS), first(&nobodys.err), "{user}");
        assert!(!refused.err.replacen(verb, "", 1).contains(verb), "{}", refused.err);
        assert!(refused.err.contains("unknown_verb"), "{}", refused.err);
    }
    // Neither help knows it.
    let refused = server.ferry("denied", &["help", "mkdir"]).expect(2);
    assert!(refused.err.contains("unknown verb `mkdir`"), "{}", refused.err);
    assert!(!server.ferry("denied", &["help"]).expect(0).out.contains("mkdir"));
}

#[test]
fn a_rule_about_a_verb_that_is_not_there_is_refused_and_an_alias_means_its_verb() {
    let server = Server::start();
    for list in ["del", "rm,nonsense", "RM"] {
        let ran = server
            .admin(&["user", "add", "box", "--password-stdin", "--deny", list], PASSWORD)
            .expect(2);
        assert!(ran.err.contains("no such verb"), "{}", ran.err);
    }
    server.add_user("box", &["--deny", "put, rm"]);
    std::fs::write(server.local().join("f"), "f").unwrap();
    server.ferry("box", &["upload", "f"]).expect(2);
    let ran = server.admin(&["user", "set", "box", "--allow", "qouta"], "").expect(2);
    assert!(ran.err.contains("did you mean `quota`"), "{}", ran.err);
}
