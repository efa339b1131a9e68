//! The contract file: YAML in, valid contracts out.
//!
//! Every fault of a file is reported; a contract with a fault is left out, but its id still
//! counts, so that one slip does not hide another. What only shows between files (ids, routes)
//! is checked by the loader. See docs/contract-format.md.

use std::num::NonZeroU32;

use crate::contract::{
    Contract, ContractId, Method, MethodSet, PathRules, Segment, Template, Terms,
};
use crate::diagnostic::{Code, Place};
use crate::units::{BasisPoints, Millis, PartsPerMillion, PerMinute, Tier};
use crate::yaml::{Fields, Keys, Node, Sheet};

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
        "max_latency_ms",
        "timeout_ms",
        "error_budget",
        "circuit_threshold",
        "rate_limit_rpm",
        "burst",
        "max_in_flight",
        "stream",
        "tier",
        "allow_encoded_slash",
        "merge_slashes",
        "allow_catch_all",
    ],
    later: &[
        "per_client",
        "quarantine",
        "throttle",
        "drop",
        "ledger",
        "body_bytes_max",
        "upgrade",
        "stage",
        "version",
        "lifecycle",
        "backup_owner",
    ],
    computed: &[
        "policy_hash",
        "content_digest",
        "endpoint_key",
        "contract_id",
    ],
};

/// The longest promised latency and deadline: one hour.
const MILLIS_MAX: u64 = 3_600_000;
const COUNT_MAX: u64 = 1_000_000_000;
const ENDPOINT_CHARS_MAX: usize = 2_048;
const OWNER_CHARS_MAX: usize = 128;

/// What a contract file may refer to.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The names of the upstreams.
    pub upstreams: &'a [&'a str],
    /// Whether traffic without a named upstream has one.
    pub has_default_upstream: bool,
    /// Whether the upstreams are known; when their own file was faulty, nothing is said.
    pub is_known: bool,
}

/// One entry of a contract file.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its name, if valid.
    pub id: Option<ContractId>,
    /// Where the name stands, else where the entry begins.
    pub id_place: Place,
    /// Where the endpoint stands, else where the entry begins.
    pub endpoint_place: Place,
    /// The contract, if it has no fault.
    pub contract: Option<Contract>,
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
    let id = id_node.and_then(|node| read_id(sheet, node));
    let endpoint_node = sheet.required(fields, "endpoint");
    let path_rules = read_path_rules(sheet, fields);
    let endpoint = endpoint_node.and_then(|node| read_endpoint(sheet, node, fields, path_rules));
    let methods = match fields.get("allowed_methods") {
        Some(node) => read_methods(sheet, node),
        None => endpoint.as_ref().map(|(method, _)| *method),
    };
    let upstream = read_upstream(sheet, fields, around);
    let owner = read_owner(sheet, fields);
    let terms = read_terms(sheet, fields, path_rules);
    let place_of = |node: Option<&Node>| node.map_or(fields.place(), |node| node.place);
    let contract = assemble(id.clone(), endpoint, methods, upstream, owner, terms);
    Some(Draft {
        id,
        id_place: place_of(id_node),
        endpoint_place: place_of(endpoint_node),
        contract,
    })
}

/// `Some` where no part had a fault.
fn assemble(
    id: Option<ContractId>,
    endpoint: Option<(MethodSet, Box<str>)>,
    methods: Option<MethodSet>,
    upstream: Option<Option<Box<str>>>,
    owner: Option<Option<Box<str>>>,
    terms: Option<Terms>,
) -> Option<Contract> {
    let (_, endpoint_key) = endpoint?;
    let contract = Contract::new(id?, endpoint_key, methods?, upstream?, owner?, terms?);
    Some(contract)
}

fn read_id(sheet: &mut Sheet<'_>, node: &Node) -> Option<ContractId> {
    let text = sheet.text(node, "'id'", 256)?;
    let id = ContractId::new(text);
    if id.is_none() {
        let message = "'id' is 1 to 64 of a-z, 0-9, '_', '.', '-'".to_owned();
        sheet.error(node.place, Code::ContractId, message);
    }
    id
}

