//! `tidegate test`: requests in a state, and whether the files decide as their authors say.
//!
//! Reads files alone and starts nothing. What is run comes from one [`Tested`], so another source
//! of contracts, rules and self-tests needs one more way to make it.

mod junit;
mod report;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::bundle::verify::read_unverified;
use crate::cli::bundle::content::is_envelope;
use crate::cli::exit::{FAILED, INVALID, OK, Outcome};
use crate::cli::offline::{ConfigArg, FINDINGS};
use crate::cli::signing::{code_of, read};
use crate::config::{load, read_self_test_files};
use crate::contract::Catalogue;
use crate::diagnostic::{Diagnostic, Format, render};
use crate::policy::rules::Rules;
use crate::policy::self_tests::SelfTests;
use crate::selftest::{Report, Subject, run_all};

/// Runs self-tests.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files of self-tests, or folders of them; without any, those of the configuration or bundle.
    #[arg(value_name = "CASES")]
    pub cases: Vec<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArg,
    /// A bundle instead of the configuration; who signed it is not looked at.
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// How results are written to stdout.
    #[arg(long, env = "TIDEGATE_TEST_FORMAT", value_enum, default_value_t)]
    pub format: FormatArg,
    /// Lists the names and runs nothing.
    #[arg(long, env = "TIDEGATE_TEST_LIST", value_parser = clap::builder::FalseyValueParser::new())]
    pub list: bool,
}

/// The form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum FormatArg {
    /// For people.
    #[default]
    #[value(alias = "text")]
    Pretty,
    /// One JSON object.
    Json,
    /// One JUnit test suite.
    Junit,
}

/// What is run, wherever it came from.
#[derive(Debug)]
pub struct Tested {
    /// The contracts.
    pub catalogue: Catalogue,
    /// The rules.
    pub rules: Rules,
    /// The self-tests.
    pub tests: SelfTests,
    /// The content digest of contracts, rules and their own self-tests.
    pub digest: String,
}

/// Runs the verb; the result is the exit code: 0 all pass, 1 there is none or the bundle cannot be
/// read, 3 one fails, 65 where the bundle is not what it claims to be, 78 where a file cannot be
/// used.
#[must_use]
pub fn run(args: &TestArgs) -> u8 {
    test(args).print()
}

/// Runs the verb without printing.
#[must_use]
pub fn test(args: &TestArgs) -> Outcome {
    match tested(args) {
        Ok((tested, warnings)) => {
            let outcome = judge(&tested, args.format, args.list);
            Outcome {
                stderr: render(&warnings, Format::Pretty) + &outcome.stderr,
                ..outcome
            }
        }
        Err(outcome) => outcome,
    }
}

fn tested(args: &TestArgs) -> Result<(Tested, Vec<Diagnostic>), Outcome> {
    let mut tested = match &args.bundle {
        Some(path) => of_bundle(path)?,
        None => of_files(&args.config.config).map_err(|found| invalid(&found))?,
    };
    if args.cases.is_empty() {
        return Ok((tested, Vec::new()));
    }
    no_bundle_among(&args.cases)?;
    let (tests, warnings) = read_self_test_files(&args.cases).map_err(|found| invalid(&found))?;
    tested.tests = tests;
    Ok((tested, warnings))
}

fn of_files(path: &Path) -> Result<Tested, Vec<Diagnostic>> {
    let loaded = load(path)?;
    Ok(Tested {
        catalogue: loaded.catalogue,
        rules: loaded.rules,
        tests: loaded.self_tests,
        digest: loaded.content.digest_hex(),
    })
}

fn invalid(found: &[Diagnostic]) -> Outcome {
    Outcome::to_stderr(render(found, Format::Pretty), INVALID)
}

/// A bundle named where files of self-tests stand would be told of as YAML, line by line.
fn no_bundle_among(cases: &[PathBuf]) -> Result<(), Outcome> {
    let is_bundle =
        |path: &&PathBuf| path.is_file() && read(path).is_ok_and(|bytes| is_envelope(&bytes));
    let Some(bundle) = cases.iter().find(is_bundle) else {
        return Ok(());
    };
    let path = bundle.display();
    let told =
        format!("error: {path} is a bundle, and no file of self-tests; name it with --bundle\n");
    Err(Outcome::to_stderr(told, INVALID))
}

/// What a bundle says, as a gateway would read it; it is only tried, so nobody has to have signed.
fn of_bundle(path: &Path) -> Result<Tested, Outcome> {
    let told = |what: &dyn std::fmt::Display| format!("error: {}: {what}\n", path.display());
    let bytes =
        read(path).map_err(|error| Outcome::to_stderr(format!("error: {error:#}\n"), FAILED))?;
    let payload = read_unverified(&bytes)
        .map_err(|refused| Outcome::to_stderr(told(&refused), code_of(&refused)))?;
    let catalogue = Catalogue::build(payload.contracts().to_vec()).map_err(|_| {
        let what = "its contracts do not fit together; tidegate bundle verify says which";
        Outcome::to_stderr(told(&what), FAILED)
    })?;
    Ok(Tested {
        catalogue,
        rules: payload.rules().clone(),
        tests: payload.self_tests().clone(),
        digest: payload.content().digest_hex(),
    })
}

/// Lists or runs them.
fn judge(tested: &Tested, format: FormatArg, list: bool) -> Outcome {
    if tested.tests.is_empty() {
        let told = "error: there is no self-test; name files of them, or add 'self_tests' to the \
                    configuration\n";
        return Outcome::to_stderr(told.to_owned(), FAILED);
    }
    if list {
        let names = tested.tests.as_slice().iter();
        return Outcome {
            stdout: names.map(|test| format!("{}\n", test.name())).collect(),
            stderr: String::new(),
            code: OK,
        };
    }
    let subject = Subject {
        catalogue: &tested.catalogue,
        rules: &tested.rules,
    };
    let report = run_all(subject, &tested.tests);
    Outcome {
        stdout: written(tested, &report, format),
        stderr: String::new(),
        code: if report.is_passed() { OK } else { FINDINGS },
    }
}

fn written(tested: &Tested, report: &Report, format: FormatArg) -> String {
    match format {
        FormatArg::Pretty => report::pretty(tested, report),
        FormatArg::Json => report::json(tested, report),
        FormatArg::Junit => junit::junit(report),
    }
}

#[cfg(test)]
mod tests;
