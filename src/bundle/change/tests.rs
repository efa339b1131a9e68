//! Every member of contract and policy, changed and changed back.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use serde_json::Value;

use super::*;
use crate::contract::{
    ContractId, ContractParts, Method, MethodSet, Quarantine, Refusal, Terms, Throttle,
};
use crate::policy::canonical;
use crate::policy::rules::{Severity, Stage};
use crate::units::{Action, ActionSet, BasisPoints, Factor, Millis, PartsPerMillion, PerMinute};

type Edit<T> = fn(&mut T);

/// A contract that says everything that can be said.
fn parts() -> ContractParts {
    let terms = Terms {
        rate_limit: PerMinute::new(600),
        burst: NonZeroU32::new(60),
        client_rate_limit: PerMinute::new(60),
        client_burst: NonZeroU32::new(6),
        max_in_flight: NonZeroU32::new(10),
        tier: Some(Tier::Control),
        quarantine: Quarantine::Divert,
        throttle: Throttle::Delay {
            wait_max: Millis::new(500),
            held_max: NonZeroU32::new(5).unwrap(),
        },
        ledger_required: true,
        ..Terms::default()
    };
    let methods = MethodSet::EMPTY.with(Method::Get).with(Method::Head);
    let id = ContractId::new("a").unwrap();
    ContractParts {
        upstream: Some("one".into()),
        divert_upstream: Some("aside".into()),
        client_header: Some("x-key".into()),
        owner: Some("team".into()),
        ..ContractParts::new(id, "GET /a/{id}", methods, terms)
    }
}

/// What can be done to a contract, and whether nothing protects less in either direction.
const CONTRACT_EDITS: &[(&str, Edit<ContractParts>, bool)] = &[
    ("template", |p| p.endpoint_key = "GET /b/{id}".into(), false),
    ("parameter", |p| p.endpoint_key = "GET /a/{x}".into(), true),
    (
        "method",
        |p| p.methods = MethodSet::EMPTY.with(Method::Get),
        false,
    ),
    ("upstream", |p| p.upstream = None, false),
    ("divert", |p| p.divert_upstream = Some("b".into()), false),
    ("client key", |p| p.client_header = None, false),
    ("owner", |p| p.owner = Some("other".into()), false),
    ("latency", |p| p.terms.max_latency = Millis::new(1), false),
    ("timeout", |p| p.terms.timeout = Millis::new(1), false),
    (
        "budget",
        |p| p.terms.error_budget = PartsPerMillion::saturating(1),
        false,
    ),
    (
        "circuit",
        |p| p.terms.circuit_threshold = BasisPoints::saturating(1),
        false,
    ),
    ("rate", |p| p.terms.rate_limit = PerMinute::new(599), false),
    ("no rate", |p| p.terms.rate_limit = None, false),
    ("burst", |p| p.terms.burst = NonZeroU32::new(59), false),
    (
        "client rate",
        |p| p.terms.client_rate_limit = PerMinute::new(59),
        false,
    ),
    (
        "no client rate",
        |p| p.terms.client_rate_limit = None,
        false,
    ),
    (
        "client burst",
        |p| p.terms.client_burst = NonZeroU32::new(5),
        false,
    ),
    (
        "in flight",
        |p| p.terms.max_in_flight = NonZeroU32::new(9),
        false,
    ),
    ("no in flight", |p| p.terms.max_in_flight = None, false),
    ("stream", |p| p.terms.stream = true, false),
    ("tier", |p| p.terms.tier = Some(Tier::ObserveOnly), false),
    ("no tier", |p| p.terms.tier = None, false),
    (
        "slash",
        |p| p.terms.path_rules.allow_encoded_slash = true,
        false,
    ),
    (
        "slashes",
        |p| p.terms.path_rules.merge_slashes = true,
        false,
    ),
    (
        "quarantine",
        |p| {
            p.terms.quarantine = Quarantine::Reject;
            p.divert_upstream = None;
        },
        false,
    ),
    ("throttle", |p| p.terms.throttle = Throttle::Reject, false),
    (
        "wait",
        |p| {
            p.terms.throttle = Throttle::Delay {
                wait_max: Millis::new(499),
                held_max: NonZeroU32::new(5).unwrap(),
            }
        },
        false,
    ),
    (
        "held",
        |p| {
            p.terms.throttle = Throttle::Delay {
                wait_max: Millis::new(500),
                held_max: NonZeroU32::new(4).unwrap(),
            }
        },
        false,
    ),
    ("drop", |p| p.terms.refusal = Refusal::Close, false),
    ("ledger", |p| p.terms.ledger_required = false, false),
];

const fn bp(value: u64) -> BasisPoints {
    BasisPoints::saturating(value)
}

