//! The canonical form: there and back, and nothing but itself.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::{ReadError, read, write};
use crate::contract::file::bounds::{COUNT_MAX, usable_method};
use crate::contract::{Contract, ContractId, ContractParts, Method, MethodSet, PathRules, Terms};
use crate::policy::rules::{PerFactor, Rules, Severity, Stage};
use crate::units::{BasisPoints, Factor, Millis, PartsPerMillion, PerMinute, Tier};

fn terms() -> impl Strategy<Value = Terms> {
    let numbers = (
        1..100_000_u32,
        1..100_000_u32,
        1..=1_000_000_u64,
        1..=10_000_u64,
    );
    let limit = || proptest::option::of(1..=COUNT_MAX);
    let limits = (limit(), limit(), limit());
    let tier = proptest::option::of(prop_oneof![Just(Tier::ObserveOnly), Just(Tier::Control)]);
    let flags = any::<(bool, bool, bool)>();
    (numbers, limits, tier, flags).prop_map(|(numbers, limits, tier, flags)| Terms {
        max_latency: Millis::new(numbers.0),
        timeout: Millis::new(numbers.1),
        error_budget: PartsPerMillion::new(numbers.2).unwrap(),
        circuit_threshold: BasisPoints::new(numbers.3).unwrap(),
        rate_limit: limits.0.and_then(PerMinute::new),
        burst: limits.1.and_then(NonZeroU32::new),
        max_in_flight: limits.2.and_then(NonZeroU32::new),
        stream: flags.0,
        tier,
        path_rules: PathRules {
            allow_encoded_slash: flags.1,
            merge_slashes: flags.2,
        },
        ..Terms::default()
    })
}

fn contract(number: usize, terms: Terms, methods: &[Method], owner: Option<String>) -> Contract {
    let id = ContractId::new(&format!("c{number}")).unwrap();
    let set = methods.iter().fold(MethodSet::EMPTY, |set, m| set.with(*m));
    let endpoint = format!("GET /r{number}/{{id}}/{{*rest}}");
    let upstream = number.is_multiple_of(2).then(|| "u1".into());
    Contract::new(ContractParts {
        upstream,
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
    (weights, stages, "[a-z]{1,9}").prop_map(|(weights, stages, name)| {
        let bp = |value: u64| BasisPoints::new(value).unwrap();
        Rules {
            name: name.into(),
            weights: PerFactor::from_fn(|f: Factor| bp(weights[f as usize])),
            stages: PerFactor::from_fn(|f: Factor| match stages[f as usize] {
                Some(share) => Stage::Canary(bp(share)),
                None => Stage::Shadow,
            }),
            method_disallowed: Severity::Allow,
            ..Rules::default()
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(contracts in contracts(), rules in rules()) {
        let content = write(&contracts, &rules).unwrap();
        let (contracts_again, rules_again) = read(content.bytes()).unwrap();
        prop_assert_eq!(&contracts_again, &contracts);
        prop_assert_eq!(rules_again, rules.clone());
        let reversed = write(contracts.iter().rev(), &rules).unwrap();
        prop_assert_eq!(reversed, content);
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

#[test]
fn what_no_file_can_say_is_refused() {
    let terms = Terms {
        rate_limit: PerMinute::new(100),
        tier: Some(Tier::Control),
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
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let error = read(changed.as_bytes()).unwrap_err();
        assert!(matches!(error, ReadError::Value { .. }), "{to}: {error}");
        assert!(error.to_string().contains(message), "{to}: {error}");
    }
}
