//! Two of the requests that change something: load the files, lower the tier.
//!
//! A page in a browser can send a POST without asking, but not with this content type.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::admin::activation::Lowering;
use crate::admin::problem::Problem;
use crate::admin::state::AdminState;
use crate::telemetry::Reload;
use crate::units::Tier;

/// Bytes of a body here; the longest that makes sense has some thirty.
pub(super) const BODY_BYTES_MAX: usize = 4_096;

/// Characters of a reason.
const REASON_CHARS_MAX: usize = 500;

pub(super) async fn reload(
    State(state): State<Arc<AdminState>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    check_content_type(&headers)?;
    let body = body.map_err(unreadable)?;
    let nothing = body.is_empty() || parse(&body)?.as_object().is_some_and(|map| map.is_empty());
    if !nothing {
        return Err(bad("a reload takes no body, or {}"));
    }
    let activation = (state.parts.levers.reload)().await.map_err(|_| gone())?;
    let status = match activation.result {
        Reload::Activated | Reload::Unchanged => StatusCode::OK,
        Reload::Refused => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Ok((status, Json(activation.to_json())).into_response())
}

pub(super) async fn tier(
    State(state): State<Arc<AdminState>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    check_content_type(&headers)?;
    let body = body.map_err(unreadable)?;
    let (wanted, reason) = wanted_tier(&parse(&body)?)?;
    let lowering = (state.parts.levers.lower)(wanted, reason).await;
    match lowering.map_err(|_| gone())? {
        Lowering::Lowered(tier) => {
            let serial = state.parts.registry.active().load().serial();
            Ok(Json(json!({ "tier": tier.name(), "serial": serial })))
        }
        Lowering::NotKept(tier, error) => {
            let detail = format!(
                "{} holds now, but a restart would forget it: {error}; make state_dir writable \
                 and ask again",
                tier.name()
            );
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Err(Problem::new(status, "tier-not-kept", detail))
        }
        Lowering::NotLower(now) => {
            let detail = format!(
                "the tier is {} and can only be lowered here; the files raise it, after \
                 'tidegate tier reset' where the kill switch holds",
                now.name()
            );
            Err(Problem::new(StatusCode::CONFLICT, "tier-not-lower", detail))
        }
    }
}

/// The tier, and the reason where one is given.
fn wanted_tier(body: &Value) -> Result<(Tier, String), Problem> {
    let no_other = |key: &String| matches!(key.as_str(), "tier" | "reason");
    let map = body.as_object().filter(|map| map.keys().all(no_other));
    let tier = map.and_then(|map| map.get("tier")).and_then(Value::as_str);
    let tier = tier.and_then(Tier::from_key).ok_or_else(|| {
        bad("the body is {\"tier\": \"observe_only\"}, or another tier by its key in tidegate.yaml, \
             and perhaps a \"reason\"")
    })?;
    let Some(reason) = map.and_then(|map| map.get("reason")) else {
        return Ok((tier, String::new()));
    };
    let is_short = |text: &&str| text.chars().count() <= REASON_CHARS_MAX;
    let is_line = |text: &&str| !text.contains(char::is_control);
    let reason = reason.as_str().filter(is_short).filter(is_line);
    let reason = reason.ok_or_else(|| {
        bad(format!(
            "the reason is one line of at most {REASON_CHARS_MAX} characters"
        ))
    })?;
    Ok((tier, reason.to_owned()))
}

fn parse(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(body).map_err(|error| bad(format!("the body is no JSON: {error}")))
}

pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "send Content-Type: application/json";
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Problem::new(status, "content-type", detail))
}

pub(super) fn unreadable(rejection: BytesRejection) -> Problem {
    Problem::new(rejection.status(), "body", rejection.body_text())
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "body", detail)
}

pub(super) fn gone() -> Problem {
    let detail = "the gateway is ending, or the thread that does this has ended";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ending", detail)
}
