//! `tidegate ledger stats`: what is in a ledger, counted and not checked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Format, OK, unreadable};
use crate::cli::stdio::put;
use crate::ledger::{Census, census};

#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// A ledger directory.
    dir: PathBuf,
    /// How many contracts are listed, those with the most decisions first; the rest is one sum.
    #[arg(long, default_value_t = 20, env = "TIDEGATE_TOP")]
    top: usize,
    /// How to print the figures.
    #[arg(long, value_enum, default_value_t = Format::Pretty, env = "TIDEGATE_FORMAT")]
    format: Format,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &StatsArgs) -> u8 {
    let found = match census(&args.dir) {
        Ok(found) => found,
        Err(error) => return unreadable(&args.dir, &error, "name the directory in ledger.dir"),
    };
    let (top, rest) = top(&found.contracts, args.top);
    let text = match args.format {
        Format::Pretty => pretty(&found, &top, rest),
        Format::Json => format!("{}\n", to_json(&found, &top, rest)),
    };
    put(&text, OK)
}

/// The largest counts, and the sum of the others.
fn top(counts: &BTreeMap<String, u64>, most: usize) -> (Vec<(&str, u64)>, u64) {
    let mut all: Vec<(&str, u64)> = counts.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rest = all.iter().skip(most).map(|(_, count)| count).sum();
    all.truncate(most);
    (all, rest)
}

fn mean(found: &Census) -> u64 {
    found
        .bytes
        .checked_div(found.records() + found.unreadable)
        .unwrap_or(0)
}

fn pretty(found: &Census, contracts: &[(&str, u64)], rest: u64) -> String {
    let us = |at: Option<u64>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let mut text = format!(
        "records {} in {} bytes ({} a record), lines that are none {}\n\
         segments {} plain, {} compressed, {} removed; signed heads {}\n\
         rolled up {} (outcomes {}), lost {}, unaccounted {}\n\
         first {} us, last {} us\n",
        found.records(),
        found.bytes,
        mean(found),
        found.unreadable,
        found.plain,
        found.compressed,
        found.pruned,
        found.heads,
        found.rolled_up,
        found.outcomes_rolled_up,
        found.lost,
        found.unaccounted,
        us(found.first_us),
        us(found.last_us),
    );
    let mut list = |title: &str, rows: &mut dyn Iterator<Item = (&str, u64)>| {
        text += &format!("{title}\n");
        for (name, count) in rows {
            text += &format!("  {name:<32} {count}\n");
        }
    };
    list("kind", &mut found.kinds.iter().map(|(name, n)| (*name, *n)));
    let verdicts = found.verdicts.iter();
    list(
        "decision",
        &mut verdicts.map(|(name, n)| (name.as_str(), *n)),
    );
    let others = (rest > 0).then_some(("all others", rest));
    list("contract", &mut contracts.iter().copied().chain(others));
    text
}

fn to_json(found: &Census, contracts: &[(&str, u64)], rest: u64) -> Value {
    json!({
        "records": found.records(),
        "unreadable_lines": found.unreadable,
        "bytes": found.bytes,
        "bytes_per_record": mean(found),
        "first_seq": found.first_seq,
        "first_ts_us": found.first_us,
        "last_ts_us": found.last_us,
        "kinds": found.kinds,
        "decisions": found.verdicts,
        "contracts": contracts.iter().copied().collect::<BTreeMap<_, _>>(),
        "contracts_not_listed": rest,
        "segments": {
            "plain": found.plain,
            "compressed": found.compressed,
            "removed": found.pruned,
        },
        "heads": found.heads,
        "rolled_up": found.rolled_up,
        "outcomes_rolled_up": found.outcomes_rolled_up,
        "lost": found.lost,
        "unaccounted": found.unaccounted,
    })
}
