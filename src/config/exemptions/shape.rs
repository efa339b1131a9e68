//! What `exemptions.yaml` may hold, for its JSON Schema. A new key gets one line here.

use super::{ENTRY_KEYS, EXEMPTIONS_MAX, FILE_KEYS, PATH_CHARS_MAX, REASON_CHARS_MAX};
use crate::contract::file::bounds::OWNER_CHARS_MAX;
use crate::contract::file::shape::{DAY, NAME};
use crate::diagnostic::Code;
use crate::yaml::{Kind, Line, Shape};

/// `exemptions.yaml`.
pub const SHAPE: Shape = Shape {
    keys: FILE_KEYS,
    lines: &[
        Line::new("version", Kind::Version, "the version of the format").needed(),
        Line::new(
            "exemptions",
            Kind::List {
                of: &Kind::Map(&ENTRY),
                min: 0,
                max: EXEMPTIONS_MAX,
            },
            "what is exempted, by whom, why and until when",
        )
        .needed(),
    ],
};

const ENTRY: Shape = Shape {
    keys: ENTRY_KEYS,
    lines: &[
        Line::new(
            "rule",
            Kind::Choice(Code::exemptable_words),
            "the rule, by its name or its code",
        )
        .needed(),
        Line::new("contract", NAME, "the contract that is exempted"),
        Line::new(
            "file",
            Kind::Text(PATH_CHARS_MAX),
            "the file that is exempted, below the contracts folder",
        ),
        Line::new("owner", Kind::Text(OWNER_CHARS_MAX), "who answers for it").needed(),
        Line::new("reason", Kind::Text(REASON_CHARS_MAX), "why").needed(),
        Line::new("expires", DAY, "the last day on which it holds").needed(),
    ],
};
