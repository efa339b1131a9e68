//! One recent decision: its record, and how its score came about.
//!
//! Looks through the newest lines of the newest segment only; `tidegate explain` looks through
//! the whole ledger. A record that breaks a rule of the format is an error, never shown as true.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path as PathPart, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::admin::problem::Problem;
use crate::admin::state::AdminState;
use crate::ledger::{Record, Tail};
use crate::pipeline::Judgement;
use crate::policy::rules::Rules;
use crate::record::DecisionId;
use crate::replay::Replay;
use crate::units::{BasisPoints, Factor};

/// How far back a decision is looked for.
const NEWEST_LINES: u64 = 50_000;

pub(super) async fn decision(
    State(state): State<Arc<AdminState>>,
    PathPart(id): PathPart<String>,
) -> Result<Json<Value>, Problem> {
    if DecisionId::from_text(&id).is_none() {
        let detail = "a decision id is 22 hexadecimal digits in lower case";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "decision-id", detail));
    }
    // Reads files: off the thread that answers the health checks.
    let found = tokio::task::spawn_blocking(move || find(&state.parts.ledger_dir, &id)).await;
    found.map_err(|error| failed(error.to_string()))?.map(Json)
}

fn failed(detail: String) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "ledger-unreadable",
        detail,
    )
}

fn find(ledger_dir: &Path, id: &str) -> Result<Value, Problem> {
    let (decision, outcome) = newest_lines_of(ledger_dir, id)?;
    let Some(line) = decision else {
        let detail = format!(
            "no decision {id} among the newest {NEWEST_LINES} records; it may be older, not \
             written yet (a running request is written after 500 ms), or lost"
        );
        let status = StatusCode::NOT_FOUND;
        return Err(Problem::new(status, "no-such-decision", detail));
    };
    let mut scratch = Vec::new();
    let record = Record::check(line.as_bytes(), &mut scratch)
        .map_err(|fault| failed(format!("the record breaks a rule: {}", fault.rule())))?;
    let (explanation, unexplained) = match explain(ledger_dir, &record) {
        Ok(explanation) => (explanation, None),
        Err(error) => (Value::Null, Some(error)),
    };
    Ok(json!({
        "record": as_json(&line)?,
        "outcome": outcome.map(|line| as_json(&line)).transpose()?,
        "explanation": explanation,
        "unexplained": unexplained,
    }))
}

fn as_json(line: &str) -> Result<Value, Problem> {
    serde_json::from_str(line).map_err(|error| failed(error.to_string()))
}

/// The decision's line and that of its later outcome.
fn newest_lines_of(dir: &Path, id: &str) -> Result<(Option<String>, Option<String>), Problem> {
    let unreadable = |error: std::io::Error| failed(error.to_string());
    let mut tail = Tail::open(dir, NEWEST_LINES).map_err(unreadable)?;
    let wanted = format!("\"decision_id\":\"{id}\"");
    let (mut decision, mut outcome) = (None, None);
    // The ledger goes on while it is read: this stops, wherever its end has moved to.
    for _ in 0..NEWEST_LINES {
        let Some(line) = tail.next_line().map_err(unreadable)? else {
            break;
        };
        let Ok(line) = String::from_utf8(line) else {
            continue;
        };
        if !line.contains(&wanted) {
            continue;
        }
        if line.contains("\"kind\":\"decision\"") {
            decision = Some(line);
        } else if line.contains("\"kind\":\"outcome\"") {
            outcome = Some(line);
        }
    }
    Ok((decision, outcome))
}

/// Judges the record again under the rulebook it names.
fn explain(ledger_dir: &Path, record: &Record<'_>) -> Result<Value, String> {
    let mut replay = Replay::of(ledger_dir);
    let (line, judged) = replay.judge(record).map_err(|error| error.to_string())?;
    let rules = replay
        .rule_set(line.policy_hash)
        .map_err(|error| error.to_string())?
        .rules();
    let withheld = judged.permit.withheld();
    Ok(json!({
        "factors": factors(rules, &judged),
        "distress_bp": judged.assessment.distress().get(),
        "abuse_bp": judged.assessment.abuse().get(),
        "risk_bp": judged.assessment.risk().get(),
        "decision": judged.decision.severity().name(),
        "deciding_reason": judged.decision.deciding().code(),
        "governed_by": judged.decision.deciding().governed_by(),
        "withheld_actions": withheld.iter_by_name().map(|action| action.name()).collect::<Vec<_>>(),
    }))
}

fn factors(rules: &Rules, judged: &Judgement) -> Vec<Value> {
    let assessment = &judged.assessment;
    Factor::BY_NAME
        .into_iter()
        .filter(|factor| assessment.reading(*factor) > BasisPoints::ZERO)
        .map(|factor| {
            json!({
                "factor": factor.name(),
                "reading_bp": assessment.reading(factor).get(),
                "weight_bp": rules.weights.of(factor).get(),
                "contribution_bp": assessment.contribution(factor).get(),
            })
        })
        .collect()
}
