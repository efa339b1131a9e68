//! Reads a decision back from its line: the arguments it was judged by, and what was judged.
//!
//! Written apart from the encoder, so that replay checks the one against the other.

use crate::ledger::{Record, as_text};
use crate::observation::{InputsError, Signals};
use crate::pipeline::Judgement;
use crate::units::{Action, ActionSet, BasisPoints, Factor};

/// Why a line is not a decision that can be judged again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A member is missing or has another type.
    #[error("member {0} is missing or not what it should be")]
    Member(&'static str),
    /// The inputs cannot be read.
    #[error(transparent)]
    Inputs(#[from] InputsError),
}

/// The arguments of a recorded decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionLine<'a> {
    /// Its id.
    pub decision_id: &'a str,
    /// The rulebook it was made under.
    pub policy_hash: &'a str,
    /// The contract of its path.
    pub contract_id: Option<&'a str>,
    /// What it was judged by.
    pub signals: Signals,
}

impl<'a> DecisionLine<'a> {
    /// The arguments in a record of kind `decision`.
    ///
    /// # Errors
    /// [`LineError`] names the member that is not as the format says.
    pub fn read(record: &Record<'a>) -> Result<Self, LineError> {
        let (mut decision_id, mut policy_hash, mut contract_id, mut inputs) =
            (None, None, None, None);
        for (key, raw) in record.members() {
            match key {
                "contract_id" => contract_id = as_text(raw),
                "decision_id" => decision_id = as_text(raw),
                "inputs" => inputs = as_ints(raw),
                "policy_hash" => policy_hash = as_text(raw),
                _ => {}
            }
        }
        let (inputs, count) = inputs.ok_or(LineError::Member("inputs"))?;
        let inputs = inputs.get(..count).unwrap_or_default();
        Ok(Self {
            decision_id: decision_id.ok_or(LineError::Member("decision_id"))?,
            policy_hash: policy_hash.ok_or(LineError::Member("policy_hash"))?,
            contract_id,
            signals: Signals::from_inputs(inputs)?,
        })
    }
}

const INPUTS_MAX: usize = 64;

/// The integers of an array, without an allocation; `None` where it is none or too long.
fn as_ints(raw: &[u8]) -> Option<([i64; INPUTS_MAX], usize)> {
    let inner = std::str::from_utf8(raw).ok()?;
    let inner = inner.strip_prefix('[')?.strip_suffix(']')?;
    let mut ints = [0; INPUTS_MAX];
    let mut count = 0;
    for number in inner.split(',').filter(|number| !number.is_empty()) {
        *ints.get_mut(count)? = number.parse().ok()?;
        count += 1;
    }
    Some((ints, count))
}

/// A judged member that does not follow from the record's own inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub member: &'static str,
    /// What the record says; empty where it is missing.
    pub recorded: String,
    /// What follows; empty where it should be missing.
    pub recomputed: String,
}

/// Compares every judged member of a record with a judgement of its inputs.
#[must_use]
pub fn differences(record: &Record<'_>, signals: &Signals, judged: &Judgement) -> Vec<Difference> {
    let expected = expected_members(signals, judged);
    let mut found = [const { None }; EXPECTED_COUNT];
    for (key, raw) in record.members() {
        let place = expected.iter().position(|(member, _)| *member == key);
        if let Some(slot) = place.and_then(|place| found.get_mut(place)) {
            *slot = Some(raw);
        }
    }
    expected
        .into_iter()
        .zip(found)
        .filter(|((_, expected), found)| expected.as_bytes() != found.unwrap_or_default())
        .map(|((member, recomputed), found)| Difference {
            member,
            recorded: String::from_utf8_lossy(found.unwrap_or_default()).into_owned(),
            recomputed,
        })
        .collect()
}

const EXPECTED_COUNT: usize = 12;

fn expected_members(
    signals: &Signals,
    judged: &Judgement,
) -> [(&'static str, String); EXPECTED_COUNT] {
    let (assessment, decision, permit) = (&judged.assessment, &judged.decision, &judged.permit);
    [
        ("abuse_bp", assessment.abuse().get().to_string()),
        ("actions_taken", actions(permit.taken())),
        ("allowed_actions", actions(permit.allowed())),
        ("circuit", quoted(signals.circuit.name())),
        ("decision", quoted(decision.severity().name())),
        ("distress_bp", assessment.distress().get().to_string()),
        ("factors", factors(judged)),
        ("insufficient", insufficient(judged)),
        (
            "reason_codes",
            list(decision.reasons().iter().map(|reason| reason.code())),
        ),
        ("recommended_actions", actions(permit.recommended())),
        ("risk_bp", assessment.risk().get().to_string()),
        ("tier", quoted(permit.tier().name())),
    ]
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn list<'s>(names: impl Iterator<Item = &'s str>) -> String {
    let quoted: Vec<String> = names.map(quoted).collect();
    format!("[{}]", quoted.join(","))
}

fn actions(set: ActionSet) -> String {
    let mut names: Vec<&str> = set.iter().map(Action::name).collect();
    names.sort_unstable();
    list(names.into_iter())
}

fn factors(judged: &Judgement) -> String {
    let mut members: Vec<String> = Factor::ALL
        .into_iter()
        .map(|factor| (factor.name(), judged.assessment.reading(factor)))
        .filter(|(_, reading)| *reading > BasisPoints::ZERO)
        .map(|(name, reading)| format!("\"{name}\":{}", reading.get()))
        .collect();
    members.sort_unstable();
    format!("{{{}}}", members.join(","))
}

fn insufficient(judged: &Judgement) -> String {
    let mut names: Vec<&str> = judged
        .assessment
        .insufficient()
        .iter()
        .map(Factor::name)
        .collect();
    names.sort_unstable();
    if names.is_empty() {
        String::new()
    } else {
        list(names.into_iter())
    }
}
