//! Acceptance lists: parts in order, each with a figure and a verdict, resumable.
//!
//! At full scale a part that passed at this commit, with a clean tree, is not run again. A part
//! that cannot run falls short: nothing is skipped in silence.

pub(crate) mod bundles;
mod chain;
mod closed;
mod control;
mod cost;
mod crash;
mod headers;
pub(crate) mod hostile;
mod identity;
mod ledger;
mod observe;
mod performance;
mod recorded;
mod report;
mod scrape;
mod speed;
mod state;
mod tamper;
mod tested;
mod wire;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;

pub use bundles::BUNDLES;
pub use control::CONTROL;
pub use hostile::{FuzzAsked, HOSTILE, faults, fuzz};
pub use ledger::LEDGER;
pub use observe::OBSERVE;
pub use performance::PERFORMANCE;
pub use state::Result as PartResult;

/// How much load the parts make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scale {
    /// Reduced counts, for every test run.
    Small,
    /// The counts of the list.
    Full,
}

/// What a part gets.
pub struct Context {
    scale: Scale,
    folder: PathBuf,
    commit: String,
}

impl Context {
    fn of(scale: Scale, folder: &Path) -> Self {
        Self {
            scale,
            folder: folder.to_owned(),
            commit: state::commit(),
        }
    }

    /// One of two counts.
    fn pick<T>(&self, small: T, full: T) -> T {
        match self.scale {
            Scale::Small => small,
            Scale::Full => full,
        }
    }

    /// A folder of the part's own.
    fn folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// What a part found.
pub struct Verdict {
    figure: String,
    pass: bool,
}

impl Verdict {
    fn new(pass: bool, figure: String) -> Self {
        Self { figure, pass }
    }
}

/// One line of the list.
struct Part {
    name: &'static str,
    /// What is asked, with its bound.
    asks: &'static str,
    full_only: bool,
    run: fn(&Context) -> anyhow::Result<Verdict>,
}

const fn part(
    name: &'static str,
    asks: &'static str,
    run: fn(&Context) -> anyhow::Result<Verdict>,
) -> Part {
    Part {
        name,
        asks,
        full_only: false,
        run,
    }
}

const fn full_part(
    name: &'static str,
    asks: &'static str,
    run: fn(&Context) -> anyhow::Result<Verdict>,
) -> Part {
    Part {
        full_only: true,
        ..part(name, asks, run)
    }
}

/// A list, with the page that a full run of it writes.
pub struct List {
    /// Its name, on the command line and of its page.
    name: &'static str,
    title: &'static str,
    parts: &'static [Part],
}

/// Runs a list; true when every part passes.
///
/// # Errors
/// When the state cannot be kept. A part's own failure is a verdict, not an error.
pub fn run(list: &List, scale: Scale, folder: &Path, only: Option<&str>) -> anyhow::Result<bool> {
    if let Some(name) = only {
        let names: Vec<&str> = list.parts.iter().map(|p| p.name).collect();
        anyhow::ensure!(
            names.contains(&name),
            "no part {name}; the parts are {}",
            names.join(", ")
        );
    }
    std::fs::create_dir_all(folder)?;
    let context = Context::of(scale, folder);
    let mut results = Vec::new();
    for part in list.parts {
        let wanted = only.is_none_or(|name| name == part.name);
        // Asked for by its name a part runs at any scale.
        if !wanted || (part.full_only && scale == Scale::Small && only.is_none()) {
            continue;
        }
        let result = one(&context, part)?;
        println!("{}", report::line(part.name, &result));
        results.push((part, result));
    }
    let pass = results.iter().all(|(_, r)| r.pass);
    if scale == Scale::Full {
        // Parts may have been run one by one; the page has what each found at this commit.
        let told = |p: &Part| state::told(&context.folder, p.name, &context.commit);
        let all: Vec<_> = list.parts.iter().map(|p| (p, told(p))).collect();
        let rows: Vec<_> = all
            .iter()
            .map(|(p, r)| (p.name, p.asks, r.as_ref()))
            .collect();
        report::write(list.name, list.title, &context.commit, &rows)?;
    }
    Ok(pass)
}

fn one(context: &Context, part: &Part) -> anyhow::Result<PartResult> {
    // Only the long run is worth resuming; a reduced one is always run as a whole.
    if context.scale == Scale::Full
        && let Some(kept) = state::load(&context.folder, part.name, &context.commit)
    {
        return Ok(kept);
    }
    let began = Instant::now();
    let verdict = (part.run)(context)
        .unwrap_or_else(|e| Verdict::new(false, format!("could not run: {e:#}")));
    let result = PartResult {
        figure: verdict.figure,
        pass: verdict.pass,
        seconds: began.elapsed().as_secs(),
        kept: false,
    };
    state::save(&context.folder, part.name, &context.commit, &result)?;
    Ok(result)
}
