//! The shell around Pingora: the only module that names it.
//!
//! A request meets `edge` (reads its head), `proxy` (Pingora's hooks), `governor` (the seam to
//! the pipeline), `respond` (the answers of our own). `server` starts and stops all of it.
//!
//! Invariant: nothing here decides; it translates between sockets and plain data.

mod accepted;
mod acceptor;
mod answer_fields;
mod arrival;
mod bind;
mod bodies;
mod books;
mod clerk;
pub mod clock;
mod common;
mod connection;
pub mod desk;
mod edge;
mod failure;
mod fields;
mod folded;
mod forwarding;
mod framing;
pub mod governor;
mod held;
mod in_flight;
mod lane;
mod listener;
mod pace;
mod passage;
mod proxy;
mod queue;
pub mod quota;
pub mod received;
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
pub use bind::{BindError, ListeningSocket};
pub use clerk::Clerk;
#[doc(hidden)]
pub use edge::fuzzing;
pub use edge::{Closed, Connections, Counts, Handshakes, ProxyRefusal, TlsEnd, head_len};
pub use server::{Gateway, OpenError};
pub use stop::{Control, Ended};
pub use upstreams::{TlsFileError, tls_file_fault};
