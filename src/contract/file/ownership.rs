//! Who answers for a contract, and the service that it is part of.
//!
//! What the contract says wins over `OWNERS.yaml`. Once there is such a file, every contract has
//! an owner and a backup: whoever writes it has decided that somebody can always be asked. Without
//! one, a contract that nobody answers for is a warning, as for whoever just tries things out.

use super::bounds::OWNER_CHARS_MAX;
use super::owners::{FileOwners, Stewards};
use crate::contract::ContractId;
use crate::diagnostic::{Code, Place};
use crate::yaml::{Fields, Node, Sheet};

/// The file of owners, as the contracts of one file see it.
#[derive(Debug, Clone, Copy, Default)]
pub enum OwnersFile<'a> {
    /// There is none.
    #[default]
    Absent,
    /// There is one with faults: nothing is said about what it could have given.
    Faulty,
    /// What it says of this file.
    Read(&'a FileOwners<'a>),
}

/// Who answers, with what `OWNERS.yaml` adds; `None` on a fault.
pub(super) fn read_ownership(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    id: Option<&ContractId>,
    owners: OwnersFile<'_>,
) -> Option<Stewards> {
    let owner = read_name(sheet, fields, "owner");
    let backup_owner = read_name(sheet, fields, "backup_owner");
    let service = match fields.get("service") {
        Some(node) => read_service(sheet, node).map(Some),
        None => Some(None),
    };
    let (owner, backup_owner, service) = (owner?, backup_owner?, service?);
    let given = match owners {
        OwnersFile::Read(file) => file.of(id),
        _ => Stewards::default(),
    };
    let stewards = Stewards {
        owner: owner.or(given.owner),
        backup_owner: backup_owner.or(given.backup_owner),
        service: service.or(given.service),
    };
    report_missing(sheet, fields.place(), owners, &stewards);
    Some(stewards)
}

fn report_missing(
    sheet: &mut Sheet<'_>,
    place: Place,
    owners: OwnersFile<'_>,
    stewards: &Stewards,
) {
    let missing = match (owners, &stewards.owner, &stewards.backup_owner) {
        (OwnersFile::Absent, None, _) => {
            let message = "nobody answers for this contract".to_owned();
            return sheet.warning(place, Code::NoOwner, message);
        }
        (OwnersFile::Absent | OwnersFile::Faulty, ..) => return,
        (OwnersFile::Read(_), Some(owner), Some(backup)) if owner == backup => {
            format!("'{owner}' is the owner, and nobody else the backup")
        }
        (OwnersFile::Read(_), Some(_), Some(_)) => return,
        (OwnersFile::Read(_), None, None) => "nobody answers for this contract".to_owned(),
        (OwnersFile::Read(_), None, _) => "this contract has no owner".to_owned(),
        (OwnersFile::Read(_), _, None) => "this contract has no backup owner".to_owned(),
    };
    sheet.error(place, Code::OwnerMissing, missing);
}

/// A name that may be left out; `None` on a fault.
fn read_name(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str) -> Option<Option<Box<str>>> {
    let Some(node) = fields.get(key) else {
        return Some(None);
    };
    let name = sheet.text(node, &format!("'{key}'"), OWNER_CHARS_MAX)?;
    Some(Some(name.into()))
}

/// The name of a service: of the same form as an id, because commands and reports name it.
pub(super) fn read_service(sheet: &mut Sheet<'_>, node: &Node) -> Option<Box<str>> {
    let text = sheet.text(node, "'service'", 256)?;
    if ContractId::new(text).is_none() {
        let message = "'service' is 1 to 64 of a-z, 0-9, '_', '.', '-'".to_owned();
        sheet.error(node.place, Code::ServiceName, message);
        return None;
    }
    Some(text.into())
}

/// A contract whose requests go to servers of another service.
pub(super) fn report_foreign_upstream(
    sheet: &mut Sheet<'_>,
    place: Place,
    owners: OwnersFile<'_>,
    stewards: &Stewards,
    upstream: &str,
) {
    let (OwnersFile::Read(file), Some(service)) = (owners, &stewards.service) else {
        return;
    };
    if let Some(other) = file
        .service_of(upstream)
        .filter(|other| **other != **service)
    {
        let message =
            format!("the upstream '{upstream}' belongs to '{other}', this contract to '{service}'");
        sheet.error(place, Code::ForeignUpstream, message);
    }
}
