//! The pipeline where a traffic file cannot lead it: two listeners, and heads that are no request.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use tidegate::contract::{
    Catalogue, Contract, ContractId, ContractIndex, ContractParts, Method, MethodSet, Pairing,
    Terms,
};
use tidegate::decision::Reason;
use tidegate::enforcement::Measure;
use tidegate::observation::{Arrival, ClientKey, Mode, Take};
use tidegate::pipeline::{Admission, abandon, admit, judge_malformed};
use tidegate::policy::rules::Rules;
use tidegate::rulebook::{Rulebook, RulebookParts};
use tidegate::units::{Factor, Moment, PerMinute, Tier};

fn rulebook() -> Rulebook {
    let terms = Terms {
        rate_limit: PerMinute::new(60),
        burst: std::num::NonZeroU32::new(2),
        max_in_flight: std::num::NonZeroU32::new(100),
        ..Terms::default()
    };
    let contract = Contract::new(ContractParts::new(
        ContractId::new("api").unwrap(),
        "GET /api",
        MethodSet::EMPTY.with(Method::Get),
        terms,
    ));
    let parts = RulebookParts {
        catalogue: Catalogue::build(vec![contract]).unwrap(),
        rules: Rules::default(),
        tier: Tier::Control,
        content_digest: [0; 32],
        default_upstream: "api".into(),
        workers: 1,
    };
    Rulebook::new(0, parts)
}

fn arrive(rulebook: &Rulebook, listener_tier: Tier) -> Admission {
    arrive_as(
        rulebook,
        listener_tier,
        Pairing::Contracted(ContractIndex(0)),
    )
}

fn arrive_as(rulebook: &Rulebook, listener_tier: Tier, pairing: Pairing) -> Admission {
    let arrival = Arrival {
        method: Method::Get,
        client: ClientKey(1),
        at: Moment {
            monotonic_ns: 1_000_000_000_000,
            wall_us: 1_767_225_600_000_000,
        },
        listener_tier,
        address: None,
        request: tidegate::observation::RequestKey::default(),
        privileged: false,
        declared_retries: 0,
        has_body: false,
    };
    admit(rulebook, 0, pairing, &arrival)
}

// R056
#[test]
fn an_observing_listener_uses_up_nothing_of_a_controlling_one() {
    let rulebook = rulebook();
    let observed: Vec<Admission> = (0..5)
        .map(|_| arrive(&rulebook, Tier::ObserveOnly))
        .collect();
    let takes: Vec<Take> = observed
        .iter()
        .map(|admission| admission.signals.take)
        .collect();
    let (granted, refused) = (Take::Granted, Take::ContractRate);
    assert_eq!(takes, [granted, granted, refused, refused, refused]);
    assert!(observed.iter().all(Admission::is_forwarded));
    let in_flight = |mode| rulebook.board().in_flight(0, mode);
    assert_eq!((in_flight(Mode::Dry), in_flight(Mode::Real)), (2, 0));

    let controlled = [0; 3].map(|_| arrive(&rulebook, Tier::Control));
    let forwarded = controlled.map(|admission| admission.is_forwarded());
    assert_eq!(forwarded, [true, true, false], "its own burst is whole");
    assert_eq!((in_flight(Mode::Dry), in_flight(Mode::Real)), (2, 2));

    for admission in observed.iter().chain(&controlled) {
        abandon(&rulebook, 0, admission, false);
    }
    assert_eq!((in_flight(Mode::Dry), in_flight(Mode::Real)), (0, 0));
}

// R054, R055
#[test]
fn a_head_that_is_no_request_is_dropped_for_that_reason_alone() {
    let rulebook = rulebook();
    for (listener, measure) in [
        (Tier::Control, Measure::Drop),
        (Tier::ObserveOnly, Measure::Forward),
    ] {
        let (signals, judgement) = judge_malformed(&rulebook, listener);
        assert_eq!(signals.tier, listener);
        assert_eq!(judgement.decision.deciding(), Reason::MalformedRequest);
        assert_eq!(
            judgement.assessment.risk().get(),
            0,
            "nobody is judged by it"
        );
        assert_eq!(judgement.permit.measure(), measure);
    }
}

/// Zero and unknown are different facts.
#[test]
fn what_was_not_read_is_not_known() {
    let rulebook = rulebook();
    for pairing in [
        Pairing::Unknown,
        Pairing::MethodNotAllowed(ContractIndex(0)),
    ] {
        let admission = arrive_as(&rulebook, Tier::Control, pairing);
        let insufficient = admission.judgement.assessment.insufficient();
        for factor in [
            Factor::LatencyRegression,
            Factor::ErrorBudgetBurn,
            Factor::TrafficAnomaly,
        ] {
            assert!(insufficient.contains(factor), "{pairing:?} {factor:?}");
        }
        abandon(&rulebook, 0, &admission, false);
    }
}