/// The method of the endpoint, and its key: `GET /path`.
fn read_endpoint(
    sheet: &mut Sheet<'_>,
    node: &Node,
    fields: Fields<'_>,
    path_rules: Option<PathRules>,
) -> Option<(MethodSet, Box<str>)> {
    let text = sheet.text(node, "'endpoint'", ENDPOINT_CHARS_MAX)?;
    let Some((token, path)) = text.split_once(' ') else {
        let message = "'endpoint' is a method, one space and a path".to_owned();
        sheet.error(node.place, Code::Endpoint, message);
        return None;
    };
    let method = usable_method(token);
    if method.is_none() {
        sheet.error(node.place, Code::MethodName, not_a_method(token));
    }
    let template = match Template::parse(path) {
        Ok(template) => template,
        Err(fault) => {
            sheet.error(node.place, Code::Template, fault.to_string());
            return None;
        }
    };
    let consent = fields.get("allow_catch_all");
    let consents = consent.and_then(|node| sheet.boolean(node, "'allow_catch_all'"));
    if let (Some(Segment::CatchAll(name)), None | Some(false)) =
        (template.segments().last(), consents)
    {
        let message = format!("'{{*{name}}}' takes every path below it");
        sheet.error(node.place, Code::CatchAll, message);
        return None;
    }
    if template.has_encoded_slash() && path_rules.is_some_and(|rules| !rules.allow_encoded_slash) {
        let message = "no request can match '%2F' in this template".to_owned();
        sheet.error(node.place, Code::EncodedSlash, message);
        return None;
    }
    Some((MethodSet::EMPTY.with(method?), text.into()))
}

/// CONNECT is never forwarded, so no contract can promise it.
fn usable_method(token: &str) -> Option<Method> {
    let method = Method::from_token(token);
    (!matches!(method, Method::Other | Method::Connect)).then_some(method)
}

fn not_a_method(token: &str) -> String {
    let short: String = token.chars().take(20).collect();
    format!("'{short}' is not a method that a contract can have; methods are upper case")
}

fn read_methods(sheet: &mut Sheet<'_>, node: &Node) -> Option<MethodSet> {
    let items = sheet.list(node, "'allowed_methods'")?;
    let mut methods = Some(MethodSet::EMPTY);
    for item in items {
        let Some(token) = sheet.text(item, "a method", 64) else {
            methods = None;
            continue;
        };
        let method = usable_method(token);
        if method.is_none() {
            sheet.error(item.place, Code::MethodName, not_a_method(token));
        }
        methods = methods
            .zip(method)
            .map(|(methods, method)| methods.with(method));
    }
    if items.is_empty() {
        let message = "'allowed_methods' is empty, so nothing could ever match".to_owned();
        sheet.error(node.place, Code::MethodName, message);
        return None;
    }
    methods
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
    let name = sheet.text(node, "'upstream'", 64)?;
    if around.is_known && !around.upstreams.contains(&name) {
        let message = format!("there is no upstream '{name}'");
        let remedy = format!("the upstreams are: {}", around.upstreams.join(", "));
        sheet.error_with(node.place, Code::UnknownUpstream, message, remedy);
        return None;
    }
    Some(Some(name.into()))
}

