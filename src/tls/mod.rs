//! Certificates and keys of listeners: from PEM files to what a handshake needs.
//!
//! Invariant: what is put in force was read whole, and every key belongs to its certificate; a
//! certificate of a client names somebody only after it was verified. TLS 1.2 and 1.3 with the
//! cipher suites that rustls calls safe, no renegotiation, no early data. Deliberately not here:
//! sockets, when files are read again, and what a name is used for.

mod facts;
mod files;
mod identity;
mod names;
mod server;

pub use facts::CertificateFacts;
pub use files::{CertificateFiles, ClientAuth, TlsFault, TlsFiles};
pub use identity::{IDENTITY_BYTES_MAX, KINDS, identity};
pub use server::{ListenerTls, Material, provider};
