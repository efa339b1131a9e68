//! What was found beside what is expected: only what is named is compared.

use super::report::{Found, Mismatch};
use crate::decision::{Reason, ReasonSet};
use crate::observation::UNMATCHED;
use crate::policy::self_tests::{Claimed, Course, Expectation};
use crate::units::{Action, ActionSet, Band, Tier};

pub(super) fn compare(expect: &Expectation, found: &Found) -> Vec<Mismatch> {
    let mut all = Mismatches(Vec::new());
    all.texts("decision", expect.decision.name(), found.decision.name());
    if let Some(claimed) = &expect.contract {
        let expected = match claimed {
            Claimed::By(id) => id.as_str(),
            Claimed::Unmatched => UNMATCHED,
        };
        all.texts("contract", expected, found.contract_name());
    }
    all.reasons(expect, found.reasons);
    if let Some(deciding) = expect.deciding {
        all.texts("deciding", deciding.code(), found.deciding.code());
    }
    all.actions("taken", expect.taken, found.taken);
    all.actions("withheld", expect.withheld, found.withheld);
    if let Some(course) = expect.course {
        all.texts("way", Course::key(course), Course::key(found.course));
    }
    if let Some(status) = expect.status
        && found.status != Some(status)
    {
        all.add(
            "status",
            status_text(Some(status)),
            status_text(found.status),
        );
    }
    if let Some(tier) = expect.tier {
        all.texts("tier", Tier::key(tier), Tier::key(found.tier));
    }
    if let Some(band) = expect.band {
        all.texts("band", Band::key(band), Band::key(found.band));
    }
    all.0
}

struct Mismatches(Vec<Mismatch>);

impl Mismatches {
    fn add(&mut self, member: &'static str, expected: String, actual: String) {
        self.0.push(Mismatch {
            member,
            expected,
            actual,
        });
    }

    fn texts(&mut self, member: &'static str, expected: &str, actual: &str) {
        if expected != actual {
            self.add(member, expected.to_owned(), actual.to_owned());
        }
    }

    fn reasons(&mut self, expect: &Expectation, found: ReasonSet) {
        let has_all = expect.reasons.iter().all(|reason| found.contains(reason));
        if expect.reasons_only && expect.reasons != found {
            self.add("only_reasons", codes(expect.reasons), codes(found));
        } else if !has_all {
            self.add("reasons", codes(expect.reasons), codes(found));
        }
    }

    fn actions(&mut self, member: &'static str, expected: ActionSet, found: ActionSet) {
        if !expected.minus(found).is_empty() {
            self.add(member, names(expected), names(found));
        }
    }
}

fn codes(reasons: ReasonSet) -> String {
    listed(reasons.iter().map(Reason::code))
}

fn names(actions: ActionSet) -> String {
    let in_order = Action::BY_NAME.into_iter();
    listed(
        in_order
            .filter(|action| actions.contains(*action))
            .map(Action::name),
    )
}

fn listed<'t>(names: impl Iterator<Item = &'t str>) -> String {
    format!("[{}]", names.collect::<Vec<_>>().join(", "))
}

/// As a file says it, and what a file cannot say.
pub(super) fn status_text(status: Option<u16>) -> String {
    match status {
        None => "no answer of ours: it is sent on".to_owned(),
        Some(0) => "closed".to_owned(),
        Some(status) => status.to_string(),
    }
}
