//! One upload, one overwrite, one small file in one go, one rm, one mv, each with a failure or a kill at one system call after the other (strace).
//! Short here: the calls that change the disk; `FERRY_FAULTS=all` is the long form: every call of the write path.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ferry_core::Algorithm;
use ferry_core::wire::message::{Done, Offer};
use ferry_tests::audit::{ledger, read_disk};
use ferry_tests::load::{Home, Made};
use ferry_tests::wire::{Said, Wire, upload_args};
use ferry_tests::{Server, skipped, trace, try_run};
use serde_json::json;

/// Calls of the short form, and what happens to them.
const SOME: [(&str, &[&str]); 5] = [
    ("fsync", &["error=EIO", "signal=SIGKILL"]),
    ("pwrite64", &["error=ENOSPC"]),
    ("renameat2", &["error=EIO", "signal=SIGKILL"]),
    ("unlinkat", &["error=EIO", "signal=SIGKILL"]),
    ("openat2", &["error=EIO"]),
];
/// What happens to every call of the long form.
const FAULTS: [&str; 3] = ["error=EIO", "error=ENOSPC", "signal=SIGKILL"];
/// Calls of the long form. `write` also wakes the server's own threads, so it is not failed, but killed at.
const ALL: [&str; 16] = [
    "fsync",
    "fdatasync",
    "pwrite64",
    "renameat2",
    "renameat",
    "unlinkat",
    "openat2",
    "fchmod",
    "utimensat",
    "ftruncate",
    "fstat",
    "newfstatat",
    "statx",
    "getdents64",
    "mkdirat",
    "pread64",
];
/// More calls of one kind than one thread makes for one request.
const CALLS_MAX: u32 = 40;
/// How long strace may take to let go of the server.
const DETACH_MAX: Duration = Duration::from_secs(5);
/// The size of what is uploaded, in bytes: several chunks, so that a thread of its own writes them.
const SIZE: u64 = 700_000;
/// The size of what is sent in one go, in bytes: one chunk, which is stored in one call.
const EAGER_SIZE: u64 = 3000;

