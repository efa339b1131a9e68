//! `tidegate contract callers ID`: who still calls a contract, from a ledger.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::seen::{Callers, Seen};
use crate::cli::offline::{ConfigArg, FAILED, INTEGRITY, OK, load_or_tell, tell};
use crate::cli::period::period_us;
use crate::cli::stdio::{note, put};
use crate::config::load;

/// Says who was seen to call a contract.
#[derive(Debug, Args)]
pub(super) struct CallersArgs {
    /// The id of the contract; it need not be in force any more.
    #[arg(value_name = "CONTRACT_ID")]
    id: String,
    /// The folder of the ledger, or one of its segments; without it, the one of the configuration.
    #[arg(long, env = "TIDEGATE_LEDGER", value_name = "DIR")]
    ledger: Option<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    config: ConfigArg,
    /// How far to look back from the newest decision, such as 12h or 30d.
    #[arg(long, env = "TIDEGATE_CALLERS_SINCE", value_name = "TIME", default_value = "30d", value_parser = period_us)]
    since: u64,
    /// How the result is written to stdout.
    #[arg(long, env = "TIDEGATE_CALLERS_FORMAT", value_enum, default_value_t)]
    format: ReportFormat,
}

/// The form of the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// For people.
    #[default]
    #[value(alias = "pretty")]
    Text,
    /// One JSON object.
    Json,
}

/// Runs the verb; the result is the exit code: 0 whoever calls, 1 where there is no ledger
/// or no such contract, 65 where
/// records cannot be read, 78 where the configuration is not valid.
pub(super) fn run(args: &CallersArgs) -> u8 {
    let ledger = match &args.ledger {
        Some(ledger) => ledger.clone(),
        None => match load_or_tell(&args.config.config) {
            Ok(loaded) => loaded.settings.ledger.dir,
            Err(code) => return code,
        },
    };
    let ids = BTreeSet::from([args.id.as_str()]);
    let seen = match Seen::gather(&ledger, args.since, &ids) {
        Ok(seen) => seen,
        Err(error) => return tell(&error, FAILED),
    };
    tell_gaps(&seen);
    if !is_known(args, &seen, &ledger) {
        let ConfigArg { config } = &args.config;
        note(format_args!(
            "error: no contract '{}' in {} and none in the ledger {}; 'tidegate catalog' lists ids",
            args.id,
            config.display(),
            ledger.display()
        ));
        return FAILED;
    }
    let none = Callers::default();
    let callers = seen.contracts.get(&args.id).unwrap_or(&none);
    let text = match args.format {
        ReportFormat::Text => text(&args.id, callers),
        ReportFormat::Json => {
            let (clients, requests) = callers.counts();
            let report = json!({
                "contract": args.id,
                "clients": clients,
                "requests": requests,
                "callers": callers.json(),
                "lost": seen.lost,
                "unreadable": seen.unreadable,
            });
            format!("{report}\n")
        }
    };
    put(&text, if seen.unreadable > 0 { INTEGRITY } else { OK })
}

/// Whether such a contract is or was: "nobody calls it" said of a slip would be believed.
fn is_known(args: &CallersArgs, seen: &Seen, ledger: &Path) -> bool {
    if seen.contracts.contains_key(&args.id) || seen.named.contains(&args.id) {
        return true;
    }
    // The ledger may be looked at where the configuration is not: then its own rules are asked.
    let loaded = load(&args.config.config);
    let is_there = loaded.is_ok_and(|loaded| loaded.catalogue.find(&args.id).is_some());
    is_there || is_in_rulebooks(ledger, &args.id)
}

/// Whether rules that were in force here have such a contract.
fn is_in_rulebooks(ledger: &Path, id: &str) -> bool {
    let is_there = |path: PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        let rules: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let mut contracts = rules
            .get("contracts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        contracts.any(|contract| contract.get("id").is_some_and(|found| found == id))
    };
    let files = fs::read_dir(ledger.join("rulebooks")).into_iter().flatten();
    files
        .filter_map(|file| Some(file.ok()?.path()))
        .any(is_there)
}

/// Says on stderr what keeps the answer from being complete.
pub(super) fn tell_gaps(seen: &Seen) {
    if let Some(fault) = &seen.fault {
        note(format_args!(
            "{} unreadable lines, the first: {fault}",
            seen.unreadable
        ));
    }
    if seen.lost > 0 {
        let lost = seen.lost;
        note(format_args!(
            "{lost} decisions have no record: their clients are not known"
        ));
    }
}

fn text(id: &str, callers: &Callers) -> String {
    let (clients, requests) = callers.counts();
    let mut text = format!("{id}: {requests} requests of {clients} clients\n");
    if callers.is_any() {
        let _ = writeln!(text, "{:16} {:>12} last seen", "client", "requests");
    }
    for (client, requests, last) in callers.rows() {
        let line = format!("{client:16} {requests:>12} {last}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
