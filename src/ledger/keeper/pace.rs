//! How fast the keeper may read: slow enough that requests never feel it.
//!
//! Without a clock: after each step of bytes it sleeps as long as these may take at the bounded
//! rate, so the true rate is always below it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Bytes a second that the keeper reads: a tenth of what one core could check, and a full day's
/// closed segments of 10,000 requests a second in half a day.
pub(super) const BYTES_PER_SECOND: u64 = 32 << 20;
/// Bytes between two sleeps.
const STEP_BYTES: u64 = 1 << 20;

/// The keeper was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped;

/// Lets bytes through at a bounded rate.
#[derive(Debug)]
pub(super) struct Pace {
    stop: Arc<AtomicBool>,
    bytes_per_second: Option<u64>,
    read: u64,
}

impl Pace {
    /// At the keeper's rate, until `stop` is set.
    pub(super) const fn bounded(stop: Arc<AtomicBool>) -> Self {
        Self {
            stop,
            bytes_per_second: Some(BYTES_PER_SECOND),
            read: 0,
        }
    }

    /// As fast as it goes: where nobody else uses the machine's time, as on the command line.
    pub(super) fn free() -> Self {
        Self {
            stop: Arc::default(),
            bytes_per_second: None,
            read: 0,
        }
    }

    /// Counts bytes that were read; sleeps where they came too fast.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Stopped> {
        self.read += bytes as u64;
        if self.read < STEP_BYTES {
            return Ok(());
        }
        let read = std::mem::take(&mut self.read);
        if let Some(rate) = self.bytes_per_second {
            // Not `sleep`: the end of the keeper wakes it.
            thread::park_timeout(Duration::from_micros(read * 1_000_000 / rate));
        }
        if self.stop.load(Relaxed) {
            Err(Stopped)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_noticed_within_a_step() {
        let stop = Arc::new(AtomicBool::new(false));
        let mut pace = Pace::bounded(Arc::clone(&stop));
        assert_eq!(pace.spend(STEP_BYTES as usize), Ok(()));
        stop.store(true, Relaxed);
        assert_eq!(pace.spend(10), Ok(()));
        assert_eq!(pace.spend(STEP_BYTES as usize), Err(Stopped));
    }
}
