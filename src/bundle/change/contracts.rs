//! Contracts: which are new, which are gone, and what differs in those that stay.
//!
//! Invariant: terms are taken apart without `..`, so a new member does not compile until it has
//! its row. Both lists are looked through once, in the order of their ids, and never copied.

use std::num::NonZeroU32;

use super::Change;
use super::overlap::shape;
use super::rows::Rows;
use super::table::{self, Ordered};
use crate::contract::{
    Contract, MethodSet, PathRules, Quarantine, Refusal, Stage, Terms, Throttle,
};
use crate::units::{PerMinute, Tier};

/// Every change of the contracts.
pub(super) fn compare(before: &[Contract], after: &[Contract], found: &mut Vec<Change>) {
    let (old, new) = (by_id(before), by_id(after));
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        match (old.peek().copied(), new.peek().copied()) {
            (None, None) => return,
            (Some(gone), other) if other.is_none_or(|other| gone.id() < other.id()) => {
                old.next();
                // After its sunset it is no breach: whoever knows the day and the lifecycle says so.
                let endpoint = Some(gone.endpoint_key().to_owned());
                of(gone, found).push(table::ROUTE_REMOVED, "endpoint", endpoint, None);
            }
            (Some(from), Some(to)) if from.id() == to.id() => {
                old.next();
                new.next();
                if from != to {
                    pair(from, to, &mut of(from, found));
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
fn pair(from: &Contract, to: &Contract, rows: &mut Rows<'_>) {
    endpoints(from, to, rows);
    methods(from.methods(), to.methods(), rows);
    rows.text(
        table::UPSTREAM_CHANGED,
        "upstream",
        from.upstream(),
        to.upstream(),
    );
    rows.text(
        table::DIVERT_CHANGED,
        "quarantine.upstream",
        from.divert_upstream(),
        to.divert_upstream(),
    );
    rows.text(table::OWNER_CHANGED, "owner", from.owner(), to.owner());
    // Where there was or is no such limit, its key says nothing.
    if both_limit_clients(from, to) {
        let [old, new] = [from, to].map(client_key);
        rows.text(
            table::CLIENT_KEY_CHANGED,
            "per_client.key",
            Some(&old),
            Some(&new),
        );
    }
    terms(from.terms(), to.terms(), rows);
}

fn both_limit_clients(from: &Contract, to: &Contract) -> bool {
    let limits = |contract: &Contract| contract.terms().client_rate_limit.is_some();
    limits(from) && limits(to)
}

fn client_key(contract: &Contract) -> String {
    let header = contract.client_header();
    header.map_or_else(|| "peer".to_owned(), |name| format!("header:{name}"))
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
        max_latency,
        timeout,
        error_budget,
        circuit_threshold,
        rate_limit,
        burst,
        client_rate_limit,
        client_burst,
        max_in_flight,
        stream,
        tier,
        path_rules,
        quarantine,
        throttle,
        refusal,
        ledger_required,
        stage,
    } = *to;
    let millis = |value: crate::units::Millis| Some(u64::from(value.get()));
    let (latencies, timeouts) = ([from.max_latency, max_latency], [from.timeout, timeout]);
    let [old, new] = latencies.map(millis);
    rows.number(Ordered::LATENCY, "max_latency_ms", old, new);
    let [old, new] = timeouts.map(millis);
    rows.number(Ordered::TIMEOUT, "timeout_ms", old, new);
    let [old, new] = [from.error_budget, error_budget].map(|ppm| Some(u64::from(ppm.get())));
    rows.number(Ordered::BUDGET, "error_budget_ppm", old, new);
    let [old, new] = [from.circuit_threshold, circuit_threshold].map(|bp| Some(bp.wide()));
    rows.number(Ordered::THRESHOLD, "circuit_threshold_bp", old, new);
    rate(rows, "", [from.rate_limit, rate_limit], [from.burst, burst]);
    let rates = [from.client_rate_limit, client_rate_limit];
    rate(
        rows,
        "per_client.",
        rates,
        [from.client_burst, client_burst],
    );
    let [old, new] = [from.max_in_flight, max_in_flight].map(wide);
    rows.number(Ordered::LIMIT, "max_in_flight", old, new);
    rows.switch(
        table::STREAM_ON,
        table::STREAM_OFF,
        "stream",
        from.stream,
        stream,
    );
    tiers(rows, from.tier, tier);
    let [old, new] = [from.stage, stage].map(stage_rank);
    rows.choice(
        Ordered::STAGE,
        "stage",
        (old.0, old.1.as_str()),
        (new.0, new.1.as_str()),
    );
    spellings(rows, from.path_rules, path_rules);
    let [old, new] = [from.quarantine, quarantine].map(quarantine_rank);
    rows.choice(Ordered::SEVERITY, "quarantine.mode", old, new);
    waits(rows, from.throttle, throttle);
    let [old, new] = [from.refusal, refusal].map(|refusal| refusal == Refusal::Close);
    rows.switch(
        table::DROP_CLOSES,
        table::DROP_ANSWERS,
        "drop.close",
        old,
        new,
    );
    rows.switch(
        table::LEDGER_REQUIRED,
        table::LEDGER_BEST_EFFORT,
        "ledger",
        from.ledger_required,
        ledger_required,
    );
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

/// A contract that names no tier lets the process do whatever it may.
fn tiers(rows: &mut Rows<'_>, from: Option<Tier>, to: Option<Tier>) {
    let rank = |tier: Option<Tier>| tier.map(|tier| tier as u64);
    let row = match rank(to)
        .unwrap_or(u64::MAX)
        .cmp(&rank(from).unwrap_or(u64::MAX))
    {
        std::cmp::Ordering::Less => table::TIER_LOWERED,
        std::cmp::Ordering::Equal => return,
        std::cmp::Ordering::Greater => table::TIER_RAISED,
    };
    rows.text(row, "tier", from.map(Tier::key), to.map(Tier::key));
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
    rows.switch(
        table::WAIT_MORE,
        table::WAIT_LESS,
        "throttle.delay",
        was,
        is,
    );
    if was && is {
        let [old, new] = [old_wait, wait].map(|millis| Some(u64::from(millis)));
        rows.number(Ordered::WAIT, "throttle.wait_max_ms", old, new);
        let [old, new] = [old_held, held].map(|count| Some(u64::from(count)));
        rows.number(Ordered::WAIT, "throttle.held_max", old, new);
    }
}
