//! What `CONTROL` would have done with recorded requests, contract by contract.
//!
//! A decision does not know the tier, so each record is asked only what that tier permits of its
//! decision, under the rules it was made by. Memory grows with the number of contracts, never with
//! that of records or clients. Deliberately not here: what other rules would have decided
//! ([`Impact`](super::Impact)), and what clients would have done had they been refused.

use std::collections::BTreeMap;

use crate::contract::{Contract, Terms};
use crate::decision::{Decision, Reason};
use crate::enforcement::{Measure, permit};
use crate::ledger::as_text;
use crate::observation::{Signals, Standing, UNMATCHED};
use crate::pipeline::{Way, way_of};
use crate::policy::rules::Severity;
use crate::record::DecisionLine;
use crate::replay::RuleSet;
use crate::replay::distinct::Distinct;
use crate::units::{ActionSet, Tier};

/// A contract of which less than this part is turned away is worth a look; `1 / 1000`.
const LOOK_SHARE: u64 = 1_000;

/// What control would have done with the requests of a period.
#[derive(Debug, Default)]
pub struct Readiness {
    /// Per contract; `_unmatched` for what none claimed.
    pub routes: BTreeMap<String, RouteReadiness>,
    /// Heads that could not be read: every tier refuses them, so they tell nothing.
    pub malformed: u64,
    /// When the first and the last request came, microseconds on the wall clock.
    pub span_us: Option<(u64, u64)>,
}

/// What control would have done with the requests of one contract.
#[derive(Debug, Default)]
pub struct RouteReadiness {
    /// Requests recorded.
    pub requests: u64,
    /// Of these, decided under a tier that acts.
    pub enforced: u64,
    /// Who asked.
    pub clients: Distinct,
    /// Who would have been turned away at least once.
    pub clients_affected: Distinct,
    /// What would have been done, and how often.
    pub causes: BTreeMap<Cause, Count>,
}

/// A decision other than ALLOW, what control makes of it, and the reason that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// The decision.
    pub severity: Severity,
    /// What becomes of the request.
    pub effect: Effect,
    /// Why.
    pub reason: Reason,
}

/// How often something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Requests.
    pub requests: u64,
    /// Of these, decided under a tier that acts: it was done.
    pub enforced: u64,
}

/// What becomes of a request that is not plainly forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The gateway answers.
    Refused,
    /// It goes to the upstream for those that are set apart.
    Diverted,
    /// It waits for its turn and is then forwarded.
    Delayed,
    /// It is forwarded and marked.
    Marked,
    /// It is forwarded: the policy gives control no right to do what the decision asks for.
    NotAllowed,
}

impl Effect {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Diverted => "diverted",
            Self::Delayed => "delayed",
            Self::Marked => "marked",
            Self::NotAllowed => "not_allowed",
        }
    }

    /// Whether the client does not get what it asked for.
    #[must_use]
    pub const fn turns_away(self) -> bool {
        matches!(self, Self::Refused | Self::Diverted)
    }
}

/// Whether a contract may be controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody would have been turned away.
    Ready,
    /// Less than one in a thousand requests would have been.
    Look,
    /// More.
    NotReady,
}

impl Verdict {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Look => "look",
            Self::NotReady => "not_ready",
        }
    }

    const fn of(turned_away: u64, requests: u64) -> Self {
        if turned_away == 0 {
            Self::Ready
        } else if turned_away.saturating_mul(LOOK_SHARE) < requests {
            Self::Look
        } else {
            Self::NotReady
        }
    }
}

/// The record says another decision than its own inputs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its decision does not follow from its own inputs; see tidegate replay")]
pub struct Contradiction;

