//! What becomes of requests that are not simply let through: quarantine, throttle, drop.
//!
//! All three are a mode: a word, or a map with `mode` and the keys of that mode. A key of another
//! mode does nothing, so it is an error.

use std::num::NonZeroU32;

use super::bounds::{HELD_MAX, WAIT_MILLIS_MAX};
use super::{Surroundings, known_upstream};
use crate::contract::{Quarantine, Refusal, Throttle};
use crate::diagnostic::Code;
use crate::units::Millis;
use crate::yaml::{Fields, Keys, Node, Sheet, Value};

pub(super) const QUARANTINE_KEYS: Keys = Keys::plain("'quarantine'", &["mode", "upstream"]);
pub(super) const THROTTLE_KEYS: Keys =
    Keys::plain("'throttle'", &["mode", "wait_max_ms", "held_max"]);
pub(super) const DROP_KEYS: Keys = Keys::plain("'drop'", &["mode"]);

pub(super) const QUARANTINE_MODES: [&str; 3] = ["reject", "divert", "shadow"];
pub(super) const THROTTLE_MODES: [&str; 2] = ["reject", "delay"];
pub(super) const DROP_MODES: [&str; 2] = ["respond", "close"];

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
    let stated = read_stated(sheet, node, &QUARANTINE_KEYS)?;
    let mode = stated.mode(sheet, &QUARANTINE_MODES, |text| match text {
        "divert" => Quarantine::Divert,
        "shadow" => Quarantine::Shadow,
        _ => Quarantine::Reject,
    });
    let upstream = match stated.get("upstream") {
        Some(node) => known_upstream(sheet, node, around).map(|name| Some((node, name))),
        None => Some(None),
    };
    match (mode?, upstream?) {
        (Quarantine::Divert, None) => {
            let message = "nothing says where diverted requests go".to_owned();
            sheet.error(node.place, Code::DivertUpstream, message);
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
    let stated = read_stated(sheet, node, &THROTTLE_KEYS)?;
    let is_delay = stated.mode(sheet, &THROTTLE_MODES, |text| text == "delay");
    let wait_max = stated.get("wait_max_ms");
    let wait_max = wait_max.map(|node| number(sheet, node, "wait_max_ms", WAIT_MILLIS_MAX));
    let held_max = stated.get("held_max");
    let held_max = held_max.map(|node| number(sheet, node, "held_max", HELD_MAX));
    let wait_max = wait_max.unwrap_or(NonZeroU32::new(DEFAULT_WAIT_MAX));
    let held_max = held_max.unwrap_or(NonZeroU32::new(DEFAULT_HELD_MAX));
    let (wait_max, held_max) = (wait_max?, held_max?);
    if is_delay? {
        return Some(Throttle::Delay {
            wait_max: Millis::new(wait_max.get()),
            held_max,
        });
    }
    let mut is_plain = true;
    for key in ["wait_max_ms", "held_max"] {
        if let Some(node) = stated.get(key) {
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
    let stated = read_stated(sheet, node, &DROP_KEYS)?;
    stated.mode(sheet, &DROP_MODES, |text| match text {
        "close" => Refusal::Close,
        _ => Refusal::Respond,
    })
}

/// A mode and what stands beside it.
struct Stated<'n> {
    mode: Option<&'n Node>,
    /// The map; `None` where the mode is a word alone.
    fields: Option<Fields<'n>>,
}

/// A word, or a map with `mode`.
fn read_stated<'n>(sheet: &mut Sheet<'_>, node: &'n Node, keys: &Keys) -> Option<Stated<'n>> {
    if let Value::Plain(_) | Value::Quoted(_) = node.value {
        return Some(Stated {
            mode: Some(node),
            fields: None,
        });
    }
    let fields = sheet.fields(node, keys)?;
    Some(Stated {
        mode: sheet.required(fields, "mode"),
        fields: Some(fields),
    })
}

impl<'n> Stated<'n> {
    fn get(&self, key: &str) -> Option<&'n Node> {
        self.fields.and_then(|fields| fields.get(key))
    }

    fn mode<T>(
        &self,
        sheet: &mut Sheet<'_>,
        choices: &[&str],
        choose: impl FnOnce(&str) -> T,
    ) -> Option<T> {
        sheet.choice(self.mode?, "a mode", choices, |text| Some(choose(text)))
    }
}

/// A key that stands in another mode than its own.
fn foreign(sheet: &mut Sheet<'_>, node: &Node, key: &str, mode: &str) {
    let message = format!("'{key}' means nothing without 'mode: {mode}'");
    let remedy = format!("remove '{key}', or write 'mode: {mode}'");
    sheet.error_with(node.place, Code::ModeKey, message, remedy);
}

fn number(sheet: &mut Sheet<'_>, node: &Node, key: &str, max: u32) -> Option<NonZeroU32> {
    let value = sheet.integer(node, &format!("'{key}'"), 1, u64::from(max))?;
    u32::try_from(value).ok().and_then(NonZeroU32::new)
}
