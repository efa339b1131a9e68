//! One rulebook of a world, with what writes and reads its records.

use std::sync::Arc;

use tidegate::contract::{Catalogue, Contract};
use tidegate::policy::rules::Rules;
use tidegate::record::Encoder;
use tidegate::replay::RuleSet;
use tidegate::rulebook::{LocalParts, Registry, Rulebook, RulebookParts};
use tidegate::units::Tier;

pub(crate) const WORKERS: usize = 2;

pub(crate) struct Era {
    pub(crate) rulebook: Arc<Rulebook>,
    pub(crate) rule_set: RuleSet,
    pub(crate) encoder: Encoder,
}

impl Era {
    /// The rulebook that follows `before`, or the first one.
    pub(crate) fn new(
        before: Option<&Rulebook>,
        contracts: &[Contract],
        rules: &Rules,
        tier: Tier,
    ) -> Self {
        let parts = || {
            RulebookParts::unsigned_local(LocalParts {
                catalogue: Catalogue::build(contracts.to_vec()).unwrap(),
                rules: rules.clone(),
                tier,
                content_digest: [7; 32],
                default_upstream: "api".into(),
                workers: WORKERS,
            })
        };
        let registry = Arc::new(Registry::new(parts()));
        let rulebook = match before {
            None => registry.active().load_full(),
            // Its serial is 0 in a registry of its own: the encoder asks for nothing else.
            Some(before) => Arc::new(before.successor(0, parts())),
        };
        Self {
            rulebook,
            rule_set: RuleSet::new(rules.clone(), contracts.to_vec()),
            encoder: Encoder::new(registry, "simulation"),
        }
    }
}
