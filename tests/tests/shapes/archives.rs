//! `tar` and `untar` through the real programs, with GNU tar as the referee.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ferry_tests::looks::small;
use ferry_tests::pty::Pty;
use ferry_tests::{PATIENCE, noise, run_with_input, try_run, write};

use super::{grow, home, server, until_idle};

/// The most that the server may grow by while an archive of any size goes through it, in bytes.
const GROWTH_MAX_BYTES: u64 = 48 << 20;
/// The size of a file that is nearly all hole, in bytes.
const HOLE_BYTES: u64 = 200 << 20;

/// Of a file: contents, time in seconds and nanoseconds, and whether it can be executed.
type File = (Vec<u8>, i64, i64, bool);

/// What a tree is, by path; folders are no files.
fn tree(folder: &Path) -> Vec<(String, Option<File>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            let meta = fs::metadata(&path).unwrap();
            if meta.is_dir() {
                folders.push(path);
                found.push((name, None));
            } else {
                let file = (
                    fs::read(&path).unwrap(),
                    meta.mtime(),
                    meta.mtime_nsec(),
                    meta.mode() & 0o100 != 0,
                );
                found.push((name, Some(file)));
            }
        }
    }
    found.sort();
    found
}

fn tar(folder: &Path, args: &[&str]) {
    let output = Command::new("tar").args(args).current_dir(folder).output().unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn gnu_tar_unpacks_what_is_packed_here() {
    let server = server();
    let docs = home(&server).join("docs");
    grow(&docs);
    let local = server.local();
    let ran = server.ferry("alice", &["tar", "docs"]).expect(0);
    assert!(ran.err.contains("ok docs.tar"), "{}", ran.err);
    tar(&local, &["-xf", "docs.tar"]);
    assert_eq!(tree(&local.join("docs")), tree(&docs));
    // Under another name, in a folder, and on standard output.
    fs::create_dir(local.join("in")).unwrap();
    // The end of that name was the server's word, so it replaces nothing; a name that was typed does.
    let again = server.ferry("alice", &["tar", "docs"]).expect(9);
    assert!(
        again.err.contains("docs.tar: already here") && again.err.contains("name yourself"),
        "{}",
        again.err
    );
    server.ferry("alice", &["tar", "docs", "docs.tar"]).expect(0);
    server.ferry("alice", &["tar", "docs", "other.tar"]).expect(0);
    server.ferry("alice", &["tar", "docs", "in"]).expect(0);
    let output = server
        .client("alice", &[])
        .args(["tar", "docs", "--as", "-"])
        .output()
        .unwrap();
    let bytes = fs::read(local.join("docs.tar")).unwrap();
    assert!(output.status.success() && output.stdout == bytes);
    assert!(fs::read(local.join("other.tar")).unwrap() == bytes && fs::read(local.join("in/docs.tar")).unwrap() == bytes);
    // Several make one archive, called after the first.
    server.ferry("alice", &["tar", "docs/old.txt", "docs/empty", "in/"]).expect(0);
    let listed = Command::new("tar")
        .args(["-tf", "in/old.txt.tar"])
        .current_dir(&local)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "docs/old.txt\ndocs/empty/\n");
    assert_eq!(
        fs::read_dir(&local)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().ends_with(".ferry-part"))
            .count(),
        0
    );
}

#[test]
fn what_gnu_tar_packs_is_unpacked_here() {
    let server = server();
    let local = server.local();
    grow(&local.join("docs"));
    for format in ["gnu", "pax", "ustar"] {
        let archive = format!("{format}.tar");
        // The old format has no room for such names.
        let what: &[&str] = if format == "ustar" {
            &["docs/run.sh", "docs/empty", "docs/old.txt"]
        } else {
            &["docs"]
        };
        tar(&local, &[&["-cf", &archive, "--format", format], what].concat());
        let ran = server.ferry("alice", &["untar", &archive, format]).expect(0);
        assert!(ran.out.contains("unpacked into"), "{}", ran.out);
        let (mut here, mut there) = (tree(&local.join("docs")), tree(&home(&server).join(format).join("docs")));
        if format != "pax" {
            // Only one of the three keeps more than whole seconds.
            here.iter_mut()
                .chain(&mut there)
                .filter_map(|(_, file)| file.as_mut())
                .for_each(|file| file.2 = 0);
        }
        if format == "ustar" {
            here.retain(|(name, _)| ["run.sh", "empty", "old.txt"].contains(&name.as_str()));
        }
        assert_eq!(there, here, "{format}");
    }
    // From standard input, and what is compressed is told apart.
    let bytes = fs::read(local.join("gnu.tar")).unwrap();
    run_with_input(server.client("alice", &[]).args(["untar", "-", "piped"]), &bytes).expect(0);
    assert_eq!(tree(&home(&server).join("piped")), tree(&home(&server).join("gnu")));
    tar(&local, &["-czf", "docs.tgz", "docs"]);
    let ran = server.ferry("alice", &["untar", "docs.tgz", "never"]).expect(2);
    assert!(ran.err.contains("gunzip"), "{}", ran.err);
}

