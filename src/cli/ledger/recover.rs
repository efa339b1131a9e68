//! `tidegate ledger recover`: the end of a ledger put right without a gateway, and what was found.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{FAILED, Format, INTEGRITY, OK};
use crate::cli::stdio::{note, put};
use crate::ledger::{LedgerKey, Repair, RepairError, Settings, recover};

#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    /// A ledger directory that no gateway uses.
    dir: PathBuf,
    /// Go on with fewer records than a signed head covers; this is recorded, and signed with --key.
    #[arg(long, requires = "reason", env = "TIDEGATE_ACCEPT_ROLLBACK")]
    accept_rollback: bool,
    /// Why the loss is accepted; goes into the record.
    #[arg(long, requires = "accept_rollback", env = "TIDEGATE_REASON")]
    reason: Option<String>,
    /// The private key that signs this ledger: its notes count beside those of the keys in log.vkey,
    /// and it signs the acceptance of a rollback.
    #[arg(long, env = "TIDEGATE_KEY")]
    key: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Pretty, env = "TIDEGATE_FORMAT")]
    format: Format,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &RecoverArgs) -> u8 {
    let mut settings = Settings::new(&args.dir);
    match args.key.as_deref().map(LedgerKey::read).transpose() {
        Ok(Some(key)) => settings = settings.signed_by(key),
        Ok(None) => {}
        Err(error) => {
            note(format_args!("tidegate: {error}"));
            return FAILED;
        }
    }
    let reason = args.reason.as_deref().filter(|_| args.accept_rollback);
    match recover(&settings, env!("CARGO_PKG_VERSION"), reason) {
        Ok(repair) => {
            let text = match args.format {
                Format::Pretty => pretty(&repair),
                Format::Json => format!("{}\n", to_json(&repair)),
            };
            let code = if repair.known_damage.is_some() {
                INTEGRITY
            } else {
                OK
            };
            put(&text, code)
        }
        Err(error) => refused(args.format, &error),
    }
}

fn refused(format: Format, error: &RepairError) -> u8 {
    let code = if error.is_about_evidence() {
        INTEGRITY
    } else {
        FAILED
    };
    note(format_args!("tidegate: {error}"));
    if format == Format::Pretty {
        return code;
    }
    let text = json!({"result": "refused", "error": error.to_string(), "changed": false});
    put(&format!("{text}\n"), code)
}

fn pretty(repair: &Repair) -> String {
    let found = &repair.found;
    let mut text = format!("{} records found\n", found.records);
    if let Some(torn) = &found.torn {
        text += &format!(
            "torn tail: {} bytes cut off, kept in {}\n  sha256 {}\n",
            torn.bytes, torn.file, torn.sha256
        );
    }
    if found.unclosed {
        text += "the last boot did not close\n";
    }
    if let Some(unaccounted) = found.unaccounted.filter(|count| *count > 0) {
        text += &format!("{unaccounted} decisions of that boot left no trace\n");
    }
    if found.moved {
        text += "the directory is not the one that the last boot wrote to\n";
    }
    if let Some(size) = repair.rolled_back {
        text += &format!("accepted: a signed head covers {size} records\n");
    }
    text += &match (repair.changed, &repair.known_damage) {
        (true, _) => format!("recorded; {} records now\n", repair.records),
        (false, None) => "nothing to do\n".to_owned(),
        (false, Some(_)) => String::new(),
    };
    if let Some(known) = &repair.known_damage {
        let (seq, file) = (known.seq, &known.segment);
        text += &format!("known damage at record {seq} of {file}, not repaired\n");
    }
    text
}

fn to_json(repair: &Repair) -> Value {
    let found = &repair.found;
    let torn = found
        .torn
        .as_ref()
        .map(|torn| json!({"bytes": torn.bytes, "file": torn.file, "sha256": torn.sha256}));
    let known = repair.known_damage.as_ref().map(|known| {
        json!({"seq": known.seq, "file": known.segment, "offset": known.offset, "rule": known.rule})
    });
    json!({
        "result": if known.is_some() { "damaged" } else { "ok" },
        "known_damage": known,
        "changed": repair.changed,
        "found": found.records,
        "records": repair.records,
        "torn": torn,
        "unclosed": found.unclosed,
        "unaccounted": found.unaccounted,
        "moved": found.moved,
        "rolled_back": repair.rolled_back,
    })
}
