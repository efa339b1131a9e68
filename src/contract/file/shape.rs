//! What a contract file may hold, for its JSON Schema. A new key gets one line here.

use super::answers::{DROP_KEYS, QUARANTINE_KEYS, THROTTLE_KEYS};
use super::bounds::{
    BODY_BYTES_MAX, CALLER_CHARS_MAX, CONSUMERS_MAX, COUNT_MAX, HELD_MAX, LEDGER_REQUIRED,
    MILLIS_MAX, OWNER_CHARS_MAX, WAIT_MILLIS_MAX, WEBSOCKET, is_usable_tier, usable_method,
};
use super::clients::CLIENT_KEYS;
use super::lifecycle::LIFECYCLE_KEYS;
use super::reference::CHARS_MAX as REFERENCE_CHARS_MAX;
use super::stage::STAGE_KEYS;
use super::{CONTRACT_KEYS, FILE_KEYS};
use crate::contract::{ContractId, Method, Stability, Status};
use crate::units::Tier;
use crate::yaml::{Kind, Line, Shape};

/// The form of an id or of the name of an upstream.
pub const NAME: Kind = Kind::Form(ContractId::FORM);
/// The form of a day.
pub const DAY: Kind = Kind::Form("^[0-9]{4}-[0-9]{2}-[0-9]{2}$");

const COUNT: Kind = Kind::Integer {
    min: 1,
    max: COUNT_MAX as u64,
};
const MILLIS: Kind = Kind::Integer {
    min: 1,
    max: MILLIS_MAX as u64,
};
const METHOD: Kind = Kind::Choice(|| {
    let named = Method::NAMED.into_iter().map(Method::as_str);
    named
        .filter(|token| usable_method(token).is_some())
        .collect()
});
const TIER: Kind = Kind::Choice(|| {
    let usable = Tier::ALL.into_iter().filter(|tier| is_usable_tier(*tier));
    usable.map(Tier::key).collect()
});

/// Somebody who can be asked.
pub(super) const STEWARD: Kind = Kind::Text(OWNER_CHARS_MAX);
const REFERENCE: Kind = Kind::Text(REFERENCE_CHARS_MAX);
/// What a URI reference holds, as `is_guide` says it.
const GUIDE: Kind = Kind::Form("^[!#-;=?-[\\]_a-z~]{1,2048}$");

/// A contract file.
pub const SHAPE: Shape = Shape {
    keys: FILE_KEYS,
    lines: &[
        Line::new("version", Kind::Version, "the version of the format").needed(),
        Line::new(
            "contracts",
            Kind::List {
                of: &Kind::Map(&CONTRACT),
                min: 0,
                max: usize::MAX,
            },
            "the contracts",
        )
        .needed(),
    ],
};

const CONTRACT: Shape = Shape {
    keys: CONTRACT_KEYS,
    lines: &[
        Line::new("id", NAME, "the name, for ever").needed(),
        Line::new(
            "endpoint",
            Kind::Form("^[A-Z]+ /"),
            "a method, one space, a path template",
        )
        .needed(),
        Line::new(
            "allowed_methods",
            Kind::List {
                of: &METHOD,
                min: 1,
                max: usize::MAX,
            },
            "the methods of this contract; by default that of the endpoint",
        ),
        Line::new("upstream", NAME, "where its requests go"),
        Line::new("owner", STEWARD, "who answers for it"),
        Line::new("backup_owner", STEWARD, "who answers when the owner cannot"),
        Line::new("service", NAME, "the service that it is part of"),
        Line::new(
            "version",
            Kind::Form("^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)$"),
            "which version of itself it is; 1.0.0 without it",
        ),
        Line::new(
            "lifecycle",
            Kind::Map(&LIFECYCLE),
            "where in its life it is, and what callers are told",
        ),
        Line::new(
            "openapi",
            REFERENCE,
            "the OpenAPI file that describes it, #, and a JSON pointer",
        ),
        Line::new(
            "proto",
            REFERENCE,
            "the file of protocol buffers that describes it",
        ),
        Line::new(
            "max_latency_ms",
            MILLIS,
            "the promised time from sending a request upstream to the last byte of the answer",
        ),
        Line::new(
            "timeout_ms",
            MILLIS,
            "the longest wait for the next bytes of the upstream",
        ),
        Line::new(
            "error_budget",
            Kind::Share {
                digits: 6,
                positive: true,
            },
            "the share of requests that may fail",
        ),
        Line::new(
            "circuit_threshold",
            Kind::Share {
                digits: 4,
                positive: true,
            },
            "the share of failures in 10 s at which the circuit opens",
        ),
        Line::new(
            "rate_limit_rpm",
            COUNT,
            "requests per minute over all clients",
        ),
        Line::new(
            "burst",
            COUNT,
            "requests let through at once by the rate limit",
        ),
        Line::new(
            "per_client",
            Kind::Map(&PER_CLIENT),
            "the limit of each single client",
        ),
        Line::new(
            "consumers",
            Kind::List {
                of: &Kind::Text(CALLER_CHARS_MAX),
                min: 1,
                max: CONSUMERS_MAX,
            },
            "who may call it, by the names that callers prove; without it anybody",
        ),
        Line::new(
            "max_in_flight",
            COUNT,
            "requests in flight at once, of each gateway",
        ),
        Line::new(
            "body_bytes_max",
            Kind::Integer {
                min: 1,
                max: BODY_BYTES_MAX,
            },
            "bytes of a request body; one more is answered 413",
        ),
        Line::new(
            "upgrade",
            Kind::List {
                of: &Kind::Choice(|| vec![WEBSOCKET]),
                min: 1,
                max: usize::MAX,
            },
            "protocols that a connection may change to; none without it",
        ),
        Line::new(
            "stream",
            Kind::Boolean,
            "latency ends at the response head; a running body is never overdue",
        ),
        Line::new("tier", TIER, "the most that may be done about its requests"),
        Line::new("stage", STAGE, "how far it has been rolled out"),
        Line::new(
            "quarantine",
            Kind::Either(&[QUARANTINE_MODE, Kind::Map(&QUARANTINE)]),
            "what becomes of requests that are set apart",
        ),
        Line::new(
            "throttle",
            Kind::Either(&[THROTTLE_MODE, Kind::Map(&THROTTLE)]),
            "what becomes of requests over a rate limit",
        ),
        Line::new(
            "drop",
            Kind::Either(&[DROP_MODE, Kind::Map(&DROP)]),
            "how dropped requests hear of it",
        ),
        Line::new(
            "ledger",
            Kind::Choice(|| vec![LEDGER_REQUIRED]),
            "requests are answered 503 while the ledger keeps no records",
        ),
        Line::new(
            "allow_encoded_slash",
            Kind::Boolean,
            "%2F may stand inside a segment",
        ),
        Line::new(
            "merge_slashes",
            Kind::Boolean,
            "// is matched and forwarded as /",
        ),
        Line::new("allow_catch_all", Kind::Boolean, "consent to {*name}"),
    ],
};

