//! An open loop: requests at a fixed rate, whether or not earlier ones are answered.
//!
//! Each request has a time at which it is due, and its latency counts from there: a client that had
//! to wait for its connection reports that wait instead of leaving it out (coordinated omission).
//! The connections are threads that sleep and block: timers of an event loop are a millisecond wide,
//! longer than what is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::interrupted;

/// Connections that share the rate.
const CONNECTIONS: u32 = 32;
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Latencies of one run in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latency {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    /// How late the client itself was with sending, at the 99th percentile; part of the others.
    pub(super) late_p99_us: f64,
    pub(super) requests: u64,
}

struct One {
    latency: Duration,
    late: Duration,
}

/// Asks for `paths` in turn, `rate` times a second, for so many seconds.
///
/// # Errors
/// When an answer is missing or is not 200.
pub(super) fn run(
    target: SocketAddr,
    paths: &[String],
    rate: u32,
    seconds: u32,
) -> anyhow::Result<Latency> {
    let count = rate * seconds;
    let apart = Duration::from_secs(1) / rate;
    // All connections stand before the first request is due.
    let began = Instant::now() + Duration::from_millis(100);
    let all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                scope.spawn(move || -> anyhow::Result<Vec<One>> {
                    let mut stream = TcpStream::connect(target)?;
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(ANSWER_MAX))?;
                    let mine = (first..count).step_by(CONNECTIONS as usize);
                    mine.map(|number| {
                        let path = paths.get(number as usize % paths.len().max(1));
                        let path = path.context("a path")?;
                        one(&mut stream, target, path, began + apart * number)
                    })
                    .collect()
                })
            })
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            let done = worker.join();
            all.extend(done.map_err(|_| anyhow::anyhow!("a connection panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    ensure!(all.len() == count as usize, "requests were lost");
    Ok(summed(&all))
}

fn one(
    stream: &mut TcpStream,
    target: SocketAddr,
    path: &str,
    due: Instant,
) -> anyhow::Result<One> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
    let late = Instant::now().saturating_duration_since(due);
    stream.write_all(head.as_bytes())?;
    answer(stream)?;
    Ok(One {
        latency: due.elapsed(),
        late,
    })
}

/// Reads one answer with a length to its end.
fn answer(stream: &mut impl Read) -> anyhow::Result<()> {
    let mut held = Vec::with_capacity(1_024);
    let mut buffer = [0; 4_096];
    loop {
        let read = interrupted::read(stream, &mut buffer)?;
        ensure!(read > 0, "the connection was closed before the answer");
        held.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let Some(end) = held.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        ensure!(
            held.starts_with(b"HTTP/1.1 200"),
            "an answer other than 200"
        );
        let head = String::from_utf8_lossy(held.get(..end).unwrap_or_default()).to_lowercase();
        let length = head.lines().find_map(|line| {
            line.strip_prefix("content-length:")?
                .trim()
                .parse::<usize>()
                .ok()
        });
        if held.len() >= end + 4 + length.context("an answer without a length")? {
            return Ok(());
        }
    }
}

fn summed(all: &[One]) -> Latency {
    let sorted = |of: fn(&One) -> Duration| {
        let mut times: Vec<Duration> = all.iter().map(of).collect();
        times.sort_unstable();
        times
    };
    let at = |times: &[Duration], per_mille: usize| {
        let rank = (times.len() * per_mille).div_ceil(1_000).max(1) - 1;
        times.get(rank).map_or(f64::NAN, |t| t.as_secs_f64() * 1e6)
    };
    let (latency, late) = (sorted(|one| one.latency), sorted(|one| one.late));
    Latency {
        p50_us: at(&latency, 500),
        p99_us: at(&latency, 990),
        p999_us: at(&latency, 999),
        late_p99_us: at(&late, 990),
        requests: all.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Upstream;

    #[test]
    fn ranks_are_of_all_requests() {
        let all: Vec<One> = (1..=1_000)
            .map(|us| One {
                latency: Duration::from_micros(us),
                late: Duration::ZERO,
            })
            .collect();
        let found = summed(&all);
        assert_eq!(found.p50_us.round(), 500.0);
        assert_eq!(found.p99_us.round(), 990.0);
        assert_eq!(found.p999_us.round(), 999.0);
    }

    #[test]
    fn a_slow_server_is_not_spared() {
        // Each of 32 connections owes 5 requests 200 ms apart, and each answer takes 300 ms: the last
        // one is due after 800 ms and answered after 1,500.
        let upstream = Upstream::start().unwrap();
        let paths = ["/slow/300".to_owned()];
        let found = run(upstream.address(), &paths, 160, 1).unwrap();
        assert_eq!(found.requests, 160);
        assert!(found.p99_us >= 690_000.0, "{found:?}");
    }

    #[test]
    fn answers_are_read_to_their_end_and_must_be_200() {
        let check = |text: &str, good: bool| {
            assert_eq!(answer(&mut text.as_bytes()).is_ok(), good, "{text}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true);
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false);
        check("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", false);
        check("HTTP/1.1 200 OK\r\n\r\n", false);
    }
}
