//! Acceptance lists: parts in order, each with a figure and a verdict, resumable.
//!
//! At full scale a part that passed at this commit, with a clean tree, is not run again. A part
//! that cannot run falls short: nothing is skipped in silence.

mod chain;
mod closed;
mod cost;
mod crash;
mod headers;
mod identity;
mod recorded;
mod report;
mod scrape;
mod speed;
mod state;
mod tamper;
mod wire;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;

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

const OBSERVE: &[Part] = &[
    part(
        "wire",
        "answers of a real nginx byte for byte, unknown paths and odd methods too",
        wire::byte_for_byte,
    ),
    part(
        "headers",
        "expose_headers shows contract, decision and risk, and only then",
        headers::exposed_on_request,
    ),
    part(
        "closed",
        "without a valid rulebook the data port stays closed: exit 78, the place is named",
        closed::without_a_rulebook,
    ),
    part(
        "verify",
        "ledger verify accepts what the gateway wrote",
        chain::intact,
    ),
    part(
        "tamper",
        "one byte changed in any file: exit 65, and record or file are named",
        tamper::tampered,
    ),
    part(
        "lock",
        "a second process on the directory is refused",
        chain::second_process,
    ),
    part(
        "jq",
        "jq and sha256sum verify any line",
        chain::independent_hash,
    ),
    part(
        "replay",
        "decisions made under load by two workers replay with 0 differences",
        chain::replayed,
    ),
    part(
        "identities",
        "heads = decisions + refused; upstream = forwarded + retries - never sent; ledger = metrics",
        identity::hold,
    ),
    part(
        "control",
        "the same in tier CONTROL; answered by us, by status: ledger = driver",
        identity::hold_under_control,
    ),
    part(
        "scrape",
        "promtool accepts the metrics",
        scrape::accepted_by_promtool,
    ),
    part(
        "kill",
        "SIGKILL under load, restart, verify: clean, the torn tail reported",
        crash::killed,
    ),
    part(
        "memory",
        "distinct unknown paths: RSS grows by less than 10 MiB, series not at all",
        cost::unknown_paths,
    ),
    part(
        "cpu",
        "CPU per request over a bare pass-through at most +12 % (judged at full scale)",
        cost::cpu,
    ),
    // At small scale the steps before this one show the same, but for the times.
    full_part(
        "benches",
        "admit, match, push, complete, line + chain: median of the best of 3 runs inside its bound",
        speed::times,
    ),
    full_part(
        "instructions",
        "admit without I/O at most 1,500 instructions",
        speed::instructions,
    ),
    full_part(
        "allocations",
        "admit, end and ring push without an allocation",
        speed::allocations,
    ),
];

/// Runs the list of observation; true when every part passes.
///
/// # Errors
/// When the state cannot be kept. A part's own failure is a verdict, not an error.
pub fn observe(scale: Scale, folder: &Path, only: Option<&str>) -> anyhow::Result<bool> {
    if let Some(name) = only {
        let names: Vec<&str> = OBSERVE.iter().map(|p| p.name).collect();
        anyhow::ensure!(
            names.contains(&name),
            "no part {name}; the parts are {}",
            names.join(", ")
        );
    }
    std::fs::create_dir_all(folder)?;
    let context = Context {
        scale,
        folder: folder.to_owned(),
        commit: state::commit(),
    };
    let mut results = Vec::new();
    for part in OBSERVE {
        let wanted = only.is_none_or(|name| name == part.name);
        if !wanted || (part.full_only && scale == Scale::Small) {
            continue;
        }
        let result = one(&context, part)?;
        println!("{}", report::line(part.name, &result));
        results.push((part, result));
    }
    let pass = results.iter().all(|(_, r)| r.pass);
    if scale == Scale::Full && only.is_none() {
        let rows: Vec<_> = results.iter().map(|(p, r)| (p.name, p.asks, r)).collect();
        report::write(
            Path::new("docs/acceptance/observe.md"),
            &context.commit,
            &rows,
        )?;
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
