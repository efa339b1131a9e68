//! Slow heads, slow bodies, slow readers, countless paths and clients: none of them may cost a
//! clean client its answers, or the gateway its memory.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::{Context, Verdict};
use super::clean::{self, Seen};
use super::horde::{self, Held, Way};
use crate::ask::Client;
use crate::process::{Process, cpu_us, rss_kib};
use crate::site::{PATIENCE, Site};
use crate::standstill::Standstill;
use crate::upstream::Upstream;

const CONTRACTS: &str = "version: 1\ncontracts:\n  - {id: clean_v1, owner: me, endpoint: \"GET /api/v1/clean\"}\n  - {id: slow_v1, owner: me, endpoint: \"POST /slow\"}\n  - {id: bytes_v1, owner: me, endpoint: \"GET /bytes/{n}\"}\n";
const CLEAN: &str = "/api/v1/clean";
/// How much slower the 99th percentile may be under attack.
const SLOWER_MAX: f64 = 2.0;
/// What memory may grow by: nothing of it may depend on how long an attack lasts.
const GROWTH_KIB_MAX: u64 = 160 * 1024;
/// The same of one answer that nobody takes.
const UNREAD_KIB: u64 = 704;
/// The 99th percentile that a reduced run allows whatever the quiet one is. It stands against clean
/// requests that wait for slow ones, which wait for seconds; a machine that is halted now and then
/// shows half of one in either.
const GROSS: Duration = Duration::from_secs(1);
/// A nap of 10 ms that takes as long as this is the machine's doing.
const HALT: Duration = Duration::from_millis(100);
/// The buffers of slow readers are full when the gateway used so little in so long.
const FILLED: (Duration, u64) = (Duration::from_millis(500), 20_000);
/// Requests a second with a path or a client of their own.
const DISTINCT_PER_SECOND: u64 = 1_000;

/// What attacks.
#[derive(Debug, Clone, Copy)]
enum Attack {
    Connections(Way, usize),
    Paths(usize),
    Clients(usize),
}

/// Process and scrape at one moment.
#[derive(Debug, Clone, Copy)]
struct Use {
    rss_kib: u64,
    descriptors: usize,
    series: usize,
}

impl Use {
    fn of(site: &Site, gateway: &Process) -> anyhow::Result<Self> {
        let id = gateway.id();
        Ok(Self {
            rss_kib: rss_kib(id)?,
            descriptors: std::fs::read_dir(format!("/proc/{id}/fd"))?.count(),
            series: site.metrics()?.series(),
        })
    }
}

pub(super) fn heads(context: &Context) -> anyhow::Result<Verdict> {
    let count = context.pick(50, 1_000);
    let attacks = [
        ("fresh heads", Attack::Connections(Way::Head, count)),
        ("reused heads", Attack::Connections(Way::ReusedHead, count)),
    ];
    all(context, "heads", &attacks)
}

pub(super) fn bodies(context: &Context) -> anyhow::Result<Verdict> {
    let count = context.pick(25, 500);
    let attacks = [
        ("bodies", Attack::Connections(Way::Body, count)),
        ("readers", Attack::Connections(Way::Reader, count)),
    ];
    all(context, "bodies", &attacks)
}

pub(super) fn names(context: &Context) -> anyhow::Result<Verdict> {
    let count = context.pick(5_000, 100_000);
    let attacks = [
        ("paths", Attack::Paths(count)),
        ("clients", Attack::Clients(count)),
    ];
    all(context, "names", &attacks)
}

impl Attack {
    /// What memory may grow by. An answer that nobody takes holds what the proxy engine has under way
    /// of it, see docs/protocols.md.
    const fn growth_kib_max(self) -> u64 {
        match self {
            Self::Connections(Way::Reader, count) => GROWTH_KIB_MAX + UNREAD_KIB * count as u64,
            _ => GROWTH_KIB_MAX,
        }
    }
}

fn all(context: &Context, name: &str, attacks: &[(&str, Attack)]) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let folder = context.folder(&format!("exhaustion-{name}"));
    let site = Site::controlling(&folder, upstream.address(), CONTRACTS)?;
    site.amend(
        "expose_headers:",
        "trusted_proxies: [\"127.0.9.0/24\"]\nexpose_headers:",
    )?;
    let mut gateway = site.start()?;
    // Pools and buffers reach their size.
    clean::watch(site.listen, CLEAN, Duration::from_secs(1))?;
    let (mut pass, mut figures) = (true, Vec::new());
    for (name, attack) in attacks {
        let (good, figure) = one(context, &site, &gateway, *attack)?;
        pass &= good;
        figures.push(format!("{name}: {figure}"));
    }
    let account = account(&site)?;
    pass &= account.0;
    figures.push(account.1);
    gateway.stop(PATIENCE)?;
    Ok(Verdict::new(pass, figures.join("; ")))
}