/// The same for the policy.
const POLICY_EDITS: &[(&str, Edit<Rules>, bool)] = &[
    ("name", |r| r.name = "other".into(), true),
    ("version", |r| r.version = "9".into(), true),
    (
        "bands",
        |r| r.bands = crate::units::Bands::new(bp(1), bp(2), bp(3), bp(4)).unwrap(),
        false,
    ),
    (
        "weights",
        |r| r.weights = crate::policy::rules::PerFactor::all(bp(1)),
        false,
    ),
    (
        "no weight",
        |r| r.weights.set(Factor::Latency, bp(0)),
        false,
    ),
    (
        "stages",
        |r| r.stages = crate::policy::rules::PerFactor::all(Stage::Shadow),
        false,
    ),
    (
        "canary",
        |r| r.stages.set(Factor::Latency, Stage::Canary(bp(9))),
        false,
    ),
    (
        "unknown",
        |r| r.unknown_endpoint.action = Severity::Drop,
        false,
    ),
    ("answer", |r| r.unknown_endpoint.answer_status = 403, true),
    (
        "unknown rate",
        |r| r.unknown_endpoint.rate_limit = PerMinute::new(1).unwrap(),
        false,
    ),
    (
        "unknown burst",
        |r| r.unknown_endpoint.burst = NonZeroU32::MIN,
        false,
    ),
    (
        "method",
        |r| r.method_disallowed = Severity::Quarantine,
        false,
    ),
    (
        "rights",
        |r| r.tiers[1] = ActionSet::of(&[Action::Log]),
        false,
    ),
    (
        "notes",
        |r| r.tiers[0] = ActionSet::of(&[Action::Log]),
        false,
    ),
    (
        "more notes",
        |r| r.tiers[2] = r.tiers[2].minus(ActionSet::of(&[Action::Report])),
        false,
    ),
    (
        "broken",
        |r| r.circuit.broken_in_a_row = NonZeroU32::MIN,
        false,
    ),
    (
        "samples",
        |r| r.circuit.samples_min = NonZeroU32::MIN,
        false,
    ),
    ("slow share", |r| r.circuit.slow_share = bp(1), false),
    ("open", |r| r.circuit.open = Millis::new(2_000), false),
    (
        "open max",
        |r| r.circuit.open_max = Millis::new(90_000),
        false,
    ),
    (
        "slow start",
        |r| r.circuit.slow_start = Millis::new(1),
        false,
    ),
    (
        "retry fields",
        |r| r.retry.headers = ["x-other".into()].into(),
        false,
    ),
    ("retry order", |r| r.retry.headers.reverse(), true),
    ("retry budget", |r| r.retry.budget = bp(1), false),
];

struct Content(Vec<Contract>, Rules);

impl Content {
    fn base() -> Self {
        Self(vec![Contract::new(parts())], Rules::default())
    }

    fn side(&self) -> Side<'_> {
        Side {
            contracts: &self.0,
            rules: &self.1,
            tier_max: Tier::Control,
        }
    }

    fn canonical(&self) -> Value {
        let content = canonical::write(&self.0, &self.1).unwrap();
        canonical::read(content.bytes()).expect("what a file could say");
        serde_json::from_slice(content.bytes()).unwrap()
    }
}

/// All contents that differ from the base by one edit.
fn edited() -> Vec<(&'static str, Content, bool)> {
    let contracts = CONTRACT_EDITS.iter().map(|(name, edit, is_neutral)| {
        let mut parts = parts();
        edit(&mut parts);
        let content = Content(vec![Contract::new(parts)], Rules::default());
        (*name, content, *is_neutral)
    });
    let policies = POLICY_EDITS.iter().map(|(name, edit, is_neutral)| {
        let mut rules = Rules::default();
        edit(&mut rules);
        (
            *name,
            Content(vec![Contract::new(parts())], rules),
            *is_neutral,
        )
    });
    contracts.chain(policies).collect()
}

/// Every leaf by its path: `policy.circuit.open_ms`.
fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                leaves(value, &format!("{path}{name}."), found);
            }
        }
        Value::Array(items) if path == "contracts." => {
            items
                .iter()
                .for_each(|item| leaves(item, "contract.", found));
        }
        leaf => {
            found.insert(path.trim_end_matches('.').to_owned(), leaf.clone());
        }
    }
}

fn leaves_of(content: &Content) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    leaves(&content.canonical(), "", &mut found);
    found
}

fn differing(one: &Content, other: &Content) -> BTreeSet<String> {
    let (one, other) = (leaves_of(one), leaves_of(other));
    let names = one.keys().chain(other.keys());
    names
        .filter(|name| one.get(*name) != other.get(*name))
        .cloned()
        .collect()
}

/// The member that a leaf or a change is about, without its place and its unit.
fn member(text: &str) -> String {
    let first = text.split('.').next().unwrap();
    let plain = first.trim_end_matches("_bp").trim_end_matches("_ppm");
    // A burst comes and goes with its rate.
    plain.replace("burst", "rate_limit_rpm")
}

