//! The canonical form: there and back, and nothing but itself.

use std::num::{NonZeroU32, NonZeroU64};

use proptest::prelude::*;

use super::{ReadError, read, write};
use crate::contract;
use crate::contract::compare::compare;
use crate::contract::file::bounds::{
    BODY_BYTES_MAX, COUNT_MAX, HELD_MAX, WAIT_MILLIS_MAX, usable_method,
};
use crate::contract::{
    Contract, ContractId, ContractParts, Method, MethodSet, PathRules, Quarantine, Refusal, Terms,
    Throttle,
};
use crate::policy::bounds::{CIRCUIT_MILLIS_MAX, OPEN_MILLIS_MIN, SAMPLES_MAX};
use crate::policy::rules::{
    CircuitRules, PerFactor, RetryRules, Rules, Severity, Stage, UnknownEndpoint,
};
use crate::units::{BasisPoints, Factor, Millis, PartsPerMillion, PerMinute, Tier};

fn terms() -> impl Strategy<Value = Terms> {
    let numbers = (
        1..100_000_u32,
        1..100_000_u32,
        1..=1_000_000_u64,
        1..=10_000_u64,
    );
    let limit = || proptest::option::of(1..=COUNT_MAX);
    let bodies = proptest::option::of(0..BODY_BYTES_MAX);
    let limits = (limit(), limit(), limit(), limit(), limit(), bodies);
    let tier = proptest::option::of(prop_oneof![Just(Tier::ObserveOnly), Just(Tier::Control)]);
    let flags = any::<(bool, bool, bool, bool, bool)>();
    let terms = (numbers, limits, tier, stage(), flags, answers());
    terms.prop_map(|(numbers, limits, tier, stage, flags, answers)| Terms {
        max_latency: Millis::new(numbers.0),
        timeout: Millis::new(numbers.1),
        error_budget: PartsPerMillion::new(numbers.2).unwrap(),
        circuit_threshold: BasisPoints::new(numbers.3).unwrap(),
        rate_limit: limits.0.and_then(PerMinute::new),
        burst: limits.1.and_then(NonZeroU32::new),
        // One client never has more than all together.
        client_rate_limit: limits
            .3
            .and_then(|own| PerMinute::new(limits.0.map_or(own, |all| all.min(own)))),
        client_burst: limits.4.and_then(NonZeroU32::new),
        max_in_flight: limits.2.and_then(NonZeroU32::new),
        body_bytes_max: limits.5.map(|max| NonZeroU64::MIN.saturating_add(max)),
        stream: flags.0,
        websocket: flags.4,
        tier,
        stage,
        path_rules: PathRules {
            allow_encoded_slash: flags.1,
            merge_slashes: flags.2,
        },
        quarantine: answers.0,
        // Nothing waits where there is no limit.
        throttle: match answers.1 {
            Throttle::Delay { .. } if limits.0.or(limits.3).is_none() => Throttle::Reject,
            throttle => throttle,
        },
        refusal: answers.2,
        ledger_required: flags.3,
    })
}

fn stage() -> impl Strategy<Value = contract::Stage> {
    use contract::Stage;
    prop_oneof![
        Just(Stage::Enforced),
        Just(Stage::Shadow),
        Just(Stage::Retired),
        (0..=10_000_u64).prop_map(|share| Stage::Canary(BasisPoints::new(share).unwrap())),
    ]
}

fn answers() -> impl Strategy<Value = (Quarantine, Throttle, Refusal)> {
    let quarantine = prop_oneof![
        Just(Quarantine::Reject),
        Just(Quarantine::Divert),
        Just(Quarantine::Shadow),
    ];
    let delay = (1..=WAIT_MILLIS_MAX, 1..=HELD_MAX).prop_map(|(wait, held)| Throttle::Delay {
        wait_max: Millis::new(wait),
        held_max: NonZeroU32::new(held).unwrap(),
    });
    let throttle = prop_oneof![Just(Throttle::Reject), delay];
    let refusal = prop_oneof![Just(Refusal::Respond), Just(Refusal::Close)];
    (quarantine, throttle, refusal)
}

