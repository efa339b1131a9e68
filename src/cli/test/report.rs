//! The results of self-tests, for people and as JSON.

use serde::Serialize;

use super::Tested;
use crate::decision::Reason;
use crate::policy::self_tests::Course;
use crate::selftest::{Found, Outcome, Report};
use crate::units::{Action, ActionSet, Band, Tier};

/// One line for each that passed, an account of each that failed, and the sum.
pub(super) fn pretty(tested: &Tested, report: &Report) -> String {
    let mut text = String::new();
    for outcome in report.outcomes() {
        let verdict = if outcome.is_passed() { "ok  " } else { "FAIL" };
        text += &format!("{verdict} {}\n", outcome.name);
        if !outcome.is_passed() {
            text += &account(outcome);
        }
    }
    let failed = report.failures().count();
    let passed = report.outcomes().len() - failed;
    let (name, version) = (&tested.rules.name, &tested.rules.version);
    text += &format!(
        "\n{passed} passed, {failed} failed; policy '{name}' {version}, content digest {}\n",
        tested.digest
    );
    text
}

/// Why a self-test failed: what differs, what was decided, and from what.
pub(super) fn account(outcome: &Outcome) -> String {
    let found = &outcome.found;
    let mut text = String::new();
    for mismatch in &outcome.mismatches {
        let (expected, actual) = (&mismatch.expected, &mismatch.actual);
        let member = mismatch.member;
        text += &format!("     {member}: expected {expected}, was {actual}\n");
    }
    let codes: Vec<&str> = found.reasons.iter().map(Reason::code).collect();
    text += &format!(
        "     found: {} because of {} [{}], contract {}, tier {}, way {}\n",
        found.decision.name(),
        found.deciding.code(),
        codes.join(", "),
        found.contract_name(),
        found.tier.key(),
        found.course.key(),
    );
    text += &format!(
        "     risk: {} = the larger of distress {} and abuse {}; band {}\n",
        percent(found.assessment.risk().get()),
        percent(found.assessment.distress().get()),
        percent(found.assessment.abuse().get()),
        found.band.key(),
    );
    for (factor, reading, contribution) in found.factors() {
        text += &format!(
            "     factor: {} reads {} and contributes {}\n",
            factor.name(),
            percent(reading),
            percent(contribution)
        );
    }
    for note in &outcome.notes {
        text += &format!("     note: {note}\n");
    }
    text
}

fn percent(bp: u16) -> String {
    format!("{}.{:02} %", bp / 100, bp % 100)
}

#[derive(Serialize)]
struct ReportForm<'a> {
    content_digest: &'a str,
    failed: usize,
    passed: usize,
    tests: Vec<TestForm<'a>>,
}

#[derive(Serialize)]
struct TestForm<'a> {
    name: &'a str,
    passed: bool,
    mismatches: Vec<MismatchForm<'a>>,
    notes: &'a [String],
    found: FoundForm<'a>,
}

#[derive(Serialize)]
struct MismatchForm<'a> {
    member: &'a str,
    expected: &'a str,
    actual: &'a str,
}

#[derive(Serialize)]
struct FoundForm<'a> {
    contract: &'a str,
    decision: &'a str,
    deciding: &'a str,
    reasons: Vec<&'a str>,
    taken: Vec<&'a str>,
    withheld: Vec<&'a str>,
    way: &'a str,
    /// 0 = closed without an answer; null = sent on.
    status: Option<u16>,
    tier: &'a str,
    band: &'a str,
    risk_bp: u16,
    distress_bp: u16,
    abuse_bp: u16,
    factors: Vec<FactorForm<'a>>,
}

#[derive(Serialize)]
struct FactorForm<'a> {
    factor: &'a str,
    reading_bp: u16,
    contribution_bp: u16,
}

/// One object with all results.
pub(super) fn json(tested: &Tested, report: &Report) -> String {
    let failed = report.failures().count();
    let form = ReportForm {
        content_digest: &tested.digest,
        failed,
        passed: report.outcomes().len() - failed,
        tests: report.outcomes().iter().map(test_form).collect(),
    };
    // Texts and numbers always have a form.
    serde_json::to_string(&form).unwrap_or_default() + "\n"
}

fn test_form(outcome: &Outcome) -> TestForm<'_> {
    let mismatches = outcome.mismatches.iter();
    TestForm {
        name: &outcome.name,
        passed: outcome.is_passed(),
        mismatches: mismatches
            .map(|mismatch| MismatchForm {
                member: mismatch.member,
                expected: &mismatch.expected,
                actual: &mismatch.actual,
            })
            .collect(),
        notes: &outcome.notes,
        found: found_form(&outcome.found),
    }
}

fn found_form(found: &Found) -> FoundForm<'_> {
    let factors = found.factors().into_iter();
    FoundForm {
        contract: found.contract_name(),
        decision: found.decision.name(),
        deciding: found.deciding.code(),
        reasons: found.reasons.iter().map(Reason::code).collect(),
        taken: names(found.taken),
        withheld: names(found.withheld),
        way: Course::key(found.course),
        status: found.status,
        tier: Tier::key(found.tier),
        band: Band::key(found.band),
        risk_bp: found.assessment.risk().get(),
        distress_bp: found.assessment.distress().get(),
        abuse_bp: found.assessment.abuse().get(),
        factors: factors
            .map(|(factor, reading_bp, contribution_bp)| FactorForm {
                factor: factor.name(),
                reading_bp,
                contribution_bp,
            })
            .collect(),
    }
}

fn names(set: ActionSet) -> Vec<&'static str> {
    let in_order = Action::BY_NAME.into_iter();
    let kept = in_order.filter(|action| set.contains(*action));
    kept.map(Action::name).collect()
}
