//! `tidegate contract import`: contracts for the operations of an `OpenAPI` description.
//!
//! The contracts say only which operations there are; `check` passes them as they are, and people
//! add what is promised. A file that is there is never written over.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::exit::{FAILED, OK, Outcome};
use crate::cli::offline::{FINDINGS, USAGE};
use crate::contract::ContractId;
use crate::contract::file::bounds::OWNER_CHARS_MAX;
use crate::diagnostic::{Format, error_count, render as render_findings};
use crate::openapi::{Extras, FILE_BYTES_MAX, Import, import as read, render};
use crate::yaml::{self, is_printable};

/// Writes contracts for an `OpenAPI` description.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The description: `OpenAPI` 3.0 or 3.1, YAML or JSON.
    pub description: PathBuf,
    /// The new contract file; without it, contracts go to stdout.
    #[arg(short, long, env = "TIDEGATE_OUTPUT")]
    pub output: Option<PathBuf>,
    /// The upstream of all contracts.
    #[arg(long, env = "TIDEGATE_UPSTREAM")]
    pub upstream: Option<String>,
    /// Who answers for all contracts.
    #[arg(long, env = "TIDEGATE_OWNER")]
    pub owner: Option<String>,
    /// Who answers for them when the owner cannot.
    #[arg(long, env = "TIDEGATE_BACKUP_OWNER")]
    pub backup_owner: Option<String>,
    /// The service that all contracts are part of.
    #[arg(long, env = "TIDEGATE_SERVICE")]
    pub service: Option<String>,
}

/// Runs the verb; the result is the exit code: 0, 3 where some operations could not be taken (the
/// others are written), 1 where nothing is written, 2 where a flag has no valid value.
#[must_use]
pub fn run(args: &ImportArgs) -> u8 {
    import(args).print()
}

/// Runs the verb without printing.
#[must_use]
pub fn import(args: &ImportArgs) -> Outcome {
    let extras = match extras(args) {
        Ok(extras) => extras,
        Err(message) => return Outcome::to_stderr(format!("error: {message}\n"), USAGE),
    };
    let name = args.description.display().to_string();
    let bytes = match read_bounded(&args.description) {
        Ok(bytes) => bytes,
        Err(error) => return Outcome::to_stderr(format!("error: {name}: {error}\n"), FAILED),
    };
    let import = read(&name, &bytes);
    let told = render_findings(&import.findings, Format::Pretty);
    let summary = summary(&import);
    if import.stubs.is_empty() {
        return Outcome::to_stderr(told + &summary, FAILED);
    }
    let text = render(&import.stubs, &extras);
    if text.len() > yaml::FILE_BYTES_MAX {
        let message = "error: the contracts would need more than 1 MiB, the most that a contract \
                       file holds; split the description\n";
        return Outcome::to_stderr(told + message, FAILED);
    }
    let code = if error_count(&import.findings) > 0 {
        FINDINGS
    } else {
        OK
    };
    let Some(output) = &args.output else {
        let stderr = told + &summary;
        return Outcome {
            stdout: text,
            stderr,
            code,
        };
    };
    if let Err(error) = write_new(output, &text) {
        let message = format!("error: {}: {error}\n", output.display());
        return Outcome::to_stderr(told + &message, FAILED);
    }
    Outcome::to_stderr(told + &summary, code)
}

fn summary(import: &Import) -> String {
    let refused = error_count(&import.findings);
    let (contracts, notes) = (import.stubs.len(), import.findings.len() - refused);
    format!("{contracts} contracts, {refused} not taken, {notes} notes\n")
}

/// The keys that flags give to all contracts.
fn extras(args: &ImportArgs) -> Result<Extras<'_>, String> {
    let names = [("upstream", &args.upstream), ("service", &args.service)];
    for (flag, value) in names {
        if value.as_deref().map(ContractId::new) == Some(None) {
            return Err(format!("--{flag} is 1 to 64 of a-z, 0-9, '_', '.', '-'"));
        }
    }
    let people = [("owner", &args.owner), ("backup-owner", &args.backup_owner)];
    for (flag, value) in people {
        if value
            .as_deref()
            .is_some_and(|text| !is_printable(text, OWNER_CHARS_MAX))
        {
            return Err(format!(
                "--{flag} is 1 to {OWNER_CHARS_MAX} printable characters"
            ));
        }
    }
    let keys = [
        ("upstream", &args.upstream),
        ("service", &args.service),
        ("owner", &args.owner),
        ("backup_owner", &args.backup_owner),
    ];
    let keys = keys.into_iter();
    let keys = keys.filter_map(|(key, value)| Some((key, value.as_deref()?)));
    Ok(Extras {
        keys: keys.collect(),
    })
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    // Asked before opening: opening a named pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("this is not a regular file"));
    }
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes())
}
