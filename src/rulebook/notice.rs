//! What answers of a deprecated contract tell their callers, written out when the rulebook is made.
//!
//! Invariant: every text is the value of a header field. Whether it may be told (the tier) and who
//! was told are decided elsewhere.

use std::time::{Duration, UNIX_EPOCH};

use crate::contract::{Catalogue, Contract, Segment, Template};

/// The fields that tell callers to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeprecationNotice {
    deprecation: Box<str>,
    sunset: Option<Box<str>>,
    links: Option<Box<str>>,
}

impl DeprecationNotice {
    /// `None` where callers are not told to leave.
    #[must_use]
    pub fn of(contract: &Contract, catalogue: &Catalogue) -> Option<Self> {
        let parts = contract.lifecycle().parts();
        let since = parts.deprecated_on.filter(|_| parts.status.is_leaving())?;
        let sunset = parts.sunset_on.map(|day| {
            let at = UNIX_EPOCH + Duration::from_secs(day.unix_seconds());
            httpdate::fmt_http_date(at).into()
        });
        let guide = parts
            .migration_guide
            .as_deref()
            .filter(|guide| is_linkable(guide));
        let guide = guide.map(|guide| format!("<{guide}>; rel=\"deprecation\""));
        let successor = parts.successor.as_ref().and_then(|id| {
            // They are sorted by id.
            let contracts = catalogue.contracts();
            let place = contracts.binary_search_by(|contract| contract.id().cmp(id));
            place.ok().and_then(|place| contracts.get(place))
        });
        let successor = successor.and_then(plain_path);
        let successor = successor.map(|path| format!("<{path}>; rel=\"successor-version\""));
        let links: Vec<String> = guide.into_iter().chain(successor).collect();
        Some(Self {
            deprecation: format!("@{}", since.unix_seconds()).into(),
            sunset,
            links: (!links.is_empty()).then(|| links.join(", ").into()),
        })
    }

    /// One that says all that a notice can say.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        Self {
            deprecation: "@1735689600".into(),
            sunset: Some("Tue, 01 Jul 2025 00:00:00 GMT".into()),
            links: Some("</v2>; rel=\"successor-version\"".into()),
        }
    }

    /// The value of `Deprecation` (RFC 9745).
    #[must_use]
    pub fn deprecation(&self) -> &str {
        &self.deprecation
    }

    /// The value of `Sunset` (RFC 8594).
    #[must_use]
    pub fn sunset(&self) -> Option<&str> {
        self.sunset.as_deref()
    }

    /// The value of `Link`: where to read on, and what to use instead.
    #[must_use]
    pub fn links(&self) -> Option<&str> {
        self.links.as_deref()
    }
}

/// Whether callers could follow it: not a place in somebody's repository.
fn is_linkable(guide: &str) -> bool {
    ["https://", "http://", "/"]
        .iter()
        .any(|start| guide.starts_with(start))
}

/// A template that is a path as it stands.
fn plain_path(contract: &Contract) -> Option<&str> {
    let template = Template::parse(contract.template()).ok()?;
    let is_plain = template
        .segments()
        .iter()
        .all(|segment| matches!(segment, Segment::Literal(_)));
    is_plain.then(|| contract.template())
}

#[cfg(test)]
mod tests {
    use super::DeprecationNotice;
    use crate::contract::{
        Catalogue, Contract, ContractId, ContractParts, Lifecycle, LifecycleParts, Method,
        MethodSet, Status, Terms,
    };
    use crate::units::Date;

    fn contract(id: &str, endpoint: &str, lifecycle: LifecycleParts) -> Contract {
        let id = ContractId::new(id).expect("an id");
        let methods = MethodSet::EMPTY.with(Method::Get);
        Contract::new(ContractParts {
            lifecycle: Lifecycle::try_from(lifecycle).expect("a lifecycle"),
            ..ContractParts::new(id, endpoint, methods, Terms::default())
        })
    }

    // R022
    #[test]
    fn a_notice_is_written_as_header_fields() {
        let check = |guide: Option<&str>, successor: Option<&str>, links: Option<&str>| {
            let old = LifecycleParts {
                status: Status::Deprecated,
                deprecated_on: Date::parse("2025-01-01"),
                sunset_on: Date::parse("2025-07-01"),
                successor: successor.and_then(ContractId::new),
                migration_guide: guide.map(Into::into),
                ..LifecycleParts::default()
            };
            let contracts = vec![
                contract("old", "GET /v1/a", old),
                contract("plain", "GET /v2/a", LifecycleParts::default()),
                contract("open", "GET /v3/{id}", LifecycleParts::default()),
            ];
            let catalogue = Catalogue::build(contracts).expect("no collisions");
            let old = catalogue.contracts().first().expect("the old one");
            let notice = DeprecationNotice::of(old, &catalogue).expect("a notice");
            assert_eq!(notice.deprecation(), "@1735689600");
            assert_eq!(notice.sunset(), Some("Tue, 01 Jul 2025 00:00:00 GMT"));
            assert_eq!(notice.links(), links);
            let others = catalogue.contracts().iter().skip(1);
            assert!(others.rev().all(
                |c| c.id().as_str() == "old" || DeprecationNotice::of(c, &catalogue).is_none()
            ));
        };
        let guide = "<https://example.org/v2>; rel=\"deprecation\"";
        let successor = "</v2/a>; rel=\"successor-version\"";
        check(None, None, None);
        check(Some("https://example.org/v2"), None, Some(guide));
        check(Some("docs/v2.md"), None, None);
        check(None, Some("plain"), Some(successor));
        check(None, Some("open"), None);
        let both = format!("{guide}, {successor}");
        check(Some("https://example.org/v2"), Some("plain"), Some(&both));
    }
}
