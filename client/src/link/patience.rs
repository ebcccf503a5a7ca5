//! How long, and how often, a server that is gone is tried again.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

/// How long, and how often, transfers wait for a server that is gone.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The first pause; each one after it is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// How long to go on when no transfer comes any further. Zero is not at all.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            most: Duration::from_secs(8),
            total: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// The pause before a try, the first one being 0. Up to a quarter more or less, so that the clients of a server that was
    /// restarted do not all come in one moment.
    fn pause(&self, tries: u32) -> Duration {
        let pause = self.first.saturating_mul(2u32.saturating_pow(tries)).min(self.most);
        let random = u32::try_from(RandomState::new().build_hasher().finish() % 512).unwrap_or(256);
        pause.saturating_mul(768 + random) / 1024
    }
}

/// Tries since a transfer last came further.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    tries: u32,
    since: Option<Instant>,
    steps: u64,
}

impl Trouble {
    /// The pause before the next try; `None` when it is time to give up.
    pub(super) fn next(&mut self, patience: &Patience, steps: u64) -> Option<Duration> {
        if steps != self.steps {
            *self = Self {
                steps,
                ..Self::default()
            };
        }
        let pause = patience.pause(self.tries);
        let since = *self.since.get_or_insert_with(Instant::now);
        self.tries = self.tries.saturating_add(1);
        (since.elapsed().saturating_add(pause) <= patience.total).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_differ() {
        let patience = Patience::default();
        for (tries, millis) in [(0, 500), (1, 1000), (3, 4000), (4, 8000), (40, 8000)] {
            let pause = patience.pause(tries).as_millis();
            assert!(pause >= millis * 3 / 4 && pause <= millis * 5 / 4, "{tries}: {pause}");
        }
        let first: std::collections::BTreeSet<_> = (0..20).map(|_| patience.pause(0)).collect();
        assert!(first.len() > 1);
    }

    #[test]
    fn what_comes_further_is_tried_for_longer() {
        let patience = Patience {
            first: Duration::from_secs(2),
            most: Duration::from_secs(2),
            total: Duration::from_secs(3),
        };
        let mut trouble = Trouble::default();
        assert!(trouble.next(&patience, 0).is_some());
        trouble.since = Some(Instant::now() - Duration::from_secs(2));
        assert!(trouble.next(&patience, 0).is_none());
        assert!(trouble.next(&patience, 1).is_some());
        assert_eq!(trouble.tries, 1);
    }

    #[test]
    fn no_patience_is_no_retry() {
        let patience = Patience {
            total: Duration::ZERO,
            ..Patience::default()
        };
        assert!(Trouble::default().next(&patience, 0).is_none());
    }
}
