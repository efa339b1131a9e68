//! Self-tests decide as the pipeline does, tell why they fail, and are fast.

use std::time::Instant;

use super::{Outcome, SELF_TEST_FAILED, Subject, run_all, verify};
use crate::config::{Loaded, load};
use crate::contract::{Method, canonicalise};
use crate::observation::{Arrival, ClientHasher, LedgerStanding, RequestKey};
use crate::pipeline::{Way, admit};
use crate::policy::self_tests::{Course, SelfTest, SelfTests, TestRequest};
use crate::rulebook::{LocalParts, Rulebook, RulebookParts};
use crate::units::{Moment, Tier};

const MAIN: &str = "version: 1\nlisteners: [{bind: \"127.0.0.1:0\"}]\nupstreams:\n  main: {servers: [\"127.0.0.1:9000\"]}\ncontracts: contracts\nself_tests: cases.yaml\n";

const CONTRACTS: &str = r#"
version: 1
contracts:
  - {id: plain, owner: me, endpoint: "GET /plain/{x}"}
  - {id: rated, owner: me, endpoint: "GET /rated", rate_limit_rpm: 60, burst: 1}
  - {id: client, owner: me, endpoint: "GET /client", per_client: {key: peer, rate_limit_rpm: 60, burst: 1}}
  - {id: full, owner: me, endpoint: "GET /full", max_in_flight: 1}
  - {id: shadow, owner: me, endpoint: "GET /shadow", quarantine: shadow}
  - id: delay
    owner: me
    endpoint: "GET /delay"
    rate_limit_rpm: 60
    burst: 1
    throttle: {mode: delay, wait_max_ms: 5000, held_max: 1}
"#;

fn loaded(cases: &str) -> Loaded {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    std::fs::create_dir(folder.path().join("contracts")).expect("a folder");
    write("tidegate.yaml", MAIN);
    write("contracts/a.yaml", CONTRACTS);
    write("cases.yaml", &format!("version: 1\ntests:\n{cases}"));
    load(&folder.path().join("tidegate.yaml")).expect("valid files")
}

fn outcomes(cases: &str) -> Vec<Outcome> {
    let loaded = loaded(cases);
    let subject = Subject {
        catalogue: &loaded.catalogue,
        rules: &loaded.rules,
    };
    run_all(subject, &loaded.self_tests).outcomes().to_vec()
}

fn arrival() -> Arrival {
    Arrival {
        method: Method::Get,
        client: ClientHasher::new([0; 16]).of_name(b"a client"),
        at: Moment {
            monotonic_ns: 1_000_000_000_000,
            wall_us: 1_767_225_600_000_000,
        },
        listener_tier: Tier::Autonomous,
        address: None,
        request: RequestKey::default(),
        privileged: false,
        declared_retries: 0,
        has_body: false,
        ledger: LedgerStanding::Available,
        undeclared: false,
    }
}

fn rulebook(tier: Tier) -> Rulebook {
    let parts = loaded("  []\n");
    Rulebook::new(
        0,
        RulebookParts::unsigned_local(LocalParts {
            catalogue: parts.catalogue,
            rules: parts.rules,
            tier,
            content_digest: [0; 32],
            default_upstream: "main".into(),
            workers: 1,
        }),
    )
}

/// What the pipeline does with the last of so many equal requests, beside a self-test that supposes
/// the state in which they leave it.
fn check(tier: Tier, method: &str, url: &str, before: usize, state: &str) {
    let rulebook = rulebook(tier);
    let arrival = arrival();
    let path = canonicalise(url.as_bytes());
    let pairing = rulebook.catalogue().pair(
        Method::from_token(method),
        url.as_bytes(),
        path.as_ref().map_err(|fault| *fault),
    );
    let mut admission = admit(&rulebook, 0, pairing, &arrival);
    for _ in 0..before {
        admission = admit(&rulebook, 0, pairing, &arrival);
    }
    let draw = admission.signals.shed_hash;
    let cases = format!(
        "  - name: a\n    request: {{method: {method}, url: {url}}}\n    state: {{tier: {}, draw: {}.{:02}%{state}}}\n    expect: {{decision: {}}}\n",
        tier.key(),
        draw / 100,
        draw % 100,
        admission.judgement.decision.severity().name(),
    );
    let outcomes = outcomes(&cases);
    let (outcome, judged) = (&outcomes[0], &admission.judgement);
    assert_eq!(outcome.summary(), "", "{method} {url} {tier:?}");
    let found = &outcome.found;
    let course = match admission.way {
        Way::Forward if admission.hold_ns() > 0 => Course::Hold,
        Way::Forward => Course::Forward,
        Way::Shadow => Course::Shadow,
        Way::Divert => Course::Divert,
        Way::Refuse => Course::Refuse,
    };
    assert_eq!(
        (
            found.reasons,
            found.deciding,
            found.taken,
            found.withheld,
            found.course,
            found.tier
        ),
        (
            judged.decision.reasons(),
            judged.decision.deciding(),
            judged.permit.taken(),
            judged.permit.withheld(),
            course,
            judged.permit.tier(),
        ),
        "{method} {url} {tier:?}"
    );
    assert_eq!(
        found.assessment, judged.assessment,
        "{method} {url} {tier:?}"
    );
    let status = crate::gateway::refusal::status(&rulebook, &admission);
    assert_eq!(
        found.status,
        (course == Course::Refuse).then_some(status),
        "{url}"
    );
}

