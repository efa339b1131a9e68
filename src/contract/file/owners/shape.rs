//! What a file of owners may hold, for its JSON Schema. A new key gets one line here.

use super::read::{ENTRIES_MAX, ENTRY_KEYS, FILE_KEYS, PATH_CHARS_MAX, SERVICE_KEYS};
use crate::contract::ContractId;
use crate::contract::file::shape::{NAME, STEWARD};
use crate::yaml::{Kind, Line, Shape};

/// Any name at all: owners are called what their installation calls them.
const ANY: &str = "";
const PATH: Kind = Kind::Text(PATH_CHARS_MAX);

/// `OWNERS.yaml`.
pub const SHAPE: Shape = Shape {
    keys: FILE_KEYS,
    lines: &[
        Line::new("version", Kind::Version, "the version of the format").needed(),
        Line::new(
            "owners",
            Kind::List {
                of: &Kind::Map(&ENTRY),
                min: 0,
                max: ENTRIES_MAX,
            },
            "who answers for which contracts",
        )
        .needed(),
        Line::new(
            "services",
            Kind::Named {
                names: ContractId::FORM,
                min: 0,
                of: &Kind::Map(&SERVICE),
            },
            "the upstreams of each service, by its name",
        ),
        Line::new(
            "handles",
            Kind::Named {
                names: ANY,
                min: 0,
                of: &HANDLE,
            },
            "how a forge calls an owner, by its name here",
        ),
    ],
};

const ENTRY: Shape = Shape {
    keys: ENTRY_KEYS,
    lines: &[
        Line::new("contract", NAME, "the contract that is meant"),
        Line::new("file", PATH, "the files that are meant, below the folder"),
        Line::new("folder", PATH, "the folder that is meant; . is all of it"),
        Line::new("owner", STEWARD, "who answers"),
        Line::new("backup_owner", STEWARD, "who answers when the owner cannot"),
        Line::new("service", NAME, "the service that they are part of"),
    ],
};

const SERVICE: Shape = Shape {
    keys: SERVICE_KEYS,
    lines: &[Line::new(
        "upstreams",
        Kind::List {
            of: &NAME,
            min: 0,
            max: usize::MAX,
        },
        "the upstreams that are its own",
    )
    .needed()],
};

/// `@name`, `@organisation/team` or an address, of as many characters as an owner.
const HANDLE: Kind = Kind::Form("^(?=.{1,128}$)[^\\s@]*@\\S*$");
