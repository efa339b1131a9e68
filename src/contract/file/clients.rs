//! The limit of each single client, and who counts as one.

use std::num::NonZeroU32;

use super::bounds::{COUNT_MAX, client_key};
use super::numbers::count;
use crate::diagnostic::{Code, Place};
use crate::units::PerMinute;
use crate::yaml::{Fields, Keys, Node, Sheet};

pub(super) const CLIENT_KEYS: Keys =
    Keys::plain("'per_client'", &["key", "rate_limit_rpm", "burst"]);

/// The most characters of a key that a message shows.
const KEY_CHARS_MAX: usize = 256;

/// What a contract says of single clients.
pub(super) struct PerClient {
    /// The field that names the client, or what stands for its certificate; `None` = its address.
    pub(super) header: Option<Box<str>>,
    pub(super) rate_limit: PerMinute,
    pub(super) burst: Option<NonZeroU32>,
    pub(super) rate_place: Place,
    /// Where the burst stands, if it is said.
    pub(super) burst_place: Option<Place>,
}

/// `Some(None)` where nothing is said of them; every key is read, so that every fault is reported.
pub(super) fn read_per_client(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
) -> Option<Option<PerClient>> {
    let Some(node) = fields.get("per_client") else {
        return Some(None);
    };
    let fields = sheet.fields(node, &CLIENT_KEYS)?;
    let header = match fields.get("key") {
        Some(node) => read_key(sheet, node),
        None => Some(None),
    };
    let rate_node = sheet.required(fields, "rate_limit_rpm");
    let rate_limit = rate_node.and_then(|node| {
        let rate = sheet.integer(node, "'rate_limit_rpm'", 1, u64::from(COUNT_MAX))?;
        u32::try_from(rate).ok().and_then(PerMinute::new)
    });
    let burst = count(sheet, fields, "burst");
    Some(Some(PerClient {
        header: header?,
        rate_limit: rate_limit?,
        burst: burst?,
        rate_place: rate_node?.place,
        burst_place: fields.get("burst").map(|node| node.place),
    }))
}

fn read_key(sheet: &mut Sheet<'_>, node: &Node) -> Option<Option<Box<str>>> {
    let text = sheet.text(node, "'key'", KEY_CHARS_MAX)?;
    match client_key(text) {
        Ok(header) => Some(header.map(String::into_boxed_str)),
        Err(fault) => {
            let short: String = text.chars().take(80).collect();
            let message = format!("'{short}' {fault}");
            sheet.error(node.place, Code::ClientKey, message);
            None
        }
    }
}
