//! `tidegate ledger VERB DIR`: offline, on files, with no gateway running.
//!
//! Data goes to stdout, messages to stderr. Exit codes: 0 intact, 65 damaged or torn, 1 unreadable,
//! 2 wrong usage.
//! One file per verb.

mod export_tiles;
mod keygen;
mod prove;
mod prune;
mod recover;
mod redact;
mod stats;
mod tail;
mod upkeep;
mod verify;

use std::io;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::stdio::note;
use crate::ledger::ProofError;

/// Everything was as it should be.
const OK: u8 = 0;
/// The files could not be read.
const FAILED: u8 = 1;
/// The command cannot be understood.
const USAGE: u8 = 2;
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
    /// Check every line, the chain, the accounts, the tree and its signed heads, and in a directory
    /// the rulebooks and quarantined tails that records name.
    Verify(verify::VerifyArgs),
    /// Put the end of a ledger right as a start would, and tell what was found.
    Recover(recover::RecoverArgs),
    /// Count what is there, by kind, verdict and contract; checks nothing.
    Stats(stats::StatsArgs),
    /// Print the newest lines.
    Tail(tail::TailArgs),
    /// Prove that a record is in a signed tree, in a form that other people's tools can check.
    Prove(prove::ProveArgs),
    /// Write the signed tree as C2SP tlog-tiles.
    ExportTiles(export_tiles::ExportTilesArgs),
    /// Make a key that signs checkpoints.
    Keygen(keygen::KeygenArgs),
    /// Give up what is old: a signed record first, then the segments.
    Prune(prune::PruneArgs),
    /// Take records out and keep their hashes: a signed record first, then the content.
    Redact(redact::RedactArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[value(alias = "text")]
    Pretty,
    /// One JSON object.
    Json,
}

/// Runs the verb; gives the exit code.
#[must_use]
pub fn run(args: &LedgerArgs) -> u8 {
    match &args.verb {
        Verb::Verify(args) => verify::run(args),
        Verb::Recover(args) => recover::run(args),
        Verb::Stats(args) => stats::run(args),
        Verb::Tail(args) => tail::run(args),
        Verb::Prove(args) => prove::run(args),
        Verb::ExportTiles(args) => export_tiles::run(args),
        Verb::Keygen(args) => keygen::run(args),
        Verb::Prune(args) => prune::run(args),
        Verb::Redact(args) => redact::run(args),
    }
}

/// Tells why there is no proof; gives the exit code.
fn not_proved(error: &ProofError) -> u8 {
    note(format_args!("tidegate: {error}"));
    if error.is_about_evidence() {
        INTEGRITY
    } else {
        FAILED
    }
}

fn unreadable(dir: &Path, error: &io::Error, remedy: &str) -> u8 {
    let dir = dir.display();
    note(format_args!(
        "tidegate: cannot read {dir}: {error}; {remedy}"
    ));
    FAILED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::fixture::POLICY_HASH;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ledger: LedgerArgs,
    }

    fn code(line: &[&str]) -> u8 {
        run(&Line::try_parse_from(line).unwrap().ledger)
    }

    // R198, R282
    #[test]
    fn recover_cuts_a_torn_tail_and_refuses_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let mut bytes = Vec::new();
        let mut chain = crate::ledger::Chain::genesis();
        for boot in ["00000001", "00000002"] {
            chain.append(&mut bytes, |entry| {
                entry.text("boot", boot);
                entry.text("instance", "gate");
                entry.text("kind", "open");
                entry.text("policy_hash", POLICY_HASH);
            });
        }
        let segment = dir.path().join("seg-0000000000000000.jsonl");
        std::fs::create_dir(dir.path().join("rulebooks")).unwrap();
        let rulebook = dir.path().join(format!("rulebooks/{POLICY_HASH}.json"));
        std::fs::write(rulebook, "{}").unwrap();
        let mut damaged = bytes.clone();
        damaged[9] ^= 1;
        std::fs::write(&segment, &damaged).unwrap();
        for refused in [
            vec!["x", "recover", path],
            vec![
                "x",
                "recover",
                path,
                "--accept-rollback",
                "--reason",
                "because",
            ],
            vec!["x", "recover", path, "--format", "json"],
        ] {
            assert_eq!(code(&refused), INTEGRITY, "{refused:?}");
            assert_eq!(std::fs::read(&segment).unwrap(), damaged);
        }
        std::fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(code(&["x", "verify", path]), INTEGRITY);
        assert_eq!(code(&["x", "recover", path, "--format", "json"]), OK);
        assert_eq!(code(&["x", "verify", path]), OK);
        let once = std::fs::read(&segment).unwrap();
        assert_eq!(code(&["x", "recover", path]), OK);
        assert_eq!(std::fs::read(&segment).unwrap(), once, "nothing to do");
        assert_eq!(code(&["x", "recover", path, "--key", "/nowhere"]), FAILED);
        let alone = ["x", "recover", path, "--accept-rollback"];
        assert!(Line::try_parse_from(alone).is_err(), "a reason is needed");
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
