//! The charter: what an installation forbids itself.

use super::Change;
use super::rows::Rows;
use super::table;
use crate::contract::compare::Mode;
use crate::policy::charter::Charter;

/// The name of the charter among the subjects of changes.
pub(super) const SUBJECT: &str = "charter";

/// Every change of the charter.
pub(super) fn compare(from: &Charter, to: &Charter, found: &mut Vec<Change>) {
    let rows = &mut Rows {
        subject: SUBJECT,
        owner: None,
        found,
    };
    // Backward forbids the least; strict and forward each forbid what the other does not.
    let row = match from.compatibility() {
        Mode::Backward => table::CHARTER_STRICTER,
        Mode::Strict | Mode::Forward => table::CHARTER_MILDER,
    };
    let [was, is] = [from, to].map(|charter| charter.compatibility().key());
    rows.text(row, "compatibility_mode", Some(was), Some(is));
    let [was, is] = [from, to].map(|charter| charter.deployment().key());
    rows.text(table::CHARTER_STRICTER, "deployment", Some(was), Some(is));
}
