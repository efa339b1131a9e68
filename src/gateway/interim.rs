//! Interim answers (1xx) of upstreams: each is sent on, so their number is bounded, and another
//! protocol begins only where the client asked for one.
//!
//! Invariant: a client that asked for no upgrade never sees 101; it would read what follows as
//! another answer. Deliberately not here: where an upgrade is allowed.

use http::StatusCode;
use pingora::{Error, ErrorType, Result};

/// Interim answers to one request at most; real servers send one or two.
const INTERIM_MAX: u8 = 32;

/// Counts one, and refuses what nobody could have asked for.
///
/// # Errors
/// As of a head that cannot be read: the upstream does not speak HTTP as we do.
pub(super) fn hold(status: StatusCode, asks_for_upgrade: bool, seen: &mut u8) -> Result<()> {
    if !status.is_informational() {
        return Ok(());
    }
    *seen = seen.saturating_add(1);
    let unasked = status == StatusCode::SWITCHING_PROTOCOLS && !asks_for_upgrade;
    if unasked || *seen > INTERIM_MAX {
        return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_answers_are_few_and_asked_for() {
        let check = |status: u16, asks: bool, before: u8, expected: bool| {
            let status = StatusCode::from_u16(status).unwrap();
            let held = hold(status, asks, &mut before.clone());
            assert_eq!(held.is_ok(), expected, "{status} {asks} {before}");
        };
        check(200, false, u8::MAX, true);
        check(100, false, 0, true);
        check(103, false, INTERIM_MAX - 1, true);
        check(103, false, INTERIM_MAX, false);
        check(103, false, u8::MAX, false);
        check(101, true, 0, true);
        check(101, false, 0, false);
    }
}
