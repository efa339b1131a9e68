//! `tidegate ledger prune`: gives up what is old, with no gateway running.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::upkeep::{closed, date_us, key, refused, words};
use super::{FAILED, OK};
use crate::cli::stdio::{note, put};
use crate::gateway::clock;
use crate::ledger::{Class, Offline, OfflineError, Planned, plan_prune};

const DAY_US: u64 = 24 * 3_600 * 1_000_000;

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// A ledger directory.
    dir: PathBuf,
    /// Give up what is older than the beginning of this day (UTC), such as 2026-01-31.
    #[arg(long, value_parser = date_us, conflicts_with = "days", required_unless_present = "days", env = "TIDEGATE_BEFORE")]
    before: Option<u64>,
    /// Give up what is older than so many days.
    #[arg(long, env = "TIDEGATE_DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// Leave stubs in the place of this class alone; without it, whole segments go.
    #[arg(long, value_enum, env = "TIDEGATE_CLASS")]
    class: Option<ClassName>,
    /// The key that signs the gateway's checkpoints; needed where the ledger is signed.
    #[arg(long, env = "TIDEGATE_KEY")]
    key: Option<PathBuf>,
    /// Only say what would go; changes nothing and needs no lock.
    #[arg(long, env = "TIDEGATE_DRY_RUN")]
    dry_run: bool,
    /// Why; stands in the record.
    #[arg(long, value_parser = words, env = "TIDEGATE_REASON")]
    reason: String,
}

/// The classes of records.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ClassName {
    /// Requests that were let through or throttled.
    Access,
    /// Requests that were quarantined or dropped, and all that is not a request.
    Security,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &PruneArgs) -> u8 {
    match prune(args) {
        Ok(code) => code,
        Err(error) => refused(&error),
    }
}

fn prune(args: &PruneArgs) -> Result<u8, OfflineError> {
    let now_us = clock::now().wall_us;
    let days_ago = |days| now_us.saturating_sub(u64::from(days) * DAY_US);
    let before_us = args.before.or(args.days.map(days_ago)).unwrap_or(0);
    let class = args.class.map(|class| match class {
        ClassName::Access => Class::Access,
        ClassName::Security => Class::Security,
    });
    let planned = plan_prune(&args.dir, before_us, class)?;
    if args.dry_run || planned.is_empty() {
        return Ok(put(&text(&planned, "would go"), OK));
    }
    let key = match key(args.key.as_deref()) {
        Ok(key) => key,
        Err(error) => {
            note(format_args!("tidegate: {error}"));
            return Ok(FAILED);
        }
    };
    let ledger = Offline::open(&args.dir, key, env!("CARGO_PKG_VERSION"))?;
    let done = closed(&ledger, |ledger| {
        ledger.prune(before_us, class, &args.reason)
    })?;
    Ok(put(&text(&done, "went"), OK))
}

fn text(planned: &[Planned], word: &str) -> String {
    if planned.is_empty() {
        return "nothing is old enough; the newest segment always stays\n".to_owned();
    }
    let line = |planned: &Planned| {
        let (first, last) = (planned.first_seq, planned.next_seq.saturating_sub(1));
        let what = match planned.stubs {
            None => format!("all of it {word}"),
            Some(stubs) => format!("content {word}; {stubs} stubs in all"),
        };
        format!("{}: records {first} to {last}: {what}\n", planned.segment)
    };
    planned.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::Parser;

    use super::super::{FAILED, INTEGRITY, LedgerArgs, OK, run};
    use crate::ledger::fixture::{POLICY_HASH, RULEBOOK, facts};
    use crate::ledger::{Chain, EntryBuilder, Ledger, Settings, Source};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ledger: LedgerArgs,
    }

    fn code(dir: &Path, line: &[&str]) -> u8 {
        let dir = dir.to_str().unwrap();
        let line = [&["x", line[0], dir], &line[1..]].concat();
        run(&Line::try_parse_from(line).unwrap().ledger)
    }

    fn start(dir: &Path, boot: u32) -> Ledger {
        let settings = Settings::new(dir);
        Ledger::start::<(), _>(
            &settings,
            &facts(boot),
            RULEBOOK,
            vec![],
            |_: &mut EntryBuilder<'_>, _: Source, (): &()| {},
        )
        .unwrap()
    }

    /// Two segments: an old ledger of one, and another one written behind it.
    fn ledger(dir: &Path) {
        start(dir, 1).close().unwrap();
        let path = dir.join("seg-0000000000000000.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        let hash = text.trim_end().rsplit_once("\"hash\":\"").unwrap().1;
        let mut chain = Chain::resume(2, hash.as_bytes()[..64].try_into().unwrap());
        let mut line = Vec::new();
        chain.append(&mut line, |e| {
            e.text("boot", "00000002");
            e.text("instance", "test");
            e.text("kind", "open");
            e.text("policy_hash", POLICY_HASH);
            e.flag("previous_closed", true);
            e.uint("ts_us", 1);
        });
        fs::write(dir.join("seg-0000000000000002.jsonl"), line).unwrap();
    }

    #[test]
    fn a_segment_goes_only_when_nobody_writes_and_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        ledger(dir.path());
        let first = dir.path().join("seg-0000000000000000.jsonl");
        let asked = ["prune", "--before", "2999-01-01", "--reason", "space"];
        let dry = [&asked[..], &["--dry-run"]].concat();
        assert_eq!(code(dir.path(), &dry), OK);
        assert_eq!(
            code(dir.path(), &["prune", "--days", "9999", "--reason", "x"]),
            OK
        );
        let running = start(dir.path(), 3);
        assert_eq!(code(dir.path(), &asked), FAILED, "LEDGER_LOCKED");
        running.close().unwrap();
        let whole = fs::read(&first).unwrap();
        fs::write(&first, &whole[..whole.len() - 5]).unwrap();
        assert_eq!(code(dir.path(), &asked), INTEGRITY);
        fs::write(&first, &whole).unwrap();
        assert_eq!(code(dir.path(), &asked), OK);
        assert!(!first.exists());
        assert!(dir.path().join("seg-0000000000000000.tree").exists());
        assert_eq!(code(Path::new("/nowhere"), &asked), FAILED);
    }

    #[test]
    fn frame_records_and_open_segments_are_not_redacted() {
        let dir = tempfile::tempdir().unwrap();
        ledger(dir.path());
        let before = fs::read_dir(dir.path()).unwrap().count();
        for seq in ["0", "0-1", "2", "7"] {
            let line = [
                "redact", "--seq", seq, "--actor", "a", "--reason", "b", "--key", "/none",
            ];
            assert_eq!(code(dir.path(), &line), FAILED, "{seq}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before);
    }
}
