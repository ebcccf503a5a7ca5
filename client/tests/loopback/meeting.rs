//! Where the connections of one server wait for each other.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// How long anybody is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where threads of a server wait for each other.
#[derive(Default)]
pub(crate) struct Meeting(Mutex<usize>, Condvar);

impl Meeting {
    /// Counts the caller in and waits until so many are there.
    pub(crate) fn join(&self, count: usize) {
        *self.0.lock().unwrap() += 1;
        self.1.notify_all();
        self.wait(count);
    }

    /// Waits until so many are there.
    pub(crate) fn wait(&self, count: usize) {
        let (here, waited) = self
            .1
            .wait_timeout_while(self.0.lock().unwrap(), PATIENCE, |here| *here < count)
            .unwrap();
        assert!(!waited.timed_out(), "{} of {count} came", *here);
    }
}
