//! The laws of score, decision and permit.

use proptest::prelude::*;
use proptest::sample::select;
use tidegate::enforcement::Measure;
use tidegate::observation::{Signals, Take};
use tidegate::pipeline::judge;
use tidegate::policy::rules::Stage;
use tidegate::risk::{TABLE, assess};
use tidegate::units::{BasisPoints, Factor, Tier};

use crate::any::{rules, signals, terms, without, worsened};

fn factor() -> impl Strategy<Value = Factor> {
    select(Factor::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // R045
    #[test]
    fn the_score_is_bounded_by_its_parts(
        rules in rules(), terms in proptest::option::of(terms()), signals in signals(),
    ) {
        let assessment = assess(&rules, terms.as_ref(), &signals);
        let mut worst = BasisPoints::ZERO;
        let mut sum = 0;
        for line in &TABLE {
            let contribution = assessment.contribution(line.factor);
            prop_assert!(contribution <= assessment.reading(line.factor));
            prop_assert!(contribution <= rules.weights.of(line.factor));
            if assessment.insufficient().contains(line.factor) {
                prop_assert_eq!(assessment.reading(line.factor), BasisPoints::ZERO);
            }
            worst = worst.max(contribution);
            sum += contribution.wide();
        }
        prop_assert!(assessment.risk() >= worst, "a single bad factor is never hidden");
        // Truncation works against the request by at most 1 for each of the families.
        prop_assert!(assessment.risk().wide() <= sum.min(10_000) + 7, "nothing comes from nowhere");
        prop_assert_eq!(assessment.risk(), assessment.distress().max(assessment.abuse()));
    }

    // R045
    #[test]
    fn worse_evidence_never_lowers_score_or_severity(
        rules in rules(), terms in proptest::option::of(terms()), signals in signals(),
        factor in factor(), step in prop_oneof![1..50_u32, 1..1_000_000_000_u32],
    ) {
        let signals = Signals { take: Take::NotAsked, ..signals };
        let worse = worsened(signals, factor, step);
        let before = judge(&rules, terms.as_ref(), &signals);
        let after = judge(&rules, terms.as_ref(), &worse);
        prop_assert!(after.assessment.risk() >= before.assessment.risk());
        prop_assert!(after.assessment.distress() >= before.assessment.distress());
        prop_assert!(after.assessment.abuse() >= before.assessment.abuse());
        // R053
        prop_assert!(after.decision.severity() >= before.decision.severity());
    }

    // R045
    #[test]
    fn a_factor_that_is_not_known_changes_nothing(
        rules in rules(), terms in proptest::option::of(terms()), signals in signals(),
        factor in factor(), step in 1..1_000_u32,
    ) {
        let unknown = assess(&rules, terms.as_ref(), &without(signals, factor));
        let mut weightless = rules.clone();
        weightless.stages = weightless.stages.with(factor, Stage::Shadow);
        let shadowed = assess(&weightless, terms.as_ref(), &signals);
        prop_assert_eq!(unknown.risk(), shadowed.risk());
        prop_assert_eq!(unknown.distress(), shadowed.distress());
        if !matches!(factor, Factor::UnknownEndpoint | Factor::MethodDisallowed) {
            let other = without(worsened(signals, factor, step), factor);
            prop_assert_eq!(assess(&rules, terms.as_ref(), &other), unknown);
        }
    }

    // R047
    #[test]
    fn inputs_hold_every_signal_and_give_the_same_judgement(
        rules in rules(), terms in proptest::option::of(terms()), signals in signals(),
    ) {
        let inputs = signals.to_inputs();
        let used = inputs.iter().rposition(|input| *input != 0).map_or(0, |last| last + 1);
        let read = Signals::from_inputs(&inputs[..used]).unwrap();
        prop_assert_eq!(read, signals);
        prop_assert_eq!(
            judge(&rules, terms.as_ref(), &read),
            judge(&rules, terms.as_ref(), &signals)
        );
    }

    // R055, R056
    #[test]
    fn what_is_taken_was_recommended_and_allowed(
        rules in rules(), terms in proptest::option::of(terms()), signals in signals(),
    ) {
        let permit = judge(&rules, terms.as_ref(), &signals).permit;
        prop_assert!(permit.taken().minus(permit.allowed()).is_empty());
        prop_assert!(permit.taken().minus(permit.recommended()).is_empty());
        prop_assert!(permit.withheld().intersection(permit.taken()).is_empty());
        prop_assert!(permit.allowed().minus(rules.allowed(signals.tier)).is_empty());
        if permit.tier() == Tier::ObserveOnly {
            prop_assert_eq!(permit.measure(), Measure::Forward, "whatever the policy allows");
        }
    }
}
