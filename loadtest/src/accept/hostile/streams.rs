//! What is big, and what is many: a gibibyte each way, idle connections, WebSockets, events.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tungstenite::Message;

use super::super::{Context, Verdict};
use super::peer;
use crate::interrupted;
use crate::process::{Process, rss_kib};
use crate::site::{PATIENCE, Site};

const CONTRACTS: &str = "version: 1\ncontracts:\n  - {id: up_v1, owner: me, endpoint: \"PUT /up/{n}\"}\n  - {id: down_v1, owner: me, endpoint: \"GET /down/{n}\"}\n  - {id: page_v1, owner: me, endpoint: \"GET /\"}\n  - {id: told_v1, owner: me, endpoint: \"GET /told\"}\n  - {id: events_v1, owner: me, endpoint: \"GET /events\", stream: true}\n  - {id: ws_v1, owner: me, endpoint: \"GET /ws\", upgrade: [websocket]}\n";
/// What memory may grow by while a body of any size passes.
const GROWTH_KIB_MAX: u64 = 32 * 1024;
/// After so long an idle connection has given back what it can, with a margin.
const SETTLED: Duration = Duration::from_secs(7);
/// What an idle connection may take of the process's own memory: of many, and of the few of a reduced
/// run, beside which pools and buffers of the process grow to their size.
const IDLE_BYTES_MAX: u64 = 16 * 1024;
const FEW_IDLE_BYTES_MAX: u64 = 40 * 1024;

struct Started {
    site: Site,
    gateway: Process,
    told: mpsc::Receiver<String>,
    /// Whether a client has seen the first of the events that the upstream holds back.
    first_seen: Arc<AtomicBool>,
}

fn started(context: &Context, name: &str) -> anyhow::Result<Started> {
    let (tell, told) = mpsc::channel();
    let first_seen = Arc::default();
    let upstream = peer::start(tell, Arc::clone(&first_seen))?;
    let site = Site::controlling(&context.folder(name), upstream, CONTRACTS)?;
    site.amend(
        "expose_headers:",
        "limits: { connections: 12000, connections_per_address: 12000 }\nexpose_headers:",
    )?;
    let gateway = site.start()?;
    Ok(Started {
        site,
        gateway,
        told,
        first_seen,
    })
}

/// Runs `work` and gives the most memory that the gateway had meanwhile.
fn watched<T>(id: u32, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, u64)> {
    let (most, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(rss_kib(id).unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    });
    Ok((result?, most.into_inner()))
}

fn connected(target: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(target)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The head of an answer, byte by byte so that nothing behind it is taken.
fn head(stream: &mut impl Read) -> anyhow::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut one = [0];
        stream.read_exact(&mut one)?;
        head.extend(one);
    }
    Ok(String::from_utf8(head)?)
}

pub(super) fn big(context: &Context) -> anyhow::Result<Verdict> {
    let bytes: u64 = context.pick(64, 1_024) << 20;
    let Started {
        site, mut gateway, ..
    } = started(context, "big")?;
    let before = rss_kib(gateway.id())?;
    let began = Instant::now();
    let (right, most_up) = watched(gateway.id(), || {
        let mut stream = connected(site.listen)?;
        write!(
            stream,
            "PUT /up/{bytes} HTTP/1.1\r\nHost: load\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n"
        )?;
        peer::send(&mut stream, bytes)?;
        let status = head(&mut stream)?;
        anyhow::ensure!(status.starts_with("HTTP/1.1 200"), "{status}");
        let mut right = String::new();
        stream.read_to_string(&mut right)?;
        Ok(right.trim().parse::<u64>()?)
    })?;
    let (up_s, began) = (began.elapsed().as_secs_f64(), Instant::now());
    let (came, most_down) = watched(gateway.id(), || {
        let mut stream = connected(site.listen)?;
        write!(stream, "GET /down/{bytes} HTTP/1.1\r\nHost: load\r\n\r\n")?;
        let status = head(&mut stream)?;
        anyhow::ensure!(status.starts_with("HTTP/1.1 200"), "{status}");
        Ok(peer::check(&mut stream, bytes)?)
    })?;
    let down_s = began.elapsed().as_secs_f64();
    gateway.stop(PATIENCE)?;
    let growth = most_up.max(most_down).saturating_sub(before);
    let recorded = recorded(&site, &["up_v1", "down_v1"])?;
    let pass = right == bytes && came == bytes && growth <= GROWTH_KIB_MAX && recorded;
    let mib = (bytes >> 20) as f64;
    Ok(Verdict::new(
        pass,
        format!(
            "{mib} MiB up, {right} bytes right, {:.0} MiB/s; down, {came} bytes right, {:.0} MiB/s; RSS {before} KiB, at most +{growth}; recorded: {recorded}",
            mib / up_s,
            mib / down_s
        ),
    ))
}

/// Whether each of the contracts has a decision with an outcome in the ledger.
fn recorded(site: &Site, contracts: &[&str]) -> anyhow::Result<bool> {
    let decisions = site.decisions()?;
    let has = |contract: &&str| {
        decisions
            .iter()
            .any(|line| line["contract_id"] == **contract)
    };
    Ok(contracts.iter().all(has))
}

