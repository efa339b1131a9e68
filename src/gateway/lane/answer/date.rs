//! The line of `Date`, made once per second.
//!
//! Invariant: the gateway says the time of its own clock on every answer, as Pingora does, also
//! where an upstream said another one. Deliberately not here: the clock.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;

const MICROS_PER_SECOND: u64 = 1_000_000;

/// The line that says the time. One per worker.
#[derive(Debug, Default)]
pub(crate) struct DateLine {
    second: Option<u64>,
    text: String,
}

impl DateLine {
    /// The line for an instant, microseconds since 1970, with its end.
    pub(crate) fn at(&mut self, wall_us: u64) -> &[u8] {
        let second = wall_us / MICROS_PER_SECOND;
        if self.second != Some(second) {
            self.second = Some(second);
            self.text.clear();
            let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
            // Writing into memory cannot fail.
            _ = write!(self.text, "Date: {date}\r\n");
        }
        self.text.as_bytes()
    }
}
