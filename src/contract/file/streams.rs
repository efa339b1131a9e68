//! What a contract says about the bytes of its bodies and of its tunnels.

use std::num::NonZeroU64;

use super::bounds::{BODY_BYTES_MAX, WEBSOCKET};
use crate::diagnostic::Code;
use crate::yaml::{Fields, Sheet};

/// The most bytes of a request body; it may be left out.
pub(super) fn read_body_bytes_max(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
) -> Option<Option<NonZeroU64>> {
    let Some(node) = fields.get("body_bytes_max") else {
        return Some(None);
    };
    let value = sheet.integer(node, "'body_bytes_max'", 1, BODY_BYTES_MAX)?;
    Some(NonZeroU64::new(value))
}

/// Whether the list of protocols names the one there is.
pub(super) fn read_upgrade(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<bool> {
    let Some(node) = fields.get("upgrade") else {
        return Some(false);
    };
    let items = sheet.list(node, "'upgrade'")?;
    if items.is_empty() {
        let message = "'upgrade' is empty; leave it out to pass no handshake on".to_owned();
        sheet.error(node.place, Code::NotAChoice, message);
        return None;
    }
    let mut known = Some(true);
    for item in items {
        let protocol = sheet.choice(item, "a protocol of 'upgrade'", &[WEBSOCKET], |text| {
            (text == WEBSOCKET).then_some(true)
        });
        known = known.and(protocol);
    }
    known
}
