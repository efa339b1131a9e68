//! A circuit's whole life, seen by the clients, the upstream, the admin listener, the metrics and
//! the ledger.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::super::{Context, Verdict};
use crate::ask::Client;
use crate::crowd::{self, Crowd, Outcome};
use crate::process::Process;
use crate::site::{PATIENCE, Site};
use crate::upstream::{Failing, Upstream};

const CONTRACTS: &str = "version: 1\ncontracts:\n  - {id: ill_v1, owner: me, endpoint: \"GET /ill\"}\n  - {id: well_v1, owner: me, endpoint: \"GET /well\"}\n";
/// Long enough for more than five requests to come while the first probe is out.
const FAILING: Failing = Failing {
    status: 502,
    after: Duration::from_millis(250),
};
/// Arrivals at the upstream that are further apart than this have an open circuit between them.
const APART: Duration = Duration::from_millis(700);
const PROBES_MAX: usize = 5;

/// What was found on the way.
#[derive(Default)]
struct Found {
    checks: Vec<(bool, &'static str)>,
    figure: String,
}

impl Found {
    fn check(&mut self, holds: bool, what: &'static str) {
        self.checks.push((holds, what));
    }
}

// R016, R039, R074, R076, R077
pub(super) fn life(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let site = Site::controlling(&context.folder("circuit"), upstream.address(), CONTRACTS)?;
    let mut gateway = site.start()?;
    let mut found = Found::default();
    one_failure(&site, &mut found)?;

    let stop = AtomicBool::new(false);
    let crowd = |path, net| Crowd {
        net,
        ..Crowd::patient(site.listen, path, 50)
    };
    let (ill, neighbour) = (crowd("/ill", 1), crowd("/well", 2));
    let most = Duration::from_secs(60);
    let (ill, neighbour) = std::thread::scope(|scope| {
        let ill = scope.spawn(|| crowd::run(&ill, most, &stop));
        let neighbour = scope.spawn(|| crowd::run(&neighbour, most, &stop));
        let told = ill_and_well(&site, &upstream, &mut found);
        stop.store(true, Ordering::Relaxed);
        let outcome = |run: std::thread::ScopedJoinHandle<'_, anyhow::Result<Outcome>>| {
            run.join()
                .map_err(|_| anyhow::anyhow!("a crowd panicked"))?
        };
        let both = (outcome(ill)?, outcome(neighbour)?);
        told?;
        anyhow::Ok(both)
    })?;
    accounts(&site, &mut gateway, &mut found)?;
    let served = neighbour.all();
    found.check(
        served.good == served.begun && served.begun > 0,
        "the neighbour is served",
    );
    let last = ill.between(ill.seconds.len().saturating_sub(3), ill.seconds.len() - 1);
    found.check(
        last.good == last.begun && last.begun > 0,
        "all is well at the end",
    );
    let broken: Vec<&str> = found.checks.iter().filter(|c| !c.0).map(|c| c.1).collect();
    let figure = format!(
        "{}; neighbour {} of {} served; BROKEN {broken:?}",
        found.figure, served.good, served.begun
    );
    Ok(Verdict::new(
        broken.is_empty(),
        figure.replace("; BROKEN []", ""),
    ))
}

fn state(site: &Site) -> anyhow::Result<String> {
    let told = site.told("/v1/circuits")?;
    let rows = told["circuits"].as_array().context("rows of circuits")?;
    let row = rows
        .iter()
        .find(|row| row["contract"] == "ill_v1" && row["mode"] == "real");
    Ok(row
        .and_then(|row| row["state"].as_str())
        .unwrap_or("closed")
        .to_owned())
}

