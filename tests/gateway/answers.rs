//! What a client is told when a request is refused, and about its limits when it is not.

use serde_json::Value;
use tidegate::contract::{Contract, ContractParts, Refusal, Terms};
use tidegate::observation::Mode;
use tidegate::policy::rules::{PerFactor, Severity};
use tidegate::units::{Bands, BasisPoints, Factor, PerMinute, Tier};

use crate::governed::{Governed, Plan, client_rate, contract, parts, rate, send};
use crate::wire::{Message, Upstream, eventually};

/// The problem of an answer of ours; its instance is the decision id.
fn problem(answer: &Message) -> Value {
    let kind = answer.field("content-type");
    assert_eq!(kind, Some("application/problem+json"), "{}", answer.head);
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], answer.status());
    let id = answer.field("tidegate-decision-id").unwrap();
    assert_eq!((&problem["instance"], id.len()), (&id.into(), 22));
    problem
}

fn seconds(answer: &Message, field: &str) -> u64 {
    answer.field(field).unwrap().parse().unwrap()
}

/// The risk of one factor alone decides: from 5000 basis points on, this is what happens.
fn judged_as(severity: Severity, weight: u64) -> tidegate::policy::rules::Rules {
    let bp = BasisPoints::saturating;
    let (high, critical) = match severity {
        Severity::Quarantine => (bp(4_500), bp(9_000)),
        Severity::Drop => (bp(4_500), bp(4_800)),
        Severity::Allow | Severity::Throttle => (bp(7_000), bp(9_000)),
    };
    let rules = tidegate::policy::rules::Rules::default();
    let weights: PerFactor<BasisPoints> = rules.weights.with(Factor::RateLimit, bp(weight));
    tidegate::policy::rules::Rules {
        bands: Bands::new(bp(2_000), bp(4_000), high, critical).unwrap(),
        weights,
        ..rules
    }
}

#[test]
fn a_used_up_limit_is_429_with_its_wait_and_its_quota() {
    // R050
    let upstream = Upstream::ok();
    let contracts = vec![contract("rare_v1", "/rare", rate(60, 2))];
    let gateway = Plan::of(upstream.address, contracts).start();
    let first = gateway.get("/rare");
    assert_eq!(first.status(), 200);
    let policy = Some("\"contract\";q=60;w=60");
    assert_eq!(first.field("ratelimit-policy"), policy);
    assert_eq!(first.field("ratelimit"), Some("\"contract\";r=1;t=1"));
    assert_eq!(first.field("retry-after"), None);
    // A loaded machine may be slower than the limit.
    let refused = loop {
        let answer = gateway.get("/rare");
        if answer.status() != 200 {
            break answer;
        }
    };
    assert_eq!(refused.status(), 429);
    let told = problem(&refused);
    assert!(told["type"].as_str().unwrap().ends_with("#quota-exceeded"));
    assert_eq!(told["violated-policies"], serde_json::json!(["contract"]));
    let proxy_status = refused.field("proxy-status");
    assert_eq!(proxy_status, Some("tidegate; error=http_request_denied"));
    assert_eq!(refused.field("ratelimit-policy"), policy);
    assert_eq!(refused.field("ratelimit"), Some("\"contract\";r=0;t=1"));
    assert_eq!(seconds(&refused, "retry-after"), 1);
}

#[test]
fn both_limits_are_told_and_those_of_the_upstream_are_replaced() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nRateLimit: \"theirs\";r=1\r\nRateLimit-Policy: \"theirs\";q=1\r\nContent-Length: 2\r\n\r\nok",
    );
    let terms = Terms {
        rate_limit: PerMinute::new(100),
        ..client_rate(10, 10)
    };
    let both = || {
        vec![
            contract("both_v1", "/both", terms),
            contract("none_v1", "/none", Terms::default()),
        ]
    };
    let gateway = Plan::of(upstream.address, both()).start();
    let answer = gateway.get("/both");
    assert_eq!(
        answer.field("ratelimit-policy"),
        Some("\"contract\";q=100;w=60, \"client\";q=10;w=60")
    );
    assert_eq!(
        answer.field("ratelimit"),
        Some("\"contract\";r=9;t=1, \"client\";r=9;t=6")
    );
    assert_eq!(
        gateway.get("/none").field("ratelimit"),
        Some("\"theirs\";r=1")
    );
    let observing = Plan {
        tier: Tier::ObserveOnly,
        ..Plan::of(upstream.address, both())
    };
    let answer = observing.start().get("/both");
    assert_eq!(answer.field("ratelimit"), Some("\"theirs\";r=1"));
    assert_eq!(answer.field("ratelimit-policy"), Some("\"theirs\";q=1"));
}