/// One attack against the clean client, in rounds that take turns with quiet ones.
fn one(
    context: &Context,
    site: &Site,
    gateway: &Process,
    attack: Attack,
) -> anyhow::Result<(bool, String)> {
    let long = Duration::from_millis(context.pick(1_000, 3_000));
    let before = Use::of(site, gateway)?;
    let (mut quiet, mut under, mut worst) = (Vec::new(), Vec::new(), before);
    let mut told = String::new();
    // A round of names lasts until each was asked for: long enough to stand alone.
    let rounds = match attack {
        Attack::Connections(..) => context.pick(3, 5),
        Attack::Paths(_) | Attack::Clients(_) => context.pick(3, 1),
    };
    for _ in 0..rounds {
        let machine = Standstill::watch(HALT);
        quiet.push(clean::watch(site.listen, CLEAN, long)?);
        let (seen, during, about) = attacked(site, gateway, attack, long)?;
        under.push(seen);
        worst = Use {
            rss_kib: worst.rss_kib.max(during.rss_kib),
            descriptors: worst.descriptors.max(during.descriptors),
            series: worst.series.max(during.series),
        };
        told = about;
        // In a reduced run one round is enough; another one is done only where the machine stood still,
        // which says nothing of the gateway.
        let enough = is_fast(quiet.last(), under.last()) || machine.halts() == 0;
        if context.pick(enough, false) {
            break;
        }
    }
    let after = settled(site, gateway, before)?;
    let bad: usize = quiet.iter().chain(&under).map(|seen| seen.bad).sum();
    let good: usize = under.iter().map(|seen| seen.good).sum();
    let ((quiet_us, quiet_all), (under_us, under_all)) = (p99(&quiet), p99(&under));
    let slower = under_us as f64 / quiet_us.max(1) as f64;
    let fast = context.pick(is_fast(quiet.last(), under.last()), slower <= SLOWER_MAX);
    let growth = worst.rss_kib.saturating_sub(before.rss_kib);
    let pass = bad == 0
        && fast
        && growth <= attack.growth_kib_max()
        && after.descriptors <= before.descriptors + 32
        && worst.series <= before.series + 200;
    let figure = format!(
        "{told}; clean client {good} good, {bad} bad, p99 {quiet_us} -> {under_us} us ({slower:.2}x; \
         rounds quiet {quiet_all:?}, under {under_all:?}); RSS {} -> {} -> {} KiB; descriptors {} -> {} -> {}; series {} -> {}",
        before.rss_kib,
        worst.rss_kib,
        after.rss_kib,
        before.descriptors,
        worst.descriptors,
        after.descriptors,
        before.series,
        worst.series,
    );
    Ok((pass, figure))
}

/// Whether one round, beside the quiet one before it, is as fast as a reduced run asks.
fn is_fast(quiet: Option<&Seen>, under: Option<&Seen>) -> bool {
    let of = |seen: Option<&Seen>| seen.map_or(u64::MAX, |seen| seen.within_us(99));
    let (quiet, under) = (of(quiet), of(under));
    under as f64 <= quiet as f64 * SLOWER_MAX || u128::from(under) < GROSS.as_micros()
}

/// The median of the rounds' 99th percentiles, and all of them.
fn p99(rounds: &[Seen]) -> (u64, Vec<u64>) {
    let mut each: Vec<u64> = rounds.iter().map(|seen| seen.within_us(99)).collect();
    each.sort_unstable();
    (each.get(each.len() / 2).copied().unwrap_or(u64::MAX), each)
}

