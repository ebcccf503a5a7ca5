//! Small files on their way into the store side by side: each waits for the disk, and those that wait together share its flushes.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};

use ferry_core::verb::BoxFuture;
use ferry_core::{GuardedHome, HomePath, Result};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::file::Small;

/// How many of them at once, so that they take at most 2 MiB.
const MOST: usize = 32;

/// A file, and what became of it.
pub(crate) type Stored = (Small, Result<()>);

/// Files that are being stored.
#[derive(Default)]
pub(crate) struct Pool {
    running: FuturesUnordered<BoxFuture<'static, Stored>>,
    /// Where they go, and how many bytes each has.
    places: BTreeMap<HomePath, u64>,
    /// What has ended and nobody asked for yet.
    ended: VecDeque<Stored>,
}

impl Pool {
    /// Whether one must be taken out before another one begins.
    pub(crate) fn is_full(&self) -> bool {
        self.running.len() + self.ended.len() >= MOST
    }

    /// Whether nothing is being stored.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// The sizes of all that are being stored, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.places.values().sum()
    }

    /// Whether a file is being stored at a place, above it or below it.
    pub(crate) fn meets(&self, place: &HomePath) -> bool {
        let mut places = self.places.keys();
        places.any(|running| place.is_within(running) || running.is_within(place))
    }

    /// Begins to store a file at a place that [nothing meets](Self::meets).
    pub(crate) fn push(&mut self, small: Small, home: GuardedHome) {
        self.places.insert(small.request.path.clone(), small.size());
        self.running.push(Box::pin(async move {
            let stored = small.store(&home).await;
            (small, stored)
        }));
    }

    /// Goes on with all of them as far as is possible without waiting; `cx` is woken when there is more to do.
    pub(crate) fn run(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(stored)) = self.running.poll_next_unpin(cx) {
            self.places.remove(&stored.0.request.path);
            self.ended.push_back(stored);
        }
    }

    /// What became of one that has ended already.
    pub(crate) fn ended(&mut self) -> Option<Stored> {
        self.ended.pop_front()
    }

    /// What became of the next one that ends; `None` when there is none.
    pub(crate) async fn next(&mut self) -> Option<Stored> {
        if let Some(stored) = self.ended() {
            return Some(stored);
        }
        let stored = self.running.next().await?;
        self.places.remove(&stored.0.request.path);
        Some(stored)
    }
}
