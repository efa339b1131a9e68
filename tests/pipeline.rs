//! The pipeline where a traffic file cannot lead it: two listeners, and heads that are no request.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use tidegate::contract::{
    Catalogue, Contract, ContractId, ContractIndex, ContractParts, Folds, Method, MethodSet,
    Pairing, PathFault, Stage, Terms,
};
use tidegate::decision::Reason;
use tidegate::enforcement::Measure;
use tidegate::observation::{
    Arrival, CircuitState, ClientKey, Completion, Ending, Lateness, LedgerStanding, Mode, Signals,
    Take, Ticker,
};
use tidegate::pipeline::{
    Admission, abandon, admit, complete, contract_ceiling, judge, judge_malformed, mode_at_rest,
    tick,
};
use tidegate::policy::rules::{Rules, Severity};
use tidegate::rulebook::{LocalParts, Rulebook, RulebookParts};
use tidegate::units::{Action, ActionSet, BasisPoints, Factor, Moment, PerMinute, Tier};

const AT: Moment = Moment {
    monotonic_ns: 1_000_000_000_000,
    wall_us: 1_767_225_600_000_000,
};

fn rulebook() -> Rulebook {
    rulebook_of(Terms {
        rate_limit: PerMinute::new(60),
        burst: std::num::NonZeroU32::new(2),
        max_in_flight: std::num::NonZeroU32::new(100),
        ..Terms::default()
    })
}

fn rulebook_of(terms: Terms) -> Rulebook {
    Rulebook::new(0, parts(terms))
}

fn parts(terms: Terms) -> RulebookParts {
    parts_under(terms, Rules::default())
}

fn parts_under(terms: Terms, rules: Rules) -> RulebookParts {
    let contract = Contract::new(ContractParts::new(
        ContractId::new("api").unwrap(),
        "GET /api",
        MethodSet::EMPTY.with(Method::Get),
        terms,
    ));
    parts_of(contract, rules)
}

fn parts_of(contract: Contract, rules: Rules) -> RulebookParts {
    RulebookParts::unsigned_local(LocalParts {
        catalogue: Catalogue::build(vec![contract]).unwrap(),
        rules,
        tier: Tier::Control,
        content_digest: [0; 32],
        default_upstream: "api".into(),
        workers: 1,
    })
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
        at: AT,
        listener_tier,
        address,
        request: tidegate::observation::RequestKey::default(),
        privileged: false,
        declared_retries: 0,
        has_body: false,
        ledger: LedgerStanding::Available,
        undeclared: false,
    }
}

