//! From the tree of `OWNERS.yaml` to what it says.

use std::collections::BTreeMap;

use super::{Entry, Owners, Stewards};
use crate::contract::ContractId;
use crate::contract::file::bounds::OWNER_CHARS_MAX;
use crate::contract::file::ownership::read_service;
use crate::diagnostic::{Code, Place};
use crate::yaml::{Fields, Keys, Node, Sheet};

pub(super) const FILE_KEYS: Keys = Keys {
    what: "a file of owners",
    known: &["version", "owners", "services", "handles"],
    later: &[],
    computed: &["policy_hash", "content_digest"],
};
pub(super) const ENTRY_KEYS: Keys = Keys::plain(
    "an entry of owners",
    &[
        "contract",
        "file",
        "folder",
        "owner",
        "backup_owner",
        "service",
    ],
);
pub(super) const SERVICE_KEYS: Keys = Keys::plain("a service", &["upstreams"]);

/// The most entries; of files, a tenth of that.
pub(super) const ENTRIES_MAX: usize = 10_000;
pub(super) const PATH_CHARS_MAX: usize = 256;

/// What `OWNERS.yaml` says; `None` where a part of it had a fault, which is reported.
pub fn read_owners(sheet: &mut Sheet<'_>, root: &Node) -> Option<Owners> {
    let fields = sheet.fields(root, &FILE_KEYS)?;
    sheet.format_version(fields);
    let mut owners = Owners::default();
    if let Some(node) = fields.get("services") {
        read_services(sheet, node, &mut owners);
    }
    if let Some(node) = fields.get("handles") {
        read_handles(sheet, node, &mut owners);
    }
    let list = sheet.required(fields, "owners");
    let items = list.and_then(|node| sheet.list(node, "'owners'"));
    let items = items.unwrap_or_default();
    if items.len() > ENTRIES_MAX {
        let message = format!("there are more than {ENTRIES_MAX} entries of owners");
        sheet.error(root.place, Code::TooMany, message);
        return None;
    }
    for item in items {
        read_entry(sheet, item, &mut owners);
    }
    if owners.files.len() > ENTRIES_MAX / 10 {
        let message = format!("more than {} entries name files", ENTRIES_MAX / 10);
        sheet.error(root.place, Code::TooMany, message);
    }
    (!sheet.has_errors()).then_some(owners)
}

fn read_services(sheet: &mut Sheet<'_>, node: &Node, owners: &mut Owners) {
    for (key, value) in sheet.entries(node, "'services'").unwrap_or_default() {
        if ContractId::new(&key.text).is_none() {
            let message = "the name of a service is 1 to 64 of a-z, 0-9, '_', '.', '-'".to_owned();
            sheet.error(key.place, Code::ServiceName, message);
        }
        let fields = sheet.fields(value, &SERVICE_KEYS);
        let list = fields.and_then(|fields| sheet.required(fields, "upstreams"));
        let items = list.and_then(|node| sheet.list(node, "'upstreams'"));
        for item in items.unwrap_or_default() {
            let Some(name) = sheet.text(item, "an upstream", 64) else {
                continue;
            };
            let entry = (key.text.clone(), item.place);
            if let Some((other, _)) = owners.upstreams.insert(name.into(), entry) {
                let message = format!("the upstream '{name}' belongs to '{other}' already");
                sheet.error(item.place, Code::OwnersClash, message);
            }
        }
    }
}

fn read_handles(sheet: &mut Sheet<'_>, node: &Node, owners: &mut Owners) {
    for (key, value) in sheet.entries(node, "'handles'").unwrap_or_default() {
        let handle = sheet.text(value, "a handle", OWNER_CHARS_MAX);
        let Some(handle) = handle else { continue };
        // Forges know accounts, teams and addresses; a space would begin another owner.
        if !handle.contains('@') || handle.contains(char::is_whitespace) {
            let message = "a handle is '@name', '@organisation/team' or an address".to_owned();
            let remedy = "write the handle as the forge knows it".to_owned();
            sheet.error_with(value.place, Code::Text, message, remedy);
        }
        owners.handles.insert(key.text.clone(), handle.into());
    }
}

fn read_entry(sheet: &mut Sheet<'_>, node: &Node, owners: &mut Owners) {
    let Some(fields) = sheet.fields(node, &ENTRY_KEYS) else {
        return;
    };
    let stewards = Stewards {
        owner: text(sheet, fields, "owner"),
        backup_owner: text(sheet, fields, "backup_owner"),
        service: fields
            .get("service")
            .and_then(|node| read_service(sheet, node)),
    };
    let says = |key| fields.get(key).is_some();
    if !["owner", "backup_owner", "service"].into_iter().any(says) {
        let message = "this entry gives no owner, backup or service".to_owned();
        let remedy = "add 'owner' and 'backup_owner', or remove the entry".to_owned();
        sheet.error_with(fields.place(), Code::MissingKey, message, remedy);
    }
    let entry = Entry {
        place: node.place,
        stewards,
    };
    let named = ["contract", "file", "folder"].map(|key| fields.get(key));
    match named {
        [Some(node), None, None] => {
            let id = sheet.text(node, "'contract'", 64).map(ContractId::new);
            match id {
                Some(Some(id)) => {
                    let first = owners.contracts.insert(id, entry);
                    report_second(sheet, node.place, first.as_ref());
                }
                Some(None) => sheet.error(
                    node.place,
                    Code::ContractId,
                    "'contract' is the id of a contract".to_owned(),
                ),
                None => {}
            }
        }
        [None, Some(node), None] => insert(sheet, node, "'file'", entry, &mut owners.files),
        [None, None, Some(node)] => insert(sheet, node, "'folder'", entry, &mut owners.folders),
        _ => {
            let message = "an entry names one of 'contract', 'file' and 'folder'".to_owned();
            let remedy = "write one of the three; 'folder: .' stands for all files".to_owned();
            sheet.error_with(fields.place(), Code::MissingKey, message, remedy);
        }
    }
}

fn text(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str) -> Option<Box<str>> {
    let node = fields.get(key)?;
    let text = sheet.text(node, &format!("'{key}'"), OWNER_CHARS_MAX)?;
    Some(text.into())
}

fn insert(
    sheet: &mut Sheet<'_>,
    node: &Node,
    what: &str,
    entry: Entry,
    entries: &mut BTreeMap<Box<str>, Entry>,
) {
    let Some(text) = sheet.text(node, what, PATH_CHARS_MAX) else {
        return;
    };
    let path = match text.trim_end_matches('/') {
        "" | "." => ".",
        path => path,
    };
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if path != "." && !path.split('/').all(is_plain) {
        let message = format!("{what} is a path below the contracts folder, without '.' and '..'");
        sheet.error(node.place, Code::Text, message);
        return;
    }
    let first = entries.insert(path.into(), entry);
    report_second(sheet, node.place, first.as_ref());
}

fn report_second(sheet: &mut Sheet<'_>, place: Place, first: Option<&Entry>) {
    if let Some(first) = first {
        let (line, column) = (first.place.line, first.place.column);
        let message = format!("the entry at {line}:{column} names the same");
        sheet.error(place, Code::OwnersClash, message);
    }
}
