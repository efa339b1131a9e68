//! HTTP/2 at the real gateway: many requests over few connections, and floods that only HTTP/2
//! knows, beside a clean client.
//!
//! Each flood prints what the attacker sent, what it cost the gateway, and how the clean client
//! fared. Deliberately not here: which frame is answered how; the gateway's own tests say that.

mod frames;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::super::{Context, Verdict};
use crate::crowd::{Crowd, run as run_crowd};
use crate::process::{cpu_us, installed, rss_kib};
use crate::site::{Metrics, Setup, Site, get};
use crate::upstream::Upstream;
use frames::{Flood, attack};

/// What a client of the listener speaks.
#[derive(Clone, Copy)]
enum Listener {
    /// HTTP/2 without TLS.
    H2c,
}

impl Listener {
    /// What stands behind `bind` in the listener's configuration.
    const fn keys(self) -> &'static str {
        match self {
            Self::H2c => ", h2c: true",
        }
    }

    const fn scheme(self) -> &'static str {
        match self {
            Self::H2c => "http",
        }
    }
}

/// CPU time per attacker's byte that no flood may exceed, and memory that it may add.
const CPU_NS_PER_BYTE_MAX: u64 = 1_000;
const RSS_KIB_MAX: u64 = 64 * 1024;
/// What an idle gateway costs while a flood of few bytes lasts, in milliseconds.
const CPU_MS_FREE: u64 = 500;

fn site(folder: &Path, upstream: SocketAddr, listener: Listener) -> anyhow::Result<Site> {
    let site = Site::prepare(folder, &Setup::observing(upstream))?;
    let bind = format!("bind: \"{}\"", site.listen);
    site.amend(&bind, &format!("{bind}{}", listener.keys()))?;
    Ok(site)
}

/// All requests of h2load are answered, counted and forwarded.
pub(super) fn h2load(context: &Context) -> anyhow::Result<Verdict> {
    let Some(h2load) = installed("h2load") else {
        bail!("h2load is not installed");
    };
    let upstream = Upstream::start()?;
    let listener = Listener::H2c;
    let site = site(&context.folder("h2load"), upstream.address(), listener)?;
    // h2load does not go on over another connection when it is told to go.
    site.amend(
        "admin:",
        "limits: { requests_per_connection: 10000000 }\nadmin:",
    )?;
    let _gateway = site.start()?;
    let requests: u64 = context.pick(5_000, 200_000);
    let output = Command::new(h2load)
        .args(["-n", &requests.to_string(), "-c", "8", "-m", "50"])
        .arg(format!("{}://{}/orders", listener.scheme(), site.listen))
        .output()
        .context("run h2load")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let number = |word: &str| {
        let line = said.lines().find(|line| line.starts_with("requests:"))?;
        let before = line.split(word).next()?.split_whitespace().next_back()?;
        before.parse::<u64>().ok()
    };
    let answered = number("succeeded").unwrap_or(0);
    let seen = upstream.seen().requests;
    Ok(Verdict::new(
        answered == requests && seen == requests,
        format!("{answered} of {requests} answered 2xx, {seen} at the upstream"),
    ))
}

/// Each flood costs the attacker its connection and nobody else anything.
pub(super) fn floods(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let site = site(&context.folder("floods"), upstream.address(), Listener::H2c)?;
    let gateway = site.start()?;
    let long = Duration::from_secs(context.pick(1, 10));
    let mut pass = true;
    let mut figures = Vec::new();
    for flood in Flood::ALL {
        let figure = one(&site, gateway.id(), flood, long)?;
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

fn one(site: &Site, gateway: u32, flood: Flood, long: Duration) -> anyhow::Result<Figure> {
    let stop = AtomicBool::new(false);
    let (rss, cpu) = (rss_kib(gateway)?, cpu_us(gateway)?);
    let crowd = Crowd::patient(site.listen, "/orders", 50);
    let (attacked, clean) = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let mut sum = (0, 0);
            let until = Instant::now() + long;
            while Instant::now() < until && !stop.load(Ordering::Relaxed) {
                sum.0 += attack(site.listen, flood, until)?;
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
