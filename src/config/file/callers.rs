//! How callers name themselves.

use crate::contract::file::bounds::{FIELD_CHARS_MAX, field_fault};
use crate::diagnostic::Code;
use crate::yaml::{Fields, Sheet};

/// `Some(None)` where no field names them; `None` on a fault.
pub(super) fn read_caller_header(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
) -> Option<Option<Box<str>>> {
    let Some(node) = fields.get("caller_header") else {
        return Some(None);
    };
    let name = sheet.text(node, "'caller_header'", FIELD_CHARS_MAX)?;
    let name = name.to_ascii_lowercase();
    if let Some(fault) = field_fault(&name) {
        let message = format!("'caller_header' {fault}");
        sheet.error(node.place, Code::CallerHeader, message);
        return None;
    }
    if fields.get("trusted_proxies").is_none() {
        let message = "'caller_header' is believed from 'trusted_proxies' only, and there are none";
        sheet.warning(node.place, Code::CallerHeader, message.to_owned());
    }
    Some(Some(name.into()))
}
