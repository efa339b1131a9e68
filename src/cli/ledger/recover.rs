//! `tidegate ledger recover`: the end of a ledger put right without a gateway, and what was found.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{FAILED, Format, INTEGRITY, OK};
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
            eprintln!("tidegate: {error}");
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
            // The exit code tells the result even where nobody reads the text.
            let _ = io::stdout().write_all(text.as_bytes());
            OK
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
    if format == Format::Json {
        let text = json!({"result": "refused", "error": error.to_string(), "changed": false});
        let _ = writeln!(io::stdout(), "{text}");
    }
    eprintln!("tidegate: {error}");
    code
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
    if found.unaccounted > 0 {
        text += &format!(
            "{} decisions of that boot left no trace\n",
            found.unaccounted
        );
    }
    if found.moved {
        text += "the directory is not the one that the last boot wrote to\n";
    }
    if let Some(size) = repair.rolled_back {
        text += &format!("accepted: a signed head covers {size} records\n");
    }
    text += &if repair.changed {
        format!("recorded; {} records now\n", repair.records)
    } else {
        "nothing to do\n".to_owned()
    };
    text
}

fn to_json(repair: &Repair) -> Value {
    let found = &repair.found;
    let torn = found
        .torn
        .as_ref()
        .map(|torn| json!({"bytes": torn.bytes, "file": torn.file, "sha256": torn.sha256}));
    json!({
        "result": "ok",
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
