//! Servers that mean harm, once one is logged in to them: nothing is written outside the target folder, nothing that is printed moves
//! a cursor, nothing of unbounded size is kept.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use ferry_client::render::Output;
use ferry_core::login::scram;
use ferry_core::reply::{Column, ColumnKind, Layout, Value};
use ferry_core::store::Start;
use ferry_core::wire::message::{
    Answer, Begin, Catalog, Challenge, Done, End, Expand, Hello, Login, Problem, Progress, Request, Rows, Welcome,
};
use ferry_core::{Algorithm, Error};

use crate::download::manifest;
use crate::fake::{Peer, Sink, Stage};
use crate::{CONTENTS, folder_with};

/// Every file and link below a folder, with what is in it.
fn below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            found.extend(
                below(&path)
                    .into_iter()
                    .map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)),
            );
            found.push((format!("{name}/"), Vec::new()));
        } else {
            found.push((name, fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// Answers the next request with contents, whole.
fn send(peer: &mut Peer, contents: &[u8]) {
    let id = peer.request_past_cancels();
    send_to(peer, id, contents);
}

fn send_to(peer: &mut Peer, id: u32, contents: &[u8]) {
    peer.say(&Begin {
        id,
        size: Some(contents.len() as u64),
        ..Begin::new(Start::BEGINNING)
    });
    peer.data(id, contents);
    peer.end(id, contents);
}

const NASTY: [&str; 7] = [
    "\x1b[2Jx",
    "two\nlines\r",
    "nul\0",
    "\u{9b}31m",
    "\u{202e}txt.exe",
    "del\x7f",
    "\u{2028}\u{85}\u{feff}",
];

#[test]
fn nothing_that_a_server_says_moves_a_cursor() {
    for json in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(folder.path(), |peer| {
            let (id, _) = peer.request();
            for layout in [Layout::Table, Layout::List, Layout::Record] {
                let mut columns: Vec<_> = [(&Column::new("name", ColumnKind::Path)).into()].into();
                columns.extend(NASTY.map(|name| ferry_core::wire::message::ColumnInfo {
                    name: name.into(),
                    kind: ColumnKind::Text,
                    hidden: false,
                    share: None,
                }));
                let mut rows: Vec<Vec<Value>> = NASTY.iter().map(|name| vec![(*name).into(), (*name).into()]).collect();
                rows.push(vec![Value::from(&b"\xff\xfe\x9b"[..])]);
                rows.push(vec!["x".repeat(60_000).as_str().into()]);
                // More than there are columns for.
                rows.push(vec![Value::Nil; 50]);
                peer.say(&Rows {
                    id,
                    columns: Some(columns),
                    layout,
                    rows,
                });
            }
            for nasty in NASTY {
                let error = Error::not_found(nasty).hint(nasty).at(nasty);
                peer.say(&Problem::new(id, &error));
                peer.say(&Progress {
                    id,
                    done: u64::MAX,
                    total: Some(0),
                    text: nasty.into(),
                });
            }
            peer.say(&Done {
                id,
                text: Some(NASTY.concat()),
                problems: u64::MAX,
                ..Done::default()
            });
        });
        let (out, err) = (Sink::default(), Sink::default());
        stage.session.output = Output::to(Box::new(out.clone()), Box::new(err.clone()), json);
        assert_eq!(stage.run("look").unwrap_err().exit.code(), 11);
        stage.end();
        let is_harmless = |c: char| c == '\n' || ferry_core::text::escape(c.to_string().as_bytes()).chars().eq([c]);
        for text in [out.text(), err.text()] {
            let odd: Vec<char> = text.chars().filter(|c| !is_harmless(*c)).collect();
            assert!(odd.is_empty(), "json: {json}: {odd:?}");
        }
        if json {
            // The escapes are JSON's own: a program reads the very names.
            let names: Vec<serde_json::Value> = out.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            for nasty in NASTY {
                assert!(names.iter().any(|row| row["name"] == *nasty), "{nasty:?}");
            }
        }
    }
}

#[test]
fn a_few_bytes_do_not_become_gigabytes_of_text() {
    for json in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(folder.path(), |peer| {
            let (id, _) = peer.request();
            let column = |_| ferry_core::wire::message::ColumnInfo {
                name: "x".repeat(20),
                kind: ColumnKind::Size,
                hidden: false,
                share: None,
            };
            peer.say(&Rows {
                id,
                columns: Some((0..1000).map(column).collect()),
                layout: Layout::Table,
                rows: vec![Vec::new(); 15_000],
            });
            while peer.next().is_some() {}
        });
        let out = Sink::default();
        stage.session.output = Output::to(Box::new(out.clone()), Box::new(Sink::default()), json);
        assert_eq!(stage.run("look").unwrap_err().exit.code(), 12);
        stage.end();
        assert_eq!(out.text(), "");
    }
}

#[test]
fn sizes_and_offsets_that_cannot_be_are_refused_and_nothing_is_kept() {
    let end = |id, size| End {
        id,
        size,
        digest: Algorithm::Md5.digest(CONTENTS),
    };
    type Script = Box<dyn FnOnce(&mut Peer) + Send>;
    let cases: [(&str, i32, Script); 6] = [
        (
            "a size without end",
            7,
            Box::new(move |peer| {
                let (id, _) = peer.request();
                peer.say(&Begin {
                    id,
                    size: Some(u64::MAX),
                    ..Begin::new(Start::BEGINNING)
                });
                peer.data(id, CONTENTS);
                peer.say(&end(id, u64::MAX));
                while peer.next().is_some() {}
            }),
        ),
        (
            "more than announced",
            7,
            Box::new(|peer| {
                let (id, _) = peer.request();
                peer.say(&Begin {
                    id,
                    size: Some(3),
                    ..Begin::new(Start::BEGINNING)
                });
                peer.data(id, CONTENTS);
                while peer.next().is_some() {}
            }),
        ),
        (
            "less than announced",
            7,
            Box::new(move |peer| {
                let (id, _) = peer.request();
                peer.begin(id, Start::BEGINNING);
                peer.data(id, &CONTENTS[..5]);
                peer.say(&end(id, CONTENTS.len() as u64));
                while peer.next().is_some() {}
            }),
        ),
        (
            "an offset beyond",
            12,
            Box::new(|peer| {
                let (id, _) = peer.request();
                let start = Start {
                    code: 1002,
                    offset: u64::MAX,
                    prefix: None,
                };
                peer.begin(id, start);
                while peer.next().is_some() {}
            }),
        ),
        (
            "a code that there is not",
            12,
            Box::new(|peer| {
                let (id, _) = peer.request();
                let start = Start {
                    code: 1004,
                    offset: 0,
                    prefix: None,
                };
                peer.begin(id, start);
                while peer.next().is_some() {}
            }),
        ),
        (
            "present, though nothing is here",
            12,
            Box::new(move |peer| {
                let (id, _) = peer.request();
                let start = Start {
                    code: 1003,
                    offset: CONTENTS.len() as u64,
                    prefix: Some(Algorithm::Blake3.digest(CONTENTS)),
                };
                peer.begin(id, start);
                peer.end(id, CONTENTS);
                while peer.next().is_some() {}
            }),
        ),
    ];
    for (name, exit, script) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(folder.path(), script);
        assert_eq!(stage.run("pull f").unwrap_err().exit.code(), exit, "{name}");
        stage.end();
        let left = below(folder.path());
        assert!(
            left.iter().all(|(place, bytes)| place == "f.ferry-part" && bytes.is_empty()),
            "{name}: {left:?}"
        );
    }
}

