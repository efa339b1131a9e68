//! Comparing two sides of 10,000 contracts, against its bounds: one line each.
//!
//! `cargo bench --bench change`. `changed` has another rate and other owners, service and version
//! everywhere; `moved` has every template anew, which is what looking for overlaps costs at most
//! without one; `hostile` has half of all templates take paths from each of the other half, every
//! one of another owner. That is off the hot path, and signed by people: it has to end, no more.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

mod bounds;

use std::process::ExitCode;

use bounds::Bounds;
use tidegate::bundle::change::{Side, classify};
use tidegate::contract::{Contract, ContractId, ContractParts, Method, MethodSet, Terms, Version};
use tidegate::policy::charter::Charter;
use tidegate::policy::rules::Rules;
use tidegate::policy::self_tests::SelfTests;
use tidegate::units::{Date, PerMinute, Tier};

const CONTRACTS: usize = 10_000;
const DIFF_MS: u64 = 500;
const HOSTILE_MS: u64 = 10_000;

fn named(number: usize, endpoint: &str, rate: u32, owner: &str) -> Contract {
    let id = ContractId::new(&format!("c{number}")).unwrap();
    let terms = Terms {
        rate_limit: PerMinute::new(rate),
        ..Terms::default()
    };
    let methods = MethodSet::EMPTY.with(Method::Get);
    Contract::new(ContractParts {
        owner: Some(owner.into()),
        ..ContractParts::new(id, endpoint, methods, terms)
    })
}

fn contract(number: usize, version: usize, rate: u32, owner: &str) -> Contract {
    let (service, resource) = (number % 97, number / 97);
    let end = ["/{id}", "", "/{id}/items", "/{id}/items/{item}"][number % 4];
    let endpoint = format!("GET /api/v{version}/svc{service}/res{resource}{end}");
    named(number, &endpoint, rate, owner)
}

fn side(version: usize, rate: u32) -> Vec<Contract> {
    let numbers = 0..CONTRACTS;
    numbers
        .map(|number| contract(number, version, rate, "platform"))
        .collect()
}

fn changed() -> Vec<Contract> {
    let other = |contract: Contract| {
        Contract::new(ContractParts {
            owner: Some("others".into()),
            service: Some("shop".into()),
            version: Version::parse("2.0.0").unwrap(),
            ..contract.parts()
        })
    };
    side(1, 60).into_iter().map(other).collect()
}

/// Half of all, which lose paths, and all.
fn hostile() -> [Vec<Contract>; 2] {
    let half = CONTRACTS / 2;
    let one = |number: usize| {
        let endpoint = match number < half {
            true => format!("GET /{{x}}/s{number}"),
            false => format!("GET /t{number}/{{*y}}"),
        };
        named(number, &endpoint, 60, &format!("team-{number}"))
    };
    [
        (0..half).map(one).collect(),
        (0..CONTRACTS).map(one).collect(),
    ]
}

fn main() -> ExitCode {
    let (rules, charter, self_tests) = (Rules::default(), Charter::default(), SelfTests::default());
    let of = |contracts| Side {
        contracts,
        rules: &rules,
        charter: &charter,
        self_tests: &self_tests,
        tier_max: Tier::Control,
        // The digest is known before two bundles are compared.
        content_digest: [0; 32],
    };
    let today = Date::parse("2026-01-01").unwrap();
    let compare = |old, new| classify(Some(of(old)), of(new), today);
    let mut bounds = Bounds::new();
    let old = side(1, 600);
    let cases = [
        ("diff_same", side(1, 600)),
        ("diff_changed", changed()),
        ("diff_moved", side(2, 600)),
    ];
    for (name, new) in &cases {
        bounds.at_most(name, DIFF_MS, 15, || compare(&old, new));
    }
    let [losing, all] = hostile();
    bounds.at_most("diff_hostile", HOSTILE_MS, 3, || compare(&losing, &all));
    bounds.end()
}
