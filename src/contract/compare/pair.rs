//! Two contracts of one id, member by member.
//!
//! Both are taken apart without `..`: a member that is added to a contract does not compile here
//! until it is compared.

use super::lifetimes::compare_lifecycles;
use super::{Class, ContractChange, Effect, Member};
use crate::contract::{
    Contract, ContractId, ContractParts, MethodSet, PathRules, Quarantine, Refusal, Segment, Stage,
    Template, Terms, Throttle, client_key_text,
};
use crate::units::{BasisPoints, Millis, PerMinute, Tier};

/// The changes of one contract so far.
pub(super) struct Changes {
    contract: ContractId,
    list: Vec<ContractChange>,
}

/// A value in a report.
type Text = Option<Box<str>>;

impl Changes {
    /// A change whose class its author knows.
    pub(super) fn push(&mut self, member: Member, effect: Effect, values: [Text; 2], class: Class) {
        let [from, to] = values;
        self.list.push(ContractChange {
            contract: self.contract.clone(),
            member,
            effect,
            from,
            to,
            class,
        });
    }

    /// What callers do not notice, if it differs.
    pub(super) fn plain(&mut self, member: Member, values: [Text; 2]) {
        if values[0] != values[1] {
            self.push(member, Effect::Changed, values, Class::BackwardCompatible);
        }
    }

    /// What callers notice, if it differs.
    fn noticed(&mut self, member: Member, values: [Text; 2]) {
        if values[0] != values[1] {
            self.push(member, Effect::Changed, values, Class::BreakingChange);
        }
    }

    /// An amount of which more lets more through; absent lets everything through.
    fn allowance(&mut self, member: Member, amounts: [Option<u64>; 2], text: fn(u64) -> Box<str>) {
        let [from, to] = amounts.map(|amount| amount.unwrap_or(u64::MAX));
        let (effect, class) = match to.cmp(&from) {
            std::cmp::Ordering::Less => (Effect::Tightened, Class::BreakingChange),
            std::cmp::Ordering::Greater => (Effect::Loosened, Class::BackwardCompatible),
            std::cmp::Ordering::Equal => return,
        };
        let values = amounts.map(|amount| amount.map(text));
        self.push(member, effect, values, class);
    }

    /// A switch that lets more through when it is on.
    fn permission(&mut self, member: Member, switches: [bool; 2]) {
        let (effect, class) = match switches {
            [true, false] => (Effect::Tightened, Class::BreakingChange),
            [false, true] => (Effect::Loosened, Class::BackwardCompatible),
            _ => return,
        };
        let values = switches.map(|on| Some(on.to_string().into()));
        self.push(member, effect, values, class);
    }
}

/// All changes, in the order of [`Member`].
pub(super) fn compare_pair(old: &Contract, new: &Contract) -> Vec<ContractChange> {
    let mut changes = Changes {
        contract: new.id().clone(),
        list: Vec::new(),
    };
    let (old, new) = (old.parts(), new.parts());
    let ContractParts {
        id: _,
        endpoint_key,
        methods,
        upstream,
        divert_upstream,
        client_header,
        owner,
        backup_owner,
        service,
        consumers,
        version,
        lifecycle,
        terms,
    } = new;
    compare_methods(&mut changes, old.methods, methods);
    compare_consumers(&mut changes, &old.consumers, &consumers);
    compare_endpoints(&mut changes, &old.endpoint_key, &endpoint_key);
    changes.plain(Member::Upstream, [old.upstream, upstream]);
    changes.plain(
        Member::DivertUpstream,
        [old.divert_upstream, divert_upstream],
    );
    changes.plain(Member::Owner, [old.owner, owner]);
    changes.plain(Member::BackupOwner, [old.backup_owner, backup_owner]);
    changes.plain(Member::Service, [old.service, service]);
    let versions = [old.version, version].map(|version| Some(version.to_string().into()));
    changes.plain(Member::Version, versions);
    // Where only one side limits its clients, the limit itself says so.
    if old.terms.client_rate_limit.is_some() && terms.client_rate_limit.is_some() {
        let keys = [old.client_header, client_header];
        let keys = keys.map(|header| Some(client_key_text(header.as_deref()).into()));
        changes.noticed(Member::ClientKey, keys);
    }
    compare_terms(&mut changes, &old.terms, terms);
    compare_lifecycles(&mut changes, &old.lifecycle, &lifecycle);
    let mut list = changes.list;
    list.sort_by_key(ContractChange::member);
    list
}

fn compare_methods(changes: &mut Changes, old: MethodSet, new: MethodSet) {
    let name = |method: crate::contract::Method| Some(method.as_str().into());
    for method in old.iter().filter(|method| !new.contains(*method)) {
        let values = [name(method), None];
        changes.push(
            Member::Method,
            Effect::Removed,
            values,
            Class::BreakingChange,
        );
    }
    for method in new.iter().filter(|method| !old.contains(*method)) {
        let values = [None, name(method)];
        changes.push(
            Member::Method,
            Effect::Added,
            values,
            Class::BackwardCompatible,
        );
    }
}

