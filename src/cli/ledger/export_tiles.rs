//! `tidegate ledger export-tiles`: the signed tree as files that any web server can serve.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Format, OK, not_proved};
use crate::cli::stdio::put;
use crate::ledger::{TileReport, export_tiles};

#[derive(Debug, Args)]
pub(super) struct ExportTilesArgs {
    /// A ledger directory.
    dir: PathBuf,
    /// Where the tree goes: a new folder, or one of an earlier export, which is continued.
    out: PathBuf,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t = Format::Pretty, env = "TIDEGATE_FORMAT")]
    format: Format,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &ExportTilesArgs) -> u8 {
    let report = match export_tiles(&args.dir, &args.out) {
        Ok(report) => report,
        Err(error) => return not_proved(&error),
    };
    let text = match args.format {
        Format::Pretty => pretty(&report),
        Format::Json => format!("{}\n", to_json(&report)),
    };
    put(&text, OK)
}

fn pretty(report: &TileReport) -> String {
    let mut text = format!(
        "{} records exported, {} of them before; {} tiles and {} entry bundles written\n",
        report.size, report.before, report.tiles, report.bundles
    );
    for (first, last) in &report.without_leaves {
        text += &format!(
            "records {first} to {last}: no level 0 tiles, their lines were pruned; level 1 and above are whole\n"
        );
    }
    for (first, last) in &report.without_entries {
        text += &format!(
            "records {first} to {last}: no entry bundles, some of their lines were pruned or redacted\n"
        );
    }
    text
}

fn to_json(report: &TileReport) -> serde_json::Value {
    json!({
        "size": report.size,
        "before": report.before,
        "tiles": report.tiles,
        "bundles": report.bundles,
        "without_leaves": report.without_leaves,
        "without_entries": report.without_entries,
    })
}
