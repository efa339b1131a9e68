//! A clean client beside the hostile ones: a fixed rate, whatever became of the earlier requests,
//! and the time of each from when it was due.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::ask::Client;

/// Connections that take turns, so that one slow answer does not hold up the next request.
const CONNECTIONS: usize = 8;
/// Requests a second.
const PER_SECOND: u64 = 200;

/// What the clean client saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) good: usize,
    pub(super) bad: usize,
    sorted_us: Vec<u64>,
}

impl Seen {
    /// The time within which `percent` of the answers came, microseconds.
    pub(super) fn within_us(&self, percent: usize) -> u64 {
        let at = self.sorted_us.len().saturating_sub(1) * percent / 100;
        self.sorted_us.get(at).copied().unwrap_or(u64::MAX)
    }
}

/// Asks `target` for `path` for so long.
pub(super) fn watch(target: SocketAddr, path: &str, long: Duration) -> anyhow::Result<Seen> {
    let due = AtomicUsize::new(0);
    let (began, requests) = (Instant::now(), long.as_millis() as u64 * PER_SECOND / 1_000);
    let seen = std::thread::scope(|scope| {
        let each: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| one(target, path, began, &due, requests as usize)))
            .collect();
        let joined = each.into_iter().map(|client| client.join());
        joined.collect::<Result<Vec<_>, _>>()
    });
    let mut all = Seen::default();
    for seen in seen.map_err(|_| anyhow::anyhow!("a clean client panicked"))? {
        let seen = seen?;
        all.good += seen.good;
        all.bad += seen.bad;
        all.sorted_us.extend(seen.sorted_us);
    }
    all.sorted_us.sort_unstable();
    Ok(all)
}

fn one(
    target: SocketAddr,
    path: &str,
    began: Instant,
    due: &AtomicUsize,
    requests: usize,
) -> anyhow::Result<Seen> {
    let mut client = Client::at(Ipv4Addr::new(127, 0, 9, 1), target)?;
    let mut seen = Seen::default();
    loop {
        let number = due.fetch_add(1, Ordering::Relaxed);
        if number >= requests {
            return Ok(seen);
        }
        let at = began + Duration::from_micros(number as u64 * 1_000_000 / PER_SECOND);
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        match client.get(path) {
            Ok(reply) if reply.status == 200 => seen.good += 1,
            Ok(_) | Err(_) => seen.bad += 1,
        }
        seen.sorted_us.push(at.elapsed().as_micros() as u64);
    }
}
