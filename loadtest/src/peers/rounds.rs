//! Interleaved rounds of one scenario: every subject once in each round, in an order that turns.
//!
//! All subjects run all the time, and only one of them is driven. The first round warms pools and
//! caches and is not counted. A round that loses a request ends the run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::catalogue::{Catalogue, LIMITED_PATH};
use super::cpu::{Used, rss_kib};
use super::load::Load;
use super::outcome::{
    CPU, LATE, LEDGER, Outcome, P50, P99, P999, RATE, RSS, SYSTEM, Subject, USER,
};
use super::scenario::{Drive, Entry, Scenario};
use super::subject::{Kind, Place, Running, Tuning, check};
use super::upstream::Answers;
use super::{Rounds, open_loop};
use crate::site::get;

/// What is done after a round (writing records, for one) is part of it.
const SETTLES: Duration = Duration::from_millis(150);
/// Seconds of the first round.
const WARM_UP: u32 = 1;
const SCRAPED_EVERY: Duration = Duration::from_millis(100);

/// A subject with all that it needs to be driven.
struct Driven {
    entry: Entry,
    running: Running,
    figures: Subject,
    /// A file with the paths that it is asked for.
    paths_file: PathBuf,
    paths: Vec<String>,
}

/// Where a scenario runs.
pub(super) struct Ground<'a> {
    pub(super) folder: &'a Path,
    pub(super) upstream: &'a Answers,
    pub(super) certificate: Option<(&'a Path, &'a Path)>,
}

pub(super) fn run(
    scenario: &Scenario,
    ground: &Ground<'_>,
    asked: Rounds,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut all = Vec::new();
    for entry in scenario.subjects {
        if let Some(why) = entry.kind.missing() {
            outcome.missing.push(format!("{}: {why}", entry.label()));
            continue;
        }
        let label = entry.label();
        eprintln!("  {label}");
        match start(scenario, ground, entry) {
            Ok(driven) => all.push(driven),
            // Where peers are only beside the point, one that cannot do it is a result.
            Err(e) if !scenario.by_default && !matches!(entry.kind, Kind::Tidegate(_)) => {
                outcome.missing.push(format!("{label}: {e:#}"));
            }
            Err(e) => return Err(e.context(label)),
        }
    }
    for round in 0..=asked.rounds {
        let first = round as usize % all.len().max(1);
        for turn in 0..all.len() {
            let at = (first + turn) % all.len();
            let Some(driven) = all.get_mut(at) else {
                continue;
            };
            let seconds = if round == 0 { WARM_UP } else { asked.seconds };
            let measured = driven.round(scenario, seconds, round > 0);
            measured.with_context(|| format!("{}: {}", scenario.name, driven.figures.label))?;
        }
    }
    outcome.subjects = all
        .into_iter()
        .map(Driven::ended)
        .collect::<Result<_, _>>()?;
    Ok(outcome)
}

fn start(scenario: &Scenario, ground: &Ground<'_>, entry: &Entry) -> anyhow::Result<Driven> {
    let label = entry.label();
    let folder = ground.folder.join(label.replace([' ', ',', '='], "-"));
    let catalogue = Catalogue::of(entry.contracts.unwrap_or(scenario.contracts));
    let place = Place {
        folder: &folder,
        upstream: if scenario.large {
            ground.upstream.large
        } else {
            ground.upstream.small
        },
        catalogue: &catalogue,
        speaks: scenario.speaks,
        certificate: ground.certificate,
    };
    let prepared = entry.kind.prepare(&place)?;
    let running = prepared.launch()?.checked(entry.kind, &place)?;
    let paths = if entry.refused {
        vec![LIMITED_PATH.to_owned()]
    } else {
        catalogue.paths()
    };
    let paths_file = folder.join("paths.txt");
    std::fs::write(&paths_file, paths.join("\n") + "\n")?;
    Ok(Driven {
        entry: *entry,
        running,
        figures: Subject::of(label),
        paths_file,
        paths,
    })
}

