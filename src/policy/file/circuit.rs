//! When circuits open, and for how long.

use std::num::NonZeroU32;

use crate::diagnostic::Code;
use crate::policy::bounds::{CIRCUIT_MILLIS_MAX, OPEN_MILLIS_MIN, SAMPLES_MAX};
use crate::policy::rules::CircuitRules;
use crate::units::{BasisPoints, Millis};
use crate::yaml::{Fields, Keys, Node, Sheet};

pub(super) const CIRCUIT_KEYS: Keys = Keys::plain(
    "'circuit'",
    &[
        "broken_in_a_row",
        "samples_min",
        "slow_share",
        "open_ms",
        "open_ms_max",
        "slow_start_ms",
    ],
);

/// `None` where something was reported; every key is read, so that every fault is.
pub(super) fn read_circuit(sheet: &mut Sheet<'_>, node: &Node) -> Option<CircuitRules> {
    let fields = sheet.fields(node, &CIRCUIT_KEYS)?;
    let default = CircuitRules::default();
    let broken_in_a_row = count(sheet, fields, "broken_in_a_row", default.broken_in_a_row);
    let samples_min = count(sheet, fields, "samples_min", default.samples_min);
    let slow_share = slow_share(sheet, fields, default.slow_share);
    let open = millis(sheet, fields, "open_ms", OPEN_MILLIS_MIN, default.open);
    let open_max = millis(
        sheet,
        fields,
        "open_ms_max",
        OPEN_MILLIS_MIN,
        default.open_max,
    );
    let slow_start = millis(sheet, fields, "slow_start_ms", 1, default.slow_start);
    let rules = CircuitRules {
        broken_in_a_row: broken_in_a_row?,
        samples_min: samples_min?,
        slow_share: slow_share?,
        open: open?,
        open_max: open_max?,
        slow_start: slow_start?,
    };
    if rules.open > rules.open_max {
        let (first, longest) = (rules.open.get(), rules.open_max.get());
        let message = format!(
            "a circuit is open for {first} ms the first time, and for at most {longest} ms"
        );
        let said = fields.get("open_ms").or_else(|| fields.get("open_ms_max"));
        let place = said.map_or(fields.place(), |node| node.place);
        sheet.error(place, Code::CircuitTimes, message);
        return None;
    }
    Some(rules)
}

fn count(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    key: &str,
    default: NonZeroU32,
) -> Option<NonZeroU32> {
    let Some(node) = fields.get(key) else {
        return Some(default);
    };
    let value = sheet.integer(node, &format!("'{key}'"), 1, u64::from(SAMPLES_MAX))?;
    u32::try_from(value).ok().and_then(NonZeroU32::new)
}

fn millis(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    key: &str,
    min: u32,
    default: Millis,
) -> Option<Millis> {
    let Some(node) = fields.get(key) else {
        return Some(default);
    };
    let (min, max) = (u64::from(min), u64::from(CIRCUIT_MILLIS_MAX));
    let value = sheet.integer(node, &format!("'{key}'"), min, max)?;
    u32::try_from(value).ok().map(Millis::new)
}

/// A share of nothing would open every circuit at once.
fn slow_share(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    default: BasisPoints,
) -> Option<BasisPoints> {
    let Some(node) = fields.get("slow_share") else {
        return Some(default);
    };
    let share = sheet.share(node, "'slow_share'", 4)?;
    if share == 0 {
        let message = "'slow_share' is above 0 and at most 1".to_owned();
        sheet.error(node.place, Code::OutOfRange, message);
        return None;
    }
    BasisPoints::new(share)
}
