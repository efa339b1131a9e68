//! Who may call a contract.

use super::bounds::{CALLER_CHARS_MAX, CONSUMERS_MAX};
use crate::diagnostic::Code;
use crate::yaml::{Fields, Node, Sheet};

/// The names, none where anybody may call; `None` on a fault.
pub(super) fn read_consumers(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<Vec<Box<str>>> {
    let Some(node) = fields.get("consumers") else {
        return Some(Vec::new());
    };
    let items = sheet.list(node, "'consumers'")?;
    if items.is_empty() {
        // An empty list could be meant as nobody; without the key it is anybody.
        let message = "'consumers' names nobody".to_owned();
        let remedy = "name the callers, or leave the key out to let anybody call".to_owned();
        sheet.error_with(node.place, Code::MissingKey, message, remedy);
        return None;
    }
    if items.len() > CONSUMERS_MAX {
        let message = format!(
            "'consumers' has {} names, more than {CONSUMERS_MAX}",
            items.len()
        );
        sheet.error(node.place, Code::TooMany, message);
        return None;
    }
    let mut is_whole = true;
    let mut names: Vec<Box<str>> = Vec::with_capacity(items.len());
    for item in items {
        match read_name(sheet, item, &names) {
            Some(name) => names.push(name),
            None => is_whole = false,
        }
    }
    is_whole.then_some(names)
}

fn read_name(sheet: &mut Sheet<'_>, node: &Node, known: &[Box<str>]) -> Option<Box<str>> {
    let name = sheet.text(node, "a name of 'consumers'", CALLER_CHARS_MAX)?;
    if known.iter().any(|known| **known == *name) {
        let message = format!("'{name}' stands in 'consumers' twice");
        sheet.error(node.place, Code::DuplicateKey, message);
        return None;
    }
    Some(name.into())
}
