//! Other rules come into force while requests run; half of the files are broken.
//!
//! Each version has contracts of its own names for the same paths, so that a record tells which
//! rules matched it. Even versions are whole, odd ones broken in turn in different ways.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::super::{Context, Verdict};
use crate::crowd::{self, Crowd, Outcome};
use crate::process::{Process, rss_kib};
use crate::site::{PATIENCE, Site, post, said};
use crate::upstream::Upstream;

const FILE: &str = "contracts/own.yaml";
const BETWEEN: Duration = Duration::from_millis(20);
const GROWTH_KIB_MAX: u64 = 10 * 1024;

fn whole(version: u32) -> String {
    // What stands before the others moves their places in every other version.
    let first = match version % 4 {
        0 => "  - {id: a_first, owner: me, endpoint: \"GET /first\"}\n",
        _ => "",
    };
    format!(
        "version: 1\ncontracts:\n{first}  - {{id: one_v{version}, owner: me, endpoint: \"GET /one\"}}\n  \
         - {{id: two_v{version}, owner: me, endpoint: \"GET /two/{{x}}\"}}\n"
    )
}

fn broken(version: u32) -> String {
    let whole = whole(version);
    match (version / 2) % 5 {
        0 => whole.chars().take(whole.len() / 2).collect(),
        1 => format!("{whole}  - {{id: one_v{version}, owner: me, endpoint: \"GET /x\"}}\n"),
        2 => whole.replace("owner: me", "owner: me, upstream: nowhere"),
        3 => whole.replace("owner: me", "owner: me, rate_limit_rpm: 0"),
        _ => "version: 2\n".to_owned(),
    }
}

/// How a reload is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    Signal,
    Verb,
    Post,
    Watch,
}

/// The running gateway and what was told of its reloads.
struct Bench<'a> {
    site: &'a Site,
    gateway: &'a Process,
    activated: u64,
    refused: u64,
    wrong: Vec<String>,
}

impl Bench<'_> {
    fn last(&self) -> anyhow::Result<Value> {
        Ok(self.site.told("/v1/status")?["last_reload"].clone())
    }

    /// Writes one version and asks for it; notes what was told otherwise than it should be.
    fn reload(&mut self, version: u32, trigger: Trigger) -> anyhow::Result<()> {
        let good = version.is_multiple_of(2);
        let before = self.last()?;
        let text = if good {
            whole(version)
        } else {
            broken(version)
        };
        // As one step, for the watch would else find half a file.
        self.site.write("next.yaml", &text)?;
        std::fs::rename(
            self.site.folder().join("next.yaml"),
            self.site.folder().join(FILE),
        )?;
        let wanted = if good { "activated" } else { "refused" };
        let answered = match trigger {
            Trigger::Signal => {
                self.gateway.hang_up()?;
                true
            }
            Trigger::Watch => true,
            Trigger::Verb => {
                let output = self.site.run(&["reload", "-c", "tidegate.yaml"])?;
                let told = said(&output);
                output.status.success() == good && (good || told.contains("own.yaml"))
            }
            Trigger::Post => {
                let (status, body) = post(self.site.admin, "/v1/reload", "{}")?;
                status == if good { 200 } else { 422 } && (good || body.contains("remedy"))
            }
        };
        let began = Instant::now();
        let last = loop {
            let last = self.last()?;
            if last != before && last["at_unix_ms"] != before["at_unix_ms"]
                || last["result"] != before["result"]
            {
                break last;
            }
            anyhow::ensure!(
                began.elapsed() < PATIENCE,
                "{trigger:?} of version {version} comes to nothing"
            );
            std::thread::sleep(Duration::from_millis(3));
        };
        self.activated += u64::from(good);
        self.refused += u64::from(!good);
        let findings = last["findings"]
            .as_array()
            .is_some_and(|all| !all.is_empty());
        if last["result"] != wanted || !answered || !(good || findings) {
            self.wrong.push(format!(
                "{trigger:?} {version}: {}, answered as it should: {answered}",
                last["result"]
            ));
        }
        Ok(())
    }

    /// What metrics count of them.
    fn counted(&mut self) -> anyhow::Result<()> {
        let metrics = self.site.metrics()?;
        let of = |result: &str| {
            let label = format!("result=\"{result}\"");
            metrics
                .labelled("tidegate_bundle_activations_total", &label)
                .round() as u64
        };
        let told = (of("activated"), of("refused"));
        if told != (self.activated, self.refused) {
            self.wrong
                .push(format!("metrics count {told:?} activated and refused"));
        }
        let last = metrics.value("tidegate_config_last_reload_successful");
        if last < 0.5 {
            self.wrong
                .push("metrics say that the last one failed".to_owned());
        }
        Ok(())
    }
}

/// One gateway under load, and so many reloads of it.
struct Round {
    outcome: Outcome,
    told: (u64, u64),
    wrong: Vec<String>,
    rss_kib: [u64; 2],
    mixed: u64,
    records: u64,
    rules: usize,
    log: bool,
    replayed: bool,
}

