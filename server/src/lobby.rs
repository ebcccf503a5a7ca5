//! The lobby: connections that are not logged in yet. There is room for a limited number, and somebody is dropped for each that
//! comes when it is full, so that thousands who knock and go no further keep nobody out.
//!
//! Who is dropped: of the address that has the most connections here, if those are more than an address may have, and otherwise of
//! all, the oldest of those who have come as far as most others have. Whoever floods one step of the login thereby pushes out his own,
//! and a login that goes on leaves the crowd behind. Drawing lots among newcomers, as sshd's `MaxStartups` does, would turn honest
//! ones away exactly as often as the others.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use ferry_core::{Error, ErrorKind, Result, rt};
use futures_lite::FutureExt as _;

use crate::limits::{Limits, count};

/// So long the limit of an address does not count for a connection: many at once who log in and are gone are no harm.
pub(crate) const GRACE: Duration = Duration::from_secs(2);
/// How often is looked for addresses above their limit.
const SWEEP: Duration = Duration::from_millis(500);

/// Where somebody comes from, as far as it is one customer of one network: an IPv4 address, or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Net(u64);

impl Net {
    /// That of an address. IPv4 in IPv6's clothes is IPv4.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u32::from(address).into()),
            // Addresses whose first 32 bits are 0 are not routed, so none meets an IPv4 address.
            IpAddr::V6(address) => {
                let bits = u128::from(address) >> 64;
                Self(u64::try_from(bits).unwrap_or(u64::MAX))
            }
        }
    }
}

/// How far a login has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Far {
    /// There is a connection.
    Connected,
    /// The TLS handshake is done.
    Encrypted,
    /// The client has named an account.
    Named,
}

/// One who waits.
#[derive(Debug)]
struct Stranger {
    /// Numbers rise, so the smallest is the oldest.
    number: u64,
    net: Net,
    since: Instant,
    far: Far,
    /// Whether the limit of its address does not count it.
    is_spared: bool,
    /// Closed when the connection is dropped.
    cut: Sender<()>,
}

/// All connections that are not logged in, and the number of those that are.
#[derive(Debug)]
pub(crate) struct Lobby {
    strangers: Mutex<Vec<Stranger>>,
    bounds: RwLock<Bounds>,
    descriptors: u64,
    connections: AtomicUsize,
    next: AtomicU64,
}

/// How much room there is.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    strangers_max: usize,
    per_address_max: usize,
    spare_loopback: bool,
    connections_max: usize,
    login_bytes: u64,
}

impl Bounds {
    fn new(limits: &Limits, descriptors: u64) -> Self {
        let connections_max = count(limits.connections.min(descriptors / 2)).max(2);
        Self {
            strangers_max: count(limits.strangers).min(connections_max / 2),
            per_address_max: count(limits.strangers_per_address),
            spare_loopback: limits.spare_loopback,
            connections_max,
            login_bytes: limits.login_bytes,
        }
    }
}

impl Lobby {
    /// An empty one for a process that may have so many file descriptors. Half of them are for connections; the rest is kept for
    /// files, so that the store goes on when everybody knocks.
    pub(crate) fn new(limits: &Limits, descriptors: u64) -> Arc<Self> {
        Arc::new(Self {
            strangers: Mutex::default(),
            bounds: RwLock::new(Bounds::new(limits, descriptors)),
            descriptors,
            connections: AtomicUsize::new(0),
            next: AtomicU64::new(0),
        })
    }

    /// Other limits for those who come from now on.
    pub(crate) fn set(&self, limits: &Limits) {
        *self.bounds.write().unwrap_or_else(PoisonError::into_inner) = Bounds::new(limits, self.descriptors);
    }

    /// The most connections.
    pub(crate) fn connections_max(&self) -> u64 {
        self.bounds().connections_max as u64
    }

