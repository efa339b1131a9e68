//! One contract in canonical form.

mod answers;
mod lifecycle;
mod stage;

use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

use super::ReadError;
use crate::contract::file::bounds::{
    BODY_BYTES_MAX, CALLER_CHARS_MAX, CONSUMERS_MAX, COUNT_MAX, ENDPOINT_CHARS_MAX,
    LEDGER_REQUIRED, MILLIS_MAX, OWNER_CHARS_MAX, WEBSOCKET, client_key, is_client_above_all,
    is_delay_without_limit, is_usable_tier, usable_method,
};
use crate::contract::{
    Contract, ContractId, ContractParts, MethodSet, PathRules, Stage, Template, Terms,
    client_key_text,
};
use crate::units::{BasisPoints, Millis, PartsPerMillion, PerMinute, Tier};
use crate::yaml::is_printable;
use answers::{DropForm, QuarantineForm, ThrottleForm};
use lifecycle::{LifecycleForm, lifecycle, version, version_text};
use stage::StageForm;

/// The members; absent limits are left out, and each `burst` with its limit; all else is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContractForm {
    allow_encoded_slash: bool,
    allowed_methods: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup_owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_bytes_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<u32>,
    circuit_threshold_bp: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    consumers: Vec<String>,
    drop: DropForm,
    endpoint: String,
    error_budget_ppm: u64,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ledger: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifecycle: Option<LifecycleForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_in_flight: Option<u32>,
    max_latency_ms: u32,
    merge_slashes: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per_client: Option<PerClientForm>,
    quarantine: QuarantineForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_limit_rpm: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    stage: Option<StageForm>,
    stream: bool,
    throttle: ThrottleForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    timeout_ms: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upgrade: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

/// The limit of each single client; `key` is `peer`, or `header:` and a name in lower case.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PerClientForm {
    burst: u32,
    key: String,
    rate_limit_rpm: u32,
}

impl PerClientForm {
    /// `Some` where single clients have a limit, which always has a burst.
    fn of(contract: &Contract) -> Option<Self> {
        let terms = contract.terms();
        Some(Self {
            burst: terms.client_burst?.get(),
            key: client_key_text(contract.client_header()),
            rate_limit_rpm: terms.client_rate_limit?.get(),
        })
    }
}

impl From<&Contract> for ContractForm {
    fn from(contract: &Contract) -> Self {
        let terms = contract.terms();
        let methods = contract.methods().iter();
        Self {
            allow_encoded_slash: terms.path_rules.allow_encoded_slash,
            allowed_methods: methods.map(|method| method.as_str().to_owned()).collect(),
            backup_owner: contract.backup_owner().map(str::to_owned),
            body_bytes_max: terms.body_bytes_max.map(NonZeroU64::get),
            burst: terms.burst.map(NonZeroU32::get),
            circuit_threshold_bp: terms.circuit_threshold.wide(),
            consumers: contract
                .consumers()
                .iter()
                .map(ToString::to_string)
                .collect(),
            drop: DropForm::from(terms.refusal),
            endpoint: contract.endpoint_key().to_owned(),
            error_budget_ppm: u64::from(terms.error_budget.get()),
            id: contract.id().as_str().to_owned(),
            ledger: terms.ledger_required.then(|| LEDGER_REQUIRED.to_owned()),
            lifecycle: LifecycleForm::of(contract),
            max_in_flight: terms.max_in_flight.map(NonZeroU32::get),
            max_latency_ms: terms.max_latency.get(),
            merge_slashes: terms.path_rules.merge_slashes,
            owner: contract.owner().map(str::to_owned),
            per_client: PerClientForm::of(contract),
            quarantine: QuarantineForm::of(contract),
            rate_limit_rpm: terms.rate_limit.map(PerMinute::get),
            service: contract.service().map(str::to_owned),
            stage: StageForm::of(terms.stage),
            stream: terms.stream,
            throttle: ThrottleForm::from(terms.throttle),
            tier: terms.tier.map(|tier| tier.key().to_owned()),
            timeout_ms: terms.timeout.get(),
            upgrade: terms.websocket.then(|| vec![WEBSOCKET.to_owned()]),
            upstream: contract.upstream().map(str::to_owned),
            version: version_text(contract.version()),
        }
    }
}

impl TryFrom<ContractForm> for Contract {
    type Error = ReadError;