fn read_owner(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<Option<Box<str>>> {
    let Some(node) = fields.get("owner") else {
        let message = "nobody answers for this contract".to_owned();
        sheet.warning(fields.place(), Code::NoOwner, message);
        return Some(None);
    };
    let owner = sheet.text(node, "'owner'", OWNER_CHARS_MAX)?;
    Some(Some(owner.into()))
}

fn read_path_rules(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<PathRules> {
    let allow_encoded_slash = flag(sheet, fields, "allow_encoded_slash");
    let merge_slashes = flag(sheet, fields, "merge_slashes");
    Some(PathRules {
        allow_encoded_slash: allow_encoded_slash?,
        merge_slashes: merge_slashes?,
    })
}

/// A switch that is off unless it says `true`; `None` on a fault.
fn flag(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str) -> Option<bool> {
    match fields.get(key) {
        Some(node) => sheet.boolean(node, &format!("'{key}'")),
        None => Some(false),
    }
}

/// The numbers; every one is read, so that every fault is reported.
fn read_terms(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    path_rules: Option<PathRules>,
) -> Option<Terms> {
    let max_latency = millis(sheet, fields, "max_latency_ms", 1_000);
    let timeout = millis(sheet, fields, "timeout_ms", 30_000);
    let error_budget = error_budget(sheet, fields);
    let circuit_threshold = circuit_threshold(sheet, fields);
    let rate_limit = count(sheet, fields, "rate_limit_rpm");
    let burst = count(sheet, fields, "burst");
    let max_in_flight = count(sheet, fields, "max_in_flight");
    let stream = flag(sheet, fields, "stream");
    let tier = read_tier(sheet, fields);
    if let (Some(latency), Some(timeout)) = (max_latency, timeout)
        && timeout < latency
    {
        let place = fields.get("timeout_ms").map_or(fields.place(), |n| n.place);
        let message = format!(
            "requests end after {} ms, before the promised {} ms",
            timeout.get(),
            latency.get()
        );
        sheet.warning(place, Code::TimeoutBelowLatency, message);
    }
    if let (Some(node), Some(None)) = (fields.get("burst"), rate_limit) {
        let message = "'burst' means nothing without 'rate_limit_rpm'".to_owned();
        sheet.error(node.place, Code::BurstWithoutLimit, message);
        return None;
    }
    Some(Terms {
        client_rate_limit: None,
        max_latency: max_latency?,
        timeout: timeout?,
        error_budget: error_budget?,
        circuit_threshold: circuit_threshold?,
        rate_limit: rate_limit?.and_then(|rpm| PerMinute::new(rpm.get())),
        burst: burst?,
        max_in_flight: max_in_flight?,
        stream: stream?,
        tier: tier?,
        path_rules: path_rules?,
    })
}

fn millis(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str, default: u32) -> Option<Millis> {
    let Some(node) = fields.get(key) else {
        return Some(Millis::new(default));
    };
    let value = sheet.integer(node, &format!("'{key}'"), 1, MILLIS_MAX)?;
    u32::try_from(value).ok().map(Millis::new)
}

fn count(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str) -> Option<Option<NonZeroU32>> {
    let Some(node) = fields.get(key) else {
        return Some(None);
    };
    let value = sheet.integer(node, &format!("'{key}'"), 1, COUNT_MAX)?;
    u32::try_from(value).ok().map(NonZeroU32::new)
}

/// A budget of nothing would be spent at once, and dividing by it has no meaning.
fn error_budget(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<PartsPerMillion> {
    let Some(node) = fields.get("error_budget") else {
        return PartsPerMillion::new(10_000);
    };
    let ppm = sheet.share(node, "'error_budget'", 6)?;
    if ppm == 0 {
        let message = "'error_budget' is above 0 and at most 1".to_owned();
        sheet.error(node.place, Code::OutOfRange, message);
        return None;
    }
    PartsPerMillion::new(ppm)
}

fn circuit_threshold(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<BasisPoints> {
    let Some(node) = fields.get("circuit_threshold") else {
        return BasisPoints::new(5_000);
    };
    let share = sheet.share(node, "'circuit_threshold'", 4)?;
    if share == 0 {
        let message = "'circuit_threshold' is above 0 and at most 1".to_owned();
        sheet.error(node.place, Code::OutOfRange, message);
        return None;
    }
    BasisPoints::new(share)
}

fn read_tier(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<Option<Tier>> {
    match fields.get("tier") {
        None => Some(None),
        Some(node) => {
            let choices = Tier::ALL.map(Tier::key);
            let tier = sheet.choice(node, "'tier'", &choices, Tier::from_key)?;
            if tier == Tier::Autonomous {
                let message = "'autonomous' needs a signed envelope".to_owned();
                sheet.error(node.place, Code::TierUnavailable, message);
                return None;
            }
            Some(Some(tier))
        }
    }
}