#[test]
fn small_files_of_a_folder_are_held_to_their_sizes_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        manifest(peer, id, &[(b"long", "file"), (b"short", "file"), (b"vast", "file")]);
        for at in 0..3 {
            let id = peer.request_past_cancels();
            let size = if at == 2 { u64::MAX } else { 5 };
            peer.say(&Begin {
                id,
                size: Some(size),
                ..Begin::new(Start::BEGINNING)
            });
            peer.data(id, if at == 1 { &CONTENTS[..3] } else { CONTENTS });
            peer.say(&End {
                id,
                size,
                digest: Algorithm::Md5.digest(&CONTENTS[..5]),
            });
            peer.say(&Done { id, ..Done::default() });
        }
        while peer.next().is_some() {}
    });
    assert_eq!(stage.run("pull -d dir").unwrap_err().exit.code(), 11);
    let out = stage.end();
    assert_eq!(out.matches("\"kind\":\"digest_mismatch\"").count(), 3, "{out}");
    let left: Vec<_> = below(folder.path()).into_iter().map(|(place, _)| place).collect();
    assert_eq!(left, ["dir/"]);
}

#[test]
fn contents_behind_their_end_are_no_part_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        peer.begin(id, Start::BEGINNING);
        peer.data(id, CONTENTS);
        peer.say(&End {
            id,
            size: CONTENTS.len() as u64,
            digest: Algorithm::Md5.digest(CONTENTS),
        });
        peer.data(id, b"and more");
        peer.say(&Done { id, ..Done::default() });
        peer.data(id, b"and more");
        peer.data(77, b"for nobody");
        while peer.next().is_some() {}
    });
    stage.run("pull f").unwrap();
    stage.end();
    assert_eq!(below(folder.path()), [("f".to_owned(), CONTENTS.to_vec())]);
}

