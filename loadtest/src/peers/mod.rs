//! The gateway beside what a user would pick instead: the same contracts, the same requests, one
//! worker each, in interleaved rounds.
//!
//! `scenario` lists what is asked of whom; `subject` starts the proxies, each with the same routes from
//! `catalogue`; `rounds`, `starts` and `open_loop` measure; `outcome` keeps the figures of a scenario,
//! `run` those of a run; `table`, `svg` and `goals` show them. What functions of the gateway cost is not
//! measured here (`make gate`, `make figures`).

mod catalogue;
mod combine;
mod cpu;
mod goals;
mod load;
mod open_loop;
mod outcome;
mod rounds;
mod run;
mod scenario;
mod starts;
mod stats;
mod subject;
mod svg;
mod table;
mod upstream;

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;

pub(crate) use goals::{Judged, judge};
pub(crate) use run::Run;

/// What to compare, and how long.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only this scenario, repeatable; "all" for every one; without it those of the goals
    #[arg(long)]
    pub scenario: Vec<String>,
    /// Counted rounds of each subject; one more warms up
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Seconds of each round
    #[arg(long, default_value_t = 2)]
    pub seconds: u32,
    /// Folder that keeps the results of scenarios, so that a run can be resumed
    #[arg(long, default_value = "target/peers")]
    pub state: PathBuf,
    /// Run scenarios again whose results are kept
    #[arg(long)]
    pub again: bool,
    /// File for all figures; without it peers.json in the folder of the state
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// File for the plot; without it peers.svg in the folder of the state
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// Joins files that earlier runs wrote instead of running
    #[arg(long, num_args = 1..)]
    pub combine: Vec<PathBuf>,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
}

/// Runs scenarios or joins runs; prints tables, and writes JSON and plot.
///
/// # Errors
/// When a subject does not start, does less than its name says, or loses a request; what else was
/// measured is printed all the same.
pub fn print(options: &Options) -> anyhow::Result<()> {
    if !options.combine.is_empty() {
        return combine::print(options);
    }
    let names: Vec<&str> = options.scenario.iter().map(String::as_str).collect();
    let asked = Rounds {
        rounds: options.rounds,
        seconds: options.seconds,
    };
    let run = measure(&names, asked, &options.state, options.again)?;
    write(&run, options, &options.state)?;
    println!("{}", table::of_a_run(&run));
    ensure!(run.failed.is_empty(), "failed: {}", run.failed.join("; "));
    Ok(())
}

/// The figures of scenarios, kept in a folder; no names mean those of the goals. What failed stands in
/// the run.
///
/// # Errors
/// When there is no such scenario or the folder cannot be written.
pub(crate) fn measure(
    names: &[&str],
    asked: Rounds,
    state: &Path,
    again: bool,
) -> anyhow::Result<Run> {
    ensure!(
        asked.rounds > 0 && asked.seconds > 0,
        "at least one round of a second"
    );
    let scenarios = scenario::named(names)?;
    run::scenarios(&scenarios, asked, state, again)
}

fn write(run: &Run, options: &Options, folder: &Path) -> anyhow::Result<()> {
    let or = |file: &Option<PathBuf>, name| file.clone().unwrap_or_else(|| folder.join(name));
    let (json, plot) = (
        or(&options.json, "peers.json"),
        or(&options.svg, "peers.svg"),
    );
    std::fs::write(&json, serde_json::to_string_pretty(&run.to_json())?)?;
    std::fs::write(&plot, svg::plot(run))?;
    eprintln!("written: {}, {}", json.display(), plot.display());
    Ok(())
}
