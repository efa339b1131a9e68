//! What became of a request, in one name: its decision, and how far it was carried out.

use crate::contract::Quarantine;
use crate::enforcement::Measure;
use crate::ledger::as_text;
use crate::pipeline::{Judgement, Way};
use crate::policy::rules::Severity;
use crate::record::DecisionLine;
use crate::units::Action;

/// The name of what became of a request that is so judged and goes this way.
pub(super) fn course(judged: &Judgement, way: Way) -> &'static str {
    let is_taken = judged.permit.measure() != Measure::Forward;
    name(judged.decision.severity(), is_taken, way)
}

/// The same of a record; `quarantine` is what its contract does with requests that are set apart,
/// where that is known.
pub(super) fn recorded_course(
    line: &DecisionLine<'_>,
    quarantine: Option<Quarantine>,
) -> &'static str {
    let Some((severity, is_taken)) = recorded(line) else {
        return "none";
    };
    let way = match (line.member("upstream"), severity, quarantine) {
        (b"", _, _) => Way::Refuse,
        (_, Severity::Quarantine, Some(Quarantine::Divert)) if is_taken => Way::Divert,
        (_, Severity::Quarantine, _) if is_taken => Way::Shadow,
        _ => Way::Forward,
    };
    name(severity, is_taken, way)
}

/// The recorded decision, and whether the tier let it be carried out.
pub(super) fn recorded(line: &DecisionLine<'_>) -> Option<(Severity, bool)> {
    let name = line.member("decision");
    let severity = Severity::ALL
        .into_iter()
        .find(|severity| as_text(name) == Some(severity.name()))?;
    let taken = line.member("actions_taken");
    let is_taken = std::str::from_utf8(taken).is_ok_and(|taken| {
        let mut names = taken.split('"');
        let opens = |name| severity == Severity::Drop && name == Action::CircuitOpen.name();
        names.any(|name| name == severity.key() || opens(name))
    });
    Some((severity, is_taken))
}

const fn name(severity: Severity, is_taken: bool, way: Way) -> &'static str {
    match (severity, is_taken, way) {
        (Severity::Allow, _, _) => "ALLOW",
        (Severity::Throttle, false, _) => "THROTTLE withheld",
        (Severity::Throttle, true, Way::Forward) => "THROTTLE delayed",
        (Severity::Throttle, true, _) => "THROTTLE",
        (Severity::Quarantine, false, _) => "QUARANTINE withheld",
        (Severity::Quarantine, true, Way::Divert) => DIVERTED,
        (Severity::Quarantine, true, Way::Shadow) => "QUARANTINE marked",
        (Severity::Quarantine, true, _) => "QUARANTINE",
        (Severity::Drop, false, _) => "DROP withheld",
        (Severity::Drop, true, _) => "DROP",
    }
}

/// It went to another upstream: what that answered says nothing about the route's own.
pub(super) const DIVERTED: &str = "QUARANTINE diverted";
