//! Contracts: which are new, which are gone, and what differs in those that stay.
//!
//! Invariant: contracts and terms are taken apart without `..`, so a new member does not compile
//! until it has its row. Both lists are looked through once, in the order of their ids.

use std::num::{NonZeroU32, NonZeroU64};

use super::Change;
use super::lifecycle;
use super::overlap::shape;
use super::rows::Rows;
use super::table::{self, Ordered};
use crate::contract::{
    Contract, ContractParts, MethodSet, PathRules, Quarantine, Refusal, Stage, Status, Terms,
    Throttle, client_key_text,
};
use crate::units::{Date, PerMinute, Tier};

/// Every change of the contracts.
pub(super) fn compare(
    before: &[Contract],
    after: &[Contract],
    today: Date,
    found: &mut Vec<Change>,
) {
    let (old, new) = (by_id(before), by_id(after));
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        match (old.peek().copied(), new.peek().copied()) {
            (None, None) => return,
            (Some(gone), other) if other.is_none_or(|other| gone.id() < other.id()) => {
                old.next();
                let row = match gone.lifecycle().is_over(today) {
                    true => table::ROUTE_OVER,
                    false => table::ROUTE_REMOVED,
                };
                let endpoint = Some(gone.endpoint_key().to_owned());
                of(gone, found).push(row, "endpoint", endpoint, None);
            }
            (Some(from), Some(to)) if from.id() == to.id() => {
                old.next();
                new.next();
                if from != to {
                    pair(from, to, today, &mut of(from, found));
                }
            }
            (_, Some(added)) => {
                new.next();
                let endpoint = Some(added.endpoint_key().to_owned());
                of(added, found).push(table::ROUTE_ADDED, "endpoint", None, endpoint);
            }
            (Some(_), None) => {
                old.next();
            }
        }
    }
}

fn by_id(contracts: &[Contract]) -> Vec<&Contract> {
    let mut sorted: Vec<&Contract> = contracts.iter().collect();
    sorted.sort_by_key(|contract| contract.id());
    sorted
}

fn of<'a>(contract: &'a Contract, found: &'a mut Vec<Change>) -> Rows<'a> {
    Rows {
        subject: contract.id().as_str(),
        owner: contract.owner(),
        found,
    }
}

/// Two contracts of one id.
fn pair(from: &Contract, to: &Contract, today: Date, rows: &mut Rows<'_>) {
    let ContractParts {
        id: _,
        endpoint_key: _,
        methods: allowed,
        upstream,
        divert_upstream,
        client_header,
        owner,
        backup_owner,
        service,
        consumers: callers,
        version,
        lifecycle,
        terms: new_terms,
    } = to.parts();
    endpoints(from, to, rows);
    consumers(from.consumers(), &callers, rows);
    methods(from.methods(), allowed, rows);
    let texts = [
        (
            table::UPSTREAM_CHANGED,
            "upstream",
            from.upstream(),
            upstream,
        ),
        (
            table::DIVERT_CHANGED,
            "quarantine.upstream",
            from.divert_upstream(),
            divert_upstream,
        ),
        (owner_row(from), "owner", from.owner(), owner),
        (
            table::SERVICE_CHANGED,
            "backup_owner",
            from.backup_owner(),
            backup_owner,
        ),
        (table::SERVICE_CHANGED, "service", from.service(), service),
    ];
    for (row, what, from, to) in texts {
        rows.text(row, what, from, to.as_deref());
    }
    let [old, new] = [from.version(), version].map(|version| version.to_string());
    rows.text(table::RENAMED, "version", Some(&old), Some(&new));
    // Where there was or is no such limit, its key says nothing.
    if from.terms().client_rate_limit.is_some() && new_terms.client_rate_limit.is_some() {
        let [old, new] = [from.client_header(), client_header.as_deref()].map(client_key_text);
        rows.text(
            table::CLIENT_KEY_CHANGED,
            "per_client.key",
            Some(&old),
            Some(&new),
        );
    }
    lifecycle::compare(from.lifecycle(), &lifecycle, today, rows);
    let tiers = [from.terms().tier, new_terms.tier];
    compare_tiers(rows, tiers, [from.lifecycle().status(), lifecycle.status()]);
    terms(from.terms(), &new_terms, rows);
}

/// Whoever answers for a contract has to agree before somebody else does: else the next change would
/// ask the new owner alone.
fn owner_row(from: &Contract) -> table::Row {
    from.owner()
        .map_or(table::OWNER_NAMED, |_| table::OWNER_CHANGED)
}

