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

#[cfg(test)]
mod tests {
    use crate::contract::{
        Contract, ContractId, ContractParts, Lifecycle, LifecycleParts, Method, MethodSet, Status,
        Terms, Version,
    };
    use crate::policy::canonical::{read, write};
    use crate::policy::rules::Rules;
    use crate::units::Date;

    fn contract(id: &str, version: Version, lifecycle: LifecycleParts) -> Contract {
        let methods = MethodSet::EMPTY.with(Method::Get);
        let id = ContractId::new(id).expect("an id");
        let endpoint = format!("GET /{}", id.as_str());
        Contract::new(ContractParts {
            version,
            lifecycle: Lifecycle::try_from(lifecycle).expect("a lifecycle"),
            ..ContractParts::new(id, &endpoint, methods, Terms::default())
        })
    }

    fn text(contracts: &[Contract]) -> String {
        let content = write(contracts, &Rules::default()).expect("canonical content");
        String::from_utf8(content.bytes().to_vec()).expect("UTF-8")
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        let silent = contract("a", Version::FIRST, LifecycleParts::default());
        let written = text(&[silent]);
        let (contracts, _) = written.split_once("\"format_version\"").expect("contracts");
        assert!(!contracts.contains("version") && !contracts.contains("lifecycle"));
    }

    #[test]
    fn a_lifecycle_reads_back_and_nothing_else_does() {
        let old = LifecycleParts {
            status: Status::Deprecated,
            deprecated_on: Date::parse("2025-01-01"),
            sunset_on: Date::parse("2025-07-01"),
            successor: ContractId::new("b"),
            migration_guide: Some("/guide".into()),
            ..LifecycleParts::default()
        };
        let draft = LifecycleParts {
            status: Status::Draft,
            ..LifecycleParts::default()
        };
        let contracts = [
            contract("a", Version::parse("2.1.0").expect("a version"), old),
            contract("b", Version::FIRST, draft),
        ];
        let text = text(&contracts);
        let (again, _) = read(text.as_bytes()).expect("canonical content");
        assert_eq!(again, contracts);
        for (from, to, message) in [
            ("\"2.1.0\"", "\"1.0.0\"", "canonical form"),
            ("\"2.1.0\"", "\"2.1\"", "version"),
            ("2025-07-01", "2025-06-01", "lifecycle"),
            ("2025-07-01", "2025-06-31", "lifecycle"),
            ("\"deprecated\"", "\"active\"", "lifecycle"),
            ("\"deprecated\"", "\"gone\"", "lifecycle"),
            ("\"stable\"", "\"firm\"", "lifecycle"),
            ("\"/guide\"", "\"<guide>\"", "lifecycle"),
            ("\"successor\":\"b\"", "\"successor\":\"c\"", "successor"),
            ("\"successor\":\"b\"", "\"successor\":\"a\"", "successor"),
            ("\"successor\":\"b\"", "\"successor\":\"B\"", "lifecycle"),
            ("\"draft\"", "\"active\"", "canonical form"),
            (
                "\"observe_only\",\"timeout",
                "\"control\",\"timeout",
                "canonical form",
            ),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let error = read(changed.as_bytes()).expect_err(to);
            assert!(error.to_string().contains(message), "{to}: {error}");
        }
    }
}
