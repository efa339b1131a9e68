//! How far a contract has been rolled out, and until when that is to be settled.
//!
//! A word alone, or a map with `mode` and `remove_by`. A day that has passed is a warning and
//! changes nothing: a gateway must not do otherwise tomorrow with the files of today.

use super::Surroundings;
use crate::contract::Stage;
use crate::diagnostic::Code;
use crate::units::{BasisPoints, Date};
use crate::yaml::{Fields, Keys, Node, Sheet, Value, parse_decimal};

pub(super) const STAGE_KEYS: Keys = Keys::plain("'stage'", &["mode", "remove_by"]);

/// The most characters of a mode that is looked at.
const MODE_CHARS_MAX: usize = 64;

pub(super) fn read_stage(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    around: Surroundings<'_>,
) -> Option<Stage> {
    let Some(node) = fields.get("stage") else {
        return Some(Stage::Enforced);
    };
    if let Value::Plain(_) | Value::Quoted(_) = node.value {
        return read_mode(sheet, node);
    }
    let stated = sheet.fields(node, &STAGE_KEYS)?;
    let mode = sheet.required(stated, "mode");
    let stage = mode.and_then(|node| read_mode(sheet, node));
    let owner = fields.get("owner").and_then(text_of);
    read_remove_by(sheet, stated, owner, around.today)?;
    stage
}

fn read_mode(sheet: &mut Sheet<'_>, node: &Node) -> Option<Stage> {
    let text = sheet.text(node, "the stage", MODE_CHARS_MAX)?;
    let stage = match text {
        "enforced" => Some(Stage::Enforced),
        "shadow" => Some(Stage::Shadow),
        "retired" => Some(Stage::Retired),
        _ => canary_share(text).map(Stage::Canary),
    };
    if stage.is_none() {
        let message = format!("the stage is not '{text}'");
        let remedy = "write 'shadow', 'canary 10%', 'enforced' or 'retired'".to_owned();
        sheet.error_with(node.place, Code::Stage, message, remedy);
    }
    stage
}

/// The share of `canary 25%` or `canary 0.5%`.
#[must_use]
pub fn canary_share(text: &str) -> Option<BasisPoints> {
    let percent = text.strip_prefix("canary ")?.strip_suffix('%')?;
    parse_decimal(percent, 2).ok().and_then(BasisPoints::new)
}

/// Reads the day by which a stage is to be settled, and warns of one that lies before `today`.
/// `None` on a fault.
pub fn read_remove_by(
    sheet: &mut Sheet<'_>,
    stated: Fields<'_>,
    owner: Option<&str>,
    today: Option<Date>,
) -> Option<()> {
    let Some(node) = stated.get("remove_by") else {
        return Some(());
    };
    let text = sheet.text(node, "'remove_by'", MODE_CHARS_MAX)?;
    let Some(day) = Date::parse(text) else {
        let message = "'remove_by' is a day such as 2026-12-31".to_owned();
        let remedy = "write a day that exists, as year-month-day".to_owned();
        sheet.error_with(node.place, Code::Text, message, remedy);
        return None;
    };
    if today.is_some_and(|today| today > day) {
        let asked = owner.map_or(String::new(), |owner| format!("; '{owner}' answers for it"));
        let message = format!("this stage was to be settled by {day}{asked}");
        sheet.warning(node.place, Code::StageOverdue, message);
    }
    Some(())
}

fn text_of(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Plain(text) | Value::Quoted(text) => Some(text),
        _ => None,
    }
}
