//! How retries are known, and how many of our own are sent.

use crate::contract::file::bounds::field_fault;
use crate::diagnostic::Code;
use crate::policy::bounds::RETRY_FIELDS_MAX;
use crate::policy::rules::RetryRules;
use crate::units::BasisPoints;
use crate::yaml::{Keys, Node, Sheet};

pub(super) const RETRY_KEYS: Keys = Keys::plain("'retry'", &["headers", "budget"]);

/// The most characters of a name that is looked at.
const NAME_CHARS_MAX: usize = 256;

/// `None` where something was reported; every key is read, so that every fault is.
pub(super) fn read_retry(sheet: &mut Sheet<'_>, node: &Node) -> Option<RetryRules> {
    let fields = sheet.fields(node, &RETRY_KEYS)?;
    let default = RetryRules::default();
    let headers = match fields.get("headers") {
        Some(node) => read_headers(sheet, node),
        None => Some(default.headers),
    };
    // 0 is a choice here: no retries of our own.
    let budget = match fields.get("budget") {
        Some(node) => {
            let share = sheet.share(node, "'budget'", 4);
            share.and_then(BasisPoints::new)
        }
        None => Some(default.budget),
    };
    Some(RetryRules {
        headers: headers?,
        budget: budget?,
    })
}

fn read_headers(sheet: &mut Sheet<'_>, node: &Node) -> Option<Box<[Box<str>]>> {
    let items = sheet.list(node, "'headers'")?;
    if items.len() > RETRY_FIELDS_MAX {
        let message = format!(
            "there are {} fields, more than {RETRY_FIELDS_MAX}",
            items.len()
        );
        sheet.error(node.place, Code::RetryFields, message);
        return None;
    }
    let mut names: Vec<Box<str>> = Vec::with_capacity(items.len());
    let mut is_whole = true;
    for item in items {
        match read_name(sheet, item, &names) {
            Some(name) => names.push(name),
            None => is_whole = false,
        }
    }
    is_whole.then(|| names.into())
}

/// Field names mean the same in upper and lower case, so they are kept in lower case.
fn read_name(sheet: &mut Sheet<'_>, node: &Node, before: &[Box<str>]) -> Option<Box<str>> {
    let text = sheet.text(node, "a field", NAME_CHARS_MAX)?;
    let name = text.to_ascii_lowercase();
    let fault = match field_fault(&name) {
        None if before.iter().any(|other| **other == *name) => Some("stands twice"),
        fault => fault,
    };
    if let Some(fault) = fault {
        let short: String = text.chars().take(80).collect();
        let message = format!("'{short}' {fault}");
        sheet.error(node.place, Code::RetryFields, message);
        return None;
    }
    Some(name.into())
}
