//! Peers that knock and go no further, logins that fail, and what they cost.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ferry_core::wire::message::{Challenge, Fail, Hello, Login};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::peer::Peer;
use crate::tls::{self, Connected};

/// How somebody knocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// Connects and says nothing.
    Silent,
    /// Sends half a TLS greeting.
    Half,
    /// Sends what is no TLS at all.
    Garbage,
    /// Finishes the TLS handshake, then sends a byte a second.
    Trickle,
}

impl Manner {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Silent, Self::Half, Self::Garbage, Self::Trickle];
}

enum Line {
    Bare(TcpStream),
    Encrypted(Box<Connected>),
}

/// One who knocks.
pub struct Knocker {
    /// How.
    pub manner: Manner,
    since: Instant,
    line: Line,
    said: usize,
    /// How long the server put up with it, once it did no more.
    pub lasted: Option<Duration>,
}

impl Knocker {
    /// Knocks. A server that hangs up in the handshake already has cut it, too.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn knock(address: SocketAddr, manner: Manner) -> io::Result<Option<Self>> {
        let since = Instant::now();
        let line = match manner {
            Manner::Trickle => match tls::connect(address) {
                Ok((peer, _)) => {
                    peer.stream.sock.set_nonblocking(true)?;
                    Line::Encrypted(Box::new(peer))
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(error),
                Err(_) => return Ok(None),
            },
            _ => {
                let mut stream = TcpStream::connect(address)?;
                let greeting: &[u8] = match manner {
                    // A record of 512 bytes with a greeting in it, of which more never comes.
                    Manner::Half => &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 7, 7, 7],
                    Manner::Garbage => b"GET / HTTP/1.1\r\nHost: ferry\r\n\r\n",
                    _ => b"",
                };
                let _ = stream.write_all(greeting);
                stream.set_nonblocking(true)?;
                Line::Bare(stream)
            }
        };
        Ok(Some(Self {
            manner,
            since,
            line,
            said: 0,
            lasted: None,
        }))
    }

    /// Goes on knocking, as its manner is, and looks whether it was cut.
    pub fn go_on(&mut self) {
        let socket = match &mut self.line {
            Line::Bare(stream) => stream,
            Line::Encrypted(peer) => {
                let due = usize::try_from(self.since.elapsed().as_secs()).unwrap_or(0);
                if self.said < due {
                    // The header of a hello of 200 bytes, and then some of them.
                    let byte = [0, 0, 0, 200, 1].get(self.said).copied().unwrap_or(0x80);
                    let _ = peer.stream.write(&[byte]);
                    self.said += 1;
                }
                &mut peer.stream.sock
            }
        };
        let mut bytes = [0; 4096];
        loop {
            match socket.read(&mut bytes) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => {
                    self.lasted.get_or_insert(self.since.elapsed());
                    return;
                }
            }
        }
    }
}

/// One login with a proof that fits nothing; gives how long the challenge and the refusal took, and the refusal.
///
/// # Errors
/// The server ended the connection, or said something else.
pub fn fail_login(peer: &mut Peer<TcpStream>, user: &str) -> io::Result<([Duration; 2], Fail)> {
    let start = Instant::now();
    peer.say(&Login {
        mechanism: "SCRAM-SHA-256".into(),
        data: format!("n,,n={user},r=ferry-tests-nonce").into_bytes(),
    })?;
    let challenge: Challenge = peer.hear()?;
    let challenged = start.elapsed();
    let nonce = std::str::from_utf8(&challenge.data).map_err(io::Error::other)?;
    let nonce = nonce.split(',').next().unwrap_or_default();
    let data = format!("c=biws,{nonce},p={}", BASE64.encode([7; 32])).into_bytes();
    let answer = crate::peer::answer_of(data);
    let start = Instant::now();
    peer.say(&answer)?;
    let frame = peer.frame()?;
    let refused = start.elapsed();
    Ok(([challenged, refused], frame.read()?))
}

/// Connects without TLS and says hello.
///
/// # Errors
/// The server is not there or ended the connection.
pub fn greet(address: SocketAddr) -> io::Result<Peer<TcpStream>> {
    let mut peer = Peer::connect(address)?;
    peer.say(&Hello::new("ferry-tests"))?;
    peer.hear::<Hello>()?;
    Ok(peer)
}

/// Sets the number of file descriptors that a process may have, `None` for this one; gives what it was.
///
/// # Errors
/// The system's.
pub fn set_descriptors(pid: Option<u32>, most: u64) -> io::Result<u64> {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let unchanged = prlimit(
        pid,
        Resource::Nofile,
        Rlimit {
            current: Some(most),
            maximum: rustix::process::getrlimit(Resource::Nofile).maximum,
        },
    )?;
    Ok(unchanged.current.unwrap_or(u64::MAX))
}

/// The file descriptor that a process would get next: with no more than so many, it gets none.
pub fn free_descriptor(pid: u32) -> u64 {
    let is_free = |number: &u64| !std::path::Path::new(&format!("/proc/{pid}/fd/{number}")).is_symlink();
    (0..).find(is_free).unwrap_or(0)
}

/// The processor time that a process has used.
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything, in its parentheses: user and system time are the 12th and 13th, in ticks of 10 ms.
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11)
        .take(2);
    Duration::from_millis(fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * 10)
}

/// The value below which that share of the others lies.
pub fn quantile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    let at = (values.len() as f64 * share).ceil();
    let index = (1..=values.len()).take_while(|n| (*n as f64) < at).count();
    values.get(index).copied().unwrap_or_default()
}

/// Welch's t of two samples.
pub fn welch_t(left: &[f64], right: &[f64]) -> f64 {
    let moments = |values: &[f64]| {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    };
    let ((left, left_error), (right, right_error)) = (moments(left), moments(right));
    (left - right) / (left_error + right_error).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn welch_tells_a_shift_from_noise() {
        let noise = |seed| -> Vec<f64> { crate::noise(2000, seed).into_iter().map(f64::from).collect() };
        let shifted: Vec<f64> = noise(2).iter().map(|value| value + 20.0).collect();
        assert!(welch_t(&noise(1), &noise(2)).abs() < 4.5 && welch_t(&noise(1), &shifted).abs() > 4.5);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let mut values: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(&mut values, 0.99), Duration::from_millis(99));
        assert_eq!(quantile(&mut values, 1.0), Duration::from_millis(100));
        assert_eq!(quantile(&mut values[..1], 0.99), Duration::from_millis(1));
    }
}
