//! Requests that are set apart: rejected, diverted or marked, under the case of their client.

use serde_json::Value;
use tidegate::contract::{Contract, ContractParts, Quarantine, Terms};
use tidegate::observation::Mode;
use tidegate::policy::rules::Rules;
use tidegate::units::{Bands, BasisPoints, Factor, Tier};

use crate::governed::{Governed, Plan, client_rate, parts};
use crate::wire::{OK, Upstream};

/// A client over its own limit is set apart, at once and whatever else is known of it.
fn rules() -> Rules {
    let bp = BasisPoints::saturating;
    let rules = Rules::default();
    Rules {
        bands: Bands::new(bp(2_000), bp(4_000), bp(4_500), bp(9_000)).unwrap(),
        weights: rules.weights.with(Factor::RateLimit, bp(10_000)),
        ..rules
    }
}

struct Scene {
    main: Upstream,
    sandbox: Upstream,
    gateway: Governed,
}

fn scene(quarantine: Quarantine, tier: Tier) -> Scene {
    let main = Upstream::ok();
    let sandbox = Upstream::answering(OK.replace("ok", "no"));
    let terms = Terms {
        quarantine,
        ..client_rate(1, 1)
    };
    let contract = Contract::new(ContractParts {
        client_header: Some("x-api-key".into()),
        divert_upstream: Some("sandbox".into()),
        ..parts("mine_v1", "/mine", terms)
    });
    let mut plan = Plan {
        rules: rules(),
        tier,
        ..Plan::of(main.address, vec![contract])
    };
    plan.upstreams.push(("sandbox", vec![sandbox.address]));
    Scene {
        main,
        sandbox,
        gateway: plan.start(),
    }
}

impl Scene {
    /// The status and body of a request of this client, which claims a case of its own.
    fn ask(&self, key: &str) -> (u16, String) {
        let fields = format!("X-Api-Key: {key}\r\nTidegate-Quarantine: q-forged\r\n");
        let answer = self.gateway.ask("GET", "/mine", &fields);
        (
            answer.status(),
            String::from_utf8_lossy(&answer.body).into_owned(),
        )
    }

    fn cases(&self, upstream: &Upstream) -> Vec<Option<String>> {
        let seen = upstream.seen();
        let case = |message: &crate::wire::Message| {
            message.field("tidegate-quarantine").map(str::to_owned)
        };
        seen.iter().map(case).collect()
    }
}

/// The case of each quarantined record, in order.
fn recorded(records: &[Value]) -> Vec<String> {
    let cases = records
        .iter()
        .filter_map(|record| record["case_id"].as_str());
    cases.map(str::to_owned).collect()
}

#[test]
fn two_rejected_requests_of_one_client_share_one_case() {
    // R051
    let scene = scene(Quarantine::Reject, Tier::Control);
    let case = |key| {
        let (status, body) = scene.ask(key);
        assert_eq!(status, 403, "{body}");
        let told: Value = serde_json::from_str(&body).unwrap();
        told["case_id"].as_str().unwrap().to_owned()
    };
    assert_eq!((scene.ask("a").0, scene.ask("b").0), (200, 200));
    let (first, second, other) = (case("a"), case("a"), case("b"));
    assert_eq!(first, second);
    assert_ne!(first, other);
    assert_eq!(recorded(&scene.gateway.records(5)), [first, second, other]);
    assert_eq!(scene.main.seen().len(), 2);
}

#[test]
fn diverted_requests_go_elsewhere_under_their_case() {
    // R051, R066
    let scene = scene(Quarantine::Divert, Tier::Control);
    assert_eq!(scene.ask("a"), (200, "ok".to_owned()));
    assert_eq!(scene.ask("a"), (200, "no".to_owned()));
    assert_eq!(scene.ask("a"), (200, "no".to_owned()));
    assert_eq!(scene.cases(&scene.main), [None], "nobody's claim passes");
    let records = scene.gateway.records(3);
    let cases = recorded(&records);
    assert_eq!(cases.len(), 2);
    assert_eq!(cases[0], cases[1]);
    let told: Vec<String> = scene.cases(&scene.sandbox).into_iter().flatten().collect();
    assert_eq!(told, cases);
    let upstreams: Vec<&str> = records
        .iter()
        .map(|record| record["upstream"].as_str().unwrap())
        .collect();
    assert_eq!(upstreams, ["main", "sandbox", "sandbox"]);
    for record in &records[1..] {
        assert_eq!(record["decision"], "QUARANTINE");
        assert_eq!(
            (&record["outcome"], &record["status"]),
            (&"done".into(), &200.into())
        );
        assert!(
            record["actions_taken"]
                .as_array()
                .unwrap()
                .contains(&"quarantine".into())
        );
    }
}

#[test]
fn shadowed_requests_go_on_under_their_case() {
    // R051, R066
    let scene = scene(Quarantine::Shadow, Tier::Control);
    for _ in 0..3 {
        assert_eq!(scene.ask("a"), (200, "ok".to_owned()));
    }
    let cases = scene.cases(&scene.main);
    assert_eq!(cases[0], None);
    assert!(cases[1].is_some());
    assert_eq!(cases[1], cases[2]);
    let told: Vec<String> = cases.into_iter().flatten().collect();
    assert_eq!(recorded(&scene.gateway.records(3)), told);
    assert!(scene.sandbox.seen().is_empty());
}

#[test]
fn who_only_observes_marks_nothing() {
    let scene = scene(Quarantine::Divert, Tier::ObserveOnly);
    for _ in 0..3 {
        assert_eq!(scene.ask("a"), (200, "ok".to_owned()));
    }
    assert_eq!(scene.cases(&scene.main), [None, None, None]);
    let records = scene.gateway.records(3);
    assert_eq!(recorded(&records).len(), 2, "they would have been");
    assert_eq!(scene.gateway.route(0).in_flight(Mode::Real), 0);
}
