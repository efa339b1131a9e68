//! `tidegate check`: all files as one unit, without side effects.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::assembly::{certificate_findings, check_client_key};
use crate::cli::count::count;
use crate::cli::exit::{INVALID, OK, Outcome};
use crate::cli::today;
use crate::config::{Loaded, load_on};
use crate::diagnostic::{Code, Diagnostic, Format, Place, Severity, error_count, render};
use crate::ledger::LedgerKey;

/// Checks the configuration, the contracts and the policy.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file.
    #[arg(short, long, env = "TIDEGATE_CONFIG", default_value = "tidegate.yaml")]
    pub config: PathBuf,
    /// How findings are written to stdout.
    #[arg(long, env = "TIDEGATE_FORMAT", value_enum, default_value_t)]
    pub format: FormatArg,
    /// Warnings fail the check.
    #[arg(long, env = "TIDEGATE_DENY_WARNINGS", value_parser = clap::builder::FalseyValueParser::new())]
    pub deny_warnings: bool,
}

/// The form of the findings.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum FormatArg {
    /// For people.
    #[default]
    #[value(alias = "text")]
    Pretty,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// Workflow commands of GitHub Actions.
    Github,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Pretty => Self::Pretty,
            FormatArg::Json => Self::Json,
            FormatArg::Sarif => Self::Sarif,
            FormatArg::Github => Self::Github,
        }
    }
}

/// Runs the verb; the result is the exit code: 0, or 78 where a file cannot be used.
#[must_use]
pub fn run(args: &CheckArgs) -> u8 {
    check(args).print()
}

/// Runs the verb without printing.
#[must_use]
pub fn check(args: &CheckArgs) -> Outcome {
    match load_on(&args.config, today()) {
        Ok(mut loaded) => {
            let found = keys(args, &loaded);
            loaded.warnings.extend(found);
            let found = certificate_findings(&loaded.settings);
            loaded.warnings.extend(found);
            let code = match (args.deny_warnings, loaded.warnings.is_empty()) {
                (true, false) => INVALID,
                _ => OK,
            };
            let summary = summary(&loaded, code == INVALID);
            outcome(args, &loaded.warnings, summary, code)
        }
        Err(found) => {
            let errors = error_count(&found);
            let warnings = found.len() - errors;
            let (errors, warnings) = (count(errors, "error"), count(warnings, "warning"));
            let summary = format!("{errors}, {warnings}\n");
            outcome(args, &found, summary, INVALID)
        }
    }
}

/// Keys that `run` would refuse: the ledger's where the file names it or it is there, the clients'
/// where it is there. Warnings, because files are also checked where the keys are not, and must
/// not be.
fn keys(args: &CheckArgs, loaded: &Loaded) -> Vec<Diagnostic> {
    let settings = &loaded.settings;
    let ledger = &settings.ledger;
    let is_looked_at = ledger.key_is_given || ledger.key.exists();
    let signing = LedgerKey::read(&ledger.key).err().filter(|_| is_looked_at);
    let clients = check_client_key(&settings.state_dir).err();
    let found = [
        signing.map(|error| format!("'ledger.key': {error}")),
        clients.map(|error| error.to_string()),
    ];
    let warning = |message| Diagnostic {
        file: args.config.display().to_string().into(),
        place: Place::default(),
        code: Code::LedgerKey,
        severity: Severity::Warning,
        message,
        remedy: Code::LedgerKey.remedy().to_owned(),
        excerpt: None,
    };
    found.into_iter().flatten().map(warning).collect()
}

/// Findings are the data; the summary is data only for people.
fn outcome(args: &CheckArgs, found: &[Diagnostic], summary: String, code: u8) -> Outcome {
    let rendered = render(found, args.format.into());
    let (stdout, stderr) = match args.format {
        FormatArg::Pretty => (rendered + &summary, String::new()),
        _ => (rendered, summary),
    };
    Outcome {
        stdout,
        stderr,
        code,
    }
}

/// A check reads files and no more: it says that there are self-tests, and `tidegate test` runs them.
fn self_tests(loaded: &Loaded) -> String {
    match loaded.self_tests.len() {
        0 => String::new(),
        tests => format!(
            "{} read, not run: 'tidegate test' runs them\n",
            count(tests, "self-test")
        ),
    }
}

fn summary(loaded: &Loaded, is_denied: bool) -> String {
    let (begin, end) = match is_denied {
        true => ("", ", denied by --deny-warnings"),
        false => ("ok: ", ""),
    };
    // With bundles the files are what the next one is built of.
    let whose = match loaded.settings.bundle {
        Some(_) => " of these files; what runs is the bundle in force: 'tidegate status'",
        None => "",
    };
    format!(
        "{begin}{} in {}, policy '{}' {}, {}, tier {}, {}{end}\n{}content digest {}{whose}\n",
        count(loaded.catalogue.len(), "contract"),
        count(loaded.contract_files, "file"),
        loaded.rules.name,
        loaded.rules.version,
        count(loaded.settings.upstreams.len(), "upstream"),
        loaded.settings.tier.key(),
        count(loaded.warnings.len(), "warning"),
        self_tests(loaded),
        loaded.content.digest_hex(),
    )
}