#[test]
fn one_client_alone_waits_exactly_and_many_are_spread() {
    // R050
    let upstream = Upstream::ok();
    let slow = Contract::new(ContractParts {
        client_header: Some("x-api-key".into()),
        ..parts("slow_v1", "/slow", rate(1, 1))
    });
    let gateway = Plan::of(upstream.address, vec![slow]).start();
    let begun = std::time::Instant::now();
    let ask = |key: &str| {
        let answer = gateway.ask("GET", "/slow", &format!("X-Api-Key: {key}\r\n"));
        (answer.status() == 429).then(|| seconds(&answer, "retry-after"))
    };
    assert_eq!(ask("a"), None);
    for _ in 0..3 {
        let wait = ask("a").unwrap();
        assert!(
            wait <= 60 && wait + begun.elapsed().as_secs() + 1 >= 60,
            "{wait}"
        );
    }
    let waits: Vec<u64> = (0..30).map(|n| ask(&format!("b{n}")).unwrap()).collect();
    let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    assert!(
        *least + begun.elapsed().as_secs() + 1 >= 60,
        "{waits:?}: none before the reset"
    );
    assert!(*most <= 120, "{waits:?}: within one period more");
    assert!(most - least >= 20, "{waits:?}: not all at once");
}

#[test]
fn each_client_has_its_own_limit_and_goes_by_the_field_of_the_contract() {
    // R050
    let upstream = Upstream::ok();
    let keyed = Contract::new(ContractParts {
        client_header: Some("x-api-key".into()),
        ..parts("keyed_v1", "/keyed", client_rate(1, 1))
    });
    let plain = contract("plain_v1", "/plain", client_rate(1, 1));
    let gateway = Plan::of(upstream.address, vec![keyed, plain]).start();
    let ask = |path: &str, fields: &str| gateway.ask("GET", path, fields).status();
    assert_eq!(ask("/keyed", "X-Api-Key: a\r\n"), 200);
    let refused = gateway.ask("GET", "/keyed", "X-Api-Key: a\r\n");
    assert_eq!(refused.status(), 429);
    let violated = &problem(&refused)["violated-policies"];
    assert_eq!(violated, &serde_json::json!(["client"]));
    assert_eq!(ask("/keyed", "X-Api-Key: b\r\n"), 200);
    assert_eq!(ask("/keyed", ""), 200, "the address is a client of its own");
    assert_eq!(
        ask("/keyed", "X-Api-Key:\r\n"),
        429,
        "an empty name is none"
    );
    assert_eq!(ask("/plain", "X-Api-Key: a\r\n"), 200);
    assert_eq!(
        ask("/plain", "X-Api-Key: b\r\n"),
        429,
        "this one goes by address"
    );
    let refused = gateway.ask("GET", "/keyed", "X-Api-Key: a\r\n");
    assert!(seconds(&refused, "retry-after") > 50);
    assert!(
        refused
            .field("ratelimit")
            .unwrap()
            .starts_with("\"client\";r=0;t=")
    );
    let records = gateway.records(8);
    let client = |n: usize| records[n]["client"].as_str().unwrap();
    assert_eq!(client(0), client(1));
    assert_ne!(client(0), client(2));
    assert_eq!(client(3), client(5), "the peer");
}

