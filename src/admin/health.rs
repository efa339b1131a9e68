//! Alive, ready and status.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::admin::activation::Activation;
use crate::admin::bundle::standing_json;
use crate::admin::problem::Problem;
use crate::admin::state::AdminState;
use crate::telemetry::UpstreamView;
use crate::units::Tier;

/// The process answers; nothing more is claimed.
pub(super) async fn livez() -> &'static str {
    "alive\n"
}

/// Whether the gateway should get traffic.
pub(super) async fn readyz(State(state): State<Arc<AdminState>>) -> Response {
    let reasons = state.unready_reasons();
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Problem::new(status, "not-ready", reasons.join("; ")).into_response()
}

pub(super) async fn status(State(state): State<Arc<AdminState>>) -> Json<Value> {
    let parts = &state.parts;
    let rulebook = parts.registry.active().load_full();
    let ledger = parts.ledger.snapshot();
    let damage = ledger.kept.damage.as_ref();
    let connections = parts.telemetry.connections();
    let unready = state.unready_reasons();
    let standing = (parts.levers.standing)();
    let last = standing.last_reload.as_ref();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_unix_s": parts.telemetry.started().wall_us / 1_000_000,
        "ready": unready.is_empty(),
        "unready_reasons": unready,
        "environment": parts.environment,
        "tier": rulebook.tier().name(),
        "kill_switch": {
            "tier": standing.kill_switch.ceiling.map(Tier::name),
            "trouble": standing.kill_switch.trouble,
        },
        "serial": rulebook.serial(),
        "bundle": standing_json(
            standing.bundle.as_ref(),
            rulebook.bundle(),
            rulebook.digest_hex(),
            (parts.now_us)(),
        ),
        "active_since_unix_ms": standing.active_since_us / 1_000,
        "last_reload": last.map(Activation::to_json),
        "needs_restart": last.map_or(&[][..], |last| &last.needs_restart),
        "workers": parts.workers,
        "rulebooks_kept": parts.registry.kept_count(),
        "policy_hash": rulebook.digest_hex(),
        "policy_version": &*rulebook.rules().version,
        "contracts": rulebook.catalogue().len(),
        "connections": {
            "open": connections.open,
            "requests_in_flight": connections.in_flight,
        },
        "upstreams": parts.telemetry.upstreams().iter().map(upstream_json).collect::<Vec<_>>(),
        "ledger": {
            "ok": ledger.is_ok(),
            "state": ledger.pressure.name(),
            "records": ledger.records,
            "rolled_up": ledger.rolled_up,
            "lost": ledger.lost,
            "queued": ledger.queued,
            "durable": ledger.durable,
            "durable_lag_ms": u64::try_from(ledger.durable_lag.as_millis()).unwrap_or(u64::MAX),
            "head": ledger.head,
            "signed": ledger.signed,
            "error": ledger.error,
            "damaged_seq": damage.map(|damage| damage.seq),
            "damaged_file": damage.map(|damage| damage.file.display().to_string()),
        },
    }))
}

fn upstream_json(upstream: &UpstreamView) -> Value {
    let servers = upstream.servers.iter().map(|server| {
        json!({
            "server": server.server,
            "address": server.address.to_string(),
            "state": server.state.name(),
            "weight": server.weight,
            "requests_in_flight": server.in_flight,
        })
    });
    json!({
        "name": upstream.name,
        "panic": upstream.in_panic,
        "ejections": upstream.ejections,
        "checks_failed": upstream.checks_failed,
        "servers": servers.collect::<Vec<_>>(),
    })
}