/// A list where there was none excludes all others; the end of one admits them.
fn compare_consumers(changes: &mut Changes, old: &[Box<str>], new: &[Box<str>]) {
    let mut push = |values, is_excluded| {
        let (effect, class) = match is_excluded {
            true => (Effect::Tightened, Class::BreakingChange),
            false => (Effect::Loosened, Class::BackwardCompatible),
        };
        changes.push(Member::Consumer, effect, values, class);
    };
    match (old, new) {
        ([], []) => {}
        ([], new) => push([None, Some(new.join(", ").into())], true),
        (old, []) => push([Some(old.join(", ").into()), None], false),
        (old, new) => {
            for name in old.iter().filter(|name| !new.contains(name)) {
                push([Some(name.clone()), None], true);
            }
            for name in new.iter().filter(|name| !old.contains(name)) {
                push([None, Some(name.clone())], false);
            }
        }
    }
}

/// The names of parameters are nobody's business but the file's.
fn compare_endpoints(changes: &mut Changes, old: &str, new: &str) {
    let apart = |endpoint: &str| {
        let (method, template) = endpoint.split_once(' ').unwrap_or(("", endpoint));
        (Box::<str>::from(method), Box::<str>::from(template))
    };
    let ((old_method, old_template), (method, template)) = (apart(old), apart(new));
    let has_other_shape = shape(&old_template) != shape(&template);
    let templates = [Some(old_template), Some(template)];
    if has_other_shape {
        changes.noticed(Member::Template, templates);
    } else {
        changes.plain(Member::Template, templates);
    }
    changes.plain(Member::EndpointMethod, [Some(old_method), Some(method)]);
}

/// The template without the names of its parameters.
fn shape(template: &str) -> Option<Vec<Segment>> {
    let parsed = Template::parse(template).ok()?;
    let nameless = parsed.segments().iter().map(|segment| match segment {
        Segment::Literal(text) => Segment::Literal(text.clone()),
        Segment::Parameter(_) => Segment::Parameter("".into()),
        Segment::CatchAll(_) => Segment::CatchAll("".into()),
    });
    Some(nameless.collect())
}

fn compare_terms(changes: &mut Changes, old: &Terms, new: Terms) {
    let Terms {
        max_latency,
        timeout,
        error_budget,
        circuit_threshold,
        rate_limit,
        burst,
        client_rate_limit,
        client_burst,
        max_in_flight,
        body_bytes_max,
        stream,
        websocket,
        tier,
        path_rules:
            PathRules {
                allow_encoded_slash,
                merge_slashes,
            },
        quarantine,
        throttle,
        refusal,
        ledger_required,
        stage,
    } = new;
    let millis = |value: Millis| Some(u64::from(value.get()));
    let rate = |value: Option<PerMinute>| value.map(|rate| u64::from(rate.get()));
    let count = |value: Option<std::num::NonZeroU32>| value.map(|count| u64::from(count.get()));
    let mut number = |member, amounts| changes.allowance(member, amounts, whole_number);
    number(
        Member::MaxLatency,
        [millis(old.max_latency), millis(max_latency)],
    );
    number(Member::Timeout, [millis(old.timeout), millis(timeout)]);
    number(Member::RateLimit, [rate(old.rate_limit), rate(rate_limit)]);
    number(Member::Burst, [count(old.burst), count(burst)]);
    let client_rates = [rate(old.client_rate_limit), rate(client_rate_limit)];
    number(Member::ClientRateLimit, client_rates);
    number(
        Member::ClientBurst,
        [count(old.client_burst), count(client_burst)],
    );
    number(
        Member::MaxInFlight,
        [count(old.max_in_flight), count(max_in_flight)],
    );
    let bodies =
        [old.body_bytes_max, body_bytes_max].map(|bytes| bytes.map(std::num::NonZeroU64::get));
    number(Member::BodyBytesMax, bodies);
    let budgets = [old.error_budget, error_budget].map(|ppm| Some(u64::from(ppm.get())));
    changes.allowance(Member::ErrorBudget, budgets, |ppm| share(ppm, 6));
    let thresholds = [old.circuit_threshold, circuit_threshold].map(|bp| Some(bp.wide()));
    changes.allowance(Member::CircuitThreshold, thresholds, |bp| share(bp, 4));
    let mut switch = |member, switches| changes.permission(member, switches);
    switch(Member::Stream, [old.stream, stream]);
    switch(Member::Upgrade, [old.websocket, websocket]);
    let encoded = [old.path_rules.allow_encoded_slash, allow_encoded_slash];
    switch(Member::EncodedSlash, encoded);
    let merged = [old.path_rules.merge_slashes, merge_slashes];
    switch(Member::MergeSlashes, merged);
    compare_tiers(changes, [old.tier, tier]);
    compare_stages(changes, [old.stage, stage]);
    let modes = [old.quarantine, quarantine].map(|mode| Some(quarantine_key(mode).into()));
    changes.noticed(Member::Quarantine, modes);
    compare_throttles(changes, [old.throttle, throttle]);
    compare_refusals(changes, [old.refusal, refusal]);
    compare_ledgers(changes, [old.ledger_required, ledger_required]);
}

