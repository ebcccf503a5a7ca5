//! Load for a server without TLS: many sessions, each with so many requests of one verb in flight, from one thread. Prints requests a second
//! and how long they took, as one line of JSON.
//!
//! `FERRY_PASSWORD=... ferry-load ADDRESS USER [--connections 50] [--in-flight 1] [--requests 100000] [--verb pwd] [--args '{}']`
//!
//! It is made to cost no more than `redis-benchmark`, so that a figure is the server's: one thread around epoll, one read for all answers that
//! are there, one write for all requests that may follow them, no allocation and no decoding a request. An answer that is no `Done` ends it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a developer's terminal; a failure ends it"
)]

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Instant;

use ferry_core::RemotePath;
use ferry_core::wire::frame::{HEADER_BYTES, Header, Kind, Stage};
use ferry_core::wire::message::Request;
use ferry_tests::wire::Wire;
use rustix::event::epoll;
use serde_json::{Value, json};

/// What is read at once, in bytes: more answers than are in flight anywhere.
const BUFFER_BYTES: usize = 64 * 1024;
/// Where a request's number stands in its frame: behind the header, the map's first byte, and the key `id` with its own.
const ID_AT: usize = HEADER_BYTES + 1 + 3;
/// Where the number of an answer stands in its payload: `id` is its first key too.
const ANSWER_ID_AT: usize = ID_AT - HEADER_BYTES;

struct Options {
    address: SocketAddr,
    user: String,
    connections: usize,
    in_flight: usize,
    requests: usize,
    verb: String,
    args: Value,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            address: words.next()?.parse().ok()?,
            user: words.next()?,
            connections: 50,
            in_flight: 1,
            requests: 100_000,
            verb: "pwd".into(),
            args: json!({}),
        };
        while let Some(word) = words.next() {
            let value = words.next()?;
            let number = || value.parse().ok().filter(|number| *number > 0);
            match word.as_str() {
                "--connections" => options.connections = number()?,
                "--in-flight" => options.in_flight = number()?,
                "--requests" => options.requests = number()?,
                "--verb" => options.verb = value,
                "--args" => options.args = serde_json::from_str(&value).ok()?,
                _ => return None,
            }
        }
        Some(options)
    }
}

