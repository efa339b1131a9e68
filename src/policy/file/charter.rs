//! The charter file: YAML in, a charter out.

use crate::contract::compare::Mode;
use crate::diagnostic::Code;
use crate::policy::charter::{Charter, Deployment};
use crate::yaml::{Keys, Kind, Line, Node, Shape, Sheet};

const CHARTER_KEYS: Keys = Keys {
    what: "the charter",
    known: &["version", "compatibility_mode", "deployment"],
    later: &[],
    computed: &["policy_hash", "content_digest"],
};

/// A charter file.
pub const SHAPE: Shape = Shape {
    keys: CHARTER_KEYS,
    lines: &[
        Line::new("version", Kind::Version, "the version of the format").needed(),
        Line::new(
            "compatibility_mode",
            Kind::Choice(|| Mode::ALL.map(Mode::key).to_vec()),
            "which changes of contracts are taken",
        ),
        Line::new(
            "deployment",
            Kind::Choice(|| Deployment::ALL.map(Deployment::key).to_vec()),
            "how gateways come to other files",
        ),
    ],
};

/// Reads a charter; the default where it has faults, which are reported.
pub fn read_charter(sheet: &mut Sheet<'_>, root: &Node) -> Charter {
    read(sheet, root).unwrap_or_default()
}

fn read(sheet: &mut Sheet<'_>, root: &Node) -> Option<Charter> {
    let fields = sheet.fields(root, &CHARTER_KEYS)?;
    sheet.format_version(fields);
    let default = Charter::default();
    let modes = Mode::ALL.map(Mode::key);
    let mode_node = fields.get("compatibility_mode");
    let mode = match mode_node {
        Some(node) => sheet.choice(node, "'compatibility_mode'", &modes, Mode::from_key),
        None => Some(default.compatibility()),
    };
    let ways = Deployment::ALL.map(Deployment::key);
    let deployment = match fields.get("deployment") {
        Some(node) => sheet.choice(node, "'deployment'", &ways, Deployment::from_key),
        None => Some(default.deployment()),
    };
    let (mode, deployment) = (mode?, deployment?);
    let charter = Charter::new(mode, deployment);
    if charter.is_none() {
        let (mode, way) = (mode.key(), deployment.key());
        let message = format!("'{mode}' does not fit 'deployment: {way}': old and new meet");
        let place = mode_node.map_or(fields.place(), |node| node.place);
        sheet.error(place, Code::CharterMode, message);
    }
    charter
}
