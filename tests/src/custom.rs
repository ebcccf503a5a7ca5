//! Crates outside the workspace, as strangers have them: built by this run's cargo into this run's target folder, without a network.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::{BINARIES, Ran, run_with_input, without_package};

/// The stranger's workspace that comes with the sources, relative to theirs.
pub const CUSTOM_SERVER: &str = "examples/custom-server";

/// The stranger's server, built by the first caller.
static SERVER: LazyLock<PathBuf> = LazyLock::new(|| {
    succeeds(cargo(&root().join(CUSTOM_SERVER), "build").args(["--quiet", "--locked"]));
    BINARIES.join("custom-server")
});

/// The folder of the sources.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// Where the stranger's server is, in a form that stands wherever the name of a program of ours does.
pub fn server() -> String {
    SERVER.to_string_lossy().into_owned()
}

/// A call of cargo in a folder, in the profile of this run. What our workspace has built already is built once.
pub fn cargo(folder: &Path, command: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    without_package(&mut cargo);
    // The first caller builds our programs; after that their folder is known, and cargo's lock is free.
    let target = BINARIES.parent().unwrap_or(&BINARIES);
    cargo
        .arg(command)
        .current_dir(folder)
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", target);
    if BINARIES.ends_with("release") {
        cargo.arg("--release");
    }
    cargo
}

/// Runs a call of cargo that has to end well.
#[track_caller]
pub fn succeeds(command: &mut Command) -> Ran {
    run_with_input(command, b"").expect(0)
}

/// A folder outside the workspace for crates that a test makes. What was built of them goes with it.
pub struct Strangers {
    _above: tempfile::TempDir,
    folder: PathBuf,
    packages: &'static [&'static str],
}

impl Strangers {
    /// An empty one, in which packages of these names will be built.
    pub fn new(packages: &'static [&'static str]) -> Self {
        let made = || {
            let above = tempfile::tempdir()?;
            let folder = above.path().join("strangers");
            std::fs::create_dir(&folder)?;
            // Built as our workspace is, whatever is in the stranger's, so that what they have in common is built once.
            let ours = std::fs::read_to_string(root().join("Cargo.toml"))?;
            let profiles = ours.find("[profile.").map_or("", |at| &ours[at..]);
            std::fs::create_dir(above.path().join(".cargo"))?;
            std::fs::write(above.path().join(".cargo/config.toml"), profiles)?;
            Ok::<_, std::io::Error>((above, folder))
        };
        let (above, folder) = made().unwrap_or_else(|error| panic!("{error}"));
        Self {
            _above: above,
            folder,
            packages,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Runs cargo in it; it has to end well.
    #[track_caller]
    pub fn cargo(&self, command: &str, options: &[&str]) -> Ran {
        succeeds(cargo(self.path(), command).args(options))
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        // Its crates are others each time, for their place is part of what they are.
        let mut clean = cargo(self.path(), "clean");
        for package in self.packages {
            clean.args(["-p", package]);
        }
        let _ = run_with_input(&mut clean, b"");
    }
}
