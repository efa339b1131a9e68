//! `tidegate ledger VERB DIR`: offline, on files, with no gateway running.
//!
//! Data goes to stdout, messages to stderr. Exit codes: 0 intact, 65 damaged or torn, 1 unreadable.
//! One file per verb.

mod prune;
mod redact;
mod tail;
mod upkeep;
mod verify;

use std::io;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};

/// Everything was as it should be.
const OK: u8 = 0;
/// The files could not be read.
const FAILED: u8 = 1;
/// The ledger is not intact.
const INTEGRITY: u8 = 65;

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
    Verify(verify::VerifyArgs),
    /// Print the newest lines.
    Tail(tail::TailArgs),
    /// Give up what is old: a signed record first, then the segments.
    Prune(prune::PruneArgs),
    /// Take records out and keep their hashes: a signed record first, then the content.
    Redact(redact::RedactArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Pretty,
    /// One JSON object.
    Json,
}

/// Runs the verb; gives the exit code.
#[must_use]
pub fn run(args: &LedgerArgs) -> u8 {
    match &args.verb {
        Verb::Verify(args) => verify::run(args),
        Verb::Tail(args) => tail::run(args),
        Verb::Prune(args) => prune::run(args),
        Verb::Redact(args) => redact::run(args),
    }
}

fn unreadable(dir: &Path, error: &io::Error, remedy: &str) -> u8 {
    eprintln!("tidegate: cannot read {}: {error}; {remedy}", dir.display());
    FAILED
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
