//! Instructions of user space that one request costs on its worker thread, counted by valgrind.
//!
//! Two runs differ in their number of requests alone, so what the start and the stop cost cancels
//! out; what threads do by the clock is spread over thousands of requests. Counts repeat within a
//! percent where CPU times on a shared machine differ by ten. Deliberately not here: the kernel's
//! share, which `cpu-ratio` measures, and the ledger's thread: valgrind hides the processor's
//! instructions for SHA-256, so what it counts there is another program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::drive;
use crate::process::installed;
use crate::site::{LOG, Setup, Site};
use crate::upstream::Upstream;

/// Requests of the shorter run; pools and tables are warm after them.
const FEW: u64 = 2_000;
/// Only a worker calls it.
const READS_HEADS: &str = "tidegate::gateway::edge::head::parse";
/// A program under valgrind starts slowly and is slow to stop.
const PATIENCE: Duration = Duration::from_secs(120);

/// What to count.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The gateway's program; several are counted one after the other. Default: the one beside
    /// this program
    #[arg(long = "program")]
    pub programs: Vec<PathBuf>,
    /// Requests that are counted
    #[arg(long, default_value_t = 10_000)]
    pub requests: u64,
    /// Folder for the gateway's files; emptied
    #[arg(long, default_value = "target/instructions")]
    pub dir: PathBuf,
}

/// Counts each program.
///
/// # Errors
/// When valgrind is not installed or a run fails.
pub fn run(options: &Options) -> anyhow::Result<Value> {
    let mut counted = Vec::new();
    if options.programs.is_empty() {
        counted.push(json!({"per_request": per_request(options, None)?}));
    }
    for program in &options.programs {
        let count = per_request(options, Some(program))?;
        counted.push(json!({"program": program, "per_request": count}));
    }
    Ok(Value::Array(counted))
}

/// Instructions per request of one program.
///
/// # Errors
/// When valgrind is not installed or a run fails.
pub fn per_request(options: &Options, program: Option<&Path>) -> anyhow::Result<u64> {
    anyhow::ensure!(installed("valgrind").is_some(), "valgrind is not installed");
    let few = total(options, program, FEW)?;
    let many = total(options, program, FEW + options.requests)?;
    anyhow::ensure!(many > few, "more requests cost less: {few} and {many}");
    Ok((many - few) / options.requests)
}

/// Instructions of a whole run with so many requests.
fn total(options: &Options, program: Option<&Path>, requests: u64) -> anyhow::Result<u64> {
    let upstream = Upstream::start()?;
    let setup = Setup {
        threads: 1,
        tier: "control",
        contracts: 10,
        ..Setup::observing(upstream.address())
    };
    let mut site = Site::prepare(&options.dir, &setup)?;
    if let Some(program) = program {
        site.use_program(program)?;
    }
    let out = site.folder().join("callgrind.out");
    let file = format!("--callgrind-out-file={}", out.display());
    let mut gateway = site.launch(
        &[
            "valgrind",
            "--tool=callgrind",
            "--separate-threads=yes",
            &file,
        ],
        LOG,
    )?;
    site.ready(&mut gateway)?;
    let mut load = drive::Options::new(site.listen, "contracts", requests);
    load.contracts = setup.contracts;
    load.connections = 32;
    let tally = drive::run(&load)?;
    anyhow::ensure!(
        tally.answers() == requests,
        "{} answers of {requests}",
        tally.answers()
    );
    gateway.stop(PATIENCE)?;
    of_worker(site.folder())
}

/// The count of the thread that read heads. Valgrind writes one file per thread.
fn of_worker(folder: &Path) -> anyhow::Result<u64> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("callgrind.out-") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        if text.contains(READS_HEADS) {
            let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
            let count = line.and_then(|count| count.trim().parse().ok());
            return count.context("no total in what valgrind counted");
        }
    }
    anyhow::bail!("no thread called {READS_HEADS}")
}
