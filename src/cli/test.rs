//! `tidegate test`: requests in a state, and whether the files decide as their authors say.
//!
//! Reads files alone and starts nothing. What is run comes from one [`Tested`], so another source
//! of contracts, rules and self-tests needs one more way to make it.

mod junit;
mod report;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::exit::{FAILED, INVALID, OK, Outcome};
use crate::cli::offline::{ConfigArg, FINDINGS};
use crate::config::{load, read_self_test_files};
use crate::contract::Catalogue;
use crate::diagnostic::{Diagnostic, Format, render};
use crate::policy::rules::Rules;
use crate::policy::self_tests::SelfTests;
use crate::selftest::{Report, Subject, run_all};

/// Runs self-tests.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files of self-tests, or folders of them; without any, those of the configuration.
    #[arg(value_name = "CASES")]
    pub cases: Vec<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArg,
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

/// Runs the verb; the result is the exit code: 0 all pass, 1 there is none, 3 one fails, 78 where a
/// file cannot be used.
#[must_use]
pub fn run(args: &TestArgs) -> u8 {
    test(args).print()
}

/// Runs the verb without printing.
#[must_use]
pub fn test(args: &TestArgs) -> Outcome {
    match tested(args) {
        Ok((tested, warnings)) => Outcome {
            stderr: render(&warnings, Format::Pretty),
            ..judge(&tested, args.format, args.list)
        },
        Err(found) => Outcome {
            stdout: String::new(),
            stderr: render(&found, Format::Pretty),
            code: INVALID,
        },
    }
}

fn tested(args: &TestArgs) -> Result<(Tested, Vec<Diagnostic>), Vec<Diagnostic>> {
    let loaded = load(&args.config.config)?;
    let (tests, warnings) = match args.cases.is_empty() {
        true => (loaded.self_tests, Vec::new()),
        false => read_self_test_files(&args.cases)?,
    };
    let tested = Tested {
        catalogue: loaded.catalogue,
        rules: loaded.rules,
        tests,
        digest: loaded.content.digest_hex(),
    };
    Ok((tested, warnings))
}

/// Lists or runs them.
fn judge(tested: &Tested, format: FormatArg, list: bool) -> Outcome {
    if tested.tests.is_empty() {
        return Outcome {
            stdout: String::new(),
            stderr: "error: there is no self-test; name files of them, or add 'self_tests' to the \
                     configuration\n"
                .to_owned(),
            code: FAILED,
        };
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
