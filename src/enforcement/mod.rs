//! PERMIT: what the tier lets the gateway do about a decision.
//!
//! `permit` knows decision and tier; it does not know the risk. A [`Permit`] cannot be made in any
//! other way, and the gateway answers only by a permit: so a tier that only observes cannot be
//! broken by a mistake in the shell. What was withheld is a fact of its own.

use crate::decision::Decision;
use crate::units::{Action, ActionSet, Tier};

/// What is done to the request itself, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Sent on.
    Forward,
    /// Refused for now.
    Throttle,
    /// Set apart.
    Quarantine,
    /// Refused.
    Drop,
}

/// What may be done about one decision. Its constructor is [`permit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    tier: Tier,
    recommended: ActionSet,
    allowed: ActionSet,
    taken: ActionSet,
}

/// The most that any policy may let a tier do, weakest tier first.
const fn ceiling(tier: Tier) -> ActionSet {
    let watching = ActionSet::of(&[Action::Log, Action::Report, Action::Propose]);
    let refusing = watching
        .with(Action::Throttle)
        .with(Action::Quarantine)
        .with(Action::Drop)
        .with(Action::CircuitOpen);
    match tier {
        Tier::ObserveOnly => watching,
        Tier::Control => refusing,
        Tier::Autonomous => refusing.with(Action::PolicyUpdate),
    }
}

/// Whether every action is one that `tier` may ever have; for checking a policy.
#[must_use]
pub fn within_ceiling(tier: Tier, actions: ActionSet) -> bool {
    actions.minus(ceiling(tier)).is_empty()
}

/// `taken` = recommended and allowed; `tier` is the lowest of process, listener and contract.
#[must_use]
pub const fn permit(decision: &Decision, allowed_by_policy: ActionSet, tier: Tier) -> Permit {
    let allowed = allowed_by_policy.intersection(ceiling(tier));
    let recommended = decision.recommended();
    Permit {
        tier,
        recommended,
        allowed,
        taken: recommended.intersection(allowed),
    }
}

impl Permit {
    /// The effective tier.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// What the decision asks for.
    #[must_use]
    pub const fn recommended(&self) -> ActionSet {
        self.recommended
    }

    /// What the tier allows.
    #[must_use]
    pub const fn allowed(&self) -> ActionSet {
        self.allowed
    }

    /// What is done.
    #[must_use]
    pub const fn taken(&self) -> ActionSet {
        self.taken
    }

    /// What was asked for and not allowed.
    #[must_use]
    pub const fn withheld(&self) -> ActionSet {
        self.recommended.minus(self.allowed)
    }

    /// What is done to the request.
    #[must_use]
    pub const fn measure(&self) -> Measure {
        // An open circuit refuses by an action of its own: who allows no drops may want it still.
        if self.taken.contains(Action::Drop) || self.taken.contains(Action::CircuitOpen) {
            Measure::Drop
        } else if self.taken.contains(Action::Quarantine) {
            Measure::Quarantine
        } else if self.taken.contains(Action::Throttle) {
            Measure::Throttle
        } else {
            Measure::Forward
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Measure, permit, within_ceiling};
    use crate::decision::decide;
    use crate::observation::{Signals, Standing};
    use crate::policy::rules::Rules;
    use crate::risk::assess;
    use crate::units::{Action, ActionSet, FACTOR_COUNT, FactorSet, Tier};

    #[test]
    fn observing_forwards_whatever_was_decided() {
        // R055, R056
        let everything = Action::ALL
            .into_iter()
            .fold(ActionSet::EMPTY, ActionSet::with);
        let rules = Rules::default();
        let signals = Signals {
            known: FactorSet::from_bits((1 << FACTOR_COUNT) - 1),
            standing: Standing::MethodNotAllowed,
            ..Signals::default()
        };
        let decision = decide(&rules, &assess(&rules, None, &signals), &signals);
        assert!(decision.recommended().contains(Action::Drop));

        // Even a policy that would allow everything cannot raise the tier.
        let observed = permit(&decision, everything, Tier::ObserveOnly);
        assert_eq!(observed.measure(), Measure::Forward);
        assert_eq!(observed.taken(), ActionSet::of(&[Action::Log]));
        assert_eq!(observed.withheld(), ActionSet::of(&[Action::Drop]));

        let controlled = permit(&decision, everything, Tier::Control);
        assert_eq!(controlled.measure(), Measure::Drop);
        assert!(controlled.withheld().is_empty());
        assert!(!controlled.allowed().contains(Action::PolicyUpdate));
    }

    #[test]
    fn a_policy_may_not_give_a_tier_more_than_it_can_have() {
        let drop = ActionSet::of(&[Action::Drop]);
        assert!(!within_ceiling(Tier::ObserveOnly, drop));
        assert!(within_ceiling(Tier::Control, drop));
        for tier in Tier::ALL {
            assert!(
                within_ceiling(tier, Rules::default().allowed(tier)),
                "{tier:?}"
            );
        }
    }
}
