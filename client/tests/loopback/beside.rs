//! What the user asks for while a transfer runs beside him: it has a connection of its own.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ferry_core::wire::frame::Kind;
use ferry_core::wire::message::{Done, End, Fail, Request};
use ferry_core::{Error, ErrorKind, line, rt, store::Start};

use crate::fake::{Peer, Stage};
use crate::meeting::Meeting;
use crate::{CONTENTS, folder_with};

/// How long anything here may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts to send the file as a job, and waits until it has its connection.
fn start_job(stage: &mut Stage) {
    let session = &mut stage.session;
    rt::block_on(session.connect()).unwrap();
    let words = line::split("push f").unwrap();
    session.jobs.start(session, words, "push f").unwrap();
    let started = Instant::now();
    while !session.link.is_busy() {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn answer(peer: &mut Peer) {
    let (id, _) = peer.request();
    peer.say(&Done { id, ..Done::default() });
}

#[test]
fn a_small_verb_does_not_queue_behind_a_transfer() {
    let folder = folder_with("f", CONTENTS);
    let answered = Meeting::default();
    let (mut stage, count) = Stage::crowd(folder.path(), move |number, peer| {
        assert!(peer.log_in_as(|_| {}));
        if number == 0 {
            let (id, _) = peer.request();
            // It stands still until the others were answered.
            answered.wait(1);
            peer.begin(id, Start::BEGINNING);
            let (_, end) = peer.body();
            peer.stored(id, &end);
            answer(peer);
        } else {
            answer(peer);
            answer(peer);
            answered.join(1);
        }
        assert!(peer.next().is_none(), "nothing else comes");
    });
    start_job(&mut stage);
    assert!(stage.session.link.free().is_some());
    for _ in 0..2 {
        stage.run("look").unwrap();
    }
    rt::block_on(stage.session.jobs.wait(&[])).unwrap();
    // Without a transfer the first one does, and the other is given back.
    assert!(!stage.session.link.is_busy());
    rt::block_on(stage.session.link.close_second());
    stage.run("look").unwrap();
    stage.end();
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn a_server_that_has_no_further_connection_is_content_with_one() {
    let folder = folder_with("f", CONTENTS);
    let (mut stage, count) = Stage::crowd(folder.path(), move |number, peer| {
        if number > 0 {
            let error = Error::new(ErrorKind::Busy, "too many connections");
            peer.say(&Fail::new(0, &error));
            return;
        }
        assert!(peer.log_in_as(|_| {}));
        let (push, _) = peer.request();
        peer.begin(push, Start::BEGINNING);
        let (mut looks, mut end) = (0, None);
        while looks < 2 {
            let frame = peer.next().unwrap();
            match frame.kind {
                Kind::Request => {
                    let id = frame.is::<Request>().id;
                    peer.say(&Done { id, ..Done::default() });
                    looks += 1;
                }
                Kind::End => end = Some(frame.is::<End>()),
                _ => {}
            }
        }
        let end = end.unwrap_or_else(|| peer.body().1);
        peer.stored(push, &end);
    });
    start_job(&mut stage);
    for _ in 0..2 {
        stage.run("look").unwrap();
    }
    rt::block_on(stage.session.jobs.wait(&[])).unwrap();
    stage.end();
    // It was not asked again at once.
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn a_job_that_fails_gives_its_exit_code_to_who_waits_for_it() {
    let folder = folder_with("f", CONTENTS);
    let stage = Stage::with(folder.path(), "secret", |peer: &mut Peer| {
        assert!(peer.log_in_as(|_| {}));
        for _ in 0..3 {
            let (id, _) = peer.request();
            peer.say(&Fail::new(id, &Error::new(ErrorKind::OverQuota, "too much")));
        }
        assert!(peer.next().is_none());
    });
    rt::block_on(stage.session.connect()).unwrap();
    let start = |stage: &Stage| {
        let words = line::split("look").unwrap();
        stage.session.jobs.start(&stage.session, words, "look").unwrap();
    };
    let wait = |stage: &Stage, numbers: &[u32]| rt::block_on(stage.session.jobs.wait(numbers));
    start(&stage);
    let failure = wait(&stage, &[1]).unwrap_err();
    assert_eq!((failure.exit.code(), failure.told), (6, true));
    let mark = stage.session.jobs.mark();
    start(&stage);
    stage.session.jobs.excuse_since(mark);
    wait(&stage, &[]).unwrap();
    start(&stage);
    assert_eq!(wait(&stage, &[7]).unwrap_err().exit.code(), 4);
    assert_eq!(wait(&stage, &[]).unwrap_err().exit.code(), 6);
    stage.end();
}
