//! Each contract with what was seen of it in the last ten seconds and minute.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::admin::state::AdminState;
use crate::contract::Contract;
use crate::observation::{Counts, Histogram, UNMATCHED};
use crate::rulebook::Rulebook;
use crate::units::Band;

pub(super) async fn contracts(State(state): State<Arc<AdminState>>) -> Json<Value> {
    let rulebook = state.parts.registry.active().load_full();
    let rows: Vec<Value> = (0..rulebook.board().routes())
        .map(|route| row(&state, &rulebook, route))
        .collect();
    Json(json!({ "policy_hash": rulebook.digest_hex(), "contracts": rows }))
}

fn row(state: &AdminState, rulebook: &Rulebook, route: usize) -> Value {
    let contract = rulebook.contract_of(route);
    let board = rulebook.board();
    let view = state.view(board, route);
    let totals = board.totals(route);
    let (distress, band) = board
        .published(route)
        .map(|shared| (shared.distress().get(), shared.band()))
        .unwrap_or_default();
    json!({
        "id": contract.map_or(UNMATCHED, |contract| contract.id().as_str()),
        "endpoint": contract.map(Contract::endpoint_key),
        "owner": contract.and_then(Contract::owner),
        "stage": contract.map(|contract| contract.terms().stage.name()),
        "upstream": rulebook.upstream_of(route),
        "max_latency_ms": contract.map(|contract| contract.terms().max_latency.get()),
        "last_10s": counts(view.short),
        "last_60s": counts(view.long),
        "last_minute": quantiles(&view.last_minute),
        "in_flight": totals.forwarded.wrapping_sub(totals.ended).cast_signed().max(0),
        "distress_bp": distress,
        "band": band_name(band),
    })
}

fn counts(counts: Counts) -> Value {
    json!({
        "offered": counts.offered,
        "completed": counts.completed,
        "failed": counts.failed,
        "slow": counts.slow,
    })
}

/// Null where nothing was counted: no latency is not a latency of 0.
fn quantiles(latencies: &Histogram) -> Value {
    let count = latencies.total();
    let quantile = |share_bp| (count > 0).then(|| latencies.quantile_us(share_bp));
    json!({
        "completed": count,
        "p50_us": quantile(5_000),
        "p95_us": quantile(9_500),
        "p99_us": quantile(9_900),
    })
}

const fn band_name(band: Band) -> &'static str {
    match band {
        Band::Low => "low",
        Band::Watch => "watch",
        Band::Medium => "medium",
        Band::High => "high",
        Band::Critical => "critical",
    }
}
