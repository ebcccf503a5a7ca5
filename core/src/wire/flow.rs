//! Flow control of bodies: a sender may have so many bytes under way, and the receiver grants more as it takes them in. So a
//! verb that does not read its body stops its own sender, never the connection.
//!
//! A window of 2 MiB is enough for a link that answers within some milliseconds, and more than that would only wait in memory.
//! On a long link the receiver waits instead, with nothing to take in: then it grants more than it took, until the link is full.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::WINDOW_BYTES;
use crate::error::{Error, ErrorKind, Result};

/// The largest window that a receiver grants to one body, in bytes: 200 MB/s over 80 ms of round trip.
pub const WINDOW_MAX_BYTES: u32 = 16 * 1024 * 1024;
/// How many bytes a second a window is to be enough for: it grows to what is under way at that rate on a link that was measured, and no further.
pub const WINDOW_BYTES_PER_SECOND: u32 = 200_000_000;
/// How much larger all windows of this process together may be than they began, in bytes: nobody can make all of them large and
/// fill them at once.
pub const GROWTH_MAX_BYTES: u32 = 256 * 1024 * 1024;
/// The most data frames of one body that may wait to be taken in, while the window is as large as it began; as many more where it
/// is larger. A frame costs its receiver some memory however little is in it; frames of 128 bytes and more fill the window first.
pub const WAITING_FRAMES_MAX: u32 = WINDOW_BYTES / 128;
/// A receiver that waits so long with nothing to take in has a long link before it: on a short one, chunks follow each other within
/// a millisecond. A sender that is slow looks the same, and never fills what it is granted.
const PAUSE: Duration = Duration::from_millis(1);

/// How much larger the windows of all bodies are than they began.
static GROWTH: AtomicU32 = AtomicU32::new(0);

/// The receiver's side: counts what came and what was taken in.
#[derive(Debug)]
pub struct Receiving {
    /// Bytes that may still come.
    open: u64,
    /// Bytes taken in and not granted again yet.
    taken: u32,
    /// Frames that came and were not taken in yet.
    waiting: u32,
    /// The most bytes that may be under way.
    window: u32,
    /// How large that may become.
    most: u32,
    /// When all was taken in that had come; `None` while something waits, and at the start.
    empty_since: Option<Instant>,
    /// Whether it waited with nothing to take in since the last grant.
    has_paused: bool,
}

impl Default for Receiving {
    fn default() -> Self {
        Self::up_to(WINDOW_MAX_BYTES)
    }
}

impl Receiving {
    fn up_to(most: u32) -> Self {
        Self {
            open: WINDOW_BYTES.into(),
            taken: 0,
            waiting: 0,
            window: WINDOW_BYTES,
            most,
            empty_since: None,
            has_paused: false,
        }
    }