/// strace on a running server; detached when dropped.
struct Strace {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Strace {
    /// Has the `when`th `call` of each thread fail.
    fn attach(server: &Server, call: &str, fault: &str, when: u32) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut child = Command::new("strace")
            .args([
                "-f",
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={call}:{fault}:when={when}"),
                "-o",
            ])
            .arg(log.path())
            .args(["-p", &server.pid().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let attached = said.find(|line| line.as_ref().is_ok_and(|line| line.contains("attached")));
        assert!(attached.is_some(), "strace cannot attach");
        // Threads that come later are told of too; nobody may block on that.
        std::thread::spawn(move || said.for_each(drop));
        Self { child, log }
    }

    /// Lets go of the server; says whether something was made to fail.
    fn detach(mut self) -> bool {
        let _ = try_run("kill", &["-INT", &self.child.id().to_string()]);
        let start = Instant::now();
        // strace sometimes waits for a thread that has ended; the kernel lets go of the rest when it is killed.
        while self.child.try_wait().unwrap().is_none() && start.elapsed() < DETACH_MAX {
            std::thread::yield_now();
        }
        let _ = self.child.kill();
        self.child.wait().unwrap();
        let log = std::fs::read_to_string(self.log.path()).unwrap();
        log.contains("INJECTED") || log.contains("killed by SIGKILL")
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A change of a home, and how it is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Upload,
    Overwrite,
    /// A small file in one go, over one that is there: the server stores it as a whole.
    Eager,
    Remove,
    Rename,
}

impl Op {
    const ALL: [Op; 5] = [Op::Upload, Op::Overwrite, Op::Eager, Op::Remove, Op::Rename];

    /// Asks for it; gives its number in the model and the answer.
    fn ask(self, home: &Home, wire: &mut Wire) -> (u64, Said<Done>) {
        let make = |name: &str, size| {
            let file = Made::new(name.into(), size);
            let number = home.model().begin(vec![(name.into(), Some(file.content.clone()))]);
            (file, number)
        };
        let put = |name: &str, wire: &mut Wire| {
            let (file, number) = make(name, SIZE);
            (number, wire.upload(name, &file.bytes, &file.offer()))
        };
        let done = |said: Said<_>| said.map(|answer| answer.map(|_| Done::default()));
        match self {
            Self::Upload => put("new", wire),
            Self::Overwrite => put("a", wire),
            Self::Eager => {
                let (file, number) = make("a", EAGER_SIZE);
                (number, send_eagerly(wire, &file))
            }
            Self::Remove => {
                let number = home.model().begin(vec![("a".into(), None)]);
                (number, done(wire.call("rm", &json!({"path": ["a"]}))))
            }
            Self::Rename => {
                let moved = home.model().sure("a");
                let number = home.model().begin(vec![("a".into(), None), ("b".into(), moved)]);
                (number, done(wire.call("mv", &json!({"from": ["a"], "to": "b"}))))
            }
        }
    }
}

/// Sends a file in one go, without waiting for `begin`.
fn send_eagerly(wire: &mut Wire, file: &Made) -> Said<Done> {
    let offer = Offer {
        eager: true,
        ..file.offer()
    };
    let id = wire.start("upload", &upload_args(&file.name), Some(offer))?;
    if let Err(error) = wire.send(id, &file.bytes)? {
        return Ok(Err(error));
    }
    wire.end(id, file.content.size, Algorithm::Md5.digest(&file.bytes))?;
    wire.answer(id)
}

/// Puts the files there that every case starts from.
fn prepare(server: &Server, home: &Home) {
    let mut wire = Wire::login(server.address, &home.user).unwrap();
    for partial in wire.partials().unwrap() {
        wire.call("partials", &json!({"action": "rm", "id": [partial["id"]]}))
            .unwrap()
            .unwrap();
    }
    let _ = wire.call("rm", &json!({"path": ["new"]})).unwrap();
    for (name, size) in [("a", 5000), ("b", 70)] {
        let file = Made::new(name.into(), size);
        let offer = Offer {
            fresh: true,
            ..file.offer()
        };
        wire.upload(name, &file.bytes, &offer).unwrap().unwrap();
    }
    home.model().settle(&read_disk(&server.data().join("homes").join(&home.user)));
}

fn findings(server: &Server, home: &Home, wire: &mut Wire) -> Vec<String> {
    let disk = read_disk(&server.data().join("homes").join(&home.user));
    let mut broken = home.model().check(&disk);
    broken.extend(ledger(wire, &disk).unwrap());
    broken
}

/// One case: a server that was started in good order, one request with one failure, and a look at what is left. Gives the server
/// again, or says that nothing failed because there is no such call any more.
fn case(server: Server, home: &Home, op: Op, (call, fault, when): (&str, &str, u32)) -> (Server, bool) {
    let case = format!("{op:?}, {call} {when}: {fault}");
    prepare(&server, home);
    let mut server = server.restart();
    let mut wire = Wire::login(server.address, &home.user).unwrap();
    let strace = Strace::attach(&server, call, fault, when);
    let (number, answer) = op.ask(home, &mut wire);
    let is_killed = fault.starts_with("signal");
    // strace may lose its last line together with the server that it killed.
    let was_hit = strace.detach() || (is_killed && !server.is_running());
    match answer {
        Ok(Ok(_)) => home.model().acknowledged(number),
        // It may have been made all the same: only what is acknowledged is promised.
        Ok(Err(_)) => assert!(was_hit, "{case}: fails by itself"),
        Err(error) => assert!(is_killed && was_hit, "{case}: the connection is gone: {error}"),
    }
    if is_killed && was_hit {
        server = server.kill_and_restart();
        wire = Wire::login(server.address, &home.user).unwrap();
    }
    assert!(server.is_running(), "{case}: the server is gone: {}", server.log());
    let broken = findings(&server, home, &mut wire);
    assert!(broken.is_empty(), "{case}:\n{}", broken.join("\n"));

    // Once more without a fault: it is done, or was done before.
    home.model().settle(&read_disk(&server.data().join("homes").join(&home.user)));
    let (number, answer) = op.ask(home, &mut wire);
    match answer.unwrap() {
        Ok(_) => home.model().acknowledged(number),
        Err(error) => {
            home.model().refused(number);
            assert!(
                matches!(op, Op::Remove | Op::Rename),
                "{case}: not even a second time: {error}"
            );
        }
    }
    let broken = findings(&server, home, &mut wire);
    assert!(broken.is_empty(), "{case}, and once more:\n{}", broken.join("\n"));
    (server, was_hit)
}

fn start(test: &str) -> Option<(Server, Home)> {
    let server = Server::start_plain();
    if let Err(why) = trace::may_attach(server.pid()) {
        skipped(test, &why);
        return None;
    }
    server.add_user("alice", &["--quota", "10MiB"]);
    Some((server, Home::new("alice")))
}

#[test]
fn a_fault_at_any_system_call_costs_no_promise() {
    let Some((mut server, home)) = start("faults") else {
        return;
    };
    let is_long = std::env::var("FERRY_FAULTS").is_ok_and(|text| text == "all");
    let mut plan: Vec<(&str, &[&str])> = match is_long {
        true => ALL.map(|call| (call, &FAULTS[..])).to_vec(),
        false => SOME.to_vec(),
    };
    if is_long {
        plan.push(("write", &FAULTS[2..]));
    }
    let mut cases = 0;
    for op in Op::ALL {
        for (call, fault) in plan
            .iter()
            .flat_map(|(call, faults)| faults.iter().map(move |fault| (*call, *fault)))
        {
            for when in 1..CALLS_MAX {
                let was_hit;
                println!("{op:?}, {call} {when}: {fault}");
                (server, was_hit) = case(server, &home, op, (call, fault, when));
                if !was_hit {
                    break;
                }
                cases += 1;
            }
        }
    }
    println!("{cases} faults, no false acknowledgement, no drift");
    assert!(cases > 20, "{cases} faults are too few to mean something");
}

/// The control: a rename that says it was made and was not is a false acknowledgement, and is found.
#[test]
fn a_call_that_lies_is_found() {
    let Some((server, home)) = start("faults control") else {
        return;
    };
    for op in [Op::Upload, Op::Eager, Op::Rename] {
        prepare(&server, &home);
        let mut wire = Wire::login(server.address, &home.user).unwrap();
        let strace = Strace::attach(&server, "renameat2", "retval=0", 1);
        let (number, answer) = op.ask(&home, &mut wire);
        assert!(strace.detach() && answer.unwrap().is_ok());
        home.model().acknowledged(number);
        let broken = findings(&server, &home, &mut wire);
        println!("{op:?}: {broken:?}");
        assert!(!broken.is_empty());
    }
}
