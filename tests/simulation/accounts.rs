//! What each decision adds to the accounts of its world.

use tidegate::decision::Reason;
use tidegate::observation::{Mode, Standing};
use tidegate::pipeline::Admission;
use tidegate::policy::rules::Severity;
use tidegate::rulebook::Rulebook;
use tidegate::units::Tier;

use crate::report::Report;

impl Report {
    /// Notes one decision of a gateway of this tier.
    pub(crate) fn note_decision(
        &mut self,
        tier: Tier,
        rulebook: &Rulebook,
        admission: &Admission,
        now: u64,
    ) {
        let judgement = &admission.judgement;
        let (permit, decision) = (&judgement.permit, &judgement.decision);
        let forwarded = admission.is_forwarded();
        let contracted = admission.signals.standing == Standing::Contracted;
        self.decisions += 1;
        self.forwarded += u64::from(forwarded);
        self.refused += u64::from(!forwarded);
        self.withheld += u64::from(!permit.withheld().is_empty());
        let observes = permit.tier() == Tier::ObserveOnly || tier == Tier::ObserveOnly;
        self.acts_above_tier += u64::from(!forwarded && observes);
        let over_a_rate = decision.deciding() == Reason::RateLimitExceeded;
        let marked = judgement.assessment.abuse().get() > 0 || over_a_rate;
        if contracted && !forwarded && !marked {
            self.innocents_refused.note(now);
        }
        if self.reasons.is_empty() {
            self.until_first.push((now, *judgement));
        }
        if decision.severity() > Severity::Allow {
            let code = decision.deciding().code();
            *self.reasons.entry(code).or_default() += 1;
        }
        let set_apart = contracted && decision.severity() == Severity::Quarantine;
        self.quarantined += u64::from(set_apart);
        if admission.route == 0 && contracted {
            let assessment = &judgement.assessment;
            let reading = |factor| assessment.reading(factor).get();
            self.note_readings(now, reading, assessment.insufficient());
        }
        let places = rulebook
            .contract_of(admission.route)
            .and_then(|contract| contract.terms().max_in_flight);
        if let Some(places) = places {
            let mode = match permit.tier() {
                Tier::ObserveOnly => Mode::Dry,
                Tier::Control | Tier::Autonomous => Mode::Real,
            };
            let taken = rulebook.board().in_flight(admission.route, mode);
            self.over_the_places += u64::from(taken > places.get() && forwarded);
        }
    }
}