#[test]
fn a_supposed_state_decides_as_the_real_one() {
    for tier in [Tier::ObserveOnly, Tier::Control] {
        check(tier, "GET", "/plain/1", 0, "");
        check(tier, "POST", "/plain/1", 0, "");
        check(tier, "GET", "/nowhere", 0, "");
        check(tier, "GET", "/plain/../x", 0, "");
        check(tier, "POST", "/shadow", 0, "");
        check(tier, "GET", "/rated", 1, ", rate_limit: spent");
        check(tier, "GET", "/client", 1, ", client_limit: spent");
        // From then on the abuse itself throttles, and its limit is not asked any more.
        check(
            tier,
            "GET",
            "/client",
            31,
            ", client_limit: spent, client_refusals: 21",
        );
        check(tier, "GET", "/full", 1, ", in_flight: 1");
        check(tier, "GET", "/delay", 1, ", rate_limit: free in 1000 ms");
        check(
            tier,
            "GET",
            "/delay",
            2,
            ", rate_limit: free in 2000 ms, waiting: 1",
        );
    }
}

#[test]
fn a_failure_says_what_was_found_and_from_what() {
    let outcomes = outcomes(
        "  - name: a\n    request: {url: /nowhere}\n    state: {circuit: open, client_limit: spent}\n    expect: {decision: DROP, contract: nobody, only_reasons: [CIRCUIT_OPEN], taken: [drop], band: low, tier: observe_only, way: forward}\n",
    );
    let outcome = &outcomes[0];
    let members: Vec<&str> = outcome.mismatches.iter().map(|one| one.member).collect();
    let expected = [
        "decision",
        "contract",
        "only_reasons",
        "taken",
        "way",
        "tier",
        "band",
    ];
    assert_eq!(members, expected);
    assert_eq!(
        outcome.notes,
        [
            "there is no contract 'nobody'",
            "'client_limit' has no effect: no contract has the path",
            "the state of the route has no effect: no contract has the path",
        ]
    );
    let factors = outcome.found.factors();
    assert_eq!(factors.len(), 1);
    assert_eq!(
        (factors[0].0.name(), factors[0].1, factors[0].2),
        ("unknown_endpoint", 10_000, 7_000)
    );
}

#[test]
fn a_limit_that_is_not_there_is_told() {
    for (state, note) in [
        (
            "client_limit: spent",
            "'client_limit' has no effect: contract 'plain' has no 'per_client'",
        ),
        (
            "rate_limit: spent",
            "'rate_limit' has no effect: contract 'plain' has no 'rate_limit_rpm'",
        ),
        (
            "in_flight: 9",
            "'in_flight' has no effect: contract 'plain' has no 'max_in_flight'",
        ),
    ] {
        let outcomes = outcomes(&format!(
            "  - name: a\n    request: {{url: /plain/1}}\n    state: {{{state}}}\n    expect: {{decision: THROTTLE}}\n"
        ));
        assert_eq!(
            outcomes[0].summary(),
            "decision expected THROTTLE, was ALLOW"
        );
        assert_eq!(outcomes[0].notes, [note]);
    }
}

#[test]
fn what_the_draw_decides_must_name_it() {
    let case = |draw: &str, decision: &str| {
        let outcomes = outcomes(&format!(
            "  - name: a\n    request: {{url: /plain/1}}\n    state: {{failed: 100 of 200{draw}}}\n    expect: {{decision: {decision}}}\n"
        ));
        outcomes[0].summary()
    };
    assert_eq!(case(", draw: 0%", "THROTTLE"), "");
    assert_eq!(case(", draw: 99.99%", "ALLOW"), "");
    let told = case("", "THROTTLE");
    let expected = "draw expected one that 'state' names, was none, and the decision depends on it: \
                    THROTTLE because of HIGH_RISK_SCORE at 0%, \
                    ALLOW because of HIGH_RISK_SCORE at 99.99%";
    assert_eq!(told, expected);
}

