//! `tidegate contract lint`: the findings of `check` about contract files alone.
//!
//! For editors and for repositories that hold contracts without a gateway: names of upstreams are
//! not judged, and neither is the policy.

use std::path::PathBuf;

use clap::Args;

use crate::cli::check::FormatArg;
use crate::cli::count::count;
use crate::cli::exit::{OK, Outcome};
use crate::cli::offline::FINDINGS;
use crate::cli::today;
use crate::config;
use crate::diagnostic::{error_count, render};
use crate::units::Date;

/// Checks a contract file, or a folder of contract files.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// A contract file, or a contracts folder with its OWNERS.yaml and exemptions.yaml.
    pub path: PathBuf,
    /// How findings are written to stdout.
    #[arg(long, env = "TIDEGATE_FORMAT", value_enum, default_value_t)]
    pub format: FormatArg,
    /// Warnings are findings too.
    #[arg(long, env = "TIDEGATE_DENY_WARNINGS", value_parser = clap::builder::FalseyValueParser::new())]
    pub deny_warnings: bool,
}

/// Runs the verb; the result is the exit code: 0, or 3 with findings.
#[must_use]
pub fn run(args: &LintArgs) -> u8 {
    lint(args, today()).print()
}

/// Runs the verb on a day without printing.
#[must_use]
pub fn lint(args: &LintArgs, today: Date) -> Outcome {
    let (found, contracts) = config::lint(&args.path, today);
    let errors = error_count(&found);
    let warnings = found.len() - errors;
    let summary = match errors {
        0 if args.deny_warnings && warnings > 0 => format!(
            "{}, {}, denied by --deny-warnings\n",
            count(contracts, "contract"),
            count(warnings, "warning")
        ),
        0 => format!(
            "ok: {}, {}\n",
            count(contracts, "contract"),
            count(warnings, "warning")
        ),
        _ => format!(
            "{}, {}\n",
            count(errors, "error"),
            count(warnings, "warning")
        ),
    };
    let is_found = errors > 0 || (args.deny_warnings && warnings > 0);
    let rendered = render(&found, args.format.into());
    let (stdout, stderr) = match args.format {
        FormatArg::Pretty => (rendered + &summary, String::new()),
        _ => (rendered, summary),
    };
    Outcome {
        stdout,
        stderr,
        code: if is_found { FINDINGS } else { OK },
    }
}
