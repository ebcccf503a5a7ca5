//! The verb in a home in memory.

use ferry_core::rt::block_on;
use ferry_core::{ErrorKind, Value};
use ferry_testkit::Harness;

use super::{Endings, ending};

fn home() -> Harness {
    let h = Harness::of::<Endings>();
    h.seed("/a.rs", &[0; 10]);
    h.seed("/src/b.rs", &[0; 20]);
    h.seed("/src/long.MP4", &[0; 1000]);
    h.seed("/Makefile", &[0; 3]);
    h.seed("/.hidden", &[0; 4]);
    h
}

#[test]
fn the_verb_keeps_the_rules() {
    Harness::check::<Endings>();
}

#[test]
fn files_are_added_up_by_ending_the_largest_first() {
    let output = home().ok("endings");
    assert_eq!(output.texts("ending"), ["mp4", "rs", "-"]);
    assert_eq!(output.column("bytes"), [Value::Uint(1000), Value::Uint(30), Value::Uint(7)]);
    assert_eq!(home().ok("endings --by files").texts("ending")[2], "mp4");
}

#[test]
fn one_folder_and_one_ending_can_be_asked_for() {
    assert_eq!(home().ok("endings src").texts("files"), ["1", "1"]);
    assert_eq!(home().ok("endings --only rs").texts("bytes"), ["30"]);
    assert!(home().ok("endings --only exe").rows.is_empty());
}

#[test]
fn each_refusal_has_its_kind() {
    for (line, kind) in [
        ("endings nothing", ErrorKind::NotFound),
        ("endings ..", ErrorKind::Denied),
        ("endings --by age", ErrorKind::BadRequest),
        ("endings a b", ErrorKind::BadRequest),
    ] {
        assert_eq!(home().err(line).kind, kind, "{line}");
    }
}

#[test]
fn endings_of_the_working_folder_are_proposed() {
    let proposed = |word| block_on(home().complete("endings", "only", word)).unwrap_or_default();
    assert_eq!(proposed(""), ["-", "rs"]);
    assert_eq!(proposed("r"), ["rs"]);
}

#[test]
fn what_is_no_ending_is_told_as_none() {
    for (name, end) in [
        (&b"a.tar.GZ"[..], "gz"),
        (b".profile", "-"),
        (b"a.", "-"),
        (b"a", "-"),
        (b"\xff.rs", "-"),
        (b"a.0123456789abcdefg", "-"),
    ] {
        assert_eq!(ending(name), end, "{name:?}");
    }
}
