//! The shape of a decision record, for whoever reads ledgers. A new member gets one line here.
//!
//! Records have no reader of files beside them: their members stand in `record::MEMBERS`.

use crate::contract::ContractId;
use crate::decision::Reason;
use crate::observation::CircuitState;
use crate::policy::rules::Severity;
use crate::record::{MEMBER_COUNT, MEMBERS};
use crate::units::{Action, Factor, Tier};
use crate::yaml::{Keys, Kind, Line, Shape};

/// All members, `hash` as well.
const NAMES: [&str; MEMBER_COUNT + 1] = {
    let mut names = ["hash"; MEMBER_COUNT + 1];
    let mut place = 0;
    #[allow(clippy::indexing_slicing)] // evaluated by the compiler: a panic is an error there
    while place < MEMBER_COUNT {
        names[place] = MEMBERS[place];
        place += 1;
    }
    names
};

/// The greatest integer of a ledger: what every reader of JSON keeps exactly.
const UINT: Kind = up_to((1 << 53) - 1);
const HASH: Kind = Kind::Form("^[0-9a-f]{64}$");
const SHARE: Kind = up_to(10_000);
const STATUS: Kind = up_to(999);
const TEXT: Kind = Kind::Text(4_096);
const ACTIONS: Kind = list_of(&Kind::Choice(|| Action::ALL.map(Action::name).to_vec()));
const FACTORS: Kind = list_of(&Kind::Choice(|| Factor::ALL.map(Factor::name).to_vec()));
const CIRCUITS: [CircuitState; 3] = [
    CircuitState::Closed,
    CircuitState::Open,
    CircuitState::HalfOpen,
];

const fn up_to(max: u64) -> Kind {
    Kind::Integer { min: 0, max }
}

const fn list_of(of: &'static Kind) -> Kind {
    Kind::List {
        of,
        min: 0,
        max: usize::MAX,
    }
}

const fn always(key: &'static str, kind: Kind, about: &'static str) -> Line {
    Line::new(key, kind, about).needed()
}

/// A ledger line of kind `decision`.
pub(super) const SHAPE: Shape = Shape {
    keys: Keys::plain("a decision record", &NAMES),
    lines: &[
        always("abuse_bp", SHARE, "the request's part of the score"),
        always("actions_taken", ACTIONS, "recommended and allowed"),
        Line::new(
            "alias_of",
            TEXT,
            "the contract that a looser reading of the path would reach",
        ),
        always("allowed_actions", ACTIONS, "what tier and policy allow"),
        Line::new("case_id", Kind::Form("^q-[0-9a-f]{16}$"), "of a quarantine"),
        always(
            "circuit",
            Kind::Choice(|| CIRCUITS.map(CircuitState::name).to_vec()),
            "the circuit of the route",
        ),
        always(
            "client",
            Kind::Form("^[0-9a-f]{16}$"),
            "who asked, as a keyed hash",
        ),
        Line::new(
            "contract_id",
            Kind::Form(ContractId::FORM),
            "the contract of the path",
        ),
        always(
            "decision",
            Kind::Choice(|| Severity::ALL.map(Severity::name).to_vec()),
            "whatever the tier",
        ),
        always(
            "decision_id",
            Kind::Form("^[0-9a-f]{22}$"),
            "boot, worker and n",
        ),
        always("distress_bp", SHARE, "the route's part of the score"),
        Line::new("endpoint_key", TEXT, "method and template of the contract"),
        always("error_count", up_to(1), "1 where the upstream failed"),
        always(
            "factors",
            Kind::Map(&FACTOR_READINGS),
            "the readings above 0, basis points",
        ),
        always("hash", HASH, "of this line"),
        always(
            "inputs",
            list_of(&Kind::AnyInteger),
            "all numbers that the decision was made from",
        ),
        always("instance", TEXT, "the gateway"),
        Line::new(
            "insufficient",
            FACTORS,
            "the factors that could not be read",
        ),
        always(
            "kind",
            Kind::Choice(|| vec!["decision"]),
            "the kind of the line",
        ),
        always("latency_us", UINT, "the upstream exchange"),
        always("method", Kind::Form("^[!-~]{0,96}$"), "as sent"),
        always("n", UINT, "the worker's number of the decision"),
        always(
            "outcome",
            Kind::Choice(|| vec!["done", "open", "refused"]),
            "how far it came before it was written",
        ),
        always("phase", up_to(6), "the last stage that was completed"),
        always("policy_hash", HASH, "the content digest of the rulebook"),
        always(
            "policy_version",
            TEXT,
            "the version that the policy gives itself",
        ),
        always("prev", HASH, "of the line before"),
        always(
            "reason_codes",
            list_of(&Kind::Choice(|| {
                Reason::ALL.iter().map(|reason| reason.code()).collect()
            })),
            "all reasons",
        ),
        always("recommended_actions", ACTIONS, "what the decision asks for"),
        always(
            "retry_count",
            up_to(255),
            "earlier attempts that the client declared",
        ),
        always("risk_bp", SHARE, "the score"),
        always("seq", UINT, "the number of the line"),
        always("status", STATUS, "what the client was sent; 0 nothing"),
        always(
            "tier",
            Kind::Choice(|| Tier::ALL.map(Tier::name).to_vec()),
            "the lowest of process, listener and contract",
        ),
        Line::new(
            "trace_id",
            Kind::Form("^[0-9a-f]{32}$"),
            "the trace of the request",
        ),
        always("ts_us", UINT, "when, microseconds since 1970"),
        Line::new(
            "unmatched_shape",
            TEXT,
            "the path where no contract claims it",
        ),
        Line::new("upstream", TEXT, "where it was forwarded to"),
        always(
            "upstream_status",
            STATUS,
            "what the upstream answered; 0 nothing",
        ),
        always("v", Kind::Version, "the version of the format"),
        always("worker", up_to(255), "the worker that decided"),
    ],
};

/// The names of the factors, sorted as in [`Factor::BY_NAME`].
const FACTOR_NAMES: [&str; Factor::BY_NAME.len()] = {
    let mut names = [""; Factor::BY_NAME.len()];
    let mut place = 0;
    #[allow(clippy::indexing_slicing)] // evaluated by the compiler: a panic is an error there
    while place < Factor::BY_NAME.len() {
        names[place] = Factor::BY_NAME[place].name();
        place += 1;
    }
    names
};

const FACTOR_READINGS: Shape = Shape {
    keys: Keys::plain("'factors' of a decision record", &FACTOR_NAMES),
    lines: &{
        let mut lines = [Line::new("", up_to(10_000), "its reading"); Factor::BY_NAME.len()];
        let mut place = 0;
        #[allow(clippy::indexing_slicing)] // evaluated by the compiler: a panic is an error there
        while place < Factor::BY_NAME.len() {
            lines[place].key = FACTOR_NAMES[place];
            place += 1;
        }
        lines
    },
};
