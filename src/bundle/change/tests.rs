//! Every member of the content, changed and changed back.

mod edited;
mod endings;
mod expected;
mod exposed;

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::contract::{
    ContractId, ContractParts, Lifecycle, LifecycleParts, Method, MethodSet, Stability, Status,
    Terms,
};
use crate::policy::canonical;
use crate::policy::rules::{Severity, Stage};
use crate::units::{Factor, PerMinute};

use edited::*;

#[test]
fn every_member_of_the_canonical_form_has_a_row() {
    let base = Content::base();
    let mut untouched: BTreeSet<String> = leaves_of(&base).into_keys().collect();
    for (name, content, _) in edited() {
        let differing = differing(&base, &content);
        assert!(!differing.is_empty(), "{name} changes nothing");
        let found = base.classified(&content).changes;
        let told: BTreeSet<_> = found.iter().map(|c| member(&c.what)).collect();
        for leaf in &differing {
            let (part, rest) = leaf.split_once('.').unwrap();
            let is_told = match part {
                "self_tests" => expected::is_told(&found, rest),
                _ if rest == "id" => found.iter().any(|change| change.subject == "a2"),
                _ => told.contains(&member(rest)),
            };
            assert!(is_told, "{name}: nothing tells of {leaf}");
            untouched.remove(leaf);
        }
    }
    // Of a member that no edit changes no other value may be read.
    for leaf in &untouched {
        let mut other = base.canonical();
        let member = other.get_mut(leaf).expect("a contract or a rule is edited");
        assert_eq!(*member, Value::from(1), "{leaf}");
        *member = Value::from(2);
        let bytes = serde_json::to_vec(&other).unwrap();
        assert!(
            canonical::read(&bytes).is_err(),
            "no edit here changes {leaf}"
        );
    }
}

#[test]
fn the_base_says_all_that_any_edit_says() {
    // What cannot be said beside something else that the base says: a circuit half open and one
    // that starts slowly, a stage by its name and one with a share.
    const EITHER: [&str; 2] = [
        "self_tests.state.slow_start_bp",
        "policy.stages.latency.canary_bp",
    ];
    let base: BTreeSet<String> = leaves_of(&Content::base()).into_keys().collect();
    for (name, content, _) in edited() {
        let more: Vec<_> = leaves_of(&content).into_keys().collect();
        let more = more
            .iter()
            .filter(|leaf| !base.contains(*leaf) && !EITHER.contains(&leaf.as_str()));
        assert_eq!(more.collect::<Vec<_>>(), [""; 0], "{name}");
    }
}

// R105
#[test]
fn content_that_differs_in_silence_takes_security() {
    let base = Content::base();
    let check = |tier_max: Tier, digest: [u8; 32], expected: &[&str]| {
        let after = Side {
            tier_max,
            content_digest: digest,
            ..base.side()
        };
        let found = classify(Some(base.side()), after, today());
        let told: Vec<&str> = found.changes.iter().map(|change| &*change.what).collect();
        assert_eq!(told, expected);
        let loosens = !expected.is_empty();
        assert_eq!(found.classes.contains(&Class::Loosen), loosens, "{told:?}");
        found.changes
    };
    check(Tier::Control, base.digest(), &[]);
    let untold = check(Tier::Control, [9; 32], &["content"]);
    assert_eq!(untold[0].subject, BUNDLE);
    assert_eq!(untold[0].to.as_deref(), Some(&*"09".repeat(32)));
    let fault = breakglass_fault(&untold);
    assert_eq!(fault.as_deref(), Some("it loosens content of bundle"));
    let both = check(Tier::ObserveOnly, [9; 32], &["content", "tier_max"]);
    assert!(breakglass_fault(&both).is_some());
    // Where a row tells, nothing is told twice.
    let other = Content::of(ContractParts {
        owner: None,
        ..parts()
    });
    let found = base.classified(&other).changes;
    assert_eq!((found.len(), &*found[0].what), (1, "owner"));
}

#[test]
fn nothing_is_loosened_in_silence() {
    let base = Content::base();
    let protects_less = |from: &Content, to: &Content| {
        let found = from.classified(to).changes;
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
    let none = Content {
        contracts: vec![successor()],
        ..Content::base()
    };
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
    let [one, other] = [contracts, sorted].map(|contracts| Content {
        contracts,
        ..Content::base()
    });
    let same = one.classified(&other);
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
        breakglass_fault(&classify(Some(before.side()), after, today()).changes)
    };
    let with = |edit: Edit<ContractParts>| {
        let mut parts = parts();
        edit(&mut parts);
        Content::of(parts)
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
    let gone = Content {
        contracts: vec![successor()],
        ..Content::base()
    };
    check(fault(&base, &gone, Tier::Control), "");
    check(
        fault(&gone, &base, Tier::Control),
        "it loosens endpoint of a",
    );
    let other = with(|p| p.service = None);
    let told = "it changes service of a and makes nothing stricter";
    check(fault(&base, &other, Tier::Control), told);
    let mut policy = Content::base();
    policy.rules.unknown_endpoint.action = Severity::Drop;
    let told = "it changes unknown_endpoint.action of policy";
    check(fault(&base, &policy, Tier::Control), told);
    let charter = Content {
        charter: Charter::default(),
        ..Content::base()
    };
    let told = "it changes compatibility_mode of charter";
    check(fault(&base, &charter, Tier::Control), told);
    let fewer = Content {
        self_tests: SelfTests::default(),
        ..Content::base()
    };
    let told = format!("it changes {} of self_tests", expected::NAME);
    check(fault(&base, &fewer, Tier::Control), &told);
    check(fault(&fewer, &base, Tier::Control), &told);
}
