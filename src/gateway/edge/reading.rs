//! Waits for the next request on a connection, under two clocks.
//!
//! Invariant: a head has one absolute deadline from its first byte to its last, on reused
//! connections too; no byte in between moves it. Deliberately not here: what a head may say.

use std::future::Future;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::caps::Closed;
use super::conn::Conn;
use super::head::{self, Head, Parsed};
use crate::gateway::governor::ParseRefusal;
use crate::gateway::settings::{Limits, Timeouts};

/// What an HTTP/2 client sends first.
pub(super) const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a connection without a request keeps the memory for one: who asks again soon finds it
/// there, and who has gone quiet holds nothing for it.
const RELEASE_AFTER: Duration = Duration::from_secs(5);

/// What came of waiting.
pub(super) enum Next<T> {
    /// A whole head that can be framed, and that nobody has taken.
    Request { bytes: BytesMut, head: Head },
    /// A request that was taken while its head was looked at.
    Taken(T),
    /// The client speaks HTTP/2.
    Http2,
    /// A head that is refused.
    Refused(ParseRefusal),
    /// Nothing more will come, or nobody is owed an answer.
    Over,
}

/// Waits for the next request of `conn`. `first` says that nothing came on it before. `take` is
/// shown each head, with the bytes behind it, and may take the request then and there.
pub(super) async fn next<T>(
    conn: &mut Conn,
    alarm: &mut Alarm,
    stop: &mut (impl Future<Output = ()> + Unpin),
    (limits, timeouts): (&Limits, &Timeouts),
    first: bool,
    mut take: impl FnMut(&Parsed<'_, '_>, &[u8]) -> Option<(usize, T)>,
) -> Next<T> {
    let mut seen = 0;
    let mut begun = first;
    let now = Instant::now();
    let mut deadline = now + if first { timeouts.head } else { timeouts.idle };
    let mut ring = deadline.min(now + RELEASE_AFTER);
    loop {
        if conn.ahead().len() > seen {
            skip_empty_lines(conn, seen);
            if let Some(next) = look(conn, seen, limits, first, &mut take) {
                conn.is_reading_head(false);
                return next;
            }
            seen = conn.ahead().len();
            conn.is_reading_head(seen > 0);
            // Only for a head that did not come whole, so that most cost no look at the clock. Once
            // per wait: empty lines that are skipped must not move the deadline again.
            if !begun && seen > 0 {
                begun = true;
                deadline = Instant::now() + timeouts.head;
                ring = deadline;
            }
        }
        let idle = seen == 0;
        tokio::select! {
            biased;
            read = conn.fill() => match read {
                Ok(1..) => {}
                // The client is gone, or was in the middle of a head: nobody waits for an answer.
                Ok(0) | Err(_) => {
                    if !idle {
                        conn.ends_as(Closed::BrokenHead);
                    }
                    return Next::Over;
                }
            },
            () = alarm.ring_at(ring) => {
                if ring < deadline {
                    conn.release();
                    ring = deadline;
                    continue;
                }
                if !idle {
                    return Next::Refused(ParseRefusal::HeadTimeout);
                }
                if !first {
                    conn.ends_as(Closed::Idle);
                }
                return Next::Over;
            }
            () = &mut *stop, if idle => return Next::Over,
        }
    }
}

/// Looks at what has arrived; `None` to wait for more. `seen` bytes were looked at before.
fn look<T>(
    conn: &mut Conn,
    seen: usize,
    limits: &Limits,
    first: bool,
    take: &mut impl FnMut(&Parsed<'_, '_>, &[u8]) -> Option<(usize, T)>,
) -> Option<Next<T>> {
    let bytes = conn.ahead();
    if first && bytes.starts_with(H2_PREFACE) {
        return Some(Next::Http2);
    }
    if first && !bytes.is_empty() && H2_PREFACE.starts_with(bytes) {
        return None;
    }
    // Parsing again for each byte that drips in would cost the square of the head, so after the
    // first look only the end of a head is worth another one.
    if seen == 0 || ends_head(bytes, seen) {
        let mut slots = head::slots();
        match head::parse(bytes, limits, &mut slots) {
            Ok(Some(parsed)) => {
                let head = parsed.head;
                let behind = bytes.get(head.len..).unwrap_or_default();
                if let Some((body, taken)) = take(&parsed, behind) {
                    conn.skip(head.len + body);
                    return Some(Next::Taken(taken));
                }
                let bytes = conn.take(head.len);
                return Some(Next::Request { bytes, head });
            }
            Ok(None) => {}
            Err(refusal) => return Some(Next::Refused(refusal)),
        }
    }
    too_large(bytes, limits).map(Next::Refused)
}

/// An empty line before a request is a leftover of old clients and means nothing.
fn skip_empty_lines(conn: &mut Conn, seen: usize) {
    if seen <= 1 {
        while conn.ahead().starts_with(b"\r\n") {
            drop(conn.take(2));
        }
    }
}

/// Whether an empty line stands among the bytes from `seen` on.
fn ends_head(bytes: &[u8], seen: usize) -> bool {
    let fresh = bytes.get(seen.saturating_sub(3)..).unwrap_or_default();
    fresh.windows(2).any(|pair| pair == b"\n\n") || fresh.windows(3).any(|three| three == b"\n\r\n")
}

fn too_large(bytes: &[u8], limits: &Limits) -> Option<ParseRefusal> {
    // The longest registered method, two spaces, the version.
    const AROUND_TARGET: usize = 32;
    if bytes.len() > limits.head_bytes_max {
        return Some(ParseRefusal::HeadTooLarge);
    }
    let line = bytes.get(..limits.target_bytes_max + AROUND_TARGET)?;
    (!line.contains(&b'\n')).then_some(ParseRefusal::TargetTooLong)
}
