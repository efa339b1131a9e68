//! The shell around Pingora: the only module that names it.
//!
//! A request meets `edge` (reads its head), `proxy` (Pingora's hooks), `governor` (the seam to
//! the pipeline), `respond` (the answers of our own). `server` starts and stops all of it.
//!
//! Invariant: nothing here decides; it translates between sockets and plain data.

mod arrival;
mod bind;
mod books;
mod clerk;
pub mod clock;
mod connection;
pub mod desk;
mod edge;
mod failure;
mod fields;
mod forwarding;
pub mod governor;
mod in_flight;
mod interim;
mod listener;
mod passage;
mod proxy;
pub mod quota;
pub mod refusal;
pub mod respond;
mod retry_budget;
mod routes;
mod server;
pub mod settings;
mod stop;
mod upstreams;
pub mod worker;

pub(crate) use arrival::PRIORITY;
pub use bind::BindError;
pub use clerk::Clerk;
pub use edge::Connections;
#[doc(hidden)]
pub use edge::fuzzing;
pub use server::Gateway;
pub use stop::{Control, Ended};