#[test]
fn a_name_that_changes_with_every_request_is_held_by_its_address() {
    let upstream = Upstream::ok();
    let keyed = Contract::new(ContractParts {
        client_header: Some("x-api-key".into()),
        ..parts("keyed_v1", "/keyed", client_rate(1, 1))
    });
    let gateway = Plan::of(upstream.address, vec![keyed]).start();
    let ask = |name: usize| gateway.ask("GET", "/keyed", &format!("X-Api-Key: {name}\r\n"));
    let answers = (0..30).map(ask);
    let (passed, refused): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status() == 200);
    // Ten times the limit of one name, and what comes back while the test runs.
    assert!((10..=12).contains(&passed.len()));
    // A name of its own is not over its limit; what refuses it is named.
    let refused = refused.first().unwrap();
    assert_eq!(refused.status(), 429);
    let told = problem(refused);
    assert_eq!(told["violated-policies"], serde_json::json!(["address"]));
    let policy = "\"client\";q=1;w=60, \"address\";q=10;w=60";
    assert_eq!(refused.field("ratelimit-policy"), Some(policy));
    let wait = seconds(refused, "retry-after");
    let state = format!("\"client\";r=1;t=0, \"address\";r=0;t={wait}");
    assert_eq!(refused.field("ratelimit"), Some(state.as_str()));
}

#[test]
fn abuse_is_answered_by_its_band() {
    // R052: each cause gives its status.
    let upstream = Upstream::ok();
    for (severity, status, kind) in [
        (Severity::Throttle, 429, "#abnormal-usage-detected"),
        (Severity::Quarantine, 403, ":quarantined"),
        (Severity::Drop, 403, ":refused"),
    ] {
        let contracts = vec![contract("mine_v1", "/mine", client_rate(1, 1))];
        let plan = Plan {
            rules: judged_as(severity, 10_000),
            ..Plan::of(upstream.address, contracts)
        };
        let gateway = plan.start();
        assert_eq!(gateway.get("/mine").status(), 200);
        let answer = gateway.get("/mine");
        assert_eq!(answer.status(), status, "{severity:?}");
        let told = problem(&answer);
        assert!(told["type"].as_str().unwrap().ends_with(kind), "{told}");
        assert_eq!(
            told["case_id"].is_string(),
            severity == Severity::Quarantine
        );
        let limits = answer.field("ratelimit");
        assert_eq!(limits.is_some(), status == 429, "{severity:?}");
        if severity == Severity::Throttle {
            // Its own limit is used up as well, for longer than the ten seconds.
            assert!(seconds(&answer, "retry-after") > 50);
        }
        let record = gateway.records(2).pop().unwrap();
        assert_eq!(record["status"], status);
        assert_eq!(record["outcome"], "refused");
    }
}

#[test]
fn unknown_paths_that_are_let_through_have_a_limit() {
    let upstream = Upstream::ok();
    let mut plan = Plan::of(upstream.address, Vec::new());
    let unknown = &mut plan.rules.unknown_endpoint;
    unknown.action = Severity::Allow;
    unknown.rate_limit = PerMinute::new(1).unwrap();
    unknown.burst = std::num::NonZeroU32::MIN;
    let low = BasisPoints::saturating(1_000);
    plan.rules.weights.set(Factor::UnknownEndpoint, low);
    let gateway = plan.start();
    assert_eq!(gateway.get("/a").status(), 200);
    let answer = gateway.get("/b");
    assert_eq!(answer.status(), 429);
    assert!(seconds(&answer, "retry-after") > 50);
    assert_eq!(answer.field("ratelimit"), None, "no promise to anybody");
    assert!(
        problem(&answer)["type"]
            .as_str()
            .unwrap()
            .ends_with("#quota-exceeded")
    );
    assert_eq!(problem(&answer).get("violated-policies"), None);
    gateway.records(2);
}

#[test]
fn a_method_over_a_limit_is_told_of_what_refused_it() {
    let upstream = Upstream::ok();
    let contracts = || vec![contract("rare_v1", "/rare", rate(1, 1))];
    let gateway = Plan::of(upstream.address, contracts()).start();
    assert_eq!(gateway.get("/rare").status(), 200);
    let answer = gateway.ask("DELETE", "/rare", "");
    assert_eq!((answer.status(), answer.field("allow")), (405, Some("GET")));
    assert_eq!(problem(&answer).get("case_id"), None);
    // One that is set apart is told of its case, as any other request.
    let mut plan = Plan::of(upstream.address, contracts());
    plan.rules.method_disallowed = Severity::Quarantine;
    let low = BasisPoints::saturating(1_000);
    plan.rules.weights.set(Factor::MethodDisallowed, low);
    let gateway = plan.start();
    let answer = gateway.ask("DELETE", "/rare", "");
    assert_eq!(answer.status(), 405);
    let record = gateway.records(1).remove(0);
    assert!(record["case_id"].is_string());
    assert_eq!(problem(&answer)["case_id"], record["case_id"]);
    // Where other methods are let through, the limit holds for them too.
    let mut plan = Plan::of(upstream.address, contracts());
    plan.rules.method_disallowed = Severity::Allow;
    let low = BasisPoints::saturating(1_000);
    plan.rules.weights.set(Factor::MethodDisallowed, low);
    let gateway = plan.start();
    assert_eq!(gateway.ask("DELETE", "/rare", "").status(), 200);
    assert_eq!(gateway.ask("DELETE", "/rare", "").status(), 429);
    gateway.records(2);
}

