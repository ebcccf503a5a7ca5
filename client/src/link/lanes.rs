//! Which of several connections a transfer gets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connection::Connection;

/// How long no further connection is tried after one was refused.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(30);

/// The place of one connection.
#[derive(Debug, Default)]
struct Lane {
    /// The one that was made last, though it may be lost; none while the first one is on its way.
    current: Option<Arc<Connection>>,
    /// How many transfers are on it, or wait for it.
    busy: usize,
    /// Held by whoever makes the lane's first connection. An asynchronous lock, made to be waited with.
    opening: Arc<async_lock::Mutex<()>>,
}

impl Lane {
    fn open(&self) -> Option<&Arc<Connection>> {
        self.current.as_ref().filter(|connection| !connection.is_lost())
    }
}

/// What is to be known of a lane to choose one.
#[derive(Debug, Clone, Copy)]
struct Load {
    is_open: bool,
    busy: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Join(usize),
    Open(usize),
}

/// Where the next transfer goes when there may be `most` connections: to one that is idle, to a further one, or to the least
/// busy one.
fn choose(loads: &[Load], most: usize) -> Choice {
    if let Some(idle) = loads.iter().position(|load| load.is_open && load.busy == 0) {
        return Choice::Join(idle);
    }
    let free = loads.iter().position(|load| !load.is_open && load.busy == 0);
    let free = free.unwrap_or(loads.len());
    // Without any connection the server is gone, and that is not for a further one to find out.
    if free < most && loads.iter().any(|load| load.is_open) {
        return Choice::Open(free);
    }
    let used = loads.iter().enumerate().filter(|(_, load)| load.is_open || load.busy > 0);
    let least = used.min_by_key(|(_, load)| (load.busy, !load.is_open));
    Choice::Join(least.map_or(0, |(lane, _)| lane))
}

/// All connections of a session.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Never empty. None is ever taken out, for transfers know theirs by its place.
    lanes: Vec<Lane>,
    refused: Option<Instant>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            lanes: vec![Lane::default()],
            refused: None,
        }
    }
}

impl Lanes {
    /// Chooses a lane and counts the transfer in; gives the lane and the lock of its first connection.
    pub(super) fn enter(&mut self, most: usize) -> (usize, Arc<async_lock::Mutex<()>>) {
        let loads: Vec<Load> = self.lanes.iter().map(load).collect();
        let most = if self.is_refused() { 0 } else { most };
        let lane = match choose(&loads, most) {
            Choice::Join(lane) => lane,
            Choice::Open(lane) => {
                if lane == self.lanes.len() {
                    self.lanes.push(Lane::default());
                }
                self.lanes[lane].current = None;
                lane
            }
        };
        self.lanes[lane].busy += 1;
        (lane, self.lanes[lane].opening.clone())
    }

    /// Counts a transfer in on the least busy connection that holds.
    pub(super) fn join(&mut self) -> Option<(usize, Arc<Connection>)> {
        let open = self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.open().is_some());
        let (at, lane) = open.min_by_key(|(_, lane)| lane.busy)?;
        lane.busy += 1;
        lane.current.clone().map(|connection| (at, connection))
    }

    /// Counts a transfer out.
    pub(super) fn leave(&mut self, lane: usize) {
        self.lanes[lane].busy = self.lanes[lane].busy.saturating_sub(1);
    }

    /// The connection of a lane that was made last, though it may be lost.
    pub(super) fn current(&self, lane: usize) -> Option<Arc<Connection>> {
        self.lanes[lane].current.clone()
    }

    /// The connection of a lane, when it holds.
    pub(super) fn open(&self, lane: usize) -> Option<Arc<Connection>> {
        self.lanes[lane].open().cloned()
    }

    /// The first connection that holds.
    pub(super) fn first_open(&self) -> Option<Arc<Connection>> {
        self.lanes.iter().find_map(Lane::open).cloned()
    }

    /// A connection that holds and has no transfer.
    pub(super) fn idle(&self) -> Option<Arc<Connection>> {
        let idle = self.lanes.iter().filter(|lane| lane.busy == 0);
        idle.filter_map(Lane::open).next().cloned()
    }

    /// How many connections hold.
    pub(super) fn count_open(&self) -> usize {
        self.lanes.iter().filter_map(Lane::open).count()
    }

    /// The first connection there is, though it may be lost.
    pub(super) fn first(&self) -> Option<Arc<Connection>> {
        self.lanes.iter().find_map(|lane| lane.current.clone())
    }

    /// Puts a new connection into its lane.
    pub(super) fn put(&mut self, lane: usize, connection: Arc<Connection>) {
        self.lanes[lane].current = Some(connection);
    }

    /// Takes all connections away.
    pub(super) fn take(&mut self) -> Vec<Arc<Connection>> {
        self.lanes.iter_mut().filter_map(|lane| lane.current.take()).collect()
    }

    /// Takes note that the server has no further connection for us.
    pub(super) fn refuse(&mut self) {
        self.refused = Some(Instant::now());
    }

    /// Forgets that.
    pub(super) fn forgive(&mut self) {
        self.refused = None;
    }

    /// Whether a further connection was refused just now.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some_and(|since| since.elapsed() < REFUSED_FOR)
    }
}

fn load(lane: &Lane) -> Load {
    Load {
        is_open: lane.open().is_some(),
        busy: lane.busy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(loads: &[(bool, usize)], most: usize) -> Choice {
        let loads: Vec<Load> = loads.iter().map(|&(is_open, busy)| Load { is_open, busy }).collect();
        choose(&loads, most)
    }

    #[test]
    fn connections_are_opened_only_for_transfers_that_find_none_idle() {
        assert_eq!(chosen(&[(true, 0)], 4), Choice::Join(0));
        assert_eq!(chosen(&[(true, 1)], 4), Choice::Open(1));
        assert_eq!(chosen(&[(true, 1), (true, 0)], 4), Choice::Join(1));
        // One that is on its way counts.
        assert_eq!(chosen(&[(true, 1), (false, 1)], 4), Choice::Open(2));
        assert_eq!(chosen(&[(true, 1), (false, 1)], 2), Choice::Join(0));
    }

    #[test]
    fn one_that_was_lost_idle_is_made_again() {
        assert_eq!(chosen(&[(true, 1), (false, 0), (true, 1)], 3), Choice::Open(1));
        assert_eq!(chosen(&[(false, 0), (true, 1)], 2), Choice::Open(0));
    }

    #[test]
    fn beyond_the_limit_the_least_busy_one_is_shared() {
        assert_eq!(chosen(&[(true, 2), (true, 1), (true, 2)], 3), Choice::Join(1));
        assert_eq!(chosen(&[(true, 9)], 1), Choice::Join(0));
        // None may be opened at all.
        assert_eq!(chosen(&[(true, 9), (false, 0)], 0), Choice::Join(0));
    }

    #[test]
    fn without_any_connection_none_is_opened_beside() {
        assert_eq!(chosen(&[(false, 0)], 4), Choice::Join(0));
        assert_eq!(chosen(&[(false, 2), (false, 1)], 4), Choice::Join(1));
    }
}