#[test]
fn grants_beyond_all_bounds_are_exit_code_12() {
    let folder = folder_with("f", CONTENTS);
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        // Before it may send anything, so that it looks at both.
        peer.grant(id, u32::MAX);
        peer.grant(id, u32::MAX);
        while peer.next().is_some() {}
    });
    assert_eq!(stage.run("push --keep f").unwrap_err().exit.code(), 12);
    stage.end();
}

#[test]
fn what_is_in_a_list_twice_or_below_a_file_is_fetched_once_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        let entries: [(&[u8], &str); 10] = [
            (b"d", "dir"),
            (b"f", "file"),
            (b"f", "file"),
            (b"f", "dir"),
            (b"f/x", "file"),
            (b"f/y", "dir"),
            (b"d", "file"),
            (b"none/x", "file"),
            (&[b'n'; 256], "file"),
            (b"d/g", "file"),
        ];
        manifest(peer, id, &entries);
        send(peer, CONTENTS);
        send(peer, CONTENTS);
        while peer.next().is_some() {}
    });
    assert_eq!(stage.run("pull -d dir").unwrap_err().exit.code(), 11);
    let out = stage.end();
    assert_eq!(out.matches("\"kind\":\"exists\"").count(), 3, "{out}");
    assert_eq!(out.matches("\"kind\":\"not_directory\"").count(), 3, "{out}");
    let left: Vec<_> = below(folder.path()).into_iter().map(|(place, _)| place).collect();
    assert_eq!(left, ["dir/", "dir/d/", "dir/d/g", "dir/f"]);
}

#[test]
fn a_name_that_is_another_ones_part_does_not_get_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        manifest(
            peer,
            id,
            &[(b"a", "file"), (b"f", "file"), (b"f.ferry-part", "file"), (b"z", "file")],
        );
        // They are asked for side by side, so in any order.
        let files = [("f.ferry-part", "a file of that name"), ("a", "a"), ("f", "f"), ("z", "z")];
        for _ in files {
            let frame = peer.next().unwrap();
            let asked = String::from_utf8_lossy(&frame.payload);
            let is_asked = |(name, _): &&(&str, &str)| asked.contains(&format!("dir/{name}"));
            let (_, contents) = files.iter().find(is_asked).unwrap();
            send_to(peer, frame.is::<Request>().id, contents.as_bytes());
        }
    });
    stage.run("pull -d dir").unwrap();
    stage.end();
    let read = |name: &str| fs::read(folder.path().join("dir").join(name)).unwrap();
    assert_eq!(
        (read("f"), read("f.ferry-part")),
        (b"f".to_vec(), b"a file of that name".to_vec())
    );
    assert_eq!((read("a"), read("z")), (b"a".to_vec(), b"z".to_vec()));
}

