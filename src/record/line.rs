//! Reads a decision back from its line: the arguments it was judged by, and what was judged.
//!
//! Written apart from the encoder, so that replay checks the one against the other.

use crate::ledger::{Record, as_text, as_uint};
use crate::observation::{ClientKey, InputsError, Signals};

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

/// How many members a decision may have, `hash` aside.
pub const MEMBER_COUNT: usize = 40;

/// All members that a decision may have, `hash` aside, sorted. There are no others.
pub const MEMBERS: [&str; MEMBER_COUNT] = [
    "abuse_bp",
    "actions_taken",
    "alias_of",
    "allowed_actions",
    "case_id",
    "circuit",
    "client",
    "contract_id",
    "decision",
    "decision_id",
    "distress_bp",
    "endpoint_key",
    "error_count",
    "factors",
    "inputs",
    "instance",
    "insufficient",
    "kind",
    "latency_us",
    "method",
    "n",
    "outcome",
    "phase",
    "policy_hash",
    "policy_version",
    "prev",
    "reason_codes",
    "recommended_actions",
    "retry_count",
    "risk_bp",
    "seq",
    "status",
    "tier",
    "trace_id",
    "ts_us",
    "unmatched_shape",
    "upstream",
    "upstream_status",
    "v",
    "worker",
];

/// Places of the table by which a member is found.
const SLOTS: usize = 128;

/// Where a name is looked up: no two of [`MEMBERS`] share a slot. Reading a member is most of what a
/// replay does, and one comparison is cheaper than a search.
const fn slot_of(name: &[u8]) -> usize {
    let (Some(first), Some(last)) = (name.first(), name.last()) else {
        return 0;
    };
    (name.len() + *first as usize * 24 + *last as usize * 10) % SLOTS
}

/// The place in [`MEMBERS`] for each slot; `u8::MAX` = none.
const PLACES: [u8; SLOTS] = {
    let mut places = [u8::MAX; SLOTS];
    let mut place = 0;
    #[allow(clippy::indexing_slicing)] // evaluated by the compiler: a panic is an error there
    while place < MEMBER_COUNT {
        let slot = slot_of(MEMBERS[place].as_bytes());
        assert!(places[slot] == u8::MAX, "two members share a slot");
        places[slot] = place as u8;
        place += 1;
    }
    places
};

/// The place of a name in [`MEMBERS`].
fn place_of(name: &[u8]) -> Option<usize> {
    let place = usize::from(*PLACES.get(slot_of(name))?);
    let found = MEMBERS.get(place)?.as_bytes();
    (found == name).then_some(place)
}

/// The arguments of a recorded decision, and what the record says of its judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionLine<'a> {
    /// Its id.
    pub decision_id: &'a str,
    /// The rulebook it was made under.
    pub policy_hash: &'a str,
    /// The contract of its path.
    pub contract_id: Option<&'a str>,
    /// Who asked, as a keyed hash.
    pub client: ClientKey,
    /// When, microseconds on the wall clock.
    pub wall_us: u64,
    /// What it was judged by.
    pub signals: Signals,
    /// The raw values of [`MEMBERS`]; empty where one is missing.
    pub members: [&'a [u8]; MEMBER_COUNT],
    /// Key and raw value of the first member that is none of [`MEMBERS`].
    pub unknown: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> DecisionLine<'a> {
    /// Reads a record of kind `decision`, in one pass and without an allocation.
    ///
    /// # Errors
    /// [`LineError`] names the member that is not as the format says.
    pub fn read(record: &Record<'a>) -> Result<Self, LineError> {
        let (mut decision_id, mut policy_hash, mut contract_id, mut inputs) =
            (None, None, None, None);
        let (mut client, mut wall_us) = (None, None);
        let mut members: [&[u8]; MEMBER_COUNT] = [b""; MEMBER_COUNT];
        let mut unknown = None;
        for (key, raw) in CheckedMembers::of(record) {
            match place_of(key).and_then(|place| members.get_mut(place)) {
                Some(member) => *member = raw,
                None => unknown = unknown.or(Some((key, raw))),
            }
            match key {
                b"client" => client = as_text(raw).and_then(as_client),
                b"contract_id" => contract_id = as_text(raw),
                b"decision_id" => decision_id = as_text(raw),
                b"inputs" => inputs = as_ints(raw),
                b"policy_hash" => policy_hash = as_text(raw),
                b"ts_us" => wall_us = as_uint(raw),
                _ => {}
            }
        }
        let (inputs, count) = inputs.ok_or(LineError::Member("inputs"))?;
        let inputs = inputs.get(..count).unwrap_or_default();
        Ok(Self {
            decision_id: decision_id.ok_or(LineError::Member("decision_id"))?,
            policy_hash: policy_hash.ok_or(LineError::Member("policy_hash"))?,
            contract_id,
            client: client.ok_or(LineError::Member("client"))?,
            wall_us: wall_us.ok_or(LineError::Member("ts_us"))?,
            signals: Signals::from_inputs(inputs)?,
            members,
            unknown,
        })
    }

    /// The raw value of one of [`MEMBERS`]; empty where it is missing.
    #[must_use]
    pub fn member(&self, name: &str) -> &'a [u8] {
        place_of(name.as_bytes())
            .and_then(|place| self.members.get(place))
            .copied()
            .unwrap_or_default()
    }
}

