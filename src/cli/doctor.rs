//! `tidegate doctor`: whether what the gateway stands on is in order, and keys that sign for it.
//! Changes nothing.
//!
//! One line for each check, with place, what was found and what to do. Each finding has a code that
//! stays. Not here: the records themselves (`ledger verify`) and the files (`check`).

mod bundle;
mod certificates;
mod disk;
mod head;
mod keys;
mod ledger;
mod process;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::count::count;
use crate::cli::offline::{ConfigArg, FINDINGS, OK, load_or_tell};
use crate::cli::stdio::put;
use crate::config::Settings;
use crate::gateway::clock;

/// Checks disk, clock, keys, head, process and bundles of a gateway.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The configuration of the gateway.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Where the ledger lies, instead of where the files say.
    #[arg(long, env = "TIDEGATE_LEDGER_DIR", value_name = "DIR")]
    pub ledger_dir: Option<PathBuf>,
    /// Private keys that sign bundles and roots, wherever they lie: mode and age.
    #[arg(long = "key", env = "TIDEGATE_DOCTOR_KEY", value_name = "FILE", num_args = 1.., value_delimiter = ',')]
    pub keys: Vec<PathBuf>,
    /// How the result is written to stdout.
    // Not TIDEGATE_FORMAT: other verbs know forms that this one does not.
    #[arg(long, env = "TIDEGATE_DOCTOR_FORMAT", value_enum, default_value_t)]
    pub format: DoctorFormat,
}

/// The form of the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// For people.
    #[default]
    #[value(alias = "pretty")]
    Text,
    /// One JSON object.
    Json,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Fine,
    /// It could not be checked here; nobody may take that for "in order".
    Skipped,
    /// Code and remedy.
    Finding(&'static str, &'static str),
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Checked {
    name: &'static str,
    place: String,
    found: String,
    state: State,
}

impl Checked {
    fn new(name: &'static str, place: impl ToString) -> Self {
        Self {
            name,
            place: place.to_string(),
            found: String::new(),
            state: State::Fine,
        }
    }

    fn fine(mut self, found: impl Into<String>) -> Self {
        self.found = found.into();
        self
    }

    fn skipped(mut self, why: impl Into<String>) -> Self {
        self.state = State::Skipped;
        self.fine(why)
    }

    fn finding(
        mut self,
        code: &'static str,
        found: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        self.state = State::Finding(code, remedy);
        self.fine(found)
    }
}

/// Runs the verb; the result is the exit code: 0 all well, 3 with findings, 78 where the
/// configuration is not valid.
#[must_use]
pub fn run(args: &DoctorArgs) -> u8 {
    let mut settings = match load_or_tell(&args.config.config) {
        Ok(loaded) => loaded.settings,
        Err(code) => return code,
    };
    if let Some(dir) = &args.ledger_dir {
        settings.ledger.dir.clone_from(dir);
    }
    let now_us = clock::now().wall_us;
    let mut checks = examine(&settings, now_us);
    checks.extend(keys::check_signing(&args.keys, now_us));
    let text = match args.format {
        DoctorFormat::Text => text(&checks),
        DoctorFormat::Json => format!("{}\n", to_json(&checks)),
    };
    put(&text, exit_code(&checks))
}

fn examine(settings: &Settings, now_us: u64) -> Vec<Checked> {
    let running = process::holder(&settings.ledger.dir);
    let facts = ledger::facts(&settings.ledger.dir);
    let mut checks = disk::check(settings);
    checks.extend(ledger::check(settings, &facts, running, now_us));
    checks.extend(keys::check(settings, now_us));
    checks.extend(certificates::check(settings, now_us));
    checks.push(head::check(&settings.ledger.dir, &facts, now_us));
    checks.extend(process::check(settings, running));
    checks.extend(bundle::check(settings, now_us));
    checks
}

fn findings(checks: &[Checked]) -> usize {
    let found = |check: &&Checked| matches!(check.state, State::Finding(..));
    checks.iter().filter(found).count()
}

fn exit_code(checks: &[Checked]) -> u8 {
    if findings(checks) == 0 { OK } else { FINDINGS }
}

fn text(checks: &[Checked]) -> String {
    let mut text = String::new();
    for check in checks {
        let (name, place, found) = (check.name, &check.place, &check.found);
        text += &match &check.state {
            State::Fine => format!("ok       {name}: {place}: {found}\n"),
            State::Skipped => format!("skipped  {name}: {place}: {found}\n"),
            State::Finding(code, remedy) => {
                format!("FINDING  {name}: {place}: {code}: {found}; {remedy}\n")
            }
        };
    }
    let found = count(findings(checks), "finding");
    text + &format!("{found} in {}\n", count(checks.len(), "check"))
}

fn to_json(checks: &[Checked]) -> Value {
    let one = |check: &Checked| {
        let (state, code, remedy) = match &check.state {
            State::Fine => ("ok", None, None),
            State::Skipped => ("skipped", None, None),
            State::Finding(code, remedy) => ("finding", Some(*code), Some(*remedy)),
        };
        json!({
            "check": check.name,
            "place": check.place,
            "state": state,
            "code": code,
            "found": check.found,
            "remedy": remedy,
        })
    };
    let all: Vec<Value> = checks.iter().map(one).collect();
    json!({ "findings": findings(checks), "checks": all })
}

/// Bytes for people.
fn bytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
#[path = "doctor/tests.rs"]
mod tests;