#[test]
fn a_dropped_request_can_end_its_connection_without_a_byte() {
    // R052
    let upstream = Upstream::ok();
    let terms = Terms {
        refusal: Refusal::Close,
        ..rate(1, 1)
    };
    let contracts = vec![
        contract("quiet_v1", "/quiet", terms),
        contract("loud_v1", "/loud", Terms::default()),
    ];
    let gateway = Plan::of(upstream.address, contracts).start();
    for body in ["", "Content-Length: 4\r\n"] {
        let mut client = gateway.connect();
        send(&mut client, "DELETE", "/quiet", body);
        client.is_closed();
    }
    assert_eq!(
        gateway.ask("DELETE", "/loud", "").status(),
        405,
        "another contract"
    );
    assert_eq!(gateway.get("/quiet").status(), 200);
    assert_eq!(gateway.get("/quiet").status(), 429, "only a drop is silent");
    let records = gateway.records(5);
    for record in records.iter().take(2) {
        assert_eq!(
            (&record["status"], &record["outcome"]),
            (&0.into(), &"refused".into())
        );
        assert_eq!(record["decision"], "DROP");
    }
    assert_eq!(upstream.seen().len(), 1);
}

/// Five requests that the upstream resets, one after the other.
fn five_failures(gateway: &Governed, path: &str) {
    for _ in 0..5 {
        assert_eq!(gateway.get(path).status(), 502);
    }
    // The client is answered a moment before the end of its request is counted.
    eventually("the circuit to open", || {
        let now_ns = tidegate::gateway::clock::now().monotonic_ns;
        gateway.route(0).circuit(Mode::Real).read(now_ns).epoch == 1
    });
}

#[test]
fn an_open_circuit_is_503_and_its_upstream_is_left_alone() {
    // R039
    let upstream = Upstream::start(|conn, _| crate::wire::reset(conn));
    let healthy = Upstream::ok();
    let mut parts = parts("sick_v1", "/sick", Terms::default());
    parts.upstream = Some("sick".into());
    let mut plan = Plan::of(
        healthy.address,
        vec![
            Contract::new(parts),
            contract("well_v1", "/well", Terms::default()),
        ],
    );
    plan.upstreams.push(("sick", vec![upstream.address]));
    plan.rules.circuit.open = tidegate::units::Millis::new(30_000);
    let gateway = plan.start();
    five_failures(&gateway, "/sick");
    for _ in 0..20 {
        let answer = gateway.get("/sick");
        assert_eq!(answer.status(), 503);
        let wait = seconds(&answer, "retry-after");
        // 30 s and a jitter of a tenth.
        assert!((1..=33).contains(&wait), "{wait}");
        let told = problem(&answer);
        assert_eq!(told["type"], "urn:tidegate:problem:circuit-open");
        let proxy_status = answer.field("proxy-status");
        assert_eq!(
            proxy_status,
            Some("tidegate; error=destination_unavailable")
        );
        assert!(
            told["reason_codes"]
                .as_array()
                .unwrap()
                .contains(&"CIRCUIT_OPEN".into())
        );
    }
    assert_eq!(gateway.get("/well").status(), 200, "another route");
    let records = gateway.records(26);
    let reached = records.iter().filter(|record| record["upstream"] == "sick");
    assert_eq!(reached.count(), 5);
    let now_ns = tidegate::gateway::clock::now().monotonic_ns;
    let circuit = gateway.route(0).circuit(Mode::Real).read(now_ns);
    assert_eq!(circuit.state, tidegate::observation::CircuitState::Open);
}