const LIFECYCLE: Shape = Shape {
    keys: LIFECYCLE_KEYS,
    lines: &[
        Line::new(
            "status",
            Kind::Choice(|| Status::ALL.map(Status::key).to_vec()),
            "where in its life it is",
        )
        .needed(),
        Line::new("deprecated_on", DAY, "since when callers are told to leave"),
        Line::new("sunset_on", DAY, "from when on it may be removed"),
        Line::new("successor", NAME, "the contract that replaces it"),
        Line::new(
            "stability",
            Kind::Choice(|| Stability::ALL.map(Stability::key).to_vec()),
            "how much notice callers get",
        ),
        Line::new("migration_guide", GUIDE, "where callers read how to move"),
    ],
};

const PER_CLIENT: Shape = Shape {
    keys: CLIENT_KEYS,
    lines: &[
        Line::new(
            "key",
            Kind::Form("^(peer|certificate|header:[!-~]+)$"),
            "who is one client: peer, certificate, or header: and the name of a field",
        ),
        Line::new(
            "rate_limit_rpm",
            COUNT,
            "requests per minute of each client",
        )
        .needed(),
        Line::new("burst", COUNT, "requests of a client let through at once"),
    ],
};

const STAGE_MODE: Kind =
    Kind::Form("^(shadow|enforced|retired|canary (100(\\.0{1,2})?|[0-9]{1,2}(\\.[0-9]{1,2})?)%)$");
const STAGE: Kind = Kind::Either(&[
    STAGE_MODE,
    Kind::Map(&Shape {
        keys: STAGE_KEYS,
        lines: &[
            Line::new("mode", STAGE_MODE, "the stage").needed(),
            Line::new("remove_by", DAY, "the day by which it is to be settled"),
        ],
    }),
]);

const QUARANTINE_MODE: Kind = Kind::Choice(|| super::answers::QUARANTINE_MODES.to_vec());
const QUARANTINE: Shape = Shape {
    keys: QUARANTINE_KEYS,
    lines: &[
        Line::new("mode", QUARANTINE_MODE, "what becomes of them").needed(),
        Line::new("upstream", NAME, "where diverted requests go"),
    ],
};

const THROTTLE_MODE: Kind = Kind::Choice(|| super::answers::THROTTLE_MODES.to_vec());
const THROTTLE: Shape = Shape {
    keys: THROTTLE_KEYS,
    lines: &[
        Line::new("mode", THROTTLE_MODE, "what becomes of them").needed(),
        Line::new(
            "wait_max_ms",
            Kind::Integer {
                min: 1,
                max: WAIT_MILLIS_MAX as u64,
            },
            "the longest wait for a turn",
        ),
        Line::new(
            "held_max",
            Kind::Integer {
                min: 1,
                max: HELD_MAX as u64,
            },
            "requests of the contract that wait at once",
        ),
    ],
};

const DROP_MODE: Kind = Kind::Choice(|| super::answers::DROP_MODES.to_vec());
const DROP: Shape = Shape {
    keys: DROP_KEYS,
    lines: &[Line::new("mode", DROP_MODE, "how they hear of it").needed()],
};
