//! Version and lifecycle of a contract: what callers may rely on, and for how long.

use super::bounds::is_guide;
use crate::contract::{
    ContractId, Lifecycle, LifecycleFault, LifecycleParts, Stability, Status, Version,
};
use crate::diagnostic::{Code, Place};
use crate::units::Date;
use crate::yaml::{Fields, Keys, Node, Sheet};

pub(super) const LIFECYCLE_KEYS: Keys = Keys::plain(
    "'lifecycle'",
    &[
        "status",
        "deprecated_on",
        "sunset_on",
        "successor",
        "stability",
        "migration_guide",
    ],
);

pub(super) fn read_version(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<Version> {
    let Some(node) = fields.get("version") else {
        return Some(Version::FIRST);
    };
    let text = sheet.text(node, "'version'", 64)?;
    let version = Version::parse(text);
    if version.is_none() {
        let message = format!("'version' is three numbers such as 1.0.0, not '{text}'");
        sheet.error(node.place, Code::ContractVersion, message);
    }
    version
}

/// A lifecycle, and where it names its successor.
pub(super) struct Life {
    pub(super) lifecycle: Lifecycle,
    pub(super) successor_place: Place,
}

pub(super) fn read_lifecycle(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<Life> {
    let Some(node) = fields.get("lifecycle") else {
        return Some(Life {
            lifecycle: Lifecycle::default(),
            successor_place: fields.place(),
        });
    };
    let fields = sheet.fields(node, &LIFECYCLE_KEYS)?;
    let status_node = sheet.required(fields, "status");
    let statuses = Status::ALL.map(Status::key);
    let status =
        status_node.and_then(|node| sheet.choice(node, "'status'", &statuses, Status::from_key));
    let stabilities = Stability::ALL.map(Stability::key);
    let stability = match fields.get("stability") {
        Some(node) => sheet.choice(node, "'stability'", &stabilities, Stability::from_key),
        None => Some(Stability::default()),
    };
    let deprecated_on = read_date(sheet, fields, "deprecated_on");
    let sunset_on = read_date(sheet, fields, "sunset_on");
    let successor = read_successor(sheet, fields);
    let migration_guide = read_guide(sheet, fields);
    let parts = LifecycleParts {
        status: status?,
        deprecated_on: deprecated_on?,
        sunset_on: sunset_on?,
        successor: successor?,
        stability: stability?,
        migration_guide: migration_guide?,
    };
    match Lifecycle::try_from(parts) {
        Ok(lifecycle) => Some(Life {
            lifecycle,
            successor_place: fields
                .get("successor")
                .map_or(node.place, |node| node.place),
        }),
        Err(fault) => {
            report(sheet, fields, fault);
            None
        }
    }
}

fn report(sheet: &mut Sheet<'_>, fields: Fields<'_>, fault: LifecycleFault) {
    let (code, key) = match fault {
        LifecycleFault::ShortNotice { .. } => (Code::ShortNotice, "sunset_on"),
        LifecycleFault::NotLeaving(_)
        | LifecycleFault::NoDeprecation(_)
        | LifecycleFault::NoSunset => (Code::LifecycleKeys, "status"),
    };
    let place = fields.get(key).map_or(fields.place(), |node| node.place);
    sheet.error(place, code, fault.to_string());
}

fn read_date(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str) -> Option<Option<Date>> {
    let Some(node) = fields.get(key) else {
        return Some(None);
    };
    let text = sheet.text(node, &format!("'{key}'"), 64)?;
    let day = Date::parse(text);
    if day.is_none() {
        let message = format!("'{key}' is a day such as 2026-01-31, not '{text}'");
        sheet.error(node.place, Code::NotADay, message);
    }
    day.map(Some)
}

fn read_successor(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<Option<ContractId>> {
    let Some(node) = fields.get("successor") else {
        return Some(None);
    };
    super::read_id(sheet, node, "'successor'").map(Some)
}

fn read_guide(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<Option<Box<str>>> {
    let Some(node) = fields.get("migration_guide") else {
        return Some(None);
    };
    let text = sheet.text(node, "'migration_guide'", super::bounds::GUIDE_CHARS_MAX)?;
    if !is_guide(text) {
        guide_fault(sheet, node);
        return None;
    }
    Some(Some(text.into()))
}

/// It becomes a header field, so it is spelled as one.
fn guide_fault(sheet: &mut Sheet<'_>, node: &Node) {
    let message = "'migration_guide' is a URL or a path without blanks, quotes and '<>'".to_owned();
    let remedy = "percent-encode what a URL cannot hold".to_owned();
    sheet.error_with(node.place, Code::Text, message, remedy);
}

/// A draft is observed, whatever its tier; one that says otherwise would mislead.
pub(super) fn draft_has_no_tier(sheet: &mut Sheet<'_>, fields: Fields<'_>, life: &Life) -> bool {
    let is_draft = life.lifecycle.status() == Status::Draft;
    let Some(node) = fields.get("tier").filter(|_| is_draft) else {
        return true;
    };
    let message = "'tier' means nothing with 'status: draft', which is only observed".to_owned();
    let remedy = "remove 'tier', or make the contract active".to_owned();
    sheet.error_with(node.place, Code::LifecycleKeys, message, remedy);
    false
}
