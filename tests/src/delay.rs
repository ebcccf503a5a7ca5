//! A way to a server that takes its time: whatever is sent arrives later, in both directions, and nothing is lost. And a way that stays
//! where it is when the server moves.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A loopback port behind which a server is, some time away. It lasts as long as the test's process.
#[derive(Debug)]
pub struct Delay {
    /// Where it listens.
    pub address: SocketAddr,
    server: Arc<Mutex<SocketAddr>>,
    flights: Arc<Mutex<Flights>>,
}

/// How often the clients of a way have spoken after they had heard something: one more than the round trips that they waited for.
#[derive(Debug, Default)]
struct Flights {
    count: u64,
    /// When the last of them began.
    begun: Option<Instant>,
    /// Whether something was heard since.
    heard: bool,
    /// How many bytes were heard since somebody spoke last, and the most of it.
    answer: usize,
    longest: usize,
}

impl Delay {
    /// A way to `server` on which each direction takes so long.
    pub fn to(server: SocketAddr, each_way: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
        let server = Arc::new(Mutex::new(server));
        let leads_to = server.clone();
        let flights: Arc<Mutex<Flights>> = Arc::default();
        let counted = flights.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let place = *leads_to.lock().unwrap_or_else(PoisonError::into_inner);
                let Ok(server) = TcpStream::connect(place) else {
                    continue;
                };
                for (from, to, is_client) in [(&client, &server, true), (&server, &client, false)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                        continue;
                    };
                    let _ = to.set_nodelay(true);
                    let (sender, receiver) = channel();
                    let (spoken, heard) = (counted.clone(), counted.clone());
                    thread::spawn(move || {
                        take(from, &sender, || {
                            if is_client {
                                lock(&spoken).spoke(each_way)
                            }
                        })
                    });
                    thread::spawn(move || {
                        hand_on(to, &receiver, each_way, |len| {
                            if !is_client {
                                lock(&heard).hears(len)
                            }
                        })
                    });
                }
            }
        });
        Self {
            address,
            server,
            flights,
        }
    }

    /// How many flights came from clients since this was asked for last: what they sent without having heard an answer in between, or faster
    /// than one could have come, is one. Each but the first waited for a round trip.
    pub fn flights(&self) -> u64 {
        std::mem::take(&mut *lock(&self.flights)).count
    }

    /// The most bytes that came back without a word from a client in between, since [`Self::flights`] was asked for last.
    pub fn longest_answer(&self) -> usize {
        lock(&self.flights).longest
    }

    /// A way to `server` that takes no time.
    pub fn switched(server: SocketAddr) -> Self {
        Self::to(server, Duration::ZERO)
    }

    /// Leads elsewhere from now on; what is connected stays so.
    pub fn switch(&self, server: SocketAddr) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }
}

impl Flights {
    fn hears(&mut self, len: usize) {
        self.heard = true;
        self.answer += len;
        self.longest = self.longest.max(self.answer);
    }

    fn spoke(&mut self, each_way: Duration) {
        self.answer = 0;
        let is_new = self.begun.is_none_or(|begun| self.heard && begun.elapsed() > each_way);
        if is_new {
            (self.count, self.begun, self.heard) = (self.count + 1, Some(Instant::now()), false);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes what comes, with the moment at which it came. The end is the sender's end.
fn take(mut from: TcpStream, sender: &Sender<(Instant, Vec<u8>)>, note: impl Fn()) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(len) = from.read(&mut bytes)
        && len > 0
        && sender.send((Instant::now(), bytes[..len].to_vec())).is_ok()
    {
        note();
    }
}

fn hand_on(mut to: TcpStream, receiver: &Receiver<(Instant, Vec<u8>)>, each_way: Duration, note: impl Fn(usize)) {
    for (came, bytes) in receiver {
        // The delay is what this is for; nothing waits for it but the bytes.
        thread::sleep((came + each_way).saturating_duration_since(Instant::now()));
        note(bytes.len());
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
