//! A deprecated contract tells its callers to leave, and counts who has not.

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{Message, Upstream};

const OLD: &str = r#"{id: old_v1, owner: me, endpoint: "GET /old", rate_limit_rpm: 1, burst: 2, lifecycle: {status: deprecated, deprecated_on: 2025-01-01, sunset_on: 2025-07-01, successor: fresh_v2, migration_guide: "https://example.org/move"}}"#;
const FRESH: &str = r#"{id: fresh_v2, owner: me, endpoint: "GET /fresh"}"#;
const DRAFT: &str = r#"{id: draft_v1, owner: me, endpoint: "GET /draft", rate_limit_rpm: 1, burst: 1, lifecycle: {status: draft}}"#;

const FIELDS: [(&str, &str); 3] = [
    ("deprecation", "@1735689600"),
    ("sunset", "Tue, 01 Jul 2025 00:00:00 GMT"),
    (
        "link",
        "<https://example.org/move>; rel=\"deprecation\", </fresh>; rel=\"successor-version\"",
    ),
];

fn told(answer: &Message) -> [Option<&str>; 3] {
    FIELDS.map(|(name, _)| answer.field(name))
}

/// The counter of deprecated requests, summed over its clients.
fn counted(process: &Process) -> f64 {
    let series = process.series();
    let lines = series
        .iter()
        .filter(|line| line.starts_with("tidegate_deprecated_requests_total{"));
    let of = |line: &String| {
        assert!(line.contains("contract=\"old_v1\",client=\""), "{line}");
        let count = line.rsplit(' ').next().expect("a count");
        count.parse::<f64>().expect("a number")
    };
    lines.map(of).sum()
}

// R022, R023
#[test]
fn answers_of_a_deprecated_contract_say_so_and_its_callers_are_counted() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .contract(OLD)
        .contract(FRESH);
    let process = Process::start(&installation);
    // Long after its sunset it is served as before; the third request is over the limit.
    for status in [200, 200, 429] {
        let answer = process.get("/old");
        assert_eq!(answer.status(), status);
        assert_eq!(told(&answer), FIELDS.map(|(_, value)| Some(value)));
    }
    assert_eq!(counted(&process), 3.0);
    // Both versions stand side by side.
    let fresh = process.get("/fresh");
    assert_eq!((fresh.status(), told(&fresh)), (200, [None; 3]));
    assert_eq!(counted(&process), 3.0);
    let sunset = "tidegate_contract_sunset_timestamp_seconds{contract=\"old_v1\"} 1751328000";
    assert!(process.series().iter().any(|line| line == sunset));
}

// R022
#[test]
fn where_the_gateway_only_observes_answers_stay_and_callers_are_counted() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .contract(OLD)
        .contract(FRESH);
    let process = Process::start(&installation);
    for _ in 0..3 {
        let answer = process.get("/old");
        assert_eq!((answer.status(), told(&answer)), (200, [None; 3]));
    }
    assert_eq!(counted(&process), 3.0);
}

#[test]
fn a_draft_is_observed_and_not_enforced() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address)
        .controlling()
        .contract(DRAFT);
    let process = Process::start(&installation);
    for _ in 0..3 {
        assert_eq!(process.get("/draft").status(), 200);
    }
    process.stop();
    let last = installation.decisions().pop().expect("a decision");
    assert_eq!(
        (&last["decision"], &last["tier"]),
        (&"THROTTLE".into(), &"OBSERVE_ONLY".into())
    );
}
