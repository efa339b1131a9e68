//! Compares what a record says of its judgement with a judgement made again.
//!
//! The expected bytes are written apart from the encoder, so that a fault of one shows. Nearly
//! every record is as it should be, so the comparison itself allocates nothing.

use crate::pipeline::Judgement;
use crate::record::DecisionLine;
use crate::units::{Action, ActionSet, BasisPoints, Factor};

/// The members of a record that follow from its inputs and its rulebook.
pub const JUDGED_MEMBERS: [&str; 12] = [
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

/// A member that does not follow from the record's own inputs, or contradicts another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub member: String,
    /// What the record says; empty where it is missing.
    pub recorded: String,
    /// What follows; empty where it should be missing.
    pub recomputed: String,
}

/// Compares records, one after the other, in a buffer of its own.
#[derive(Debug, Default)]
pub struct Comparison {
    expected: Vec<u8>,
}

impl Comparison {
    /// Every judged member that differs from a judgement of the record's inputs.
    #[must_use]
    pub fn differences(&mut self, line: &DecisionLine<'_>, judged: &Judgement) -> Vec<Difference> {
        let mut found = Vec::new();
        for member in JUDGED_MEMBERS {
            let recorded = line.member(member);
            self.expected.clear();
            write_member(&mut self.expected, member, line, judged);
            if self.expected != recorded {
                found.push(Difference {
                    member: member.to_owned(),
                    recorded: String::from_utf8_lossy(recorded).into_owned(),
                    recomputed: String::from_utf8_lossy(&self.expected).into_owned(),
                });
            }
        }
        found
    }
}

fn write_member(out: &mut Vec<u8>, member: &str, line: &DecisionLine<'_>, judged: &Judgement) {
    let (assessment, decision, permit) = (&judged.assessment, &judged.decision, &judged.permit);
    match member {
        "abuse_bp" => number(out, assessment.abuse()),
        "actions_taken" => actions(out, permit.taken()),
        "allowed_actions" => actions(out, permit.allowed()),
        "circuit" => text(out, line.signals.circuit.name()),
        "decision" => text(out, decision.severity().name()),
        "distress_bp" => number(out, assessment.distress()),
        "factors" => factors(out, judged),
        "insufficient" => insufficient(out, judged),
        "reason_codes" => list(out, decision.reasons().iter().map(|reason| reason.code())),
        "recommended_actions" => actions(out, permit.recommended()),
        "risk_bp" => number(out, assessment.risk()),
        "tier" => text(out, permit.tier().name()),
        _ => {}
    }
}

fn number(out: &mut Vec<u8>, value: BasisPoints) {
    out.extend_from_slice(itoa::Buffer::new().format(value.get()).as_bytes());
}

fn text(out: &mut Vec<u8>, name: &str) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
}

fn list<'s>(out: &mut Vec<u8>, names: impl Iterator<Item = &'s str>) {
    out.push(b'[');
    for (place, name) in names.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        text(out, name);
    }
    out.push(b']');
}

fn actions(out: &mut Vec<u8>, set: ActionSet) {
    list(out, set.iter_by_name().map(Action::name));
}

fn factors(out: &mut Vec<u8>, judged: &Judgement) {
    out.push(b'{');
    let empty = out.len();
    for factor in Factor::BY_NAME {
        let reading = judged.assessment.reading(factor);
        if reading > BasisPoints::ZERO {
            if out.len() > empty {
                out.push(b',');
            }
            text(out, factor.name());
            out.push(b':');
            number(out, reading);
        }
    }
    out.push(b'}');
}

/// The member is absent where every factor could be read.
fn insufficient(out: &mut Vec<u8>, judged: &Judgement) {
    let set = judged.assessment.insufficient();
    if !set.is_empty() {
        let names = Factor::BY_NAME.into_iter();
        list(
            out,
            names
                .filter(|factor| set.contains(*factor))
                .map(Factor::name),
        );
    }
}