/// The members of a record that has been checked: it is canonical, so nothing is checked again.
struct CheckedMembers<'a> {
    rest: &'a [u8],
}

impl<'a> CheckedMembers<'a> {
    const fn of(record: &Record<'a>) -> Self {
        Self {
            rest: record.entry(),
        }
    }
}

impl<'a> Iterator for CheckedMembers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // `{"` or `,"`, the key, `":`, the value; at the end of the entry stands `}`.
        let from_key = self.rest.get(2..)?;
        let key_end = from_key.iter().position(|byte| *byte == b'"')?;
        let from_value = from_key.get(key_end + 2..)?;
        let (value, rest) = from_value.split_at_checked(value_end(from_value))?;
        self.rest = rest;
        Some((from_key.get(..key_end)?, value))
    }
}

/// Where a canonical value ends.
fn value_end(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += string_bytes(bytes.get(at + 1..).unwrap_or_default()),
            b'[' | b'{' => depth += 1,
            b',' | b'}' if depth == 0 => return at,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    at
}

/// The bytes of a string behind its first quote, the last quote included.
fn string_bytes(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

fn as_client(digits: &str) -> Option<ClientKey> {
    let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_key = digits.len() == 16 && digits.bytes().all(lower);
    let key = u64::from_str_radix(digits, 16).ok();
    key.filter(|_| is_key).map(ClientKey)
}

const INPUTS_MAX: usize = 64;

/// The integers of an array, without an allocation; `None` where it is none or too long.
fn as_ints(raw: &[u8]) -> Option<([i64; INPUTS_MAX], usize)> {
    let inner = raw.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let mut ints = [0; INPUTS_MAX];
    let mut count = 0;
    for number in inner.split(|byte| *byte == b',') {
        if !number.is_empty() {
            *ints.get_mut(count)? = as_int(number)?;
            count += 1;
        }
    }
    Some((ints, count))
}

/// An integer in digits; the canonical form has at most 16 of them.
fn as_int(text: &[u8]) -> Option<i64> {
    let (digits, sign) = match text.strip_prefix(b"-") {
        Some(digits) => (digits, -1),
        None => (text, 1),
    };
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    if digits.is_empty() || digits.len() > 18 || !all_digits {
        return None;
    }
    let value = digits
        .iter()
        .fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some(sign * value)
}

#[cfg(test)]
mod tests {
    use super::{CheckedMembers, MEMBERS, as_client, as_int, as_ints};
    use crate::ledger::{Chain, Record};

    #[test]
    fn checked_members_are_those_of_the_strict_reader() {
        let mut line = Vec::new();
        Chain::genesis().append(&mut line, |entry| {
            entry.counts("a", []);
            entry.counts("b", [("x", 1), ("y", 22)]);
            entry.text("c", "brackets ]}, and \" and \\ in text");
            entry.ints("d", [-1, 0, 7]);
            entry.names("e", ["p]", "q"]);
            entry.flag("f", true);
            entry.text("kind", "decision");
            entry.pairs("l", [(1, 2), (3, 4)]);
            entry.text("z", "");
        });
        let mut buffer = Vec::new();
        let record = Record::check(line.trim_ascii_end(), &mut buffer).expect("a valid line");
        let quick: Vec<_> = CheckedMembers::of(&record).collect();
        let strict: Vec<_> = record.members().map(|(k, v)| (k.as_bytes(), v)).collect();
        assert_eq!(quick, strict);
        assert_eq!(quick.len(), 12);
    }

    #[test]
    fn members_are_sorted_and_a_client_has_one_spelling() {
        assert!(MEMBERS.is_sorted());
        assert!(as_client("0123456789abcdef").is_some());
        for other in [
            "0123456789ABCDEF",
            "+123456789abcdef",
            "0123456789abcde",
            "",
        ] {
            assert!(as_client(other).is_none(), "{other}");
        }
    }

    #[test]
    fn only_integers_are_integers() {
        let table: [(&[u8], Option<i64>); 7] = [
            (b"0", Some(0)),
            (b"-9007199254740991", Some(-9_007_199_254_740_991)),
            (b"", None),
            (b"-", None),
            (b"1.5", None),
            (b"+1", None),
            (b"9999999999999999999", None),
        ];
        for (text, want) in table {
            assert_eq!(as_int(text), want, "{text:?}");
        }
        assert!(as_ints(b"[1,\"2\"]").is_none());
    }
}