/// Only what a path can be decides: the names of parameters are for people.
fn endpoints(from: &Contract, to: &Contract, rows: &mut Rows<'_>) {
    if from.endpoint_key() == to.endpoint_key() {
        return;
    }
    let row = if shape(from.template()) == shape(to.template()) {
        table::ENDPOINT_RESPELLED
    } else {
        table::TEMPLATE_CHANGED
    };
    rows.text(
        row,
        "endpoint",
        Some(from.endpoint_key()),
        Some(to.endpoint_key()),
    );
}

/// A list that begins or ends concerns everybody.
fn consumers(from: &[Box<str>], to: &[Box<str>], rows: &mut Rows<'_>) {
    const ANYBODY: &str = "anybody";
    let what = "consumers";
    match (from, to) {
        ([], []) => {}
        ([], to) => {
            let old = Some(ANYBODY.to_owned());
            rows.push(table::CALLER_EXCLUDED, what, old, Some(to.join(", ")));
        }
        (from, []) => {
            let new = Some(ANYBODY.to_owned());
            rows.push(table::CALLER_ADMITTED, what, Some(from.join(", ")), new);
        }
        (from, to) => {
            for name in from.iter().filter(|name| !to.contains(*name)) {
                rows.push(table::CALLER_EXCLUDED, what, Some(name.to_string()), None);
            }
            for name in to.iter().filter(|name| !from.contains(*name)) {
                rows.push(table::CALLER_ADMITTED, what, None, Some(name.to_string()));
            }
        }
    }
}

fn methods(from: MethodSet, to: MethodSet, rows: &mut Rows<'_>) {
    for method in from.iter().filter(|method| !to.contains(*method)) {
        let name = Some(method.as_str().to_owned());
        rows.push(table::METHOD_REMOVED, "allowed_methods", name, None);
    }
    for method in to.iter().filter(|method| !from.contains(*method)) {
        let name = Some(method.as_str().to_owned());
        rows.push(table::METHOD_ADDED, "allowed_methods", None, name);
    }
}

fn terms(from: &Terms, to: &Terms, rows: &mut Rows<'_>) {
    let Terms {
        // Compared by `amounts`.
        max_latency: _,
        timeout: _,
        error_budget: _,
        circuit_threshold: _,
        rate_limit: _,
        burst: _,
        client_rate_limit: _,
        client_burst: _,
        max_in_flight: _,
        body_bytes_max: _,
        stream,
        websocket,
        // Compared with the status, which may decide it.
        tier: _,
        path_rules,
        quarantine,
        throttle,
        refusal,
        ledger_required,
        stage,
    } = *to;
    amounts(from, to, rows);
    let (on, off) = (table::UPGRADE_PASSED, table::UPGRADE_DROPPED);
    rows.switch(on, off, "upgrade.websocket", from.websocket, websocket);
    let (on, off) = (table::STREAM_ON, table::STREAM_OFF);
    rows.switch(on, off, "stream", from.stream, stream);
    let [old, new] = [from.stage, stage].map(stage_rank);
    let [old, new] = [&old, &new].map(|(rank, name)| (*rank, name.as_str()));
    rows.choice(Ordered::STAGE, "stage", old, new);
    spellings(rows, from.path_rules, path_rules);
    let [old, new] = [from.quarantine, quarantine].map(quarantine_rank);
    rows.choice(Ordered::SEVERITY, "quarantine.mode", old, new);
    waits(rows, from.throttle, throttle);
    let [old, new] = [from.refusal, refusal].map(|refusal| refusal == Refusal::Close);
    let (on, off) = (table::DROP_CLOSES, table::DROP_ANSWERS);
    rows.switch(on, off, "drop.close", old, new);
    let (on, off) = (table::LEDGER_REQUIRED, table::LEDGER_BEST_EFFORT);
    rows.switch(on, off, "ledger", from.ledger_required, ledger_required);
}

/// What a number says: how long, how often, how many.
fn amounts(from: &Terms, to: &Terms, rows: &mut Rows<'_>) {
    let of = |part: fn(&Terms) -> Option<u64>| [part(from), part(to)];
    let [old, new] = of(|terms| Some(u64::from(terms.max_latency.get())));
    rows.number(Ordered::LATENCY, "max_latency_ms", old, new);
    let [old, new] = of(|terms| Some(u64::from(terms.timeout.get())));
    rows.number(Ordered::TIMEOUT, "timeout_ms", old, new);
    let [old, new] = of(|terms| Some(u64::from(terms.error_budget.get())));
    rows.number(Ordered::BUDGET, "error_budget_ppm", old, new);
    let [old, new] = of(|terms| Some(terms.circuit_threshold.wide()));
    rows.number(Ordered::THRESHOLD, "circuit_threshold_bp", old, new);
    let bursts = [from.burst, to.burst];
    rate(rows, "", [from.rate_limit, to.rate_limit], bursts);
    let rates = [from.client_rate_limit, to.client_rate_limit];
    let bursts = [from.client_burst, to.client_burst];
    rate(rows, "per_client.", rates, bursts);
    let [old, new] = of(|terms| wide(terms.max_in_flight));
    rows.number(Ordered::LIMIT, "max_in_flight", old, new);
    let [old, new] = of(|terms| terms.body_bytes_max.map(NonZeroU64::get));
    rows.number(Ordered::BODY, "body_bytes_max", old, new);
}

