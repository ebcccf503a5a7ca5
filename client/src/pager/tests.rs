//! The pager, with commands that stand for one.

use super::*;

fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).stdout(Stdio::null());
    command
}

fn running(line: &str) -> Pager {
    let pager = Pager::default();
    *pager.state() = State::Running(start(shell(line)).unwrap());
    pager
}

#[test]
fn lines_are_counted_as_the_screen_breaks_them() {
    let mut gathering = Gathering {
        width: 10,
        ..Gathering::default()
    };
    gathering.add("1234567890\n\n日本日本日本\nabc".as_bytes());
    assert_eq!(gathering.lines, 4);
}

#[test]
fn nothing_is_kept_where_nothing_is_paged() {
    let pager = Pager::default();
    pager.begin((1, 80));
    assert_eq!(pager.write(b"a\nb\n"), Taken::Print(b"a\nb\n".to_vec()));
    assert!(!pager.hold("note"));
}

#[test]
fn what_fits_the_screen_comes_back_at_the_end_with_what_was_held() {
    let pager = Pager::default();
    *pager.state() = State::Gathering(Gathering {
        height: 3,
        width: 80,
        ..Gathering::default()
    });
    assert_eq!(pager.write(b"a\n"), Taken::Kept);
    assert!(pager.hold("note"));
    assert_eq!(pager.write(b"b\n"), Taken::Kept);
    let ended = rt::block_on(pager.end());
    assert_eq!(
        (ended.text, ended.held, ended.was_running),
        (b"a\nb\n".to_vec(), vec!["note".to_owned()], false)
    );
}

#[test]
fn all_that_is_written_arrives_and_the_end_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    let pager = running(&format!("exec cat > {}", file.display()));
    for n in 0..1000 {
        assert_eq!(pager.write(format!("{n}\n").as_bytes()), Taken::Kept);
    }
    let ended = rt::block_on(pager.end());
    assert!(ended.was_running && !ended.has_left && ended.held.is_empty());
    let expected: String = (0..1000).map(|n| format!("{n}\n")).collect();
    assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
}

#[test]
fn who_leaves_early_ends_all_waiting() {
    let pager = running("head -c 1");
    let piece = vec![b'x'; AHEAD_MAX_BYTES + 1];
    pager.write(&piece);
    rt::block_on(async {
        pager.room().await;
        pager.left().await;
    });
    assert_eq!(pager.write(b"more"), Taken::Left);
    assert!(rt::block_on(pager.end()).has_left);
}

#[test]
fn a_pager_that_is_not_there_is_told() {
    let pager = running("exec /no/such/pager 2> /dev/null");
    let ended = rt::block_on(pager.end());
    assert!(ended.held[0].contains("could not be run"), "{ended:?}");
}
