//! Nothing that an operator does in order fails a request: upgrades, reloads, a stop.
//!
//! Judged from outside: by clients that forgive nothing, by `ledger verify`, and by the accounts of each
//! boot against what clients counted.

mod clients;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;

use super::super::chain::verified;
use super::super::{Context, Verdict};
use crate::process::Process;
use crate::site::{self, LOG, PATIENCE, Site};
use crate::upstream::Upstream;
use clients::Clients;

const CONTRACTS: &str =
    "version: 1\ncontracts:\n  - {id: one, owner: me, endpoint: \"GET /one\"}\n";
const MORE: &str = "  - {id: two, owner: me, endpoint: \"GET /two\"}\n";
const CLIENTS: usize = 9;
/// Within this all reloads are done.
const RELOADS_MAX: Duration = Duration::from_secs(240);

/// The accounts of the ledger: what boots made, and what of it has a line, is counted or lost.
#[derive(Debug, Default)]
struct Accounts {
    boots: u64,
    made: u64,
    lines: u64,
    rolled_up: u64,
    lost: u64,
    unaccounted: u64,
}

impl Accounts {
    fn of(site: &Site) -> anyhow::Result<Self> {
        let mut all = Self::default();
        let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
        site::lines(&site.ledger(), |line| {
            let sum = |member: &str| -> u64 {
                let counts = line[member].as_object();
                counts.map_or(0, |counts| counts.values().map(number).sum())
            };
            match line["kind"].as_str() {
                Some("open") => all.boots += 1,
                Some("decision") => all.lines += 1,
                Some("rollup") => all.rolled_up += number(&line["count"]),
                Some("loss") => all.lost += number(&line["count"]),
                Some("close") => {
                    all.made += sum("made");
                    all.unaccounted += sum("unaccounted");
                }
                _ => {}
            }
        })?;
        Ok(all)
    }

    /// Every number of every boot is somewhere, and none is lost.
    fn balance(&self) -> bool {
        self.made == self.lines + self.rolled_up && self.lost == 0 && self.unaccounted == 0
    }
}

fn site(context: &Context, name: &str, upstream: &Upstream) -> anyhow::Result<Site> {
    Site::controlling(&context.folder(name), upstream.address(), CONTRACTS)
}

/// What all of them end with: the verdict over clients and ledger.
fn judged(
    site: &Site,
    clients: Clients,
    mut gateway: Process,
    what: &str,
    boots: u64,
) -> anyhow::Result<Verdict> {
    let seen = std::sync::Arc::clone(&clients.seen);
    let failed = clients.end()?;
    let status = gateway.stop(PATIENCE)?;
    let [good, again, late] =
        [&seen.good, &seen.again, &seen.late].map(|it| it.load(Ordering::Relaxed));
    let accounts = Accounts::of(site)?;
    let report = verified(site)?;
    let pass = failed.is_empty()
        && again == 0
        && good > 0
        && status.success()
        && report.code == Some(0)
        && accounts.balance()
        && accounts.boots == boots
        && accounts.made == good;
    let figure = format!(
        "{what}: {good} requests, {} failed, {again} asked again on a kept connection ({late} came late); {} boots made {} = {} lines \
         + {} counted + {} lost + {} unaccounted; verify {}{}",
        failed.len(),
        accounts.boots,
        accounts.made,
        accounts.lines,
        accounts.rolled_up,
        accounts.lost,
        accounts.unaccounted,
        report.json["verdict"],
        first(&failed),
    );
    Ok(Verdict::new(pass, figure))
}

/// The kinds of failure with their counts.
fn first(failed: &[String]) -> String {
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for text in failed {
        *kinds.entry(text).or_default() += 1;
    }
    if kinds.is_empty() {
        return String::new();
    }
    let shown: Vec<_> = kinds.iter().take(3).collect();
    format!("; {shown:?}")
}

