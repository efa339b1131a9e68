//! Which signatures a change takes under a root, besides the author's.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::bundle::change::{Class, Classified, Verdict};
use crate::bundle::root::Root;

/// In production no change takes fewer.
const PRODUCTION_FLOOR: u64 = 2;

/// The signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Needs {
    /// How many principals with the role approver or security.
    pub(super) approvers: u64,
    /// Whether one of them has the role security.
    pub(super) security: bool,
    /// The groups of which one each has to be among them.
    pub(super) owners: BTreeSet<String>,
}

impl Needs {
    /// What these classes take under this root. The root says whether it is one of production.
    pub(super) fn of(root: &Root, classified: &Classified) -> Self {
        let of = root.parts().thresholds;
        let count = |class: &Class| match class {
            Class::Tighten => of.tighten,
            Class::Breaking => of.breaking,
            Class::Loosen => of.loosen,
            Class::Authority => of.authority,
            Class::Breakglass => of.breakglass,
        };
        let most = classified
            .classes
            .iter()
            .map(count)
            .max()
            .unwrap_or(of.tighten);
        let floor = if root.parts().is_production {
            PRODUCTION_FLOOR
        } else {
            1
        };
        let changes = classified.changes.iter();
        let breaks = changes.filter(|change| change.consumer == Verdict::Breaking);
        Self {
            approvers: most.max(floor),
            security: classified.classes.contains(&Class::Loosen),
            owners: breaks.filter_map(|change| change.owner.clone()).collect(),
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{} besides the author's", self.approvers);
        if self.security {
            text += ", one of them from security";
        }
        for owner in &self.owners {
            text += &format!(", one of them from {owner}");
        }
        text
    }
}
