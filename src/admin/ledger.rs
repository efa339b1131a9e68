//! The newest signed head of the ledger, for whoever keeps heads elsewhere.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::admin::problem::Problem;
use crate::admin::state::AdminState;

/// The note as it is kept; C2SP wants this media type, and no cache to hold it back.
pub(super) async fn checkpoint(State(state): State<Arc<AdminState>>) -> Response {
    let note = state.parts.ledger.snapshot().note;
    if note.is_empty() {
        let detail = "no head has been signed since the start; one follows within a second of the first record";
        return Problem::new(StatusCode::NOT_FOUND, "no-checkpoint", detail).into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, note).into_response()
}
