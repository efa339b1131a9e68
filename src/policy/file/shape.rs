//! What a policy file may hold, for its JSON Schema. A new key gets one line here.

use super::circuit::CIRCUIT_KEYS;
use super::retry::RETRY_KEYS;
use super::stages::FACTOR_STAGE_KEYS;
use super::unknown::UNKNOWN_KEYS;
use super::{
    BAND_KEYS, CONSUMER_KEYS, METHOD_KEYS, POLICY_KEYS, STAGE_KEYS, TIER_KEYS, WEIGHT_KEYS,
};
use crate::contract::file::bounds::{COUNT_MAX, OWNER_CHARS_MAX};
use crate::contract::file::shape::DAY;
use crate::policy::bounds::{
    CIRCUIT_MILLIS_MAX, CONSUMER_ACTIONS, NAME_CHARS_MAX, OPEN_MILLIS_MIN, RETRY_FIELDS_MAX,
    SAMPLES_MAX, may_have,
};
use crate::policy::rules::Severity;
use crate::units::{Action, Factor, Tier};
use crate::yaml::{Kind, Line, Shape};

const SHARE: Kind = Kind::Share {
    digits: 4,
    positive: false,
};
const COUNT: Kind = Kind::Integer {
    min: 1,
    max: COUNT_MAX as u64,
};
const SAMPLES: Kind = Kind::Integer {
    min: 1,
    max: SAMPLES_MAX as u64,
};
const OPEN_MILLIS: Kind = Kind::Integer {
    min: OPEN_MILLIS_MIN as u64,
    max: CIRCUIT_MILLIS_MAX as u64,
};
const CONSUMER_SEVERITY: Kind = Kind::Choice(|| CONSUMER_ACTIONS.map(Severity::key).to_vec());
const SEVERITY: Kind = Kind::Choice(|| Severity::ALL.map(Severity::key).to_vec());

/// A policy file.
pub const SHAPE: Shape = Shape {
    keys: POLICY_KEYS,
    lines: &[
        Line::new("version", Kind::Version, "the version of the format").needed(),
        Line::new("name", Kind::Text(NAME_CHARS_MAX), "name of the policy").needed(),
        Line::new(
            "policy_version",
            Kind::Form("^[A-Za-z0-9.+_-]{1,32}$"),
            "version of the policy; stands in every record",
        ),
        Line::new(
            "bands",
            Kind::Map(&BANDS),
            "where a score begins to mean something",
        ),
        Line::new(
            "weights",
            Kind::Map(&Shape {
                keys: WEIGHT_KEYS,
                lines: &per_factor(SHARE),
            }),
            "per factor, the score it reaches alone at its worst",
        ),
        Line::new(
            "stages",
            Kind::Map(&Shape {
                keys: STAGE_KEYS,
                lines: &per_factor(STAGE),
            }),
            "per factor, how far it has been rolled out",
        ),
        Line::new(
            "unknown_endpoint",
            Kind::Map(&UNKNOWN),
            "what a path without contract deserves",
        ),
        Line::new(
            "method_disallowed",
            Kind::Map(&Shape {
                keys: METHOD_KEYS,
                lines: &[Line::new("action", SEVERITY, "at least this")],
            }),
            "what a known path with a foreign method deserves",
        ),
        Line::new(
            "consumer_not_declared",
            Kind::Map(&Shape {
                keys: CONSUMER_KEYS,
                lines: &[Line::new("action", CONSUMER_SEVERITY, "at least this")],
            }),
            "what a caller deserves that the contract does not name",
        ),
        Line::new("tiers", Kind::Map(&TIERS), "what each tier may do"),
        Line::new(
            "circuit",
            Kind::Map(&CIRCUIT),
            "when circuits open, and for how long",
        ),
        Line::new(
            "retry",
            Kind::Map(&RETRY),
            "how retries are known, and how many the gateway sends itself",
        ),
    ],
};

const BANDS: Shape = Shape {
    keys: BAND_KEYS,
    lines: &[
        Line::new("low", SHARE, "watched from here on"),
        Line::new("medium", SHARE, "throttled from here on"),
        Line::new("high", SHARE, "quarantined from here on"),
        Line::new("critical", SHARE, "dropped from here on"),
    ],
};

