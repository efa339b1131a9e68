//! Deterministic contract files: the same count and seed give the same bytes.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use crate::random::Random;

/// The seed of every generated catalogue that no one chose a seed for.
pub const SEED: u64 = 1;
/// The upstream that generated contracts name.
pub const UPSTREAM: &str = "orders";

const PER_FILE: usize = 100;
const NOUNS: [&str; 8] = [
    "deployments",
    "experiments",
    "invoices",
    "orders",
    "payments",
    "reports",
    "sessions",
    "users",
];
const OWNERS: [&str; 4] = ["api-team", "billing-team", "data-team", "platform-team"];

/// One generated contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Its id.
    pub id: String,
    /// `GET`, `POST`, ...: all methods it allows; the first stands in the endpoint.
    pub methods: Vec<&'static str>,
    /// Its path template.
    pub template: String,
    limits: Limits,
    owner: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    latency_ms: u64,
    budget_bp: u64,
    circuit_percent: u64,
    in_flight: u64,
}

impl Contract {
    /// A concrete path: every parameter replaced by `value`.
    #[must_use]
    pub fn path(&self, value: u64) -> String {
        let segments: Vec<String> = self
            .template
            .split('/')
            .map(|s| {
                if s.starts_with('{') {
                    format!("{value:x}")
                } else {
                    s.to_owned()
                }
            })
            .collect();
        segments.join("/")
    }
}

/// `count` contracts of different shapes, all on the upstream [`UPSTREAM`].
#[must_use]
pub fn contracts(count: u32, seed: u64) -> Vec<Contract> {
    (0..count)
        .map(|n| contract(n, &mut Random::item(seed, u64::from(n))))
        .collect()
}

fn pick<T: Copy>(random: &mut Random, from: &[T], otherwise: T) -> T {
    let at = usize::try_from(random.below(from.len() as u64)).unwrap_or(0);
    from.get(at).copied().unwrap_or(otherwise)
}

fn contract(n: u32, random: &mut Random) -> Contract {
    let noun = pick(random, &NOUNS, "orders");
    // The number in the literal keeps every shape apart from every other.
    let (tail, methods): (&str, &[&'static str]) = match random.below(5) {
        0 => ("", &["GET"]),
        1 => ("/{id}", &["GET"]),
        2 => ("/{id}", &["GET", "DELETE"]),
        3 => ("", &["POST"]),
        _ => ("/{id}/items/{item}", &["GET", "PUT"]),
    };
    Contract {
        id: format!("{noun}_{n:05}_v1"),
        methods: methods.to_vec(),
        template: format!("/api/v1/{noun}-{n:05}{tail}"),
        limits: Limits {
            latency_ms: 100 * (1 + random.below(20)),
            budget_bp: 10 * (1 + random.below(50)),
            circuit_percent: 20 + 5 * random.below(13),
            in_flight: 64 << random.below(4),
        },
        owner: pick(random, &OWNERS, "api-team"),
    }
}

/// One file's text.
#[must_use]
pub fn to_yaml(contracts: &[Contract]) -> String {
    let mut out = String::from("version: 1\ncontracts:\n");
    for contract in contracts {
        let method = contract.methods.first().copied().unwrap_or("GET");
        let limits = contract.limits;
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "  - id: {}\n    endpoint: \"{method} {}\"\n    allowed_methods: [{}]\n    upstream: {UPSTREAM}\n    \
             max_latency_ms: {}\n    error_budget: 0.{:04}\n    circuit_threshold: 0.{:02}\n    \
             max_in_flight: {}\n    owner: {}\n",
            contract.id,
            contract.template,
            contract.methods.join(", "),
            limits.latency_ms,
            limits.budget_bp,
            limits.circuit_percent,
            limits.in_flight,
            contract.owner,
        );
    }
    out
}

/// Writes `count` contracts into files of 100 below `out`.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(count: u32, seed: u64, out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("make folder {}", out.display()))?;
    for (n, part) in contracts(count, seed).chunks(PER_FILE).enumerate() {
        let file = out.join(format!("generated-{n:04}.yaml"));
        std::fs::write(&file, to_yaml(part))
            .with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // R297
    #[test]
    fn same_seed_same_bytes() {
        assert_eq!(to_yaml(&contracts(1000, 7)), to_yaml(&contracts(1000, 7)));
        assert_ne!(to_yaml(&contracts(10, 7)), to_yaml(&contracts(10, 8)));
    }

    #[test]
    fn a_larger_catalogue_begins_with_the_smaller_one() {
        assert_eq!(contracts(10, 1), contracts(1000, 1)[..10]);
    }

    // R297
    #[test]
    fn the_generator_is_pinned() {
        // A changed generator would silently change every comparison with earlier figures.
        let first = to_yaml(&contracts(1, 1));
        assert!(
            first.starts_with("version: 1\ncontracts:\n  - id: "),
            "{first}"
        );
        assert!(first.contains("_00000_v1\n    endpoint: \""), "{first}");
    }

    #[test]
    fn parameters_get_values() {
        let with = contracts(100, 1)
            .into_iter()
            .find(|c| c.template.contains("{item}"))
            .unwrap();
        assert!(!with.path(10).contains('{'), "{}", with.path(10));
    }
}
