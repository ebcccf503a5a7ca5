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
        let more = |held| (held < TRANSFER_THREADS_MAX).then(|| held + 1);
        let taken = HELD.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        // Made only now: a permit that was never had must not be given back.
        taken.is_ok().then(|| Self(()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_permits_as_said_and_each_can_be_had_again() {
        for _ in 0..2 {
            let all: Vec<Permit> = std::iter::from_fn(Permit::take).take(2 * TRANSFER_THREADS_MAX).collect();
            assert_eq!(all.len(), TRANSFER_THREADS_MAX);
            assert!(Permit::take().is_none() && Permit::take().is_none());
        }
    }
}
