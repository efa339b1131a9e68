//! What becomes of requests that are not simply let through: quarantine, throttle, drop.
//!
//! All three are maps with a `mode`, and have the keys of that mode alone: a key that does nothing
//! would be read as one that does.

use std::num::NonZeroU32;

use super::bounds::{HELD_MAX, WAIT_MILLIS_MAX};
use super::{Surroundings, known_upstream};
use crate::contract::{Quarantine, Refusal, Throttle};
use crate::diagnostic::Code;
use crate::units::Millis;
use crate::yaml::{Fields, Keys, Node, Sheet};

const QUARANTINE_KEYS: Keys = Keys::plain("'quarantine'", &["mode", "upstream"]);
const THROTTLE_KEYS: Keys = Keys::plain("'throttle'", &["mode", "wait_max_ms", "held_max"]);
const DROP_KEYS: Keys = Keys::plain("'drop'", &["mode"]);

const DEFAULT_WAIT_MAX: u32 = 1_000;
const DEFAULT_HELD_MAX: u32 = 100;

/// The mode, and the upstream of diverted requests.
pub(super) fn read_quarantine(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    around: Surroundings<'_>,
) -> Option<(Quarantine, Option<Box<str>>)> {
    let Some(node) = fields.get("quarantine") else {
        return Some((Quarantine::default(), None));
    };
    let fields = sheet.fields(node, &QUARANTINE_KEYS)?;
    let mode = sheet.required(fields, "mode");
    let mode = mode.and_then(|node| {
        sheet.choice(node, "'mode'", &["reject", "divert", "shadow"], |text| {
            Some(match text {
                "divert" => Quarantine::Divert,
                "shadow" => Quarantine::Shadow,
                _ => Quarantine::Reject,
            })
        })
    });
    let upstream = match fields.get("upstream") {
        Some(node) => known_upstream(sheet, node, around).map(|name| Some((node, name))),
        None => Some(None),
    };
    match (mode?, upstream?) {
        (Quarantine::Divert, None) => {
            let message = "nothing says where diverted requests go".to_owned();
            sheet.error(fields.place(), Code::DivertUpstream, message);
            None
        }
        (Quarantine::Divert, Some((_, upstream))) => Some((Quarantine::Divert, Some(upstream))),
        (mode, None) => Some((mode, None)),
        (_, Some((node, _))) => {
            foreign(sheet, node, "upstream", "divert");
            None
        }
    }
}

pub(super) fn read_throttle(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<Throttle> {
    let Some(node) = fields.get("throttle") else {
        return Some(Throttle::default());
    };
    let fields = sheet.fields(node, &THROTTLE_KEYS)?;
    let is_delay = sheet.required(fields, "mode");
    let is_delay = is_delay.and_then(|node| {
        sheet.choice(node, "'mode'", &["reject", "delay"], |text| {
            Some(text == "delay")
        })
    });
    let wait_max = number(
        sheet,
        fields,
        "wait_max_ms",
        DEFAULT_WAIT_MAX,
        WAIT_MILLIS_MAX,
    );
    let held_max = number(sheet, fields, "held_max", DEFAULT_HELD_MAX, HELD_MAX);
    let (wait_max, held_max) = (wait_max?, held_max?);
    if is_delay? {
        return Some(Throttle::Delay {
            wait_max: Millis::new(wait_max.get()),
            held_max,
        });
    }
    let mut is_plain = true;
    for key in ["wait_max_ms", "held_max"] {
        if let Some(node) = fields.get(key) {
            foreign(sheet, node, key, "delay");
            is_plain = false;
        }
    }
    is_plain.then_some(Throttle::Reject)
}

pub(super) fn read_refusal(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<Refusal> {
    let Some(node) = fields.get("drop") else {
        return Some(Refusal::default());
    };
    let fields = sheet.fields(node, &DROP_KEYS)?;
    let node = sheet.required(fields, "mode")?;
    sheet.choice(node, "'mode'", &["respond", "close"], |text| {
        Some(match text {
            "close" => Refusal::Close,
            _ => Refusal::Respond,
        })
    })
}

/// A key that stands in another mode than its own.
fn foreign(sheet: &mut Sheet<'_>, node: &Node, key: &str, mode: &str) {
    let message = format!("'{key}' means nothing without 'mode: {mode}'");
    let remedy = format!("remove '{key}', or write 'mode: {mode}'");
    sheet.error_with(node.place, Code::ModeKey, message, remedy);
}

fn number(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    key: &str,
    default: u32,
    max: u32,
) -> Option<NonZeroU32> {
    let value = match fields.get(key) {
        Some(node) => sheet.integer(node, &format!("'{key}'"), 1, u64::from(max))?,
        None => u64::from(default),
    };
    u32::try_from(value).ok().and_then(NonZeroU32::new)
}
