//! Simulation: written or recorded traffic through the real pipeline in virtual time.
//!
//! No socket, no clock, no thread: the same lines give the same records on every machine. What an
//! upstream answered to a request that would have been refused is never fed back.

mod clock;
mod engine;
mod headers;
mod reader;
mod traffic;

pub use clock::{Origin, virtual_moment};
pub use engine::{Engine, Fate, SIMULATED_WORKER, Told};
pub use reader::{TRAFFIC_LINE_BYTES_MAX, TrafficLines};
pub use traffic::{TrafficError, TrafficLine};