fn attacked(
    site: &Site,
    gateway: &Process,
    attack: Attack,
    long: Duration,
) -> anyhow::Result<(Seen, Use, String)> {
    let (stop, held) = (AtomicBool::new(false), Held::default());
    let target = site.listen;
    let asked = std::thread::scope(|scope| {
        let hostile = scope.spawn(|| match attack {
            Attack::Connections(way, count) => {
                horde::keep(target, way, count, &held, &stop).map(|()| 0)
            }
            Attack::Paths(count) => distinct(target, count, &stop, true),
            Attack::Clients(count) => distinct(target, count, &stop, false),
        });
        let watched = watch_while(site, gateway, attack, &held, &hostile, long);
        stop.store(true, Ordering::Relaxed);
        let asked = hostile
            .join()
            .map_err(|_| anyhow::anyhow!("an attack panicked"))?;
        anyhow::Ok((watched?, asked?))
    });
    let ((seen, during), asked) = asked?;
    let about = match attack {
        Attack::Connections(_, count) => format!(
            "{count} held, {} closed by the gateway",
            held.closed.load(Ordering::Relaxed)
        ),
        Attack::Paths(count) | Attack::Clients(count) => format!("{asked} of {count} asked"),
    };
    Ok((seen, during, about))
}

/// The clean client from when the attack is complete; with countless names until all were used.
fn watch_while(
    site: &Site,
    gateway: &Process,
    attack: Attack,
    held: &Held,
    hostile: &std::thread::ScopedJoinHandle<'_, anyhow::Result<usize>>,
    long: Duration,
) -> anyhow::Result<(Seen, Use)> {
    if let Attack::Connections(_, count) = attack {
        let began = Instant::now();
        while held.open.load(Ordering::Relaxed) < count {
            anyhow::ensure!(began.elapsed() < PATIENCE, "the attack does not come about");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    if let Attack::Connections(Way::Reader, _) = attack {
        // What is asked about is readers that hold their place, not how the kernel's buffers fill.
        filled(gateway)?;
    }
    let seen = clean::watch(site.listen, CLEAN, long)?;
    let during = Use::of(site, gateway)?;
    let names = matches!(attack, Attack::Paths(_) | Attack::Clients(_));
    while names && !hostile.is_finished() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((seen, during))
}

/// Waits until the gateway moves nothing any more.
fn filled(gateway: &Process) -> anyhow::Result<()> {
    let (long, rests_us) = FILLED;
    let began = Instant::now();
    // Twice in a row: during one look the gateway itself may have been halted.
    let mut rests = 0;
    loop {
        let before = cpu_us(gateway.id())?;
        std::thread::sleep(long);
        let is_at_rest = cpu_us(gateway.id())? - before <= rests_us;
        rests = if is_at_rest { rests + 1 } else { 0 };
        if rests == 2 {
            return Ok(());
        }
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "the readers' buffers do not fill"
        );
    }
}

/// So many requests at a rate, each with a path or a client of its own; how many were answered.
fn distinct(
    target: SocketAddr,
    count: usize,
    _stop: &AtomicBool,
    is_path: bool,
) -> anyhow::Result<usize> {
    let mut client = Client::at([127, 0, 9, 2].into(), target)?;
    let began = Instant::now();
    let mut answered = 0;
    for number in 0..count {
        let due = Duration::from_micros(number as u64 * 1_000_000 / DISTINCT_PER_SECOND);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let (path, from);
        if is_path {
            path = format!("/unknown/{number:x}/{}", number * 7);
            from = "198.51.100.1".to_owned();
        } else {
            let [_, a, b, c] = (number as u32).to_be_bytes();
            path = CLEAN.to_owned();
            from = format!("100.{a}.{b}.{c}");
        }
        let reply = client.ask("GET", &path, &[("X-Forwarded-For", &from)])?;
        answered += usize::from(reply.status > 0);
    }
    Ok(answered)
}

/// The gateway some time after: what it holds when all have gone.
fn settled(site: &Site, gateway: &Process, before: Use) -> anyhow::Result<Use> {
    let began = Instant::now();
    loop {
        let now = Use::of(site, gateway)?;
        if now.descriptors <= before.descriptors + 32 || began.elapsed() > PATIENCE {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Accepted = closed + open, from one scrape.
fn account(site: &Site) -> anyhow::Result<(bool, String)> {
    let metrics = site.metrics()?;
    let accepted = metrics.sum("tidegate_connections_accepted_total");
    let closed = metrics.sum("tidegate_connections_closed_total");
    let open = metrics.sum("tidegate_connections");
    anyhow::ensure!(accepted > 0, "no connection was accepted");
    let holds = accepted == closed + open;
    let text = format!("connections {accepted} accepted = {closed} closed + {open} open");
    Ok((holds, text))
}