/// Whoever keeps to the contract is forwarded in every tier, so none breaks it.
fn compare_tiers(changes: &mut Changes, tiers: [Option<Tier>; 2]) {
    let [from, to] = tiers.map(|tier| tier.unwrap_or(Tier::Autonomous));
    let effect = match to.cmp(&from) {
        std::cmp::Ordering::Less => Effect::Loosened,
        std::cmp::Ordering::Greater => Effect::Tightened,
        std::cmp::Ordering::Equal => return,
    };
    let values = tiers.map(|tier| tier.map(|tier| tier.key().into()));
    changes.push(Member::Tier, effect, values, Class::BackwardCompatible);
}

/// As with tiers: a stage only says upon whom the contract is enforced.
fn compare_stages(changes: &mut Changes, stages: [Stage; 2]) {
    let reach = |stage| match stage {
        Stage::Retired => (0, 0),
        Stage::Shadow => (1, 0),
        Stage::Canary(share) => (2, share.get()),
        Stage::Enforced => (3, 0),
    };
    let [from, to] = stages;
    let effect = match reach(to).cmp(&reach(from)) {
        std::cmp::Ordering::Less => Effect::Loosened,
        std::cmp::Ordering::Greater => Effect::Tightened,
        std::cmp::Ordering::Equal => return,
    };
    let text = |stage: Stage| match stage {
        Stage::Canary(share) => format!("canary {}", share_of(share)).into(),
        other => other.name().into(),
    };
    changes.push(
        Member::Stage,
        effect,
        [Some(text(from)), Some(text(to))],
        Class::BackwardCompatible,
    );
}

/// A share as files write it.
fn share_of(share: BasisPoints) -> String {
    let (whole, rest) = (share.get() / 100, share.get() % 100);
    match rest {
        0 => format!("{whole}%"),
        rest => format!("{whole}.{rest:02}%"),
    }
}

const fn quarantine_key(mode: Quarantine) -> &'static str {
    match mode {
        Quarantine::Reject => "reject",
        Quarantine::Divert => "divert",
        Quarantine::Shadow => "shadow",
    }
}

/// Waiting lets more through than being turned away.
fn compare_throttles(changes: &mut Changes, modes: [Throttle; 2]) {
    let waits = modes.map(|mode| match mode {
        Throttle::Reject => None,
        Throttle::Delay { wait_max, held_max } => {
            Some([u64::from(wait_max.get()), u64::from(held_max.get())])
        }
    });
    if let [Some([old_wait, old_held]), Some([wait, held])] = waits {
        changes.allowance(Member::WaitMax, [Some(old_wait), Some(wait)], whole_number);
        changes.allowance(Member::HeldMax, [Some(old_held), Some(held)], whole_number);
        return;
    }
    let (effect, class) = match waits {
        [Some(_), None] => (Effect::Tightened, Class::BreakingChange),
        [None, Some(_)] => (Effect::Loosened, Class::BackwardCompatible),
        _ => return,
    };
    let key = |is_delay| if is_delay { "delay" } else { "reject" };
    let values = waits.map(|wait| Some(key(wait.is_some()).into()));
    changes.push(Member::Throttle, effect, values, class);
}

/// A caller that is dropped learns less from a closed connection.
fn compare_refusals(changes: &mut Changes, modes: [Refusal; 2]) {
    let (effect, class) = match modes {
        [Refusal::Respond, Refusal::Close] => (Effect::Tightened, Class::BreakingChange),
        [Refusal::Close, Refusal::Respond] => (Effect::Loosened, Class::BackwardCompatible),
        _ => return,
    };
    let values = modes.map(|mode| match mode {
        Refusal::Respond => Some("respond".into()),
        Refusal::Close => Some("close".into()),
    });
    changes.push(Member::Drop, effect, values, class);
}

/// Callers are refused while no records are kept.
fn compare_ledgers(changes: &mut Changes, required: [bool; 2]) {
    let (effect, class) = match required {
        [false, true] => (Effect::Tightened, Class::BreakingChange),
        [true, false] => (Effect::Loosened, Class::BackwardCompatible),
        _ => return,
    };
    let values = required.map(|is_required| is_required.then(|| "required".into()));
    changes.push(Member::Ledger, effect, values, class);
}

fn whole_number(value: u64) -> Box<str> {
    value.to_string().into()
}

/// An amount of `10^-digits` as a file writes it: `0.01`.
fn share(value: u64, digits: u32) -> Box<str> {
    let unit = 10_u64.saturating_pow(digits);
    let (whole, rest) = (value / unit, value % unit);
    let text = format!("{whole}.{rest:0width$}", width = digits as usize);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    short.into()
}
