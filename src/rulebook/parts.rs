//! What a rulebook is made of, and the only two ways to get it: a bundle that was verified, or
//! plain files that nobody signed.
//!
//! Invariants: whoever holds [`RulebookParts`] came by one of these ways, so nothing else can
//! become a rulebook in force; what nobody signed never asks for more than CONTROL, and what was
//! signed never for more than its signers allow.

use std::sync::Arc;

use crate::contract::Catalogue;
use crate::policy::rules::Rules;
use crate::units::Tier;

/// The most that a gateway may do on the word of files that nobody signed.
const UNSIGNED_TIER_MAX: Tier = Tier::Control;

/// What plain files say.
#[derive(Debug)]
pub struct LocalParts {
    /// The contracts, ready for matching.
    pub catalogue: Catalogue,
    /// The rules.
    pub rules: Rules,
    /// The tier of the process.
    pub tier: Tier,
    /// The content digest of contracts and rules.
    pub content_digest: [u8; 32],
    /// The upstream group of everything that names none.
    pub default_upstream: Box<str>,
    /// How many workers count on its board.
    pub workers: usize,
}

/// What a bundle in force says of itself: for status, metrics and records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFacts {
    /// The bundle digest, 64 hex digits: what was signed.
    pub digest: String,
    /// The name of the line of bundles.
    pub name: String,
    /// The epoch.
    pub epoch: u64,
    /// The serial within it.
    pub serial: u64,
    /// Until when it may be activated, microseconds since 1970; in force it stays in force.
    pub expires_at_us: u64,
    /// The most that a gateway may do under it.
    pub tier_max: Tier,
    /// The principals who signed it, its author included, sorted.
    pub signers: Vec<String>,
    /// The classes of the change that it was; empty where it was verified again after a start.
    pub classes: Vec<&'static str>,
    /// When the bundle before it comes back by itself, for a break-glass bundle.
    pub breakglass_until_us: Option<u64>,
}

/// What a rulebook is made of.
#[derive(Debug)]
pub struct RulebookParts {
    pub(super) catalogue: Catalogue,
    pub(super) rules: Rules,
    pub(super) tier: Tier,
    pub(super) content_digest: [u8; 32],
    pub(super) default_upstream: Box<str>,
    pub(super) workers: usize,
    pub(super) bundle: Option<Arc<BundleFacts>>,
}

impl RulebookParts {
    /// Of plain files that nobody signed: CONTROL at most.
    #[must_use]
    pub fn unsigned_local(parts: LocalParts) -> Self {
        let LocalParts {
            catalogue,
            rules,
            tier,
            content_digest,
            default_upstream,
            workers,
        } = parts;
        Self {
            catalogue,
            rules,
            tier: tier.min(UNSIGNED_TIER_MAX),
            content_digest,
            default_upstream,
            workers,
            bundle: None,
        }
    }
}
