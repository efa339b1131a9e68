//! What is compared, and what is unusual in how the new one stands to the old one.

use serde::Serialize;

use crate::bundle::change::Classified;
use crate::bundle::verify::approval::{self, Predecessor};
use crate::cli::bundle::content::Content;
use crate::cli::bundle::facts::Facts;
use crate::units::Date;

/// One side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Side {
    Bundle(Box<Facts>),
    /// A configuration, or a content file, which says nothing of a tier.
    Content {
        content_digest: String,
        tier_max: Option<&'static str>,
    },
}

impl Side {
    pub(super) fn of(content: &Content) -> Self {
        match &content.bundle {
            Some(facts) => Self::Bundle(Box::new(facts.clone())),
            None => Self::Content {
                content_digest: content.policy_hash(),
                tier_max: content.tier.map(crate::units::Tier::key),
            },
        }
    }

    pub(super) fn bundle(&self) -> Option<&Facts> {
        match self {
            Self::Bundle(facts) => Some(facts),
            Self::Content { .. } => None,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Bundle(facts) => facts.text(),
            Self::Content { content_digest, .. } => format!("content {content_digest}, no bundle"),
        }
    }
}

/// Judges an emergency measure as a gateway would. Gives why it is none, where it claims to be one
/// and is not; the classes are those of a usual bundle then.
pub(super) fn emergency(
    old: &Content,
    new: &Content,
    classified: Classified,
) -> (Classified, Option<String>) {
    let glass = new
        .bundle
        .as_ref()
        .and_then(|facts| facts.breakglass.as_ref());
    let facts = old.bundle.as_ref();
    let is_measure = facts.is_some_and(|facts| facts.breakglass.is_some());
    let before = if is_measure {
        Predecessor::Measure
    } else {
        Predecessor::Bundle
    };
    match approval::classes(glass.is_some(), classified.clone(), before) {
        Ok(classified) => (classified, None),
        Err(refused) => (classified, Some(refused.to_string())),
    }
}

/// What people have to know of the new one besides its changes; one sentence each.
pub(super) fn remarks(old: &Side, new: &Side, too_wide: Option<&str>) -> Vec<String> {
    let Some(facts) = new.bundle() else {
        return Vec::new();
    };
    let mut told = Vec::new();
    if follows(old, new) == Some(false) {
        let parent = facts.parent.as_deref().unwrap_or("none");
        told.push(format!("NEW does not follow OLD: its parent is {parent}"));
    }
    if let Some(digest) = &facts.revert_of {
        told.push(format!("brings back the content of {digest}"));
    }
    if let Some(request) = &facts.change_request {
        told.push(format!("change request: {request}"));
    }
    if let Some(glass) = &facts.breakglass {
        let (reason, until) = (&glass.reason, day_and_time(glass.until_us));
        told.push(format!("break-glass until {until}: {reason}"));
    }
    told.extend(too_wide.map(str::to_owned));
    told
}

/// Whether the new one names the old one as its parent; `None` where one of them is no bundle.
pub(super) fn follows(old: &Side, new: &Side) -> Option<bool> {
    let (old, new) = (old.bundle()?, new.bundle()?);
    Some(new.parent.as_ref() == Some(&old.digest))
}

/// A time in UTC, to the second.
fn day_and_time(at_us: u64) -> String {
    let second = at_us / 1_000_000;
    let (hour, minute) = (second / 3_600 % 24, second / 60 % 60);
    format!(
        "{} {hour:02}:{minute:02}:{:02} UTC",
        Date::of_unix_us(at_us),
        second % 60
    )
}
