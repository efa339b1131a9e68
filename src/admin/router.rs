//! Which path leads where. `openapi.json` says the same for machines; a test compares them.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};
use axum::{Router, middleware};

use crate::admin::problem::Problem;
use crate::admin::state::AdminState;
use crate::admin::{
    baselines, bundle, change, circuits, contracts, decision, guard, health, ledger, scrape,
};
use crate::bundle::envelope::ENVELOPE_BYTES_MAX;

/// The description of all routes.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// Routes that change something; each answers POST only, all others GET only.
pub(super) const CHANGING: [&str; 3] = ["/v1/reload", "/v1/tier", "/v1/bundle"];

/// All routes.
pub(super) fn routes() -> [(&'static str, MethodRouter<Arc<AdminState>>); 14] {
    let [reload, tier, hand_in] = CHANGING;
    let large = DefaultBodyLimit::max(ENVELOPE_BYTES_MAX);
    [
        ("/livez", get(health::livez)),
        ("/readyz", get(health::readyz)),
        ("/metrics", get(scrape::metrics)),
        ("/v1/status", get(health::status)),
        ("/v1/contracts", get(contracts::contracts)),
        ("/v1/circuits", get(circuits::circuits)),
        ("/v1/baselines", get(baselines::baselines)),
        ("/v1/baselines/{contract}", get(baselines::baseline)),
        ("/v1/decisions/{id}", get(decision::decision)),
        ("/v1/ledger/checkpoint", get(ledger::checkpoint)),
        ("/openapi.json", get(openapi)),
        (reload, post(change::reload)),
        (tier, post(change::tier)),
        (hand_in, post(bundle::bundle).layer(large)),
    ]
}

/// The router with its guard in front.
pub(super) fn router(state: Arc<AdminState>) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, route)| {
            router.route(path, route)
        })
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(change::BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            guard::guard,
        ))
        .with_state(state)
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn unknown_path(uri: Uri) -> Problem {
    let detail = format!("no {} here; GET /openapi.json lists what is", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "unknown-path", detail)
}

async fn wrong_method(method: Method, uri: Uri) -> impl IntoResponse {
    let allowed = if CHANGING.contains(&uri.path()) {
        "POST"
    } else {
        "GET, HEAD"
    };
    let detail = format!("{method} is not served here; allowed: {allowed}");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let problem = Problem::new(status, "method-not-allowed", detail);
    ([(header::ALLOW, allowed)], problem)
}
