//! Self-tests, run: does a rulebook decide as its authors say it does?
//!
//! A request is paired by the catalogue and judged by the pipeline itself; only the state of route,
//! client and ledger is supposed instead of observed. Pure: no clock, no file, no lock, so the same
//! content passes or fails on every machine. Invariants: nothing here panics, whatever the content;
//! the work is bounded by the number of self-tests, the length of their targets and the steps of a
//! lookup. Deliberately not here: who asks, and what a failure forbids.

mod compare;
mod notes;
mod report;
mod situation;
mod takes;

use crate::contract::Catalogue;
use crate::policy::rules::Rules;
use crate::policy::self_tests::{SelfTest, SelfTests};

pub use report::{Found, Mismatch, Outcome, Report};

/// Why a rulebook is refused whose self-tests do not all pass.
pub const SELF_TEST_FAILED: &str = "SELF_TEST_FAILED";

/// What is tested.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The contracts.
    pub catalogue: &'a Catalogue,
    /// The rules.
    pub rules: &'a Rules,
}

/// Runs one self-test.
#[must_use]
pub fn run(subject: Subject<'_>, test: &SelfTest) -> Outcome {
    let situation = situation::Situation::of(subject, test);
    let found = situation.found();
    let mut mismatches = compare::compare(test.expect(), &found);
    if let Some(mismatch) = situation.depends_on_draw() {
        mismatches.push(mismatch);
    }
    let notes = match mismatches.is_empty() {
        true => Vec::new(),
        false => notes::notes(subject, &situation),
    };
    Outcome {
        name: test.name().into(),
        mismatches,
        notes,
        found,
    }
}

/// Runs all of them, in the order of their names.
#[must_use]
pub fn run_all(subject: Subject<'_>, tests: &SelfTests) -> Report {
    let outcomes = tests.as_slice().iter();
    Report::new(outcomes.map(|test| run(subject, test)).collect())
}

/// Refuses where one of them fails; gives how many passed.
///
/// # Errors
/// The first failures, in one sentence that begins with [`SELF_TEST_FAILED`].
pub fn verify(subject: Subject<'_>, tests: &SelfTests) -> Result<usize, SelfTestFailed> {
    let report = run_all(subject, tests);
    match report.failures().next() {
        None => Ok(report.outcomes().len()),
        Some(first) => Err(SelfTestFailed {
            failed: report.failures().count(),
            of: report.outcomes().len(),
            first: format!("'{}': {}", first.name, first.summary()),
        }),
    }
}

/// What a verifier of bundles runs: the same, told without the code that the refusal has anyway.
///
/// # Errors
/// How many fail, and the first of them.
pub fn for_bundles(catalogue: &Catalogue, rules: &Rules, tests: &SelfTests) -> Result<(), String> {
    let ended = verify(Subject { catalogue, rules }, tests);
    ended.map(|_| ()).map_err(|failed| failed.in_words())
}

/// That self-tests fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{SELF_TEST_FAILED}: {failed} of {of} self-tests fail; {first}")]
pub struct SelfTestFailed {
    /// How many.
    pub failed: usize,
    /// Of so many.
    pub of: usize,
    /// The first one: its name, what was expected and what was found.
    pub first: String,
}

impl SelfTestFailed {
    fn in_words(&self) -> String {
        let Self { failed, of, first } = self;
        format!("{failed} of {of} self-tests fail; {first}")
    }
}

#[cfg(test)]
mod tests;
