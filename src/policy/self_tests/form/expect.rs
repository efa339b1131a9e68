//! The expectation of a self-test in canonical form.

use serde::{Deserialize, Serialize};

use super::{is_default, named};
use crate::contract::ContractId;
use crate::observation::UNMATCHED;
use crate::policy::rules::Severity;
use crate::policy::self_tests::expectation::{Claimed, Course, Expectation};
use crate::units::{Action, ActionSet, Band, Reason, ReasonSet, Tier};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    band: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deciding: Option<String>,
    decision: String,
    #[serde(default, skip_serializing_if = "is_default")]
    reasons: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    reasons_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "is_default")]
    taken: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    way: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    withheld: Vec<String>,
}

impl From<&Expectation> for ExpectForm {
    fn from(expect: &Expectation) -> Self {
        let contract = expect.contract.as_ref().map(|claimed| match claimed {
            Claimed::By(id) => id.as_str().to_owned(),
            Claimed::Unmatched => UNMATCHED.to_owned(),
        });
        let actions = |set: ActionSet| {
            let in_order = Action::BY_NAME.into_iter();
            let kept = in_order.filter(|action| set.contains(*action));
            kept.map(|action| action.name().to_owned()).collect()
        };
        let reasons = expect.reasons.iter();
        Self {
            band: expect.band.map(|band| band.key().to_owned()),
            contract,
            deciding: expect.deciding.map(|reason| reason.code().to_owned()),
            decision: expect.decision.name().to_owned(),
            reasons: reasons.map(|reason| reason.code().to_owned()).collect(),
            reasons_only: expect.reasons_only,
            status: expect.status,
            taken: actions(expect.taken),
            tier: expect.tier.map(|tier| tier.key().to_owned()),
            way: expect.course.map(|course| course.key().to_owned()),
            withheld: actions(expect.withheld),
        }
    }
}

impl ExpectForm {
    /// The expectation, of which only the bounds are not checked yet.
    pub(super) fn read(self) -> Result<Expectation, &'static str> {
        let contract = self.contract.map(|name| match name.as_str() {
            UNMATCHED => Ok(Claimed::Unmatched),
            name => ContractId::new(name)
                .map(Claimed::By)
                .ok_or("'contract' is no contract id"),
        });
        let deciding = self.deciding.map(|code| reason(&code));
        let course = self.way.map(|way| named(&Course::ALL, Course::key, &way));
        let tier = self.tier.map(|tier| Tier::from_key(&tier));
        let band = self.band.map(|band| named(&Band::ALL, Band::key, &band));
        let decision = named(&Severity::ALL, Severity::name, &self.decision);
        let reasons = self.reasons.iter().try_fold(ReasonSet::EMPTY, |set, code| {
            reason(code).map(|reason| set.with(reason))
        });
        Ok(Expectation {
            decision: decision.ok_or("'decision' is unknown")?,
            contract: contract.transpose()?,
            reasons: reasons?,
            reasons_only: self.reasons_only,
            deciding: deciding.transpose()?,
            taken: actions(&self.taken)?,
            withheld: actions(&self.withheld)?,
            course: known(course, "'way' is unknown")?,
            status: self.status,
            tier: known(tier, "'tier' is unknown")?,
            band: known(band, "'band' is unknown")?,
        })
    }
}

/// Nothing where nothing was said; a fault where it is no name.
fn known<T>(named: Option<Option<T>>, fault: &'static str) -> Result<Option<T>, &'static str> {
    named.map(|found| found.ok_or(fault)).transpose()
}

fn reason(code: &str) -> Result<Reason, &'static str> {
    named(&Reason::ALL, Reason::code, code).ok_or("a reason code is unknown")
}

fn actions(names: &[String]) -> Result<ActionSet, &'static str> {
    names.iter().try_fold(ActionSet::EMPTY, |set, name| {
        let action = Action::from_name(name).ok_or("an action is unknown")?;
        Ok(set.with(action))
    })
}
