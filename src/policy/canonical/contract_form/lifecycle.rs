//! Version and lifecycle in canonical form: left out where they say nothing but the defaults, so
//! that the content of contracts without them keeps its digest.

use serde::{Deserialize, Serialize};

use crate::contract::file::bounds::is_guide;
use crate::contract::{
    Contract, ContractId, Lifecycle, LifecycleParts, Stability, Status, Version,
};
use crate::units::Date;

/// The members of a lifecycle; absent ones are left out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LifecycleForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deprecated_on: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    migration_guide: Option<String>,
    stability: String,
    status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    successor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sunset_on: Option<String>,
}

impl LifecycleForm {
    /// `None` where the contract says nothing but the defaults.
    pub(super) fn of(contract: &Contract) -> Option<Self> {
        let lifecycle = contract.lifecycle();
        let parts = lifecycle.parts();
        (!lifecycle.is_default()).then(|| Self {
            deprecated_on: parts.deprecated_on.map(|day| day.to_string()),
            migration_guide: parts.migration_guide.as_deref().map(str::to_owned),
            stability: parts.stability.key().to_owned(),
            status: parts.status.key().to_owned(),
            successor: parts.successor.as_ref().map(|id| id.as_str().to_owned()),
            sunset_on: parts.sunset_on.map(|day| day.to_string()),
        })
    }

    /// `None` where it is not valid.
    fn lifecycle(&self) -> Option<Lifecycle> {
        let guide = self.migration_guide.as_deref();
        if guide.is_some_and(|guide| !is_guide(guide)) {
            return None;
        }
        let day = |text: &Option<String>| match text {
            Some(text) => Date::parse(text).map(Some),
            None => Some(None),
        };
        let successor = match &self.successor {
            Some(id) => Some(ContractId::new(id)?),
            None => None,
        };
        let parts = LifecycleParts {
            status: Status::from_key(&self.status)?,
            deprecated_on: day(&self.deprecated_on)?,
            sunset_on: day(&self.sunset_on)?,
            successor,
            stability: Stability::from_key(&self.stability)?,
            migration_guide: guide.map(Into::into),
        };
        Lifecycle::try_from(parts).ok()
    }
}

/// The lifecycle of a member that may be left out; `None` where it is not valid.
pub(super) fn lifecycle(form: Option<&LifecycleForm>) -> Option<Lifecycle> {
    form.map_or_else(|| Some(Lifecycle::default()), LifecycleForm::lifecycle)
}

/// The member `version`; `None` for the first one.
pub(super) fn version_text(version: Version) -> Option<String> {
    (version != Version::FIRST).then(|| version.to_string())
}

/// The version of a member that may be left out; `None` where it is not valid.
pub(super) fn version(text: Option<&str>) -> Option<Version> {
    text.map_or(Some(Version::FIRST), Version::parse)
}
