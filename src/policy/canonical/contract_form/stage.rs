//! How far a contract has been rolled out, in canonical form.

use serde::{Deserialize, Serialize};

use crate::contract::Stage;
use crate::units::BasisPoints;

/// `"shadow"`, `"retired"`, or `{"canary_bp": 1000}`; left out where the contract is enforced, so
/// that contracts without a stage are written as they ever were.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StageForm {
    Shadow,
    Retired,
    CanaryBp(u64),
}

impl StageForm {
    pub(super) const fn of(stage: Stage) -> Option<Self> {
        match stage {
            Stage::Enforced => None,
            Stage::Shadow => Some(Self::Shadow),
            Stage::Retired => Some(Self::Retired),
            Stage::Canary(share) => Some(Self::CanaryBp(share.wide())),
        }
    }

    /// `None` where the share is out of range.
    pub(super) fn terms(self) -> Option<Stage> {
        match self {
            Self::Shadow => Some(Stage::Shadow),
            Self::Retired => Some(Stage::Retired),
            Self::CanaryBp(share) => BasisPoints::new(share).map(Stage::Canary),
        }
    }
}