/// Upon how many it is enforced, and how files write it.
fn stage_rank(stage: Stage) -> ((u8, u16), String) {
    match stage {
        Stage::Retired => ((0, 0), stage.name().to_owned()),
        Stage::Shadow => ((1, 0), stage.name().to_owned()),
        Stage::Canary(share) => ((2, share.get()), format!("canary {} bp", share.get())),
        Stage::Enforced => ((3, 0), stage.name().to_owned()),
    }
}

fn wide(number: Option<NonZeroU32>) -> Option<u64> {
    number.map(|number| u64::from(number.get()))
}

/// A rate and its burst: the burst comes and goes with its rate, which then speaks for both.
fn rate(
    rows: &mut Rows<'_>,
    prefix: &str,
    rates: [Option<PerMinute>; 2],
    bursts: [Option<NonZeroU32>; 2],
) {
    let [from, to] = rates.map(|rate| rate.map(|rate| u64::from(rate.get())));
    rows.number(Ordered::LIMIT, &format!("{prefix}rate_limit_rpm"), from, to);
    if let ([Some(_), Some(_)], [from, to]) = (rates, bursts.map(wide)) {
        rows.number(Ordered::LIMIT, &format!("{prefix}burst"), from, to);
    }
}

/// A contract that names no tier lets the process do whatever it may. The tier of a draft comes
/// from its status, and so does the row.
fn compare_tiers(rows: &mut Rows<'_>, tiers: [Option<Tier>; 2], statuses: [Status; 2]) {
    let [old, new] = tiers.map(|tier| tier.map_or(u64::MAX, |tier| tier as u64));
    let row = match (statuses.map(|status| status == Status::Draft), new > old) {
        _ if old == new => return,
        ([false, true] | [true, false], true) => Ordered::STAGE.tighter,
        ([false, true] | [true, false], false) => Ordered::STAGE.looser,
        (_, true) => table::TIER_RAISED,
        (_, false) => table::TIER_LOWERED,
    };
    let [from, to] = tiers.map(|tier| tier.map(Tier::key));
    rows.text(row, "tier", from, to);
}

fn spellings(rows: &mut Rows<'_>, from: PathRules, to: PathRules) {
    let PathRules {
        allow_encoded_slash,
        merge_slashes,
    } = to;
    let (on, off) = (table::SPELLING_ALLOWED, table::SPELLING_REFUSED);
    let was = from.allow_encoded_slash;
    rows.switch(on, off, "allow_encoded_slash", was, allow_encoded_slash);
    rows.switch(on, off, "merge_slashes", from.merge_slashes, merge_slashes);
}

const fn quarantine_rank(quarantine: Quarantine) -> (u8, &'static str) {
    match quarantine {
        Quarantine::Shadow => (0, "shadow"),
        Quarantine::Divert => (1, "divert"),
        Quarantine::Reject => (2, "reject"),
    }
}

/// Requests over a rate that are refused at once wait for nothing, and none of them waits.
fn waits(rows: &mut Rows<'_>, from: Throttle, to: Throttle) {
    let parts = |throttle| match throttle {
        Throttle::Reject => (false, 0, 0),
        Throttle::Delay { wait_max, held_max } => (true, wait_max.get(), held_max.get()),
    };
    let ((was, old_wait, old_held), (is, wait, held)) = (parts(from), parts(to));
    let (on, off) = (table::WAIT_MORE, table::WAIT_LESS);
    rows.switch(on, off, "throttle.delay", was, is);
    if was && is {
        let [old, new] = [old_wait, wait].map(|millis| Some(u64::from(millis)));
        rows.number(Ordered::WAIT, "throttle.wait_max_ms", old, new);
        let [old, new] = [old_held, held].map(|count| Some(u64::from(count)));
        rows.number(Ordered::WAIT, "throttle.held_max", old, new);
    }
}
