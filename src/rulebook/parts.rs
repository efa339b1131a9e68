//! What a rulebook is made of, and the only two ways to get it: a bundle that was verified, or
//! plain files that nobody signed.
//!
//! Invariants: whoever holds [`RulebookParts`] came by one of these ways, so nothing else can
//! become a rulebook in force; what nobody signed never asks for more than CONTROL, and what was
//! signed never for more than its signers allow.

use std::sync::Arc;

use crate::bundle::verify::VerifiedBundle;
use crate::contract::Catalogue;
use crate::policy::rules::Rules;
use crate::units::Tier;

/// The most that a gateway may do on the word of files that nobody signed.
const UNSIGNED_TIER_MAX: Tier = Tier::Control;

/// The most that a gateway may do under a bundle that has ended.
const ENDED_TIER_MAX: Tier = Tier::Control;

/// The most that a gateway may do under a bundle, where its own files allow so much.
#[must_use]
pub fn signed_tier(bundle: &VerifiedBundle, tier: Tier, now_us: u64) -> Tier {
    let signed = tier.min(bundle.manifest().tier_max);
    if bundle.is_expired(now_us) {
        signed.min(ENDED_TIER_MAX)
    } else {
        signed
    }
}

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

impl BundleFacts {
    fn of(bundle: &VerifiedBundle) -> Self {
        let manifest = bundle.manifest();
        let classes = bundle.classified().into_iter();
        Self {
            digest: bundle.digest().to_owned(),
            name: manifest.name.clone(),
            epoch: manifest.epoch,
            serial: manifest.serial,
            expires_at_us: manifest.expires_at_us,
            tier_max: manifest.tier_max,
            signers: bundle.signers().to_vec(),
            classes: classes
                .flat_map(|classified| classified.classes.iter().map(|class| class.name()))
                .collect(),
            breakglass_until_us: manifest.breakglass.as_ref().map(|glass| glass.until_us),
        }
    }
}

impl RulebookParts {
    /// Of a verified bundle, for a process that may do so much: no more than its signers allow, and
    /// CONTROL at most once it has ended. The digest is that of the content that was verified.
    #[must_use]
    pub fn signed(
        bundle: &VerifiedBundle,
        tier: Tier,
        now_us: u64,
        default_upstream: Box<str>,
        workers: usize,
    ) -> Self {
        Self {
            catalogue: bundle.catalogue().clone(),
            rules: bundle.rules().clone(),
            tier: signed_tier(bundle, tier, now_us),
            content_digest: *bundle.content().digest(),
            default_upstream,
            workers,
            bundle: Some(Arc::new(BundleFacts::of(bundle))),
        }
    }

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
