//! How far a factor has been rolled out: a word alone, or a map that also says who answers for it
//! and until when.

use crate::contract::file::bounds::OWNER_CHARS_MAX;
use crate::contract::file::stage::{canary_share, read_remove_by};
use crate::diagnostic::Code;
use crate::policy::rules::Stage;
use crate::units::{Date, Factor};
use crate::yaml::{Keys, Node, Sheet, Value};

pub(super) const FACTOR_STAGE_KEYS: Keys = Keys::plain("a stage", &["mode", "owner", "remove_by"]);

/// The most characters of a mode that is looked at.
const MODE_CHARS_MAX: usize = 64;

pub(super) fn read_stage(
    sheet: &mut Sheet<'_>,
    node: &Node,
    factor: Factor,
    today: Option<Date>,
) -> Option<Stage> {
    if let Value::Plain(_) | Value::Quoted(_) = node.value {
        return read_mode(sheet, node, factor);
    }
    let stated = sheet.fields(node, &FACTOR_STAGE_KEYS)?;
    let mode = sheet.required(stated, "mode");
    let stage = mode.and_then(|node| read_mode(sheet, node, factor));
    let owner = match stated.get("owner") {
        Some(node) => sheet.text(node, "'owner'", OWNER_CHARS_MAX).map(Some),
        None => Some(None),
    };
    let day = read_remove_by(sheet, stated, owner.flatten(), today);
    owner?;
    day?;
    stage
}

fn read_mode(sheet: &mut Sheet<'_>, node: &Node, factor: Factor) -> Option<Stage> {
    let what = format!("the stage of '{}'", factor.name());
    let text = sheet.text(node, &what, MODE_CHARS_MAX)?;
    let stage = match text {
        "enforced" => Some(Stage::Enforced),
        "shadow" => Some(Stage::Shadow),
        _ => canary_share(text).map(Stage::Canary),
    };
    if stage.is_none() {
        let message = format!("{what} is not '{text}'");
        sheet.error(node.place, Code::Stage, message);
    }
    stage
}
