//! `tidegate ledger verify`: the report of the verifier, for people or as one JSON object.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{FAILED, Format, INTEGRITY, OK, USAGE, unreadable};
use crate::cli::stdio::{note, put};
use crate::ledger::{Damage, KnownHead, Report, TrustedKey, Verdict, VerifyOptions, verify_with};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// A ledger directory or one segment file.
    dir: PathBuf,
    /// Accept a last line without its newline, as a crash or a running gateway leaves it.
    #[arg(long, env = "TIDEGATE_ALLOW_TORN_TAIL")]
    allow_torn_tail: bool,
    /// Only signed heads by this key count, and one must be there: a verifier key
    /// (`<origin>+<id>+<base64>`), a file of them, or a file with a public key in PEM. May be repeated.
    #[arg(long, value_name = "VKEY|FILE", env = "TIDEGATE_VERIFY_KEY")]
    key: Vec<String>,
    /// A head that was kept elsewhere: a file with a signed note, or `SEQ:HASH`. The ledger must
    /// cover it and agree with it.
    #[arg(long, value_name = "FILE|SEQ:HASH", env = "TIDEGATE_VERIFY_HEAD")]
    head: Option<String>,
    /// Only records from this number on.
    #[arg(long, value_name = "SEQ", env = "TIDEGATE_VERIFY_FROM")]
    from: Option<u64>,
    /// Only records up to this number.
    #[arg(long, value_name = "SEQ", env = "TIDEGATE_VERIFY_TO")]
    to: Option<u64>,
    /// Segments that are checked side by side; 0 = as many as there are cores.
    #[arg(long, default_value_t = 0, env = "TIDEGATE_VERIFY_THREADS")]
    threads: usize,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t = Format::Pretty, env = "TIDEGATE_FORMAT")]
    format: Format,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &VerifyArgs) -> u8 {
    let options = match options(args) {
        Ok(options) => options,
        Err(text) => {
            note(format_args!("tidegate: {text}"));
            return USAGE;
        }
    };
    let report = match verify_with(&args.dir, &options) {
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
    put(&text, exit_code(&report.verdict, args.allow_torn_tail))
}

/// What was asked for, or why it cannot be meant.
fn options(args: &VerifyArgs) -> Result<VerifyOptions, String> {
    let mut keys = Vec::new();
    for key in &args.key {
        keys.extend(trusted(key).map_err(|rule| format!("--key {key}: {rule}"))?);
    }
    let head = args.head.as_ref().map(|head| {
        known_head(head).map_err(|rule| {
            format!("--head {head}: {rule}; give SEQ:HASH, or a file with a signed note")
        })
    });
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        return Err(format!("--from {from} lies beyond --to {to}; swap them"));
    }
    Ok(VerifyOptions {
        keys,
        head: head.transpose()?,
        from: args.from,
        to: args.to,
        threads: args.threads,
    })
}

fn trusted(key: &str) -> Result<Vec<TrustedKey>, String> {
    TrustedKey::parse(key).or_else(|rule| match fs::read_to_string(key) {
        Ok(text) => TrustedKey::parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("neither a file nor a verifier key: {rule}"))
        }
        Err(error) => Err(error.to_string()),
    })
}

fn known_head(head: &str) -> Result<KnownHead, String> {
    if let Ok(pair) = KnownHead::parse(head.as_bytes()) {
        return Ok(pair);
    }
    let bytes = fs::read(head).map_err(|error| error.to_string())?;
    KnownHead::parse(&bytes)
}

const fn exit_code(verdict: &Verdict, allow_torn_tail: bool) -> u8 {
    match verdict {
        Verdict::Intact => OK,
        Verdict::NothingChecked => FAILED,
        Verdict::TornTail(_) if allow_torn_tail => OK,
        Verdict::TornTail(_) | Verdict::Damaged(_) => INTEGRITY,
    }
}

/// The verdict's name in reports, and the damage it carries.
const fn verdict(report: &Report) -> (&'static str, Option<&Damage>) {
    match &report.verdict {
        Verdict::Intact => ("intact", None),
        Verdict::NothingChecked => ("nothing_checked", None),
        Verdict::TornTail(damage) => ("torn_tail", Some(damage)),
        Verdict::Damaged(damage) => ("damaged", Some(damage)),
    }
}

fn pretty(report: &Report) -> String {
    let (name, damage) = verdict(report);
    let seq = |seq: Option<u64>| seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    let mut text = format!(
        "{name}: {} records (seq {} to {}) in {} segments\n\
         decisions {}, outcomes {}, rolled up {} (outcomes {}), lost {}, unaccounted {}\n\
         stubs {}, removed with their segments {}\n\
         checkpoints {}, notes {} (superseded {}), signed up to {}\n\
         head {}\n",
        report.records,
        seq(report.first_seq),
        seq(report.last_seq),
        report.segments,
        report.decisions,
        report.outcomes,
        report.rolled_up,
        report.outcomes_rolled_up,
        report.lost,
        report.unaccounted,
        report.stubs,
        report.pruned,
        report.checkpoints,
        report.heads,
        report.heads_superseded,
        report.signed_size,
        report.head
    );
    for what in &report.not_checked {
        text += &format!("not checked: {what}\n");
    }
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
        if let Some(open) = report.told_by {
            text += &format!(
                "  known: record {open} (open) tells of it; the gateway has gone on behind it\n"
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
        "rolled_up": report.rolled_up,
        "outcomes_rolled_up": report.outcomes_rolled_up,
        "lost": report.lost,
        "unaccounted": report.unaccounted,
        "checkpoints": report.checkpoints,
        "heads": report.heads,
        "heads_superseded": report.heads_superseded,
        "stubs": report.stubs,
        "pruned": report.pruned,
        "signed_size": report.signed_size,
        "not_checked": report.not_checked,
        "told_by": report.told_by,
        "damage": damage,
    })
}
