//! The same traffic under two tiers: what is decided, what is done, what is on the wire.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{Context, Verdict};
use crate::ask::{Client, Reply};
use crate::site::{PATIENCE, Site};
use crate::upstream::Upstream;

const CONTRACTS: &str = r#"version: 1
contracts:
  - {id: plain_v1, owner: me, endpoint: "GET /plain"}
  - {id: rare_v1, owner: me, endpoint: "GET /rare", rate_limit_rpm: 1, burst: 1}
  - {id: keyed_v1, owner: me, endpoint: "GET /keyed", per_client: {key: "header:x-api-key", rate_limit_rpm: 1, burst: 1}}
  - {id: sick_v1, owner: me, endpoint: "GET /sick"}
"#;
/// A client that goes on over its own limit is set apart.
const POLICY: &str = "version: 1\nname: strict\nbands: {low: 0.2, medium: 0.4, high: 0.45, critical: 0.95}\nweights: {rate_limit: 0.9}\n";

/// What follows from the decision alone, whatever the tier.
const DECIDED: [&str; 8] = [
    "decision",
    "reason_codes",
    "risk_bp",
    "distress_bp",
    "abuse_bp",
    "factors",
    "recommended_actions",
    "policy_hash",
];
/// Statuses that only a gateway that acts gives.
const ENFORCED: [u16; 5] = [403, 404, 405, 429, 503];

const DECISION_ID: &str = "tidegate-decision-id";

fn traffic() -> Vec<(&'static str, &'static str)> {
    let mut all = vec![("GET", "/plain"); 20];
    all.extend([
        ("GET", "/plain?do=head"),
        ("GET", "/plain?do=bytes/20000"),
        ("GET", "/plain?do=chunked/3000"),
        ("GET", "/plain?do=status/404"),
        ("GET", "/plain?do=status/418"),
        ("GET", "/rare"),
        ("GET", "/keyed"),
    ]);
    all.extend([
        ("GET", "/nowhere/42"),
        ("GET", "/rare"),
        ("POST", "/plain"),
        ("GET", "/keyed"),
        ("GET", "/keyed"),
    ]);
    all.extend([("GET", "/sick?do=status/502"); 5]);
    all.extend([("GET", "/sick"), ("GET", "/plain")]);
    all
}

struct Seen {
    replies: Vec<Reply>,
    records: Vec<Value>,
}

fn ask_all(client: &mut Client) -> anyhow::Result<Vec<Reply>> {
    let ask = |(method, target): &(&str, &str)| {
        client.ask(
            method,
            target,
            &[
                ("X-Api-Key", "a"),
                (
                    "traceparent",
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                ),
            ],
        )
    };
    traffic().iter().map(ask).collect()
}

fn serve(context: &Context, upstream: &Upstream, tier: &str) -> anyhow::Result<Seen> {
    let folder = context.folder(&format!("tiers-{tier}"));
    let site = Site::controlling(&folder, upstream.address(), CONTRACTS)?;
    site.write("policy.yaml", POLICY)?;
    site.amend("tier: control", &format!("tier: {tier}"))?;
    let mut gateway = site.start()?;
    let replies = ask_all(&mut Client::new(site.listen)?)?;
    gateway.stop(PATIENCE)?;
    let records = in_order_of(&replies, site.decisions()?);
    Ok(Seen { replies, records })
}

/// The records as their answers came: in the ledger a refusal may overtake what was let pass.
fn in_order_of(replies: &[Reply], mut records: Vec<Value>) -> Vec<Value> {
    let ids = replies.iter().map(|reply| reply.head.header(DECISION_ID));
    let ids: Vec<_> = ids.collect();
    records.sort_by_key(|record| {
        ids.iter()
            .position(|id| id.is_some() && *id == record["decision_id"].as_str())
    });
    records
}

// R057, R059
pub(super) fn apart(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let direct = ask_all(&mut Client::new(upstream.address())?)?;
    let observed = serve(context, &upstream, "observe_only")?;
    let controlled = serve(context, &upstream, "control")?;

    let changed = direct.iter().zip(&observed.replies);
    let changed = changed.filter(|(one, other)| !only_id_added(one, other));
    let changed: Vec<String> = changed
        .map(|(one, other)| {
            format!(
                "{} {:?} -> {} {:?}",
                one.status,
                one.lasting_headers(),
                other.status,
                other.lasting_headers()
            )
        })
        .collect();
    let enforced: BTreeSet<u16> = controlled
        .replies
        .iter()
        .filter(|reply| reply.head.header("content-type") == Some("application/problem+json"))
        .map(|reply| reply.status)
        .collect();

    let pairs: Vec<_> = observed.records.iter().zip(&controlled.records).collect();
    let first = pairs
        .iter()
        .position(|(one, other)| one["actions_taken"] != other["actions_taken"]);
    let differing: Vec<usize> = pairs
        .iter()
        .enumerate()
        .filter(|(_, (one, other))| DECIDED.iter().any(|member| one[*member] != other[*member]))
        .map(|(at, _)| at)
        .collect();
    let all = || observed.records.iter().chain(&controlled.records);
    let incomplete = all().filter(|record| !actions_add_up(record)).count();

    let count = traffic().len();
    let alike = first.is_some_and(|first| differing.iter().all(|at| *at >= first));
    let pass = changed.is_empty()
        && alike
        && incomplete == 0
        && observed.records.len() == count
        && controlled.records.len() == count
        && ENFORCED.iter().all(|status| enforced.contains(status));
    let figure = format!(
        "{count} requests; observed: {} changed on the wire {}; the first enforced is number {}; \
         decided otherwise {differing:?}; {} records, {incomplete} without recommended, allowed and taken; enforced {enforced:?}",
        changed.len(),
        changed.first().cloned().unwrap_or_default(),
        first.map_or("none".to_owned(), |first| first.to_string()),
        all().count(),
    );
    Ok(Verdict::new(pass, figure))
}

/// Whether an answer came through as it was, with a decision id and nothing more.
fn only_id_added(direct: &Reply, through: &Reply) -> bool {
    let mut headers = through.lasting_headers();
    let before = headers.len();
    headers.retain(|line| {
        line.split_once(':')
            .is_none_or(|(name, _)| name != DECISION_ID)
    });
    before == headers.len() + 1
        && headers == direct.lasting_headers()
        && through.status == direct.status
        && through.body == direct.body
}

/// Taken is what is both recommended and allowed.
fn actions_add_up(record: &Value) -> bool {
    let of = |member: &str| -> Option<BTreeSet<&str>> {
        record[member]
            .as_array()?
            .iter()
            .map(Value::as_str)
            .collect()
    };
    let members = ["recommended_actions", "allowed_actions", "actions_taken"].map(of);
    let [Some(recommended), Some(allowed), Some(taken)] = members else {
        return false;
    };
    recommended
        .intersection(&allowed)
        .copied()
        .collect::<BTreeSet<_>>()
        == taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn taken_actions_are_those_recommended_and_allowed() {
        let check = |recommended: &[&str], allowed: &[&str], taken: &[&str], expected| {
            let record = json!({"recommended_actions": recommended, "allowed_actions": allowed, "actions_taken": taken});
            assert_eq!(actions_add_up(&record), expected, "{record}");
        };
        check(&["log", "drop"], &["log"], &["log"], true);
        check(&["log", "drop"], &["log"], &["log", "drop"], false);
        check(&["log", "drop"], &["log", "drop"], &["log"], false);
        assert!(!actions_add_up(&json!({"recommended_actions": []})));
    }
}
