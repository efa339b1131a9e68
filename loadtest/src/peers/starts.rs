//! Starts: from the moment a program is executed until its first proxied answer is right.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Rounds;
use super::catalogue::Catalogue;
use super::cpu::rss_kib;
use super::outcome::{Outcome, RSS, START, Subject};
use super::rounds::Ground;
use super::scenario::{Entry, Scenario};
use super::subject::{Kind, Place, Prepared, check, of_a_bundle};
use crate::site::PATIENCE;

const START_MAX: Duration = Duration::from_secs(120);
/// How often it is asked whether it answers.
const EVERY: Duration = Duration::from_micros(500);

pub(super) fn run(
    scenario: &Scenario,
    ground: &Ground<'_>,
    asked: Rounds,
) -> anyhow::Result<Outcome> {
    let catalogue = Catalogue::of(scenario.contracts);
    let path = catalogue.without_delete()?;
    let mut outcome = Outcome::default();
    let mut all = Vec::new();
    for entry in scenario.subjects {
        if let Some(why) = entry.kind.missing() {
            outcome.missing.push(format!("{}: {why}", entry.label()));
            continue;
        }
        let prepared = prepare(entry, ground, &catalogue, scenario);
        let prepared = prepared.with_context(|| entry.label())?;
        all.push((prepared, Subject::of(entry.label())));
    }
    for round in 0..=asked.rounds {
        for (prepared, subject) in &mut all {
            let (took, rss) = once(prepared, &path).with_context(|| subject.label.clone())?;
            // The first start finds cold files.
            if round > 0 {
                subject.add(START, took.as_secs_f64() * 1e3);
                subject.add(RSS, rss as f64 / 1_024.0);
            }
        }
    }
    outcome.subjects = all.into_iter().map(|(_, subject)| subject).collect();
    Ok(outcome)
}

fn prepare(
    entry: &Entry,
    ground: &Ground<'_>,
    catalogue: &Catalogue,
    scenario: &Scenario,
) -> anyhow::Result<Prepared> {
    let folder = ground
        .folder
        .join(entry.label().replace([' ', ',', '='], "-"));
    let place = Place {
        folder: &folder,
        upstream: ground.upstream.small,
        catalogue,
        speaks: scenario.speaks,
        certificate: ground.certificate,
    };
    let prepared = match entry.kind {
        Kind::Tidegate(_) => of_a_bundle(&place)?,
        kind => kind.prepare(&place)?,
    };
    let mut checked = prepared.launch()?.checked(entry.kind, &place)?;
    checked.process.stop(PATIENCE)?;
    Ok(prepared)
}

fn once(prepared: &Prepared, path: &str) -> anyhow::Result<(Duration, u64)> {
    let began = Instant::now();
    let mut running = prepared.launch()?;
    loop {
        if check::status(running.address, "GET", path).is_ok_and(|status| status == 200) {
            break;
        }
        if began.elapsed() > START_MAX {
            bail!(
                "no answer after {START_MAX:?}: {}",
                running.process.log_end()
            );
        }
        std::thread::sleep(EVERY);
    }
    let took = began.elapsed();
    let rss = rss_kib(running.process.id())?;
    running.process.stop(PATIENCE)?;
    Ok((took, rss))
}
