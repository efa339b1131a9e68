//! Reads a decision back from its line: the arguments it was judged by, and what was judged.
//!
//! Written apart from the encoder, so that replay checks the one against the other.

use crate::ledger::{Record, as_text};
use crate::observation::{InputsError, Signals};

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

/// How many members of a record follow from its inputs.
pub const JUDGED_COUNT: usize = 12;

/// The members of a record that follow from its inputs and its rulebook, sorted.
pub const JUDGED_MEMBERS: [&str; JUDGED_COUNT] = [
    "abuse_bp",
    "actions_taken",
    "allowed_actions",
    "circuit",
    "decision",
    "distress_bp",
    "factors",
    "insufficient",
    "reason_codes",
    "recommended_actions",
    "risk_bp",
    "tier",
];

/// The arguments of a recorded decision, and what the record says of its judgement.
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
    /// The raw values of [`JUDGED_MEMBERS`]; empty where one is missing.
    pub judged: [&'a [u8]; JUDGED_COUNT],
}

impl<'a> DecisionLine<'a> {
    /// Reads a record of kind `decision`, in one pass and without an allocation.
    ///
    /// # Errors
    /// [`LineError`] names the member that is not as the format says.
    pub fn read(record: &Record<'a>) -> Result<Self, LineError> {
        let (mut decision_id, mut policy_hash, mut contract_id, mut inputs) =
            (None, None, None, None);
        let mut judged: [&[u8]; JUDGED_COUNT] = [b""; JUDGED_COUNT];
        // Both lists are sorted, so one walk along both finds every judged member.
        let mut awaited = JUDGED_MEMBERS.into_iter().zip(&mut judged).peekable();
        for (key, raw) in record.members() {
            while awaited.next_if(|(member, _)| *member < key).is_some() {}
            if let Some((_, slot)) = awaited.next_if(|(member, _)| *member == key) {
                *slot = raw;
                continue;
            }
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
            judged,
        })
    }

    /// The raw value of one of [`JUDGED_MEMBERS`]; empty where it is missing.
    #[must_use]
    pub fn judged_member(&self, name: &str) -> &'a [u8] {
        let place = JUDGED_MEMBERS.iter().position(|member| *member == name);
        place
            .and_then(|place| self.judged.get(place))
            .copied()
            .unwrap_or_default()
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
