//! Malformed, smuggling and conformance messages: what becomes of each behind a proxy.
//!
//! A probe is bytes of a client (and of an upstream), and what may become of them. A recording
//! upstream keeps every byte that reaches it and counts requests strictly and as lenient servers
//! would. Not here: whose score is good enough; `accept` judges.

mod file;
mod lenient;
mod outcome;
mod recorder;
mod score;
mod send;
mod strict;
mod subject;
mod verb;

pub use file::{Accept, Probe, all, identity};
pub use outcome::Outcome;
pub use score::{Score, run_all};
pub use subject::Kind;
pub use verb::{Options, print, table};