pub(super) fn upgrades(context: &Context) -> anyhow::Result<Verdict> {
    let count = context.pick(2, 10);
    let upstream = Upstream::start()?;
    let site = site(context, "upgrades", &upstream)?;
    let mut gateway = site.start()?;
    let clients = Clients::start(site.listen, CLIENTS, false);
    let mut longest = Duration::ZERO;
    for number in 0..count {
        clients.serve(500)?;
        let began = std::time::Instant::now();
        let next = site.instead(&format!("gateway-{number}.log"))?;
        let mut old = std::mem::replace(&mut gateway, next);
        let ended = old.wait(PATIENCE)?;
        anyhow::ensure!(
            ended.success(),
            "the old one ended with {ended}: {}",
            old.log_end()
        );
        longest = longest.max(began.elapsed());
    }
    clients.serve(500)?;
    let what = format!(
        "{count} upgrades, the longest in {} ms",
        longest.as_millis()
    );
    judged(&site, clients, gateway, &what, count + 1)
}

pub(super) fn reloads(context: &Context) -> anyhow::Result<Verdict> {
    let count: u64 = context.pick(40, 1_000);
    let upstream = Upstream::start()?;
    let site = site(context, "reloads", &upstream)?;
    site.amend("version: 1", "version: 1\nwatch: false")?;
    let gateway = site.start()?;
    let clients = Clients::start(site.listen, CLIENTS, false);
    let (mut activated, began) = (0, std::time::Instant::now());
    for number in 1..=count {
        let more = if number % 2 == 1 { MORE } else { "" };
        site.write("contracts/own.yaml", &format!("{CONTRACTS}{more}"))?;
        let output = site.run(&["reload", "-c", "tidegate.yaml"])?;
        activated += u64::from(output.status.success());
        clients.serve(5)?;
    }
    let took = began.elapsed();
    let what = format!("{activated} of {count} reloads in {} s", took.as_secs());
    let verdict = judged(&site, clients, gateway, &what, 1)?;
    Ok(Verdict::new(
        verdict.pass && activated == count && took <= RELOADS_MAX,
        verdict.figure,
    ))
}

pub(super) fn stops(context: &Context) -> anyhow::Result<Verdict> {
    let count = context.pick(2, 20);
    let upstream = Upstream::start()?;
    let site = site(context, "stops", &upstream)?;
    let (mut good, mut again, mut late, mut unmet) = (0, 0, 0, 0);
    let (mut failed, mut in_order) = (Vec::new(), 0);
    for _ in 0..count {
        let mut gateway = site.start()?;
        let clients = Clients::start(site.listen, CLIENTS, true);
        clients.serve(500)?;
        let status = gateway.stop(PATIENCE)?;
        let log = std::fs::read_to_string(site.folder().join(LOG)).context("its log")?;
        in_order += u64::from(status.success() && !log.contains("cut_off"));
        let seen = std::sync::Arc::clone(&clients.seen);
        failed.extend(clients.end()?);
        good += seen.good.load(Ordering::Relaxed);
        again += seen.again.load(Ordering::Relaxed);
        late += seen.late.load(Ordering::Relaxed);
        unmet += seen.unmet.load(Ordering::Relaxed);
    }
    let accounts = Accounts::of(&site)?;
    let report = verified(&site)?;
    let pass = failed.is_empty()
        && again == 0
        // The moment between emptying a queue and closing it.
        && unmet <= count
        && in_order == count
        && report.code == Some(0)
        && accounts.balance()
        && accounts.made == good;
    let figure = format!(
        "{in_order} of {count} stops in order; {good} requests, {} begun and not answered, {again} asked again on a \
         kept connection ({late} came late), {unmet} let in behind the last look; boots made {} = {} lines + {} counted; verify {}{}",
        failed.len(),
        accounts.made,
        accounts.lines,
        accounts.rolled_up,
        report.json["verdict"],
        first(&failed),
    );
    Ok(Verdict::new(pass, figure))
}