impl Readiness {
    /// Adds a recorded decision. `decision` is what its inputs give under `rules`, its own rules.
    ///
    /// # Errors
    /// [`Contradiction`] where the record says something else; then nothing was counted.
    pub fn add(
        &mut self,
        line: &DecisionLine<'_>,
        decision: &Decision,
        rules: &RuleSet,
    ) -> Result<(), Contradiction> {
        if as_text(line.member("decision")) != Some(decision.severity().name()) {
            return Err(Contradiction);
        }
        let at = line.wall_us;
        let (from, to) = self.span_us.unwrap_or((at, at));
        self.span_us = Some((from.min(at), to.max(at)));
        if line.signals.standing == Standing::Malformed {
            self.malformed += 1;
            return Ok(());
        }
        let contract = line.contract_id.and_then(|id| rules.contract(id));
        let allowed = rules.rules().allowed(Tier::Control);
        let terms = contract.map(Contract::terms);
        let effect = effect_of(decision, allowed, terms, &line.signals);
        let acted = u64::from(line.signals.tier > Tier::ObserveOnly);
        let name = line.contract_id.unwrap_or(UNMATCHED);
        let route = self.routes.entry(name.to_owned()).or_default();
        route.requests += 1;
        route.enforced += acted;
        route.clients.add(line.client.0);
        if let Some(effect) = effect {
            let cause = Cause {
                severity: decision.severity(),
                effect,
                reason: decision.deciding(),
            };
            let count = route.causes.entry(cause).or_default();
            count.requests += 1;
            count.enforced += acted;
            if effect.turns_away() {
                route.clients_affected.add(line.client.0);
            }
        }
        Ok(())
    }
}

impl RouteReadiness {
    /// Requests that would not have got what they asked for.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        let counted = self.causes.iter();
        let turned_away = counted.filter(|(cause, _)| cause.effect.turns_away());
        turned_away.map(|(_, count)| count.requests).sum()
    }

    /// Whether the contract may be controlled.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(self.turned_away(), self.requests)
    }
}

/// What control makes of a decision; `None` where it is plainly forwarded. `allowed` is what the
/// policy gives that tier.
fn effect_of(
    decision: &Decision,
    allowed: ActionSet,
    terms: Option<&Terms>,
    signals: &Signals,
) -> Option<Effect> {
    if decision.severity() == Severity::Allow {
        return None;
    }
    let permit = permit(decision, allowed, Tier::Control);
    Some(match way_of(&permit, terms, signals) {
        Way::Refuse => Effect::Refused,
        Way::Divert => Effect::Diverted,
        Way::Shadow => Effect::Marked,
        Way::Forward if permit.measure() == Measure::Forward => Effect::NotAllowed,
        Way::Forward => Effect::Delayed,
    })
}

#[cfg(test)]
mod tests {
    use super::{Effect, Verdict, effect_of};
    use crate::contract::{Quarantine, Terms};
    use crate::observation::{Signals, Standing, Take};
    use crate::pipeline::judge;
    use crate::policy::rules::Rules;
    use crate::units::{Action, ActionSet, Tier};

    #[test]
    fn the_contract_and_the_policy_say_what_becomes_of_a_decision() {
        // R283
        let check = |terms: Terms, allowed: Option<ActionSet>, signals: Signals, expected| {
            let rules = Rules::default();
            let allowed = allowed.unwrap_or(rules.allowed(Tier::Control));
            let decision = judge(&rules, Some(&terms), &signals).decision;
            let effect = effect_of(&decision, allowed, Some(&terms), &signals);
            assert_eq!(effect, expected, "{signals:?}");
        };
        let calm = Signals::default();
        let unknown = Signals {
            standing: Standing::Unknown,
            ..calm
        };
        let over = Signals {
            take: Take::ContractRate,
            ..calm
        };
        let kept_waiting = Signals { hold_ns: 1, ..over };
        let with = |quarantine| Terms {
            quarantine,
            ..Terms::default()
        };
        check(Terms::default(), None, calm, None);
        check(
            with(Quarantine::Reject),
            None,
            unknown,
            Some(Effect::Refused),
        );
        check(
            with(Quarantine::Divert),
            None,
            unknown,
            Some(Effect::Diverted),
        );
        check(
            with(Quarantine::Shadow),
            None,
            unknown,
            Some(Effect::Marked),
        );
        let log = ActionSet::of(&[Action::Log]);
        check(
            Terms::default(),
            Some(log),
            unknown,
            Some(Effect::NotAllowed),
        );
        check(Terms::default(), None, over, Some(Effect::Refused));
        check(Terms::default(), None, kept_waiting, Some(Effect::Delayed));
    }

    #[test]
    fn less_than_one_in_a_thousand_is_worth_a_look() {
        let check = |turned_away, requests, expected| {
            assert_eq!(Verdict::of(turned_away, requests), expected);
        };
        check(0, 0, Verdict::Ready);
        check(0, 1_000_000, Verdict::Ready);
        check(1, 1_001, Verdict::Look);
        check(1, 1_000, Verdict::NotReady);
        check(1, 1, Verdict::NotReady);
        check(u64::MAX, u64::MAX, Verdict::NotReady);
    }
}
