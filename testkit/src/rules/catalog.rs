//! What is said of a verb comes through the wire and through JSON as it was, and fits.

use ferry_core::VerbInfo;
use ferry_core::wire::message::{Catalog, Done};

use crate::link::cross;

/// Catalogue, help and JSON survive, within the limits of a frame.
pub(super) fn check_catalog(verb: &VerbInfo, find: &mut dyn FnMut(String)) {
    let told = Catalog {
        verbs: vec![verb.clone()],
        last: true,
    };
    match cross(&told) {
        Ok(back) if back == told => {}
        Ok(_) => find("its catalogue entry comes through the wire as another one".into()),
        Err(error) => find(format!(
            "its catalogue entry does not come through the wire: {}: {error}",
            error.kind
        )),
    }
    let help = verb.help();
    let reply = Done {
        text: Some(help.clone()),
        ..Done::default()
    };
    match cross(&reply) {
        Ok(back) if back == reply => {}
        Ok(_) => find("its help comes through the wire as another one".into()),
        Err(error) => find(format!("its help does not come through the wire: {}: {error}", error.kind)),
    }
    if let Some(line) = help.lines().find(|line| ferry_core::text::escape(line.as_bytes()) != *line) {
        let line = ferry_core::text::escape(line.as_bytes());
        find(format!("its help has characters that a terminal would act on: `{line}`"));
    }
    let through_json = serde_json::to_string(verb).and_then(|text| serde_json::from_str::<VerbInfo>(&text));
    if through_json.ok().as_ref() != Some(verb) {
        find("its catalogue entry comes through JSON as another one".into());
    }
}
