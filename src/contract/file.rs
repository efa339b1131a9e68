//! The contract file: YAML in, valid contracts out.
//!
//! Every fault of a file is reported; a contract with a fault is left out, but its id still
//! counts, so that one slip does not hide another. What only shows between files (ids, routes)
//! is checked by the loader. See docs/contract-format.md.

mod answers;
mod api_version;
pub mod bounds;
mod clients;
mod consumers;
mod contradictions;
mod endpoint;
mod lifecycle;
mod numbers;
pub mod owners;
mod ownership;
mod reference;
pub mod shape;
pub mod stage;
mod streams;
mod waiting;

use crate::contract::{Contract, ContractId, ContractParts, MethodSet, Version};
use crate::diagnostic::{Code, Place};
use crate::units::{Date, Tier};
use crate::yaml::{Fields, Keys, Node, Sheet};
use api_version::report_api_version;
use endpoint::{read_endpoint, read_methods};
use lifecycle::{Life, draft_has_no_tier, read_lifecycle, read_version};
use numbers::{Promises, flag, read_path_rules, read_terms};
use ownership::{read_ownership, report_foreign_upstream};
use reference::read_references;

pub use api_version::major_of_path;
pub use owners::{FileOwners, OWNERS_FILE, Owners, Stewards, read_owners};
pub use ownership::OwnersFile;
pub use reference::Reference;

const FILE_KEYS: Keys = Keys {
    what: "a contract file",
    known: &["version", "contracts"],
    later: &[],
    computed: &["policy_hash", "content_digest"],
};

const CONTRACT_KEYS: Keys = Keys {
    what: "a contract",
    known: &[
        "id",
        "endpoint",
        "allowed_methods",
        "upstream",
        "owner",
        "version",
        "lifecycle",
        "backup_owner",
        "service",
        "openapi",
        "proto",
        "max_latency_ms",
        "timeout_ms",
        "error_budget",
        "circuit_threshold",
        "rate_limit_rpm",
        "burst",
        "per_client",
        "consumers",
        "max_in_flight",
        "body_bytes_max",
        "stream",
        "upgrade",
        "tier",
        "stage",
        "quarantine",
        "throttle",
        "drop",
        "ledger",
        "allow_encoded_slash",
        "merge_slashes",
        "allow_catch_all",
    ],
    later: &[],
    computed: &[
        "policy_hash",
        "content_digest",
        "endpoint_key",
        "contract_id",
    ],
};

/// What a contract file may refer to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The names of the upstreams.
    pub upstreams: &'a [&'a str],
    /// The names of those that the process runs, which only a restart changes; `None` = all.
    pub running: Option<&'a [&'a str]>,
    /// Whether traffic without a named upstream has one.
    pub has_default_upstream: bool,
    /// Its name, where that is known.
    pub default_upstream: Option<&'a str>,
    /// Whether the upstreams are known; when their own file was faulty, nothing is said.
    pub is_known: bool,
    /// The tier of the process; `None` where its own file was faulty.
    pub tier: Option<Tier>,
    /// The day on which the file is read; `None` = nothing is past.
    pub today: Option<Date>,
    /// The most client connections at once, each with one request; `None` where unknown.
    pub connections: Option<u32>,
    /// The file of owners.
    pub owners: OwnersFile<'a>,
}

/// One entry of a contract file.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its name, if valid.
    pub id: Option<ContractId>,
    /// Where the entry begins.
    pub place: Place,
    /// Where the name stands, else where the entry begins.
    pub id_place: Place,
    /// Where the endpoint stands, else where the entry begins.
    pub endpoint_place: Place,
    /// Where the successor stands, else where the entry begins.
    pub successor_place: Place,
    /// The contract, if it has no fault.
    pub contract: Option<Contract>,
    /// Where it says that it is described, and where that stands.
    pub references: Vec<(Place, Reference)>,
}

/// The entries of a contract file.
pub fn read_contracts(sheet: &mut Sheet<'_>, root: &Node, around: Surroundings<'_>) -> Vec<Draft> {
    let Some(fields) = sheet.fields(root, &FILE_KEYS) else {
        return Vec::new();
    };
    sheet.format_version(fields);
    let list = sheet.required(fields, "contracts");
    let items = list.and_then(|node| sheet.list(node, "'contracts'"));
    let drafts = items.unwrap_or_default().iter();
    drafts
        .filter_map(|node| read_contract(sheet, node, around))
        .collect()
}

