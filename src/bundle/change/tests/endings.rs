//! What callers are told of the end of a contract, and the end itself.

use super::*;

/// The verdicts of the change from one lifecycle to another, the worst first.
fn worst(from: Lifecycle, to: Lifecycle) -> (Verdict, Verdict) {
    let of = |lifecycle| {
        Content::of(ContractParts {
            lifecycle,
            ..parts()
        })
    };
    worst_of(&of(from).classified(&of(to)).changes)
}

fn worst_of(changes: &[Change]) -> (Verdict, Verdict) {
    let consumer = changes.iter().map(|change| change.consumer).max();
    let protection = changes.iter().map(|change| change.protection).max();
    (consumer.unwrap(), protection.unwrap())
}

fn until(day_text: &str) -> Lifecycle {
    let parts = LifecycleParts {
        status: Status::Deprecated,
        deprecated_on: Some(day("2020-01-01")),
        sunset_on: Date::parse(day_text),
        ..LifecycleParts::default()
    };
    Lifecycle::try_from(parts).unwrap()
}

fn of_status(status: Status) -> Lifecycle {
    life_of(status, Stability::Stable)
}

fn life_of(status: Status, stability: Stability) -> Lifecycle {
    let parts = LifecycleParts {
        status,
        stability,
        ..LifecycleParts::default()
    };
    Lifecycle::try_from(parts).unwrap()
}

// R022
#[test]
fn callers_keep_the_notice_that_they_were_promised() {
    use Status::{Active, Draft};
    use Verdict::{Breaking, None};
    let check = |from: Lifecycle, to: Lifecycle, expected: (Verdict, Verdict)| {
        let told = format!("{from:?} -> {to:?}");
        assert_eq!(worst(from, to), expected, "{told}");
    };
    check(of_status(Active), until(""), (None, None));
    check(until(""), of_status(Active), (None, None));
    // 180 days from today on, whatever day the file calls that of the deprecation.
    check(of_status(Active), until("2026-06-30"), (None, None));
    check(of_status(Active), until("2026-06-29"), (Breaking, None));
    check(of_status(Active), until("2025-12-31"), (Breaking, None));
    check(until(""), until("2026-06-30"), (None, None));
    check(until(""), until("2026-06-29"), (Breaking, None));
    check(until("2027-01-01"), until("2027-01-02"), (None, None));
    check(until("2027-01-01"), until("2026-12-31"), (Breaking, None));
    check(until("2026-01-05"), until("2026-02-01"), (Breaking, None));
    check(until("2027-01-01"), until(""), (Breaking, None));
    check(until("2027-01-01"), of_status(Active), (None, None));
    let of = |stability| life_of(Active, stability);
    check(of(Stability::Stable), of(Stability::Beta), (Breaking, None));
    check(of(Stability::Beta), of(Stability::Stable), (None, None));
    check(of_status(Active), of_status(Draft), (Breaking, Breaking));
    check(until("2027-01-01"), of_status(Draft), (Breaking, Breaking));
    check(of_status(Draft), of_status(Active), (Breaking, None));
}

// R022
#[test]
fn a_route_goes_after_its_sunset_by_the_day_of_whoever_compares() {
    let check = |today: &str, expected| {
        let before = Content::of(ContractParts {
            lifecycle: until("2026-03-01"),
            ..parts()
        });
        let after = Content {
            contracts: vec![successor()],
            ..Content::base()
        };
        let found = classify(Some(before.side()), after.side(), day(today));
        assert_eq!(worst_of(&found.changes), expected, "{today}");
    };
    check("2026-02-28", (Verdict::Breaking, Verdict::None));
    check("2026-03-01", (Verdict::None, Verdict::None));
    check("2030-01-01", (Verdict::None, Verdict::None));
}
