//! The contracts of a comparison: the generated ones, with limits that nothing reaches, and one
//! that refuses nearly all.
//!
//! Every subject gets the same routes, methods and limits from here, each in its own language.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use crate::generate::{self, Contract};
use crate::random::Random;

/// The contract whose limit is one request a minute.
pub(super) const LIMITED: &str = "limited_v1";
/// Its path template.
pub(super) const LIMITED_TEMPLATE: &str = "/api/v1/limited/{id}";
/// A path of it.
pub(super) const LIMITED_PATH: &str = "/api/v1/limited/7";
/// A path of nobody.
pub(super) const UNKNOWN_PATH: &str = "/api/v1/nobody/7";

/// Paths that one run cycles through: more than peers keep the answers of their rules for (HAProxy:
/// 10,000), as among real requests.
const PATHS: usize = 20_000;
const PER_FILE: usize = 100;

/// The contracts of one size.
pub(super) struct Catalogue {
    contracts: Vec<Contract>,
}

impl Catalogue {
    pub(super) fn of(count: u32) -> Self {
        Self {
            contracts: generate::contracts(count, generate::SEED),
        }
    }

    pub(super) fn contracts(&self) -> &[Contract] {
        &self.contracts
    }

    /// Paths to GET, spread over all contracts with other parameters each time, in an order that
    /// favours no cache.
    pub(super) fn paths(&self) -> Vec<String> {
        let with_get = || self.contracts.iter().filter(|c| c.methods.contains(&"GET"));
        let each = with_get().count().max(1);
        let mut random = Random::new(generate::SEED);
        let laps = PATHS.div_ceil(each) as u64;
        let mut paths: Vec<String> = (0..laps)
            .flat_map(|lap| with_get().map(move |c| c.path(7 + lap)))
            .collect();
        for at in (1..paths.len()).rev() {
            let other = usize::try_from(random.below(at as u64 + 1)).unwrap_or(0);
            paths.swap(at, other);
        }
        paths.truncate(PATHS);
        paths
    }

    /// A path that has GET and not DELETE.
    ///
    /// # Errors
    /// When no contract is like that.
    pub(super) fn without_delete(&self) -> anyhow::Result<String> {
        let found = self.contracts.iter().find(|c| c.methods == ["GET"]);
        Ok(found.context("a contract with GET alone")?.path(7))
    }

    /// Writes them as the gateway's files, a hundred contracts in each.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        for (n, part) in self.contracts.chunks(PER_FILE).enumerate() {
            let mut text = String::from("version: 1\ncontracts:\n");
            for contract in part {
                text += &entry(&contract.id, &contract.methods, &contract.template, false);
            }
            std::fs::write(folder.join(format!("generated-{n:04}.yaml")), text)?;
        }
        let limited = entry(LIMITED, &["GET"], LIMITED_TEMPLATE, true);
        let text = format!("version: 1\ncontracts:\n{limited}");
        std::fs::write(folder.join("limited.yaml"), text)?;
        Ok(())
    }
}

fn entry(id: &str, methods: &[&str], template: &str, limited: bool) -> String {
    let (rpm, burst) = if limited {
        (1, 1)
    } else {
        (600_000_000, 1_000_000)
    };
    let method = methods.first().copied().unwrap_or("GET");
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "  - id: {id}\n    endpoint: \"{method} {template}\"\n    allowed_methods: [{}]\n    \
         upstream: {}\n    max_latency_ms: 30000\n    circuit_threshold: 0.5\n    \
         max_in_flight: 10000\n    rate_limit_rpm: {rpm}\n    burst: {burst}\n    owner: api-team\n",
        methods.join(", "),
        generate::UPSTREAM,
    );
    text
}

/// The template as an anchored regular expression.
pub(super) fn regex(template: &str) -> String {
    let segments = template
        .split('/')
        .map(|s| if s.starts_with('{') { "[^/]+" } else { s });
    format!("^{}$", segments.collect::<Vec<_>>().join("/"))
}

/// The literal beginning by which a template can be indexed: its first three segments.
pub(super) fn literal(template: &str) -> String {
    template.split('/').take(4).collect::<Vec<_>>().join("/")
}

/// What follows that beginning.
pub(super) fn tail(template: &str) -> &str {
    template.strip_prefix(&literal(template)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_its_beginning_and_its_tail() {
        let check = |template, literally, after, expression| {
            assert_eq!(literal(template), literally);
            assert_eq!(tail(template), after);
            assert_eq!(regex(template), expression);
        };
        check(
            "/api/v1/users-00001",
            "/api/v1/users-00001",
            "",
            "^/api/v1/users-00001$",
        );
        check(
            "/api/v1/users-00001/{id}/items/{item}",
            "/api/v1/users-00001",
            "/{id}/items/{item}",
            "^/api/v1/users-00001/[^/]+/items/[^/]+$",
        );
    }

    #[test]
    fn beginnings_of_generated_contracts_differ() {
        let catalogue = Catalogue::of(1_000);
        let mut all: Vec<String> = catalogue
            .contracts()
            .iter()
            .map(|c| literal(&c.template))
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 1_000);
    }

    #[test]
    fn paths_are_of_many_contracts_and_have_no_parameters() {
        let paths = Catalogue::of(1_000).paths();
        assert_eq!(paths.len(), PATHS);
        let different: std::collections::BTreeSet<_> = paths.iter().collect();
        assert!(different.len() > PATHS / 2, "{}", different.len());
        assert!(paths.iter().all(|path| !path.contains('{')));
    }
}
