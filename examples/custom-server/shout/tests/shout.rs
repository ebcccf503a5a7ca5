//! The verb as its users meet it.

use ferry_core::ErrorKind;
use ferry_shout::Shout;
use ferry_testkit::Harness;

#[test]
fn the_verb_keeps_the_rules() {
    Harness::check::<Shout>();
}

#[test]
fn a_text_comes_back_in_capitals() {
    let h = Harness::of::<Shout>();
    assert_eq!(h.ok("shout 'straße 7'").text.as_deref(), Some("STRASSE 7\n"));
    assert_eq!(h.ok("shout --loud hey 2").text.as_deref(), Some("HEY!\nHEY!\n"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let h = Harness::of::<Shout>();
    for line in ["shout", "shout a b", "shout a -1", "shout a 1 c", "shout --soft a"] {
        assert_eq!(h.err(line).kind, ErrorKind::BadRequest, "{line}");
    }
}
