//! Settings of a server that runs: an admin's own certificate, `ferryd reload`, and what a server refuses to start with.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ferry_core::wire::message::Hello;
use ferry_tests::{Launch, Server, program, run_with_input, skipped, tls, write};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// An authority, whose certificate is put into a folder.
fn authority(folder: &Path) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    write(folder, "ca.pem", authority.pem().as_bytes());
    authority
}

/// Puts a certificate for a name and its key into a folder.
fn certify(authority: &CertifiedIssuer<'static, KeyPair>, name: &str, folder: &Path) {
    let pair = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&pair, authority).unwrap();
    write(folder, "own.pem", certificate.pem().as_bytes());
    let key = write(folder, "own-key.pem", pair.serialize_pem().as_bytes());
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A server whose config file, outside its data folder, is `text`.
fn server(folder: &Path, text: &str) -> Server {
    let config = write(folder, "ferryd.toml", text.as_bytes());
    let server = Launch::new("ferryd", &["--config", config.to_str().unwrap()]).start();
    server.add_user("alice", &[]);
    server
}

/// How many requests in flight the server allows a newcomer.
fn requests_max(server: &Server) -> u32 {
    let (mut peer, _) = tls::connect(server.address).unwrap();
    peer.hear::<Hello>().unwrap().limits.requests
}

const OWN: &str = "certificate = \"own.pem\"\nkey = \"own-key.pem\"\n";

#[test]
fn an_authority_vouches_for_a_server_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let ca = authority(folder.path());
    certify(&ca, "127.0.0.1", folder.path());
    let server = server(folder.path(), OWN);
    let ca_file = folder.path().join("ca.pem");
    let ca_file = ca_file.to_str().unwrap();
    server.stranger(&server.address.to_string(), &["--ca", ca_file]).expect(0);
    server.stranger(&server.address.to_string(), &[]).expect(3);
    // Another authority, and the right one for another name.
    let other = tempfile::tempdir().unwrap();
    authority(other.path());
    server
        .stranger(
            &server.address.to_string(),
            &["--ca", other.path().join("ca.pem").to_str().unwrap()],
        )
        .expect(3);
    certify(&ca, "files.example", folder.path());
    server.admin(&["reload"], "").expect(0);
    server.stranger(&server.address.to_string(), &["--ca", ca_file]).expect(3);
}

#[test]
fn a_reload_changes_key_and_limits_for_newcomers_and_nothing_for_those_who_are_in() {
    let folder = tempfile::tempdir().unwrap();
    let ca = authority(folder.path());
    certify(&ca, "127.0.0.1", folder.path());
    let server = server(folder.path(), &format!("{OWN}[limits]\nrequests = 5\n"));
    assert_eq!(requests_max(&server), 5);
    // Somebody is in.
    let mut script = server.client("alice", &["-q", "-b", "-"]);
    let mut inside = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut says = inside.stdin.take().unwrap();
    let mut hears = BufReader::new(inside.stdout.take().unwrap());
    let mut answer = String::new();
    says.write_all(b"pwd\n").unwrap();
    hears.read_line(&mut answer).unwrap();

    certify(&ca, "127.0.0.1", folder.path());
    write(
        folder.path(),
        "ferryd.toml",
        format!("listen = \"127.0.0.1:1\"\n{OWN}[limits]\nrequests = 7\n").as_bytes(),
    );
    let told = server.admin(&["reload"], "").expect(0);
    let key = told.out.trim().strip_prefix("key ").unwrap();
    assert_ne!(key, server.key);
    assert!(told.err.contains("listen") && told.err.contains("next start"), "{}", told.err);
    assert_eq!(requests_max(&server), 7);
    server.stranger(&server.address.to_string(), &["--pin", key]).expect(0);
    server
        .stranger(&server.address.to_string(), &["--pin", &server.key])
        .expect(3);

    says.write_all(b"pwd\n").unwrap();
    answer.clear();
    hears.read_line(&mut answer).unwrap();
    assert_eq!(answer, "/\n");
    drop(says);
    assert!(inside.wait().unwrap().success());
}

#[test]
fn a_reload_of_what_cannot_be_used_changes_nothing_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let ca = authority(folder.path());
    certify(&ca, "127.0.0.1", folder.path());
    let server = server(folder.path(), &format!("{OWN}[limits]\nrequests = 5\n"));
    let config = folder.path().join("ferryd.toml");
    let refused = |named: &str| {
        let ran = server.admin(&["reload"], "").expect(2);
        assert!(ran.err.contains(named) && ran.out.is_empty(), "{named}: {}", ran.err);
        assert_eq!(requests_max(&server), 5);
        server
            .stranger(&server.address.to_string(), &["--pin", &server.key])
            .expect(0);
    };
    for (text, named) in [
        ("[limits]\nreqests = 7\n", "reqests"),
        ("[limits]\nrequests = 0\n", "limits.requests"),
        ("listen", "line 1"),
    ] {
        std::fs::write(&config, text).unwrap();
        refused(named);
    }
    std::fs::write(&config, format!("{OWN}[limits]\nrequests = 7\n")).unwrap();
    let key = folder.path().join("own-key.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    refused("own-key.pem");
    // A key that does not fit the certificate.
    write(
        folder.path(),
        "own-key.pem",
        KeyPair::generate().unwrap().serialize_pem().as_bytes(),
    );
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    refused("own.pem");
    // It was named at the start, so it must be there.
    std::fs::remove_file(&config).unwrap();
    refused("ferryd.toml");
}

#[test]
fn what_others_may_write_is_nothing_to_start_with() {
    let server = Server::start();
    let config = write(&server.local(), "open.toml", b"");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o666)).unwrap();
    let ran = server.admin(&["serve", "--config", config.to_str().unwrap()], "").expect(2);
    assert!(ran.err.contains("open.toml") && ran.err.contains("666"), "{}", ran.err);
    let launch = server.kill();
    std::fs::set_permissions(launch.data(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new(program("ferryd"));
    command.args(["serve", "--allow-root", "--data"]).arg(launch.data());
    let ran = run_with_input(&mut command, b"").expect(2);
    assert!(ran.err.contains("data folder"), "{}", ran.err);
}

#[test]
fn root_serves_only_when_told_to_and_leaves_the_folders_of_others_alone() {
    if !rustix::process::geteuid().is_root() {
        return skipped("root", "this is not root");
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let ferryd = |args: &[&str], variable: &str| {
        let mut command = Command::new(program("ferryd"));
        command.env("FERRY_ALLOW_ROOT", variable).args(args).arg("--data").arg(&data);
        run_with_input(&mut command, b"secret\n")
    };
    for variable in ["", "0"] {
        let ran = ferryd(&["serve"], variable).expect(1);
        assert!(ran.err.contains("root") && ran.err.contains("--allow-root"), "{}", ran.err);
    }
    // Told to by the variable, it comes as far as an address that nobody can listen on.
    let ran = ferryd(&["serve", "--listen", "192.0.2.1:1"], "1").expect(1);
    assert!(
        ran.err.contains("192.0.2.1") && ran.err.contains("runs as root"),
        "{}",
        ran.err
    );
    ferryd(&["user", "add", "bo", "--password-stdin"], "").expect(0);
    std::os::unix::fs::chown(&data, Some(1234), None).unwrap();
    let ran = ferryd(&["user", "add", "al", "--password-stdin"], "").expect(1);
    assert!(ran.err.contains("1234"), "{}", ran.err);
}
