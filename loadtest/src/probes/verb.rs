//! The verb: prints what becomes of every probe, for people.

use std::path::PathBuf;

use clap::Args;

use super::file::{Probe, all, identity};
use super::outcome::Outcome;
use super::score::{Score, run_all};
use super::subject::Kind;

/// Which probes behind which proxies.
#[derive(Args)]
pub struct Options {
    /// Proxies; all when none is named
    #[arg(long, value_enum)]
    subject: Vec<Kind>,
    /// Only probes whose name contains this; a single one shows its bytes
    #[arg(long, default_value = "")]
    probe: String,
    /// Folder for files of the proxies
    #[arg(long)]
    state: PathBuf,
}

/// Runs and prints the table and the totals.
///
/// # Errors
/// When a proxy does not start or cannot be reached.
pub fn print(options: &Options) -> anyhow::Result<()> {
    let kinds = match options.subject.as_slice() {
        [] => Kind::ALL.to_vec(),
        some => some.to_vec(),
    };
    let mut probes = all()?;
    probes.extend(identity()?);
    probes.retain(|probe| probe.name.contains(&options.probe));
    anyhow::ensure!(
        !probes.is_empty(),
        "no probe has '{}' in its name",
        options.probe
    );
    let scores = run_all(&options.state, &kinds, &probes)?;
    println!("{}", table(&probes, &scores));
    Ok(())
}

/// A line per probe and a line per proxy; what a probe does not accept is marked.
#[must_use]
pub fn table(probes: &[Probe], scores: &[Score]) -> String {
    let mut lines = Vec::new();
    for (n, probe) in probes.iter().enumerate() {
        let cells = scores.iter().filter_map(|score| score.outcomes.get(n));
        let cells: Vec<String> = cells.map(|outcome| cell(outcome, probe)).collect();
        lines.push(format!("{:<44} {}", probe.name, cells.join(" ")));
    }
    for score in scores {
        lines.push(format!(
            "{:<18} {} of {} as accepted; refused {}, passed {}, malformed {}, leaked {}, doubled {}",
            score.kind.name(),
            score.accepted(probes),
            probes.len(),
            score.count("refused"),
            score.count("passed"),
            score.count("MALFORMED"),
            score.count("LEAKED"),
            score.count("DOUBLED"),
        ));
    }
    lines.join("\n")
}

fn cell(outcome: &Outcome, probe: &Probe) -> String {
    let mark = if outcome.is_accepted(probe) { ' ' } else { '!' };
    let why = match outcome {
        Outcome::Malformed(why) | Outcome::Leaked(why) | Outcome::Doubled(why) => {
            format!(" ({why})")
        }
        Outcome::Refused | Outcome::Passed => String::new(),
    };
    format!("{mark}{:<10}", format!("{}{why}", outcome.word()))
}
