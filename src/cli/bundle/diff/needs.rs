//! Which signatures a change takes under a root, besides the author's, as data and as text.
//!
//! Counted by the gateway's own rule; whether it is one of production is what the root says.

use serde::Serialize;

use crate::bundle::change::Classified;
use crate::bundle::root::Root;
use crate::bundle::verify::approval;

/// The signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Needs {
    /// How many principals with the role approver or security.
    pub(super) approvers: u64,
    /// Whether one of them has the role security.
    pub(super) security: bool,
    /// The groups of which one each has to be among them.
    pub(super) owners: Vec<String>,
}

impl Needs {
    /// What these classes take under this root.
    pub(super) fn of(root: &Root, classified: &Classified) -> Self {
        let approval::Needs {
            approvers,
            security,
            owners,
        } = approval::needs(root, classified, false);
        Self {
            approvers,
            security,
            owners: owners.into_iter().collect(),
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
