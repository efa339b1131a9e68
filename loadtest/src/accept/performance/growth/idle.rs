//! Idle connections: what each takes of the process's own memory, its socket's buffers apart.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::super::super::{Context, Verdict};
use super::scene::answer;
use crate::process::rss_kib;
use crate::site::{PATIENCE, Site};
use crate::upstream::Upstream;

const CONTRACTS: &str =
    "version: 1\ncontracts:\n  - {id: told_v1, owner: me, endpoint: \"GET /told\"}\n";
/// After so long an idle connection has given back what it can, with a margin.
const SETTLED: Duration = Duration::from_secs(7);
const EACH_BYTES_MAX: u64 = 4 * 1_024;
/// Beside few connections the pools and buffers of the process count for each of them.
const FEW_BYTES_MAX: u64 = 8 * 1_024;

pub(in super::super) fn connections(context: &Context) -> anyhow::Result<Verdict> {
    let asked: usize = context.pick(500, 10_000);
    let count = asked.min(allowed()?);
    let upstream = Upstream::start()?;
    let site = Site::controlling(&context.folder("idle"), upstream.address(), CONTRACTS)?;
    site.amend(
        "expose_headers:",
        "limits: { connections: 12000, connections_per_address: 12000 }\nexpose_headers:",
    )?;
    let mut gateway = site.start()?;
    // Pools and buffers of the workers reach their size with the first connections.
    let mut first = open(site.listen, 200)?;
    std::thread::sleep(Duration::from_millis(500));
    let before = rss_kib(gateway.id())?;
    let began = Instant::now();
    let mut held = open(site.listen, count)?;
    let opened_s = began.elapsed().as_secs_f64();
    let served = rss_kib(gateway.id())?;
    std::thread::sleep(SETTLED);
    let after = rss_kib(gateway.id())?;
    let each = |kib: u64| kib.saturating_sub(before) * 1_024 / count as u64;
    let open_now = site.metrics()?.sum("tidegate_connections");
    let answered = [first.first_mut(), held.last_mut()]
        .into_iter()
        .flatten()
        .all(|stream| ask(stream).is_ok());
    drop((first, held));
    gateway.stop(PATIENCE)?;
    let most = context.pick(FEW_BYTES_MAX, EACH_BYTES_MAX);
    let pass = each(after) <= most && answered && open_now >= count as u64;
    Ok(Verdict::new(
        pass,
        format!(
            "{count} idle connections of {asked} (what the system's descriptors allow; each answered once, opened in {opened_s:.1} s): RSS {before} -> {after} KiB, {} bytes each (at most {most}), {} while they were opened; {open_now} open by the scrape; the first and the last still answer: {answered}",
            each(after),
            each(served)
        ),
    ))
}

/// Connections that the limit of descriptors allows: the gateway plans two for each, and some of its own.
fn allowed() -> anyhow::Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(4));
    let hard: usize = match hard.context("no limit of open files")? {
        "unlimited" => usize::MAX,
        number => number.parse()?,
    };
    Ok((hard / 2).saturating_sub(600))
}

fn open(target: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let one = |number| {
        let mut stream = TcpStream::connect(target)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        ask(&mut stream).with_context(|| format!("connection {number}"))?;
        Ok(stream)
    };
    (0..count).map(one).collect()
}

fn ask(stream: &mut TcpStream) -> anyhow::Result<()> {
    stream.write_all(b"GET /told HTTP/1.1\r\nHost: load\r\n\r\n")?;
    let status = answer(stream)?;
    anyhow::ensure!(status == 200, "status {status}");
    Ok(())
}
