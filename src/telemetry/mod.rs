//! What is counted and said about the running gateway: metrics and the operational log.
//!
//! Workers count into tables of their own ([`WorkerTally`]); a scrape reads the tables and the
//! board ([`Telemetry`]). Names, units and labels stand in [`names`] and in `docs/metrics.md`.
//! Labels come from closed sets and contract ids, never from what a client sent.

mod buckets;
mod callers;
mod cut;
mod exposition;
#[cfg(test)]
pub(crate) mod fixture;
mod key;
pub mod log;
mod log_limit;
pub mod names;
mod process;
mod render;
mod route_names;
mod routes;
mod secured;
mod series;
mod tally;
#[cfg(test)]
mod tests;
mod threads;
mod upstreams;
mod worker;

pub use callers::CLIENTS_MAX;
pub use cut::Cut;
pub use exposition::CONTENT_TYPE;
pub use key::{Family, Key, OTHER_ROUTE};
pub use render::{ConnectionCounts, ConnectionReader, Reload, Telemetry};
pub use secured::CertificateExpiry;
pub use series::OTHER;
pub use tally::{Fill, Tally, TallyWriter};
pub use threads::{Life, Threads};
pub use upstreams::{ServerState, ServerView, UpstreamReader, UpstreamView};
pub use worker::{DECISIONS_PER_TIMING, WorkerTally};