#[test]
fn a_link_that_lies_here_leads_no_download_out_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (outside, inside) = (folder.path().join("outside"), folder.path().join("here/dir"));
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(&inside).unwrap();
    fs::write(outside.join("file"), b"mine").unwrap();
    symlink(&outside, inside.join("way")).unwrap();
    symlink(outside.join("file"), inside.join("file")).unwrap();
    symlink(outside.join("new"), inside.join("dangling")).unwrap();
    symlink(outside.join("part"), inside.join("half.ferry-part")).unwrap();
    let mut stage = Stage::new(&folder.path().join("here"), |peer| {
        let (id, _) = peer.request();
        let entries: [(&[u8], &str); 6] = [
            (b"way", "dir"),
            (b"way/evil", "file"),
            (b"way/deep", "dir"),
            (b"file", "file"),
            (b"dangling", "file"),
            (b"half", "file"),
        ];
        manifest(peer, id, &entries);
        for _ in 0..3 {
            send(peer, CONTENTS);
        }
        while peer.next().is_some() {}
    });
    assert_eq!(stage.run("pull -d dir").unwrap_err().exit.code(), 11);
    let out = stage.end();
    assert!(out.contains("is a link here"), "{out}");
    assert_eq!(below(&outside), [("file".to_owned(), b"mine".to_vec())]);
    for name in ["file", "dangling"] {
        let place = inside.join(name);
        assert!(!place.is_symlink(), "the link was replaced");
        assert_eq!(fs::read(place).unwrap(), CONTENTS);
    }
    assert!(!inside.join("half").exists());
}

#[test]
fn a_link_in_the_place_of_the_folder_itself_is_not_followed_but_one_that_the_user_names_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("elsewhere")).unwrap();
    symlink("elsewhere", folder.path().join("dir")).unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        manifest(peer, id, &[(b"f", "file")]);
        while peer.next().is_some() {}
    });
    assert_eq!(stage.run("pull -d dir").unwrap_err().exit.code(), 11);
    assert!(stage.end().contains("is a link here"));
    assert_eq!(fs::read_dir(folder.path().join("elsewhere")).unwrap().count(), 0);
    let mut stage = Stage::new(folder.path(), |peer| {
        let (id, _) = peer.request();
        manifest(peer, id, &[(b"f", "file")]);
        send(peer, CONTENTS);
    });
    stage.run("pull -d what dir/").unwrap();
    stage.end();
    assert_eq!(fs::read(folder.path().join("elsewhere/what/f")).unwrap(), CONTENTS);
}

#[test]
fn words_and_verbs_without_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path(), |peer| {
        let ask: Expand = peer.hear();
        let mut columns = Some(vec![(&Column::new("path", ColumnKind::Path)).into()]);
        // The client has had enough long before.
        for _ in 0..1000 {
            peer.say(&Rows {
                id: ask.id,
                columns: columns.take(),
                layout: Layout::List,
                rows: vec![vec!["x".repeat(60_000).as_str().into()]],
            });
        }
    });
    let failure = stage.run("look *").unwrap_err();
    assert_eq!(failure.exit.code(), 1, "{failure:?}");
    stage.end();
    let mut stage = Stage::with(folder.path(), "secret", |peer| {
        let verifier = scram::Verifier::with("secret", b"saltsalt", scram::ITERATIONS_MIN).unwrap();
        peer.say(&Hello {
            mechanisms: vec![scram::MECHANISM.into()],
            ..Hello::new("fake")
        });
        let _: Hello = peer.hear();
        let login: Login = peer.hear();
        let first = scram::ClientFirst::read(&login.data).unwrap();
        let (server, data) = scram::Server::start(&first, verifier).unwrap();
        peer.say(&Challenge { mechanism: None, data });
        let answer: Answer = peer.hear();
        peer.say(&Welcome {
            data: server.finish(&answer.data).unwrap(),
            user: first.user,
            notice: None,
            token: None,
        });
        for _ in 0..1000 {
            peer.say(&Catalog {
                verbs: Vec::new(),
                last: false,
            });
        }
    });
    assert_eq!(stage.run("look").unwrap_err().exit.code(), 12);
    stage.end();
}
