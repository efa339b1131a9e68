//! Small worlds in virtual time: crowds of clients that retry and give up, an upstream that
//! queues, slows down, fails and stalls, and the real pipeline of two workers between them.
//!
//! Everything follows from a seed. A failure names it: `SIMULATION_SEED=7` runs that one alone,
//! `SIMULATION_SEEDS=64` runs so many of each scenario. Figures are printed: `--no-capture`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod accounts;
mod era;
mod gateway;
mod judge;
mod random;
mod report;
mod scenario;
mod scenarios;
mod upstream;
mod world;

use report::Report;
use scenario::Scenario;
use world::World;

/// Calls `check` with each seed: the one asked for, so many as asked for, or the first `usual`.
fn for_each_seed(usual: u64, check: impl Fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse().unwrap());
    if let Some(seed) = number("SIMULATION_SEED") {
        return check(seed);
    }
    (1..=number("SIMULATION_SEEDS").unwrap_or(usual)).for_each(check);
}

/// Runs a world to its end and checks what holds in every world.
fn run(scenario: Scenario) -> Report {
    let about = format!("SIMULATION_SEED={} {}", scenario.seed, scenario.tier.name());
    let report = World::new(scenario).run();
    report.check(&about);
    report
}
