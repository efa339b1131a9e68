//! What came of self-tests, with what explains it.

use std::fmt::Write as _;

use crate::contract::ContractId;
use crate::decision::{Reason, ReasonSet};
use crate::observation::{Standing, UNMATCHED};
use crate::policy::rules::Severity;
use crate::policy::self_tests::Course;
use crate::risk::Assessment;
use crate::units::{ActionSet, Band, Factor, Tier};

/// What came of one self-test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its name.
    pub name: Box<str>,
    /// What differs from what is expected; nothing where it passed.
    pub mismatches: Vec<Mismatch>,
    /// What may explain a failure, each a sentence.
    pub notes: Vec<String>,
    /// What was decided.
    pub found: Found,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The key of `expect`, or `draw`.
    pub member: &'static str,
    /// What it says.
    pub expected: String,
    /// What was found.
    pub actual: String,
}

/// What was decided about a request, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The contract of the path.
    pub contract: Option<ContractId>,
    /// What the matcher said.
    pub standing: Standing,
    /// The decision.
    pub decision: Severity,
    /// Its reasons.
    pub reasons: ReasonSet,
    /// The one that decided.
    pub deciding: Reason,
    /// What is done.
    pub taken: ActionSet,
    /// What was asked for and not allowed.
    pub withheld: ActionSet,
    /// Where the request goes.
    pub course: Course,
    /// The status of our answer, 0 = closed without one; `None` = it is sent on.
    pub status: Option<u16>,
    /// The tier that holds.
    pub tier: Tier,
    /// The band that people are told.
    pub band: Band,
    /// The readings and contributions of the factors.
    pub assessment: Assessment,
}

impl Found {
    /// The contract's name, or that of what no contract claims.
    #[must_use]
    pub fn contract_name(&self) -> &str {
        self.contract.as_ref().map_or(UNMATCHED, ContractId::as_str)
    }

    /// The factors that read more than 0, each with its reading and what it contributes, in basis
    /// points; the greatest contribution first.
    #[must_use]
    pub fn factors(&self) -> Vec<(Factor, u16, u16)> {
        let read = |factor| {
            let reading = self.assessment.reading(factor).get();
            (factor, reading, self.assessment.contribution(factor).get())
        };
        let mut factors: Vec<_> = Factor::ALL.into_iter().map(read).collect();
        factors.retain(|(_, reading, _)| *reading > 0);
        factors.sort_by_key(|(_, _, contribution)| std::cmp::Reverse(*contribution));
        factors
    }
}

impl Outcome {
    /// Whether everything is as expected.
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        self.mismatches.is_empty()
    }

    /// What differs, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for mismatch in &self.mismatches {
            let separator = if text.is_empty() { "" } else { "; " };
            let (expected, actual) = (&mismatch.expected, &mismatch.actual);
            let member = mismatch.member;
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "{separator}{member} expected {expected}, was {actual}"
            );
        }
        text
    }
}

/// What came of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(super) const fn new(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes }
    }

    /// The outcomes, in the order of names.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Those that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| !outcome.is_passed())
    }

    /// Whether none failed.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.failures().next().is_none()
    }
}
