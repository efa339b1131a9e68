//! `tidegate ledger verify` and `tidegate ledger tail`: offline, on files, with no gateway running.
//!
//! Data goes to stdout, messages to stderr. Exit codes: 0 intact, 65 damaged or torn, 1 unreadable.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::ledger::{Damage, Report, Tail, Verdict, verify};

/// Everything was as it should be.
const OK: u8 = 0;
/// The files could not be read.
const FAILED: u8 = 1;
/// The ledger is not intact.
const INTEGRITY: u8 = 65;
/// How often `tail --follow` looks for new lines.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

/// Work on a ledger directory.
#[derive(Debug, Args)]
pub struct LedgerArgs {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check every line, the chain, the accounts, and in a directory the rulebooks and quarantined
    /// tails that records name.
    Verify(VerifyArgs),
    /// Print the newest lines.
    Tail(TailArgs),
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// A ledger directory or one segment file.
    dir: PathBuf,
    /// Accept a last line without its newline, as a crash or a running gateway leaves it.
    #[arg(long, env = "TIDEGATE_ALLOW_TORN_TAIL")]
    allow_torn_tail: bool,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t = Format::Pretty, env = "TIDEGATE_FORMAT")]
    format: Format,
}

#[derive(Debug, Args)]
struct TailArgs {
    /// A ledger directory.
    dir: PathBuf,
    /// How many lines.
    #[arg(short = 'n', long, default_value_t = 10, env = "TIDEGATE_LINES")]
    lines: u64,
    /// Go on printing what is written from now on.
    #[arg(long, env = "TIDEGATE_FOLLOW")]
    follow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Pretty,
    /// One JSON object.
    Json,
}

/// Runs the verb; gives the exit code.
#[must_use]
pub fn run(args: &LedgerArgs) -> u8 {
    match &args.verb {
        Verb::Verify(args) => run_verify(args),
        Verb::Tail(args) => match run_tail(args) {
            Ok(()) => OK,
            // Whoever read our output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => OK,
            Err(error) => unreadable(&args.dir, &error, "name the directory in ledger.dir"),
        },
    }
}

fn unreadable(dir: &Path, error: &io::Error, remedy: &str) -> u8 {
    eprintln!("tidegate: cannot read {}: {error}; {remedy}", dir.display());
    FAILED
}

fn run_verify(args: &VerifyArgs) -> u8 {
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

fn run_tail(args: &TailArgs) -> io::Result<()> {
    let mut tail = Tail::open(&args.dir, args.lines)?;
    let mut out = io::stdout().lock();
    loop {
        while let Some(mut line) = tail.next_line()? {
            line.push(b'\n');
            out.write_all(&line)?;
        }
        out.flush()?;
        if !args.follow {
            return Ok(());
        }
        std::thread::sleep(FOLLOW_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ledger: LedgerArgs,
    }

    fn code(line: &[&str]) -> u8 {
        run(&Line::try_parse_from(line).unwrap().ledger)
    }

    #[test]
    fn a_torn_tail_is_accepted_only_on_request() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let mut bytes = Vec::new();
        let mut chain = crate::ledger::Chain::genesis();
        for boot in ["00000001", "00000002"] {
            chain.append(&mut bytes, |entry| {
                entry.text("boot", boot);
                entry.text("kind", "open");
            });
        }
        let segment = dir.path().join("seg-0000000000000000.jsonl");
        std::fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();
        let segment = segment.to_str().unwrap();
        assert_eq!(code(&["x", "verify", segment]), INTEGRITY);
        assert_eq!(code(&["x", "verify", segment, "--allow-torn-tail"]), OK);
        assert_eq!(
            code(&["x", "verify", segment, "--format", "json"]),
            INTEGRITY
        );
        std::fs::write(segment, &bytes).unwrap();
        assert_eq!(code(&["x", "verify", segment]), OK);
        assert_eq!(code(&["x", "tail", path, "-n", "1"]), OK);
        assert_eq!(code(&["x", "verify", "/nowhere"]), FAILED);
    }
}
