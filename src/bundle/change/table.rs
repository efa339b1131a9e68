//! The table of docs/bundle-format.md, row by row: a test compares the two.
//!
//! Each row has two verdicts. What a file writes is never looked at here, only what kind of change
//! it is; which row a change falls under is said by the files beside this one.

use super::Verdict::{self, Authority, Breaking, None, Warn};

/// One kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// How the table calls it.
    pub name: &'static str,
    /// What it means to callers.
    pub consumer: Verdict,
    /// What it means to the platform.
    pub protection: Verdict,
}

macro_rules! rows {
    ($($id:ident $name:literal $consumer:ident $protection:ident;)*) => {
        $(pub(super) const $id: Row = Row {
            name: $name, consumer: $consumer, protection: $protection,
        };)*
        /// The whole table, in the order of its page.
        pub const ROWS: &[Row] = &[$($id),*];
    };
}

rows! {
    ROUTE_REMOVED "route removed before its sunset" Breaking None;
    ROUTE_OVER "route removed after its sunset" None None;
    ROUTE_REMOVED_OPEN "route removed before its sunset, unknown endpoints let through" Breaking Breaking;
    ROUTE_OVER_OPEN "route removed after its sunset, unknown endpoints let through" None Breaking;
    ROUTE_ADDED "route added" None Warn;
    TEMPLATE_CHANGED "template changed" Breaking Warn;
    ENDPOINT_RESPELLED "endpoint respelled: parameter names, the method in it" None None;
    OVERLAP_CREATED "overlap created" Breaking Breaking;
    OVERLAP_REMOVED "overlap removed: paths fall to another route" Breaking Breaking;
    METHOD_REMOVED "method removed" Breaking None;
    METHOD_REMOVED_OPEN "method removed, wrong methods let through" Breaking Breaking;
    METHOD_ADDED "method added" None Warn;
    RATE_LOWER "rate limit lower" Breaking None;
    RATE_HIGHER "rate limit higher" None Warn;
    RATE_REMOVED "rate limit removed" None Breaking;
    CLIENT_KEY_CHANGED "key of the client limit changed" Breaking Warn;
    CALLER_EXCLUDED "a caller may call no more, or only named ones may" Breaking None;
    CALLER_ADMITTED "a caller may call, or anybody may" None Warn;
    LATENCY_LOWER "max latency lower" Warn None;
    LATENCY_HIGHER "max latency higher" None Warn;
    TIMEOUT_LOWER "timeout lower" Breaking None;
    TIMEOUT_HIGHER "timeout higher" None Warn;
    BUDGET_LOWER "error budget lower" Warn None;
    BUDGET_HIGHER "error budget higher" None Warn;
    CIRCUIT_LOWER "circuit threshold lower" Warn None;
    CIRCUIT_HIGHER "circuit threshold higher" None Warn;
    BODY_SMALLER "request bodies smaller, or bounded" Breaking None;
    BODY_LARGER "request bodies larger" None Warn;
    BODY_UNBOUNDED "bound of request bodies removed" None Breaking;
    UPGRADE_DROPPED "a protocol passed on no more" Breaking None;
    UPGRADE_PASSED "a protocol passed on" None Warn;
    STREAM_OFF "stream no more" Warn None;
    STREAM_ON "stream" None Warn;
    SPELLING_REFUSED "a spelling of paths refused" Breaking None;
    SPELLING_ALLOWED "a spelling of paths allowed" None Warn;
    UPSTREAM_CHANGED "upstream changed" Warn Warn;
    DIVERT_CHANGED "upstream of quarantine changed" None Warn;
    OWNER_CHANGED "owner changed or removed" Breaking Warn;
    OWNER_NAMED "owner named where there was none" None Warn;
    SERVICE_CHANGED "backup owner or service changed" None None;
    DRAFT_AGAIN "back to draft" Breaking Breaking;
    LEAVING "deprecated, or no more; sunset in time or later; successor, guide" None None;
    SUNSET_SHORT "sunset earlier, removed, or with too little notice" Breaking None;
    STABILITY_LESS "stability from stable to beta" Breaking None;
    STABILITY_MORE "stability from beta to stable" None None;
    WAIT_LESS "waiting for a turn: no more, shorter, for fewer" Breaking None;
    WAIT_MORE "waiting for a turn: allowed, longer, for more" None Warn;
    DROP_CLOSES "dropped requests get no answer" Warn None;
    DROP_ANSWERS "dropped requests get an answer" None Warn;
    WEIGHT_CHANGED "weight changed" Warn Warn;
    FACTOR_DROPPED "factor dropped" None Breaking;
    STRICTER "band lowered, action more severe" Breaking None;
    MILDER "band raised, action less severe" None Breaking;
    UNKNOWN_TIGHTER "unknown endpoints tighter" Breaking None;
    UNKNOWN_LOOSER "unknown endpoints looser" None Breaking;
    UNKNOWN_ANSWER "status of unknown endpoints changed" Warn None;
    CIRCUIT_STRICTER "circuits open sooner or longer" Warn None;
    CIRCUIT_MILDER "circuits open later or shorter" None Warn;
    RETRY_KNOWN "a field declares retries" Warn None;
    RETRY_UNKNOWN "a field declares retries no more" None Warn;
    RETRIES_FEWER "fewer retries of ours" Warn None;
    RETRIES_MORE "more retries of ours" None Warn;
    TIER_RAISED "tier raised" Breaking Authority;
    TIER_LOWERED "tier lowered" None Warn;
    RIGHT_GIVEN "right of a tier to act given" Breaking Authority;
    RIGHT_TAKEN "right of a tier to act taken" None Breaking;
    NOTE_GIVEN "right of a tier to note given" None None;
    NOTE_TAKEN "right of a tier to note taken" None Warn;
    LEDGER_REQUIRED "ledger from best effort to required" Breaking None;
    LEDGER_BEST_EFFORT "ledger from required to best effort" None Breaking;
    CHARTER_MILDER "compatibility mode that forbids less" None Warn;
    CHARTER_STRICTER "compatibility mode that forbids more, deployment" None None;
    TEST_LESS "self-test removed or changed" None Warn;
    TEST_MORE "self-test added" None None;
    RENAMED "a name, a version, an order of names" None None;
    NOT_KNOWN "what was in force is not known" Breaking Authority;
    UNTOLD "content that differs, and no other row says how" None Warn;
}

