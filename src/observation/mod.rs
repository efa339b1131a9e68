//! What was seen: arrivals, completions, windows, and the signals read from them.
//!
//! Workers write only their own rising totals; one ticker differences them into windows and
//! publishes a snapshot per route; a request reads that snapshot once, as [`Signals`]. Nothing
//! here judges: what a number means is the business of `risk`.

mod baseline;
mod blocks;
mod board;
mod burn;
mod circuit;
mod client;
mod clients;
mod exchange;
mod gcra;
mod histogram;
mod line;
mod load;
mod open;
mod packed;
mod published;
mod retry;
mod route;
mod route_windows;
mod signals;
mod snapshot;
mod ticker;
mod totals;
mod transitions;
mod window;

pub use baseline::{BASELINE_MINUTES, BASELINE_SAMPLES_MIN, BaselineSnapshot};
pub use board::{Board, UNMATCHED};
pub use burn::{
    BURN_FAILURES_MIN, BURN_SAMPLES_MIN, BURN_WINDOW_COUNT, BURN_WINDOW_MINUTES, BURN_WINDOW_NAMES,
    BurnSnapshot, BurnSums, burn_pair, burn_pair_known,
};
pub use circuit::{Backoff, Circuit, CircuitReading, PROBES, Passage, Probes, SavedCircuit};
pub use client::ClientHasher;
pub use clients::{CLIENT_SLOTS, ClientSlot, Clients};
pub use exchange::{Arrival, ClientKey, Completion, Ending, UpstreamError};
pub use gcra::{GcraWord, Limit, Turn};
pub use histogram::{BUCKETS, Histogram, bucket_ceiling_us, bucket_of};
pub use load::{LOAD_MINUTES, Load};
pub use open::{Lateness, OpenRequest, OpenRequests, OpenToken, WRITE_OPEN_AFTER_NS};
pub use published::{ALL_ORDINARY_BP, ALWAYS_KNOWN, RouteShared, ShortView};
pub use retry::{RETRY_WORDS, RequestKey, RetryTable, declared_retries};
pub use route::{Mode, RouteState};
pub use signals::{
    BurnPair, CircuitState, INPUT_COUNT, InputsError, LedgerStanding, Regression, RetryKind,
    SLOW_START_MAX_BP, Share, Signals, Standing, Take, Traffic,
};
pub use snapshot::{RouteSnapshot, Snapshot};
pub use ticker::{RouteView, TICK_NS, TickVerdict, Ticker};
pub use totals::{CLASS_COUNT, Offered, RouteTotals, TotalsReading};
pub use transitions::{TRANSITIONS_MAX, Transition};
pub use window::{Counts, SecondWindow};