// R090
#[test]
fn without_a_ledger_the_settings_and_the_contract_say_what_goes_on() {
    use LedgerStanding::{Available, FailClosed, ObserveOnly, Unavailable};
    use Tier::{Control, ObserveOnly as Observing};
    let open = rulebook();
    let required = rulebook_of(Terms {
        ledger_required: true,
        ..Terms::default()
    });
    let table = [
        // Rulebook, what the ledger can, listener: forwarded, reason, tier, withheld.
        (&open, Available, Control, true, false, Control),
        (&open, Unavailable, Control, true, false, Control),
        (&open, ObserveOnly, Control, true, false, Observing),
        (&open, FailClosed, Control, false, true, Control),
        (&open, FailClosed, Observing, true, true, Observing),
        (&required, Available, Control, true, false, Control),
        (&required, Unavailable, Control, false, true, Control),
        (&required, ObserveOnly, Control, true, true, Observing),
        (&required, FailClosed, Control, false, true, Control),
    ];
    for (rulebook, ledger, listener, forwarded, told, tier) in table {
        let arrival = Arrival {
            ledger,
            ..arrival(listener, ClientKey(1), None)
        };
        let pairing = Pairing::Contracted(ContractIndex(0));
        let admission = admit(rulebook, 0, pairing, &arrival);
        let judgement = admission.judgement;
        let case = format!("{ledger:?} {listener:?}");
        assert_eq!(admission.is_forwarded(), forwarded, "{case}");
        let reasons = judgement.decision.reasons();
        assert_eq!(reasons.contains(Reason::LedgerUnavailable), told, "{case}");
        assert_eq!(judgement.permit.tier(), tier, "{case}");
        let withheld = judgement.permit.withheld().contains(Action::Drop);
        assert_eq!(withheld, told && forwarded, "{case}");
        // The record's inputs alone give the same judgement again.
        let inputs = admission.signals.to_inputs();
        let used = inputs.iter().rposition(|input| *input != 0).unwrap_or(0) + 1;
        let signals = Signals::from_inputs(&inputs[..used]).unwrap();
        let terms = rulebook.contract_of(0).map(Contract::terms);
        assert_eq!(
            judge(rulebook.rules(), terms, &signals),
            judgement,
            "{case}"
        );
        abandon(rulebook, 0, &admission, Lateness::InTime);
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
        abandon(&rulebook, 0, admission, Lateness::InTime);
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
            abandon(&rulebook, 0, &admission, Lateness::InTime);
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
        abandon(&rulebook, 0, &admission, Lateness::InTime);
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

// R074
#[test]
fn the_circuit_that_opens_is_the_one_that_the_traffic_meets() {
    for (listener_tier, mode, other) in [
        (Tier::ObserveOnly, Mode::Dry, Mode::Real),
        (Tier::Control, Mode::Real, Mode::Dry),
    ] {
        let rulebook = Rulebook::new(0, parts(Terms::default()));
        let mut ticker = Ticker::default();
        assert_eq!(mode_at_rest(&rulebook, 0), Mode::Real, "nothing came yet");
        let at = AT.plus_nanos(50_000_000);
        for request in 0..30 {
            let admission = arrive(&rulebook, listener_tier);
            // Never five broken ones in a row: it is the share that opens the circuit.
            let status = if request % 4 == 0 { 200 } else { 502 };
            let completion = Completion {
                at,
                status,
                upstream_status: status,
                latency_us: 50_000,
                ending: Ending::Answered,
            };
            complete(&rulebook, 0, &admission, Lateness::InTime, &completion);
        }
        tick(&rulebook, &mut ticker, at);
        let state = |mode| rulebook.route(0).circuit(mode).read(at.monotonic_ns).state;
        assert_eq!(mode_at_rest(&rulebook, 0), mode);
        assert_eq!(state(mode), CircuitState::Open, "{listener_tier:?}");
        assert_eq!(state(other), CircuitState::Closed, "{listener_tier:?}");
        let mut told = Vec::new();
        assert_eq!(ticker.take_transitions(&mut told), 0);
        let told: Vec<_> = told.iter().map(|told| (told.mode, told.to)).collect();
        assert_eq!(told, [(mode, CircuitState::Open)]);
    }
}

// R050
#[test]
fn a_client_that_is_refused_takes_no_share_from_a_class() {
    // Two of ten ordinary requests pass the limit of each; four times as many say they are retries.
    let terms = Terms {
        client_rate_limit: PerMinute::new(60),
        client_burst: std::num::NonZeroU32::new(20),
        ..Terms::default()
    };
    let of_method = Pairing::MethodNotAllowed(ContractIndex(0));
    let of_contract = Pairing::Contracted(ContractIndex(0));
    // How the retries come, and what is then the share of their class.
    for (pairing, declared, want) in [
        (of_method, 2, [0, 10_000, 0]),
        (of_contract, 2, [5_000, 5_000, 0]),
        (of_contract, 0, [0, 10_000, 0]),
    ] {
        let rulebook = Rulebook::new(0, parts(terms));
        let mut ticker = Ticker::default();
        for _ in 0..20 {
            let _ = arrive(&rulebook, Tier::Control);
        }
        for _ in 0..80 {
            let again = Arrival {
                client: ClientKey(2),
                declared_retries: declared,
                ..arrival(Tier::Control, ClientKey(1), None)
            };
            let _ = admit(&rulebook, 0, pairing, &again);
        }
        tick(&rulebook, &mut ticker, AT);
        let published = rulebook.route(0).published();
        assert_eq!(published.class_share_bp(), want, "{pairing:?} {declared}");
        assert_eq!(published.retries().whole, 100, "all were offered");
    }
}

// R020: whatever the policy says of unknown paths.
#[test]
fn an_alias_is_charged_to_its_contract_and_no_way_out() {
    let terms = Terms {
        rate_limit: PerMinute::new(60),
        burst: std::num::NonZeroU32::new(2),
        ..Terms::default()
    };
    for (tier, fault) in [
        (Tier::Control, None),
        (Tier::Control, Some(PathFault::DotSegment)),
        (Tier::ObserveOnly, None),
        (Tier::ObserveOnly, Some(PathFault::DotSegment)),
    ] {
        let mut rules = Rules::default();
        rules.unknown_endpoint.action = Severity::Allow;
        let rulebook = Rulebook::new(0, parts_under(terms, rules));
        let alias = Pairing::Alias {
            contract: ContractIndex(0),
            folds: Folds::CASE,
            fault,
        };
        for _ in 0..2 {
            let asks = arrival(tier, ClientKey(1), None);
            let admission = admit(&rulebook, 0, alias, &asks);
            let judged = &admission.judgement;
            assert!(!admission.contracted);
            assert!(judged.decision.severity() >= Severity::Quarantine);
            assert!(judged.decision.reasons().contains(Reason::ContractAlias));
            assert_eq!(admission.is_forwarded(), tier == Tier::ObserveOnly);
            assert_eq!(admission.signals.alias, Folds::CASE.bits());
            let again = judge(rulebook.rules(), None, &admission.signals);
            assert_eq!(again, *judged, "it follows from the inputs");
            abandon(&rulebook, 0, &admission, Lateness::InTime);
        }
        // Both turns of the contract are gone.
        let admission = arrive(&rulebook, tier);
        assert_eq!(admission.signals.take, Take::ContractRate, "{tier:?}");
    }
}

// R020: an alias is no way to use up what others need, either.
#[test]
fn aliases_use_up_a_limit_no_faster_than_the_path_itself() {
    let terms = Terms {
        rate_limit: PerMinute::new(60),
        burst: std::num::NonZeroU32::new(10),
        client_rate_limit: PerMinute::new(60),
        client_burst: std::num::NonZeroU32::new(2),
        ..Terms::default()
    };
    let contracted = Pairing::Contracted(ContractIndex(0));
    let alias = Pairing::Alias {
        contract: ContractIndex(0),
        folds: Folds::CASE,
        fault: None,
    };
    let own = arrival(Tier::Control, ClientKey(1), None);
    let undeclared = Arrival {
        undeclared: true,
        ..own
    };
    let other_method = Arrival {
        method: Method::Post,
        ..own
    };
    let wrong_method = Pairing::MethodNotAllowed(ContractIndex(0));
    // What one client asks for in turn, and how many of the ten turns others have left.
    for (case, asked, refuses, left) in [
        ("path", [(contracted, own); 2], false, 8),
        ("alias", [(alias, own); 2], false, 8),
        ("both", [(alias, own), (contracted, own)], false, 8),
        ("let through, path", [(contracted, undeclared); 2], false, 8),
        ("let through, alias", [(alias, undeclared); 2], false, 8),
        ("refused, path", [(contracted, undeclared); 2], true, 10),
        ("refused, alias", [(alias, undeclared); 2], true, 10),
        ("method, path", [(wrong_method, other_method); 2], false, 10),
        ("method, alias", [(alias, other_method); 2], false, 10),
    ] {
        let mut rules = Rules::default();
        if refuses {
            rules.consumer_not_declared = Severity::Drop;
        }
        let rulebook = Rulebook::new(0, parts_under(terms, rules));
        let take = |pairing, asks| {
            let admission = admit(&rulebook, 0, pairing, &asks);
            abandon(&rulebook, 0, &admission, Lateness::InTime);
            admission.is_forwarded()
        };
        for (pairing, asks) in asked.into_iter().cycle().take(20) {
            let _ = take(pairing, asks);
        }
        let others = (2..30).filter(|client| {
            let asks = arrival(Tier::Control, ClientKey(*client), None);
            take(contracted, asks)
        });
        assert_eq!(others.count(), left, "{case}");
    }
}

// R194: the names that an address makes up, and the spellings, share one limit of the address.
#[test]
fn aliases_and_names_of_one_address_share_its_limit() {
    let mut parts = ContractParts::new(
        ContractId::new("api").unwrap(),
        "GET /api",
        MethodSet::EMPTY.with(Method::Get),
        Terms {
            client_rate_limit: PerMinute::new(60),
            client_burst: std::num::NonZeroU32::new(2),
            ..Terms::default()
        },
    );
    parts.client_header = Some("x-api-key".into());
    let alias = Pairing::Alias {
        contract: ContractIndex(0),
        folds: Folds::CASE,
        fault: None,
    };
    let address = ClientKey(7);
    let rulebook = Rulebook::new(0, parts_of(Contract::new(parts), Rules::default()));
    for _ in 0..1_000 {
        let asks = arrival(Tier::Control, address, None);
        let admission = admit(&rulebook, 0, alias, &asks);
        abandon(&rulebook, 0, &admission, Lateness::InTime);
    }
    let behind = Some(address.behind_names());
    let admission = arrive_as(&rulebook, Tier::Control, ClientKey(3_000), behind);
    assert_eq!(admission.signals.take, Take::ClientRate);
    let elsewhere = Some(ClientKey(8).behind_names());
    let admission = arrive_as(&rulebook, Tier::Control, ClientKey(3_000), elsewhere);
    assert!(admission.is_forwarded());
}

/// Zero and unknown are different facts.
#[test]
fn what_was_not_read_is_not_known() {
    let rulebook = rulebook();
    for pairing in [
        Pairing::Unknown,
        Pairing::MethodNotAllowed(ContractIndex(0)),
    ] {
        let asks = arrival(Tier::Control, ClientKey(1), None);
        let admission = admit(&rulebook, 0, pairing, &asks);
        let insufficient = admission.judgement.assessment.insufficient();
        for factor in [
            Factor::LatencyRegression,
            Factor::ErrorBudgetBurn,
            Factor::TrafficAnomaly,
        ] {
            assert!(insufficient.contains(factor), "{pairing:?} {factor:?}");
        }
        abandon(&rulebook, 0, &admission, Lateness::InTime);
    }
}

/// A client on the canary of `api`, and one outside of it.
fn on_and_off(terms: &Terms) -> [ClientKey; 2] {
    [Tier::Autonomous, Tier::ObserveOnly].map(|tier| {
        let mut clients = (0..10_000).map(ClientKey);
        let is_so = |client: &ClientKey| contract_ceiling(terms, *client, "api") == tier;
        clients.find(is_so).expect("both kinds of clients")
    })
}

// R285: the two sides of a canary have words of their own, and only those on it speak for the route.
#[test]
fn whoever_is_outside_of_a_canary_uses_up_nothing_of_it() {
    let terms = Terms {
        rate_limit: PerMinute::new(60),
        burst: std::num::NonZeroU32::new(2),
        stage: Stage::Canary(BasisPoints::saturating(1_000)),
        ..Terms::default()
    };
    let rulebook = rulebook_of(terms);
    let [on, off] = on_and_off(&terms);
    let ask = |client, listener| arrive_as(&rulebook, listener, client, None);
    for _ in 0..3 {
        let admission = ask(off, Tier::Autonomous);
        assert_eq!(admission.signals.tier, Tier::ObserveOnly);
        assert!(admission.is_forwarded());
    }
    assert_eq!(ask(off, Tier::Autonomous).signals.take, Take::ContractRate);
    for _ in 0..2 {
        let admission = ask(on, Tier::Autonomous);
        assert_eq!(
            (admission.signals.tier, admission.signals.take),
            (Tier::Control, Take::Granted)
        );
    }
    assert!(
        !ask(on, Tier::Autonomous).is_forwarded(),
        "its own limit is used up"
    );
    let _ = ask(off, Tier::Autonomous);
    assert_eq!(mode_at_rest(&rulebook, 0), Mode::Real);
    // A listener that only observes has nobody on the canary.
    assert_eq!(ask(on, Tier::ObserveOnly).signals.tier, Tier::ObserveOnly);
    assert_eq!(mode_at_rest(&rulebook, 0), Mode::Dry);
}

// R285
#[test]
fn the_route_of_a_retired_contract_is_not_read() {
    let retired = Terms {
        rate_limit: PerMinute::new(60),
        burst: std::num::NonZeroU32::new(1),
        max_in_flight: std::num::NonZeroU32::new(1),
        stage: Stage::Retired,
        ..Terms::default()
    };
    let rulebook = rulebook_of(retired);
    for _ in 0..5 {
        let admission = arrive(&rulebook, Tier::Autonomous);
        assert!(admission.is_forwarded());
        assert_eq!(admission.signals.take, Take::NotAsked);
        assert_eq!(admission.signals.in_flight, 0);
        let decision = &admission.judgement.decision;
        assert_eq!(decision.recommended(), ActionSet::of(&[Action::Log]));
        assert!(admission.contracted, "it is no unknown path");
    }
}