fn read_contract(sheet: &mut Sheet<'_>, node: &Node, around: Surroundings<'_>) -> Option<Draft> {
    let fields = sheet.fields(node, &CONTRACT_KEYS)?;
    let id_node = sheet.required(fields, "id");
    let id = id_node.and_then(|node| read_id(sheet, node, "'id'"));
    let endpoint_node = sheet.required(fields, "endpoint");
    let path_rules = read_path_rules(sheet, fields);
    let consents = flag(sheet, fields, "allow_catch_all");
    let endpoint = endpoint_node.and_then(|node| read_endpoint(sheet, node, consents, path_rules));
    let methods = match fields.get("allowed_methods") {
        Some(node) => read_methods(sheet, node),
        None => endpoint.as_ref().map(|(method, _)| *method),
    };
    let upstream = read_upstream(sheet, fields, around);
    let stewards = read_ownership(sheet, fields, id.as_ref(), around.owners);
    let version = read_version(sheet, fields);
    let life = read_lifecycle(sheet, fields);
    let life = life.filter(|life| draft_has_no_tier(sheet, fields, life));
    let promises = read_terms(sheet, fields, path_rules, around);
    // Where the contract names none and there is only one, that is its own.
    let own = match (&upstream, around.upstreams) {
        (Some(Some(named)), _) => Some(&**named),
        (Some(None), [only]) => Some(*only),
        _ => None,
    };
    if let (Some(own), Some(promises)) = (own, &promises) {
        warn_of_own_upstream(sheet, fields, promises, own);
    }
    if let Some((_, endpoint)) = &endpoint {
        report_api_version(sheet, fields, endpoint);
    }
    let place_of = |node: Option<&Node>| node.map_or(fields.place(), |node| node.place);
    let successor_place = life
        .as_ref()
        .map_or(fields.place(), |life| life.successor_place);
    let age = version.zip(life);
    let goes_to = own.or(around.default_upstream.filter(|_| upstream == Some(None)));
    if let (Some(upstream), Some(stewards)) = (goes_to, &stewards) {
        let place = place_of(fields.get("upstream"));
        report_foreign_upstream(sheet, place, around.owners, stewards, upstream);
    }
    let contract = assemble(
        id.clone(),
        endpoint,
        methods,
        upstream,
        stewards,
        age,
        promises,
    );
    Some(Draft {
        id,
        place: fields.place(),
        id_place: place_of(id_node),
        endpoint_place: place_of(endpoint_node),
        successor_place,
        contract,
        references: read_references(sheet, fields),
    })
}

/// Said of diverted requests that meet the same servers as all others.
fn warn_of_own_upstream(sheet: &mut Sheet<'_>, fields: Fields<'_>, promises: &Promises, own: &str) {
    let diverted = promises.divert_upstream.as_deref();
    if let Some(node) = fields.get("quarantine").filter(|_| diverted == Some(own)) {
        let message = format!("diverted requests go to '{own}', where all of this contract go");
        sheet.warning(node.place, Code::DivertToOwn, message);
    }
}

/// `Some` where no part had a fault.
fn assemble(
    id: Option<ContractId>,
    endpoint: Option<(MethodSet, Box<str>)>,
    methods: Option<MethodSet>,
    upstream: Option<Option<Box<str>>>,
    stewards: Option<Stewards>,
    age: Option<(Version, Life)>,
    promises: Option<Promises>,
) -> Option<Contract> {
    let (_, endpoint_key) = endpoint?;
    let (version, life) = age?;
    let promises = promises?;
    let stewards = stewards?;
    Some(Contract::new(ContractParts {
        upstream: upstream?,
        divert_upstream: promises.divert_upstream,
        client_header: promises.client_header,
        consumers: promises.consumers,
        owner: stewards.owner,
        backup_owner: stewards.backup_owner,
        service: stewards.service,
        version,
        lifecycle: life.lifecycle,
        ..ContractParts::new(id?, &endpoint_key, methods?, promises.terms)
    }))
}

fn read_id(sheet: &mut Sheet<'_>, node: &Node, what: &str) -> Option<ContractId> {
    let text = sheet.text(node, what, 256)?;
    let id = ContractId::new(text);
    if id.is_none() {
        let message = format!("{what} is 1 to 64 of a-z, 0-9, '_', '.', '-'");
        sheet.error(node.place, Code::ContractId, message);
    }
    id
}

fn read_upstream(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    around: Surroundings<'_>,
) -> Option<Option<Box<str>>> {
    let Some(node) = fields.get("upstream") else {
        if around.is_known && !around.has_default_upstream {
            let message = "this contract names no upstream, and there is no default".to_owned();
            sheet.error(fields.place(), Code::NoUpstream, message);
            return None;
        }
        return Some(None);
    };
    known_upstream(sheet, node, around).map(Some)
}

/// The name of an upstream that the configuration has.
fn known_upstream(
    sheet: &mut Sheet<'_>,
    node: &Node,
    around: Surroundings<'_>,
) -> Option<Box<str>> {
    let name = sheet.text(node, "'upstream'", 64)?;
    if !around.is_known && ContractId::new(name).is_none() {
        let message = "'upstream' is the name of an upstream, never an address".to_owned();
        let remedy = "name one of the upstreams of the configuration".to_owned();
        sheet.error_with(node.place, Code::UnknownUpstream, message, remedy);
        return None;
    }
    if around.is_known && !around.upstreams.contains(&name) {
        let message = format!("there is no upstream '{name}'");
        let remedy = format!("the upstreams are: {}", around.upstreams.join(", "));
        sheet.error_with(node.place, Code::UnknownUpstream, message, remedy);
        return None;
    }
    if around
        .running
        .is_some_and(|running| !running.contains(&name))
    {
        let message = format!("the upstream '{name}' is new, and this process does not run it");
        let remedy = "restart the gateway: new upstreams take a restart".to_owned();
        sheet.error_with(node.place, Code::UnknownUpstream, message, remedy);
        return None;
    }
    Some(name.into())
}
