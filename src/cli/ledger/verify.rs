//! `tidegate ledger verify`: the report of the verifier, for people or as one JSON object.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Format, INTEGRITY, OK, unreadable};
use crate::ledger::{Damage, Report, Verdict, verify};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// A ledger directory or one segment file.
    dir: PathBuf,
    /// Accept a last line without its newline, as a crash or a running gateway leaves it.
    #[arg(long, env = "TIDEGATE_ALLOW_TORN_TAIL")]
    allow_torn_tail: bool,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t = Format::Pretty, env = "TIDEGATE_FORMAT")]
    format: Format,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &VerifyArgs) -> u8 {
    let report = match verify(&args.dir) {
        Ok(report) => report,
        Err(error) => {
            let remedy = "name the directory in ledger.dir, or one of its segments";
            return unreadable(&args.dir, &error, remedy);
        }
    };
    let text = match args.format {
        Format::Pretty => pretty(&report),
        Format::Json => format!("{}\n", to_json(&report)),
    };
    // The exit code tells the result even where nobody reads the text.
    let _ = io::stdout().write_all(text.as_bytes());
    exit_code(&report.verdict, args.allow_torn_tail)
}

const fn exit_code(verdict: &Verdict, allow_torn_tail: bool) -> u8 {
    match verdict {
        Verdict::Intact => OK,
        Verdict::TornTail(_) if allow_torn_tail => OK,
        Verdict::TornTail(_) | Verdict::Damaged(_) => INTEGRITY,
    }
}

/// The verdict's name in reports, and the damage it carries.
const fn verdict(report: &Report) -> (&'static str, Option<&Damage>) {
    match &report.verdict {
        Verdict::Intact => ("intact", None),
        Verdict::TornTail(damage) => ("torn_tail", Some(damage)),
        Verdict::Damaged(damage) => ("damaged", Some(damage)),
    }
}

fn pretty(report: &Report) -> String {
    let (name, damage) = verdict(report);
    let seq = |seq: Option<u64>| seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    let mut text = format!(
        "{name}: {} records (seq {} to {}) in {} segments\n\
         decisions {}, outcomes {}, lost {}, unaccounted {}\n\
         head {}\n",
        report.records,
        seq(report.first_seq),
        seq(report.last_seq),
        report.segments,
        report.decisions,
        report.outcomes,
        report.lost,
        report.unaccounted,
        report.head
    );
    if let Some(damage) = damage {
        text += &format!("record {}: {}", damage.seq, damage.file.display());
        // A file that is wrong as a whole has no such place.
        if damage.line > 0 {
            text += &format!(" line {}, byte {}", damage.line, damage.offset);
        }
        text += &format!("\n  rule: {}\n", damage.rule);
        if !damage.expected.is_empty() || !damage.found.is_empty() {
            text += &format!(
                "  expected: {}\n  found: {}\n",
                damage.expected, damage.found
            );
        }
        text += &format!("  remedy: {}\n", damage.remedy);
    }
    text
}

fn to_json(report: &Report) -> Value {
    let (name, damage) = verdict(report);
    let damage = damage.map(|damage| {
        json!({
            "seq": damage.seq,
            "file": damage.file.display().to_string(),
            "line": damage.line,
            "offset": damage.offset,
            "rule": damage.rule,
            "expected": damage.expected,
            "found": damage.found,
            "remedy": damage.remedy,
        })
    });
    json!({
        "verdict": name,
        "records": report.records,
        "first_seq": report.first_seq,
        "last_seq": report.last_seq,
        "head": report.head,
        "segments": report.segments,
        "decisions": report.decisions,
        "outcomes": report.outcomes,
        "lost": report.lost,
        "unaccounted": report.unaccounted,
        "damage": damage,
    })
}