    fn bounds(&self) -> Bounds {
        *self.bounds.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn strangers(&self) -> MutexGuard<'_, Vec<Stranger>> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a connection in, which may cost another one its place; `None` when there is no room even so.
    pub(crate) fn enter(self: &Arc<Self>, peer: SocketAddr) -> Option<Pass> {
        let bounds = self.bounds();
        let mut strangers = self.strangers();
        let connections = self.connections.load(Ordering::Relaxed);
        let is_full = connections >= bounds.connections_max;
        if is_full || strangers.len() >= bounds.strangers_max {
            let dropped = self.drop_one(&mut strangers);
            // Those that were dropped count until their task has seen it, so a flood could run ahead of them: for a while only.
            if is_full && (!dropped || connections >= bounds.connections_max + bounds.strangers_max) {
                return None;
            }
        }
        let (cut, is_cut) = async_channel::bounded(1);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        strangers.push(Stranger {
            number,
            net: Net::of(peer.ip()),
            since: Instant::now(),
            far: Far::Connected,
            is_spared: bounds.spare_loopback && peer.ip().to_canonical().is_loopback(),
            cut: cut.clone(),
        });
        self.connections.fetch_add(1, Ordering::Relaxed);
        Some(Pass {
            lobby: self.clone(),
            number,
            peer,
            since: Instant::now(),
            left_bytes: Arc::new(AtomicU64::new(bounds.login_bytes)),
            is_cut,
            _open: cut,
        })
    }

    /// Drops one that is not logged in, if there is one: descriptors have run out.
    pub(crate) fn shed(&self) {
        self.drop_one(&mut self.strangers());
    }

    fn drop_one(&self, strangers: &mut Vec<Stranger>) -> bool {
        let per_address_max = self.bounds().per_address_max;
        let mut per_net: HashMap<Net, usize> = HashMap::new();
        for stranger in strangers.iter() {
            *per_net.entry(stranger.net).or_default() += 1;
        }
        let most = per_net.into_iter().max_by_key(|(_, count)| *count);
        let crowd = most.filter(|(_, count)| *count > per_address_max).map(|(net, _)| net);
        match victim(strangers, |stranger| crowd.is_none_or(|net| net == stranger.net)) {
            Some(at) => {
                strangers.swap_remove(at).cut.close();
                true
            }
            None => false,
        }
    }

    /// Drops those beyond the limit of their address.
    fn sweep(&self, now: Instant) {
        let per_address_max = self.bounds().per_address_max;
        let mut strangers = self.strangers();
        let is_settled = |stranger: &Stranger| !stranger.is_spared && now.saturating_duration_since(stranger.since) >= GRACE;
        let mut above: HashMap<Net, usize> = HashMap::new();
        for stranger in strangers.iter().filter(|stranger| is_settled(stranger)) {
            *above.entry(stranger.net).or_default() += 1;
        }
        for (net, count) in above {
            for _ in per_address_max..count {
                if let Some(at) = victim(&strangers, |stranger| stranger.net == net && is_settled(stranger)) {
                    strangers.swap_remove(at).cut.close();
                }
            }
        }
    }

    /// Keeps addresses to their limit, for ever.
    pub(crate) async fn keep(&self) {
        loop {
            rt::sleep(SWEEP).await;
            self.sweep(Instant::now());
        }
    }
}

/// The oldest of those among them who have come as far as most have.
fn victim(strangers: &[Stranger], among: impl Fn(&Stranger) -> bool) -> Option<usize> {
    let mut steps = [(0_usize, u64::MAX, 0_usize); 3];
    for (at, stranger) in strangers.iter().enumerate().filter(|(_, stranger)| among(stranger)) {
        let (count, oldest, place) = &mut steps[stranger.far as usize];
        *count += 1;
        if stranger.number < *oldest {
            (*oldest, *place) = (stranger.number, at);
        }
    }
    // Of steps with as many, the first: who is there has done the least.
    let crowded = steps.into_iter().rev().max_by_key(|(count, _, _)| *count)?;
    (crowded.0 > 0).then_some(crowded.2)
}

/// A connection's place: in the lobby until it is logged in, and among all connections until it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    lobby: Arc<Lobby>,
    number: u64,
    /// Who is on the other side.
    pub(crate) peer: SocketAddr,
    since: Instant,
    /// What may still come before the login; `u64::MAX` is without end.
    left_bytes: Arc<AtomicU64>,
    is_cut: Receiver<()>,
    /// Keeps the other one open when the entry is gone, which happens at the login too.
    _open: Sender<()>,
}

impl Pass {
    /// What is left of a time that began with the connection.
    pub(crate) fn left(&self, of: Duration) -> Duration {
        of.saturating_sub(self.since.elapsed())
    }

    /// The count of bytes that may still come, for whoever reads them.
    pub(crate) fn allowance(&self) -> Arc<AtomicU64> {
        self.left_bytes.clone()
    }

    /// Whether more came before the login than may.
    pub(crate) fn is_spent(&self) -> bool {
        self.left_bytes.load(Ordering::Relaxed) == 0
    }

    /// The login has come so far.
    pub(crate) fn reached(&self, far: Far) {
        let mut strangers = self.lobby.strangers();
        if let Some(stranger) = strangers.iter_mut().find(|stranger| stranger.number == self.number) {
            stranger.far = far;
        }
    }

    /// Logged in: out of the lobby, and nobody counts bytes any more.
    pub(crate) fn admitted(&self) {
        self.left_bytes.store(u64::MAX, Ordering::Relaxed);
        self.leave();
    }

    fn leave(&self) {
        let mut strangers = self.lobby.strangers();
        if let Some(at) = strangers.iter().position(|stranger| stranger.number == self.number) {
            strangers.swap_remove(at);
        }
    }

