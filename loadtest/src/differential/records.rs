//! The ledgers and the metrics of both gateways, compared.
//!
//! Of a record these are left out: ids, numbers, hashes and times (`decision_id`, `n`, `worker`,
//! `instance`, `seq`, `prev`, `hash`, `ts_us`, `latency_us`, the digest and version are the same),
//! and of what it was judged by all places that count requests or time in windows, with the factors
//! read from them. Everything that was decided, done and answered is compared.

use std::collections::BTreeMap;

use serde_json::Value;

use super::side::Side;
use crate::site;

/// Members that differ by nature.
const LEFT_OUT: &[&str] = &[
    "decision_id",
    "n",
    "worker",
    "instance",
    "seq",
    "prev",
    "hash",
    "ts_us",
    "latency_us",
    "inputs",
    "factors",
    "insufficient",
];
/// Places of `inputs` that do not count requests or time in windows that others fill.
const STEADY_INPUTS: &[usize] = &[0, 1, 2, 3, 4, 16, 19, 23, 24, 45, 46, 47];

/// The records of one client as lines, sorted: they are written as requests end, and which of two
/// ends first is chance.
pub(super) type Groups = BTreeMap<String, Vec<String>>;

/// Records by client, the client of each decision id, and how many records there are.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) groups: Groups,
    pub(super) clients: BTreeMap<String, String>,
    pub(super) records: usize,
    /// Lines that are no decisions, by kind.
    pub(super) kinds: BTreeMap<String, usize>,
}

/// Reads the ledger of a gateway that has ended.
pub(super) fn read(side: &Side) -> anyhow::Result<Kept> {
    let mut kept = Kept::default();
    site::lines(&side.site.ledger(), |line| keep(&mut kept, line))?;
    kept.groups
        .values_mut()
        .for_each(|lines| lines.sort_unstable());
    Ok(kept)
}

fn keep(kept: &mut Kept, line: &Value) {
    let kind = line["kind"].as_str().unwrap_or_default();
    *kept.kinds.entry(kind.to_owned()).or_default() += 1;
    if kind != "decision" {
        return;
    }
    kept.records += 1;
    let client = line["client"].as_str().unwrap_or_default().to_owned();
    if let Some(id) = line["decision_id"].as_str() {
        kept.clients.insert(id.to_owned(), client.clone());
    }
    kept.groups.entry(client).or_default().push(told(line));
}

/// A record without what differs by nature.
fn told(line: &Value) -> String {
    let Some(members) = line.as_object() else {
        return line.to_string();
    };
    let mut text: Vec<String> = members
        .iter()
        .filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let place = |n: &usize| line["inputs"][n].as_i64().unwrap_or(0).to_string();
    let inputs: Vec<String> = STEADY_INPUTS.iter().map(place).collect();
    text.push(format!("inputs={}", inputs.join(",")));
    text.join(" ")
}

/// Series that count time, memory or bytes on disk, or that belong to one run of a process.
const UNSTEADY: &[&str] = &[
    "_seconds",
    "_bytes",
    "tidegate_start_time",
    "tidegate_ledger_",
    "tidegate_risk_",
    "tidegate_error_budget_",
    "tidegate_build_info",
    // Each of them is compared.
    "tidegate_metrics_series",
    "tidegate_log_lines",
    "tidegate_upstream_servers",
    "process_",
    "tidegate_tls_",
    // Which of the two ways was taken is what differs.
    "_lane",
];

/// Counts of a gateway that do not depend on time, by series.
pub(super) fn counts(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(series, _)| {
            let name = series.split('{').next().unwrap_or(series);
            !UNSTEADY.iter().any(|part| name.contains(part))
        })
        .map(|(series, value)| (series.to_owned(), value.to_owned()))
        .collect()
}

/// A count that is not the same in both gateways.
#[derive(Debug, PartialEq, Eq)]
pub struct Count {
    /// Its name and labels.
    pub series: String,
    /// Its value, or that it is absent.
    pub values: [String; 2],
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [one, other] = &self.values;
        write!(f, "{}: {one} / {other}", self.series)
    }
}

/// Series whose values differ by more than what chance may do to each, which depends on its name and
/// the larger value.
pub(super) fn differing(
    one: &BTreeMap<String, String>,
    other: &BTreeMap<String, String>,
    chance: impl Fn(&str, u64) -> u64,
) -> Vec<Count> {
    let number = |text: &String| text.parse::<f64>().unwrap_or(0.0);
    let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let count = |name: &String| {
        let values = [one, other].map(|of| of.get(name).cloned().unwrap_or("absent".to_owned()));
        let numbers = values.each_ref().map(number);
        let differs_by = (numbers[0] - numbers[1]).abs();
        let larger = numbers[0].max(numbers[1]) as u64;
        let series = name.clone();
        (values[0] != values[1] && differs_by > chance(name, larger) as f64)
            .then_some(Count { series, values })
    };
    names.into_iter().filter_map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_is_told_without_its_ids_and_times() {
        let one = json!({"kind": "decision", "client": "a", "decision_id": "1", "seq": 1, "ts_us": 5,
            "status": 200, "inputs": [0, 1, 2]});
        let with = |name: &str, value: Value| {
            let mut other = one.clone();
            other[name] = value;
            told(&other) == told(&one)
        };
        assert!(
            with("decision_id", json!("2")) && with("seq", json!(9)) && with("ts_us", json!(7))
        );
        assert!(!with("status", json!(502)) && !with("upstream", json!("x")));
        assert!(!with("inputs", json!([1, 1, 2])));
        assert!(
            with("inputs", json!([0, 1, 2, 0, 0, 77])),
            "the shed hash of a minute"
        );
    }

    #[test]
    fn counts_are_compared_and_times_are_not() {
        let one =
            counts("# x\na_total{b=\"c\"} 2\nd_seconds_sum 1.5\ntidegate_fast_lane_total 3\n");
        let other = counts("a_total{b=\"c\"} 3\nd_seconds_sum 2.5\n");
        assert!(differing(&one, &other, |_, _| 1).is_empty());
        let differing_at_all = differing(&one, &other, |_, _| 0);
        assert_eq!(differing_at_all.len(), 1);
        assert_eq!(differing_at_all[0].to_string(), "a_total{b=\"c\"}: 2 / 3");
        assert!(differing(&one, &one, |_, _| 0).is_empty());
    }
}