#[test]
fn every_member_of_the_canonical_form_has_a_row() {
    let base = Content::base();
    let mut untouched: BTreeSet<String> = leaves_of(&base).into_keys().collect();
    for (name, content, _) in edited() {
        let differing = differing(&base, &content);
        assert!(!differing.is_empty(), "{name} changes nothing");
        let found = classify(Some(base.side()), content.side()).changes;
        let told: BTreeSet<_> = found.iter().map(|c| member(&c.what)).collect();
        for leaf in &differing {
            let (_, rest) = leaf.split_once('.').unwrap();
            assert!(
                told.contains(&member(rest)),
                "{name}: nothing tells of {leaf}"
            );
            untouched.remove(leaf);
        }
    }
    // Whose change would be another contract, or another format.
    for fixed in ["contract.id", "format_version"] {
        assert!(untouched.remove(fixed), "{fixed}");
    }
    untouched.remove("self_tests");
    assert!(untouched.is_empty(), "no edit here changes {untouched:?}");
}

#[test]
fn nothing_is_loosened_in_silence() {
    let base = Content::base();
    let protects_less = |from: &Content, to: &Content| {
        let found = classify(Some(from.side()), to.side()).changes;
        assert!(!found.is_empty());
        found.iter().any(|change| change.protection > Verdict::None)
    };
    for (name, content, is_neutral) in edited() {
        let ways = [
            protects_less(&base, &content),
            protects_less(&content, &base),
        ];
        assert_eq!(ways.contains(&true), !is_neutral, "{name}: {ways:?}");
    }
    let none = Content(Vec::new(), Rules::default());
    assert!(protects_less(&none, &base) && !protects_less(&base, &none));
}

#[test]
fn the_same_content_in_any_order_is_no_change() {
    let contracts: Vec<Contract> = ["b", "c", "a"]
        .map(|id| {
            let id_of = ContractId::new(id).unwrap();
            let key = format!("GET /{id}");
            Contract::new(ContractParts::new(
                id_of,
                &key,
                parts().methods,
                Terms::default(),
            ))
        })
        .into();
    let mut sorted = contracts.clone();
    sorted.sort_by(|one, other| one.id().cmp(other.id()));
    let (one, other) = (
        Content(contracts, Rules::default()),
        Content(sorted, Rules::default()),
    );
    let same = classify(Some(one.side()), other.side());
    assert_eq!(same.changes, []);
    assert_eq!(same.classes, BTreeSet::from([Class::Tighten]));
}

#[test]
fn the_table_is_the_one_of_the_page() {
    let page = include_str!("../../../docs/bundle-format.md");
    let table = page
        .split("| change | consumer | protection |")
        .nth(1)
        .unwrap();
    let told: Vec<[String; 3]> = table
        .lines()
        .skip(2)
        .map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| {
            let mut cells = line.split(" | ").map(str::to_owned);
            [(); 3].map(|()| cells.next().unwrap_or_default())
        })
        .collect();
    let ours = ROWS
        .iter()
        .map(|row| [row.name, row.consumer.name(), row.protection.name()].map(str::to_owned));
    assert_eq!(told, ours.collect::<Vec<_>>());
}

#[test]
fn breakglass_lowers_the_tier_or_makes_one_contract_stricter() {
    let base = Content::base();
    let fault = |before: &Content, after: &Content, tier_max: Tier| {
        let after = Side {
            tier_max,
            ..after.side()
        };
        breakglass_fault(&classify(Some(before.side()), after).changes)
    };
    let with = |edit: Edit<ContractParts>| {
        let mut parts = parts();
        edit(&mut parts);
        Content(vec![Contract::new(parts)], Rules::default())
    };
    let check = |found: Option<String>, expected: &str| {
        assert_eq!(found.unwrap_or_default(), expected);
    };
    check(fault(&base, &base, Tier::Control), "it changes nothing");
    check(fault(&base, &base, Tier::ObserveOnly), "");
    let raised = "it loosens tier_max of bundle";
    check(fault(&base, &base, Tier::Autonomous), raised);
    let slower = with(|p| p.terms.rate_limit = PerMinute::new(100));
    check(fault(&base, &slower, Tier::Control), "");
    check(
        fault(&slower, &base, Tier::Control),
        "it loosens rate_limit_rpm of a",
    );
    let both = "it changes rate_limit_rpm of a and tier_max of bundle";
    check(fault(&base, &slower, Tier::ObserveOnly), both);
    let gone = Content(Vec::new(), Rules::default());
    check(fault(&base, &gone, Tier::Control), "");
    check(
        fault(&gone, &base, Tier::Control),
        "it loosens endpoint of a",
    );
    let mut policy = Content::base();
    policy.1.unknown_endpoint.action = Severity::Drop;
    let told = "it changes unknown_endpoint.action of policy";
    check(fault(&base, &policy, Tier::Control), told);
}