#[test]
fn a_hostile_archive_stays_in_its_folder_and_within_the_quota() {
    let server = server();
    server.admin(&["user", "set", "alice", "--quota", "1MiB"], "").expect(0);
    let local = server.local();
    write(&local, "x", b"x");
    std::os::unix::fs::symlink("/etc/passwd", local.join("link")).unwrap();
    tar(&local, &["-cPf", "bad.tar", "link", "--transform=s,^x,../../x,", "x"]);
    tar(&local, &["-rPf", "bad.tar", "--transform=s,^x,/tmp/x,", "x"]);
    tar(&local, &["-rPf", "bad.tar", "--transform=s,^x,good,", "x"]);
    let ran = server.ferry("alice", &["untar", "bad.tar", "in"]).expect(11);
    for why in ["is a link", "`..` leads out", "an absolute name"] {
        assert!(ran.err.contains(why), "{why}: {}", ran.err);
    }
    assert_eq!(
        tree(&home(&server)).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["in", "in/good"]
    );
    write(&local, "large", &noise(1 << 20, 2));
    tar(&local, &["-cf", "large.tar", "large"]);
    server.ferry("alice", &["untar", "large.tar"]).expect(6);
    let quota = server.ferry_json("alice", &["quota"]).expect(0).json();
    assert_eq!((quota[0]["used"].as_u64(), quota[0]["reserved"].as_u64()), (Some(1), Some(0)));
}

#[test]
fn an_archive_of_any_size_goes_through_in_little_memory() {
    let server = server();
    let docs = home(&server).join("docs");
    grow(&docs);
    fs::File::create(docs.join("hole")).unwrap().set_len(HOLE_BYTES).unwrap();
    let before = server.peak_resident_bytes();
    let mut packing = server.client("alice", &["--digest", "blake3"]);
    let mut packing = packing
        .args(["tar", "docs", "--as", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut unpacking = server.client("alice", &["--digest", "blake3"]);
    let unpacked = unpacking
        .args(["untar", "-", "again"])
        .stdin(packing.stdout.take().unwrap())
        .status()
        .unwrap();
    assert!(packing.wait().unwrap().success() && unpacked.success());
    let grown = server.peak_resident_bytes().saturating_sub(before);
    assert!(before > 0 && grown < GROWTH_MAX_BYTES, "grew by {grown} bytes");
    let again = fs::metadata(home(&server).join("again/docs/hole")).unwrap();
    assert_eq!(again.len(), HOLE_BYTES);
}

#[test]
fn packing_that_is_stopped_ends_on_the_server_too_and_leaves_no_archive() {
    let server = server();
    fs::File::create(home(&server).join("hole"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let client = server.client("alice", &[]);
    let mut client = client;
    client.args(["tar", "hole"]);
    let terminal = Pty::spawn_at(&client, small());
    // What has no size has no end in sight: how much came and how fast is all there is to show.
    terminal.wait_for("MiB/s");
    terminal.send("\x03");
    let (code, shown) = terminal.end();
    assert_eq!(code, 10, "{shown}");
    assert!(!shown.contains("resumes"), "{shown}");
    until_idle(&server, "tar");
    assert!(!server.local().join("hole.tar").exists());
}

#[test]
fn unpacking_that_is_stopped_leaves_whole_files_and_nothing_reserved() {
    let server = server();
    let local = server.local();
    write(&local, "first", b"first");
    fs::File::create(local.join("hole")).unwrap().set_len(1 << 40).unwrap();
    tar(&local, &["-cf", "first.tar", "first"]);
    // The header of a file of a terabyte, and contents without end.
    let shell = "head -c 1024 first.tar; tar -cf - hole";
    let mut packing = Command::new("sh")
        .args(["-c", shell])
        .current_dir(&local)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut unpacking = server.client("alice", &[]);
    let mut unpacking = unpacking
        .args(["untar", "-", "in"])
        .stdin(packing.stdout.take().unwrap())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let first = home(&server).join("in/first");
    while !first.exists() {
        assert!(started.elapsed() < PATIENCE, "the first file comes");
        std::thread::sleep(Duration::from_millis(20));
    }
    try_run("kill", &["-INT", &unpacking.id().to_string()]).unwrap();
    assert_eq!(unpacking.wait().unwrap().code(), Some(10));
    let _ = packing.kill();
    let _ = packing.wait();
    until_idle(&server, "untar");
    assert_eq!(tree(&home(&server)).len(), 2);
    let quota = server.ferry_json("alice", &["quota"]).expect(0).json();
    assert_eq!((quota[0]["used"].as_u64(), quota[0]["reserved"].as_u64()), (Some(5), Some(0)));
}
