//! The differential test: two gateways that differ in the fast lane alone get the same bytes of
//! clients and of upstreams, and must do the same.
//!
//! Compared are what clients and upstreams received, what the ledgers hold, and the counts. Every
//! exchange has a number; seed and number repeat it. One that differs is run again: what does not
//! differ every time is told apart as unsteady. Not here: whether what both did is right; probes,
//! acceptance parts and tests judge that.

mod answers;
mod choice;
mod client;
mod exchange;
mod generate;
mod meet;
mod message;
mod probes;
mod recorder;
mod records;
mod report;
mod requests;
mod run;
mod seen;
mod side;
mod states;

pub use meet::Fault;
pub use report::Report;
pub use run::{Options, run};