fn contract(number: usize, terms: Terms, methods: &[Method], owner: Option<String>) -> Contract {
    let id = ContractId::new(&format!("c{number}")).unwrap();
    let set = methods.iter().fold(MethodSet::EMPTY, |set, m| set.with(*m));
    let endpoint = format!("GET /r{number}/{{id}}/{{*rest}}");
    let upstream = number.is_multiple_of(2).then(|| "u1".into());
    let is_divert = terms.quarantine == Quarantine::Divert;
    let by_field = terms.client_rate_limit.is_some() && number.is_multiple_of(3);
    Contract::new(ContractParts {
        upstream,
        divert_upstream: is_divert.then(|| "u2".into()),
        client_header: by_field.then(|| "x-api-key".into()),
        consumers: ["b", "a"].map(Into::into)[..number % 3].to_vec(),
        owner: owner.map(Into::into),
        ..ContractParts::new(id, &endpoint, set, terms)
    })
}

fn contracts() -> impl Strategy<Value = Vec<Contract>> {
    let mut usable = Method::NAMED.to_vec();
    usable.retain(|method| usable_method(method.as_str()).is_some());
    let methods = proptest::sample::subsequence(usable, 1..9);
    let owner = proptest::option::of("[a-zé\" \\\\\u{1f600}]{1,8}");
    let parts = proptest::collection::vec((terms(), methods, owner), 0..8);
    parts.prop_map(|parts| {
        let numbered = parts.into_iter().enumerate();
        numbered
            .map(|(n, (terms, methods, owner))| contract(n, terms, &methods, owner))
            .collect()
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let weights = proptest::collection::vec(0..=10_000_u64, 11);
    let stages = proptest::collection::vec(proptest::option::of(0..=10_000_u64), 11);
    let rest = (circuit(), retry(), unknown_endpoint());
    (weights, stages, "[a-z]{1,9}", rest).prop_map(|(weights, stages, name, rest)| {
        let bp = |value: u64| BasisPoints::new(value).unwrap();
        let (circuit, retry, unknown_endpoint) = rest;
        Rules {
            name: name.into(),
            circuit,
            retry,
            unknown_endpoint,
            weights: PerFactor::from_fn(|f: Factor| bp(weights[f as usize])),
            stages: PerFactor::from_fn(|f: Factor| match stages[f as usize] {
                Some(share) => Stage::Canary(bp(share)),
                None => Stage::Shadow,
            }),
            method_disallowed: Severity::Allow,
            consumer_not_declared: Severity::Drop,
            ..Rules::default()
        }
    })
}

prop_compose! {
    fn circuit()(
        counts in (1..=SAMPLES_MAX, 1..=SAMPLES_MAX),
        slow_share in 1..=10_000_u64,
        times in (OPEN_MILLIS_MIN..=CIRCUIT_MILLIS_MAX, OPEN_MILLIS_MIN..=CIRCUIT_MILLIS_MAX),
        slow_start in 1..=CIRCUIT_MILLIS_MAX,
    ) -> CircuitRules {
        CircuitRules {
            broken_in_a_row: NonZeroU32::new(counts.0).unwrap(),
            samples_min: NonZeroU32::new(counts.1).unwrap(),
            slow_share: BasisPoints::saturating(slow_share),
            open: Millis::new(times.0.min(times.1)),
            open_max: Millis::new(times.0.max(times.1)),
            slow_start: Millis::new(slow_start),
        }
    }
}

fn retry() -> impl Strategy<Value = RetryRules> {
    let names = proptest::collection::btree_set("[a-z]{3,9}-[a-z0-9]{1,9}", 0..=8);
    (names, 0..=10_000_u64).prop_map(|(names, budget)| RetryRules {
        // In an order that is not that of the alphabet: a file's order is kept.
        headers: names.into_iter().rev().map(Into::into).collect(),
        budget: BasisPoints::saturating(budget),
    })
}

prop_compose! {
    fn unknown_endpoint()(
        action in proptest::sample::select(Severity::ALL.to_vec()),
        answer_status in proptest::sample::select(vec![403, 404]),
        rate in 1..=COUNT_MAX,
        burst in 1..=COUNT_MAX,
    ) -> UnknownEndpoint {
        UnknownEndpoint {
            action,
            answer_status,
            rate_limit: PerMinute::new(rate).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }
}

proptest! {
    // R104
    #[test]
    fn what_is_written_reads_back_the_same(contracts in contracts(), rules in rules()) {
        let content = write(&contracts, &rules).unwrap();
        let (contracts_again, rules_again) = read(content.bytes()).unwrap();
        prop_assert_eq!(&contracts_again, &contracts);
        prop_assert_eq!(rules_again, rules.clone());
        let reversed = write(contracts.iter().rev(), &rules).unwrap();
        prop_assert_eq!(reversed, content);
    }

    /// What has another digest has a change that says why, and nothing else has one.
    #[test]
    fn contracts_differ_exactly_where_their_forms_do(
        old in contracts(),
        new in contracts(),
        kept in 0..8_usize,
    ) {
        let mixed: Vec<_> = old.iter().take(kept).chain(new.iter().skip(kept)).cloned().collect();
        for (old, new) in [(&old, &new), (&old, &mixed), (&new, &mixed), (&mixed, &mixed)] {
            let form = |contracts| write(contracts, &Rules::default()).unwrap();
            let is_same = form(old) == form(new);
            prop_assert_eq!(compare(old, new).is_empty(), is_same);
            prop_assert_eq!(compare(old, new).len(), compare(new, old).len());
        }
    }
}

#[test]
fn any_other_spelling_is_refused() {
    let rules = Rules::default();
    let content = write(&[], &rules).unwrap();
    let text = std::str::from_utf8(content.bytes()).unwrap();
    assert!(text.starts_with(r#"{"charter":{},"contracts":[],"format_version":1,"policy":{"#));
    assert!(text.ends_with(r#","self_tests":[]}"#));
    for (from, to, message) in [
        (":1,", ": 1,", "canonical form"),
        (":1,", ":1.0,", "structure"),
        (
            ":1,",
            ":2,",
            "format_version 2 is not supported; supported: 1",
        ),
        (":1,", ":0,", "format_version 0 is not supported"),
        ("{\"charter\":{},", "{", "structure"),
        ("\"charter\":{}", "\"charter\":{\"a\":1}", "structure"),
        ("\"circuit\":10000", "\"circuit\":10001", "weights"),
        ("\"low\":2000", "\"low\":4000", "bands"),
        ("\"answer\":404", "\"answer\":200", "unknown_endpoint"),
        (
            "\"name\":\"default\"",
            "\"name\":\"default\",\"name\":\"default\"",
            "structure",
        ),
        (
            "\"name\":\"default\"",
            "\"name\":\"\\u0064efault\"",
            "canonical form",
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let error = read(changed.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(message), "{to}: {error}");
    }
    assert!(matches!(read(b""), Err(ReadError::Structure(_))));
}

#[test]
fn the_digest_of_the_default_rules_is_the_sha256_of_their_bytes() {
    let content = write(&[], &Rules::default()).unwrap();
    assert_eq!(content.digest_hex().len(), 64);
    let again = write(&[], &Rules::default()).unwrap();
    assert_eq!(content.digest(), again.digest());
    let renamed = Rules {
        name: "other".into(),
        ..Rules::default()
    };
    assert_ne!(write(&[], &renamed).unwrap().digest(), content.digest());
}

// R110: the version of another program is told as that, before what else it may say.
#[test]
fn content_of_another_version_is_refused_as_that() {
    let content = write(&[], &Rules::default()).unwrap();
    let text = std::str::from_utf8(content.bytes()).unwrap();
    let check = |from: &str, to: &str, expected: Option<u64>| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let error = read(changed.as_bytes()).unwrap_err();
        let version = match error {
            ReadError::Version(version) => Some(version),
            _ => None,
        };
        assert_eq!(version, expected, "{to}: {error}");
    };
    check("\"format_version\":1", "\"format_version\":0", Some(0));
    check("\"format_version\":1", "\"format_version\":2", Some(2));
    check(
        "\"format_version\":1",
        "\"format_version\":2,\"new\":{}",
        Some(2),
    );
    check(
        "\"format_version\":1",
        "\"format_version\":1,\"new\":{}",
        None,
    );
    check("\"format_version\":1", "\"format_version\":\"1\"", None);
    check("\"format_version\":1,", "", None);
}

#[test]
fn what_no_file_can_say_is_refused() {
    let terms = Terms {
        rate_limit: PerMinute::new(100),
        tier: Some(Tier::Control),
        stage: contract::Stage::Canary(BasisPoints::saturating(1_000)),
        ..Terms::default()
    };
    let owner = Some("me".to_owned());
    let contracts = [
        contract(2, terms, &[Method::Get], owner.clone()),
        contract(4, Terms::default(), &[Method::Get], owner),
    ];
    let content = write(&contracts, &Rules::default()).unwrap();
    let text = std::str::from_utf8(content.bytes()).unwrap();
    assert!(read(text.as_bytes()).is_ok());
    let long = "x".repeat(129);
    for (from, to, message) in [
        ("\"low\":2000", "\"low\":0", "bands"),
        ("\"tier\":\"control\"", "\"tier\":\"autonomous\"", "number"),
        ("\"canary_bp\":1000", "\"canary_bp\":10001", "number"),
        (":100,", ":1000000001,", "number"),
        ("\"burst\":10,", "\"burst\":1000000001,", "number"),
        ("\"burst\":10,", "\"burst\":0,", "number"),
        ("\"burst\":10,", "", "number"),
        ("\"rate_limit_rpm\":100,", "", "number"),
        ("_latency_ms\":1000", "_latency_ms\":3600001", "number"),
        ("timeout_ms\":30000", "timeout_ms\":3600001", "number"),
        ("\"observe_only\":[", "\"observe_only\":[\"drop\",", "tiers"),
        ("\"control\":[", "\"control\":[\"policy_update\",", "tiers"),
        ("\"GET /r2/", "\"BREW /r2/", "endpoint"),
        ("\"GET /r2/", "\"CONNECT /r2/", "endpoint"),
        ("\"GET /r2/", "\"/r2/", "endpoint"),
        ("\"GET /r2/", "\"GET /r2%2F/", "endpoint"),
        ("[\"GET\"]", "[\"CONNECT\"]", "methods"),
        ("[\"GET\"]", "[]", "methods"),
        ("\"id\":\"c4\"", "\"id\":\"c2\"", "stands twice"),
        ("\"owner\":\"me\"", "\"owner\":\"\"", "owner"),
        (
            "\"owner\":\"me\"",
            &format!("\"owner\":\"{long}\""),
            "owner",
        ),
        ("\"upstream\":\"u1\"", "\"upstream\":\"U 1\"", "upstream"),
        ("\"name\":\"default\"", "\"name\":\"a\\nb\"", "name"),
        ("\"version\":\"1.0.0\"", "\"version\":\"1 0\"", "version"),
    ] {
        let error = check_refused(text, from, to, message);
        assert!(matches!(error, ReadError::Value { .. }), "{to}: {error}");
    }
}

/// What is exchanged in the full content, for what, and a word of the refusal.
const OF_LIMITS: &[(&str, &str, &str)] = &[
    (
        "\"rate_limit_rpm\":50}",
        "\"rate_limit_rpm\":101}",
        "more than all",
    ),
    ("\"rate_limit_rpm\":50}", "\"rate_limit_rpm\":0}", "number"),
    ("{\"burst\":5,", "{\"burst\":0,", "number"),
    ("{\"burst\":5,", "{", "structure"),
    (":x-api-key", ":te", "key of per_client"),
    (":x-api-key", ":x-forwarded-for", "key of per_client"),
    (":x-api-key", ":X-Api-Key", "canonical form"),
    ("\"header:x-api-key\"", "\"address\"", "key of per_client"),
    (
        "\"upstream\":\"u2\"",
        "\"upstream\":\"U 2\"",
        "upstream of quarantine",
    ),
    (",\"upstream\":\"u2\"", "", "structure"),
    (
        "\"mode\":\"divert\"",
        "\"mode\":\"shadow\"",
        "canonical form",
    ),
    ("\"held_max\":9", "\"held_max\":0", "number"),
    ("\"held_max\":9", "\"held_max\":100001", "number"),
    ("\"wait_max_ms\":700", "\"wait_max_ms\":0", "number"),
    ("\"wait_max_ms\":700", "\"wait_max_ms\":60001", "number"),
    (
        "\"mode\":\"delay\"",
        "\"mode\":\"reject\"",
        "canonical form",
    ),
    ("{\"mode\":\"close\"}", "{\"mode\":\"hang\"}", "structure"),
    ("\"drop\":{\"mode\":\"close\"},", "", "structure"),
    ("\"open_ms\":1000", "\"open_ms\":60001", "circuit"),
    ("\"open_ms\":1000", "\"open_ms\":9", "circuit"),
    ("\"open_ms_max\":60000", "\"open_ms_max\":600001", "circuit"),
    ("\"samples_min\":20", "\"samples_min\":0", "circuit"),
    ("\"samples_min\":20", "\"samples_min\":1000001", "circuit"),
    ("\"slow_share_bp\":8000", "\"slow_share_bp\":0", "circuit"),
    ("\"slow_start_ms\":5000", "\"slow_start_ms\":0", "circuit"),
    ("\"broken_in_a_row\":5", "\"broken_in_a_row\":0", "circuit"),
    ("\"budget_bp\":2000", "\"budget_bp\":10001", "retry"),
    ("\"x-retry-count\"", "\"X-Retry-Count\"", "retry"),
    ("\"x-retry-count\"", "\"x-envoy-attempt-count\"", "retry"),
    ("\"x-retry-count\"", "\"tidegate-retry\"", "retry"),
    (
        "\"x-retry-count\"",
        "\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"",
        "retry",
    ),
    (
        "\"rate_limit_rpm\":600",
        "\"rate_limit_rpm\":0",
        "unknown_endpoint",
    ),
    ("\"burst\":60,", "\"burst\":1000000001,", "unknown_endpoint"),
];

fn check_refused(text: &str, from: &str, to: &str, message: &str) -> ReadError {
    let changed = text.replacen(from, to, 1);
    assert_ne!(changed, text, "{from}");
    let error = read(changed.as_bytes()).unwrap_err();
    assert!(error.to_string().contains(message), "{to}: {error}");
    error
}

/// A contract and a policy that say all that may be left out.
#[test]
fn what_no_file_can_say_of_limits_and_answers_is_refused() {
    let terms = Terms {
        rate_limit: PerMinute::new(100),
        client_rate_limit: PerMinute::new(50),
        quarantine: Quarantine::Divert,
        throttle: Throttle::Delay {
            wait_max: Millis::new(700),
            held_max: NonZeroU32::new(9).unwrap(),
        },
        refusal: Refusal::Close,
        ..Terms::default()
    };
    let contracts = [contract(0, terms, &[Method::Get], None)];
    let content = write(&contracts, &Rules::default()).unwrap();
    let text = std::str::from_utf8(content.bytes()).unwrap();
    assert!(read(text.as_bytes()).is_ok());
    let client = r#""per_client":{"burst":5,"key":"header:x-api-key","rate_limit_rpm":50},"#;
    for (from, to, message) in OF_LIMITS {
        check_refused(text, from, to, message);
    }
    let unlimited = text.replacen(client, "", 1);
    let unlimited = unlimited.replacen("\"burst\":10,", "", 1);
    let unlimited = unlimited.replacen("\"rate_limit_rpm\":100,", "", 1);
    let error = read(unlimited.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("delay"), "{error}");
}
