//! What a file of self-tests may hold, for its JSON Schema. A new key gets one line here, or in
//! that of the state.

mod state;

use super::expect::EXPECT_KEYS;
use super::{FILE_KEYS, REQUEST_KEYS, TEST_KEYS};
use crate::contract::file::bounds::CALLER_CHARS_MAX;
use crate::contract::file::shape::NAME;
use crate::policy::rules::Severity;
use crate::policy::self_tests::{Course, NAME_CHARS_MAX, URL_CHARS_MAX, VALUE_CHARS_MAX};
use crate::units::{Action, Band, Reason, Tier};
use crate::yaml::{Kind, Line, Shape};

/// A file of self-tests.
pub const SHAPE: Shape = Shape {
    keys: FILE_KEYS,
    lines: &[
        Line::new("version", Kind::Version, "the version of the format").needed(),
        Line::new(
            "tests",
            Kind::List {
                of: &Kind::Map(&TEST),
                min: 0,
                // All files together have at most SELF_TESTS_MAX.
                max: usize::MAX,
            },
            "the self-tests",
        )
        .needed(),
    ],
};

const TEST: Shape = Shape {
    keys: TEST_KEYS,
    lines: &[
        Line::new("name", Kind::Text(NAME_CHARS_MAX), "its name, once").needed(),
        Line::new("request", Kind::Map(&REQUEST), "what is asked").needed(),
        Line::new(
            "state",
            Kind::Map(&state::STATE),
            "what is supposed; at rest without it",
        ),
        Line::new("expect", Kind::Map(&EXPECT), "what must become of it").needed(),
    ],
};

const REQUEST: Shape = Shape {
    keys: REQUEST_KEYS,
    lines: &[
        Line::new(
            "method",
            Kind::Form("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}$"),
            "the method; GET without it",
        ),
        Line::new("url", URL, "path and query").needed(),
        Line::new(
            "headers",
            Kind::Named {
                names: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
                min: 0,
                of: &Kind::Text(VALUE_CHARS_MAX),
            },
            "the value of each field, by its name",
        ),
        Line::new(
            "trusted",
            Kind::Boolean,
            "whether it comes from a trusted proxy",
        ),
        Line::new(
            "caller",
            Kind::Text(CALLER_CHARS_MAX),
            "the name that the caller proved",
        ),
    ],
};

const _: () = assert!(URL_CHARS_MAX == 2_048, "the form of a URL says 2047 more");
const URL: Kind = Kind::Form("^/.{0,2047}$");
const TIER: Kind = Kind::Choice(|| Tier::ALL.map(Tier::key).to_vec());
const BAND: Kind = Kind::Choice(|| Band::ALL.map(Band::key).to_vec());
const REASON: Kind = Kind::Choice(|| Reason::ALL.map(Reason::code).to_vec());
const ACTION: Kind = Kind::Choice(|| Action::ALL.map(Action::name).to_vec());

const fn any_of(of: &'static Kind) -> Kind {
    Kind::List {
        of,
        min: 0,
        max: usize::MAX,
    }
}

const EXPECT: Shape = Shape {
    keys: EXPECT_KEYS,
    lines: &[
        Line::new(
            "decision",
            Kind::Choice(|| Severity::ALL.map(Severity::name).to_vec()),
            "what the request deserves",
        )
        .needed(),
        Line::new("contract", NAME, "whose path it is, or _unmatched"),
        Line::new("reasons", any_of(&REASON), "reasons that are given"),
        Line::new(
            "only_reasons",
            any_of(&REASON),
            "all reasons that are given",
        ),
        Line::new("deciding", REASON, "the reason that decides"),
        Line::new("taken", any_of(&ACTION), "actions that are taken"),
        Line::new("withheld", any_of(&ACTION), "actions that are withheld"),
        Line::new(
            "way",
            Kind::Choice(|| Course::ALL.map(Course::key).to_vec()),
            "where the request goes",
        ),
        Line::new(
            "status",
            Kind::Either(&[Kind::Integer { min: 400, max: 599 }, Kind::Form("^closed$")]),
            "the status of our answer, or closed",
        ),
        Line::new("tier", TIER, "the tier that holds for the request"),
        Line::new("band", BAND, "the band that people are told"),
    ],
};