    /// Does something until it is done or the place is lost to others.
    ///
    /// # Errors
    /// `busy` when the place is lost; what `work` says.
    pub(crate) async fn unless_cut<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let cut = async {
            let _ = self.is_cut.recv().await;
            Err(Error::new(ErrorKind::Busy, "too many connections that are not logged in"))
        };
        work.or(cut).await
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.leave();
        self.lobby.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lobby(strangers: u64, strangers_per_address: u64) -> Arc<Lobby> {
        let limits = Limits {
            strangers,
            strangers_per_address,
            ..Limits::default()
        };
        Lobby::new(&limits, 1000)
    }

    fn from(lobby: &Arc<Lobby>, address: &str) -> Pass {
        lobby.enter(SocketAddr::new(address.parse().unwrap(), 1)).unwrap()
    }

    fn is_cut(pass: &Pass) -> bool {
        pass.is_cut.is_closed()
    }

    #[test]
    fn a_login_that_goes_on_outlives_a_flood_that_does_not() {
        let lobby = lobby(8, 16);
        let honest = from(&lobby, "192.0.2.1");
        honest.reached(Far::Named);
        let flood: Vec<Pass> = (0..100).map(|_| from(&lobby, "192.0.2.1")).collect();
        assert!(!is_cut(&honest));
        assert_eq!(flood.iter().filter(|pass| !is_cut(pass)).count(), 7);
        assert!(!is_cut(&flood[99]) && is_cut(&flood[0]));
    }

    #[test]
    fn a_flood_of_one_step_leaves_the_others_alone() {
        let lobby = lobby(8, 16);
        let flood: Vec<Pass> = (0..8).map(|_| from(&lobby, "192.0.2.1")).collect();
        flood.iter().for_each(|pass| pass.reached(Far::Named));
        let honest = from(&lobby, "192.0.2.2");
        for _ in 0..4 {
            let more = from(&lobby, "192.0.2.1");
            more.reached(Far::Named);
        }
        assert!(!is_cut(&honest) && is_cut(&flood[0]));
    }

    #[test]
    fn an_address_with_more_than_its_share_pays_for_all() {
        let lobby = lobby(10, 2);
        let others: Vec<Pass> = (0..5).map(|n| from(&lobby, &format!("198.51.100.{n}"))).collect();
        let flood: Vec<Pass> = (0..50).map(|n| from(&lobby, &format!("2001:db8::{n:x}"))).collect();
        assert!(others.iter().all(|pass| !is_cut(pass)));
        assert_eq!(flood.iter().filter(|pass| !is_cut(pass)).count(), 5);
        // From another /64 there is room.
        assert!(!is_cut(&from(&lobby, "2001:db8:0:1::1")));
    }

    #[test]
    fn an_address_is_kept_to_its_share_after_the_grace() {
        let lobby = lobby(100, 3);
        let mut many: Vec<Pass> = (0..10).map(|_| from(&lobby, "192.0.2.1")).collect();
        let other = from(&lobby, "192.0.2.2");
        lobby.sweep(Instant::now());
        assert!(many.iter().all(|pass| !is_cut(pass)));
        lobby.sweep(Instant::now() + GRACE);
        assert_eq!(many.iter().filter(|pass| !is_cut(pass)).count(), 3);
        assert!(!is_cut(&other));
        // Those who log in are strangers no more.
        many.retain(|pass| !is_cut(pass));
        many.iter().for_each(Pass::admitted);
        let more: Vec<Pass> = (0..3).map(|_| from(&lobby, "192.0.2.1")).collect();
        lobby.sweep(Instant::now() + GRACE);
        assert!(more.iter().chain(&many).all(|pass| !is_cut(pass)));
    }

    #[test]
    fn sessions_are_never_dropped_for_newcomers() {
        let lobby = Lobby::new(&Limits::default(), 40);
        let log_in = || {
            let pass = from(&lobby, "192.0.2.1");
            pass.admitted();
            pass
        };
        let sessions: Vec<Pass> = (0..20).map(|_| log_in()).collect();
        assert!(lobby.enter("192.0.2.9:1".parse().unwrap()).is_none());
        assert!(sessions.iter().all(|pass| !is_cut(pass)));
        drop(sessions);
        let again = from(&lobby, "192.0.2.9");
        assert!(!is_cut(&again) && lobby.connections.load(Ordering::Relaxed) == 1);
    }

    #[test]
    fn an_address_is_a_network_of_one_customer() {
        let net = |text: &str| Net::of(text.parse().unwrap());
        assert_eq!(net("::ffff:192.0.2.1"), net("192.0.2.1"));
        assert_ne!(net("192.0.2.1"), net("192.0.2.2"));
        assert_eq!(net("2001:db8:1:2::1"), net("2001:db8:1:2:ffff::9"));
        assert_ne!(net("2001:db8:1:2::1"), net("2001:db8:1:3::1"));
    }
}
