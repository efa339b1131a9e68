//! `state` of a self-test.

use super::reading::Reading;
use crate::contract::file::bounds::COUNT_MAX;
use crate::observation::{CircuitState, SLOW_START_MAX_BP};
use crate::policy::self_tests::state::{
    BurnShares, CIRCUITS, DRAWS, LEDGERS, LoadState, RETRIES, SPREAD_MAX, TailState, TestState,
    ledger_key, retry_key,
};
use crate::units::{Band, BasisPoints, Tier};
use crate::yaml::{Keys, Node, Sheet};

pub(super) const STATE_KEYS: Keys = Keys::plain(
    "'state'",
    &[
        "tier",
        "circuit",
        "probes",
        "slow_start",
        "band",
        "failed",
        "slow",
        "retries",
        "in_flight",
        "waiting",
        "latency",
        "traffic",
        "burn",
        "class_mix",
        "client_limit",
        "client_refusals",
        "rate_limit",
        "retry",
        "ledger",
        "draw",
    ],
);

pub(super) const TAIL_KEYS: Keys = Keys::plain("'latency'", &["p95_ms", "baseline_ms"]);
pub(super) const LOAD_KEYS: Keys = Keys::plain("'traffic'", &["offered", "usual", "spread"]);
pub(super) const BURN_KEYS: Keys = Keys::plain("'burn'", &["5m", "30m", "1h", "6h", "3d"]);
pub(super) const MIX_KEYS: Keys = Keys::plain("'class_mix'", &["retries", "ordinary", "high"]);

/// The state; every key is read, so that every fault is reported.
pub(super) fn read_state(sheet: &mut Sheet<'_>, node: &Node) -> Option<TestState> {
    let fields = sheet.fields(node, &STATE_KEYS)?;
    let rest = TestState::default();
    let mut keys = Reading {
        sheet,
        fields,
        is_faulty: false,
    };
    let state = TestState {
        tier: keys.choice("tier", &Tier::ALL, Tier::key, rest.tier),
        circuit: keys.choice("circuit", &CIRCUITS, CircuitState::name, rest.circuit),
        probes_spent: keys.choice("probes", &[true], |_| "spent", false),
        slow_start: BasisPoints::saturating(u64::from(
            keys.percent("slow_start", SLOW_START_MAX_BP).unwrap_or(0),
        )),
        band: keys.choice("band", &Band::ALL, Band::key, rest.band),
        failed: keys.share("failed"),
        slow: keys.share("slow"),
        retries: keys.share("retries"),
        in_flight: keys.count("in_flight", COUNT_MAX).unwrap_or(0),
        waiting: keys.count("waiting", COUNT_MAX).unwrap_or(0),
        latency: keys.map("latency", &TAIL_KEYS, read_tail),
        traffic: keys.map("traffic", &LOAD_KEYS, read_load),
        burn: keys.map("burn", &BURN_KEYS, read_burn).unwrap_or_default(),
        class_mix_bp: keys
            .map("class_mix", &MIX_KEYS, read_mix)
            .unwrap_or(rest.class_mix_bp),
        client_limit: keys.limit("client_limit"),
        client_refusals: keys.count("client_refusals", COUNT_MAX).unwrap_or(0),
        rate_limit: keys.limit("rate_limit"),
        retry: keys.choice("retry", &RETRIES, retry_key, rest.retry),
        ledger: keys.choice("ledger", &LEDGERS, ledger_key, rest.ledger),
        draw_bp: keys.percent("draw", DRAWS - 1),
    };
    (!keys.is_faulty).then_some(state)
}

fn read_tail(keys: &mut Reading<'_, '_, '_>) -> Option<TailState> {
    keys.need("p95_ms");
    keys.need("baseline_ms");
    let (p95_us, baseline_us) = (keys.thousandths("p95_ms"), keys.thousandths("baseline_ms"));
    Some(TailState {
        p95_us: p95_us?,
        baseline_us: baseline_us?,
    })
}

fn read_load(keys: &mut Reading<'_, '_, '_>) -> Option<LoadState> {
    keys.need("offered");
    keys.need("usual");
    let (offered, usual) = (
        keys.count("offered", COUNT_MAX),
        keys.count("usual", COUNT_MAX),
    );
    let spread = keys.count("spread", SPREAD_MAX);
    Some(LoadState {
        offered: offered?,
        usual: usual?,
        spread: spread.unwrap_or(0),
    })
}

#[allow(clippy::unnecessary_wraps, reason = "read as the other maps are")]
fn read_burn(keys: &mut Reading<'_, '_, '_>) -> Option<BurnShares> {
    Some(BurnShares {
        m5: keys.share("5m"),
        m30: keys.share("30m"),
        h1: keys.share("1h"),
        h6: keys.share("6h"),
        d3: keys.share("3d"),
    })
}

#[allow(clippy::unnecessary_wraps, reason = "read as the other maps are")]
fn read_mix(keys: &mut Reading<'_, '_, '_>) -> Option<[u16; 3]> {
    Some(["retries", "ordinary", "high"].map(|key| keys.percent(key, 10_000).unwrap_or(0)))
}