fn main() -> ExitCode {
    let Some(options) = Options::read(std::env::args().skip(1)) else {
        eprintln!("usage: ferry-load ADDRESS USER [--connections N] [--in-flight N] [--requests N] [--verb VERB] [--args JSON]");
        return ExitCode::from(2);
    };
    match load(&options) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ferry-load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One session and what is in flight on it.
struct Session {
    stream: TcpStream,
    /// The last number that was sent.
    last_id: u32,
    /// When each request in flight was sent, by its number.
    sent: HashMap<u32, Instant, Plain>,
    /// What was read and is no whole frame yet: `buffer[..filled]`.
    buffer: Vec<u8>,
    filled: usize,
}

/// Numbers as they are, for they are few and nobody's choice but ours.
type Plain = std::hash::BuildHasherDefault<Number>;

#[derive(Default)]
struct Number(u64);

impl std::hash::Hasher for Number {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {}
    fn write_u32(&mut self, number: u32) {
        // Fibonacci hashing (Knuth, 6.4): the table looks at the upper bits.
        self.0 = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

fn load(options: &Options) -> io::Result<Value> {
    let password = std::env::var("FERRY_PASSWORD").unwrap_or_else(|_| ferry_tests::PASSWORD.to_owned());
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut sessions = Vec::new();
    for number in 0..options.connections {
        let mut wire = Wire::login_as(options.address, &options.user, &password)?;
        // Once before it counts: what follows the login is behind us then, and a verb that is refused is told.
        wire.call(&options.verb, &options.args)?.map_err(io::Error::other)?;
        let (stream, last_id) = wire.into_parts();
        stream.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&poll, &stream, data, epoll::EventFlags::IN)?;
        sessions.push(Session {
            stream,
            last_id,
            sent: HashMap::default(),
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
        });
    }
    let template = template(options)?;
    let mut out = Vec::new();
    let (mut left, mut took_ns) = (options.requests, Vec::with_capacity(options.requests));
    let begin = Instant::now();
    for session in &mut sessions {
        let count = options.in_flight.min(left);
        left -= count;
        session.send(count, &template, &mut out, begin)?;
    }
    let mut events = Vec::with_capacity(options.connections);
    while took_ns.len() < options.requests {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let Some(session) = usize::try_from(event.data.u64())
                .ok()
                .and_then(|number| sessions.get_mut(number))
            else {
                continue;
            };
            let answered = session.receive(&mut took_ns)?;
            let count = answered.min(left);
            left -= count;
            session.send(count, &template, &mut out, Instant::now())?;
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    took_ns.sort_unstable();
    let quantile_us = |percent: usize| took_ns[took_ns.len() * percent / 100] as f64 / 1000.0;
    Ok(json!({
        "verb": options.verb,
        "connections": options.connections,
        "in_flight": options.in_flight,
        "requests": options.requests,
        "seconds": seconds,
        "requests_per_second": options.requests as f64 / seconds,
        "p50_us": quantile_us(50),
        "p99_us": quantile_us(99),
    }))
}

/// A request's frame with room for any number: the highest one is written in full.
fn template(options: &Options) -> io::Result<Vec<u8>> {
    let request = Request {
        id: u32::MAX,
        verb: options.verb.clone(),
        cwd: RemotePath::from("/"),
        body: None,
    };
    let args = rmp_serde::to_vec_named(&options.args).map_err(io::Error::other)?;
    let mut frame = Vec::new();
    request.encode_with(&args, &mut frame).map_err(io::Error::other)?;
    assert_eq!(frame[ID_AT], 0xce, "a number of four bytes");
    Ok(frame)
}

/// An unsigned number as MessagePack has it.
fn number(bytes: &[u8]) -> Option<u32> {
    Some(match *bytes {
        [small @ 0..=0x7f, ..] => small.into(),
        [0xcc, a, ..] => a.into(),
        [0xcd, a, b, ..] => u16::from_be_bytes([a, b]).into(),
        [0xce, a, b, c, d, ..] => u32::from_be_bytes([a, b, c, d]),
        _ => return None,
    })
}

impl Session {
    /// Sends some requests in one write.
    fn send(&mut self, count: usize, template: &[u8], out: &mut Vec<u8>, now: Instant) -> io::Result<()> {
        out.clear();
        for _ in 0..count {
            self.last_id += 1;
            let start = out.len() + ID_AT + 1;
            out.extend_from_slice(template);
            out[start..start + 4].copy_from_slice(&self.last_id.to_be_bytes());
            self.sent.insert(self.last_id, now);
        }
        // What is in flight is far below what a socket holds.
        self.stream.write_all(out)
    }

    /// Takes in what has come; gives how many requests were answered.
    fn receive(&mut self, took_ns: &mut Vec<u64>) -> io::Result<usize> {
        let len = self.stream.read(&mut self.buffer[self.filled..])?;
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended a session"));
        }
        self.filled += len;
        let (now, mut at, mut answered) = (Instant::now(), 0, 0);
        while let Some(header) = self.buffer[at..self.filled].first_chunk::<HEADER_BYTES>() {
            let header = Header::read(*header, Stage::LoggedIn).map_err(io::Error::other)?;
            let start = at + HEADER_BYTES;
            let Some(payload) = self.buffer[..self.filled].get(start..start + header.len_bytes) else {
                break;
            };
            at = start + header.len_bytes;
            let id = payload.get(ANSWER_ID_AT..).and_then(number);
            match (header.kind, id) {
                (Some(Kind::Done), Some(id)) if let Some(begun) = self.sent.remove(&id) => {
                    took_ns.push(u64::try_from((now - begun).as_nanos()).unwrap_or(u64::MAX));
                    answered += 1;
                }
                (Some(Kind::Rows | Kind::Progress), _) => {}
                (kind, _) => return Err(io::Error::other(format!("answered by {kind:?}"))),
            }
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(answered)
    }
}
