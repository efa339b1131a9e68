//! The charter in canonical form; what says nothing but the default is left out.

use serde::{Deserialize, Serialize};

use super::ReadError;
use crate::contract::compare::Mode;
use crate::policy::charter::{Charter, Deployment};

/// The members.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CharterForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compatibility_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deployment: Option<String>,
}

impl From<&Charter> for CharterForm {
    fn from(charter: &Charter) -> Self {
        let default = Charter::default();
        let (mode, deployment) = (charter.compatibility(), charter.deployment());
        Self {
            compatibility_mode: (mode != default.compatibility()).then(|| mode.key().to_owned()),
            deployment: (deployment != default.deployment()).then(|| deployment.key().to_owned()),
        }
    }
}

impl TryFrom<CharterForm> for Charter {
    type Error = ReadError;

    fn try_from(form: CharterForm) -> Result<Self, ReadError> {
        let bad = |reason| ReadError::value("charter", reason);
        let default = Self::default();
        let mode = match form.compatibility_mode {
            Some(key) => Mode::from_key(&key).ok_or_else(|| bad("no such compatibility_mode"))?,
            None => default.compatibility(),
        };
        let deployment = match form.deployment {
            Some(key) => Deployment::from_key(&key).ok_or_else(|| bad("no such deployment"))?,
            None => default.deployment(),
        };
        Self::new(mode, deployment).ok_or_else(|| bad("the mode does not fit the deployment"))
    }
}
