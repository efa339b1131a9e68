//! HTTP/2 at the real gateway: many requests over few connections, and floods that only HTTP/2
//! knows, beside a clean client.
//!
//! Each is done without TLS and over TLS. Each flood prints what the attacker sent, what it cost the gateway, and how the clean client
//! fared. Deliberately not here: which frame is answered how; the gateway's own tests say that.

mod frames;
mod tls;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::super::{Context, Verdict};
use crate::crowd::{Crowd, run as run_crowd};
use crate::process::{cpu_us, installed, rss_kib};
use crate::site::{Metrics, Setup, Site, free, get};
use crate::upstream::Upstream;
use frames::{Flood, Wire, attack};

/// How the listener that is spoken HTTP/2 to is reached.
#[derive(Clone, Copy)]
enum Listener {
    /// Without TLS.
    H2c,
    Tls,
}

impl Listener {
    const ALL: [Self; 2] = [Self::H2c, Self::Tls];

    const fn name(self) -> &'static str {
        match self {
            Self::H2c => "h2c",
            Self::Tls => "TLS",
        }
    }

    /// What stands behind `bind` in the listener's configuration.
    fn keys(self) -> anyhow::Result<String> {
        Ok(match self {
            Self::H2c => ", h2c: true".to_owned(),
            Self::Tls => tls::keys()?,
        })
    }

    const fn scheme(self) -> &'static str {
        match self {
            Self::H2c => "http",
            Self::Tls => "https",
        }
    }

    fn connect(self, target: SocketAddr) -> anyhow::Result<Box<dyn Wire>> {
        let stream = TcpStream::connect(target)?;
        Ok(match self {
            Self::H2c => {
                frames::hurry(&stream)?;
                Box::new(stream)
            }
            Self::Tls => {
                // The handshake is no part of an attack, and takes its time.
                let stream = tls::over(stream)?;
                frames::hurry(&stream.sock)?;
                Box::new(stream)
            }
        })
    }
}

/// CPU time per attacker's byte that no flood may exceed, and memory that it may add.
const CPU_NS_PER_BYTE_MAX: u64 = 1_000;
const RSS_KIB_MAX: u64 = 64 * 1024;
/// What an idle gateway costs while a flood of few bytes lasts, in milliseconds.
const CPU_MS_FREE: u64 = 500;

/// A gateway with a plain listener for clean clients, and beside it one of that kind.
fn site(
    folder: &Path,
    upstream: SocketAddr,
    listener: Listener,
) -> anyhow::Result<(Site, SocketAddr)> {
    let site = Site::prepare(folder, &Setup::observing(upstream))?;
    let plain = format!("{{ bind: \"{}\" }}", site.listen);
    let target = free()?;
    let keys = listener.keys()?;
    site.amend(&plain, &format!("{plain}, {{ bind: \"{target}\"{keys} }}"))?;
    Ok((site, target))
}

/// All requests of h2load are answered, counted and forwarded.
pub(super) fn h2load(context: &Context) -> anyhow::Result<Verdict> {
    each(context, loaded)
}

/// Each flood costs the attacker its connection and nobody else anything.
pub(super) fn floods(context: &Context) -> anyhow::Result<Verdict> {
    each(context, flooded)
}

/// Runs a part at both listeners.
fn each(
    context: &Context,
    part: fn(&Context, Listener) -> anyhow::Result<Verdict>,
) -> anyhow::Result<Verdict> {
    let mut pass = true;
    let mut figures = Vec::new();
    for listener in Listener::ALL {
        let verdict = part(context, listener)?;
        pass &= verdict.pass;
        figures.push(format!("{}: {}", listener.name(), verdict.figure));
    }
    Ok(Verdict::new(pass, figures.join("; ")))
}