const STAGE_MODE: Kind =
    Kind::Form("^(shadow|enforced|canary (100(\\.0{1,2})?|[0-9]{1,2}(\\.[0-9]{1,2})?)%)$");
const STAGE: Kind = Kind::Either(&[
    STAGE_MODE,
    Kind::Map(&Shape {
        keys: FACTOR_STAGE_KEYS,
        lines: &[
            Line::new("mode", STAGE_MODE, "the stage").needed(),
            Line::new("owner", Kind::Text(OWNER_CHARS_MAX), "who answers for it"),
            Line::new("remove_by", DAY, "the day by which it is to be settled"),
        ],
    }),
]);

const UNKNOWN: Shape = Shape {
    keys: UNKNOWN_KEYS,
    lines: &[
        Line::new("action", SEVERITY, "at least this"),
        Line::new(
            "answer",
            Kind::Choice(|| super::unknown::ANSWERS.to_vec()),
            "the status of a quarantine",
        ),
        Line::new(
            "rate_limit_rpm",
            COUNT,
            "requests per minute of all unknown paths together",
        ),
        Line::new("burst", COUNT, "requests let through at once by that limit"),
    ],
};

/// The actions that a tier may ever have.
fn actions(tier: Tier) -> Vec<&'static str> {
    let allowed = Action::ALL
        .into_iter()
        .filter(|action| may_have(tier, *action));
    allowed.map(Action::name).collect()
}

const fn list_of(of: &'static Kind) -> Kind {
    Kind::List {
        of,
        min: 0,
        max: usize::MAX,
    }
}

const TIERS: Shape = Shape {
    keys: TIER_KEYS,
    lines: &[
        Line::new(
            "observe_only",
            list_of(&Kind::Choice(|| actions(Tier::ObserveOnly))),
            "its actions",
        ),
        Line::new(
            "control",
            list_of(&Kind::Choice(|| actions(Tier::Control))),
            "its actions",
        ),
        Line::new(
            "autonomous",
            list_of(&Kind::Choice(|| actions(Tier::Autonomous))),
            "its actions",
        ),
    ],
};

const CIRCUIT: Shape = Shape {
    keys: CIRCUIT_KEYS,
    lines: &[
        Line::new(
            "broken_in_a_row",
            SAMPLES,
            "broken exchanges in a row that open a circuit",
        ),
        Line::new(
            "samples_min",
            SAMPLES,
            "below this many requests in 10 s no share opens one",
        ),
        Line::new(
            "slow_share",
            Kind::Share {
                digits: 4,
                positive: true,
            },
            "the share of slow requests in 10 s that opens one",
        ),
        Line::new("open_ms", OPEN_MILLIS, "how long it is open the first time"),
        Line::new("open_ms_max", OPEN_MILLIS, "the longest it is open"),
        Line::new(
            "slow_start_ms",
            Kind::Integer {
                min: 1,
                max: CIRCUIT_MILLIS_MAX as u64,
            },
            "for how long after closing some requests are still shed",
        ),
    ],
};

const RETRY: Shape = Shape {
    keys: RETRY_KEYS,
    lines: &[
        Line::new(
            "headers",
            Kind::List {
                of: &Kind::Form("^[!-~]+$"),
                min: 0,
                max: RETRY_FIELDS_MAX,
            },
            "the fields that declare earlier attempts",
        ),
        Line::new(
            "budget",
            SHARE,
            "the gateway's own retries, as a share of first attempts",
        ),
    ],
};

/// The same kind for every factor.
const fn per_factor(kind: Kind) -> [Line; Factor::ALL.len()] {
    let mut lines = [Line::new("", kind, "one factor"); Factor::ALL.len()];
    let mut place = 0;
    #[allow(clippy::indexing_slicing)] // evaluated by the compiler: a panic is an error there
    while place < Factor::ALL.len() {
        lines[place].key = Factor::ALL[place].name();
        place += 1;
    }
    lines
}
