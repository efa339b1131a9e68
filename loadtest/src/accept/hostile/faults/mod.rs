//! The fault table: each fault is done to the real gateway, and the row says whether what must hold
//! held: no action above the tier, every request answered within its bound whatever the ledger does,
//! no silent gap in the accounts, service again when the fault is over, and a process that lives.

mod bundles;
mod client;
mod clocks;
mod descriptors;
mod kills;
mod ledgers;
mod place;
mod shim;
mod upstreams;

use std::path::Path;
use std::time::Instant;

use super::graceful;
use crate::accept::{Context, Scale, Verdict};

/// What was tried, and what came of it.
pub(super) struct Rows {
    began: Instant,
    rows: Vec<Row>,
    /// What is done at full scale alone.
    left_out: Vec<&'static str>,
}

struct Row {
    name: String,
    told: String,
    survived: bool,
    millis: u128,
}

impl Rows {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            rows: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Adds a row; an error is a fault that was not survived, and its text the reason.
    pub(super) fn note(&mut self, name: &str, judged: anyhow::Result<String>) {
        let survived = judged.is_ok();
        let told = judged.unwrap_or_else(|error| format!("{error:#}"));
        let millis = self.began.elapsed().as_millis();
        self.began = Instant::now();
        self.rows.push(Row {
            name: name.to_owned(),
            told: told.lines().collect::<Vec<_>>().join(" "),
            survived,
            millis,
        });
    }

    /// Says what this scale does not do.
    pub(super) fn leave_out(&mut self, name: &'static str) {
        self.left_out.push(name);
    }

    /// Adds what could not even be begun.
    fn whole(&mut self, name: &str, done: anyhow::Result<()>) {
        if let Err(error) = done {
            self.note(name, Err(error));
        }
    }

    fn survived(&self) -> usize {
        self.rows.iter().filter(|row| row.survived).count()
    }

    fn closing(&self) -> String {
        let counts = format!("survived {} / tried {}", self.survived(), self.rows.len());
        if self.left_out.is_empty() {
            return counts;
        }
        format!("{counts}; at full scale only: {}", self.left_out.join(", "))
    }
}

fn tried(context: &Context) -> Rows {
    let mut rows = Rows::new();
    let done = upstreams::rows(context, &mut rows);
    rows.whole("upstream faults", done);
    ledgers::rows(context, &mut rows);
    let done = clocks::rows(context, &mut rows);
    rows.whole("wall clock", done);
    descriptors::rows(context, &mut rows);
    bundles::rows(context, &mut rows);
    kills::rows(context, &mut rows);
    rows.note("binary upgrade under load", upgraded(context));
    rows
}

/// The fault is the hand-over: the part of the list that does it judges it.
fn upgraded(context: &Context) -> anyhow::Result<String> {
    let verdict = graceful::upgrades(context)?;
    anyhow::ensure!(verdict.pass, "{}", verdict.figure);
    Ok(verdict.figure)
}

/// The table as a part of the list.
pub(super) fn survived(context: &Context) -> anyhow::Result<Verdict> {
    let rows = tried(context);
    let failed = rows.rows.iter().filter(|row| !row.survived);
    let failed: Vec<String> = failed
        .map(|row| format!("{}: {}", row.name, row.told))
        .collect();
    let figure = if failed.is_empty() {
        rows.closing()
    } else {
        format!("{}; NOT: {}", rows.closing(), failed.join("; "))
    };
    Ok(Verdict::new(failed.is_empty(), figure))
}

/// The table as a command; true when all was survived.
///
/// # Errors
/// When the folder cannot be made.
pub fn print(scale: Scale, folder: &Path) -> anyhow::Result<bool> {
    std::fs::create_dir_all(folder)?;
    let rows = tried(&Context::of(scale, folder));
    for row in &rows.rows {
        let word = if row.survived { "survived" } else { "NOT" };
        println!(
            "{:<26} {word:<9} {:>6} ms  {}",
            row.name, row.millis, row.told
        );
    }
    println!("{}", rows.closing());
    Ok(rows.survived() == rows.rows.len())
}
