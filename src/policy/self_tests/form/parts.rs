//! The parts of a state in canonical form.

use serde::{Deserialize, Serialize};

use crate::observation::Share;
use crate::policy::self_tests::state::{BurnShares, LimitState};
use crate::units::Millis;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShareForm {
    of: u32,
    part: u32,
}

/// `"spent"`, or `{"free_in_ms": 300}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum LimitForm {
    Spent,
    FreeInMs(u32),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TailForm {
    pub(super) baseline_us: u32,
    pub(super) p95_us: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadForm {
    pub(super) offered: u32,
    pub(super) spread: u32,
    pub(super) usual: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BurnForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    d3: Option<ShareForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h1: Option<ShareForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h6: Option<ShareForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    m30: Option<ShareForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    m5: Option<ShareForm>,
}

impl From<Share> for ShareForm {
    fn from(share: Share) -> Self {
        Self {
            of: share.whole,
            part: share.part,
        }
    }
}

impl From<ShareForm> for Share {
    fn from(form: ShareForm) -> Self {
        Self {
            part: form.part,
            whole: form.of,
        }
    }
}

impl From<LimitState> for LimitForm {
    fn from(limit: LimitState) -> Self {
        match limit {
            LimitState::Spent => Self::Spent,
            LimitState::FreeIn(wait) => Self::FreeInMs(wait.get()),
        }
    }
}

impl From<LimitForm> for LimitState {
    fn from(form: LimitForm) -> Self {
        match form {
            LimitForm::Spent => Self::Spent,
            LimitForm::FreeInMs(wait) => Self::FreeIn(Millis::new(wait)),
        }
    }
}

impl From<&BurnShares> for BurnForm {
    fn from(burn: &BurnShares) -> Self {
        Self {
            d3: burn.d3.map(Into::into),
            h1: burn.h1.map(Into::into),
            h6: burn.h6.map(Into::into),
            m30: burn.m30.map(Into::into),
            m5: burn.m5.map(Into::into),
        }
    }
}

impl From<BurnForm> for BurnShares {
    fn from(form: BurnForm) -> Self {
        Self {
            d3: form.d3.map(Into::into),
            h1: form.h1.map(Into::into),
            h6: form.h6.map(Into::into),
            m30: form.m30.map(Into::into),
            m5: form.m5.map(Into::into),
        }
    }
}