/// Waits for a state of the circuit.
fn until(site: &Site, wanted: &str, patience: Duration) -> anyhow::Result<()> {
    let began = Instant::now();
    while state(site)? != wanted {
        anyhow::ensure!(
            began.elapsed() < patience,
            "the circuit does not become {wanted}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn one_failure(site: &Site, found: &mut Found) -> anyhow::Result<()> {
    let mut client = Client::new(site.listen)?;
    let failed = client.get("/ill?do=reset")?.status;
    found.check(failed == 502, "a reset is told as 502");
    let after: Vec<u16> = (0..10)
        .map(|_| Ok(client.get("/ill")?.status))
        .collect::<anyhow::Result<_>>()?;
    found.check(
        after.iter().all(|status| *status == 200),
        "one failure refuses nobody",
    );
    // The windows have followed after two ticks.
    std::thread::sleep(Duration::from_millis(300));
    found.check(state(site)? == "closed", "one failure opens nothing");
    Ok(())
}

/// The upstream falls ill for two waits of the circuit and recovers.
fn ill_and_well(site: &Site, upstream: &Upstream, found: &mut Found) -> anyhow::Result<()> {
    std::thread::sleep(Duration::from_secs(1));
    upstream.health().watch("/ill");
    upstream.health().fail(Some(FAILING));
    until(site, "open", Duration::from_secs(10))?;
    let metrics = site.metrics()?;
    let state = metrics.labelled("tidegate_circuit_state", "contract=\"ill_v1\"");
    found.check((state - 1.0).abs() < 0.1, "the metric says open");
    // Open, half open and failing, open again for longer, and then it is well.
    until(site, "half_open", Duration::from_secs(10))?;
    until(site, "open", Duration::from_secs(10))?;
    std::thread::sleep(Duration::from_millis(500));
    upstream.health().fail(None);
    let bursts = bursts(&upstream.health().arrivals());
    until(site, "closed", Duration::from_secs(20))?;
    let after = self::bursts(&upstream.health().arrivals());
    // Slow start lasts five seconds.
    std::thread::sleep(Duration::from_secs(8));
    let [opening, failing, ..] = bursts.as_slice() else {
        anyhow::bail!("the upstream saw {bursts:?}");
    };
    let waits: Vec<Duration> = after.iter().skip(1).map(|burst| burst.wait).collect();
    let [first, second, ..] = waits.as_slice() else {
        anyhow::bail!("the upstream saw {after:?} until it was well");
    };
    found.check(
        bursts.len() == 2,
        "nothing reaches the upstream while it is open",
    );
    found.check(
        failing.count <= PROBES_MAX && failing.count > 0,
        "at most five probes",
    );
    found.check(
        *first >= Duration::from_secs(1),
        "open for a second at first",
    );
    found.check(*second > *first * 3 / 2, "open for longer the second time");
    found.figure = format!(
        "{} failing requests opened it; {} probes after {} ms, open again for {} ms",
        opening.count,
        failing.count,
        first.as_millis(),
        second.as_millis()
    );
    Ok(())
}

/// Arrivals without a long pause between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Burst {
    count: usize,
    /// The pause before it.
    wait: Duration,
    last: Instant,
}

fn bursts(arrivals: &[Instant]) -> Vec<Burst> {
    let mut bursts: Vec<Burst> = Vec::new();
    for at in arrivals {
        match bursts.last_mut() {
            Some(burst) if at.duration_since(burst.last) < APART => {
                burst.count += 1;
                burst.last = *at;
            }
            last => {
                let wait = last.map_or(Duration::ZERO, |burst| at.duration_since(burst.last));
                bursts.push(Burst {
                    count: 1,
                    wait,
                    last: *at,
                });
            }
        }
    }
    bursts
}

fn accounts(site: &Site, gateway: &mut Process, found: &mut Found) -> anyhow::Result<()> {
    let metrics = site.metrics()?;
    let became = |to: &str| {
        let series = metrics.labelled(
            "tidegate_circuit_transitions_total",
            &format!("to=\"{to}\""),
        );
        series.round() as u64
    };
    let counts = ["open", "half_open", "closed"].map(became);
    gateway.stop(PATIENCE)?;
    let (mut quarantined, mut dropped) = (0, 0);
    for record in site.decisions()? {
        quarantined += u64::from(record["decision"] == "QUARANTINE");
        let open = record["circuit"] != "closed" && record["decision"] == "DROP";
        dropped += u64::from(open && record["status"] == 503);
    }
    found.check(quarantined == 0, "no good client is quarantined");
    found.check(dropped > 0, "records tell of the open circuit");
    found.check(counts == [2, 2, 1], "the metrics tell its life");
    found.figure += &format!(
        "; became open, half open, closed: {counts:?}; {dropped} answered 503, {quarantined} quarantined"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_pause_begins_another_burst() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let found = bursts(&[at(0), at(100), at(1200), at(1300), at(3500)]);
        let told: Vec<_> = found
            .iter()
            .map(|b| (b.count, b.wait.as_millis()))
            .collect();
        assert_eq!(told, [(2, 0), (2, 1100), (1, 2200)]);
    }
}
