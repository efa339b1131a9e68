//! One signed bundle after the other comes into force while requests run.
//!
//! Each has contracts of its own names for the same paths, so that a record tells which rules
//! matched it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::control::mixed;
use super::super::{Context, Verdict};
use super::people;
use crate::crowd::{self, Crowd};
use crate::site::{PATIENCE, Site, post_if_match, said};
use crate::upstream::Upstream;

pub(super) fn contracts(version: u32) -> String {
    // What stands before the others moves their places in every other version.
    let first = match version % 2 {
        0 => "  - {id: a_first, owner: me, endpoint: \"GET /first\"}\n",
        _ => "",
    };
    format!(
        "version: 1\ncontracts:\n{first}  - {{id: one_v{version}, owner: me, endpoint: \"GET /one\"}}\n  \
         - {{id: two_v{version}, owner: me, endpoint: \"GET /two/{{x}}\"}}\n"
    )
}

/// Bundles in a row, each the parent of the next; the first one stands where a start finds it.
pub(super) fn prepare(
    site: &Site,
    count: u32,
    contracts: impl Fn(u32) -> String,
) -> anyhow::Result<()> {
    people::found(site)?;
    people::run_on_bundles(site)?;
    for version in 0..=count {
        site.write("contracts/own.yaml", &contracts(version))?;
        let parent = version.checked_sub(1).map(name);
        people::agree(site, &name(version), parent.as_deref())?;
    }
    people::put(&site.folder().join(name(0)), &people::candidate(site))
}

pub(super) fn name(version: u32) -> String {
    format!("b{version}.json")
}

/// Applies one bundle through the admin listener; gives its digest.
pub(super) fn apply(site: &Site, version: u32, in_force: &str) -> anyhow::Result<String> {
    let bundle = std::fs::read_to_string(site.folder().join(name(version)))?;
    let (status, body) = post_if_match(site.admin, "/v1/bundle", in_force, &bundle)?;
    anyhow::ensure!(status == 200, "bundle {version}: {status} {body}");
    let status = site.told("/v1/status")?;
    let digest = status["bundle"]["active"]["digest"].as_str();
    Ok(digest.unwrap_or_default().to_owned())
}

// R109
pub(super) fn under_load(context: &Context) -> anyhow::Result<Verdict> {
    let count: u32 = context.pick(30, 10_000);
    let upstream = Upstream::start()?;
    let site = Site::controlling(&context.folder("swaps"), upstream.address(), &contracts(0))?;
    prepare(&site, count, contracts)?;
    let mut gateway = site.start()?;
    let crowd = Crowd {
        paths: vec!["/one".to_owned(), "/two/7".to_owned()],
        ..Crowd::patient(site.listen, "/", context.pick(300, 500))
    };
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    let outcome = std::thread::scope(|scope| {
        let load = scope.spawn(|| crowd::run(&crowd, Duration::from_secs(3_600), &stop));
        let all = || -> anyhow::Result<()> {
            let mut in_force = people::digest(&site, &name(0))?;
            for version in 1..=count {
                in_force = apply(&site, version, &in_force)?;
            }
            Ok(())
        };
        let done = all();
        stop.store(true, Ordering::Relaxed);
        let outcome = load
            .join()
            .map_err(|_| anyhow::anyhow!("the crowd panicked"))?;
        done.and(outcome)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    gateway.stop(PATIENCE)?;
    let sum = outcome.all();
    let other: u64 = outcome
        .statuses
        .iter()
        .filter(|(s, _)| **s != 200)
        .map(|(_, n)| n)
        .sum();
    let failed = sum.begun - sum.good + other;
    let (records, rules, mixed) = mixed(&site)?;
    let replay = site.run(&["replay", &site.ledger().display().to_string()])?;
    let figure = format!(
        "{count} swaps in {seconds:.0} s, {} requests, {failed} failed, {records} records by {rules} rulebooks, {mixed} of them mixed, replay {}",
        sum.begun,
        if replay.status.success() {
            "0 differences".to_owned()
        } else {
            said(&replay)
        },
    );
    let pass = failed == 0 && mixed == 0 && sum.begun > 0 && rules > 1 && replay.status.success();
    Ok(Verdict::new(pass, figure))
}