impl Driven {
    fn round(&mut self, scenario: &Scenario, seconds: u32, counts: bool) -> anyhow::Result<()> {
        let id = self.running.process.id();
        let ledger_before = self.ledger_bytes()?;
        let before = Used::by(id)?;
        let mut figures = Vec::new();
        let requests = match self.entry.kind {
            Kind::Tidegate(Tuning::Scraped) => {
                self.scraped(|| self.drive(scenario, seconds, &mut figures))
            }
            _ => self.drive(scenario, seconds, &mut figures),
        }?;
        std::thread::sleep(SETTLES);
        let spent = Used::by(id)?.since(before);
        ensure!(
            spent.total_us() > 0.0,
            "it used no CPU: something else answered"
        );
        if self.entry.refused {
            let status = check::status(self.running.address, "GET", LIMITED_PATH)?;
            ensure!(status == 429, "refusals are answered {status}");
        }
        if !counts {
            return Ok(());
        }
        let each = requests as f64;
        figures.push((CPU, spent.total_us() / each));
        figures.push((USER, spent.user_us / each));
        figures.push((SYSTEM, spent.system_us / each));
        figures.push((RSS, rss_kib(id)? as f64 / 1_024.0));
        if let (Some(before), Some(after)) = (ledger_before, self.ledger_bytes()?) {
            figures.push((LEDGER, after.saturating_sub(before) as f64 / each));
        }
        for (name, figure) in figures {
            self.figures.add(name, figure);
        }
        Ok(())
    }

    /// Drives it once; gives the number of requests.
    fn drive(
        &self,
        scenario: &Scenario,
        seconds: u32,
        figures: &mut Vec<(&'static str, f64)>,
    ) -> anyhow::Result<u64> {
        match scenario.drive {
            Drive::Closed { way, connections } => {
                let load = Load {
                    way,
                    connections,
                    seconds,
                    paths: &self.paths_file,
                    refused: self.entry.refused,
                };
                let answered = load.run(self.running.address)?;
                figures.push((RATE, answered.per_second));
                Ok(answered.requests)
            }
            Drive::Open { rate } => {
                let latency = open_loop::run(self.running.address, &self.paths, rate, seconds)?;
                figures.push((P50, latency.p50_us));
                figures.push((P99, latency.p99_us));
                figures.push((P999, latency.p999_us));
                figures.push((LATE, latency.late_p99_us));
                Ok(latency.requests)
            }
            Drive::Starts => anyhow::bail!("starts are not driven"),
        }
    }

    /// Does something while the metrics are asked for again and again.
    fn scraped<T>(&self, mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let admin = self.running.admin.context("no admin listener")?;
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let scraping = scope.spawn(|| -> anyhow::Result<()> {
                while !done.load(Ordering::Relaxed) {
                    let (status, _) = get(admin, "/metrics")?;
                    ensure!(status == 200, "/metrics answers {status}");
                    std::thread::sleep(SCRAPED_EVERY);
                }
                Ok(())
            });
            let worked = work();
            done.store(true, Ordering::Relaxed);
            let scraped = scraping.join();
            scraped.map_err(|_| anyhow::anyhow!("scraping panicked"))??;
            worked
        })
    }

    fn ledger_bytes(&self) -> anyhow::Result<Option<u64>> {
        self.running.ledger.as_deref().map(bytes_below).transpose()
    }

    /// Ends the process and removes its files: logs and ledgers are large.
    fn ended(self) -> anyhow::Result<Subject> {
        let Self {
            running,
            figures,
            paths_file,
            ..
        } = self;
        drop(running);
        if let Some(folder) = paths_file.parent() {
            std::fs::remove_dir_all(folder)?;
        }
        Ok(figures)
    }
}

/// Sizes of all files of a folder, with the folders in it.
fn bytes_below(folder: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A file may be renamed or removed meanwhile.
        let Ok(about) = entry.metadata() else {
            continue;
        };
        sum += if about.is_dir() {
            bytes_below(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(sum)
}
