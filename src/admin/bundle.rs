//! A bundle by hand: `POST /v1/bundle`, and what the status says of bundles.
//!
//! `If-Match` names the bundle that the asker believes in force, so that of two who change the same
//! one the second is told. Everything else is the one path of activation, behind the levers.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::admin::activation::Trigger;
use crate::admin::change::{check_content_type, gone, unreadable};
use crate::admin::problem::Problem;
use crate::admin::state::AdminState;
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::rulebook::BundleFacts;
use crate::telemetry::Reload;

/// What `If-Match` says where no bundle is in force.
pub const NO_BUNDLE: &str = "none";

/// A bundle that somebody handed in.
#[derive(Debug)]
pub struct Submission {
    /// Its bytes, which nobody has looked at; `None` where they are more than a bundle may have.
    pub unverified: Option<Vec<u8>>,
    /// The digest of the bundle that is believed in force, or [`NO_BUNDLE`].
    pub if_match: String,
}

/// One attempt to put a bundle in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// How it ended.
    pub result: Reload,
    /// What asked for it.
    pub trigger: Trigger,
    /// When it ended, microseconds since 1970.
    pub at_us: u64,
    /// Its bundle digest, 64 hex digits, where its payload could be found.
    pub digest: Option<String>,
    /// Epoch and serial, as it says itself.
    pub place: Option<(u64, u64)>,
    /// Why it was refused.
    pub refused: Option<Refused>,
}

/// What is known of bundles on a gateway that takes them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BundleStanding {
    /// The data port is closed because there is no bundle yet.
    pub is_waiting: bool,
    /// The version of the root.
    pub root_version: u64,
    /// When the root ends, microseconds since 1970.
    pub root_expires_at_us: u64,
    /// Epoch, serial and digest of the highest bundle that was ever in force.
    pub high_water: Option<(u64, u64, String)>,
    /// The newest attempt since the start.
    pub last_attempt: Option<Attempt>,
    /// The newest attempt since the start that put a bundle in force.
    pub last_success: Option<Attempt>,
    /// The emergency measure in force.
    pub emergency: Option<Emergency>,
    /// What somebody should look at.
    pub troubles: Vec<String>,
}

/// An emergency measure in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emergency {
    /// Why, as its author said.
    pub reason: String,
    /// Its end, microseconds since 1970.
    pub until_us: u64,
    /// The bundle that comes back then, by its digest.
    pub returns: String,
    /// Epoch and serial of that one; `None` where it is not here, and so cannot come back.
    pub returns_place: Option<(u64, u64)>,
}

impl Emergency {
    fn to_json(&self) -> Value {
        json!({
            "reason": self.reason,
            "until_unix_ms": self.until_us / 1_000,
            "returns": {
                "digest": self.returns,
                "epoch": self.returns_place.map(|(epoch, _)| epoch),
                "serial": self.returns_place.map(|(_, serial)| serial),
            },
        })
    }
}

impl Attempt {
    /// The form in answers.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let refused = self.refused.as_ref();
        json!({
            "result": self.result.name(),
            "trigger": self.trigger.name(),
            "at_unix_ms": self.at_us / 1_000,
            "digest": self.digest,
            "epoch": self.place.map(|(epoch, _)| epoch),
            "serial": self.place.map(|(_, serial)| serial),
            "code": refused.map(|refused| refused.code.name()),
            "detail": refused.map(|refused| &refused.detail),
            "remedy": refused.map(|refused| &refused.remedy),
        })
    }
}

/// The member `bundle` of the status. `now_us` tells whether the bundle in force has ended.
pub(super) fn standing_json(
    standing: Option<&BundleStanding>,
    active: Option<&BundleFacts>,
    content_digest: &str,
    now_us: u64,
) -> Value {
    let active = active.map(|active| {
        json!({
            "digest": active.digest,
            "content_digest": content_digest,
            "name": active.name,
            "epoch": active.epoch,
            "serial": active.serial,
            "tier_max": active.tier_max.name(),
            "signers": active.signers,
            "classes": active.classes,
            "expires_unix_ms": active.expires_at_us / 1_000,
            "is_expired": now_us >= active.expires_at_us,
            "breakglass_until_unix_ms": active.breakglass_until_us.map(|until| until / 1_000),
        })
    });
    let Some(standing) = standing else {
        return json!({ "signed": false, "active": null });
    };
    let mark = standing.high_water.as_ref();
    json!({
        "signed": active.is_some(),
        "active": active,
        "is_waiting": standing.is_waiting,
        "root": {
            "version": standing.root_version,
            "expires_unix_ms": standing.root_expires_at_us / 1_000,
        },
        "high_water": mark.map(|(epoch, serial, digest)| {
            json!({ "epoch": epoch, "serial": serial, "digest": digest })
        }),
        "last_attempt": standing.last_attempt.as_ref().map(Attempt::to_json),
        "last_success": standing.last_success.as_ref().map(Attempt::to_json),
        "emergency": standing.emergency.as_ref().map(Emergency::to_json),
        "troubles": standing.troubles,
    })
}

pub(super) async fn bundle(
    State(state): State<Arc<AdminState>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    check_content_type(&headers)?;
    let if_match = if_match(&headers)?;
    let unverified = match body {
        Ok(body) => Some(body.to_vec()),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => None,
        Err(rejection) => return Err(unreadable(rejection)),
    };
    let submission = Submission {
        unverified,
        if_match,
    };
    let attempt = (state.parts.levers.apply)(submission).await;
    let attempt = attempt.map_err(|_| gone())?;
    let status = status_of(&attempt);
    Ok((status, Json(attempt.to_json())).into_response())
}

fn status_of(attempt: &Attempt) -> StatusCode {
    match attempt.refused.as_ref().map(|refused| refused.code) {
        None => StatusCode::OK,
        Some(RefusalCode::StateChanged) => StatusCode::PRECONDITION_FAILED,
        Some(RefusalCode::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
        Some(RefusalCode::NotPersisted | RefusalCode::NotRecorded) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// The one strong entity tag of `If-Match`.
fn if_match(headers: &HeaderMap) -> Result<String, Problem> {
    let mut fields = headers.get_all(header::IF_MATCH).iter();
    let Some(field) = fields.next() else {
        let detail = "send If-Match with the digest of the bundle in force in quotation marks, as \
                      bundle.active.digest of /v1/status tells it, or \"none\"";
        let status = StatusCode::PRECONDITION_REQUIRED;
        return Err(Problem::new(status, "if-match", detail));
    };
    let tag = field.to_str().unwrap_or_default().trim();
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let is_one = |tag: &&str| !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric());
    match (tag.filter(is_one), fields.next()) {
        (Some(tag), None) => Ok(tag.to_owned()),
        _ => {
            let detail = "If-Match names one digest in quotation marks, or \"none\"";
            Err(Problem::new(StatusCode::BAD_REQUEST, "if-match", detail))
        }
    }
}
