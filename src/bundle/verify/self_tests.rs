//! The last check of a candidate: what its authors expect of it, on this very engine.
//!
//! The engine is handed in, because it stands above what it would otherwise verify: the pipeline
//! works on rulebooks, and rulebooks are made of verified bundles.

use super::fitting::Fitted;
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::contract::Catalogue;
use crate::policy::rules::Rules;
use crate::policy::self_tests::SelfTests;

/// What runs bundles here.
#[derive(Debug, Clone, Copy)]
pub struct Engine<'a> {
    /// The version of this program, `MAJOR.MINOR.PATCH`.
    pub version: &'a str,
    /// Runs all self-tests against contracts and rules; what failed, in words.
    pub self_tests: fn(&Catalogue, &Rules, &SelfTests) -> Result<(), String>,
}

/// Whether every self-test of the content passes.
///
/// # Errors
/// [`RefusalCode::SelfTestFailed`].
pub(super) fn pass(fitted: &Fitted, engine: &Engine<'_>) -> Result<(), Refused> {
    let ended = (engine.self_tests)(&fitted.catalogue, &fitted.rules, &fitted.self_tests);
    ended.map_err(|failed| {
        let remedy = "tidegate test shows what was expected and what came";
        Refused::new(RefusalCode::SelfTestFailed, failed, remedy)
    })
}
