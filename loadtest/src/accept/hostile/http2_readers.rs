//! Clients of HTTP/2 that ask for much and read nothing, beside a clean one.
//!
//! What such a client costs is memory, for as long as it may hold it: so what is judged is how much
//! each stream holds, and how soon the connections end, with about as many streams as one address
//! gets. Deliberately not here: floods of frames; how a stream too many is refused, which the
//! gateway's own tests say.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::net::TcpSocket;

use super::super::{Context, Verdict};
use crate::crowd::{Crowd, run as run_crowd};
use crate::process::rss_kib;
use crate::site::{Setup, Site};
use crate::upstream::Upstream;

/// Memory that a stream may cost which nobody reads.
const KIB_PER_STREAM_MAX: u64 = 704;
/// After this nobody holds anything any more.
const HELD_MAX: Duration = Duration::from_secs(15);
/// Streams of one connection.
const STREAMS: u64 = 100;
const ANSWER_BYTES: u32 = 1_000_000;

/// Nobody but the attacker notices.
pub(super) fn readers(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let folder = context.folder("http2-readers");
    let site = Site::prepare(&folder, &Setup::observing(upstream.address()))?;
    let bind = format!("bind: \"{}\"", site.listen);
    site.amend(&bind, &format!("{bind}, h2c: true"))?;
    let gateway = site.start()?;
    let connections = context.pick(2, 10);
    let before = rss_kib(gateway.id())?;
    let stop = AtomicBool::new(false);
    let crowd = Crowd::patient(site.listen, "/orders", 50);
    let (held, clean) = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let held = hold(&site, gateway.id(), connections);
            stop.store(true, Ordering::Relaxed);
            held
        });
        let clean = run_crowd(&crowd, HELD_MAX * 2, &stop);
        (attacker.join(), clean)
    });
    let Ok(held) = held else {
        bail!("the attacker broke off");
    };
    let (held, clean) = (held?, clean?.all());
    let refused = site.metrics()?.sum("tidegate_streams_refused_total");
    let asked = connections * STREAMS;
    let grown = held.rss_kib.saturating_sub(before);
    let each = grown / asked;
    let pass = each <= KIB_PER_STREAM_MAX
        && refused == 0
        && held.long <= HELD_MAX
        && clean.good == clean.begun;
    let figure = format!(
        "{connections} connections asked for {asked} answers with {} bytes, {refused} refused; RSS \
         {before} -> {} KiB, {each} KiB for each, {} bytes for each of the attacker's; all \
         ended after {:.1} s; clean {}/{}",
        held.sent,
        held.rss_kib,
        grown * 1_024 / held.sent.max(1),
        held.long.as_secs_f64(),
        clean.good,
        clean.begun
    );
    Ok(Verdict::new(pass, figure))
}

/// What was held, and for how long.
struct Held {
    sent: u64,
    rss_kib: u64,
    long: Duration,
}

/// Asks for everything and waits until the gateway has ended it all.
fn hold(site: &Site, gateway: u32, connections: u64) -> anyhow::Result<Held> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let began = Instant::now();
    let mut held = Held {
        sent: 0,
        rss_kib: 0,
        long: Duration::ZERO,
    };
    let mut open = Vec::new();
    for _ in 0..connections {
        let mut stream = runtime.block_on(connect(site.listen))?;
        let wire = requests();
        // One that is cut in the middle has sent less, and is counted as if it had not.
        _ = stream.write_all(&wire);
        held.sent += wire.len() as u64;
        open.push(stream);
    }
    loop {
        held.rss_kib = held.rss_kib.max(rss_kib(gateway)?);
        let metrics = site.metrics()?;
        let ended = metrics.labelled("tidegate_connections_closed_total", "reason=\"http2\"");
        held.long = began.elapsed();
        if ended as u64 >= connections || held.long > HELD_MAX {
            return Ok(held);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A connection of an address of its own, with little room for what comes back.
async fn connect(target: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    socket.bind((Ipv4Addr::new(127, 0, 9, 3), 0).into())?;
    let stream = socket.connect(target).await?.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// Preface, windows as large as they may be, and requests.
fn requests() -> Vec<u8> {
    let mut wire = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    wire.extend(frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]));
    wire.extend(frame(8, 0, 0, &0x7fff_0000_u32.to_be_bytes()));
    let path = format!("/bytes/{ANSWER_BYTES}");
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", path.as_str()),
        (":authority", "test"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend(text.bytes());
        }
    }
    for number in 0..STREAMS as u32 {
        // A whole head without a body.
        wire.extend(frame(1, 5, number * 2 + 1, &block));
    }
    wire
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut wire: Vec<u8> = length.into_iter().skip(1).collect();
    wire.extend([kind, flags]);
    wire.extend(stream.to_be_bytes());
    wire.extend(payload);
    wire
}