    /// The receiver on a link of that round trip, as far as it is known: on a short one the window stays as it is. [`Receiving::default`] is the one on a link that was
    /// not measured.
    pub fn over(round_trip: Duration) -> Self {
        let micros = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX);
        let bytes = micros.saturating_mul(WINDOW_BYTES_PER_SECOND / 1_000_000);
        Self::up_to(bytes.min(WINDOW_MAX_BYTES))
    }

    /// Takes note of a frame, or a part of one, of so many bytes that came `now`. Call [`Self::taken`] once for each.
    ///
    /// # Errors
    /// `bad_request` when the sender had no right to send them; `too_large` when it sends crumbs faster than they are taken in.
    pub fn arrived(&mut self, bytes: usize, now: Instant) -> Result<()> {
        self.open = self
            .open
            .checked_sub(bytes as u64)
            .ok_or_else(|| Error::bad_request("more data than was granted"))?;
        let most = WAITING_FRAMES_MAX * (self.window / WINDOW_BYTES);
        if self.waiting == most {
            let text = format!("more than {most} small data frames of one body are waiting");
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        self.waiting += 1;
        let pause = self.empty_since.take().map(|since| now.saturating_duration_since(since));
        self.has_paused |= pause.is_some_and(|pause| pause >= PAUSE);
        Ok(())
    }

    /// Takes note of bytes that were taken in `now`; gives the grant to send, once it is worth a frame: half a window. It is as much
    /// as was taken in, and another window when the link is longer than the window.
    pub fn taken(&mut self, bytes: usize, now: Instant) -> Option<u32> {
        self.waiting = self.waiting.saturating_sub(1);
        if self.waiting == 0 {
            self.empty_since = Some(now);
        }
        self.taken = self.taken.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.taken < self.window / 2 {
            return None;
        }
        let grant = std::mem::take(&mut self.taken).saturating_add(self.growth());
        self.open += u64::from(grant);
        Some(grant)
    }

    /// By how much the window grows now: it doubles, up to what the link needs, as long as the receiver waits for the sender and not the other way round.
    fn growth(&mut self) -> u32 {
        let more = self.window.min(self.most.saturating_sub(self.window));
        let grow = |all: u32| all.checked_add(more).filter(|all| *all <= GROWTH_MAX_BYTES);
        let is_short = std::mem::take(&mut self.has_paused);
        if !is_short || GROWTH.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).is_err() {
            return 0;
        }
        self.window += more;
        more
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        GROWTH.fetch_sub(self.window - WINDOW_BYTES, Ordering::Relaxed);
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
        let mut now = Instant::now();
        for (step, pause) in [(1, 0), (1000, 5), (256 * 1024, 0), (700_000, 2)]
            .into_iter()
            .cycle()
            .take(1000)
        {
            let bytes = step.min(usize::try_from(sending.open()).unwrap());
            assert!(bytes > 0, "the window never closes for good");
            sending.sent(bytes);
            now += Duration::from_millis(pause);
            receiving.arrived(bytes, now).unwrap();
            if let Some(grant) = receiving.taken(bytes, now) {
                sending.granted(grant).unwrap();
            }
        }
        assert_eq!(receiving.window, WINDOW_MAX_BYTES);
    }

    /// How many bytes move in ten round trips of such a link with a sender that is never short of bytes, and how large the window is then.
    fn over(round_trip: Duration, chunk: usize) -> (u64, u32) {
        let (mut sending, mut receiving) = (Sending::new(WINDOW_BYTES), Receiving::default());
        let (start, mut moved, mut grants) = (Instant::now(), 0, 0);
        for trip in 0..10 {
            sending.granted(std::mem::take(&mut grants)).unwrap();
            while sending.open() > 0 {
                let bytes = chunk.min(usize::try_from(sending.open()).unwrap());
                sending.sent(bytes);
                let now = start + round_trip * trip;
                receiving.arrived(bytes, now).unwrap();
                grants += receiving.taken(bytes, now).unwrap_or_default();
                moved += bytes as u64;
            }
        }
        (moved, receiving.window)
    }

    #[test]
    fn the_window_grows_on_a_long_link_and_on_no_other() {
        let (moved, window) = over(Duration::from_millis(40), 256 * 1024);
        assert_eq!(window, WINDOW_MAX_BYTES);
        assert!(moved > 10 * u64::from(WINDOW_BYTES) * 5, "{moved}");
        assert_eq!(over(Duration::from_micros(500), 256 * 1024).1, WINDOW_BYTES);
    }

    #[test]
    fn the_window_grows_no_further_than_a_measured_link_needs() {
        let (short, long) = (WINDOW_BYTES, WINDOW_MAX_BYTES);
        for (millis, most) in [
            (0, short),
            (10, short),
            (15, 3_000_000),
            (40, 8_000_000),
            (83, 16_600_000),
            (100, long),
            (10_000, long),
        ] {
            let (mut receiving, mut now) = (Receiving::over(Duration::from_millis(millis)), Instant::now());
            for _ in 0..100 {
                now += Duration::from_millis(50);
                receiving.arrived(1 << 20, now).unwrap();
                receiving.taken(1 << 20, now);
            }
            assert_eq!(receiving.window, most, "{millis} ms");
        }
    }

    #[test]
    fn a_receiver_that_does_not_keep_up_grants_what_it_took_and_no_more() {
        let mut receiving = Receiving::default();
        let (mut now, half) = (Instant::now(), WINDOW_BYTES as usize / 2);
        receiving.arrived(half, now).unwrap();
        for _ in 0..100 {
            now += Duration::from_millis(40);
            receiving.arrived(half, now).unwrap();
            assert_eq!(receiving.taken(half, now), Some(WINDOW_BYTES / 2));
        }
    }

    #[test]
    fn crumbs_cannot_fill_the_memory_of_a_receiver_that_is_slow() {
        let (mut receiving, now) = (Receiving::default(), Instant::now());
        for _ in 0..WAITING_FRAMES_MAX {
            receiving.arrived(1, now).unwrap();
        }
        assert_eq!(receiving.arrived(1, now).unwrap_err().kind, ErrorKind::TooLarge);
        receiving = Receiving::default();
        for _ in 0..2 * WAITING_FRAMES_MAX {
            receiving.arrived(1, now).unwrap();
            receiving.taken(1, now);
        }
    }

    #[test]
    fn a_sender_that_does_not_is_caught_at_once() {
        let (mut receiving, now) = (Receiving::default(), Instant::now());
        receiving.arrived(WINDOW_BYTES as usize, now).unwrap();
        assert!(receiving.arrived(1, now).is_err());
        let mut sending = Sending::new(u32::MAX);
        assert!(sending.granted(1).is_err());
    }
}
