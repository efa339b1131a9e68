//! `tidegate ledger redact`: takes records out and keeps their hashes, with no gateway running.

use std::path::PathBuf;

use clap::Args;

use super::upkeep::{closed, key, refused, words};
use super::{FAILED, OK};
use crate::cli::stdio::{note, put};
use crate::ledger::{Offline, OfflineError, Planned, check_redactable};

#[derive(Debug, Args)]
pub(super) struct RedactArgs {
    /// A ledger directory.
    dir: PathBuf,
    /// A record's number, or the first and last one of a range: 17 or 17-20. Several are possible.
    #[arg(long, required = true, num_args = 1.., value_parser = range, env = "TIDEGATE_SEQ", value_delimiter = ',')]
    seq: Vec<(u64, u64)>,
    /// Who asks for it; stands in the record.
    #[arg(long, value_parser = words, env = "TIDEGATE_ACTOR")]
    actor: String,
    /// Why; stands in the record.
    #[arg(long, value_parser = words, env = "TIDEGATE_REASON")]
    reason: String,
    /// The key that signs the gateway's checkpoints.
    #[arg(long, env = "TIDEGATE_KEY")]
    key: PathBuf,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &RedactArgs) -> u8 {
    match redact(args) {
        Ok(code) => code,
        Err(error) => refused(&error),
    }
}

fn redact(args: &RedactArgs) -> Result<u8, OfflineError> {
    check_redactable(&args.dir, &args.seq)?;
    let key = match key(Some(&args.key)) {
        Ok(key) => key,
        Err(error) => {
            note(format_args!("tidegate: {error}"));
            return Ok(FAILED);
        }
    };
    let ledger = Offline::open(&args.dir, key, env!("CARGO_PKG_VERSION"))?;
    let done = closed(&ledger, |ledger| {
        ledger.redact(&args.seq, &args.actor, &args.reason)
    })?;
    if done.is_empty() {
        return Ok(put("these records are stubs already\n", OK));
    }
    let line = |planned: &Planned| {
        let stubs = planned.stubs.unwrap_or(0);
        format!("{}: redacted; {stubs} stubs in all\n", planned.segment)
    };
    let text: String = done.iter().map(line).collect();
    Ok(put(&text, OK))
}

/// `17` or `17-20`.
fn range(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse().ok();
    number(first)
        .zip(number(last))
        .filter(|(first, last)| first <= last)
        .ok_or_else(|| "give a number or a range, such as 17 or 17-20".to_owned())
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges_hold_both_their_ends() {
        for (text, expected) in [
            ("17", Some((17, 17))),
            ("17-20", Some((17, 20))),
            ("20-17", None),
            ("-3", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(range(text).ok(), expected, "{text}");
        }
    }
}
