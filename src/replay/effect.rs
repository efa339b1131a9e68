//! What a tier that acts makes of a decision, once contract and policy have had their say.

use crate::contract::Terms;
use crate::decision::Decision;
use crate::enforcement::{Measure, permit};
use crate::observation::Signals;
use crate::pipeline::{Way, way_of};
use crate::policy::rules::Severity;
use crate::units::{ActionSet, Tier};

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
    /// It is forwarded, and took longer than control would wait for the upstream's next bytes. An
    /// upper bound: what came in parts may have kept each wait short.
    TimedOut,
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
            Self::TimedOut => "timed_out",
        }
    }

    /// Whether the client does not get what it asked for.
    #[must_use]
    pub const fn turns_away(self) -> bool {
        matches!(self, Self::Refused | Self::Diverted | Self::TimedOut)
    }
}

/// What control makes of a decision; `None` where it is plainly forwarded. `allowed` is what the
/// policy gives that tier.
pub(super) fn effect_of(
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
    use super::{Effect, effect_of};
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
}
