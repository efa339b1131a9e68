//! Whether contracts, routes and upstreams fit together on this gateway; compiles them once.

use crate::bundle::change::Side;
use crate::bundle::manifest::Manifest;
use crate::bundle::payload::Payload;
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::shelf::Shelf;
use crate::contract::{Catalogue, Collision, Contract};
use crate::policy::charter::Charter;
use crate::policy::rules::Rules;
use crate::policy::self_tests::SelfTests;

/// What contracts meet on a gateway.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The names of its upstreams.
    pub upstreams: &'a [&'a str],
    /// The name of the upstream of contracts that name none.
    pub default_upstream: &'a str,
    /// The most contracts.
    pub contracts_max: usize,
    /// The most steps of a lookup before the templates are called hostile.
    pub lookup_steps_max: u64,
}

/// A payload whose contracts are ready to match.
#[derive(Debug, Clone)]
pub(super) struct Fitted {
    pub(super) manifest: Manifest,
    pub(super) content: Shelf,
    pub(super) content_digest: [u8; 32],
    pub(super) catalogue: Catalogue,
    pub(super) rules: Rules,
    pub(super) charter: Charter,
    pub(super) self_tests: SelfTests,
    pub(super) digest: String,
}

impl Fitted {
    /// What it is compared by.
    pub(super) fn side(&self) -> Side<'_> {
        Side {
            contracts: self.catalogue.contracts(),
            rules: &self.rules,
            charter: &self.charter,
            self_tests: &self.self_tests,
            tier_max: self.manifest.tier_max,
            content_digest: self.content_digest,
        }
    }
}

/// Compiles the contracts of a payload.
///
/// # Errors
/// [`RefusalCode::ContentRefused`].
pub(super) fn fit(payload: Payload, place: &Place<'_>) -> Result<Fitted, Refused> {
    let (manifest, content, said, digest) = payload.into_parts();
    let contracts = said.contracts;
    let count = contracts.len();
    if count > place.contracts_max {
        let most = place.contracts_max;
        let detail = format!("{count} contracts, and a gateway has at most {most}");
        return Err(refused(detail, "split them among gateways"));
    }
    if let Some((contract, name)) = contracts.iter().find_map(|c| stranger(c, place)) {
        let known = place.upstreams.join(", ");
        let detail = format!(
            "contract '{}' names upstream '{name}'; this gateway has: {known}",
            contract.id().as_str()
        );
        return Err(refused(
            detail,
            "name one of them, or add it to tidegate.yaml",
        ));
    }
    let ids: Vec<_> = contracts.iter().map(|c| c.id().clone()).collect();
    let catalogue = Catalogue::build(contracts).map_err(|collisions| {
        let told = collisions.first().map(|collision| {
            let name = |position: usize| ids.get(position).map_or("", |id| id.as_str());
            clash(collision, name)
        });
        refused(told.unwrap_or_default(), "tidegate check names all of them")
    })?;
    let steps = catalogue.lookup_steps_max();
    if steps > place.lookup_steps_max {
        let detail = format!("one path could take {steps} steps to look up");
        return Err(refused(
            detail,
            "tell the templates apart by an early segment",
        ));
    }
    Ok(Fitted {
        manifest,
        content: Shelf::new(content.shared()),
        content_digest: *content.digest(),
        catalogue,
        rules: said.rules,
        charter: said.charter,
        self_tests: said.self_tests,
        digest,
    })
}

/// A contract with an upstream that is not here, and its name.
fn stranger<'c>(contract: &'c Contract, place: &Place<'_>) -> Option<(&'c Contract, &'c str)> {
    let named = [contract.upstream(), contract.divert_upstream()];
    let is_here = |name: &str| name == place.default_upstream || place.upstreams.contains(&name);
    let mut strange = named.into_iter().flatten().filter(|name| !is_here(name));
    strange.next().map(|name| (contract, name))
}

fn clash<'n>(collision: &Collision, name: impl Fn(usize) -> &'n str) -> String {
    match collision {
        Collision::SameId { first, .. } => format!("the id '{}' stands twice", name(*first)),
        Collision::SameRoute {
            first,
            second,
            methods,
        } => {
            let methods: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
            format!(
                "contracts '{}' and '{}' claim the same route for {}",
                name(*first),
                name(*second),
                methods.join(", ")
            )
        }
        Collision::Template { contract, fault } => {
            format!("contract '{}': {fault}", name(*contract))
        }
    }
}

fn refused(detail: impl Into<String>, remedy: &str) -> Refused {
    Refused::new(RefusalCode::ContentRefused, detail, remedy)
}
