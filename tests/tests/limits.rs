//! Limits before and after the login: many who knock keep nobody out, and none of them costs much.
//!
//! Short here. The long forms, in release and on a quiet machine: `FERRY_KNOCK=5000`, `FERRY_ANNOUNCE=1000`, `FERRY_TIMING=10000`.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferry_core::store::CODE_PRESENT;
use ferry_core::wire::message::{Fail, Offer};
use ferry_core::{Algorithm, ErrorKind};
use ferry_tests::knock::{
    Knocker, Manner, fail_login, free_descriptor, greet, processor_time, quantile, set_descriptors, welch_t,
};
use ferry_tests::peer::{Frame, Peer};
use ferry_tests::wire::Wire;
use ferry_tests::{Launch, PATIENCE, Server, noise, run_with_input, tls};

/// A server with limits of its own.
fn server(limits: &str, options: &[&str]) -> Server {
    let launch = Launch::new("ferryd", options);
    std::fs::create_dir_all(launch.data()).unwrap();
    std::fs::write(launch.data().join("ferryd.toml"), format!("[limits]\n{limits}\n")).unwrap();
    launch.start()
}

/// The number that a long form was asked for.
fn long(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Waits for something that must come.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What ended the connection, as the server says it.
fn last_word(frames: &[Frame]) -> ErrorKind {
    frames.last().unwrap().read::<Fail>().unwrap().kind
}

#[test]
fn thousands_who_knock_keep_no_honest_login_out_and_all_are_cut() {
    let asked = long("FERRY_KNOCK");
    let (count, spread, cut_within, p99_max, limits) = match asked {
        Some(count) => (
            count,
            Duration::from_secs(15),
            Duration::from_secs(35),
            Duration::from_millis(500),
            "",
        ),
        None => (
            300,
            Duration::from_secs(2),
            Duration::from_secs(8),
            Duration::from_secs(5),
            "handshake-seconds = 2\nlogin-seconds = 4",
        ),
    };
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    set_descriptors(None, most.unwrap_or(1 << 20)).unwrap();
    let server = server(limits, &[]);
    server.add_user("alice", &[]);
    let log_in = || {
        let start = Instant::now();
        let (mut peer, channel) = tls::connect(server.address).unwrap();
        peer.log_in("alice", channel).unwrap();
        start.elapsed()
    };
    let mut quiet: Vec<Duration> = (0..10).map(|_| log_in()).collect();
    let are_all_cut = AtomicBool::new(false);
    let (mut honest, lasted) = std::thread::scope(|scope| {
        let honest = scope.spawn(|| {
            let mut times = Vec::new();
            while !are_all_cut.load(Ordering::Relaxed) {
                times.push(log_in());
            }
            times
        });
        let lasted = knock(&server, count, spread, cut_within);
        are_all_cut.store(true, Ordering::Relaxed);
        (honest.join().unwrap(), lasted)
    });
    let p99 = quantile(&mut honest, 0.99);
    println!(
        "{count} knock: an honest login takes {:?} in the median, {p99:?} at p99 of {}, {:?} at most; quiet {:?}",
        quantile(&mut honest, 0.5),
        honest.len(),
        quantile(&mut honest, 1.0),
        quantile(&mut quiet, 0.5),
    );
    for (manner, mut lasted) in lasted {
        let last = quantile(&mut lasted, 1.0);
        println!("{manner:?}: {} cut, the last after {last:?}", lasted.len());
        assert!(last <= cut_within, "{manner:?}");
    }
    assert!(p99 <= p99_max, "{p99:?}");
}

/// Half of them at once, the others spread over some time; gives how long each lasted.
fn knock(server: &Server, count: usize, spread: Duration, cut_within: Duration) -> Vec<(Manner, Vec<Duration>)> {
    let start = Instant::now();
    let mut lasted: Vec<(Manner, Vec<Duration>)> = Manner::ALL.into_iter().map(|manner| (manner, Vec::new())).collect();
    let mut knocking: Vec<Knocker> = Vec::new();
    let mut come = 0;
    while come < count || !knocking.is_empty() {
        let share = 0.5 + start.elapsed().as_secs_f64() / spread.as_secs_f64() / 2.0;
        while come < count && (come as f64) < share * count as f64 {
            let manner = Manner::ALL[come % Manner::ALL.len()];
            match Knocker::knock(server.address, manner).unwrap() {
                Some(knocker) => knocking.push(knocker),
                None => lasted[come % Manner::ALL.len()].1.push(Duration::ZERO),
            }
            come += 1;
        }
        knocking.iter_mut().for_each(Knocker::go_on);
        knocking.retain(|knocker| {
            if let Some(after) = knocker.lasted {
                lasted
                    .iter_mut()
                    .find(|(manner, _)| *manner == knocker.manner)
                    .unwrap()
                    .1
                    .push(after);
            }
            knocker.lasted.is_none()
        });
        assert!(start.elapsed() < spread + cut_within * 2, "{} are never cut", knocking.len());
        std::thread::sleep(Duration::from_millis(20));
    }
    lasted
}

#[test]
fn a_frame_of_four_gigabytes_is_no_memory() {
    let count = long("FERRY_ANNOUNCE").unwrap_or(100);
    set_descriptors(None, 4096).unwrap();
    let server = server("strangers = 4096\nstrangers-per-address = 4096", &[]);
    server.add_user("alice", &[]);
    server.ferry("alice", &["pwd"]).expect(0);
    let before = server.resident_bytes();
    let mut peers: Vec<_> = (0..count).map(|_| tls::connect(server.address).unwrap().0).collect();
    for peer in &mut peers {
        peer.stream.write_all(&[0xff, 0xff, 0xff, 0xff, 0x01]).unwrap();
        peer.stream.flush().unwrap();
    }
    for peer in &mut peers {
        assert_eq!(last_word(&peer.rest().unwrap()), ErrorKind::TooLarge);
    }
    let each = server.peak_resident_bytes().saturating_sub(before) / count as u64;
    println!("{count} peers that announce 4 GiB: {} KiB each at the most", each >> 10);
    assert!(each < 256 << 10, "{each}");
    server.ferry("alice", &["pwd"]).expect(0);
}

#[test]
fn known_unknown_and_disabled_users_are_refused_in_the_same_words_and_time() {
    let asked = long("FERRY_TIMING");
    let count = asked.unwrap_or(200);
    let server = server("login-tries = 10", &["--no-tls"]);
    server.add_user("known-1", &[]);
    server.add_user("known-2", &[]);
    server.admin(&["user", "disable", "known-2"], "").expect(0);
    let users = ["known-1", "nobody1", "known-2"];
    let mut times: [[Vec<f64>; 2]; 3] = Default::default();
    let mut words = Vec::new();
    let dice = noise(count * 3 * 8, 11);
    let mut order: Vec<usize> = (0..count * 3).map(|at| at % 3).collect();
    // Fisher and Yates: no rhythm of the machine meets one user more than another.
    for at in (1..order.len()).rev() {
        let roll = u64::from_le_bytes(dice[at * 8..at * 8 + 8].try_into().unwrap());
        order.swap(at, usize::try_from(roll % (at as u64 + 1)).unwrap());
    }
    for tries in order.chunks(9) {
        let mut peer = greet(server.address).unwrap();
        for user in tries {
            let (took, fail) = fail_login(&mut peer, users[*user]).unwrap();
            for (step, took) in took.into_iter().enumerate() {
                times[*user][step].push(took.as_secs_f64() * 1e6);
            }
            words.push((fail.kind, fail.message, fail.hint));
        }
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
    for (step, name) in ["challenge", "refusal"].into_iter().enumerate() {
        // What the machine does now and then is in the slowest twentieth; it is left out, the same for all.
        let mut all: Vec<f64> = times.iter().flat_map(|user| user[step].iter().copied()).collect();
        all.sort_unstable_by(f64::total_cmp);
        let border = all[all.len() * 19 / 20];
        for other in [1, 2] {
            let cut = |user: usize| -> Vec<f64> { times[user][step].iter().copied().filter(|took| *took < border).collect() };
            let (t, raw) = (welch_t(&cut(0), &cut(other)), welch_t(&times[0][step], &times[other][step]));
            let median = all[all.len() / 2];
            println!(
                "{name}, {} against {}: t = {t:.2} (raw {raw:.2}), median {median:.1} us",
                users[0], users[other]
            );
            assert!(asked.is_none() || t.abs() < 4.5, "{name}: t = {t}");
        }
    }
}

#[test]
fn a_server_without_descriptors_waits_and_goes_on() {
    let server = server("", &["--no-tls"]);
    server.add_user("alice", &[]);
    let status = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files: Vec<&str> = status
        .lines()
        .find(|line| line.contains("open files"))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(files[3], files[4], "the soft limit is the hard one");
    // Nobody is there who could be dropped: two sessions hold what there is.
    let mut sessions = [
        Wire::login(server.address, "alice").unwrap(),
        Wire::login(server.address, "alice").unwrap(),
    ];
    let before = set_descriptors(Some(server.pid()), free_descriptor(server.pid())).unwrap();
    let (start, used) = (Instant::now(), processor_time(server.pid()));
    let waiting = Peer::connect(server.address).unwrap();
    until("pauses", || server.log().matches("cannot accept").count() >= 7);
    let (took, used) = (start.elapsed(), processor_time(server.pid()) - used);
    assert!(took > Duration::from_millis(600), "the pauses grow: {took:?}");
    assert!(used < took / 4, "it spins: {used:?} of {took:?}");
    // A verb that needs a descriptor fails; its session goes on.
    let args = serde_json::json!({});
    assert!(sessions.iter_mut().all(|session| session.call("ls", &args).unwrap().is_err()));
    let [first, mut second] = sessions;
    drop(first);
    let mut waiting = waiting;
    waiting.log_in("alice", ferry_core::login::Channel::Plain).unwrap();
    drop(waiting);
    // Those who only knock make room.
    let _knocking: Vec<_> = (0..20).map(|_| Peer::connect(server.address).unwrap()).collect();
    greet(server.address).unwrap();
    set_descriptors(Some(server.pid()), before).unwrap();
    second.quota().unwrap();
    server.ferry("alice", &["pwd"]).expect(0);
}

#[test]
fn an_address_keeps_its_share_of_those_who_are_not_logged_in() {
    let server = server(
        "strangers-per-address = 4\nlogin-seconds = 20\nspare-loopback = false",
        &["--no-tls"],
    );
    let start = Instant::now();
    let mut peers: Vec<_> = (0..10).map(|_| greet(server.address).unwrap()).collect();
    for peer in &peers {
        peer.stream.set_nonblocking(true).unwrap();
    }
    let mut cut = 0;
    until("six of ten are cut", || {
        peers.retain_mut(|peer| {
            let mut bytes = [0; 256];
            !matches!(peer.stream.read(&mut bytes), Ok(0)) || {
                cut += 1;
                false
            }
        });
        cut == 6
    });
    assert!((2..10).contains(&start.elapsed().as_secs()));
    // Whoever is left can still log in.
    server.add_user("alice", &[]);
    let peer = &mut peers[3];
    peer.stream.set_nonblocking(false).unwrap();
    assert_eq!(fail_login(peer, "alice").unwrap().1.kind, ErrorKind::LoginRefused);
}

#[test]
fn a_user_has_so_many_sessions_and_no_more() {
    let server = server("sessions-per-user = 2", &["--no-tls"]);
    server.add_user("alice", &[]);
    server.add_user("bob", &[]);
    let held = [
        Wire::login(server.address, "alice").unwrap(),
        Wire::login(server.address, "alice").unwrap(),
    ];
    // Worth a retry, says the exit code: others leave.
    let refused = run_with_input(server.client("alice", &["--retry-for", "0"]).arg("pwd"), b"").expect(8);
    assert!(refused.err.contains("too many sessions"), "{}", refused.err);
    server.ferry("bob", &["pwd"]).expect(0);
    drop(held);
    until("a place is free", || Wire::login(server.address, "alice").is_ok());
}

#[test]
fn the_third_failed_login_ends_the_connection() {
    let server = server("", &["--no-tls"]);
    let mut peer = greet(server.address).unwrap();
    for _ in 0..3 {
        assert_eq!(fail_login(&mut peer, "alice").unwrap().1.kind, ErrorKind::LoginRefused);
    }
    assert!(peer.rest().unwrap().is_empty());
}

#[test]
fn a_login_ends_in_time_however_busy_the_client_looks() {
    let server = server("login-seconds = 2\nhandshake-seconds = 1", &["--no-tls"]);
    let start = Instant::now();
    let mut peer = greet(server.address).unwrap();
    // Frames that nobody knows and everybody skips.
    peer.stream.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    until("the deadline", || {
        let _ = peer.stream.write(&[0, 0, 0, 1, 0x90, 7]);
        match peer.stream.read_to_end(&mut heard) {
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
            Ok(_) => true,
        }
    });
    let took = start.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(10)).contains(&took), "{took:?}");
    assert!(String::from_utf8_lossy(&heard).contains("timeout"));
}

