//! The shape of a trust root: the payload of its envelope. A new member gets one line here.
//!
//! A root is read as canonical JSON, not as a file that people write, so its members stand in its
//! own form; `tests/schema.rs` holds the two together.

use crate::bundle::manifest::INTEGER_MAX;
use crate::bundle::root::{COUNT_MAX, ROOT_FORMAT_VERSION, Role};
use crate::contract::ContractId;
use crate::yaml::{Keys, Kind, Line, Shape};

/// Audiences, principals and groups are named as contracts are.
const NAME: Kind = Kind::Form(ContractId::FORM);
const NUMBER: Kind = Kind::Integer {
    min: 1,
    max: INTEGER_MAX,
};
/// 32 bytes in base64.
const KEY: Kind = Kind::Form("^[A-Za-z0-9+/]{43}=$");
const ROLE: Kind = Kind::Choice(|| Role::ALL.map(Role::key).to_vec());

const fn always(key: &'static str, kind: Kind, about: &'static str) -> Line {
    Line::new(key, kind, about).needed()
}

const fn some_of(of: &'static Kind, max: usize) -> Kind {
    Kind::List { of, min: 1, max }
}

/// A trust root.
pub(super) const SHAPE: Shape = Shape {
    keys: Keys::plain(
        "a trust root",
        &[
            "audience",
            "epoch",
            "expires_at_us",
            "format_version",
            "groups",
            "principals",
            "production",
            "thresholds",
            "version",
        ],
    ),
    lines: &[
        always("audience", NAME, "the gateways that it is for"),
        always("epoch", NUMBER, "bundles of an earlier one are refused"),
        always(
            "expires_at_us",
            NUMBER,
            "when it ends, microseconds since 1970",
        ),
        always(
            "format_version",
            Kind::Integer {
                min: ROOT_FORMAT_VERSION,
                max: ROOT_FORMAT_VERSION,
            },
            "the version of the form",
        ),
        always(
            "groups",
            Kind::Named {
                names: ContractId::FORM,
                min: 0,
                of: &some_of(&NAME, COUNT_MAX),
            },
            "the principals of each owner of contracts, by its name",
        ),
        always(
            "principals",
            some_of(&Kind::Map(&PRINCIPAL), COUNT_MAX),
            "who signs",
        ),
        always(
            "production",
            Kind::Boolean,
            "whether every bundle takes two signatures at least",
        ),
        always(
            "thresholds",
            Kind::Map(&THRESHOLDS),
            "how many signatures each class of change takes",
        ),
        always("version", NUMBER, "from 1, each the next"),
    ],
};

const PRINCIPAL: Shape = Shape {
    keys: Keys::plain("a principal", &["keys", "name", "roles"]),
    lines: &[
        always("keys", some_of(&KEY, COUNT_MAX), "its public keys"),
        always("name", NAME, "the name, once"),
        always("roles", some_of(&ROLE, Role::ALL.len()), "what it may do"),
    ],
};

const THRESHOLDS: Shape = Shape {
    keys: Keys::plain(
        "'thresholds'",
        &[
            "authority",
            "breaking",
            "breakglass",
            "loosen",
            "root",
            "tighten",
        ],
    ),
    lines: &[
        always("authority", NUMBER, "more authority for the gateway"),
        always("breaking", NUMBER, "callers may now be refused"),
        always(
            "breakglass",
            NUMBER,
            "an emergency measure that only protects",
        ),
        always("loosen", NUMBER, "the platform is less protected"),
        always("root", NUMBER, "the next root"),
        always("tighten", NUMBER, "none of these"),
    ],
};
