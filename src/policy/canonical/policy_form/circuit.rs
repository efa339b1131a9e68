//! Circuits and retries in canonical form.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::policy::bounds::{is_circuit, is_retry};
use crate::policy::rules::{CircuitRules, RetryRules};
use crate::units::{BasisPoints, Millis};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CircuitForm {
    broken_in_a_row: u32,
    open_ms: u32,
    open_ms_max: u32,
    samples_min: u32,
    slow_share_bp: u64,
    slow_start_ms: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryForm {
    budget_bp: u64,
    headers: Vec<String>,
}

impl From<&CircuitRules> for CircuitForm {
    fn from(rules: &CircuitRules) -> Self {
        Self {
            broken_in_a_row: rules.broken_in_a_row.get(),
            open_ms: rules.open.get(),
            open_ms_max: rules.open_max.get(),
            samples_min: rules.samples_min.get(),
            slow_share_bp: rules.slow_share.wide(),
            slow_start_ms: rules.slow_start.get(),
        }
    }
}

impl From<&RetryRules> for RetryForm {
    fn from(rules: &RetryRules) -> Self {
        Self {
            budget_bp: rules.budget.wide(),
            headers: rules.headers.iter().map(ToString::to_string).collect(),
        }
    }
}

impl CircuitForm {
    /// `None` where a number is out of range, or the times do not rise.
    pub(super) fn rules(&self) -> Option<CircuitRules> {
        let rules = CircuitRules {
            broken_in_a_row: NonZeroU32::new(self.broken_in_a_row)?,
            samples_min: NonZeroU32::new(self.samples_min)?,
            slow_share: BasisPoints::new(self.slow_share_bp)?,
            open: Millis::new(self.open_ms),
            open_max: Millis::new(self.open_ms_max),
            slow_start: Millis::new(self.slow_start_ms),
        };
        is_circuit(&rules).then_some(rules)
    }
}

impl RetryForm {
    /// `None` where a name is not valid or stands twice, or the budget is above the whole.
    pub(super) fn rules(self) -> Option<RetryRules> {
        let rules = RetryRules {
            headers: self.headers.into_iter().map(Into::into).collect(),
            budget: BasisPoints::new(self.budget_bp)?,
        };
        is_retry(&rules).then_some(rules)
    }
}
