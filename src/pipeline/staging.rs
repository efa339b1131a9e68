//! The stage of a contract: what it leaves of the tier for one client.
//!
//! It lowers the tier before anything is judged, and the lowered tier stands in `inputs`. So a
//! decision replays without the stage, and the rest of the pipeline knows of it only what the tier
//! says: whoever is outside of a canary counts in the dry limits, like all who are only observed.

use super::Site;
use crate::contract::{Stage, Terms};
use crate::decision::rollout_hash;
use crate::observation::{ClientKey, LedgerStanding, Mode, RouteState};
use crate::units::{BasisPoints, Tier};

/// The most that a contract lets the gateway do about one client's requests. `contract` is its id.
#[must_use]
pub fn contract_ceiling(terms: &Terms, client: ClientKey, contract: &str) -> Tier {
    let tier = terms.tier.unwrap_or(Tier::Autonomous);
    match terms.stage {
        Stage::Enforced => tier,
        stage => tier.min(stage_ceiling(stage, client, contract)),
    }
}

/// What the stage of a contract leaves of a tier. Nothing is below observing: no hash for that.
#[cold]
#[inline(never)]
pub(super) fn lowered(
    tier: Tier,
    terms: Option<&Terms>,
    client: ClientKey,
    route: &RouteState,
) -> Tier {
    match terms {
        Some(terms) if tier > Tier::ObserveOnly => {
            tier.min(stage_ceiling(terms.stage, client, route.name()))
        }
        _ => tier,
    }
}

fn stage_ceiling(stage: Stage, client: ClientKey, contract: &str) -> Tier {
    let is_enforced = match stage {
        Stage::Enforced => true,
        Stage::Canary(share) => is_on_canary(share, client, contract),
        Stage::Shadow | Stage::Retired => false,
    };
    if is_enforced {
        Tier::Autonomous
    } else {
        Tier::ObserveOnly
    }
}

fn is_on_canary(share: BasisPoints, client: ClientKey, contract: &str) -> bool {
    rollout_hash(client, contract) < share.get()
}

/// Whether the route of a contract is not judged any more.
#[must_use]
#[inline]
pub(super) fn is_retired(terms: Option<&Terms>) -> bool {
    terms.is_some_and(|terms| terms.stage == Stage::Retired)
}

/// Whether nothing but a canary keeps this request from being controlled. Then it does not speak
/// for its route: the next one may well be on the canary.
#[must_use]
#[cold]
#[inline(never)]
pub(super) fn is_outside_canary(site: &Site<'_>) -> bool {
    let Some(terms) = site.terms else {
        return false;
    };
    let ceiling = site.rulebook.tier().min(site.arrival.listener_tier);
    matches!(terms.stage, Stage::Canary(_))
        && site.mode == Mode::Dry
        && site.arrival.ledger != LedgerStanding::ObserveOnly
        && ceiling.min(terms.ceiling()) > Tier::ObserveOnly
}
