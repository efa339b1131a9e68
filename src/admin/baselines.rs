//! What is usual for each contract, and how far it is from that now: tail, load, error budget.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::admin::problem::Problem;
use crate::admin::state::AdminState;
use crate::contract::{Contract, Terms};
use crate::observation::{
    BASELINE_MINUTES, BURN_WINDOW_MINUTES, BURN_WINDOW_NAMES, LOAD_MINUTES, RouteView,
    burn_pair_known,
};
use crate::risk::{budget_remaining_bp, burn_thousandths};
use crate::units::Moment;

const MICROS_PER_MINUTE: u64 = 60_000_000;
/// The names of the pairs that burn together.
const PAIR_NAMES: [&str; 3] = ["5m/1h", "30m/6h", "6h/3d"];

pub(super) async fn baselines(State(state): State<Arc<AdminState>>) -> Json<Value> {
    let rulebook = state.parts.registry.active().load_full();
    let ticked = state.ticked();
    let contracts = rulebook.catalogue().contracts().iter().enumerate();
    let rows: Vec<Value> = contracts
        .map(|(route, contract)| row(contract, &state.view(rulebook.board(), route), ticked))
        .collect();
    Json(json!({ "policy_hash": rulebook.digest_hex(), "baselines": rows }))
}

pub(super) async fn baseline(
    State(state): State<Arc<AdminState>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let rulebook = state.parts.registry.active().load_full();
    let mut contracts = rulebook.catalogue().contracts().iter().enumerate();
    let found = contracts.find(|(_, contract)| contract.id().as_str() == id);
    let Some((route, contract)) = found else {
        let detail = "no contract of that id is in force; GET /v1/baselines lists them";
        let status = StatusCode::NOT_FOUND;
        return Err(Problem::new(status, "no-such-contract", detail));
    };
    Ok(Json(row(
        contract,
        &state.view(rulebook.board(), route),
        state.ticked(),
    )))
}

fn row(contract: &Contract, view: &RouteView, ticked: Moment) -> Value {
    let [.., longest] = view.burn;
    let [.., longest_minutes] = BURN_WINDOW_MINUTES;
    let window_minutes = view.observed_minutes.min(longest_minutes);
    let window_us = window_minutes * MICROS_PER_MINUTE;
    let latencies = &view.last_minute;
    let completed = latencies.total();
    let quantile = |share_bp| (completed > 0).then(|| latencies.quantile_us(share_bp));
    json!({
        "contract": contract.id().as_str(),
        "endpoint": contract.endpoint_key(),
        "last_updated_us": ticked.wall_us,
        "window_start_us": ticked.wall_us.saturating_sub(window_us),
        "window_end_us": ticked.wall_us,
        "observed_minutes": view.observed_minutes,
        "request_count": longest.whole,
        "error_count": longest.part,
        "last_minute": {
            "requests": view.last_minute_offered,
            "completed": completed,
            "p50_us": quantile(5_000),
            "p95_us": quantile(9_500),
            "p99_us": quantile(9_900),
        },
        "baseline": {
            "p95_us": view.baseline_us,
            "healthy_minutes": view.healthy_minutes,
            "healthy_minutes_needed": BASELINE_MINUTES,
        },
        "traffic": {
            "per_minute": view.last_minute_offered,
            "usual_per_minute": whole(view.load.mean_1024),
            "usual_spread": whole(view.load.spread_1024()),
            "known": view.load.is_known(),
            "minutes": view.load.minutes,
            "minutes_needed": LOAD_MINUTES,
        },
        "error_budget": budget(contract.terms(), view),
        "circuit": {
            "state": view.circuit.state.name(),
            "epoch": view.circuit.epoch,
        },
    })
}

/// From 1/1024 to a number for people.
fn whole(number_1024: u64) -> f64 {
    (number_1024 as f64 / 1_024.0 * 10.0).round() / 10.0
}

fn budget(terms: &Terms, view: &RouteView) -> Value {
    let [.., longest] = view.burn;
    let remaining = budget_remaining_bp(longest, terms.error_budget);
    let windows = BURN_WINDOW_NAMES.into_iter().zip(view.burn);
    let windows: Vec<Value> = windows
        .map(|(name, sum)| {
            let rate = burn_thousandths(sum, terms.error_budget) as f64 / 1_000.0;
            json!({
                "window": name,
                "completed": sum.whole,
                "failed": sum.part,
                "burn_rate": (sum.whole > 0).then_some(rate),
            })
        })
        .collect();
    let pairs: Vec<Value> = PAIR_NAMES
        .into_iter()
        .enumerate()
        .map(|(pair, name)| {
            let known = burn_pair_known(view.observed_minutes, pair);
            json!({ "pair": name, "known": known })
        })
        .collect();
    json!({
        "allowed": f64::from(terms.error_budget.get()) / 1_000_000.0,
        "remaining": remaining.map(|bp| bp as f64 / 10_000.0),
        "windows": windows,
        "pairs": pairs,
    })
}