    fn try_from(form: ContractForm) -> Result<Self, ReadError> {
        let bad = |reason| ReadError::value(format!("contract '{}'", form.id), reason);
        let id = ContractId::new(&form.id).ok_or_else(|| bad("the id is not valid"))?;
        if !is_endpoint(&form.endpoint, form.allow_encoded_slash) {
            return Err(bad("the endpoint is not valid"));
        }
        let upstream = form.upstream.as_deref().map(ContractId::new);
        if upstream == Some(None) {
            return Err(bad("the upstream is not valid"));
        }
        let owner = form.owner.as_deref();
        if owner.is_some_and(|owner| !is_printable(owner, OWNER_CHARS_MAX)) {
            return Err(bad("the owner is not valid"));
        }
        let backup = form.backup_owner.as_deref();
        if backup.is_some_and(|backup| !is_printable(backup, OWNER_CHARS_MAX)) {
            return Err(bad("the backup owner is not valid"));
        }
        if form.service.as_deref().map(ContractId::new) == Some(None) {
            return Err(bad("the service is not valid"));
        }
        if !are_consumers(&form.consumers) {
            return Err(bad("the consumers are not valid"));
        }
        let divert_upstream = form.quarantine.upstream();
        if divert_upstream.is_some_and(|name| ContractId::new(name).is_none()) {
            return Err(bad("the upstream of quarantine is not valid"));
        }
        let divert_upstream = divert_upstream.map(Into::into);
        let key = form
            .per_client
            .as_ref()
            .map(|client| client_key(&client.key));
        let client_header = match key.transpose() {
            Ok(header) => header.flatten().map(String::into_boxed_str),
            Err(_) => return Err(bad("the key of per_client is not valid")),
        };
        let methods = methods(&form.allowed_methods).ok_or_else(|| bad("no valid methods"))?;
        if form
            .ledger
            .as_ref()
            .is_some_and(|word| word != LEDGER_REQUIRED)
        {
            return Err(bad("ledger is required or absent"));
        }
        let version = version(form.version.as_deref()).ok_or_else(|| bad("no valid version"))?;
        let lifecycle =
            lifecycle(form.lifecycle.as_ref()).ok_or_else(|| bad("no valid lifecycle"))?;
        let terms = terms(&form).ok_or_else(|| bad("a number is out of range"))?;
        if is_client_above_all(&terms) {
            return Err(bad("one client may send more than all together"));
        }
        if is_delay_without_limit(&terms) {
            return Err(bad("a delay has no rate limit"));
        }
        let upstream = form.upstream.map(String::into_boxed_str);
        let owner = form.owner.map(String::into_boxed_str);
        Ok(Self::new(ContractParts {
            upstream,
            divert_upstream,
            client_header,
            owner,
            version,
            lifecycle,
            backup_owner: form.backup_owner.map(String::into_boxed_str),
            service: form.service.map(String::into_boxed_str),
            consumers: form.consumers.into_iter().map(Into::into).collect(),
            ..ContractParts::new(id, &form.endpoint, methods, terms)
        }))
    }
}

/// Names as the file takes them, sorted, each once: a content has one spelling.
fn are_consumers(names: &[String]) -> bool {
    names.len() <= CONSUMERS_MAX
        && names
            .iter()
            .all(|name| is_printable(name, CALLER_CHARS_MAX))
        && names.is_sorted_by(|one, next| one < next)
}

/// A method that a contract may promise, one space, a template that some request can match.
fn is_endpoint(text: &str, allow_encoded_slash: bool) -> bool {
    let Some((token, path)) = text.split_once(' ') else {
        return false;
    };
    let is_template = Template::parse(path)
        .is_ok_and(|template| allow_encoded_slash || !template.has_encoded_slash());
    usable_method(token).is_some() && is_template && is_printable(text, ENDPOINT_CHARS_MAX)
}

fn methods(tokens: &[String]) -> Option<MethodSet> {
    let mut set = MethodSet::EMPTY;
    for token in tokens {
        set = set.with(usable_method(token)?);
    }
    (!set.is_empty()).then_some(set)
}

fn terms(form: &ContractForm) -> Option<Terms> {
    let tier = match &form.tier {
        Some(key) => Some(Tier::from_key(key).filter(|tier| is_usable_tier(*tier))?),
        None => None,
    };
    // The file refuses a burst without a limit, and a limit always has one.
    if form.burst.is_some() != form.rate_limit_rpm.is_some() {
        return None;
    }
    let client = form.per_client.as_ref();
    Some(Terms {
        max_latency: millis(form.max_latency_ms)?,
        timeout: millis(form.timeout_ms)?,
        error_budget: PartsPerMillion::new(form.error_budget_ppm).filter(|ppm| ppm.get() > 0)?,
        circuit_threshold: BasisPoints::new(form.circuit_threshold_bp).filter(|bp| bp.get() > 0)?,
        rate_limit: count(form.rate_limit_rpm)?.and_then(|rpm| PerMinute::new(rpm.get())),
        burst: count(form.burst)?,
        client_rate_limit: count(client.map(|client| client.rate_limit_rpm))?
            .and_then(|rpm| PerMinute::new(rpm.get())),
        client_burst: count(client.map(|client| client.burst))?,
        max_in_flight: count(form.max_in_flight)?,
        body_bytes_max: body_bytes_max(form.body_bytes_max)?,
        stream: form.stream,
        websocket: websocket(form.upgrade.as_deref())?,
        tier,
        stage: match &form.stage {
            Some(stage) => stage.terms()?,
            None => Stage::Enforced,
        },
        path_rules: PathRules {
            allow_encoded_slash: form.allow_encoded_slash,
            merge_slashes: form.merge_slashes,
        },
        quarantine: form.quarantine.terms(),
        throttle: form.throttle.terms()?,
        refusal: form.drop.terms(),
        ledger_required: form.ledger.is_some(),
    })
}

fn millis(value: u32) -> Option<Millis> {
    (1..=MILLIS_MAX)
        .contains(&value)
        .then(|| Millis::new(value))
}

/// A bound that may be left out, but not be 0 or beyond its own.
fn body_bytes_max(value: Option<u64>) -> Option<Option<NonZeroU64>> {
    match value {
        None => Some(None),
        Some(value) if value <= BODY_BYTES_MAX => NonZeroU64::new(value).map(Some),
        Some(_) => None,
    }
}

/// Absent, or exactly the one protocol there is: equal terms have one form.
fn websocket(protocols: Option<&[String]>) -> Option<bool> {
    match protocols {
        None => Some(false),
        Some([one]) if one == WEBSOCKET => Some(true),
        Some(_) => None,
    }
}

/// A count that may be left out, but not be 0 or beyond its bound.
fn count(value: Option<u32>) -> Option<Option<NonZeroU32>> {
    match value {
        None => Some(None),
        Some(value) if value <= COUNT_MAX => NonZeroU32::new(value).map(Some),
        Some(_) => None,
    }
}