/// A member that orders: which row holds where it is tighter, looser, or gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ordered {
    pub(super) tighter: Row,
    pub(super) looser: Row,
    /// A limit that is not there lets everything through.
    pub(super) removed: Row,
}

impl Ordered {
    pub(super) const LIMIT: Self = Self::new(RATE_LOWER, RATE_HIGHER, RATE_REMOVED);
    pub(super) const BODY: Self = Self::new(BODY_SMALLER, BODY_LARGER, BODY_UNBOUNDED);
    pub(super) const SEVERITY: Self = Self::new(STRICTER, MILDER, MILDER);
    pub(super) const STAGE: Self = Self::new(STRICTER, FACTOR_DROPPED, FACTOR_DROPPED);
    pub(super) const UNKNOWN: Self = Self::new(UNKNOWN_TIGHTER, UNKNOWN_LOOSER, UNKNOWN_LOOSER);
    pub(super) const LATENCY: Self = Self::new(LATENCY_LOWER, LATENCY_HIGHER, LATENCY_HIGHER);
    pub(super) const TIMEOUT: Self = Self::new(TIMEOUT_LOWER, TIMEOUT_HIGHER, TIMEOUT_HIGHER);
    pub(super) const BUDGET: Self = Self::new(BUDGET_LOWER, BUDGET_HIGHER, BUDGET_HIGHER);
    pub(super) const THRESHOLD: Self = Self::new(CIRCUIT_LOWER, CIRCUIT_HIGHER, CIRCUIT_HIGHER);
    pub(super) const CIRCUIT: Self = Self::new(CIRCUIT_STRICTER, CIRCUIT_MILDER, CIRCUIT_MILDER);
    pub(super) const WAIT: Self = Self::new(WAIT_LESS, WAIT_MORE, WAIT_MORE);
    pub(super) const RETRIES: Self = Self::new(RETRIES_FEWER, RETRIES_MORE, RETRIES_MORE);

    const fn new(tighter: Row, looser: Row, removed: Row) -> Self {
        Self {
            tighter,
            looser,
            removed,
        }
    }
}
