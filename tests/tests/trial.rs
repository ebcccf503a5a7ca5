//! `ferryd try`: server, account and shell in one process, driven by a script on standard input.

use std::path::Path;
use std::process::Command;

use ferry_tests::{Ran, noise, program, run_with_input, write};

fn trial(folder: &Path, script: &str) -> Ran {
    let mut command = Command::new(program("ferryd"));
    run_with_input(
        command
            .arg("try")
            .current_dir(folder)
            .env("TMPDIR", folder)
            .env("HOME", folder),
        script.as_bytes(),
    )
}

#[test]
fn a_script_moves_a_real_file_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(5_000_000, 11);
    write(folder.path(), "real.bin", &bytes);
    let md5sum = Command::new("md5sum")
        .arg("real.bin")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let script = "mkdir docs\nput real.bin docs/\ncd docs\nmd5 real.bin\nget real.bin back.bin\nls -l\ndu\nquota\nmv real.bin other.bin\nrm other.bin\ncd /\nrmdir docs\nls\n";
    let ran = trial(folder.path(), script).expect(0);
    assert!(ran.out.contains(&String::from_utf8(md5sum.stdout).unwrap()), "{}", ran.out);
    assert_eq!(std::fs::read(folder.path().join("back.bin")).unwrap(), bytes);
    let mut left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.retain(|name| !name.to_string_lossy().starts_with('.'));
    left.sort();
    assert_eq!(left, ["back.bin", "real.bin"]);
}

#[test]
fn a_wrong_line_in_the_middle_is_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        trial(folder.path(), "mkdir a\nfrobnicate\nmkdir b\n")
            .expect(2)
            .err
            .contains("frobnicate")
    );
    assert!(
        trial(folder.path(), "mkdir a\nrmdir b\nls\n")
            .expect(4)
            .err
            .contains("b: no such")
    );
    assert!(trial(folder.path(), "mkdir a\nput 'no end\n").expect(2).err.contains("quote"));
}

#[test]
fn a_kept_data_folder_is_there_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let again = |script: &str| {
        let mut command = Command::new(program("ferryd"));
        run_with_input(
            command
                .args(["try", "--data", "kept"])
                .current_dir(folder.path())
                .env("HOME", folder.path()),
            script.as_bytes(),
        )
        .expect(0)
    };
    again("mkdir stays\n");
    assert!(again("ls\n").out.contains("stays"));
}
