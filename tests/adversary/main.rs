//! Attacks on a ledger, and what the verifier says of each: shaped on what was done to other
//! people's logs (cut and resumed, a key of another epoch, notes of a fork).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

mod accounts;
mod attacks;
mod bits;
mod golden;
mod parts;
mod resumed;
mod site;

use std::path::Path;

use tidegate::ledger::{Damage, Report, Verdict, VerifyOptions, verify, verify_with};

/// The damage that a check names.
pub(crate) fn damage(report: &Report) -> Option<&Damage> {
    match &report.verdict {
        Verdict::Intact | Verdict::NothingChecked => None,
        Verdict::TornTail(damage) | Verdict::Damaged(damage) => Some(damage),
    }
}

pub(crate) fn check(dir: &Path) -> Report {
    verify(dir).unwrap()
}

pub(crate) fn check_with(dir: &Path, options: &VerifyOptions) -> Report {
    verify_with(dir, options).unwrap()
}

/// Whether a report says that it left this out.
pub(crate) fn said(report: &Report, what: &str) -> bool {
    report.not_checked.iter().any(|said| said.contains(what))
}
