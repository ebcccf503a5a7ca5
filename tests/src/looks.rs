//! What tests of looks share: a server whose home is written into directly, and clients that look the same wherever they run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Server;
use crate::pty::{Pty, Size};

/// A server with an account of alice's of 1 MiB, and the folder of her home, for files that no client could make.
pub fn server() -> (Server, PathBuf) {
    let server = Server::start();
    server.add_user("alice", &["--quota", "1MiB"]);
    server.ferry("alice", &["pwd"]).expect(0);
    let home = server.data().join("homes/alice");
    std::fs::create_dir_all(&home).unwrap_or_else(|error| panic!("{error}"));
    (server, home)
}

/// A client of alice's at a terminal that looks the same wherever the test runs.
pub fn client(server: &Server, args: &[&str]) -> Command {
    let mut command = server.client("alice", &[]);
    command.args(args).env("TZ", "UTC").env("FERRY_PAGER", "");
    for name in [
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "PAGER",
        "LESS",
        "LESSOPEN",
        "LESSCHARSET",
    ] {
        command.env_remove(name);
    }
    command
}

/// The smallest terminal that people use.
pub fn small() -> Size {
    Size::new(24, 80)
}

/// The screen at the end, from a terminal of that size, for an exit code of 0.
#[track_caller]
pub fn screen(command: &Command, size: Size) -> String {
    let (code, screen) = Pty::spawn_at(command, size).end();
    assert_eq!(code, 0, "{screen}");
    screen.trim_end().to_owned()
}

/// A folder of so many files.
pub fn many(home: &Path, count: u32) {
    let folder = home.join("many");
    std::fs::create_dir(&folder).unwrap_or_else(|error| panic!("{error}"));
    for n in 0..count {
        let made = std::fs::File::create(folder.join(format!("file-{n:07}")));
        made.unwrap_or_else(|error| panic!("{error}"));
    }
}