pub(super) fn idle(context: &Context) -> anyhow::Result<Verdict> {
    let count: usize = context.pick(500, 9_000);
    let Started {
        site, mut gateway, ..
    } = started(context, "idle")?;
    // Pools and buffers of the workers reach their size with the first connections.
    let mut first = open(site.listen, 200)?;
    std::thread::sleep(Duration::from_millis(200));
    let before = rss_kib(gateway.id())?;
    let began = Instant::now();
    let mut held = open(site.listen, count)?;
    let opened_s = began.elapsed().as_secs_f64();
    std::thread::sleep(SETTLED);
    let after = rss_kib(gateway.id())?;
    let each = after.saturating_sub(before) * 1_024 / count as u64;
    let open_now = site.metrics()?.sum("tidegate_connections");
    let answered = [first.first_mut(), held.last_mut()]
        .into_iter()
        .flatten()
        .map(ask)
        .all(|answer| answer.is_ok());
    drop((first, held));
    gateway.stop(PATIENCE)?;
    let most = context.pick(FEW_IDLE_BYTES_MAX, IDLE_BYTES_MAX);
    let pass = each <= most && answered && open_now >= count as u64;
    Ok(Verdict::new(
        pass,
        format!(
            "{count} idle connections (each answered once, opened in {opened_s:.1} s): RSS {before} -> {after} KiB, {each} bytes each (goal 4096, at most {most}); {open_now} open by the scrape; the first and the last still answer: {answered}"
        ),
    ))
}

fn open(target: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = connected(target)?;
        ask(&mut stream).with_context(|| format!("connection {number}"))?;
        all.push(stream);
    }
    Ok(all)
}

fn ask(stream: &mut TcpStream) -> anyhow::Result<()> {
    stream.write_all(b"GET /told HTTP/1.1\r\nHost: load\r\n\r\n")?;
    let head = head(stream)?;
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    let mut body = vec![0; length.context("a length")?];
    stream.read_exact(&mut body)?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(())
}

pub(super) fn tunnels(context: &Context) -> anyhow::Result<Verdict> {
    let Started {
        site,
        mut gateway,
        told,
        first_seen,
    } = started(context, "tunnels")?;
    let echoed = library(site.listen, context.pick(50, 2_000))?;
    let is_streamed = events(site.listen, &first_seen)?;
    let browser = browser(&site, &told)?;
    let refused = tungstenite::connect(format!("ws://{}/events", site.listen)).is_err();
    let metrics = site.metrics()?;
    let ended = metrics.sum("tidegate_tunnels_total");
    let bytes = metrics.sum("tidegate_tunnel_bytes_total");
    gateway.stop(PATIENCE)?;
    let recorded = recorded(&site, &["ws_v1", "events_v1"])?;
    let pass = echoed && is_streamed && browser.0 && refused && recorded && ended > 0 && bytes > 0;
    Ok(Verdict::new(
        pass,
        format!(
            "library: every message came back: {echoed}; events: the first came before the others were sent: {is_streamed}; browser: {}; refused without 'upgrade': {refused}; {ended} tunnels with {bytes} bytes counted; recorded: {recorded}",
            browser.1
        ),
    ))
}

/// Messages of all sizes through a WebSocket of a real library.
fn library(target: SocketAddr, count: usize) -> anyhow::Result<bool> {
    let (mut socket, _) = tungstenite::connect(format!("ws://{target}/ws"))?;
    for number in 0..count {
        let mut body = vec![0; 1 << (number % 18)];
        peer::fill(&mut body, number as u64);
        let message = Message::binary(body);
        socket.send(message.clone())?;
        if socket.read()? != message {
            return Ok(false);
        }
    }
    socket.close(None)?;
    // The close is answered, and then there is nothing more.
    while socket.read().is_ok() {}
    Ok(true)
}

/// Whether the first event came while the upstream still held back the others, and then these.
fn events(target: SocketAddr, first_seen: &AtomicBool) -> anyhow::Result<bool> {
    let mut stream = connected(target)?;
    let began = Instant::now();
    let request = format!("GET {} HTTP/1.1\r\nHost: load\r\n\r\n", peer::HELD_EVENTS);
    stream.write_all(request.as_bytes())?;
    head(&mut stream)?;
    let (mut seen, mut piece) = (Vec::new(), [0; 256]);
    let mut is_streamed = false;
    while !seen.ends_with(b"0\r\n\r\n") {
        let read = interrupted::read(&mut stream, &mut piece)?;
        anyhow::ensure!(read > 0, "the events broke off");
        seen.extend_from_slice(piece.get(..read).unwrap_or_default());
        let has = |text: &str| seen.windows(text.len()).any(|at| at == text.as_bytes());
        if has("data: 0") && !has("data: 1") {
            // Later the upstream no longer waits.
            is_streamed |= began.elapsed() < peer::HELD_MAX;
            first_seen.store(true, Ordering::SeqCst);
        }
    }
    Ok(is_streamed)
}

/// A browser that opens the page, where there is one.
fn browser(site: &Site, told: &mpsc::Receiver<String>) -> anyhow::Result<(bool, String)> {
    let Some(program) = crate::process::installed("chromium") else {
        return Ok((true, "none installed".to_owned()));
    };
    let mut command = Command::new(program);
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--remote-debugging-port=0",
    ]);
    command.arg(format!(
        "--user-data-dir={}",
        site.folder().join("browser").display()
    ));
    command.arg(format!("http://{}/", site.listen));
    let mut process = Process::start(command, &site.folder().join("browser.log"))?;
    let report = told.recv_timeout(Duration::from_secs(40));
    process.kill()?;
    let report = report.unwrap_or_else(|_| "no report".to_owned());
    let expected = format!("events={}&echo=hello", peer::EVENTS);
    Ok((report == expected, report))
}