fn loaded(context: &Context, listener: Listener) -> anyhow::Result<Verdict> {
    let Some(h2load) = installed("h2load") else {
        bail!("h2load is not installed");
    };
    let upstream = Upstream::start()?;
    let folder = context.folder(&format!("h2load-{}", listener.name()));
    let (site, target) = site(&folder, upstream.address(), listener)?;
    // h2load does not go on over another connection when it is told to go.
    site.amend(
        "admin:",
        "limits: { requests_per_connection: 10000000 }\nadmin:",
    )?;
    let _gateway = site.start()?;
    let requests: u64 = context.pick(5_000, 200_000);
    let output = Command::new(h2load)
        .args(["-n", &requests.to_string(), "-c", "8", "-m", "50"])
        .arg(format!("{}://{target}/orders", listener.scheme()))
        .output()
        .context("run h2load")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let number = |word: &str| {
        let line = said.lines().find(|line| line.starts_with("requests:"))?;
        let before = line.split(word).next()?.split_whitespace().next_back()?;
        before.parse::<u64>().ok()
    };
    let is_http2 = said.contains("Application protocol: h2");
    let answered = number("succeeded").unwrap_or(0);
    let seen = upstream.seen().requests;
    Ok(Verdict::new(
        is_http2 && answered == requests && seen == requests,
        format!("{answered} of {requests} answered 2xx, {seen} at the upstream"),
    ))
}

fn flooded(context: &Context, listener: Listener) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let folder = context.folder(&format!("floods-{}", listener.name()));
    let (site, target) = site(&folder, upstream.address(), listener)?;
    let gateway = site.start()?;
    let long = Duration::from_millis(context.pick(600, 10_000));
    let mut pass = true;
    let mut figures = Vec::new();
    for flood in Flood::ALL {
        let connect = || listener.connect(target);
        let figure = one(&site, gateway.id(), flood, long, &connect)?;
        pass &= figure.pass();
        figures.push(figure.to_text());
    }
    // A listener that does not speak HTTP/2 would turn each attacker away at its first bytes.
    let metrics = Metrics::parse(&get(site.admin, "/metrics")?.1);
    let reason = "reason=\"http2_connection\"";
    let ended = metrics.labelled("tidegate_refused_in_parsing_total", reason);
    figures.push(format!("{ended} connections ended for their frames"));
    Ok(Verdict::new(pass && ended > 0.0, figures.join("; ")))
}

/// What one flood did.
struct Figure {
    name: &'static str,
    sent: u64,
    connections: u64,
    cpu_ms: u64,
    rss_kib: u64,
    good: u64,
    asked: u64,
}

impl Figure {
    const fn pass(&self) -> bool {
        let cpu_ms_max = CPU_MS_FREE + self.sent * CPU_NS_PER_BYTE_MAX / 1_000_000;
        self.good == self.asked && self.cpu_ms <= cpu_ms_max && self.rss_kib <= RSS_KIB_MAX
    }

    fn to_text(&self) -> String {
        let Self {
            name,
            sent,
            connections,
            cpu_ms,
            rss_kib,
            good,
            asked,
        } = self;
        format!(
            "{name}: {} KiB over {connections} connections, {cpu_ms} ms CPU, +{rss_kib} KiB, \
             clean {good}/{asked}",
            sent / 1024
        )
    }
}

fn one(
    site: &Site,
    gateway: u32,
    flood: Flood,
    long: Duration,
    connect: &(dyn Fn() -> anyhow::Result<Box<dyn Wire>> + Sync),
) -> anyhow::Result<Figure> {
    let stop = AtomicBool::new(false);
    let (rss, cpu) = (rss_kib(gateway)?, cpu_us(gateway)?);
    let crowd = Crowd::patient(site.listen, "/orders", 50);
    let (attacked, clean) = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let mut sum = (0, 0);
            let until = Instant::now() + long;
            while Instant::now() < until && !stop.load(Ordering::Relaxed) {
                sum.0 += attack(&mut *connect()?, flood, until);
                sum.1 += 1;
            }
            anyhow::Ok(sum)
        });
        let clean = run_crowd(&crowd, long, &stop);
        stop.store(true, Ordering::Relaxed);
        (attacker.join(), clean)
    });
    let (sent, connections) = match attacked {
        Ok(attacked) => attacked?,
        Err(_) => bail!("the attacker broke off"),
    };
    let clean = clean?.all();
    Ok(Figure {
        name: flood.name(),
        sent,
        connections,
        cpu_ms: cpu_us(gateway)?.saturating_sub(cpu) / 1_000,
        rss_kib: rss_kib(gateway)?.saturating_sub(rss),
        good: clean.good,
        asked: clean.begun,
    })
}