#[test]
fn every_factor_can_be_supposed() {
    let table = [
        ("slow: 50% of 100", "latency"),
        (
            "latency: {p95_ms: 900, baseline_ms: 300}",
            "latency_regression",
        ),
        ("failed: 20 of 20", "error_rate"),
        (
            "burn: {5m: 1000 of 1000, 1h: 1000 of 1000}",
            "error_budget_burn",
        ),
        (
            "burn: {30m: 1000 of 1000, 6h: 1000 of 1000}",
            "error_budget_burn",
        ),
        (
            "burn: {6h: 1000 of 1000, 3d: 1000 of 1000}",
            "error_budget_burn",
        ),
        ("circuit: open", "circuit"),
        (
            "traffic: {offered: 400, usual: 100, spread: 10}",
            "traffic_anomaly",
        ),
        ("retry: seen, retries: 50% of 100", "retry_storm"),
    ];
    for (state, factor) in table {
        let outcomes = outcomes(&format!(
            "  - name: a\n    request: {{url: /plain/1}}\n    state: {{{state}, draw: 50%}}\n    expect: {{decision: ALLOW}}\n"
        ));
        let factors = outcomes[0].found.factors();
        assert!(
            factors.iter().any(|(found, ..)| found.name() == factor),
            "{state}: {factors:?}"
        );
    }
}

#[test]
fn fields_declare_retries_and_importance() {
    // Fields, and whether the request is of the retries, or of those that are shed last.
    let shed = |request: &str| {
        let outcomes = outcomes(&format!(
            "  - name: a\n    request: {{url: /plain/1{request}}}\n    state: {{failed: 100 of 200, class_mix: {{retries: 30%, ordinary: 60%, high: 10%}}, draw: 20%}}\n    expect: {{decision: THROTTLE}}\n"
        ));
        outcomes[0].is_passed()
    };
    assert!(shed(""));
    assert!(shed(", headers: {X-Retry-Count: \"1\"}"));
    assert!(
        shed(", headers: {X-Tidegate-Priority: high}"),
        "anybody may say so"
    );
    assert!(!shed(
        ", trusted: true, headers: {X-Tidegate-Priority: high}"
    ));
}

#[test]
fn a_failing_self_test_refuses_with_its_code() {
    let loaded = loaded(
        "  - {name: a, request: {url: /plain/1}, expect: {decision: ALLOW}}\n  - {name: b, request: {url: /plain/1}, expect: {decision: DROP}}\n",
    );
    let subject = Subject {
        catalogue: &loaded.catalogue,
        rules: &loaded.rules,
    };
    let refused = verify(subject, &loaded.self_tests).expect_err("b fails");
    assert_eq!(
        refused.to_string(),
        format!(
            "{SELF_TEST_FAILED}: 1 of 2 self-tests fail; 'b': decision expected DROP, was ALLOW"
        )
    );
    let passing: Vec<SelfTest> = loaded.self_tests.as_slice()[..1].to_vec();
    assert_eq!(
        verify(subject, &SelfTests::new(passing).expect("one")),
        Ok(1)
    );
}

#[test]
fn ten_thousand_self_tests_take_a_moment() {
    let loaded = loaded(
        "  - {name: a, request: {url: /plain/1}, state: {failed: 10 of 200}, expect: {decision: ALLOW}}\n",
    );
    let first = &loaded.self_tests.as_slice()[0];
    let many = (0..10_000).map(|number| {
        let request = TestRequest {
            url: format!("/plain/{number}").into(),
            ..first.request().clone()
        };
        let name = format!("{number}").into();
        SelfTest::new(name, request, *first.state(), first.expect().clone()).expect("valid")
    });
    let many = SelfTests::new(many.collect()).expect("as many as may be");
    let subject = Subject {
        catalogue: &loaded.catalogue,
        rules: &loaded.rules,
    };
    let before = Instant::now();
    let report = run_all(subject, &many);
    let took = before.elapsed();
    println!("10000 self-tests in {} ms", took.as_millis());
    assert!(report.is_passed());
    assert_eq!(report.outcomes().len(), 10_000);
    // Not optimised, on a busy machine: a tenth of a millisecond each would be a loss of sense.
    assert!(took.as_secs() < 5, "{took:?}");
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let most = "1000000000 of 1000000000";
    let state = format!(
        "failed: {most}, slow: {most}, retries: {most}, retry: seen, in_flight: 1000000000, \
         latency: {{p95_ms: 4294967.295, baseline_ms: 0.001}}, \
         traffic: {{offered: 1000000000, usual: 1000000000, spread: 1000000}}, \
         burn: {{5m: {most}, 30m: {most}, 1h: {most}, 6h: {most}, 3d: {most}}}, \
         client_limit: free in 60000 ms, client_refusals: 1000000000, \
         rate_limit: free in 60000 ms, waiting: 1000000000, slow_start: 50%, band: critical"
    );
    for url in [
        "/plain/1", "/rated", "/client", "/full", "/shadow", "/delay", "/nowhere",
    ] {
        for draw in ["0%", "99.99%"] {
            let outcomes = outcomes(&format!(
                "  - name: a\n    request: {{url: {url}}}\n    state: {{{state}, draw: {draw}}}\n    expect: {{decision: ALLOW}}\n"
            ));
            let found = &outcomes[0].found;
            assert_ne!(found.course, Course::Hold, "{url}");
            assert!(!outcomes[0].is_passed(), "{url}: {found:?}");
        }
    }
}
