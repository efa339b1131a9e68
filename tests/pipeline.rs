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
use tidegate::units::{Moment, PerMinute, Tier};

fn rulebook() -> Rulebook {
    rulebook_of(Terms {
        rate_limit: PerMinute::new(60),
        burst: std::num::NonZeroU32::new(2),
        max_in_flight: std::num::NonZeroU32::new(100),
        ..Terms::default()
    })
}

fn rulebook_of(terms: Terms) -> Rulebook {
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
    arrive_as(rulebook, listener_tier, ClientKey(1), None)
}

fn arrive_as(
    rulebook: &Rulebook,
    listener_tier: Tier,
    client: ClientKey,
    address: Option<ClientKey>,
) -> Admission {
    let arrival = arrival(listener_tier, client, address);
    admit(rulebook, 0, Pairing::Contracted(ContractIndex(0)), &arrival)
}

fn arrival(listener_tier: Tier, client: ClientKey, address: Option<ClientKey>) -> Arrival {
    Arrival {
        method: Method::Get,
        client,
        at: Moment {
            monotonic_ns: 1_000_000_000_000,
            wall_us: 1_767_225_600_000_000,
        },
        listener_tier,
        address,
        request: tidegate::observation::RequestKey::default(),
        privileged: false,
        declared_retries: 0,
        has_body: false,
    }
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

// R194
#[test]
fn names_made_up_at_one_address_do_not_fill_the_table() {
    let client_limit = Terms {
        client_rate_limit: PerMinute::new(1),
        client_burst: std::num::NonZeroU32::new(1),
        ..Terms::default()
    };
    let contract_limit = Terms {
        rate_limit: PerMinute::new(1),
        burst: std::num::NonZeroU32::new(1),
        ..client_limit
    };
    for terms in [client_limit, contract_limit] {
        let rulebook = rulebook_of(terms);
        let address = Some(ClientKey(7));
        let mut passed = 0;
        for name in 0..4 * tidegate::observation::CLIENT_SLOTS as u64 {
            let client = ClientKey(name.wrapping_mul(0x5851_f42d_4c95_7f2d));
            let admission = arrive_as(&rulebook, Tier::Control, client, address);
            passed += u32::from(admission.is_forwarded());
            abandon(&rulebook, 0, &admission, false);
        }
        assert!((1..=10).contains(&passed), "{passed} passed");
        assert_eq!(rulebook.board().clients().overflowed(), 0);
    }
}

// R044
#[test]
fn retries_under_many_names_are_those_of_one_address() {
    let rulebook = rulebook_of(Terms::default());
    let retry = |client, address| {
        let arrival = Arrival {
            declared_retries: 1,
            ..arrival(Tier::Control, ClientKey(client), address)
        };
        let admission = admit(
            &rulebook,
            0,
            Pairing::Contracted(ContractIndex(0)),
            &arrival,
        );
        abandon(&rulebook, 0, &admission, false);
    };
    let counted = || rulebook.board().totals(0).retries_counted;
    for name in 0..50 {
        retry(name, Some(ClientKey(7)));
    }
    assert_eq!(counted(), 1, "whatever they call themselves");
    for client in 100..150 {
        retry(client, None);
    }
    assert_eq!(counted(), 51);
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