// R067
pub(super) fn under_load(context: &Context) -> anyhow::Result<Verdict> {
    let triggers = [Trigger::Signal, Trigger::Verb, Trigger::Post];
    let asked = round(context, "reloads", context.pick(44, 980), &triggers)?;
    let seen = round(
        context,
        "reloads-watch",
        context.pick(6, 20),
        &[Trigger::Watch],
    )?;
    let (mut pass, mut figures) = (true, Vec::new());
    for (name, round) in [("asked for", asked), ("by watching", seen)] {
        let sum = round.outcome.all();
        let failed = sum.begun - sum.good
            + round
                .outcome
                .statuses
                .iter()
                .filter(|(s, _)| **s != 200)
                .map(|(_, n)| n)
                .sum::<u64>();
        let [warm, end] = round.rss_kib;
        // The small run is too short for pools and rings to have reached their size.
        let flat = end < warm + context.pick(4, 1) * GROWTH_KIB_MAX;
        pass &= failed == 0
            && round.wrong.is_empty()
            && round.mixed == 0
            && flat
            && round.log
            && round.replayed
            && sum.begun > 0;
        figures.push(format!(
            "{name}: {} good and {} broken, {} requests, {failed} failed, {} records by {} rulebooks, {} of them mixed, replayed {}, \
             RSS {warm} -> {end} KiB, broken ones in the log {}, wrong {:?}",
            round.told.0, round.told.1, sum.begun, round.records, round.rules, round.mixed, round.replayed, round.log,
            round.wrong.iter().take(3).collect::<Vec<_>>(),
        ));
    }
    Ok(Verdict::new(pass, figures.join("; ")))
}

fn round(context: &Context, name: &str, count: u32, triggers: &[Trigger]) -> anyhow::Result<Round> {
    let upstream = Upstream::start()?;
    let site = Site::controlling(&context.folder(name), upstream.address(), &whole(0))?;
    let watch = triggers.contains(&Trigger::Watch);
    site.amend("version: 1", &format!("version: 1\nwatch: {watch}"))?;
    let mut gateway = site.start()?;
    let crowd = Crowd {
        paths: vec!["/one".to_owned(), "/two/7".to_owned()],
        ..Crowd::patient(site.listen, "/", context.pick(300, 500))
    };
    let stop = AtomicBool::new(false);
    let mut bench = Bench {
        site: &site,
        gateway: &gateway,
        activated: 0,
        refused: 0,
        wrong: Vec::new(),
    };
    let mut rss = [0; 2];
    let outcome = std::thread::scope(|scope| {
        let load = scope.spawn(|| crowd::run(&crowd, Duration::from_secs(3600), &stop));
        let mut all = || -> anyhow::Result<()> {
            for n in 1..=count {
                let trigger = triggers.get(n as usize % triggers.len());
                bench.reload(n, *trigger.context("a trigger")?)?;
                // Requests have to meet these rules before the next ones come.
                std::thread::sleep(BETWEEN);
                if n == count.div_ceil(4) {
                    rss[0] = rss_kib(bench.gateway.id())?;
                }
            }
            rss[1] = rss_kib(bench.gateway.id())?;
            bench.counted()
        };
        let done = all();
        stop.store(true, Ordering::Relaxed);
        let outcome = load
            .join()
            .map_err(|_| anyhow::anyhow!("the crowd panicked"))?;
        done.and(outcome)
    })?;
    let (told, wrong) = ((bench.activated, bench.refused), bench.wrong);
    gateway.stop(PATIENCE)?;
    let (records, rules, mixed) = mixed(&site)?;
    let log = std::fs::read_to_string(site.folder().join("gateway.log"))?;
    let replay = site.run(&["replay", &site.ledger().display().to_string()])?;
    Ok(Round {
        outcome,
        told,
        wrong,
        rss_kib: rss,
        mixed,
        records,
        rules,
        log: log.contains("reload_failed") && log.contains("own.yaml"),
        replayed: replay.status.success(),
    })
}

/// Records, the rulebooks that they name, and how many name a contract that theirs has not.
pub(in super::super) fn mixed(site: &Site) -> anyhow::Result<(u64, usize, u64)> {
    let mut rules: HashMap<String, BTreeSet<String>> = HashMap::new();
    let (mut records, mut mixed) = (0, 0);
    for record in site.decisions()? {
        records += 1;
        let hash = record["policy_hash"].as_str().context("policy_hash")?;
        if !rules.contains_key(hash) {
            let file = site.ledger().join("rulebooks").join(format!("{hash}.json"));
            rules.insert(
                hash.to_owned(),
                contracts_of(&std::fs::read_to_string(file)?)?,
            );
        }
        let own = record["contract_id"].as_str().unwrap_or_default();
        let known = rules.get(hash).is_some_and(|ids| ids.contains(own));
        mixed += u64::from(!known);
    }
    Ok((records, rules.len(), mixed))
}

fn contracts_of(rulebook: &str) -> anyhow::Result<BTreeSet<String>> {
    let rulebook: Value = serde_json::from_str(rulebook)?;
    let contracts = rulebook["contracts"].as_array().context("contracts")?;
    Ok(contracts
        .iter()
        .filter_map(|c| c["id"].as_str())
        .map(str::to_owned)
        .collect())
}
