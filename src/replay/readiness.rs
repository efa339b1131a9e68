//! What `CONTROL` would have done with recorded requests, contract by contract.
//!
//! A decision does not know the tier, so each record is asked only what that tier permits of its
//! decision, under the rules it was made by. What took longer than the contract's timeout is told
//! too, for an observer waits longer. Memory grows with the number of contracts and of requests that
//! run at once, never with that of records or clients. Deliberately not here: what other rules would have decided
//! ([`Impact`](super::Impact)), and what clients would have done had they been refused.

use std::collections::BTreeMap;

use crate::contract::Contract;
use crate::decision::{Decision, Reason};
use crate::ledger::{as_text, as_uint};
use crate::observation::{Standing, UNMATCHED};
use crate::policy::rules::Severity;
use crate::record::DecisionLine;
use crate::replay::RuleSet;
use crate::replay::distinct::Distinct;
use crate::replay::effect::{Effect, effect_of};
use crate::units::Tier;

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
    /// Observed requests whose end is told by a later record, by their decision id.
    running: BTreeMap<Box<str>, Observed>,
}

/// A request that was observed, and that control would have forwarded.
#[derive(Debug)]
struct Observed {
    route: String,
    client: u64,
    severity: Severity,
    reason: Reason,
    /// What it was counted as, if anything.
    effect: Option<Effect>,
    timeout_us: u64,
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

/// A decision, what control makes of it where that is not plainly forwarding, and the reason that
/// decided.
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
        let (severity, reason) = (decision.severity(), decision.deciding());
        if let Some(effect) = effect {
            let cause = Cause {
                severity,
                effect,
                reason,
            };
            route.count(cause, acted, line.client.0);
        }
        if let Some(terms) = terms
            && acted == 0
            && !effect.is_some_and(Effect::turns_away)
        {
            let observed = Observed {
                route: name.to_owned(),
                client: line.client.0,
                severity,
                reason,
                effect,
                timeout_us: terms.timeout.as_micros(),
            };
            self.await_end(line, observed);
        }
        Ok(())
    }

    fn await_end(&mut self, line: &DecisionLine<'_>, observed: Observed) {
        if as_text(line.member("outcome")) == Some("open") {
            self.running.insert(line.decision_id.into(), observed);
        } else {
            let latency_us = as_uint(line.member("latency_us")).unwrap_or(0);
            self.note_end(&observed, latency_us);
        }
    }

    /// Notes the record of an outcome: the request of that decision took so long.
    pub fn end(&mut self, decision_id: &str, latency_us: u64) {
        if let Some(observed) = self.running.remove(decision_id) {
            self.note_end(&observed, latency_us);
        }
    }

    /// Notes the record of a start: what ran before it has ended, and nobody knows how.
    pub fn start(&mut self) {
        self.running.clear();
    }

    fn note_end(&mut self, observed: &Observed, latency_us: u64) {
        if latency_us <= observed.timeout_us {
            return;
        }
        let Some(route) = self.routes.get_mut(&observed.route) else {
            return;
        };
        let (severity, reason) = (observed.severity, observed.reason);
        let cause = |effect| Cause {
            severity,
            effect,
            reason,
        };
        if let Some(effect) = observed.effect {
            route.take_back(cause(effect));
        }
        route.count(cause(Effect::TimedOut), 0, observed.client);
    }
}

impl RouteReadiness {
    fn count(&mut self, cause: Cause, acted: u64, client: u64) {
        let count = self.causes.entry(cause).or_default();
        count.requests += 1;
        count.enforced += acted;
        if cause.effect.turns_away() {
            self.clients_affected.add(client);
        }
    }

    /// Uncounts one observed request.
    fn take_back(&mut self, cause: Cause) {
        if let Some(count) = self.causes.get_mut(&cause) {
            count.requests -= 1;
            if count.requests == 0 {
                self.causes.remove(&cause);
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use super::Verdict;

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