#[test]
fn sixty_four_kilobytes_before_the_login_and_not_more() {
    let server = server("", &["--no-tls"]);
    let skipped = [&[0, 0, 0x10, 0, 0x90][..], &[7; 4096]].concat();
    let mut peer = greet(server.address).unwrap();
    for _ in 0..15 {
        peer.stream.write_all(&skipped).unwrap();
    }
    assert_eq!(fail_login(&mut peer, "alice").unwrap().1.kind, ErrorKind::LoginRefused);
    let _ = peer.stream.write_all(&skipped);
    assert_eq!(last_word(&peer.rest().unwrap()), ErrorKind::TooLarge);
}

#[test]
fn a_session_that_does_nothing_ends_and_a_body_that_does_not_move_ends_its_request() {
    let server = server("idle-seconds = 2\nstall-seconds = 1", &["--no-tls"]);
    server.add_user("alice", &[]);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    let offer = Offer {
        size: Some(10),
        modified: None,
        digest: Algorithm::Md5,
        ..Offer::default()
    };
    let (id, _) = wire.open("slow", offer).unwrap().unwrap();
    assert_eq!(wire.answer(id).unwrap().unwrap_err().kind, ErrorKind::Timeout);
    wire.quota().unwrap();
    let start = Instant::now();
    let ended = wire.next(0).unwrap_err();
    assert!(ended.to_string().contains("nothing came"), "{ended}");
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn who_compares_what_is_there_has_time_for_it() {
    let server = server("stall-seconds = 3", &["--no-tls"]);
    server.add_user("alice", &[]);
    let mut wire = Wire::login(server.address, "alice").unwrap();
    // So much is to be compared that it may take 8 s longer.
    let bytes = noise(64 << 20, 5);
    let offer = Offer {
        size: Some(bytes.len() as u64),
        modified: Some(1_700_000_000_000_000_000),
        ..Offer::default()
    };
    wire.upload("big", &bytes, &offer).unwrap().unwrap();
    let (id, begin) = wire.open("big", offer.clone()).unwrap().unwrap();
    assert_eq!((begin.code, begin.offset), (CODE_PRESENT, bytes.len() as u64));
    std::thread::sleep(Duration::from_secs(4));
    wire.end(id, begin.offset, offer.digest.digest(&bytes)).unwrap();
    wire.answer(id).unwrap().unwrap();
}

#[test]
fn who_guesses_is_refused_and_who_was_here_before_comes_in() {
    let server = server("guesses-per-address = 3\nspare-loopback = false", &["--no-tls"]);
    server.add_user("alice", &[]);
    server.add_user("bob", &[]);
    server.ferry("alice", &["pwd"]).expect(0);
    let mut hints = Vec::new();
    for _ in 0..2 {
        let mut peer = greet(server.address).unwrap();
        for _ in 0..3 {
            hints.push(fail_login(&mut peer, "nobody").unwrap().1.hint);
        }
    }
    assert!(
        hints[..3].iter().all(Option::is_none) && hints[3..].iter().all(Option::is_some),
        "{hints:?}"
    );
    // Right, but there is no try left for him, and he was never here.
    let refused = server.ferry("bob", &["pwd"]).expect(3);
    assert!(refused.err.contains("wait"), "{}", refused.err);
    server.ferry("alice", &["pwd"]).expect(0);
}

#[test]
fn wrong_passwords_from_this_machine_do_not_lock_it_out() {
    let server = server("", &["--no-tls"]);
    server.add_user("alice", &[]);
    for _ in 0..15 {
        let mut peer = greet(server.address).unwrap();
        for _ in 0..3 {
            fail_login(&mut peer, "alice").unwrap();
        }
    }
    server.ferry("alice", &["pwd"]).expect(0);
}
