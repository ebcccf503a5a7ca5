//! Two copies of core cannot meet in one build: each would have a registry of its own, and a verb would vanish without a word.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use ferry_api::{cargo, root};

/// Copies core's manifest, as another version, into a workspace of its own.
fn copy_core(to: &Path) {
    let core = to.join("core");
    std::fs::create_dir_all(core.join("src")).unwrap();
    let copy = |from: &str, to: &Path, change: fn(String) -> String| {
        let text = std::fs::read_to_string(root().join(from)).unwrap();
        std::fs::write(to, change(text)).unwrap();
    };
    copy("Cargo.toml", &to.join("Cargo.toml"), |text| {
        let (before, rest) = text.split_once("members = [").unwrap();
        let (_, after) = rest.split_once(']').unwrap();
        let text = format!("{before}members = [\"core\"]{after}");
        text.replace("version = \"0.1.0\"\nedition", "version = \"0.1.99\"\nedition")
    });
    copy("core/Cargo.toml", &core.join("Cargo.toml"), |text| {
        text.split("\n[[bench]]").next().unwrap().to_owned()
    });
    std::fs::write(core.join("build.rs"), "fn main() {}\n").unwrap();
    std::fs::write(core.join("src/lib.rs"), "").unwrap();
}

/// The target of this machine's compiler.
fn host() -> String {
    let said = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    said.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// Resolves a crate that depends on some cores, by path, without a network. Gives what cargo says.
fn resolve(folder: &Path, cores: &[(&str, &Path)]) -> Result<(), String> {
    let stranger = folder.join("stranger");
    std::fs::create_dir_all(stranger.join("src")).unwrap();
    std::fs::write(stranger.join("src/lib.rs"), "").unwrap();
    // What is in our lock file is known without a network.
    std::fs::copy(root().join("Cargo.lock"), stranger.join("Cargo.lock")).unwrap();
    let dependencies = cores.iter().map(|(name, path)| {
        let path = path.canonicalize().unwrap();
        format!(
            "{name} = {{ package = \"ferry-core\", path = {:?} }}\n",
            path.to_str().unwrap()
        )
    });
    let manifest = format!(
        "[package]\nname = \"stranger\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{}",
        dependencies.collect::<String>()
    );
    std::fs::write(stranger.join("Cargo.toml"), manifest).unwrap();
    // For this machine alone: crates for others were never needed here, and may be missing.
    let mut command = cargo(&stranger);
    let output = command
        .args(["metadata", "--offline", "--format-version", "1", "--filter-platform", &host()])
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn two_copies_of_core_are_refused_naming_it() {
    let folder = tempfile::tempdir().unwrap();
    copy_core(&folder.path().join("other"));
    let (ours, theirs) = (root().join("core"), folder.path().join("other/core"));
    resolve(folder.path(), &[("ours", &ours)]).unwrap();
    resolve(folder.path(), &[("theirs", &theirs)]).unwrap();
    let refused = resolve(folder.path(), &[("ours", &ours), ("theirs", &theirs)]).unwrap_err();
    assert!(refused.contains("ferry-core") && refused.contains("links to"), "{refused}");
}
