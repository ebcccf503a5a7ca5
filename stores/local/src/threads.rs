//! How many threads transfers may hold. A transfer waits for its peer, so its thread does too; peers that stand still must not
//! take every thread of the pool from those who only want a moment of one.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most threads that transfers hold: a quarter of what the pool has (500), and more than a disk can keep busy.
pub(crate) const TRANSFER_THREADS_MAX: usize = 128;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// The right to hold a thread of the pool for the length of a transfer.
#[derive(Debug)]
pub(crate) struct Permit(());

impl Permit {
    /// A permit, when there is one left; without, a transfer goes on step by step, which is slower.
    pub(crate) fn take() -> Option<Self> {
        let more = |held: usize| (held < TRANSFER_THREADS_MAX).then_some(held + 1);
        let taken = HELD.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok().then_some(Self(()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::AcqRel);
    }
}
