//! What `state` of a self-test may hold.

use super::{BAND, TIER};
use crate::contract::file::bounds::COUNT_MAX;
use crate::observation::CircuitState;
use crate::policy::self_tests::file::state::{
    BURN_KEYS, LOAD_KEYS, MIX_KEYS, STATE_KEYS, TAIL_KEYS,
};
use crate::policy::self_tests::state::{
    CIRCUITS, LEDGERS, RETRIES, SPREAD_MAX, ledger_key, retry_key,
};
use crate::yaml::{Kind, Line, Shape};

const COUNT: Kind = Kind::Integer {
    min: 0,
    max: COUNT_MAX as u64,
};
/// `3 of 100` or `30% of 200`.
const SHARE: Kind = Kind::Form("^ *[0-9]+(\\.[0-9]+)?%? * of *[0-9]+ *$");
/// Up to 100%.
const PERCENT: Kind = Kind::Form("^(100(\\.0+)?|[0-9]{1,2}(\\.[0-9]+)?)%$");
/// Up to 50%.
const HALF: Kind = Kind::Form("^(50(\\.0+)?|[0-4]?[0-9](\\.[0-9]+)?)%$");
/// Below 100%.
const BELOW_ALL: Kind = Kind::Form("^[0-9]{1,2}(\\.[0-9]+)?%$");
const LIMIT: Kind = Kind::Form("^(spent|free in *[0-9]+ *ms)$");

pub(super) const STATE: Shape = Shape {
    keys: STATE_KEYS,
    lines: &[
        Line::new("tier", TIER, "the tier of the process"),
        Line::new(
            "circuit",
            Kind::Choice(|| CIRCUITS.map(CircuitState::name).to_vec()),
            "the circuit of the contract",
        ),
        Line::new(
            "probes",
            Kind::Choice(|| vec!["spent"]),
            "a half open circuit takes no more probes",
        ),
        Line::new(
            "slow_start",
            HALF,
            "the share that a closed circuit refuses",
        ),
        Line::new("band", BAND, "the band that held until now"),
        Line::new("failed", SHARE, "requests that failed"),
        Line::new("slow", SHARE, "requests that were slow"),
        Line::new("retries", SHARE, "requests that were repeated"),
        Line::new("in_flight", COUNT, "requests in flight"),
        Line::new("waiting", COUNT, "requests that wait for their turn"),
        Line::new(
            "latency",
            Kind::Map(&TAIL),
            "the latency, and the usual one",
        ),
        Line::new(
            "traffic",
            Kind::Map(&LOAD),
            "the traffic, and the usual one",
        ),
        Line::new(
            "burn",
            Kind::Map(&BURN),
            "failures within the windows of the error budget",
        ),
        Line::new("class_mix", Kind::Map(&MIX), "the parts of the classes"),
        Line::new("client_limit", LIMIT, "the limit of the client"),
        Line::new("client_refusals", COUNT, "refusals of the client"),
        Line::new("rate_limit", LIMIT, "the limit of the contract"),
        Line::new(
            "retry",
            Kind::Choice(|| RETRIES.map(retry_key).to_vec()),
            "whether the request is a repetition",
        ),
        Line::new(
            "ledger",
            Kind::Choice(|| LEDGERS.map(ledger_key).to_vec()),
            "whether records can be kept",
        ),
        Line::new("draw", BELOW_ALL, "where the request falls among all"),
    ],
};

const TAIL: Shape = Shape {
    keys: TAIL_KEYS,
    lines: &[
        Line::new("p95_ms", Kind::Thousandths, "the 95th percentile").needed(),
        Line::new("baseline_ms", Kind::Thousandths, "the usual one").needed(),
    ],
};

const LOAD: Shape = Shape {
    keys: LOAD_KEYS,
    lines: &[
        Line::new("offered", COUNT, "requests of this interval").needed(),
        Line::new("usual", COUNT, "requests of a usual interval").needed(),
        Line::new(
            "spread",
            Kind::Integer {
                min: 0,
                max: SPREAD_MAX as u64,
            },
            "how far intervals differ as a rule",
        ),
    ],
};

const BURN: Shape = Shape {
    keys: BURN_KEYS,
    lines: &[
        Line::new("5m", SHARE, "of the last 5 minutes"),
        Line::new("30m", SHARE, "of the last 30 minutes"),
        Line::new("1h", SHARE, "of the last hour"),
        Line::new("6h", SHARE, "of the last 6 hours"),
        Line::new("3d", SHARE, "of the last 3 days"),
    ],
};

const MIX: Shape = Shape {
    keys: MIX_KEYS,
    lines: &[
        Line::new("retries", PERCENT, "repetitions"),
        Line::new("ordinary", PERCENT, "ordinary requests"),
        Line::new("high", PERCENT, "important requests"),
    ],
};
