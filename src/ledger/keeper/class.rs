//! Which records live how long, and which are never taken out of their segment.

use super::super::line::Record;

/// Kinds that hold the accounts together: they go with their segment and are never stubs.
const FRAME_KINDS: [&str; 9] = [
    "checkpoint",
    "close",
    "fault",
    "handover",
    "key",
    "loss",
    "open",
    "prune",
    "redact",
];

/// How long a record is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Requests that were let through or throttled.
    Access,
    /// Requests that were quarantined or dropped, and all that is not a request.
    Security,
}

impl Class {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Access, Self::Security];

    /// The name in records and arguments.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Security => "security",
        }
    }

    /// The class of that name.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.key() == key)
    }

    /// The class of a record.
    pub(super) fn of(record: &Record<'_>) -> Self {
        match record.kind {
            "outcome" | "rollup" => Self::Access,
            "decision" => match record.text("decision") {
                Some("QUARANTINE" | "DROP") => Self::Security,
                _ => Self::Access,
            },
            _ => Self::Security,
        }
    }
}

/// Whether records of this kind go only with their segment.
pub(super) fn is_frame(kind: &str) -> bool {
    FRAME_KINDS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::super::super::chain::Chain;
    use super::super::super::frame::KINDS;
    use super::*;

    #[test]
    fn classes_are_those_of_the_format() {
        let check = |kind: &'static str, decision: Option<&str>, expected| {
            let mut out = Vec::new();
            Chain::genesis().append(&mut out, |e| {
                if let Some(decision) = decision {
                    e.text("decision", decision);
                }
                e.text("kind", kind);
            });
            let mut scratch = Vec::new();
            let record = Record::check(out.trim_ascii_end(), &mut scratch).unwrap();
            assert_eq!(Class::of(&record), expected, "{kind} {decision:?}");
        };
        for (decision, class) in [
            ("ALLOW", Class::Access),
            ("THROTTLE", Class::Access),
            ("QUARANTINE", Class::Security),
            ("DROP", Class::Security),
        ] {
            check("decision", Some(decision), class);
        }
        for kind in KINDS.into_iter().filter(|kind| *kind != "decision") {
            let access = ["outcome", "rollup"].contains(&kind);
            let class = if access {
                Class::Access
            } else {
                Class::Security
            };
            check(kind, None, class);
        }
        assert!(FRAME_KINDS.iter().all(|kind| KINDS.contains(kind)));
    }
}
