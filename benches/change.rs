//! Comparing two sides of 10,000 contracts: the bar is 500 ms.
//!
//! `changed` has another rate and another weight everywhere; `moved` has every template anew, which
//! is what looking for overlaps costs at most without an overlap.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate::bundle::change::{Side, classify};
use tidegate::contract::{Contract, ContractId, ContractParts, Method, MethodSet, Terms};
use tidegate::policy::rules::Rules;
use tidegate::units::{PerMinute, Tier};

const CONTRACTS: usize = 10_000;

fn contract(number: usize, version: usize, rate: u32) -> Contract {
    let (service, resource) = (number % 97, number / 97);
    let end = ["/{id}", "", "/{id}/items", "/{id}/items/{item}"][number % 4];
    let id = ContractId::new(&format!("c{number}")).unwrap();
    let endpoint = format!("GET /api/v{version}/svc{service}/res{resource}{end}");
    let terms = Terms {
        rate_limit: PerMinute::new(rate),
        ..Terms::default()
    };
    let methods = MethodSet::EMPTY.with(Method::Get);
    Contract::new(ContractParts {
        owner: Some("platform".into()),
        ..ContractParts::new(id, &endpoint, methods, terms)
    })
}

fn side(version: usize, rate: u32) -> Vec<Contract> {
    let numbers = 0..CONTRACTS;
    numbers
        .map(|number| contract(number, version, rate))
        .collect()
}

fn compare(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("change/10000");
    group.sample_size(10);
    let rules = Rules::default();
    let old = side(1, 600);
    let cases = [
        ("same", side(1, 600)),
        ("changed", side(1, 60)),
        ("moved", side(2, 600)),
    ];
    for (name, new) in &cases {
        let of = |contracts| Side {
            contracts,
            rules: &rules,
            tier_max: Tier::Control,
        };
        group.bench_function(*name, |bencher| {
            bencher.iter(|| classify(Some(of(black_box(&old))), of(black_box(new))));
        });
    }
    group.finish();
}

criterion_group!(benches, compare);
criterion_main!(benches);
