//! What was seen: arrivals, completions, windows, and the signals read from them.
//!
//! Workers write only their own rising totals; one ticker differences them into windows and
//! publishes a snapshot per route; a request reads that snapshot once, as [`Signals`]. Nothing
//! here judges: what a number means is the business of `risk`.

mod board;
mod client;
mod exchange;
mod gcra;
mod histogram;
mod open;
mod retry;
mod signals;
mod ticker;
mod totals;
mod window;

pub use board::{Board, Mode, RouteShared, UNMATCHED};
pub use client::ClientHasher;
pub use exchange::{Arrival, ClientKey, Completion, Ending, UpstreamError};
pub use gcra::{GcraWord, Limit};
pub use histogram::{BUCKETS, Histogram, bucket_ceiling_us, bucket_of};
pub use open::{OpenRequest, OpenRequests, OpenToken, WRITE_OPEN_AFTER_NS};
pub use retry::{RETRY_HEADERS, declared_retries};
pub use signals::{
    BurnPair, CircuitState, INPUT_COUNT, InputsError, Regression, RetryKind, Share, Signals,
    Standing, Take, Traffic,
};
pub use ticker::{RouteView, TICK_NS, Ticker};
pub use totals::{RouteTotals, TotalsReading, WorkerTotals};
pub use window::{Counts, SecondWindow};
