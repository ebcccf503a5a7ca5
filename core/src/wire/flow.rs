//! Flow control of bodies: a sender may have so many bytes under way, and the receiver grants more as it takes them in. So a
//! verb that does not read its body stops its own sender, never the connection.

use super::WINDOW_BYTES;
use crate::error::{Error, ErrorKind, Result};

/// The most data frames of one body that may wait to be taken in. A frame costs its receiver some memory however little is in
/// it; frames of 128 bytes and more fill the window first.
pub const WAITING_FRAMES_MAX: u32 = WINDOW_BYTES / 128;

/// The receiver's side: counts what came and what was taken in.
#[derive(Debug)]
pub struct Receiving {
    /// Bytes that may still come.
    open: u64,
    /// Bytes taken in and not granted again yet.
    taken: u32,
    /// Frames that came and were not taken in yet.
    waiting: u32,
}

impl Default for Receiving {
    fn default() -> Self {
        Self {
            open: WINDOW_BYTES.into(),
            taken: 0,
            waiting: 0,
        }
    }
}

impl Receiving {
    /// Takes note of a frame, or a part of one, of so many bytes that came. Call [`Self::taken`] once for each.
    ///
    /// # Errors
    /// `bad_request` when the sender had no right to send them; `too_large` when it sends crumbs faster than they are taken in.
    pub fn arrived(&mut self, bytes: usize) -> Result<()> {
        self.open = self
            .open
            .checked_sub(bytes as u64)
            .ok_or_else(|| Error::bad_request("more data than was granted"))?;
        if self.waiting == WAITING_FRAMES_MAX {
            let text = format!("more than {WAITING_FRAMES_MAX} small data frames of one body are waiting");
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        self.waiting += 1;
        Ok(())
    }

    /// Takes note of bytes that were taken in; gives the grant to send, once it is worth a frame: half a window.
    pub fn taken(&mut self, bytes: usize) -> Option<u32> {
        self.waiting = self.waiting.saturating_sub(1);
        self.taken = self.taken.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.taken < WINDOW_BYTES / 2 {
            return None;
        }
        self.open += u64::from(self.taken);
        Some(std::mem::take(&mut self.taken))
    }
}

/// The sender's side: how many bytes may go out.
#[derive(Debug)]
pub struct Sending {
    open: u64,
}

impl Sending {
    /// A sender to someone who announced a window of `bytes`.
    pub fn new(bytes: u32) -> Self {
        Self { open: bytes.into() }
    }

    /// The most bytes that may go out now.
    pub fn open(&self) -> u64 {
        self.open
    }

    /// Takes note of bytes that went out.
    pub fn sent(&mut self, bytes: usize) {
        self.open = self.open.saturating_sub(bytes as u64);
    }

    /// Takes note of a grant.
    ///
    /// # Errors
    /// `bad_request` when the grants add up to more than 2^32: no honest receiver does that.
    pub fn granted(&mut self, bytes: u32) -> Result<()> {
        self.open += u64::from(bytes);
        if self.open > u64::from(u32::MAX) {
            Err(Error::bad_request("granted more than any window"))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_keeps_to_its_grants_is_never_refused() {
        let (mut sending, mut receiving) = (Sending::new(WINDOW_BYTES), Receiving::default());
        for step in [1, 1000, 256 * 1024, 700_000].into_iter().cycle().take(1000) {
            let bytes = step.min(usize::try_from(sending.open()).unwrap());
            assert!(bytes > 0, "the window never closes for good");
            sending.sent(bytes);
            receiving.arrived(bytes).unwrap();
            if let Some(grant) = receiving.taken(bytes) {
                sending.granted(grant).unwrap();
            }
        }
    }

    #[test]
    fn crumbs_cannot_fill_the_memory_of_a_receiver_that_is_slow() {
        let mut receiving = Receiving::default();
        for _ in 0..WAITING_FRAMES_MAX {
            receiving.arrived(1).unwrap();
        }
        assert_eq!(receiving.arrived(1).unwrap_err().kind, ErrorKind::TooLarge);
        receiving = Receiving::default();
        for _ in 0..2 * WAITING_FRAMES_MAX {
            receiving.arrived(1).unwrap();
            receiving.taken(1);
        }
    }

    #[test]
    fn a_sender_that_does_not_is_caught_at_once() {
        let mut receiving = Receiving::default();
        receiving.arrived(WINDOW_BYTES as usize).unwrap();
        assert!(receiving.arrived(1).is_err());
        let mut sending = Sending::new(u32::MAX);
        assert!(sending.granted(1).is_err());
    }
}
